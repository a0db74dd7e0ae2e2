"""The head against the air around it: a threshold between the darkest and the brightest voxels."""

from itertools import combinations

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.images import GRID_MM, image_like, load_image, resample_isotropic, unit_range

_ABOVE_DARK = 0.1
_FEW, _FAR_BELOW, _FAR_ABOVE = 0.001, 1.0, 4.0
_AIR_ON_EDGES, _DARKER = 0.9, 0.01


def robust_range(data):
    """Darkest, threshold and brightest intensity of a scan, as BET takes them.

    Parameters
    ----------
    data : ndarray, shape (i, j, k)

    Returns
    -------
    dark, threshold, bright : float
        Percentiles 2 and 98, and a tenth of the way between them.

    References
    ----------
    Smith, Hum Brain Mapp 2002, doi:10.1002/hbm.10062
    """
    dark, bright = (float(value) for value in np.percentile(data, (2, 98)))
    return dark, dark + _ABOVE_DARK * (bright - dark), bright


def without_outliers(image):
    """Cut the outliers of a scan, see :func:`cut_outliers`.

    Parameters
    ----------
    image : Nifti1Image

    Returns
    -------
    image : Nifti1Image
        The same one where nothing was cut.
    count : int
        Voxels that were cut.
    """
    data, count = cut_outliers(np.asarray(image.dataobj))
    if not count:
        return image, 0
    return nib.Nifti1Image(data, image.affine, image.header, file_map=image.file_map), count


def cut_outliers(data):
    """Cut off voxels that lie so far away from all others that they would set the scale of a scan.

    Such voxels come from spikes, damaged files and failed reconstructions. Of 201
    clinical and simulated scans none had any; in the brightest of them one voxel
    lay 4.8 times the range above the median.

    Parameters
    ----------
    data : ndarray, shape (i, j, k)

    Returns
    -------
    data : ndarray, shape (i, j, k)
        The same array where nothing was cut; else float32, with the percentiles 0.1
        or 99.9 in the place of what lay more than the range between them below the
        lower, or more than four times that range above the upper.
    count : int
        Voxels that were cut.
    """
    low, high = (float(value) for value in np.quantile(data, (_FEW, 1 - _FEW)))
    spread = high - low
    below, above = data < low - _FAR_BELOW * spread, data > high + _FAR_ABOVE * spread
    count = np.count_nonzero(below) + np.count_nonzero(above)
    if not (spread and count):
        return data, 0
    return np.where(below, low, np.where(above, high, data)).astype(np.float32), count


def darken_air(image):
    """Make the air of a scan its darkest value, as in standard scores of a stripped brain it is not.

    Parameters
    ----------
    image : Nifti1Image

    Returns
    -------
    Nifti1Image
        The same one, unless its twelve edges hold one value and a part of
        the scan is clearly darker.
    """
    data = np.asarray(image.dataobj)
    edges = np.concatenate([data.take((0, -1), a).take((0, -1), b).ravel() for a, b in combinations(range(3), 2)])
    air = np.median(edges)
    if np.mean(edges == air) < _AIR_ON_EDGES:
        return image
    low, dark, high = np.quantile(data, (_FEW, _DARKER, 1 - _FEW))
    if air - dark <= _ABOVE_DARK * (high - low):
        return image
    data = np.where(data == air, data.min(), data)
    return nib.Nifti1Image(data, image.affine, image.header, file_map=image.file_map)


def coarse_scan(image, *, multiple=1):
    """Resample a scan to 4 mm in RAS order, scaled to 0 to 1: what the networks and the alarms look at.

    Parameters
    ----------
    image : Nifti1Image
        Any orientation and voxel size.
    multiple : int, default=1
        Every side of the result is a multiple of this many voxels.

    Returns
    -------
    Nifti1Image
    """
    scaled = nib.Nifti1Image(unit_range(image.dataobj), image.affine)
    return resample_isotropic(scaled, GRID_MM, multiple=multiple)


def find_head(image):
    """Mark everything that is not air: the head, or the brain where a scan was stripped before.

    Parameters
    ----------
    image : Nifti1Image or path
        Shape (i, j, k).

    Returns
    -------
    Nifti1Image
        uint8 on the grid of the scan: the largest piece above the threshold of
        :func:`robust_range`, and what it encloses in any slice.

    Raises
    ------
    ImageError
        The scan cannot be read.
    """
    image = load_image(image, where="find_head")
    data = np.asarray(image.dataobj, np.float32)
    inside = largest_piece(data > robust_range(data)[1])
    for axis in range(3):
        for part in np.moveaxis(inside, axis, 0):
            part |= ndimage.binary_fill_holes(part)
    return image_like(inside.astype(np.uint8), image)


def largest_piece(mask):
    """Keep the largest connected piece of a mask, and fill its holes.

    Parameters
    ----------
    mask : ndarray of bool, shape (i, j, k)

    Returns
    -------
    ndarray of bool, shape (i, j, k)
    """
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    return ndimage.binary_fill_holes(mask)
