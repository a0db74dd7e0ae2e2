"""Extract patches of all contrasts around the voxels of a tumour, and reassemble them."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from epitome_kit.errors import ImageError, ParameterError

_AXES = (0, 1, 2)


def take_patches(scans: np.ndarray, mask: np.ndarray, size: int | Sequence[int] = 5) -> np.ndarray:
    """Extract a patch around each voxel of a mask.

    Patches at the boundary of the tumour include surrounding tissue.

    Parameters
    ----------
    scans : ndarray, shape (i, j, k, contrasts)
        Scans on one grid.
    mask : ndarray of bool, shape (i, j, k)
        Centres of the patches.
    size : int or (int, int, int), default=5
        Odd number of voxels along each side.

    Returns
    -------
    ndarray of float32, shape (n, a, b, c, contrasts)
        In the order of ``numpy.argwhere(mask)``; 0 beyond the edge of the scan.

    Raises
    ------
    ParameterError
        A side is not odd.
    ImageError
        Scans and mask are on different grids.
    """
    widths = sides(size, where="take_patches")
    scans, mask = np.asarray(scans, np.float32), np.asarray(mask, bool)
    if scans.ndim != 4 or scans.shape[:3] != mask.shape:
        raise ImageError(
            "take_patches",
            f"scans of shape {mask.shape} and one more axis for the contrasts",
            f"shape {scans.shape}",
            "stack the contrasts with `numpy.stack(..., axis=-1)`",
        )
    padded = np.pad(scans, [(side // 2, side // 2) for side in widths] + [(0, 0)])
    return np.moveaxis(sliding_window_view(padded, widths, axis=_AXES)[mask], 1, -1)


def assemble_patches(patches: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Place patches around the voxels of a mask, and average where they overlap.

    Parameters
    ----------
    patches : ndarray, shape (n, a, b, c, contrasts)
        In the order of ``numpy.argwhere(mask)``.
    mask : ndarray of bool, shape (i, j, k)
        Centres of the patches.

    Returns
    -------
    ndarray of float32, shape (i, j, k, contrasts)
        NaN where there is no patch.
    """
    mask = np.asarray(mask, bool)
    *size, contrasts = patches.shape[1:]
    total = np.zeros([n + side - 1 for n, side in zip(mask.shape, size, strict=True)] + [contrasts])
    count = np.zeros(total.shape[:3])
    places = np.argwhere(mask)
    for offset in np.ndindex(*size):
        voxels = tuple((places + offset).T)
        total[voxels] += patches[(slice(None), *offset)]
        count[voxels] += 1
    inner = tuple(slice(side // 2, side // 2 + n) for n, side in zip(mask.shape, size, strict=True))
    with np.errstate(invalid="ignore"):
        return (total[inner] / count[inner][..., None]).astype(np.float32)


def split_halves(mask: np.ndarray, size: int | Sequence[int] = 5) -> tuple[np.ndarray, np.ndarray]:
    """Split a tumour across its longest axis, so that the patches of the two halves share no voxel.

    Neighbouring patches overlap, so randomly held-out patches would leak. Here the central
    slab, of the patch width minus one voxel, belongs to neither half.

    Parameters
    ----------
    mask : ndarray of bool, shape (i, j, k)
        Tumour.
    size : int or (int, int, int), default=5
        Sides of a patch in voxels.

    Returns
    -------
    lower, upper : ndarray of bool, shape (n,)
        Which of ``numpy.argwhere(mask)`` are in the lower and in the upper half.
    """
    places = np.argwhere(mask)
    if not len(places):
        return np.zeros(0, bool), np.zeros(0, bool)
    axis = int(np.ptp(places, axis=0).argmax())
    along, reach = places[:, axis], sides(size, where="split_halves")[axis] // 2
    cut = int(np.median(along))
    return along <= cut - reach, along > cut + reach


def sides(size: int | Sequence[int], *, where: str) -> tuple[int, ...]:
    """Return the three sides of a patch, from one number or three.

    Parameters
    ----------
    size : int or (int, int, int)
        Voxels along each side.
    where : str
        Function to name in an error.

    Returns
    -------
    tuple of 3 int
        Odd numbers of voxels.

    Raises
    ------
    ParameterError
        A side is not a positive odd number.
    """
    widths = tuple(int(side) for side in np.broadcast_to(size, 3))
    if any(side < 1 or side % 2 == 0 for side in widths):
        raise ParameterError(where, "patches with odd sides, in voxels", str(widths), "use `3` or `5`")
    return widths
