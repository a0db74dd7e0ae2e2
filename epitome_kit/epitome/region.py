"""The tumour's epitome: the region itself, cut out of every contrast."""

from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.cohort import annotation_path
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import ImageError
from epitome_kit.images import image_like, load_image, load_mask, resample, save_image
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed, assign_nominal_voxel_size, registration_reference
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.workspace import Workspace


def extract_epitome(images, mask, *, margin=5):
    """Cut the tumour and a margin around it out of every contrast.

    Parameters
    ----------
    images : dict of str to Nifti1Image or path
        Contrasts on one grid.
    mask : Nifti1Image or path
        Tumour mask on the same grid.
    margin : int or sequence of 3 int, default=5
        Voxels to keep on each side.

    Returns
    -------
    dict of str to Nifti1Image
        The contrasts, and ``"mask"``; each knows where in the head it was.

    Raises
    ------
    ImageError
        Empty mask, or contrasts on different grids.
    """
    mask = load_mask(mask, where="extract_epitome")
    inside = np.argwhere(np.asarray(mask.dataobj) > 0)
    if not len(inside):
        raise ImageError(
            "extract_epitome",
            "a mask with at least one voxel inside",
            f"an empty mask, {mask.get_filename() or 'in memory'}",
            "lower the threshold, or look at the scan",
        )
    low = np.maximum(inside.min(0) - margin, 0)
    high = np.minimum(inside.max(0) + margin + 1, mask.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    crops = {}
    for name, image in images.items():
        image = load_image(image, where="extract_epitome")
        load_mask(mask, like=image, where="extract_epitome")
        crops[name] = image.slicer[box]
    crops["mask"] = image_like(np.asarray(mask.dataobj), mask).slicer[box]
    return crops


def extract_epitomes(cohort, preprocessed, out, *, margin_mm=8.0, workers=1):
    """Cut every tumour that was found out of all contrasts of its subject; what is finished is kept.

    The other contrasts are brought onto the grid of the scan that leads, the
    one that the mask lies on.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote: its transforms
        bring the contrasts together.
    out : path
        Workspace with the ``masks/`` of :func:`epitome_kit.segment_cohort`;
        gets ``epitomes/sub-*/``.
    margin_mm : float, default=8.0
        Kept around the tumour on each side.
    workers : int, default=1
        Processes.

    Returns
    -------
    dict of str to dict of str to Path
        Files by subject and contrast; a subject whose mask is empty is absent.
    """
    places = {"preprocessed": Path(preprocessed), "out": Path(out)}
    jobs = [(each, _record(each, **places, margin_mm=margin_mm)) for each in cohort]
    report_again("extract_epitomes", [record.difference() for _, record in jobs])
    work = partial(_extract_one, **places, margin_mm=margin_mm)
    found = for_each(work, jobs, title="Extracting epitomes", workers=workers)
    return {subject.id: files for subject, files in zip(cohort, found, strict=True) if files}


def _mask_path(out, subject_id):
    return Workspace(out).masks / annotation_path("", subject_id).name


def _crop_paths(out, subject):
    """Where the crops of a subject go: the contrast that leads first, the mask last."""
    lead = registration_reference(subject)
    stems = {
        lead: CONTRASTS[lead].bids,
        **{name: CONTRASTS[name].bids for name in subject.images},
        "mask": "label-tumour_mask",
    }
    return {name: Workspace(out).epitomes / subject.id / f"{subject.id}_{stem}.nii.gz" for name, stem in stems.items()}


def _record(subject, *, preprocessed, out, margin_mm):
    """Record of what is cut out of one subject."""
    transforms = map(Preprocessed(preprocessed, subject.id).transform, subject.images)
    inputs = checksums(_mask_path(out, subject.id), *subject.images.values(), *transforms)
    crops = _crop_paths(out, subject).values()
    path = Workspace(out).epitomes / subject.id / f"{subject.id}_region.json"
    return Record(path, {"margin_mm": margin_mm, "lead": registration_reference(subject)}, inputs, list(crops))


def _extract_one(job, *, preprocessed, out, margin_mm):
    subject, record = job
    mask_path = _mask_path(out, subject.id)
    if not mask_path.is_file() or not np.any(load_mask(mask_path).dataobj):
        return None
    paths = _crop_paths(out, subject)
    if record.valid():
        return paths
    files = Preprocessed(preprocessed, subject.id)
    lead = registration_reference(subject)
    original = load_image(subject.images[lead])
    scan = assign_nominal_voxel_size(original)
    to_lead = np.linalg.inv(np.loadtxt(files.transform(lead)))
    images = {lead: original}
    for name in subject.images:
        if name != lead:
            transform = to_lead @ np.loadtxt(files.transform(name))
            moving = assign_nominal_voxel_size(load_image(subject.images[name]))
            carried = resample(moving, scan.affine, scan.shape, transform=transform)
            images[name] = image_like(np.asarray(carried.dataobj), original)
    margin = np.ceil(margin_mm / nib.affines.voxel_sizes(scan.affine)).astype(int)
    crops = extract_epitome(images, mask_path, margin=margin)
    for name, crop in crops.items():
        save_image(crop, paths[name])
    record.finish()
    return paths
