"""Cohorts: a BIDS folder of subjects, their scans, tumour masks and labels."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from epitome_kit.contrast_table import CONTRASTS, reference_contrast
from epitome_kit.errors import CohortError, ParameterError, plain
from epitome_kit.files import write_json, write_text, write_tsv
from epitome_kit.io.unread_files import find_unread_files, name_some
from epitome_kit.ledger import LEDGER, Entry, read_ledger, warn_of_older_rules, write_ledger
from epitome_kit.sidecars import read_annotated_slices, read_json_sidecar, read_table, sidecar_path

TARGETS = {"grade": (2, 3), "codeletion": ("intact", "codeleted")}
"""What can be predicted: the (negative, positive) value of each label."""

COLUMNS = {
    "participant_id": {"Description": "Subject, as in the folder names"},
    "grade": {
        "Description": "WHO grade of the glioma, as stated by the origin",
        "Levels": {"2": "WHO grade II", "3": "WHO grade III"},
    },
    "codeletion": {
        "Description": "1p/19q status",
        "Levels": {"codeleted": "both arms lost (d/d)", "intact": "not both lost (n/n)"},
    },
    "histology": {"Description": "Histological type, as stated by the origin"},
    "age": {"Description": "Age at the scan", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "source_id": {"Description": "Name of the subject in the origin"},
}
"""Columns of ``participants.tsv`` and their BIDS descriptions."""

BIDS_VERSION = "1.10.0"
NO_SCAN = "no scan named as the kit's cohorts are; `epitome inspect` names what is there"


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
        Third-axis indices that were annotated; None means all of them. Slices
        that are not listed are unknown, not background.
    truth : Path or None
        Folder with the known truth of a simulated subject.
    """

    id: str
    images: dict
    annotation: Path | None = None
    annotated_on: str | None = None
    annotated_slices: tuple | None = None
    truth: Path | None = None


@dataclass(frozen=True)
class Cohort:
    """A cohort on disk.

    Attributes
    ----------
    root : Path
    name : str
    participants : DataFrame
        Indexed by participant_id; columns as in :data:`COLUMNS`.
    subjects : dict of str to Subject
    excluded : DataFrame
        Columns id and reason: subjects that an import left out, or that cannot be
        opened.
    repaired : DataFrame
        Columns id and repair: what an import noticed, and did about it.
    ledger : DataFrame
        All that an import saw, and what became of it: see
        :class:`epitome_kit.ledger.Entry`. Its paths may name people.
    """

    root: Path
    name: str
    participants: pd.DataFrame
    subjects: dict
    excluded: pd.DataFrame
    repaired: pd.DataFrame
    ledger: pd.DataFrame

    def __len__(self):
        return len(self.subjects)

    def __iter__(self):
        return iter(self.subjects.values())

    def __getitem__(self, subject_id):
        return self.subjects[subject_id]

    @property
    def contrasts(self):
        """Contrasts that at least half of the subjects have, in the order of CONTRASTS."""
        return tuple(
            name for name in CONTRASTS if 2 * sum(name in subject.images for subject in self) >= max(len(self), 1)
        )

    @property
    def simulated(self):
        """Whether every subject comes with its truth."""
        return all(subject.truth is not None for subject in self)

    def labels(self, target):
        """Labels as 0 and 1, subjects without one left out.

        Parameters
        ----------
        target : {"grade", "codeletion"}

        Returns
        -------
        Series of int
            Indexed by participant_id; 1 is grade III, or codeleted.

        Raises
        ------
        ParameterError
            `target` is not a known label.
        CohortError
            No subject, or only one of the two classes, has the label.
        """
        if target not in TARGETS:
            raise ParameterError("labels", f"a target out of {', '.join(TARGETS)}", repr(target), "use `grade`")
        codes = {str(value): code for code, value in enumerate(TARGETS[target])}
        column = self.participants[target] if target in self.participants else pd.Series(dtype=object)
        labels = column.map(lambda value: codes.get(_as_text(value))).dropna().astype(int)
        labels = labels[labels.index.isin(self.subjects)]
        if labels.nunique() < 2:
            counts = labels.map(dict(enumerate(TARGETS[target]))).value_counts().to_dict()
            raise CohortError(
                "labels",
                f"subjects of both classes of {target}, {TARGETS[target][0]} and {TARGETS[target][1]}",
                f"{counts or 'no label at all'} among {len(self)} subjects of {self.root}",
                f"add the missing class to participants.tsv, or choose another target than `{target}`",
            )
        return labels


def open_cohort(path):
    """Open a cohort that is already a BIDS folder.

    Parameters
    ----------
    path : path
        Folder with ``participants.tsv`` and ``sub-*/anat``. A subject with a damaged
        sidecar, a name that BIDS does not allow or no scan is left out by name and reason.
        A cohort that an older version imported is opened with a warning: the rules
        by which scans, masks and labels are chosen have changed since.

    Returns
    -------
    Cohort

    Raises
    ------
    CohortError
        No such folder, nothing in it, no scan, or a subject listed twice.
    """
    root = Path(path)
    if not root.is_dir():
        state = "is a file" if root.exists() else "does not exist"
        raise CohortError("open_cohort", "a folder of scans", f"{root}, which {state}", "check the path")
    if not any(root.iterdir()):
        raise CohortError(
            "open_cohort", "a folder of scans", f"{root}, which is empty", "make one with `epitome cohort phantom`"
        )
    subjects, faults, without = {}, [], []
    for folder in sorted(path for path in root.glob("sub-*") if path.is_dir()):
        try:
            subject = _read_subject(folder)
        except CohortError as error:
            faults.append((plain(folder.name), error.reason))
        else:
            subjects |= {subject.id: subject} if subject.images else {}
            without += [] if subject.images else [(subject.id, NO_SCAN)]
    if not subjects and faults:
        raise CohortError("open_cohort", "a subject that can be used", ": ".join(faults[0]), "repair what it names")
    if not subjects:
        strays = find_unread_files(root)
        there = f", but {name_some(strays)}" if strays else ""
        raise CohortError(
            "open_cohort",
            f"scans in `sub-*/anat/sub-*_{{{','.join(row.bids for row in CONTRASTS.values())}}}.nii.gz`",
            f"no such NIfTI file under {root}{there}",
            "import the folder first: `epitome cohort --help` lists the layouts that are understood",
        )
    ledger = read_ledger(root)
    left_out = ledger[(ledger.kind == "subject") & (ledger.taken_as == "")]
    listed = zip(left_out.source, left_out.reason, strict=True)
    excluded = pd.DataFrame([*listed, *faults, *(without if ledger.empty else ())], columns=["id", "reason"])
    noticed = ledger[ledger.kind == "note"]
    repaired = pd.DataFrame({"id": noticed.subject, "repair": noticed.reason}).reset_index(drop=True)
    people = _read_participants(root, subjects)
    cohort = Cohort(root, _dataset_name(root), people, subjects, excluded, repaired, ledger)
    if not cohort.simulated:
        warn_of_older_rules(root)
    return cohort


def image_path(root, subject_id, contrast):
    """Where a cohort keeps one scan."""
    return Path(root) / subject_id / "anat" / f"{subject_id}_{CONTRASTS[contrast].bids}.nii.gz"


def annotation_path(root, subject_id):
    """Where a cohort keeps a subject's tumour mask."""
    folder = Path(root) / "derivatives" / "annotations" / subject_id / "anat"
    return folder / f"{subject_id}_label-tumour_mask.nii.gz"


def truth_folder(root, subject_id):
    """Where a simulated cohort keeps what is known of a subject."""
    return Path(root) / "derivatives" / "truth" / subject_id / "anat"


def write_annotation_sidecar(root, subject_id, contrast, annotated_slices=None):
    """Say which scan a tumour mask was drawn on, and on which slices."""
    sidecar = {
        "Type": "Lesion",
        "Sources": [f"bids:raw:{subject_id}/anat/{subject_id}_{CONTRASTS[contrast].bids}.nii.gz"],
        "AnnotatedSlices": "all" if annotated_slices is None else [int(index) for index in annotated_slices],
    }
    write_json(sidecar_path(annotation_path(root, subject_id)), sidecar)


def write_dataset(
    root,
    *,
    name,
    readme,
    participants,
    excluded=(),
    repaired=(),
    entries=(),
    derivatives=("annotations",),
    licence="n/a",
):
    """Write the files that make a folder of subjects a BIDS dataset.

    Parameters
    ----------
    root : path
        The scans and masks are there already, or will be.
    name : str
        Name of the cohort.
    readme : str
        Origin, licence and limits, in a few sentences.
    participants : DataFrame
        One row a subject; columns out of :data:`COLUMNS`.
    excluded : sequence of (str, str), default=()
        Subjects left out: id in the origin, and reason.
    repaired : sequence of (str, str), default=()
        Faults of the origin that were noticed: subject, and what was done.
    entries : sequence of Entry, default=()
        All else that the ledger lists: scans, masks, tables and their rows.
    derivatives : sequence of str, default=("annotations",)
        Derivative folders to describe, of those that exist.
    licence : str, default="n/a"
        Licence of the data.
    """
    root = Path(root)
    description = {"Name": name, "BIDSVersion": BIDS_VERSION, "License": licence}
    generator = {"GeneratedBy": [{"Name": "epitome_kit"}]}
    write_json(root / "dataset_description.json", {**description, "DatasetType": "raw", **generator})
    for derivative in derivatives:
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
    write_text(root / ".bidsignore", f"{LEDGER}\n*.xlsx\n")
    write_text(root / "README.md", f"# {name}\n\n{readme.strip()}\n")


def _read_subject(folder):
    subject_id = folder.name
    root = folder.parent
    if not re.fullmatch(r"sub-[A-Za-z0-9_+-]+", subject_id):
        raise CohortError("open_cohort", "letters and digits after `sub-`", subject_id, "rename the folder")
    images = {name: image_path(root, subject_id, name) for name in CONTRASTS}
    images = {name: path for name, path in images.items() if path.is_file()}
    truth = truth_folder(root, subject_id)
    annotation = annotation_path(root, subject_id)
    if not annotation.is_file():
        return Subject(subject_id, images, truth=truth if truth.is_dir() else None)
    return Subject(
        subject_id,
        images,
        annotation,
        _contrast_of(str(read_json_sidecar(sidecar_path(annotation)).get("Sources")), images),
        read_annotated_slices(annotation),
        truth if truth.is_dir() else None,
    )


def _contrast_of(source, images):
    """Contrast named by a BIDS URI such as ``bids:raw:.../sub-1_T2w.nii.gz``; else the reference contrast."""
    if not images:
        return None
    named = [name for name in images if re.search(rf"sub-[^_/]+_{CONTRASTS[name].bids}\.nii", source)]
    return named[0] if named else reference_contrast(images)


def _read_participants(root, subjects):
    path = root / "participants.tsv"
    table = read_table(path) if path.is_file() else pd.DataFrame({"participant_id": list(subjects)})
    if "participant_id" not in table:
        raise CohortError(
            "open_cohort", "a column `participant_id`", f"columns {list(table.columns)} in {path}", "rename the column"
        )
    table = table.dropna(subset="participant_id")
    twice = sorted(table.loc[table.participant_id.duplicated(), "participant_id"])
    if twice:
        raise CohortError(
            "open_cohort",
            "each subject once in participants.tsv",
            f"{', '.join(map(str, twice[:5]))} more than once in {path}",
            "keep one row for each subject",
        )
    return table.set_index("participant_id").reindex(sorted(subjects))


def _dataset_name(root):
    return plain(read_json_sidecar(root / "dataset_description.json").get("Name", root.name))


def _as_text(value):
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
