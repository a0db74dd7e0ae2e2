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
    """Cut every tumour that was found out of all contrasts of its subject.

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
    work = partial(_extract_one, preprocessed=Path(preprocessed), out=Path(out), margin_mm=margin_mm)
    found = for_each(work, list(cohort), title="Extracting epitomes", workers=workers)
    return {subject.id: files for subject, files in zip(cohort, found, strict=True) if files}


def _extract_one(subject, *, preprocessed, out, margin_mm):
    mask_path = out / "masks" / annotation_path("", subject.id).name
    if not mask_path.is_file() or not np.any(load_mask(mask_path).dataobj):
        return None
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
    paths = {name: out / "epitomes" / subject.id / f"{subject.id}_{_stem(name)}.nii.gz" for name in crops}
    for name, crop in crops.items():
        save_image(crop, paths[name])
    return paths


def _stem(name):
    return "label-tumour_mask" if name == "mask" else CONTRASTS[name].bids
