"""Cut the tumour region out of every contrast."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.cohort import Subject
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import ImageError
from epitome_kit.files import PathLike
from epitome_kit.images import ImageLike, load_image, load_mask, new_image_like, resample, save_image
from epitome_kit.lock import locks
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed, assign_nominal_voxel_size, registration_reference
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.tumour.outline import mask_path
from epitome_kit.workspace import Workspace


def extract_epitome(
    images: Mapping[str, ImageLike], mask: ImageLike, *, margin: int | Sequence[int] | np.ndarray = 5
) -> dict[str, nib.Nifti1Image]:
    """Cut the tumour and a margin around it out of every contrast.

    The bounding box of the mask is enlarged by the margin and cropped from each image.

    Parameters
    ----------
    images : dict of str to image-like
        Contrasts on one grid.
    mask : image-like
        Tumour mask on the same grid.
    margin : int or sequence of 3 int, default=5
        Margin on each side, in voxels.

    Returns
    -------
    dict of str to Nifti1Image
        The cropped contrasts, and ``"mask"``; their affines keep the position in the head.

    Raises
    ------
    ImageError
        The mask is empty, or the images are on different grids.

    See Also
    --------
    extract_epitomes : Cut the tumours out of a cohort.
    learn_epitome : Learn a small image from the patches of a tumour.

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> scan = nib.Nifti1Image(np.random.default_rng(0).random((20, 20, 20), np.float32), np.eye(4))
    >>> tumour = np.zeros(scan.shape, np.uint8)
    >>> tumour[8:12, 8:12, 8:12] = 1
    >>> crops = ek.extract_epitome({"FLAIR": scan}, nib.Nifti1Image(tumour, scan.affine), margin=2)
    >>> {name: crop.shape for name, crop in crops.items()}
    {'FLAIR': (8, 8, 8), 'mask': (8, 8, 8)}
    """
    mask = load_mask(mask, where="extract_epitome")
    inside = np.argwhere(np.asarray(mask.dataobj) > 0)
    if not len(inside):
        raise ImageError(
            "extract_epitome",
            "a mask with at least one voxel inside",
            f"an empty mask, {mask.get_filename() or 'in memory'}",
            "lower the threshold, or inspect the scan",
        )
    low = np.maximum(inside.min(0) - margin, 0)
    high = np.minimum(inside.max(0) + margin + 1, mask.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    crops = {}
    for name, image in images.items():
        image = load_image(image, where="extract_epitome")
        load_mask(mask, like=image, where="extract_epitome")
        crops[name] = image.slicer[box]
    crops["mask"] = new_image_like(np.asarray(mask.dataobj), mask).slicer[box]
    return crops


@locks("extract")
def extract_epitomes(
    cohort: Iterable[Subject], preprocessed: PathLike, out: PathLike, *, margin_mm: float = 8.0, workers: int = 1
) -> dict[str, dict[str, Path]]:
    """Cut every segmented tumour out of all contrasts of its subject.

    The contrasts are resampled to the grid of the mask, that of the reference contrast.
    Finished subjects are kept on the next call if scans, mask and margin are unchanged.

    Parameters
    ----------
    cohort : Cohort or iterable of Subject
        Segmented subjects.
    preprocessed : path
        Folder written by :func:`epitome_kit.preprocess_cohort`, with the transforms
        between the contrasts.
    out : path
        Workspace with the ``masks/`` of :func:`epitome_kit.segment_cohort`, to which
        ``epitomes/sub-*/`` are written.
    margin_mm : float, default=8.0
        Margin on each side of the tumour.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    dict of str to dict of str to Path
        Files by subject and contrast, without subjects with an empty mask.

    See Also
    --------
    extract_epitome : Cut a tumour out of the images of one subject.
    learn_epitomes : Learn an epitome from every tumour.

    Examples
    --------
    Segmentation takes a minute for each subject:

    >>> import epitome_kit as ek
    >>> cohort = ek.open_cohort("bids")  # doctest: +SKIP
    >>> tumours = ek.predict_tumours(cohort, "run/preprocessed", "run")  # doctest: +SKIP
    >>> files = ek.extract_epitomes(cohort, "run/preprocessed", "run")  # doctest: +SKIP
    """
    preprocessed, out = Path(preprocessed), Path(out)
    jobs = [(each, _record(each, preprocessed=preprocessed, out=out, margin_mm=margin_mm)) for each in cohort]
    report_again("extract_epitomes", [record.difference() for _, record in jobs])
    work = partial(_extract_one, preprocessed=preprocessed, out=out, margin_mm=margin_mm)
    found = for_each(work, jobs, title="Extracting epitomes", workers=workers)
    return {subject.id: files for subject, files in zip(cohort, found, strict=True) if files}


def _crop_paths(out: Path, subject: Subject) -> dict[str, Path]:
    """Return the paths of the crops of a subject: the reference contrast first, the mask last."""
    lead = registration_reference(subject)
    stems = {
        lead: CONTRASTS[lead].bids,
        **{name: CONTRASTS[name].bids for name in subject.images},
        "mask": "label-tumour_mask",
    }
    return {name: Workspace(out).epitomes / subject.id / f"{subject.id}_{stem}.nii.gz" for name, stem in stems.items()}


def _record(subject: Subject, *, preprocessed: Path, out: Path, margin_mm: float) -> Record:
    """Return the record of the crops of one subject."""
    transforms = map(Preprocessed(preprocessed, subject.id).transform, subject.images)
    inputs = checksums(mask_path(out, subject.id), *subject.images.values(), *transforms)
    crops = _crop_paths(out, subject).values()
    path = Workspace(out).epitomes / subject.id / f"{subject.id}_region.json"
    return Record(path, {"margin_mm": margin_mm, "lead": registration_reference(subject)}, inputs, list(crops))


def _extract_one(
    job: tuple[Subject, Record], *, preprocessed: Path, out: Path, margin_mm: float
) -> dict[str, Path] | None:
    subject, record = job
    mask = mask_path(out, subject.id)
    if not mask.is_file() or not np.any(load_mask(mask).dataobj):
        return None
    paths = _crop_paths(out, subject)
    if record.valid():
        return paths
    files = Preprocessed(preprocessed, subject.id)
    files.require_intact("extract_epitomes")
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
            images[name] = new_image_like(np.asarray(carried.dataobj), original)
    margin = np.ceil(margin_mm / nib.affines.voxel_sizes(scan.affine)).astype(int)
    crops = extract_epitome(images, mask, margin=margin)
    for name, crop in crops.items():
        save_image(crop, paths[name])
    record.finish()
    return paths
