"""Where the slices of a DICOM volume lie: even or refused, and the same before and after conversion."""

import math

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.images import mark_voxel_size_unknown
from epitome_kit.io.header_checks import MOST_VOXELS

FEWEST_SLICES = 4
"""A volume with fewer is no scan of a head."""

_GAP = 1.5
_SAME_PLACE_MM = 0.01
_EVEN_MM = 0.1
_EVEN = 0.01
_SAME_SIZE = 0.01
_SQUARE = 0.01
_OFF_GRID_VOXELS = 0.1
_STEP_VOXELS = 0.2
"""What one step may differ from the mean of all, where each slice is within a tenth of a voxel."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def find_fault(volume):
    """Say why no sound image can be made of a volume.

    Parameters
    ----------
    volume : epitome_kit.sources.dicom_headers.Volume

    Returns
    -------
    (str, str) or None
        What was expected, and what came; None where all is well.
    """
    title = volume.title
    if 0 in volume.size:
        return "images", f"{volume.slices} files without pixels in {title}"
    if volume.physics["polarity"].upper() == "MONOCHROME1":
        return "pixels that are bright where they are high", f"inverted ones (MONOCHROME1) in {title}"
    if volume.slices < FEWEST_SLICES:
        return f"at least {FEWEST_SLICES} slices", f"{volume.slices} in {title}"
    if math.prod((*volume.size, volume.slices)) > MOST_VOXELS:
        return f"at most {MOST_VOXELS} voxels", f"{volume.slices} slices of {volume.size} in {title}"
    if volume.orientation is None or volume.places_mm is None:
        lost = "place" if volume.orientation else "orientation"
        return "a place and an orientation for every slice", f"slices without {lost} in {title}: sides cannot be told"
    rows, columns = np.reshape(volume.orientation, (2, 3))
    if max(abs(rows @ rows - 1), abs(columns @ columns - 1), abs(rows @ columns)) > _SQUARE:
        return "rows and columns at a right angle", f"orientation {volume.orientation} in {title}"
    return _size_fault(volume) or _gap_fault(volume) or _stack_fault(volume)


def _size_fault(volume):
    """Pixels of no size, or of several."""
    sizes = np.array([size or (np.nan, np.nan) for size in volume.pixels_mm])
    if not (np.isnan(sizes) | (sizes > 0)).all():
        return "pixels of more than 0 mm", f"{_times(sizes.min(0))} mm in {volume.title}"
    if np.isnan(sizes).any() != np.isnan(sizes).all() or (np.ptp(sizes, 0) > _SAME_SIZE * sizes.min(0)).any():
        shown = " and ".join(sorted({"none" if np.isnan(size).any() else f"{_times(size)} mm" for size in sizes}))
        return "one size of pixels", f"{shown} in {volume.title}"
    return None


def _gap_fault(volume):
    """Two images at one place, or none where one should be."""
    steps, usual, title = np.diff(volume.positions_mm), volume.step_mm, volume.title
    again = np.count_nonzero(steps < _SAME_PLACE_MM)
    if again:
        return "one image a place", f"{again} more in {title}"
    gaps = np.flatnonzero(steps > _GAP * usual)
    if len(gaps) == 0:
        return None
    missing = sum(max(1, round(steps[gap] / usual) - 1) for gap in gaps)
    return (
        "slices without a gap",
        f"{missing} of {volume.slices + missing} missing in {title}, the first after slice {gaps[0] + 1}: "
        f"{steps[gaps[0]]:.1f} mm where {usual:.1f} mm is usual",
    )


def _stack_fault(volume):
    """Slices at uneven distances, or not straight over one another, by a tenth of a voxel or more."""
    along, aside = _off_the_grid(volume)
    steps = np.diff(volume.positions_mm)
    if along > _OFF_GRID_VOXELS * np.mean(steps):
        return "slices at even distances", f"distances of {_range(steps)} mm in {volume.title}"
    if aside > _OFF_GRID_VOXELS * min(volume.physics["pixel_mm"] or (np.mean(steps),)):
        return "slices straight over one another", f"slices that lie up to {aside:.1f} mm aside in {volume.title}"
    return None


def _off_the_grid(volume):
    """How far slices lie from their places on an even, upright grid between the first and the last, in mm."""
    places = np.array(volume.places_mm)
    rows, columns = np.reshape(volume.orientation, (2, 3))
    normal = np.cross(rows, columns)
    along = places @ normal
    even = np.linspace(along[0], along[-1], len(along))
    aside = np.abs((places - places[0]) @ np.stack([rows, columns], 1)).max()
    return np.abs(along - even).max(), aside


def find_remarks(volume):
    """Say what should be known of the geometry of a volume that can be used.

    Parameters
    ----------
    volume : epitome_kit.sources.dicom_headers.Volume

    Returns
    -------
    list of str
    """
    steps, step, title = np.diff(volume.positions_mm), volume.step_mm, volume.title
    remarks = []
    if volume.physics["pixel_mm"] is None:
        remarks.append(f"no size of pixels in {title}: its voxel size is unknown")
    if _off_the_grid(volume)[0] > max(_EVEN_MM, _EVEN * step):
        remarks.append(f"slices of {title} lie {_range(steps)} mm apart: taken as {np.mean(steps):.2f} mm")
    stated = volume.physics["between_mm"] or 0
    times = step / stated if stated >= 0.9 * (volume.physics["thickness_mm"] or math.inf) else 1
    if round(times) >= 2 and abs(times - round(times)) < 0.05:
        remarks.append(f"slices of {title} lie {step:.1f} mm apart, stated {stated:.1f} mm: some may be missing")
    thick = volume.physics["thickness_mm"] or 0
    if volume.physics["acquisition"].upper() == "3D" and thick > 0 and not stated and step > _GAP * thick:
        remarks.append(
            f"slices of {title} lie {step:.1f} mm apart and are {thick:.1f} mm thick, in a scan of type 3D, which has "
            "no gaps: some may be missing"
        )
    return remarks


def check_place(image, volume):
    """Hold a converted image against the places that the headers give.

    Parameters
    ----------
    image : Nifti1Image
        What a converter made of the volume.
    volume : epitome_kit.sources.dicom_headers.Volume
        Without a fault.

    Returns
    -------
    Nifti1Image
        The image, whose slices lie where the headers put the first and the last: a
        converter that takes the first step for all is put right. Where the headers give
        no size of pixels, voxels of one along each axis, marked as of unknown size.

    Raises
    ------
    ImageError
        A corner lies more than a tenth of a voxel from where the headers put it.
    """
    known, stated = volume.physics["pixel_mm"] is not None, _stated_affine(volume)
    shape = np.array((*volume.size[::-1], volume.slices))
    if not known:
        image = _without_size(image)
        stated = _without_size(nib.Nifti1Image(np.zeros(shape, np.uint8), stated)).affine
    found = np.linalg.inv(image.affine) @ stated
    turn = found[:3, :3].round()
    meant = nib.affines.from_matvec(turn, np.where(turn.sum(1) < 0, np.array(image.shape) - 1, 0))
    upright = np.array_equal(np.abs(turn) @ shape, image.shape) and np.array_equal(turn @ turn.T, np.eye(3))
    index = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1)
    off = np.abs(nib.affines.apply_affine(found, index) - nib.affines.apply_affine(meant, index)).max((0, 1, 3))
    if not upright or off.min() > _OFF_GRID_VOXELS or off.max() > _STEP_VOXELS * volume.slices:
        raise ImageError(
            "import",
            f"{volume.title} where its headers put it",
            f"an image of {_times(image.shape)} voxels whose corners lie up to {off.max():.1f} voxels off",
            "export the series again, and look at it in a viewer",
        )
    if off.max() > _OFF_GRID_VOXELS:
        image = nib.Nifti1Image(image.dataobj, stated @ np.linalg.inv(meant), image.header)
    return image if known else mark_voxel_size_unknown(image)


def _stated_affine(volume):
    """Column, row and slice to RAS millimetres, as the headers have it; pixels of unknown size count as 1 mm."""
    rows, columns = np.reshape(volume.orientation, (2, 3))
    row_mm, column_mm = volume.physics["pixel_mm"] or (1, 1)
    first, last = np.array(volume.places_mm[0]), np.array(volume.places_mm[-1])
    matrix = np.stack([rows * column_mm, columns * row_mm, (last - first) / (volume.slices - 1)], axis=1)
    return nib.affines.from_matvec(_LPS_TO_RAS @ matrix, _LPS_TO_RAS @ first)


def _without_size(image):
    """Image with voxels of one along each axis, around the origin."""
    matrix = image.affine[:3, :3] / nib.affines.voxel_sizes(image.affine)
    centre = (np.array(image.shape) - 1) / 2
    return nib.Nifti1Image(image.dataobj, nib.affines.from_matvec(matrix, -matrix @ centre), image.header)


def _range(steps):
    return f"{steps.min():.2f} to {steps.max():.2f}"


def _times(sizes):
    return " x ".join(f"{size:g}" for size in sizes)
