"""Process scans of many voxels in bounded memory: part by part, or at half the resolution."""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.volumeutils import apply_read_scaling
from scipy import ndimage

from epitome_kit.io.voxels import DAMAGE, check_values, read_voxels, unreadable

LARGE, WORKING = 2**26, 2**24
"""A scan of more voxels than the first is halved until it has at most as many as the second (256 x 256 x 256)."""

_PART = 2**21


def parts(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Divide an array along its last axis, along which NIfTI files are contiguous.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.

    Yields
    ------
    tuple of slice
        Index of the next part, of about two million elements.
    """
    step = max(1, _PART // max(1, int(np.prod(shape[:-1]))))
    for start in range(0, shape[-1], step):
        yield (*(slice(None),) * (len(shape) - 1), slice(start, start + step))


def is_large(image: nib.spatialimages.SpatialImage) -> bool:
    """Check whether an image has more than :data:`LARGE` voxels."""
    return bool(np.prod(image.shape) > LARGE)


def sample(data: np.ndarray) -> np.ndarray:
    """Return every second voxel along each axis of a large scan, of which quantiles are taken.

    Parameters
    ----------
    data : ndarray, shape (i, j, k)

    Returns
    -------
    ndarray
        The same object if it is not large.
    """
    return data[::2, ::2, ::2] if data.size > LARGE else data


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds all voxels of a mask.

    Parameters
    ----------
    mask : ndarray of bool
        Mask of any shape.

    Returns
    -------
    tuple of slice
        Empty slices for an empty mask.
    """
    axes = range(mask.ndim)
    places = [np.flatnonzero(mask.any(tuple(each for each in axes if each != axis))) for axis in axes]
    return tuple(slice(int(at[0]), int(at[-1]) + 1) if at.size else slice(0, 0) for at in places)


def label_sizes(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label the connected components of a mask, and count their voxels.

    Parameters
    ----------
    mask : ndarray of bool
        Voxels that share a face are connected.

    Returns
    -------
    labels : ndarray of int32
        Component of each voxel, from 1; 0 outside.
    sizes : ndarray of int, shape (count + 1,)
        Number of voxels of each; 0 for what is outside.
    """
    labels, count = ndimage.label(mask)
    sizes = np.zeros(count + 1, np.int64)
    for part in parts(labels.shape):
        sizes += np.bincount(labels[part].ravel(), minlength=count + 1)
    sizes[0] = 0
    return labels, sizes


def map_above(values: np.ndarray, to_voxels: np.ndarray, shape: tuple[int, ...], threshold: float) -> np.ndarray:
    """Interpolate a map linearly on a fine grid, and threshold it.

    The result equals that of :func:`epitome_kit.images.resample` above the threshold, but
    is computed part by part, and only where the map can reach the threshold.

    Parameters
    ----------
    values : ndarray of float32, shape (i, j, k)
        Map on a coarse grid.
    to_voxels : ndarray, shape (4, 4)
        Voxel of the fine grid to voxel of the map.
    shape : tuple of 3 int
        Number of voxels of the fine grid.
    threshold : float
        At least 0, which is the value outside of the map.

    Returns
    -------
    ndarray of bool, shape `shape`
    """
    inside = np.zeros(shape, bool, order="F")
    reached = bounding_box(ndimage.binary_dilation(values > threshold, np.ones((3, 3, 3))))
    if not reached[0].stop:
        return inside
    ends = np.array([(span.start, span.stop - 1) for span in reached], float)
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    found = nib.affines.apply_affine(np.linalg.inv(to_voxels), corners)
    low = np.clip(np.floor(found.min(0)).astype(int), 0, shape)
    high = np.clip(np.ceil(found.max(0)).astype(int) + 1, 0, shape)
    box = tuple(slice(*each) for each in zip(low.tolist(), high.tolist(), strict=True))
    for part in parts(tuple((high - low).tolist())):
        index = np.ogrid[*box[:2], low[2] + part[2].start : min(low[2] + part[2].stop, high[2])]
        # The order of the sums is that of `ndimage.affine_transform`, so that the last bit is the same.
        places = [i * index[0] + j * index[1] + k * index[2] + shift for i, j, k, shift in to_voxels[:3]]
        inside[box][part] = ndimage.map_coordinates(values, np.broadcast_arrays(*places), order=1) > threshold
    return inside


def read_once(image: nib.Nifti1Image, *, where: str) -> nib.Nifti1Image:
    """Read the voxels of a scan into memory, and check them; the file is not read again.

    Parameters
    ----------
    image : Nifti1Image
        From :func:`epitome_kit.images.load_image`.
    where : str
        The step to name in an error.

    Returns
    -------
    Nifti1Image
        With an array for its voxels: float32 if it is large and would be float64 otherwise.

    Raises
    ------
    ImageError
        As from :func:`epitome_kit.io.voxels.read_voxels` and :func:`epitome_kit.io.voxels.check_values`.
    """
    name = Path(image.get_filename() or "an image in memory").name
    if is_large(image) and isinstance(image.dataobj, nib.arrayproxy.ArrayProxy) and image.dataobj.dtype.kind in "iuf":
        data = _read_float32(image.dataobj, where, name)
    else:
        data = read_voxels(image, where, name)
    check_values(data, where, name)
    return nib.Nifti1Image(data, image.affine, image.header, file_map=image.file_map)


def _read_float32(source: nib.arrayproxy.ArrayProxy, where: str, name: str) -> np.ndarray:
    """Scale the voxels of a file part by part; integers and float32 without a scale stay as they are."""
    try:
        stored = source.get_unscaled()
    except DAMAGE as error:
        raise unreadable(where, name, error) from error
    if (source.slope, source.inter) == (1, 0) and stored.dtype.itemsize <= 4:
        return stored
    data = np.empty(stored.shape, np.float32, order="F")
    for part in parts(stored.shape):
        data[part] = apply_read_scaling(stored[part], source.slope, source.inter)
    return data


def working_image(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Halve the resolution of a large scan or mask, the finest axis first.

    Parameters
    ----------
    image : Nifti1Image
        Shape (i, j, k).

    Returns
    -------
    Nifti1Image
        The same object if it has at most :data:`LARGE` voxels. Otherwise float32, the mean
        of adjacent voxels, of at most :data:`WORKING` voxels; a last odd slice is left out.
    """
    if not is_large(image):
        return image
    data, affine = np.asarray(image.dataobj), image.affine
    while data.size > WORKING:
        axis = int(np.argmin(nib.affines.voxel_sizes(affine)))
        whole = np.moveaxis(data, axis, 0)[: data.shape[axis] // 2 * 2]
        mean = np.add(whole[::2], whole[1::2], dtype=np.float32)
        mean /= 2
        data = np.moveaxis(mean, 0, axis)
        step, middle = np.ones(3), np.zeros(3)
        step[axis], middle[axis] = 2, 0.5
        affine = affine @ nib.affines.from_matvec(np.diag(step), middle)
    header = image.header.copy()
    header.set_data_dtype(np.float32)
    return nib.Nifti1Image(data, affine, header, file_map=image.file_map)


def working_mask(mask: nib.Nifti1Image) -> nib.Nifti1Image:
    """Bring a mask onto the grid of :func:`working_image`.

    Parameters
    ----------
    mask : Nifti1Image
        Values of 0 and 1.

    Returns
    -------
    Nifti1Image
        The same object if it is not large; otherwise uint8, 1 where more than half is inside.
    """
    halved = working_image(mask)
    if halved is mask:
        return mask
    return nib.Nifti1Image((np.asarray(halved.dataobj) > 0.5).astype(np.uint8), halved.affine)
