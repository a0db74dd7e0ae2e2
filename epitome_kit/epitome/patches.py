"""Patches: small boxes of every contrast, cut out around the voxels of a tumour, and put back."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from epitome_kit.errors import ImageError, ParameterError

_AXES = (0, 1, 2)


def take_patches(scans, mask, size=5):
    """Cut out a patch around each voxel of a mask.

    A patch at the rim of the tumour reaches beyond it, and so shows the border.

    Parameters
    ----------
    scans : ndarray, shape (i, j, k, contrasts)
    mask : ndarray of bool, shape (i, j, k)
        Where the middle of a patch may lie.
    size : int or (int, int, int), default=5
        Voxels along each side; odd, so that a patch has a middle.

    Returns
    -------
    ndarray of float32, shape (n, a, b, c, contrasts)
        In the order of ``numpy.argwhere(mask)``; 0 beyond the edge of the scan.

    Raises
    ------
    ParameterError
        A side that is not odd.
    ImageError
        Scans and mask on different grids.
    """
    size = sides(size, where="take_patches")
    scans, mask = np.asarray(scans, np.float32), np.asarray(mask, bool)
    if scans.ndim != 4 or scans.shape[:3] != mask.shape:
        raise ImageError(
            "take_patches",
            f"scans of shape {mask.shape} and one more axis for the contrasts",
            f"shape {scans.shape}",
            "stack the contrasts with `numpy.stack(..., axis=-1)`",
        )
    padded = np.pad(scans, [(side // 2, side // 2) for side in size] + [(0, 0)])
    return np.moveaxis(sliding_window_view(padded, size, axis=_AXES)[mask], 1, -1)


def assemble_patches(patches, mask):
    """Lay patches back around the voxels of a mask, and average where they overlap.

    Parameters
    ----------
    patches : ndarray, shape (n, a, b, c, contrasts)
        In the order of ``numpy.argwhere(mask)``.
    mask : ndarray of bool, shape (i, j, k)

    Returns
    -------
    ndarray of float32, shape (i, j, k, contrasts)
        NaN where no patch lies.
    """
    mask = np.asarray(mask, bool)
    *size, contrasts = patches.shape[1:]
    total = np.zeros([n + side - 1 for n, side in zip(mask.shape, size, strict=True)] + [contrasts])
    count = np.zeros(total.shape[:3])
    places = np.argwhere(mask)
    for offset in np.ndindex(*size):
        there = tuple((places + offset).T)
        total[there] += patches[(slice(None), *offset)]
        count[there] += 1
    inner = tuple(slice(side // 2, side // 2 + n) for n, side in zip(mask.shape, size, strict=True))
    with np.errstate(invalid="ignore"):
        return (total[inner] / count[inner][..., None]).astype(np.float32)


def split_halves(mask, size=5):
    """Cut a tumour across its longest axis, so that the patches of the two halves share no voxel.

    Neighbouring patches overlap: patches held out at random would be known
    already. Here the middle slab, as thick as a patch less one voxel, belongs
    to neither half.

    Parameters
    ----------
    mask : ndarray of bool, shape (i, j, k)
    size : int or (int, int, int), default=5
        Sides of a patch in voxels.

    Returns
    -------
    (ndarray of bool, ndarray of bool)
        Which of ``numpy.argwhere(mask)`` lie in the lower and in the upper half.
    """
    places = np.argwhere(mask)
    if not len(places):
        return np.zeros(0, bool), np.zeros(0, bool)
    axis = int(np.ptp(places, axis=0).argmax())
    along, reach = places[:, axis], sides(size, where="split_halves")[axis] // 2
    cut = int(np.median(along))
    return along <= cut - reach, along > cut + reach


def sides(size, *, where):
    """Return the three sides of a patch, from one number or three.

    Raises
    ------
    ParameterError
        A side that is not an odd number from 1 on.
    """
    size = tuple(int(side) for side in np.broadcast_to(size, 3))
    if any(side < 1 or side % 2 == 0 for side in size):
        raise ParameterError(where, "patches with odd sides, in voxels", str(size), "use `3` or `5`")
    return size
