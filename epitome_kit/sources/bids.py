"""A BIDS folder that a user already has, checked and adopted."""

import shutil
import warnings
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.cohort import COLUMNS, annotation_path, write_annotation_sidecar
from epitome_kit.contrast_table import CONTRASTS, by_conspicuity
from epitome_kit.errors import CohortError, EpitomeWarning, ImageError, Reason, noticed, plain
from epitome_kit.files import checksum, text_digest
from epitome_kit.folders import walk_files
from epitome_kit.images import axis_codes, image_like, load_image, load_mask, save_image
from epitome_kit.io.geometry import reorient_like, same_grid
from epitome_kit.ledger import RULES, Entry, require_decisions, unused_decisions
from epitome_kit.sources.bids_choice import session_dates
from epitome_kit.sources.bids_files import find_files, read_notes
from epitome_kit.sources.bids_plan import Plan, named_sources, plan_subject
from epitome_kit.sources.importing import (
    adopt_subjects,
    check_folders,
    describe_cohort,
    import_difference,
    read_repairs,
    write_scans,
)
from epitome_kit.sources.labels import find_labels

_LOOKED_AT, _FEWEST_VALUES = 500_000, 10

_PHYSICS = {
    *("Manufacturer", "ManufacturersModelName", "MagneticFieldStrength", "Modality", "ConversionSoftware"),
    *("MRAcquisitionType", "ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName", "PulseSequenceType"),
    *("RepetitionTime", "RepetitionTimeExcitation", "RepetitionTimePreparation", "EchoTime", "InversionTime"),
    *("FlipAngle", "EchoTrainLength", "PixelBandwidth", "DwellTime", "SliceThickness", "SpacingBetweenSlices"),
    *("PartialFourier", "ParallelReductionFactorInPlane", "NonlinearGradientCorrection", "ContrastBolusIngredient"),
    *("SkullStripped", "Defaced", "CoregisteredAtOrigin", "VoxelSizeKnown"),
}
"""What the sidecar of a scan may say: nothing else comes along, for names, numbers and days of people stand there."""

_README = """\
Adopted from a BIDS folder: anatomical scans of one session a subject, and tumour masks. Its own README says
where the data come from and what may be done with them. {labels}
"""


def import_bids(source, out, *, session=None, mask_labels=None, trust=None, decisions=None, workers=1):
    """Check a BIDS folder and adopt what the kit can use.

    What each image is, is judged by :func:`epitome_kit.sources.contrasts.judge_scan`;
    a scan whose contrast cannot be told is left out. Of several sessions one is
    taken: the one asked for, else one with a tumour mask, before surgery rather than
    after it, the earliest. Of several scans of one contrast, the one that the tumour
    mask names, else the first in natural order. The tumour mask is one whose label,
    description or sidecar says tumour or lesion, anywhere in the folder, or parts
    that make up the whole (oedema, enhancing and necrotic part); it belongs to the scan
    that its sidecar names, or to the one on the same grid that shows gliomas best. All of
    this is listed in the ledger, ``sources.tsv``, file by file.

    Files are written anew, never linked: voxels and geometry stay as they are, free
    text of headers and what sidecars say of people is left behind, and so are
    sidecars that are links to outside of `source`. A subject that cannot be used is
    left out by name and reason; subjects that an earlier import into `out` has
    finished, from the same files in the same way, are kept.

    Parameters
    ----------
    source, out : path
        The user's BIDS folder, and a folder for the cohort.
    session : str, default=None
        Session to take of every subject that has sessions, such as ``"preop"``.
    mask_labels : str, default=None
        Labels of label maps that are the tumour, see :func:`epitome_kit.images.load_mask`.
    trust : {"sform", "qform"}, default=None
        Which of the two to take where a header contradicts itself; None leaves the
        subject out.
    decisions : dict of (str, str) to str, default=None
        From :func:`epitome_kit.ledger.read_decisions`.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort

    Raises
    ------
    CohortError
        No such folder, no scan in it, ``participants.tsv`` unreadable, or every
        subject left out.
    ParameterError
        One of the folders is, or lies in, the other.
    OutputError
        `out` cannot be written, or holds other subjects.
    """
    source, out = Path(source), Path(out)
    decisions = require_decisions(out, decisions)
    files, entries = _find(source)
    how = {"decisions": decisions, "session": session, "mask_labels": mask_labels}
    plans = {name: _plan(name, found, source, how) for name, found in files.items()}
    check_folders(source, out, plans)
    labels = find_labels(source, plans)
    lost = {entry.subject: f"; {entry.source} is {entry.reason}" for entry in reversed(entries) if entry.subject}
    faults = {name: f"{plan.fault}{lost.get(name, '')}" for name, plan in plans.items() if plan.fault}
    faults |= dict.fromkeys(labels.conflicting, str(Reason("one row in the table of labels", "rows that differ")))
    items = {name: plan for name, plan in plans.items() if name not in faults}
    excluded = [*faults.items(), *labels.without_scans()]
    excluded += adopt_subjects(partial(_import_subject, out, trust, mask_labels), items, workers=workers)
    left_out = dict(excluded)
    for name in plans.keys() & left_out.keys():  # what an earlier import took of them
        _remove(out, name)
    entries += [_of_subject(entry, left_out) for plan in plans.values() for entry in plan.entries]
    participants = labels.table.reindex([name for name in items if name not in left_out], columns=list(COLUMNS)[1:])
    participants["source_id"] = participants["source_id"].fillna(participants.index.to_series())
    description = read_notes(source / "dataset_description.json") or {}
    return describe_cohort(
        out,
        source=source,
        participants=participants.rename_axis("participant_id").reset_index().convert_dtypes(),
        excluded=excluded,
        repaired=read_repairs(out, list(participants.index)),
        entries=[*labels.entries, *unused_decisions(decisions, entries), *entries],
        name=plain(description.get("Name", source.resolve().name)),
        licence=plain(description.get("License", "n/a")),
        readme=_README.format(labels=labels.summary),
    )


def _plan(name, files, source, how):
    """Plan one subject; whatever its sidecars hold, it alone is left out for it."""
    try:
        return plan_subject(name, files, source, dates=session_dates(source, name), **how)
    except Exception as error:  # a sidecar can hold anything
        entries = [Entry(file.source, "mask" if file.is_mask else "scan", name) for file in files]
        reason = str(Reason("names and sidecars that can be read", f"{type(error).__name__}: {str(error)[:160]}"))
        return Plan(name, {}, [], [], [entry._replace(reason=reason) for entry in entries], {}, reason)


def _find(source):
    """Find the images of every subject, and what else looked like one."""
    if not source.is_dir():
        raise CohortError("import_bids", "a BIDS folder", f"{source}, which is no folder", "check the path")
    found, entries = find_files(source)
    files = {folder.name: [] for folder in sorted(source.glob("sub-*")) if folder.is_dir()}
    for file in found:
        files.setdefault(file.subject, []).append(file)
    if not any(not file.derived for file in found):
        other = next((path for path in walk_files(source) if ".nii" in path.name), None)
        links = sum("link to nothing" in entry.reason for entry in entries)
        received = f"{other.relative_to(source)} and the like in {source}" if other else f"no NIfTI file in {source}"
        raise CohortError(
            "import_bids",
            "scans named as BIDS has it, such as `sub-01/anat/sub-01_T1w.nii.gz`",
            f"{received}{f', and {links} links to nothing' if links else ''}",
            "fetch their content, as with `datalad get`"
            if links
            else "rename the files, see https://bids.neuroimaging.io",
        )
    return files, entries


def _of_subject(entry, left_out):
    """Entry of a file, whose subject may have been left out after all."""
    if entry.taken_as and entry.subject in left_out:
        return entry._replace(taken_as="", reason=f"its subject was left out: {left_out[entry.subject]}")
    return entry


def _import_subject(out, trust, mask_labels, plan):
    """Check a subject's files, then write them; with the last scan in place, it is complete."""
    name = plan.subject
    chosen = [*plan.scans.items(), *(("tumour", file) for file in plan.masks)]
    stated = [f"{what} {file.source} {checksum(file.path)} {plan.sidecars[file]}" for what, file in chosen]
    origin = {"SourceDigest": text_digest("\n".join([*stated, *plan.notes, f"{trust} {mask_labels} {RULES}"]))}
    again = import_difference(out, name, origin, strict=False)
    if again is None:
        return None
    _remove(out, name)
    with noticed() as remarks:
        images = {contrast: _load_scan(file.path, trust) for contrast, file in plan.scans.items()}
        annotation = _annotation(plan, images, trust, mask_labels)
    said = [*plan.notes, *remarks]
    if annotation:
        mask, contrast, annotated_slices = annotation
        save_image(mask, annotation_path(out, name))
        write_annotation_sidecar(out, name, contrast, annotated_slices)
    notes = {}
    for contrast, file in plan.scans.items():
        physics = {key: value for key, value in plan.sidecars[file].items() if key in _PHYSICS}
        notes[contrast] = {**physics, **origin, "SourceFile": plain(file.source), "Repairs": said}
    write_scans(out, name, images, notes, save=_adopt)
    return again


def _load_scan(path, trust):
    image = load_image(path, where="import", trust=trust)
    data = np.asarray(image.dataobj)
    values = np.unique(data.reshape(-1)[:: 1 + data.size // _LOOKED_AT])
    if len(values) < _FEWEST_VALUES:
        received = f"{len(values)} different values in {path.name}, as in a mask or a label map"
        raise ImageError(
            "import", "a scan", received, "leave it out: `leave out` in the column `decision`, and --decisions"
        )
    return image


def _remove(out, name):
    shutil.rmtree(out / name, ignore_errors=True)
    shutil.rmtree(annotation_path(out, name).parents[1], ignore_errors=True)


def _annotation(plan, images, trust, mask_labels):
    """Return the tumour mask with its contrast and annotated slices; None where there is no mask."""
    if not plan.masks:
        return None
    masks = [load_mask(file.path, where="import", trust=trust, labels=mask_labels) for file in plan.masks]
    mask, sidecar, file = masks[0], plan.sidecars[plan.masks[0]], plan.masks[0]
    names = {scan.path.name: contrast for contrast, scan in plan.scans.items()}
    named = [names[name] for name in named_sources(sidecar) if name in names]
    suffixes = {*file.extras, file.entities.get("space")}
    named += [contrast for contrast, scan in plan.scans.items() if scan.suffix in suffixes]
    ordered = [each for each in [*named, *by_conspicuity(CONTRASTS)] if each in images]
    contrast = next((each for each in ordered if reorient_like(mask, images[each]) is not None), None)
    if contrast and not same_grid(mask, images[contrast]):
        turned = (
            f"{file.path.name} is stored {axis_codes(mask)}: turned to the {axis_codes(images[contrast])} of its scan"
        )
        warnings.warn(turned, EpitomeWarning, stacklevel=2)
    slices = _annotated_slices(sidecar, mask, file.path)
    if contrast:
        masks = [reorient_like(each, images[contrast]) for each in masks]
    if contrast and named and contrast not in named:
        warnings.warn(
            f"{file.path.name} names {named[0]} and lies on the grid of {contrast}", EpitomeWarning, stacklevel=2
        )
    if contrast is None or any(each is None for each in masks) or (slices and not same_grid(mask, masks[0])):
        shapes = ", ".join(f"{contrast} {image.shape}" for contrast, image in images.items())
        raise ImageError(
            "import",
            f"a mask on the grid of a scan ({shapes})",
            f"a mask on another grid: shape {mask.shape} in {plan.masks[0].path.name}",
            "resample the mask to its scan",
        )
    if not any(np.any(each.dataobj) for each in masks):
        warnings.warn(f"{file.path.name} is empty: no tumour is marked", EpitomeWarning, stacklevel=2)
    joined = np.any([np.asarray(each.dataobj) > 0 for each in masks], axis=0)
    return image_like(joined.astype(np.uint8), masks[0]), contrast, slices


def _annotated_slices(notes, mask, path):
    slices = notes.get("AnnotatedSlices", "all")
    if slices == "all":
        return None
    if isinstance(slices, list) and all(type(index) is int and 0 <= index < mask.shape[2] for index in slices):
        return slices
    raise ImageError(
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
