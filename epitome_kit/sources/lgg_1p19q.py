"""Import LGG-1p19qDeletion: 159 gliomas with grade, 1p/19q status and masks on three slices.

The Cancer Imaging Archive offers post-contrast T1 and T2 as DICOM; masks as DICOM
segmentations, or as NIfTI with copies of the scans; and a spreadsheet of labels. Its known
errors are found by rule, never by the name of a subject, see :func:`import_lgg_1p19q`.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import nibabel as nib
import pandas as pd

from epitome_kit.cohort import Cohort, annotation_path, write_annotation_sidecar
from epitome_kit.errors import CohortError, EpitomeWarning, ImageError, Reason, collect_warnings
from epitome_kit.files import Json, PathLike
from epitome_kit.folders import walk_files
from epitome_kit.images import same_grid, save_image
from epitome_kit.ledger import Entry
from epitome_kit.lock import locks
from epitome_kit.sources.dicom_choice import Choice
from epitome_kit.sources.dicom_convert import convert, describe, without_text
from epitome_kit.sources.dicom_headers import Volume, digest_volumes, read_volumes
from epitome_kit.sources.dicom_subjects import age_and_sex
from epitome_kit.sources.importing import (
    Deface,
    adopt_subjects,
    check_folders,
    describe_cohort,
    import_difference,
    subject_name,
    write_scans,
)
from epitome_kit.sources.label_table import read_table
from epitome_kit.sources.labels import Labels, join_readings
from epitome_kit.sources.lgg_ledger import SEGMENTATION, choose_scans, list_sources, name_copy
from epitome_kit.sources.lgg_masks import DrawnMask, annotated_slices, draw_mask, sort_files
from epitome_kit.sources.tcia import download_collection

_COLLECTION = "LGG-1p19qDeletion"
_SUBJECT = re.compile(r"LGG-(\d+)")
_KINDS = {"mask": re.compile(r"seg|mask", re.I), "T1ce": re.compile(r"T1", re.I), "T2w": re.compile(r"T2", re.I)}
_TABLE = re.compile(r".+\.(?:xlsx?|xlsm|[ct]sv(?:\.gz)?)", re.IGNORECASE)
_REQUIRED_LABELS = {"grade", "codeletion"}

_README = """\
Low-grade glioma before surgery: T1 after contrast agent and T2, with 1p/19q status, WHO grade and histology. The
tumour is outlined on three slices only, the one with the largest diameter and its neighbours; every other slice
is unknown, not free of tumour. IDH status is not known, so types cannot be determined by the WHO rules of 2021.

Errors in the origin that were found by rule, and their corrections, are in sources.tsv. {faces} {labels}

Erickson et al., LGG-1p19qDeletion, The Cancer Imaging Archive 2017, doi:10.7937/K9/TCIA.2017.DWEHTZ9V, CC BY 3.0;
Akkus et al. 2017, doi:10.1007/s10278-017-9984-3. Check the licence at the source before you share anything made
from it. For teaching and research, not for diagnosis.
"""


@locks("cohort lgg-1p19q")
def import_lgg_1p19q(
    source: PathLike,
    out: PathLike,
    *,
    archive: str | None = None,
    deface: Deface | None = None,
    workers: int = 1,
) -> Cohort:
    r"""Import the LGG-1p19qDeletion collection, and correct its known errors.

    Every T1 counts as post-contrast, as the collection states. Errors are found by rule:

    - *swapped files*: a T2 with two values and a mask with more;
    - *two studies*: the one on which the mask was drawn is taken, or else the first with
      most contrasts;
    - *proton density*: of two echoes in a series, the long one is T2;
    - *flipped*: the NIfTI copy of the T2 matches the series only in another orientation;
    - *missing slices*, and masks that are not on three neighbouring slices.

    Unusable subjects are excluded, with the reason. Subjects that an earlier import into
    `out` has completed are kept.

    Parameters
    ----------
    source : path
        Folder with DICOM series, NIfTI masks and spreadsheet, searched recursively.
        Without DICOM, the NIfTI copies are imported.
    out : path
        Folder for the cohort.
    archive : str, default=None
        Address of the archive from which missing series are downloaded into `source`, such
        as :data:`epitome_kit.sources.tcia.API`; None downloads nothing.
    deface : callable, default=None
        Takes a scan and returns it without the face; None keeps faces.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort
        With T1ce and T2w; its `repaired` lists the errors that were found.

    Raises
    ------
    CohortError
        `source` does not exist or contains no subject, the spreadsheet is unreadable, every
        subject is excluded, or the archive does not respond or offers nothing.
    ParameterError
        One folder is the other, or lies inside it.
    OutputError
        `out` cannot be written to, or holds other subjects.

    See Also
    --------
    import_dicom : Import any folder of DICOM files.
    deface : Remove the face from a scan.
    epitome_kit.sources.tcia.download_collection : Download a collection.

    References
    ----------
    Akkus et al., J Digit Imaging 2017, doi:10.1007/s10278-017-9984-3
    Erickson et al., LGG-1p19qDeletion, TCIA 2017, doi:10.7937/K9/TCIA.2017.DWEHTZ9V

    Examples
    --------
    Write NIfTI copies of one subject and a table of labels, and import them.

    >>> import tempfile
    >>> from pathlib import Path
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "download").mkdir()
    >>> voxels = np.arange(16**3, dtype=np.int16).reshape(16, 16, 16)
    >>> mask = np.zeros((16, 16, 16), np.uint8)
    >>> mask[6:10, 6:10, 7:10] = 1
    >>> for kind, data in {"T1": voxels[::-1], "T2": voxels, "Segmentation": mask}.items():
    ...     nib.save(nib.Nifti1Image(data, np.eye(4)), folder / "download" / f"LGG-104_{kind}.nii.gz")
    >>> table = "Filename,Grade,1p/19q\nLGG-104,2,d/d\n"
    >>> _ = (folder / "download" / "labels.csv").write_text(table)
    >>> cohort = ek.import_lgg_1p19q(folder / "download", folder / "cohort")
    >>> cohort.participants[["grade", "codeletion"]].to_dict("records")
    [{'grade': 2, 'codeletion': 'codeleted'}]
    """
    source, out = Path(source), Path(out)
    check_folders(source, out, {path.name for path in out.glob("sub-*")})
    broken = download_collection(_COLLECTION, source, api=archive) if archive else {}
    files, entries = _find_files(source)
    read, damaged = read_volumes(source, workers=workers)
    entries += [Entry(".", "file", reason=f"DICOM that is damaged, {damaged} of them")] if damaged else []
    volumes: dict[str, list[Volume]] = {}
    for volume in read:
        volumes.setdefault(volume.patient, []).append(volume)
    found = sorted({*files, *volumes} - {*broken})
    if not found:
        raise CohortError(
            "import_lgg_1p19q",
            "DICOM series, or NIfTI files such as `LGG-104/LGG-104_T2.nii.gz`",
            f"none in {source}",
            "unpack the download, and pass the folder that contains it",
        )
    labels = _read_spreadsheet(source, found)
    names = {origin: subject_name(origin) for origin in found}
    check_folders(source, out, names.values())
    scanless = sorted({subject_name(name) for name, _ in labels.unmatched} - {*map(subject_name, broken)})
    alone = Reason("DICOM or NIfTI files", "a row of the spreadsheet alone")
    twice = Reason("one row in the spreadsheet", "rows that differ")
    excluded = [*broken.items()]
    excluded += [*((name, str(alone)) for name in scanless), *((name, str(twice)) for name in labels.conflicting)]
    unlisted = labels.unlabelled if labels.tables else []
    sources = {origin: (name, volumes.get(origin, []), files.get(origin, {})) for origin, name in names.items()}
    items = {
        origin: (*content, origin in unlisted)
        for origin, content in sources.items()
        if origin not in labels.conflicting
    }
    excluded += adopt_subjects(partial(_import_subject, out, deface), items, workers=workers)
    left_out = {origin for origin, _ in excluded}
    kept = {names[origin]: origin for origin in items if origin not in left_out}
    entries += [entry._replace(subject=names.get(entry.subject, "")) for entry in labels.entries]
    entries += list_sources(out, source, sources, {*sources} - {*kept.values()})
    return describe_cohort(
        out,
        source=source,
        participants=_participants(kept, volumes, labels.table if labels.tables else pd.DataFrame()),
        excluded=excluded,
        entries=entries,
        name=_COLLECTION,
        licence="CC BY 3.0",
        readme=_README.format(
            faces="Faces were removed." if deface else "Faces were kept.",
            labels=labels.summary if labels.tables else "No spreadsheet was found: no labels.",
        ),
    )


def _find_files(source: Path) -> tuple[dict[str, dict[str, Path]], list[Entry]]:
    """Find the NIfTI files of every subject by kind, and make ledger entries of the others."""
    if not source.is_dir():
        raise CohortError("import_lgg_1p19q", "a folder", f"{source}, which is not a folder", "unpack the download")
    files: dict[str, dict[str, Path]] = {}
    others = []
    for path in [path for path in walk_files(source) if re.search(r"\.nii(\.gz)?$", path.name, re.I)]:
        place = path.relative_to(source).as_posix()
        subject = _SUBJECT.search(path.name) or _SUBJECT.search(path.parent.name)
        rest = _SUBJECT.sub("", path.name)
        kind = next((kind for kind, pattern in _KINDS.items() if pattern.search(rest)), None)
        if not subject or not kind:
            others.append(Entry(place, "file", reason="its name contains no subject, or neither T1, T2 nor mask"))
            continue
        first = files.setdefault(subject[0], {}).setdefault(kind, path)
        if first != path:
            reason = f"another {kind} of the subject was taken: {first.relative_to(source).as_posix()}"
            others.append(Entry(place, "file", subject_name(subject[0]), reason=reason))
    return files, others


def _read_spreadsheet(source: Path, subjects: Sequence[str]) -> Labels:
    """Read the labels from every table that contains grade or 1p/19q status of the subjects."""
    readings, failed = [], None
    for path in [path for path in walk_files(source) if _TABLE.fullmatch(path.name)]:
        try:
            reading = read_table(path, subjects, name=path.relative_to(source).as_posix())
        except CohortError as error:
            failed = failed or (error if ".xls" in path.name.lower() else None)
            continue
        if _REQUIRED_LABELS & set(reading.columns):
            readings.append(reading)
    matching = [reading for reading in readings if not reading.values.empty]
    if failed and not matching:
        hint = f"{failed.hint}; or remove it to import without labels"
        raise CohortError("import_lgg_1p19q", "a readable spreadsheet", failed.received, hint) from failed
    labels = join_readings(matching or readings, subjects, first_leads=False)
    if not readings:
        lost = f"no table of grade and 1p/19q status was found in {source}: the cohort has no labels"
        labels = labels._replace(warnings=[lost])
    for text in labels.warnings:
        warnings.warn(text, EpitomeWarning, stacklevel=3)
    return labels


def _import_subject(
    out: Path,
    deface: Deface | None,
    item: tuple[str, list[Volume], dict[str, Path], bool],
) -> str | None:
    """Convert and write one subject; the subject is complete once the last scan is written."""
    name, volumes, files, unlisted = item
    sizes = [f"{kind} {path.stat().st_size}" for kind, path in files.items()]
    origin = {"SourceDigest": digest_volumes(volumes, *sizes), "Defaced": bool(deface)}
    again = import_difference(out, name, origin)
    if again is None:
        return None
    with collect_warnings() as assumed:
        copies, repairs = sort_files(files)
        swap = {name_copy("T2w"): name_copy("mask"), name_copy("mask"): name_copy("T2w")} if repairs else {}
        masks = [volume for volume in volumes if volume.physics["modality"] == SEGMENTATION]
        images, notes, drawn, more = _match(choose_scans(volumes), masks, copies)
    repairs += [*more, *assumed]
    mask_origin: Json = {}
    if drawn:
        mask, contrast, mask_from = drawn
        slices, more = annotated_slices(mask)
        repairs += more
        save_image(mask, annotation_path(out, name))
        write_annotation_sidecar(out, name, contrast, slices)
        mask_origin = {"MaskFrom": swap.get(mask_from, mask_from)}
    else:
        repairs.append("no mask")
    if unlisted:
        repairs.append("no row in the spreadsheet: no labels")
    if deface:
        images = {contrast: deface(image) for contrast, image in images.items()}
    taken = {contrast: notes[contrast].pop("TakenFrom") for contrast in images}
    origin |= {
        "Repairs": repairs,
        "TakenFrom": {each: swap.get(one, one) for each, one in taken.items()},
        **mask_origin,
    }
    known = {contrast: {**notes[contrast], "Defaced": bool(deface)} for contrast in images}
    write_scans(out, name, images, known, origin=origin)
    return again


def _match(
    studies: Sequence[Choice], masks: Sequence[Volume], copies: Mapping[str, nib.Nifti1Image]
) -> tuple[dict[str, nib.Nifti1Image], dict[str, Json], DrawnMask | None, list[str]]:
    """Find the study on which the mask was drawn, or else take the NIfTI copies.

    Returns
    -------
    images, notes : dict by contrast
    drawn : (Nifti1Image, str, str) or None
        See :data:`DrawnMask`.
    repairs : list of str
    """
    outlined = {volume.study for volume in masks}
    usable = [(scans, repairs) for scans, repairs, _ in studies if scans]
    usable.sort(key=lambda chosen: next(iter(chosen[0].values())).study not in outlined)
    first: tuple[dict[str, nib.Nifti1Image], dict[str, Json], None, list[str]] | None = None
    for scans, repairs in usable:
        images = {contrast: convert(volume) for contrast, volume in scans.items()}
        notes = {
            contrast: describe(volume) | {"TakenFrom": digest_volumes([volume])} for contrast, volume in scans.items()
        }
        drawn, noticed = draw_mask(images, masks, copies)
        if drawn:
            return images, notes, drawn, [*repairs, *noticed]
        first = first or (images, notes, None, repairs)
    mask = copies.get("mask")
    if first and mask is None and not masks:
        return first
    images = {contrast: without_text(copies[contrast]) for contrast in ("T1ce", "T2w") if contrast in copies}
    drawn = None
    if mask is not None and "T2w" in images and same_grid(mask, images["T2w"]):
        drawn = without_text(mask), "T2w", name_copy("mask")
    if images and (drawn or mask is None and not masks):
        together = len(images) == 2 and same_grid(images["T1ce"], images["T2w"])
        notes = {each: {"CoregisteredAtOrigin": together, "TakenFrom": name_copy(each)} for each in images}
        repairs = ["no series matches the T2 of the mask: took the NIfTI scans"] if usable else []
        return images, notes, drawn, repairs
    if first or images:
        raise ImageError(
            "import", "a mask on the grid of a scan", "a mask that fits none", "download the subject again"
        )
    reasons = "; ".join(repair for _, repairs, _ in studies for repair in repairs)
    raise ImageError("import", "a T1 or a T2", reasons or "neither", "download the subject again")


def _participants(kept: Mapping[str, str], volumes: Mapping[str, list[Volume]], labels: pd.DataFrame) -> pd.DataFrame:
    """Return the labels of the spreadsheet, with age and sex from the DICOM headers."""
    table = labels.reindex(list(kept.values())).reset_index(drop=True)
    table.insert(0, "participant_id", list(kept))
    people = [age_and_sex(volumes[origin]) if origin in volumes else {} for origin in kept.values()]
    for column in ("age", "sex"):
        table[column] = [known.get(column) for known in people]
    if "histology" in table:
        table["histology"] = table["histology"].str.lower()
    table["source_id"] = list(kept.values())
    return table.convert_dtypes()
