"""Read the voxels of an image and check their values."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import TypeVar

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError

DAMAGE = (
    *(nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, zlib.error),
    *(OSError, EOFError, ValueError, OverflowError, MemoryError),
)
"""Exceptions that nibabel raises for damaged files."""

_LARGEST_VALUE = 1e15

T = TypeVar("T")


def unreadable(where: str, name: str, error: BaseException) -> ImageError:
    """Make the error for a file that cannot be read."""
    damaged = isinstance(error, (zlib.error, EOFError, gzip.BadGzipFile))
    reason = "truncated or damaged" if damaged else " ".join(str(error).split())[:160]
    return ImageError(where, "a readable scan", f"{name} ({reason})", "copy or download the file again")


def read_voxels(image: nib.spatialimages.SpatialImage, where: str, name: str) -> np.ndarray:
    """Read all voxels of an image.

    Parameters
    ----------
    image : SpatialImage
        From a file or in memory.
    where, name : str
        The step and the file to name in an error.

    Returns
    -------
    ndarray
        Real numbers, scaled as the header states.

    Raises
    ------
    ImageError
        The file is damaged, or the voxels are not real numbers.
    """
    try:
        data = np.asarray(image.dataobj)
    except DAMAGE as error:
        raise unreadable(where, name, error) from error
    if data.dtype.kind not in "biuf":
        received, hint = f"data type {data.dtype} from {name}", "save the magnitude, or a single channel"
        raise ImageError(where, "real numbers in the voxels", received, hint)
    return data


def checked(parts: Iterable[tuple[T, np.ndarray]], where: str, name: str) -> Iterator[tuple[T, np.ndarray]]:
    """Pass on the parts of a scan, and check at the end that its voxels are finite and vary.

    Parameters
    ----------
    parts : iterable of (object, ndarray)
        Places and real numbers.
    where, name : str
        The step and the file to name in an error.

    Yields
    ------
    object, ndarray
        The same.

    Raises
    ------
    ImageError
        NaN, infinity, values beyond 1e15, or a constant volume.
    """
    size, bad, lows, highs = 0, 0, [], []
    for place, data in parts:
        yield place, data
        size += data.size
        lows.append(data.min())
        highs.append(data.max())
        if not (np.isfinite(lows[-1]) and np.isfinite(highs[-1])):
            bad += data.size - int(np.count_nonzero(np.isfinite(data)))
    if bad:
        raise ImageError(
            where,
            "finite voxels",
            f"{bad} of {size} voxels NaN or infinite in {name}",
            "replace them with `numpy.nan_to_num`, or export the scan again",
        )
    low, high = np.min(lows), np.max(highs)
    if low.dtype.kind == "f" and max(abs(low), abs(high)) > _LARGEST_VALUE:
        raise ImageError(
            where,
            f"voxels of at most {_LARGEST_VALUE:g}",
            f"values from {low:g} to {high:g} in {name}",
            "check the scaling in its header, or export the scan again",
        )
    if low == high:
        raise ImageError(
            where,
            "a volume with contrast",
            f"every voxel equal to {low} in {name}",
            "check that the right series was exported",
        )
