"""Place the tumour masks of LGG-1p19qDeletion on their scans: NIfTI with known errors, or DICOM segmentations."""

from collections.abc import Iterable, Mapping
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom

from epitome_kit.errors import ImageError
from epitome_kit.files import PathLike
from epitome_kit.images import axis_codes, load_image, load_mask, new_image_like, same_grid
from epitome_kit.sources.dicom_headers import Volume, digest_volumes
from epitome_kit.sources.lgg_ledger import name_copy

ANNOTATED = 3
"""Number of slices with a mask: the one with the largest diameter and its neighbours."""

DrawnMask = tuple[nib.Nifti1Image, str, str]
"""A mask, the contrast on which it was drawn, and its origin."""

_MIN_CORRELATION = 0.95
_MIN_DISTANCE_RATIO = 2.0
"""Smallest ratio of the second-best orientation's distance to that of the best; distance is 1 - correlation."""

_MIN_DISTANCE = 1e-3
_OFF_GRID_VOXELS = 0.35
_TURNS = [
    np.array(list(zip(axes, signs, strict=True)), float)
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def sort_files(files: Mapping[str, Path]) -> tuple[dict[str, nib.Nifti1Image], list[str]]:
    """Load the NIfTI files of a subject, and distinguish the mask from the scans by its voxels.

    The mask is the file with two values. If the T2 has two values and the mask has more,
    their names were swapped.

    Parameters
    ----------
    files : dict of str to Path
        ``"T1ce"``, ``"T2w"`` and ``"mask"``; any of them may be missing.

    Returns
    -------
    images : dict of str to Nifti1Image
        By what they contain.
    repairs : list of str
        Errors that were corrected.

    Raises
    ------
    ImageError
        A file cannot be read, or the mask has more than two values.
    """
    images = {kind: load_image(path, where="import", check_voxels=kind != "mask") for kind, path in files.items()}
    binary = {kind: _count_values(image) <= 2 for kind, image in images.items()}
    repairs = []
    if binary.get("T2w") and binary.get("mask") is False:
        images["T2w"], images["mask"] = images["mask"], images["T2w"]
        binary["mask"] = True
        repairs.append(f"swapped files: {files['T2w'].name} is the mask and {files['mask'].name} the T2; put right")
    if "mask" in images:
        if not binary["mask"]:
            raise ImageError(
                "import",
                "a mask of two values",
                f"{_count_values(images['mask'])} values in {files['mask'].name}",
                "download the masks again",
            )
        images["mask"] = load_mask(images["mask"], where="import")
    return images, repairs


def fit_mask(
    mask: nib.Nifti1Image, twin: nib.Nifti1Image | None, scan: nib.Nifti1Image
) -> tuple[nib.Nifti1Image | None, list[str]]:
    """Place a mask on a scan by the voxels of its NIfTI copy, ignoring their headers.

    Parameters
    ----------
    mask : Nifti1Image
        The mask.
    twin : Nifti1Image or None
        Copy of the scan on which the mask was drawn, stored with the mask.
    scan : Nifti1Image
        The same scan, converted from DICOM.

    Returns
    -------
    fitted : Nifti1Image or None
        Mask on the grid of `scan`; None if the copy is not that scan.
    repairs : list of str
        Errors that were corrected.
    """
    if twin is None or twin.shape != mask.shape:
        return (new_image_like(np.asarray(mask.dataobj), scan), []) if same_grid(mask, scan) else (None, [])
    turn = _find_orientation(np.asarray(twin.dataobj, np.float32), np.asarray(scan.dataobj, np.float32))
    if turn is None:
        return None, []
    fitted = new_image_like(nib.apply_orientation(np.asarray(mask.dataobj), turn).astype(np.uint8), scan)
    stated, found = axis_codes(mask), _codes(turn, scan)
    if stated == found:
        return fitted, []
    return fitted, [f"flipped: the header of the mask says {stated}, its T2 lies {found} in the series; turned"]


def place_segmentation(path: PathLike, scans: Mapping[str, nib.Nifti1Image]) -> tuple[nib.Nifti1Image, str] | None:
    """Place a DICOM segmentation on the scan to which it belongs.

    Parameters
    ----------
    path : path
        The segmentation.
    scans : dict of str to Nifti1Image
        Scans by contrast; the first whose grid contains every marked pixel is taken.

    Returns
    -------
    (Nifti1Image, str) or None
        Mask and contrast; None if no scan has that grid.

    Raises
    ------
    ImageError
        The file cannot be read, or is empty.
    """
    try:
        points = _marked_points(pydicom.dcmread(path))
    except Exception as error:  # a damaged file can raise anything in its reader
        raise ImageError(
            "import",
            "a readable DICOM segmentation",
            f"{type(error).__name__}: {' '.join(str(error).split())[:120]}",
            "download the segmentation again",
        ) from error
    if len(points) == 0:
        raise ImageError("import", "a mask with a tumour in it", "an empty DICOM segmentation", "look at the mask")
    for contrast, scan in scans.items():
        index = nib.affines.apply_affine(np.linalg.inv(scan.affine), points)
        voxel = index.round().astype(int)
        inside = (voxel >= 0).all() and (voxel < scan.shape).all()
        if inside and np.abs(index - voxel).max() < _OFF_GRID_VOXELS:
            data = np.zeros(scan.shape, np.uint8)
            data[tuple(voxel.T)] = 1
            return new_image_like(data, scan), contrast
    return None


def draw_mask(
    images: Mapping[str, nib.Nifti1Image], masks: Iterable[Volume], copies: Mapping[str, nib.Nifti1Image]
) -> tuple[DrawnMask | None, list[str]]:
    """Place the mask on one of the scans.

    Parameters
    ----------
    images : dict of str to Nifti1Image
        Scans by contrast.
    masks : iterable of Volume
        DICOM segmentations, which take precedence.
    copies : dict of str to Nifti1Image
        NIfTI files by kind, from :func:`sort_files`.

    Returns
    -------
    drawn : (Nifti1Image, str, str) or None
        See :data:`DrawnMask`; None if the mask fits no scan.
    repairs : list of str
        Errors that were corrected.
    """
    ordered = {contrast: images[contrast] for contrast in ("T2w", "T1ce") if contrast in images}
    for volume in masks:
        placed = place_segmentation(volume.files[0], ordered)
        if placed is not None:
            return (*placed, digest_volumes([volume])), []
    if "mask" in copies and "T2w" in images:
        mask, repairs = fit_mask(copies["mask"], copies.get("T2w"), images["T2w"])
        if mask is not None:
            return (mask, "T2w", name_copy("mask")), repairs
    return None, []


def annotated_slices(mask: nib.Nifti1Image) -> tuple[list[int], list[str]]:
    """List the slices with a mask, and note if they are not three neighbours.

    Parameters
    ----------
    mask : Nifti1Image
        The mask.

    Returns
    -------
    slices : list of int
        Indices along the third axis.
    repairs : list of str
        The note, if any.

    Raises
    ------
    ImageError
        The mask is empty.
    """
    slices = np.flatnonzero(np.asarray(mask.dataobj).any(axis=(0, 1))).tolist()
    if not slices:
        raise ImageError("import", "a mask with a tumour in it", "an empty mask", "look at the mask")
    if len(slices) == ANNOTATED and slices[-1] - slices[0] == ANNOTATED - 1:
        return slices, []
    return slices, [f"mask on slices {', '.join(map(str, slices))}: expected {ANNOTATED} neighbours; taken unchanged"]


def _count_values(image: nib.Nifti1Image) -> int:
    """Count the different values of an image."""
    return len(np.unique(np.asarray(image.dataobj)))


def _find_orientation(data: np.ndarray, scan: np.ndarray) -> np.ndarray | None:
    """Find the orientation in which two volumes agree; None if none is clearly the best."""
    scan = (scan - scan.mean()) / (scan.std() or 1)
    data = (data - data.mean()) / (data.std() or 1)
    correlations = []
    for turn in _TURNS:
        turned = nib.apply_orientation(data, turn)
        if turned.shape == scan.shape:
            correlations.append((float((turned * scan).mean()), turn))
    correlations.sort(key=lambda pair: -pair[0])
    best, second = (correlations[rank][0] if rank < len(correlations) else 0.0 for rank in (0, 1))
    clearly = best >= _MIN_CORRELATION and 1 - second > max(_MIN_DISTANCE_RATIO * (1 - best), _MIN_DISTANCE)
    return correlations[0][1] if clearly else None


def _codes(turn: np.ndarray, scan: nib.Nifti1Image) -> str:
    """Return the axis codes of a volume, given its orientation relative to a scan."""
    opposite = dict(zip("LRAPIS", "RLPASI", strict=True))
    codes = axis_codes(scan)
    return "".join(codes[int(axis)] if sign > 0 else opposite[codes[int(axis)]] for axis, sign in turn)


def _marked_points(dataset: pydicom.Dataset) -> np.ndarray:
    """Return the positions of the marked pixels of every frame, shape (n, 3), in RAS mm."""
    frames = dataset.pixel_array
    frames = frames[None] if frames.ndim == 2 else frames
    shared = dataset.SharedFunctionalGroupsSequence[0]
    points = [np.zeros((0, 3))]
    for pixels, own in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        plane = _group(own, shared, "PlaneOrientationSequence").ImageOrientationPatient
        row, column = _group(own, shared, "PixelMeasuresSequence").PixelSpacing
        corner = np.array(_group(own, shared, "PlanePositionSequence").ImagePositionPatient, float)
        steps = np.array([np.array(plane[3:], float) * row, np.array(plane[:3], float) * column])
        points.append((corner + np.argwhere(pixels) @ steps) * (-1, -1, 1))
    return np.concatenate(points)


def _group(own: pydicom.Dataset, shared: pydicom.Dataset, keyword: str) -> pydicom.Dataset:
    return (own.get(keyword) or shared.get(keyword))[0]
