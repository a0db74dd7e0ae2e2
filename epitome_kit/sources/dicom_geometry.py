"""Check the geometry of a DICOM volume: even spacing, and the same position before and after conversion."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.images import mark_voxel_size_unknown
from epitome_kit.io.header_checks import MOST_VOXELS

if TYPE_CHECKING:
    from epitome_kit.sources.dicom_headers import Volume

MIN_SLICES = 4
"""Minimum number of slices in a head volume."""

_GAP_STEPS = 1.5
_SAME_PLACE_MM = 0.01
_MAX_UNEVENNESS_MM = 0.1
_MAX_UNEVENNESS = 0.01
_MAX_SIZE_DIFFERENCE = 0.01
_MAX_OBLIQUENESS = 0.01
_OFF_GRID_VOXELS = 0.1
_STEP_VOXELS = 0.2
"""Tolerance of one step against the mean of all, if each slice is within a tenth of a voxel."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def find_defect(volume: "Volume") -> tuple[str, str] | None:
    """Explain why a volume cannot be converted to a valid image.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    (str, str) or None
        What was expected, and what was received; None if there is no defect.
    """
    title = volume.title
    if 0 in volume.size:
        return "images", f"{volume.slices} files without pixels in {title}"
    if volume.physics["polarity"].upper() == "MONOCHROME1":
        return "pixels that are bright where they are high", f"inverted ones (MONOCHROME1) in {title}"
    if volume.slices < MIN_SLICES:
        return f"at least {MIN_SLICES} slices", f"{volume.slices} in {title}"
    if math.prod((*volume.size, volume.slices)) > MOST_VOXELS:
        return f"at most {MOST_VOXELS} voxels", f"{volume.slices} slices of {volume.size} in {title}"
    if volume.orientation is None or volume.places_mm is None:
        missing = "place" if volume.orientation else "orientation"
        return (
            "a place and an orientation for every slice",
            f"slices without {missing} in {title}: left and right are unknown",
        )
    rows, columns = np.reshape(volume.orientation, (2, 3))
    if max(abs(rows @ rows - 1), abs(columns @ columns - 1), abs(rows @ columns)) > _MAX_OBLIQUENESS:
        return "rows and columns at a right angle", f"orientation {volume.orientation} in {title}"
    return _size_defect(volume) or _gap_defect(volume) or _stack_defect(volume)


def _size_defect(volume: "Volume") -> tuple[str, str] | None:
    """Report pixels with zero, missing or several sizes."""
    sizes = np.array([size or (np.nan, np.nan) for size in volume.pixels_mm])
    if not (np.isnan(sizes) | (sizes > 0)).all():
        return "pixels of more than 0 mm", f"{_times(sizes.min(0))} mm in {volume.title}"
    if np.isnan(sizes).any() != np.isnan(sizes).all() or (np.ptp(sizes, 0) > _MAX_SIZE_DIFFERENCE * sizes.min(0)).any():
        shown = " and ".join(sorted({"none" if np.isnan(size).any() else f"{_times(size)} mm" for size in sizes}))
        return "one size of pixels", f"{shown} in {volume.title}"
    return None


def _gap_defect(volume: "Volume") -> tuple[str, str] | None:
    """Report several images at one position, or missing slices."""
    steps, title = _steps_mm(volume), volume.title
    usual = float(np.median(steps))
    extra = np.count_nonzero(steps < _SAME_PLACE_MM)
    if extra:
        return "one image a place", f"{extra} more in {title}"
    gaps = np.flatnonzero(steps > _GAP_STEPS * usual)
    if len(gaps) == 0:
        return None
    missing = sum(max(1, round(steps[gap] / usual) - 1) for gap in gaps)
    return (
        "slices without a gap",
        f"{missing} of {volume.slices + missing} missing in {title}, the first after slice {gaps[0] + 1}: "
        f"{steps[gaps[0]]:.1f} mm where {usual:.1f} mm is usual",
    )


def _stack_defect(volume: "Volume") -> tuple[str, str] | None:
    """Report slices that are unevenly spaced or shifted sideways by more than a tenth of a voxel."""
    along, aside = _deviation_mm(volume)
    steps = _steps_mm(volume)
    if along > _OFF_GRID_VOXELS * np.mean(steps):
        return "slices at even distances", f"distances of {_range(steps)} mm in {volume.title}"
    if aside > _OFF_GRID_VOXELS * min(volume.physics["pixel_mm"] or (np.mean(steps),)):
        return "slices straight over one another", f"slices that lie up to {aside:.1f} mm aside in {volume.title}"
    return None


def _steps_mm(volume: "Volume") -> np.ndarray:
    """Return the distances between neighbouring slices, in mm."""
    return np.diff(np.array(volume.positions_mm))


def _axes(volume: "Volume") -> tuple[np.ndarray, np.ndarray]:
    """Return the directions of rows and columns."""
    rows, columns = np.reshape(np.array(volume.orientation), (2, 3))
    return rows, columns


def _deviation_mm(volume: "Volume") -> tuple[float, float]:
    """Return the largest deviation of slices from an even grid between the first and the last: along and aside."""
    places = np.array(volume.places_mm)
    rows, columns = _axes(volume)
    normal = np.cross(rows, columns)
    along = places @ normal
    even = np.linspace(along[0], along[-1], len(along))
    aside = np.abs((places - places[0]) @ np.stack([rows, columns], 1)).max()
    return np.abs(along - even).max(), aside


def find_remarks(volume: "Volume") -> list[str]:
    """List what users should know about the geometry of a usable volume.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    list of str
    """
    steps, title = _steps_mm(volume), volume.title
    step = float(np.median(steps))
    remarks = []
    if volume.physics["pixel_mm"] is None:
        remarks.append(f"no size of pixels in {title}: its voxel size is unknown")
    if _deviation_mm(volume)[0] > max(_MAX_UNEVENNESS_MM, _MAX_UNEVENNESS * step):
        remarks.append(f"slices of {title} lie {_range(steps)} mm apart: taken as {np.mean(steps):.2f} mm")
    stated = volume.physics["between_mm"] or 0
    times = step / stated if stated >= 0.9 * (volume.physics["thickness_mm"] or math.inf) else 1
    if round(times) >= 2 and abs(times - round(times)) < 0.05:
        remarks.append(f"slices of {title} lie {step:.1f} mm apart, stated {stated:.1f} mm: some may be missing")
    thick = volume.physics["thickness_mm"] or 0
    if volume.physics["acquisition"].upper() == "3D" and thick > 0 and not stated and step > _GAP_STEPS * thick:
        remarks.append(
            f"slices of {title} lie {step:.1f} mm apart and are {thick:.1f} mm thick, in a scan of type 3D, which has "
            "no gaps: some may be missing"
        )
    return remarks


def check_place(image: nib.Nifti1Image, volume: "Volume") -> nib.Nifti1Image:
    """Compare the position of a converted image with that stated in the headers.

    Parameters
    ----------
    image : Nifti1Image
        The volume, converted.
    volume : Volume
        Without a defect.

    Returns
    -------
    Nifti1Image
        The image with its first and last slice where the headers place them, which
        corrects converters that take the first step for all. If the headers give no pixel
        size, voxels have size 1 along each axis and are marked as of unknown size.

    Raises
    ------
    ImageError
        A corner is more than a tenth of a voxel away from its stated position.
    """
    known, stated = volume.physics["pixel_mm"] is not None, _stated_affine(volume)
    shape = np.array((*volume.size[::-1], volume.slices))
    if not known:
        image = _without_size(image)
        stated = _without_size(nib.Nifti1Image(np.zeros(shape, np.uint8), stated)).affine
    found = np.linalg.inv(image.affine) @ stated
    turn = found[:3, :3].round()
    ideal = nib.affines.from_matvec(turn, np.where(turn.sum(1) < 0, np.array(image.shape) - 1, 0))
    upright = np.array_equal(np.abs(turn) @ shape, image.shape) and np.array_equal(turn @ turn.T, np.eye(3))
    index = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1)
    off = np.abs(nib.affines.apply_affine(found, index) - nib.affines.apply_affine(ideal, index)).max((0, 1, 3))
    if not upright or off.min() > _OFF_GRID_VOXELS or off.max() > _STEP_VOXELS * volume.slices:
        raise ImageError(
            "import",
            f"{volume.title} where its headers put it",
            f"an image of {_times(image.shape)} voxels whose corners lie up to {off.max():.1f} voxels off",
            "export the series again, and look at it in a viewer",
        )
    if off.max() > _OFF_GRID_VOXELS:
        image = nib.Nifti1Image(image.dataobj, stated @ np.linalg.inv(ideal), image.header)
    return image if known else mark_voxel_size_unknown(image)


def _stated_affine(volume: "Volume") -> np.ndarray:
    """Map column, row and slice to RAS mm according to the headers; pixels of unknown size count as 1 mm."""
    rows, columns = _axes(volume)
    row_mm, column_mm = volume.physics["pixel_mm"] or (1, 1)
    first, last = np.array(volume.places_mm)[[0, -1]]
    matrix = np.stack([rows * column_mm, columns * row_mm, (last - first) / (volume.slices - 1)], axis=1)
    return nib.affines.from_matvec(_LPS_TO_RAS @ matrix, _LPS_TO_RAS @ first)


def _without_size(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Give an image voxels of size 1 along each axis, centred on the origin."""
    matrix = image.affine[:3, :3] / nib.affines.voxel_sizes(image.affine)
    centre = (np.array(image.shape) - 1) / 2
    return nib.Nifti1Image(image.dataobj, nib.affines.from_matvec(matrix, -matrix @ centre), image.header)


def _range(steps: np.ndarray) -> str:
    return f"{steps.min():.2f} to {steps.max():.2f}"


def _times(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
