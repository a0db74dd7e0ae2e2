"""Process scans of many voxels in bounded memory: part by part, or at half the resolution."""

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import SpatialImage
from scipy import ndimage

from epitome_kit.io.voxels import DAMAGE, checked, read_voxels, unreadable

LARGE, WORKING = 2**26, 2**24
"""A scan of more voxels than the first is halved until it has at most as many as the second (256 x 256 x 256)."""

_PART = 2**21

Part = tuple[slice, ...]
"""Index of a part of an array."""


def is_large(image: SpatialImage) -> bool:
    """Check whether an image has more than :data:`LARGE` voxels."""
    return bool(np.prod(image.shape) > LARGE)


def parts(shape: tuple[int, ...], multiple: int = 1) -> Iterator[Part]:
    """Divide an array along its last axis, along which NIfTI files are contiguous.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    multiple : int, default=1
        The number of slices of each part, except the last, is a multiple of this.

    Yields
    ------
    tuple of slice
        Index of the next part, of about two million elements.
    """
    step = max(1, _PART // max(1, int(np.prod(shape[:-1])) * multiple)) * multiple
    for start in range(0, shape[-1], step):
        yield (*(slice(None),) * (len(shape) - 1), slice(start, start + step))


def file_name(image: SpatialImage) -> str:
    """Return the name of the file of an image, for messages."""
    return Path(image.get_filename() or "an image in memory").name


def voxel_parts(
    image: SpatialImage, *, where: str, name: str | None = None, multiple: int = 1
) -> Iterator[tuple[Part, np.ndarray]]:
    """Read the voxels of a scan part by part; a compressed file is unpacked once.

    Parameters
    ----------
    image : SpatialImage
        From a file or in memory.
    where : str
        The step to name in an error.
    name : str, default=None
        The file to name in an error; None for that of the image.
    multiple : int, default=1
        As for :func:`parts`.

    Yields
    ------
    index : tuple of slice
        As from :func:`parts`.
    values : ndarray
        The voxels there, scaled as the header states.

    Raises
    ------
    ImageError
        As from :func:`epitome_kit.io.voxels.read_voxels`.
    """
    source, name = image.dataobj, name or file_name(image)
    if isinstance(source, ArrayProxy) and source.dtype.kind in "iuf":
        layout = source.shape, source.dtype, source.offset, source.slope, source.inter
        source = ArrayProxy(source.file_like, layout, mmap=False, order=source.order, keep_file_open=True)
    else:
        source = read_voxels(image, where, name)
    for part in parts(image.shape, multiple):
        try:
            values = np.asarray(source[part])
        except DAMAGE as error:
            raise unreadable(where, name, error) from error
        yield part, values


def check_scan(image: SpatialImage, *, where: str, name: str) -> None:
    """Read a scan part by part, and check that its voxels are finite and vary.

    Parameters
    ----------
    image : SpatialImage
        From a file or in memory.
    where, name : str
        The step and the file to name in an error.

    Raises
    ------
    ImageError
        As from :func:`epitome_kit.io.voxels.read_voxels` and :func:`epitome_kit.io.voxels.checked`.
    """
    for _ in checked(voxel_parts(image, where=where, name=name), where, name):
        pass


def read_scan(image: nib.Nifti1Image, *, where: str) -> nib.Nifti1Image:
    """Read a scan into memory and check its voxels; a large one at a lower resolution.

    Parameters
    ----------
    image : Nifti1Image
        From :func:`epitome_kit.images.load_image`.
    where : str
        The step to name in an error.

    Returns
    -------
    Nifti1Image
        With an array for its voxels; of a large scan, :func:`working_image`.

    Raises
    ------
    ImageError
        As from :func:`check_scan`.
    """
    if is_large(image):
        return working_image(image, where=where)
    data = read_voxels(image, where, file_name(image))
    loaded = nib.Nifti1Image(data, image.affine, image.header, file_map=image.file_map)
    check_scan(loaded, where=where, name=file_name(image))
    return loaded


def masked_voxels(image: nib.Nifti1Image, mask: nib.Nifti1Image, *, where: str) -> np.ndarray:
    """Read the voxels of a scan, and set those outside of a mask to zero.

    Parameters
    ----------
    image : Nifti1Image
        From :func:`epitome_kit.images.load_image`.
    mask : Nifti1Image
        uint8, 0 and 1, on the same grid.
    where : str
        The step to name in an error.

    Returns
    -------
    ndarray of float32

    Raises
    ------
    ImageError
        The file is damaged, or the voxels are not real numbers.
    """
    inside, voxels = np.asarray(mask.dataobj), np.empty(image.shape, np.float32, order="F")
    for part, values in voxel_parts(image, where=where):
        voxels[part] = values * inside[part]
    return voxels


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


def working_image(image: nib.Nifti1Image, *, where: str) -> nib.Nifti1Image:
    """Read a large scan at a lower resolution, and check its voxels.

    Parameters
    ----------
    image : Nifti1Image
        Shape (i, j, k).
    where : str
        The step to name in an error.

    Returns
    -------
    Nifti1Image
        The same object if it has at most :data:`LARGE` voxels. Otherwise float32, halved
        along the finest axis until it has at most :data:`WORKING` voxels: the mean of
        adjacent voxels; last slices that fill no voxel are left out.

    Raises
    ------
    ImageError
        As from :func:`check_scan`.
    """
    if not is_large(image):
        return image
    factors = _halving_factors(image)
    name = file_name(image)
    voxels = checked(voxel_parts(image, where=where, name=name, multiple=factors[2]), where, name)
    data, affine = _mean_of_adjacent(image, voxels, factors)
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
    if not is_large(mask):
        return mask
    factors = _halving_factors(mask)
    share, affine = _mean_of_adjacent(mask, voxel_parts(mask, where="mask", multiple=factors[2]), factors)
    return nib.Nifti1Image((share > 0.5).astype(np.uint8), affine)


def whole_mask(mask: nib.Nifti1Image, image: nib.Nifti1Image) -> np.ndarray:
    """Bring a mask from the grid of :func:`working_image` onto that of the scan.

    Parameters
    ----------
    mask : Nifti1Image
        Values of 0 and 1.
    image : Nifti1Image
        The scan.

    Returns
    -------
    ndarray of uint8
        Voxels of the mask, interpolated if the scan is large.
    """
    if not is_large(image):
        return np.asarray(mask.dataobj)
    to_mask = np.linalg.inv(mask.affine) @ image.affine
    return map_above(np.asarray(mask.dataobj, np.float32), to_mask, image.shape, 0.5).view(np.uint8)


def _halving_factors(image: SpatialImage) -> list[int]:
    """Return how many voxels along each axis are averaged."""
    shape, sizes_mm, factors = np.array(image.shape), nib.affines.voxel_sizes(image.affine), np.ones(3, int)
    while np.prod(shape // factors) > WORKING:
        factors[np.argmin(sizes_mm * factors)] *= 2
    return factors.tolist()


def _mean_of_adjacent(
    image: SpatialImage, voxels: Iterator[tuple[Part, np.ndarray]], factors: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Average the parts of an image over blocks of voxels; return the means and their affine."""
    shape = np.array(image.shape) // factors
    means = np.zeros(shape, np.float32, order="F")
    for part, values in voxels:
        start, count = part[-1].start // factors[2], values.shape[2] // factors[2]
        blocks = values[tuple(slice(n) for n in (*shape[:2] * factors[:2], count * factors[2]))]
        for i, j, k in np.ndindex(*factors):
            means[..., start : start + count] += blocks[i :: factors[0], j :: factors[1], k :: factors[2]]
    means /= np.float32(np.prod(factors))
    middle = (np.array(factors) - 1) / 2
    return means, image.affine @ nib.affines.from_matvec(np.diag(np.array(factors, float)), middle)
