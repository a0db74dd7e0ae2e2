"""Open and write cohorts: BIDS folders of subjects with scans, tumour masks and labels."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from epitome_kit.contrast_table import CONTRASTS, reference_contrast
from epitome_kit.errors import CohortError, ParameterError, plain
from epitome_kit.escaping import markdown
from epitome_kit.files import PathLike, write_json, write_text, write_tsv
from epitome_kit.io.unread_files import find_unread_files, name_files
from epitome_kit.ledger import LEDGER, ORIGINS, Entry, read_ledger, warn_of_older_rules, write_ledger
from epitome_kit.sidecars import (
    read_annotated_slices,
    read_dataset_name,
    read_json_sidecar,
    read_participants,
    sidecar_path,
)

TARGETS = {"grade": (2, 3), "codeletion": ("intact", "codeleted")}
"""Labels that can be predicted, with their (negative, positive) values."""

COLUMNS: dict[str, dict] = {
    "participant_id": {"Description": "Subject, as in the folder names"},
    "grade": {
        "Description": "CNS WHO grade of the glioma, as in the original data",
        "Levels": {"2": "grade 2", "3": "grade 3"},
    },
    "codeletion": {
        "Description": "1p/19q status",
        "Levels": {"codeleted": "both arms lost (d/d)", "intact": "not both lost (n/n)"},
    },
    "idh": {"Description": "IDH1 and IDH2 of simulated subjects", "Levels": {"mutant": "mutated", "wildtype": "not"}},
    "cdkn2ab": {"Description": "CDKN2A/B of simulated subjects", "Levels": {"deleted": "both lost", "intact": "not"}},
    "histology": {"Description": "Histological type, as in the original data"},
    "age": {"Description": "Age at the scan", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "source_id": {"Description": "Name of the subject in the original data"},
}
"""Columns of ``participants.tsv`` and their BIDS descriptions."""

DERIVATIVES = ("annotations", "truth")
"""Derivative folders of a cohort: tumour masks, and the truth of simulated subjects."""

BIDS_VERSION = "1.10.0"
NO_SCAN = "no scan with a name as in cohorts of the kit; `epitome inspect` lists the files"


@dataclass(frozen=True)
class Subject:
    """One subject's files.

    Attributes
    ----------
    id : str
        Such as ``"sub-001"``.
    images : dict of str to Path
        Contrast, a key of :data:`epitome_kit.contrast_table.CONTRASTS`, to file.
    annotation : Path or None
        Tumour mask, on the grid of the contrast `annotated_on`.
    annotated_on : str or None
        Contrast that the mask was drawn on.
    annotated_slices : tuple of int or None
        Indices along the third axis; None for all. Other slices are unknown, not background.
    truth : Path or None
        Folder with the known truth of a simulated subject.
    """

    id: str
    images: dict[str, Path]
    annotation: Path | None = None
    annotated_on: str | None = None
    annotated_slices: tuple[int, ...] | None = None
    truth: Path | None = None


@dataclass(frozen=True)
class Cohort:
    """A cohort on disk.

    Attributes
    ----------
    root : Path
        Folder of the cohort.
    name : str
        From ``dataset_description.json``.
    participants : DataFrame
        Indexed by participant_id; columns and values as in :data:`COLUMNS`, other text is missing.
    subjects : dict of str to Subject
        Subjects that can be opened, by id.
    excluded : DataFrame
        Columns id and reason: subjects that were left out by an import, or cannot be opened.
    repaired : DataFrame
        Columns id and repair: what an import found and repaired.
    ledger : DataFrame
        Files that an import found, see :class:`epitome_kit.ledger.Entry`; may contain names of people.
    """

    root: Path
    name: str
    participants: pd.DataFrame
    subjects: dict[str, Subject]
    excluded: pd.DataFrame
    repaired: pd.DataFrame
    ledger: pd.DataFrame

    def __len__(self) -> int:
        return len(self.subjects)

    def __iter__(self) -> Iterator[Subject]:
        return iter(self.subjects.values())

    def __getitem__(self, subject_id: str) -> Subject:
        return self.subjects[subject_id]

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Contrasts that at least half of the subjects have, in the order of CONTRASTS."""
        return tuple(
            name for name in CONTRASTS if 2 * sum(name in subject.images for subject in self) >= max(len(self), 1)
        )

    @property
    def simulated(self) -> bool:
        """Whether the truth of every subject is known."""
        return all(subject.truth is not None for subject in self)

    def labels(self, target: str) -> pd.Series:
        """Return the labels as 0 and 1, without unlabelled subjects.

        Parameters
        ----------
        target : {"grade", "codeletion"}
            Label to read.

        Returns
        -------
        Series of int
            Indexed by participant_id; 1 is grade 3, or codeleted.

        Raises
        ------
        ParameterError
            `target` is not a known label.
        CohortError
            No subject has the label, or only one of its two classes occurs.
        """
        if target not in TARGETS:
            raise ParameterError("labels", f"one of {', '.join(TARGETS)}", repr(target), "use `grade`")
        codes = {str(value): code for code, value in enumerate(TARGETS[target])}
        column = self.participants[target] if target in self.participants else pd.Series(dtype=object)
        labels = column.map(lambda value: codes.get(_as_text(value))).dropna().astype(int)
        labels = labels[labels.index.isin(self.subjects)]
        if labels.nunique() < 2:
            counts = labels.map(dict(enumerate(TARGETS[target]))).value_counts().to_dict()
            expected = f"subjects of both classes of {target}, {TARGETS[target][0]} and {TARGETS[target][1]}"
            received = f"{counts or 'no label at all'} among {len(self)} subjects of {self.root}"
            hint = f"add the missing class to participants.tsv, or choose a target other than `{target}`"
            raise CohortError("labels", expected, received, hint)
        return labels


def open_cohort(path: PathLike) -> Cohort:
    """Open a cohort, a BIDS folder of scans.

    A subject with a damaged sidecar, an invalid name or no scan is listed in
    ``excluded``. A cohort that was imported by an older version is opened with a warning.

    Parameters
    ----------
    path : path
        Folder with ``participants.tsv`` and ``sub-*/anat``.

    Returns
    -------
    Cohort
        Its subjects, labels and the ledger of the import.

    Raises
    ------
    CohortError
        The folder does not exist, is empty or has no scan, or a subject is listed twice.

    See Also
    --------
    load_cohort : Open a cohort, or make the built-in one.
    import_bids : Import a BIDS folder with other names.
    audit_cohort : List the problems of a cohort.

    Examples
    --------
    >>> import tempfile
    >>> import epitome_kit as ek
    >>> phantom = ek.make_phantom_cohort(tempfile.mkdtemp(), subjects=2, spacing_mm=(8, 8, 8))
    >>> cohort = ek.open_cohort(phantom.root)
    >>> len(cohort), cohort.contrasts
    (2, ('T1ce', 'T2w'))
    """
    root = Path(path)
    if not root.is_dir():
        state = "is a file" if root.exists() else "does not exist"
        raise CohortError("open_cohort", "a folder of scans", f"{root}, which {state}", "check the path")
    if not any(root.iterdir()):
        hint = "make one with `epitome cohort phantom`"
        raise CohortError("open_cohort", "a folder of scans", f"{root}, which is empty", hint)
    subjects: dict[str, Subject] = {}
    damaged, without = list[tuple[str, str]](), list[tuple[str, str]]()
    for folder in sorted(path for path in root.glob("sub-*") if path.is_dir()):
        try:
            subject = _read_subject(folder)
        except CohortError as error:
            damaged.append((plain(folder.name), error.reason))
        else:
            subjects |= {subject.id: subject} if subject.images else {}
            without += [] if subject.images else [(subject.id, NO_SCAN)]
    if not subjects and damaged:
        raise CohortError("open_cohort", "a usable subject", ": ".join(damaged[0]), "repair this file")
    if not subjects:
        unread = find_unread_files(root)
        others = f", but {name_files(unread)}" if unread else ""
        raise CohortError(
            "open_cohort",
            f"scans in `sub-*/anat/sub-*_{{{','.join(row.bids for row in CONTRASTS.values())}}}.nii.gz`",
            f"no such NIfTI file under {root}{others}",
            "import the folder first: `epitome cohort --help` lists the supported layouts",
        )
    ledger = read_ledger(root)
    left_out = ledger[(ledger.kind == "subject") & (ledger.taken_as == "")]
    listed = zip(left_out.source, left_out.reason, strict=True)
    excluded = pd.DataFrame([*listed, *damaged, *(without if ledger.empty else ())], columns=["id", "reason"])
    notes = ledger[ledger.kind == "note"]
    repaired = pd.DataFrame({"id": notes.subject, "repair": notes.reason}).reset_index(drop=True)
    participants = read_participants(root, subjects)
    cohort = Cohort(root, read_dataset_name(root), participants, subjects, excluded, repaired, ledger)
    if not cohort.simulated:
        warn_of_older_rules(root)
    return cohort


def image_path(root: PathLike, subject_id: str, contrast: str) -> Path:
    """Return the path of a scan of a cohort."""
    return Path(root) / subject_id / "anat" / f"{subject_id}_{CONTRASTS[contrast].bids}.nii.gz"


def annotation_path(root: PathLike, subject_id: str) -> Path:
    """Return the path of the tumour mask of a subject."""
    folder = Path(root) / "derivatives" / "annotations" / subject_id / "anat"
    return folder / f"{subject_id}_label-tumour_mask.nii.gz"


def truth_folder(root: PathLike, subject_id: str) -> Path:
    """Return the folder with the truth of a simulated subject."""
    return Path(root) / "derivatives" / "truth" / subject_id / "anat"


def write_annotation_sidecar(
    root: PathLike, subject_id: str, contrast: str, annotated_slices: Iterable[int] | None = None
) -> None:
    """Write the sidecar of a tumour mask: its scan and the annotated slices."""
    sidecar = {
        "Type": "Lesion",
        "Sources": [f"bids:raw:{subject_id}/anat/{subject_id}_{CONTRASTS[contrast].bids}.nii.gz"],
        "AnnotatedSlices": "all" if annotated_slices is None else [int(index) for index in annotated_slices],
    }
    write_json(sidecar_path(annotation_path(root, subject_id)), sidecar)


def write_dataset(
    root: PathLike,
    *,
    name: str,
    readme: str,
    participants: pd.DataFrame,
    excluded: Iterable[tuple[str, str]] = (),
    repaired: Iterable[tuple[str, str]] = (),
    entries: Iterable[Entry] = (),
    licence: str = "n/a",
) -> None:
    """Write the tables and descriptions of a BIDS dataset and of its derivatives.

    Parameters
    ----------
    root : path
        Folder of the cohort, with or without its scans and masks.
    name : str
        Name of the cohort.
    readme : str
        Origin, licence and limits, in a few sentences.
    participants : DataFrame
        One row per subject; columns from :data:`COLUMNS`.
    excluded : sequence of (str, str), default=()
        Subjects left out: original id and reason.
    repaired : sequence of (str, str), default=()
        Repaired errors of the original data: subject and repair.
    entries : sequence of Entry, default=()
        Other entries of the ledger: scans, masks, tables and their rows.
    licence : str, default="n/a"
        Licence of the data.
    """
    root = Path(root)
    description = {"Name": name, "BIDSVersion": BIDS_VERSION, "License": licence}
    generator = {"GeneratedBy": [{"Name": "epitome_kit"}]}
    write_json(root / "dataset_description.json", {**description, "DatasetType": "raw", **generator})
    for derivative in DERIVATIVES:
        folder = root / "derivatives" / derivative
        if folder.is_dir():
            links = {"DatasetType": "derivative", **generator, "DatasetLinks": {"raw": "../../"}}
            title = {"Name": f"{name}: {derivative}"}
            write_json(folder / "dataset_description.json", {**description, **title, **links})
    columns = [column for column in COLUMNS if column in participants]
    write_tsv(root / "participants.tsv", participants[columns])
    write_json(root / "participants.json", {column: COLUMNS[column] for column in columns})
    subjects = [Entry(name, "subject", reason=reason) for name, reason in excluded]
    notes = [Entry(name, "note", name, reason=repair) for name, repair in repaired]
    write_ledger(root, [*subjects, *notes, *entries])
    write_text(root / ".bidsignore", f"{LEDGER}\n{ORIGINS}/\n*.xlsx\n")
    write_text(root / "README.md", f"# {markdown(name)}\n\n{readme.strip()}\n")


def _read_subject(folder: Path) -> Subject:
    subject_id = folder.name
    root = folder.parent
    if not re.fullmatch(r"sub-[A-Za-z0-9_+-]+", subject_id):
        raise CohortError("open_cohort", "letters and digits after `sub-`", subject_id, "rename the folder")
    images = {name: image_path(root, subject_id, name) for name in CONTRASTS}
    images = {name: path for name, path in images.items() if path.is_file()}
    folder = truth_folder(root, subject_id)
    truth = folder if folder.is_dir() else None
    annotation = annotation_path(root, subject_id)
    if not annotation.is_file():
        return Subject(subject_id, images, truth=truth)
    contrast = _contrast_of(str(read_json_sidecar(sidecar_path(annotation)).get("Sources")), images)
    return Subject(subject_id, images, annotation, contrast, read_annotated_slices(annotation), truth)


def _contrast_of(source: str, images: Mapping[str, Path]) -> str | None:
    """Contrast named by a BIDS URI such as ``bids:raw:.../sub-1_T2w.nii.gz``; else the reference contrast."""
    if not images:
        return None
    named = [name for name in images if re.search(rf"sub-[^_/]+_{CONTRASTS[name].bids}\.nii", source)]
    return named[0] if named else reference_contrast(images)


def _as_text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
