"""A BIDS folder that a user already has, checked and adopted."""

import re
from functools import partial
from pathlib import Path

import nibabel as nib
import pandas as pd

from epitome_kit.cohort import COLUMNS, CONTRASTS, annotation_path, image_path, write_annotation_sidecar
from epitome_kit.errors import BadCohort, BadImage, plain
from epitome_kit.files import read_json, write_json
from epitome_kit.images import load_image, load_mask, same_grid, save_image
from epitome_kit.records import sidecar_path
from epitome_kit.sources.importing import adopt_subjects, check_folders, describe_cohort
from epitome_kit.sources.labels import read_labels

_SCAN = re.compile(r"sub-[^_]+((?:_[a-z]+-[^_]+)*)_(T1w|T2w|FLAIR)\.nii(\.gz)?")
_TUMOUR = re.compile(r"(label|desc)-[^_]*(tumou?r|lesion|glioma)", re.IGNORECASE)
_NOT_TUMOUR = re.compile(r"(label|desc)-([^_]*(brain|head|skull|scalp|eye|vessel)[^_]*|csf|gm|wm)_", re.IGNORECASE)
_DRAWN_ON = ("FLAIR", "T2w", "T1ce", "T1w")

_PHYSICS = {
    *("Manufacturer", "ManufacturersModelName", "MagneticFieldStrength", "Modality", "ConversionSoftware"),
    *("MRAcquisitionType", "ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName", "PulseSequenceType"),
    *("RepetitionTime", "RepetitionTimeExcitation", "RepetitionTimePreparation", "EchoTime", "InversionTime"),
    *("FlipAngle", "EchoTrainLength", "PixelBandwidth", "DwellTime", "SliceThickness", "SpacingBetweenSlices"),
    *("PartialFourier", "ParallelReductionFactorInPlane", "NonlinearGradientCorrection", "ContrastBolusIngredient"),
    *("SkullStripped", "Defaced", "CoregisteredAtOrigin", "VoxelSizeKnown", "SourceDigest", "Repairs"),
}
"""What the sidecar of a scan may say: nothing else comes along, for names, numbers and days of people stand there."""

_README = """\
Adopted from a BIDS folder: anatomical scans of the first session, and tumour masks. Its own README says
where the data come from and what may be done with them. {labels} {unknown}
"""


def import_bids(source, out, *, workers=1):
    """Check a BIDS folder and adopt what the kit can use.

    Scans are taken from ``sub-*/anat``, or from the first session by name where a
    subject has sessions; of several scans of one contrast, the first by name. A
    contrast agent of any name counts as gadolinium. The tumour mask is the first
    mask of that session under ``derivatives`` that says tumour or lesion, else the
    first that says nothing else; it belongs to the scan that its sidecar names,
    or to the first of FLAIR, T2w, T1ce and T1w on the same grid. Files
    are written anew, never linked: voxels and geometry stay as they are, free text of
    headers and what sidecars say of people is left behind, and so are sidecars that
    are links to outside of `source`. A subject that cannot be used is left out by name
    and reason; subjects that an earlier import into `out` has finished are kept as they
    are.

    Parameters
    ----------
    source, out : path
        The user's BIDS folder, and a folder for the cohort.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort

    Raises
    ------
    BadCohort
        No such folder, no scan in it, ``participants.tsv`` unreadable, or every
        subject left out.
    BadParameter
        One of the folders is, or lies in, the other.
    BadOutput
        `out` cannot be written, or holds other subjects.
    """
    source, out = Path(source), Path(out)
    subjects = _find(source)
    table = source / "participants.tsv"
    nothing = pd.DataFrame(columns=list(COLUMNS)[1:]), [], []
    labels, conflicting, unknown = read_labels(table) if table.is_file() else nothing
    faults = {
        name: _fault(name, subjects.get(name), conflicting) for name in sorted({*subjects, *labels.index, *conflicting})
    }
    items = {name: (name, subjects[name]) for name, fault in faults.items() if not fault}
    check_folders(source, out, items)
    excluded = [(name, fault) for name, fault in faults.items() if fault]
    excluded += adopt_subjects(partial(_import_subject, source, out), items, workers=workers)
    left_out = {name for name, _ in excluded}
    participants = labels.reindex([name for name in items if name not in left_out])
    participants["source_id"] = participants["source_id"].fillna(participants.index.to_series())
    description = _read_notes(source / "dataset_description.json")
    return describe_cohort(
        out,
        source=source,
        participants=participants.rename_axis("participant_id").reset_index().convert_dtypes(),
        excluded=excluded,
        name=plain(description.get("Name", source.resolve().name)),
        licence=plain(description.get("License", "n/a")),
        readme=_README.format(
            labels="Labels come from participants.tsv." if table.is_file() else "No participants.tsv: no labels.",
            unknown=f"Labels that were not understood: {', '.join(unknown)}." if unknown else "",
        ),
    )


def _find(source):
    """Find the scans of every subject, by contrast; subjects without any have an empty dict."""
    if not source.is_dir():
        raise BadCohort("import_bids", "a BIDS folder", f"{source}, which is no folder", "check the path")
    subjects = {folder.name: _scans(folder) for folder in sorted(source.glob("sub-*")) if folder.is_dir()}
    if not any(subjects.values()):
        nifti = next(source.rglob("*.nii*"), None)
        raise BadCohort(
            "import_bids",
            "scans named as BIDS has it, such as `sub-01/anat/sub-01_T1w.nii.gz`",
            f"{nifti.relative_to(source)} and the like in {source}" if nifti else f"no NIfTI file in {source}",
            "rename the files, see https://bids.neuroimaging.io",
        )
    return subjects


def _fault(name, scans, conflicting):
    """Reason to leave a subject out before its files are read; None where there is none."""
    if name in conflicting:
        return "expected one row in participants.tsv; received rows that differ"
    if not re.fullmatch(r"sub-[A-Za-z0-9]+", name):
        return f"expected letters and digits after `sub-`; received {name}"
    return None if scans else "expected a T1w, T2w or FLAIR scan in anat; received none"


def _scans(folder):
    """Find the scans of the first session that has any, by contrast."""
    sessions = [folder, *sorted(folder.glob("ses-*"))]
    for session in sessions:
        scans = {}
        for path in sorted((session / "anat").glob("*.nii*")):
            contrast = _contrast(path.name)
            if contrast:
                scans.setdefault(contrast, path)
        if scans:
            return {contrast: scans[contrast] for contrast in CONTRASTS if contrast in scans}
    return {}


def _contrast(name):
    match = _SCAN.fullmatch(name)
    if not match or "_part-" in match[1]:
        return None
    if "_ce-" in match[1]:
        return "T1ce" if match[2] == "T1w" else None
    return match[2]


def _import_subject(source, out, item):
    """Check a subject's files, then write them; with the last scan in place, it is complete."""
    name, scans = item
    if image_path(out, name, list(scans)[-1]).is_file():
        return
    images = {contrast: load_image(path, where="import") for contrast, path in scans.items()}
    annotation = _find_annotation(source, name, scans, images)
    if annotation:
        mask, contrast, annotated_slices = annotation
        save_image(mask, annotation_path(out, name))
        write_annotation_sidecar(out, name, contrast, annotated_slices)
    for contrast, path in scans.items():
        target = image_path(out, name, contrast)
        notes = {key: value for key, value in _read_notes(sidecar_path(path)).items() if key in _PHYSICS}
        write_json(sidecar_path(target), notes | {"SourceFile": plain(path.relative_to(source).as_posix())})
        _adopt(images[contrast], target)


def _find_annotation(source, name, scans, images):
    """Return the tumour mask with its contrast and annotated slices; None where there is no mask."""
    session = _session(next(iter(scans.values())))
    found = sorted(source.glob(f"derivatives/*/{name}/**/*mask.nii*"))
    found = [path for path in found if _session(path) in (None, session)]
    tumours = [path for path in found if _TUMOUR.search(path.name)]
    found = tumours or [path for path in found if not _NOT_TUMOUR.search(path.name)]
    for path in found:
        mask = load_mask(path, where="import")
        notes = _read_notes(sidecar_path(path))
        named = [_contrast(scan.rsplit("/", 1)[-1]) for scan in re.findall(r"[^\s\"']+", str(notes.get("Sources")))]
        for contrast in [*named, *_DRAWN_ON]:
            if contrast in images and same_grid(mask, images[contrast]):
                return mask, contrast, _annotated_slices(notes, mask, path)
    if found:
        shapes = ", ".join(f"{contrast} {image.shape}" for contrast, image in images.items())
        raise BadImage(
            "import",
            f"a mask on the grid of a scan ({shapes})",
            f"a mask on another grid: shape {mask.shape} in {path.name}",
            "resample the mask to its scan",
        )
    return None


def _session(path):
    match = re.search(r"_(ses-[A-Za-z0-9]+)_", path.name)
    return match and match[1]


def _annotated_slices(notes, mask, path):
    slices = notes.get("AnnotatedSlices", "all")
    if slices == "all":
        return None
    if isinstance(slices, list) and all(type(index) is int and 0 <= index < mask.shape[2] for index in slices):
        return slices
    raise BadImage(
        "import",
        f"`AnnotatedSlices` to be indices below {mask.shape[2]}",
        f"{str(slices)[:80]!r} beside {path.name}",
        "repair the sidecar",
    )


def _adopt(image, target):
    """Write the very voxels of a scan to its place, with their scaling, and nothing else that its file held."""
    if nib.is_proxy(image.dataobj):
        scaling = image.dataobj.slope, image.dataobj.inter
        image = nib.Nifti1Image(image.dataobj.get_unscaled(), image.affine, image.header)
        image.header.set_slope_inter(*scaling)
    save_image(image, target)


def _read_notes(path):
    """Read a JSON sidecar; one that is missing, damaged or a link to another folder says nothing."""
    try:
        notes = {} if path.is_symlink() and _leads_out(path) else read_json(path)
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _leads_out(link):
    """Whether a link of a BIDS folder ends outside of the folder that holds its subject."""
    parts = [part for part in link.absolute().parents if part.name.startswith("sub-")] or [link.parent]
    return not link.resolve().is_relative_to(parts[-1].parent.resolve())
