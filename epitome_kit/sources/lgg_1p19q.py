"""LGG-1p19qDeletion of The Cancer Imaging Archive: 159 gliomas with grade, 1p/19q status and masks on three slices.

The archive gives post-contrast T1 and T2 as DICOM; masks as DICOM segmentations, or
as NIfTI beside copies of the scans; and a spreadsheet of labels. Its known faults
are found by rule, never by the name of a subject, see :func:`import_lgg_1p19q`.

References
----------
Akkus et al., J Digit Imaging 2017, doi:10.1007/s10278-017-9984-3
Erickson et al., LGG-1p19qDeletion, TCIA 2017, doi:10.7937/K9/TCIA.2017.DWEHTZ9V
"""

import re
import warnings
from functools import partial
from pathlib import Path

import pandas as pd

from epitome_kit.cohort import annotation_path, write_annotation_sidecar
from epitome_kit.errors import CohortError, EpitomeWarning, ImageError, Reason, noticed
from epitome_kit.folders import walk_files
from epitome_kit.images import same_grid, save_image
from epitome_kit.ledger import Entry
from epitome_kit.sources.dicom import digest, person
from epitome_kit.sources.dicom_convert import convert, describe, without_text
from epitome_kit.sources.dicom_headers import read_volumes
from epitome_kit.sources.importing import (
    adopt_subjects,
    check_folders,
    describe_cohort,
    import_difference,
    read_repairs,
    write_scans,
)
from epitome_kit.sources.label_table import read_one
from epitome_kit.sources.labels import join_readings
from epitome_kit.sources.lgg_ledger import SEGMENTATION, choose_scans, list_sources, name_copy
from epitome_kit.sources.lgg_masks import annotated_slices, fit_mask, place_segmentation, sort_files
from epitome_kit.sources.tcia import download_collection

_COLLECTION = "LGG-1p19qDeletion"
_SUBJECT = re.compile(r"LGG-(\d+)")
_KINDS = {"mask": re.compile(r"seg|mask", re.I), "T1ce": re.compile(r"T1", re.I), "T2w": re.compile(r"T2", re.I)}
_TABLE = re.compile(r".+\.(?:xlsx?|xlsm|[ct]sv(?:\.gz)?)", re.IGNORECASE)
_WANTED = {"grade", "codeletion"}

_README = """\
Low-grade glioma before surgery: T1 after contrast agent and T2, with 1p/19q status, WHO grade and histology. The
tumour is outlined on three slices only, the one with the largest diameter and its neighbours; every other slice
is unknown, not free of tumour. IDH status is not known, so types cannot be told by the WHO rules of 2021.

Faults of the origin that were found by rule, and what was done, are in sources.tsv. {faces} {labels}

Erickson et al., LGG-1p19qDeletion, The Cancer Imaging Archive 2017, doi:10.7937/K9/TCIA.2017.DWEHTZ9V, CC BY 3.0;
Akkus et al. 2017, doi:10.1007/s10278-017-9984-3. Check the licence at the source before you share anything made
from it. For teaching and research, not for diagnosis.
"""


def import_lgg_1p19q(source, out, *, archive=None, deface=None, workers=1):
    """Import the LGG-1p19qDeletion collection as it was downloaded, and repair its known faults.

    Every T1 counts as post-contrast, as the collection states. Faults are found by rule:

    - *swapped files*: a T2 with two values beside a mask with more;
    - *two studies*: the one that the mask was drawn on, else the first with most contrasts;
    - *proton density*: of two echoes in a series, the long one is T2;
    - *flipped*: the copy of the T2 beside the mask matches the series only when turned;
    - *missing slices*, and masks that are not on three neighbouring slices.

    A subject that cannot be used is left out by name and reason. Subjects that an
    earlier import into `out` has finished are kept as they are.

    Parameters
    ----------
    source, out : path
        Folder with the DICOM series, the NIfTI masks and the spreadsheet, at any
        depth, and a folder for the cohort. Without DICOM the NIfTI copies are taken.
    archive : str, default=None
        Address of the archive to download missing series from into `source`, such as
        :data:`epitome_kit.sources.tcia.API`; None downloads nothing.
    deface : callable, default=None
        Takes a scan and returns it without the face; None keeps faces.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort
        With T1ce and T2w; its `repaired` lists the faults.

    Raises
    ------
    CohortError
        No such folder, no subject in it, the spreadsheet unreadable, or every subject
        left out; or the archive does not answer, or gives nothing.
    ParameterError
        One of the folders is, or lies in, the other.
    OutputError
        `out` cannot be written, or holds other subjects.
    """
    source, out = Path(source), Path(out)
    check_folders(source, out, {path.name for path in out.glob("sub-*")})
    broken = download_collection(_COLLECTION, source, api=archive) if archive else {}
    files, entries = _find_files(source)
    read, damaged = read_volumes(source, workers=workers)
    entries += [Entry(".", "file", reason=f"DICOM that is damaged, {damaged} of them")] if damaged else []
    volumes = {}
    for volume in read:
        volumes.setdefault(volume.patient, []).append(volume)
    found = sorted({*files, *volumes} - {*broken})
    if not found:
        raise CohortError(
            "import_lgg_1p19q",
            "DICOM series, or NIfTI files such as `LGG-104/LGG-104_T2.nii.gz`",
            f"none in {source}",
            "unpack the download, and give the folder that holds it",
        )
    labels = _read_spreadsheet(source, found)
    names = {origin: _subject_name(origin) for origin in found}
    check_folders(source, out, names.values())
    scanless = sorted({_subject_name(name) for name, _ in labels.unmatched} - {*map(_subject_name, broken)})
    alone = Reason("DICOM or NIfTI files", "a row of the spreadsheet alone")
    twice = Reason("one row in the spreadsheet", "rows that differ")
    excluded = [*broken.items()]
    excluded += [*((name, str(alone)) for name in scanless), *((name, str(twice)) for name in labels.conflicting)]
    unlisted = labels.unlabelled if labels.tables else []
    items = {
        origin: (name, volumes.get(origin, []), files.get(origin, {}), origin in unlisted)
        for origin, name in names.items()
        if origin not in labels.conflicting
    }
    excluded += adopt_subjects(partial(_import_subject, out, deface), items, workers=workers)
    left_out = {origin for origin, _ in excluded}
    kept = {names[origin]: origin for origin in items if origin not in left_out}
    sources = {origin: (name, volumes.get(origin, []), files.get(origin, {})) for origin, name in names.items()}
    entries += [entry._replace(subject=names.get(entry.subject, "")) for entry in labels.entries]
    entries += list_sources(out, source, sources, {*sources} - {*kept.values()})
    return describe_cohort(
        out,
        source=source,
        participants=_participants(kept, volumes, labels.table if labels.tables else pd.DataFrame()),
        excluded=excluded,
        repaired=read_repairs(out, sorted(kept)),
        entries=entries,
        name=_COLLECTION,
        licence="CC BY 3.0",
        readme=_README.format(
            faces="Faces were removed." if deface else "Faces were kept.",
            labels=labels.summary if labels.tables else "No spreadsheet was found: no labels.",
        ),
    )


def _subject_name(origin):
    return "sub-" + re.sub(r"[^A-Za-z0-9]", "", origin)


def _find_files(source):
    """Find the NIfTI files of every subject, T1ce, T2w and mask; and list the others for the ledger."""
    if not source.is_dir():
        raise CohortError("import_lgg_1p19q", "a folder", f"{source}, which is no folder", "unpack the download")
    files, others = {}, []
    for path in [path for path in walk_files(source) if re.search(r"\.nii(\.gz)?$", path.name, re.I)]:
        place = path.relative_to(source).as_posix()
        subject = _SUBJECT.search(path.name) or _SUBJECT.search(path.parent.name)
        rest = _SUBJECT.sub("", path.name)
        kind = next((kind for kind, pattern in _KINDS.items() if pattern.search(rest)), None)
        if not subject or not kind:
            others.append(Entry(place, "file", reason="its name says no subject, or neither T1, T2 nor mask"))
            continue
        first = files.setdefault(subject[0], {}).setdefault(kind, path)
        if first != path:
            reason = f"another {kind} of the subject was taken: {first.relative_to(source).as_posix()}"
            others.append(Entry(place, "file", _subject_name(subject[0]), reason=reason))
    return files, others


def _read_spreadsheet(source, subjects):
    """Read the labels from every table that has grade or 1p/19q status of the subjects."""
    readings, failed = [], None
    for path in [path for path in walk_files(source) if _TABLE.fullmatch(path.name)]:
        try:
            reading = read_one(path, subjects, name=path.relative_to(source).as_posix())
        except CohortError as error:
            failed = failed or (error if ".xls" in path.name.lower() else None)
            continue
        if _WANTED & set(reading.columns):
            readings.append(reading)
    matching = [reading for reading in readings if not reading.values.empty]
    if failed and not matching:
        hint = f"{failed.hint}; or take it away to import without labels"
        raise CohortError("import_lgg_1p19q", "a readable spreadsheet", failed.received, hint) from failed
    labels = join_readings(matching or readings, subjects, first_leads=False)
    if not readings:
        lost = f"no table of grade and 1p/19q status was found in {source}: the cohort has no labels"
        labels = labels._replace(warnings=[lost])
    for text in labels.warnings:
        warnings.warn(text, EpitomeWarning, stacklevel=3)
    return labels


def _import_subject(out, deface, item):
    """Convert and write one subject; with the last scan in place, it is complete."""
    name, volumes, files, unlisted = item
    sizes = [f"{kind} {path.stat().st_size}" for kind, path in files.items()]
    origin = {"SourceDigest": digest(volumes, *sizes), "Defaced": bool(deface)}
    again = import_difference(out, name, origin)
    if again is None:
        return None
    with noticed() as assumed:
        copies, repairs = sort_files(files)
        swap = {name_copy("T2w"): name_copy("mask"), name_copy("mask"): name_copy("T2w")} if repairs else {}
        masks = [volume for volume in volumes if volume.physics["modality"] == SEGMENTATION]
        images, notes, drawn, more = _match(choose_scans(volumes), masks, copies)
    repairs += [*more, *assumed]
    if drawn:
        mask, contrast, mask_from = drawn
        slices, more = annotated_slices(mask)
        repairs += more
        save_image(mask, annotation_path(out, name))
        write_annotation_sidecar(out, name, contrast, slices)
    else:
        repairs.append("no mask")
    if unlisted:
        repairs.append("no row in the spreadsheet: no labels")
    if deface:
        images = {contrast: deface(image) for contrast, image in images.items()}
    said = {**origin, "Repairs": repairs} | ({"MaskFrom": swap.get(mask_from, mask_from)} if drawn else {})
    for each in notes.values():
        each |= {**said, "TakenFrom": swap.get(each["TakenFrom"], each["TakenFrom"])}
    write_scans(out, name, images, {contrast: notes[contrast] for contrast in images})
    return again


def _match(studies, masks, copies):
    """Find the study that the mask was drawn on; without one, the NIfTI copies.

    Returns
    -------
    images, notes : dict by contrast
    drawn : (Nifti1Image, str, str) or None
        The mask, the contrast that it was drawn on, and what it was taken from.
    repairs : list of str
    """
    outlined = {volume.study for volume in masks}
    usable = [(scans, repairs) for scans, repairs, _ in studies if scans]
    usable.sort(key=lambda chosen: next(iter(chosen[0].values())).study not in outlined)
    first = None
    for scans, repairs in usable:
        images = {contrast: convert(volume) for contrast, volume in scans.items()}
        notes = {contrast: describe(volume) | {"TakenFrom": digest([volume])} for contrast, volume in scans.items()}
        drawn, noticed = _draw(images, masks, copies)
        if drawn:
            return images, notes, drawn, [*repairs, *noticed]
        first = first or (images, notes, None, repairs)
    mask = copies.get("mask")
    if first and mask is None and not masks:
        return first
    images = {contrast: without_text(copies[contrast]) for contrast in ("T1ce", "T2w") if contrast in copies}
    fits = mask is not None and "T2w" in images and same_grid(mask, images["T2w"])
    if images and (fits or mask is None and not masks):
        together = len(images) == 2 and same_grid(images["T1ce"], images["T2w"])
        notes = {each: {"CoregisteredAtOrigin": together, "TakenFrom": name_copy(each)} for each in images}
        repairs = ["no series matches the T2 of the mask: took the NIfTI scans"] if usable else []
        return images, notes, (without_text(mask), "T2w", name_copy("mask")) if fits else None, repairs
    if first or images:
        raise ImageError(
            "import", "a mask on the grid of a scan", "a mask that fits none", "download the subject again"
        )
    reasons = "; ".join(repair for _, repairs, _ in studies for repair in repairs)
    raise ImageError("import", "a T1 or a T2", reasons or "neither", "download the subject again")


def _draw(images, masks, copies):
    """Bring the mask onto one of the scans: (mask, contrast, origin) and repairs; None where it fits none."""
    ordered = {contrast: images[contrast] for contrast in ("T2w", "T1ce") if contrast in images}
    for volume in masks:
        mask, contrast = place_segmentation(volume.files[0], ordered)
        if mask is not None:
            return (mask, contrast, digest([volume])), []
    if "mask" in copies and "T2w" in images:
        mask, repairs = fit_mask(copies["mask"], copies.get("T2w"), images["T2w"])
        if mask is not None:
            return (mask, "T2w", name_copy("mask")), repairs
    return None, []


def _participants(kept, volumes, labels):
    """Labels of the spreadsheet, with age and sex of the DICOM headers."""
    table = labels.reindex(list(kept.values())).reset_index(drop=True)
    table.insert(0, "participant_id", list(kept))
    people = [person(volumes[origin]) if origin in volumes else {} for origin in kept.values()]
    for column in ("age", "sex"):
        table[column] = [known.get(column) for known in people]
    if "histology" in table:
        table["histology"] = table["histology"].str.lower()
    table["source_id"] = list(kept.values())
    return table.convert_dtypes()
