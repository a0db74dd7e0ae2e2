"""Tumour masks of three slices, brought onto their scan: as NIfTI with known faults, or as DICOM segmentation."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pydicom

from epitome_kit.errors import ImageError
from epitome_kit.images import axis_codes, image_like, load_image, load_mask, same_grid

ANNOTATED = 3
"""Slices of the collection that carry a mask: the largest diameter and its neighbours."""

_LIKE = 0.95
_CLEARLY = 2.0
_SAME = 1e-3
_OFF_GRID = 0.35
_TURNS = [
    np.array(list(zip(axes, signs, strict=True)), float)
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def sort_files(files):
    """Open a subject's NIfTI files and tell the mask from the scans by its voxels.

    The mask is the file with two values. Where the T2 has two and the mask has
    more, their names were swapped.

    Parameters
    ----------
    files : dict of str to Path
        ``"T1ce"``, ``"T2w"`` and ``"mask"``, any of them missing.

    Returns
    -------
    images : dict of str to Nifti1Image
        By what they are.
    repairs : list of str

    Raises
    ------
    ImageError
        A file cannot be read, or the mask has more than two values.
    """
    images = {kind: load_image(path, where="import", check_voxels=kind != "mask") for kind, path in files.items()}
    binary = {kind: _values(image) <= 2 for kind, image in images.items()}
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
                f"{_values(images['mask'])} values in {files['mask'].name}",
                "download the masks again",
            )
        images["mask"] = load_mask(images["mask"], where="import")
    return images, repairs


def fit_mask(mask, twin, scan):
    """Bring a mask onto a scan by the voxels of its twin, whatever their headers say.

    Parameters
    ----------
    mask : Nifti1Image
    twin : Nifti1Image or None
        The scan that the mask was drawn on, as it was stored beside it.
    scan : Nifti1Image
        The same scan, converted from DICOM.

    Returns
    -------
    fitted : Nifti1Image or None
        On the grid of `scan`; None where the twin is not that scan.
    repairs : list of str
    """
    if twin is None or twin.shape != mask.shape:
        return (image_like(np.asarray(mask.dataobj), scan), []) if same_grid(mask, scan) else (None, [])
    turn = _turn(np.asarray(twin.dataobj, np.float32), np.asarray(scan.dataobj, np.float32))
    if turn is None:
        return None, []
    fitted = image_like(nib.apply_orientation(np.asarray(mask.dataobj), turn).astype(np.uint8), scan)
    stated, found = axis_codes(mask), _codes(turn, scan)
    if stated == found:
        return fitted, []
    return fitted, [f"flipped: the header of the mask says {stated}, its T2 lies {found} in the series; turned"]


def place_segmentation(path, scans):
    """Bring a DICOM segmentation onto the scan that it belongs to.

    Parameters
    ----------
    path : path
    scans : dict of str to Nifti1Image
        By contrast; the first whose grid holds every marked pixel is taken.

    Returns
    -------
    mask : Nifti1Image or None
        None where no scan has that grid.
    contrast : str or None

    Raises
    ------
    ImageError
        The file cannot be read, or marks nothing.
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
        if inside and np.abs(index - voxel).max() < _OFF_GRID:
            data = np.zeros(scan.shape, np.uint8)
            data[tuple(voxel.T)] = 1
            return image_like(data, scan), contrast
    return None, None


def annotated_slices(mask):
    """List the slices that carry a mask; where they are not three neighbours, say so.

    Parameters
    ----------
    mask : Nifti1Image

    Returns
    -------
    slices : list of int
        Indices along the third axis.
    repairs : list of str

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
    return slices, [f"mask on slices {', '.join(map(str, slices))}: expected {ANNOTATED} neighbours; taken as they are"]


def _values(image):
    """Count the different values of an image."""
    return len(np.unique(np.asarray(image.dataobj)))


def _turn(data, scan):
    """Find the orientation in which two volumes show the same; None where none clearly does."""
    scan = (scan - scan.mean()) / (scan.std() or 1)
    data = (data - data.mean()) / (data.std() or 1)
    likeness = []
    for turn in _TURNS:
        turned = nib.apply_orientation(data, turn)
        if turned.shape == scan.shape:
            likeness.append((float((turned * scan).mean()), turn))
    likeness.sort(key=lambda pair: -pair[0])
    best, second = (likeness[rank][0] if rank < len(likeness) else 0.0 for rank in (0, 1))
    clearly = best >= _LIKE and 1 - second > max(_CLEARLY * (1 - best), _SAME)
    return likeness[0][1] if clearly else None


def _codes(turn, scan):
    """Where the axes of a volume point, given how it is turned onto a scan."""
    opposite = dict(zip("LRAPIS", "RLPASI", strict=True))
    codes = axis_codes(scan)
    return "".join(codes[int(axis)] if sign > 0 else opposite[codes[int(axis)]] for axis, sign in turn)


def _marked_points(dataset):
    """Places of the marked pixels of every frame, shape (n, 3), in RAS millimetres."""
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


def _group(own, shared, keyword):
    return (own.get(keyword) or shared.get(keyword))[0]
