"""The head against the air around it: a threshold between the darkest and the brightest voxels."""

import numpy as np
from scipy import ndimage

from epitome_kit.images import image_like, load_image

_ABOVE_DARK = 0.1


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
    BadImage
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
