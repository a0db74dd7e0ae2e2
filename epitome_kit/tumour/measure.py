"""Size of a tumour: volume, and the two diameters that RANO asks for."""

from contextlib import suppress
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

from epitome_kit.errors import BadImage
from epitome_kit.images import load_mask, spacing_mm


@dataclass(frozen=True)
class TumourSize:
    """Size of one tumour.

    Attributes
    ----------
    volume_ml : float
        Voxels times voxel size.
    volume_voxels : int
    rano_long_mm, rano_perpendicular_mm : float
        Longest diameter in an axial slice, and the longest chord at a right
        angle to it in the same slice.
    rano_slice : int
        Index of that slice along the axial axis of the array.
    lesions : int
        Separate pieces.
    measurable : bool
        RANO: both diameters at least 10 mm.
    """

    volume_ml: float
    volume_voxels: int
    rano_long_mm: float
    rano_perpendicular_mm: float
    rano_slice: int
    lesions: int
    measurable: bool


def measure_tumour(mask):
    """Measure a tumour mask in physical units.

    Parameters
    ----------
    mask : Nifti1Image or path
        Binary, shape (i, j, k). Voxel size must be known.

    Returns
    -------
    TumourSize

    Raises
    ------
    UnknownVoxelSize
        The origin lost the voxel size: count voxels instead.
    BadImage
        The mask is empty.

    References
    ----------
    van den Bent et al., Lancet Oncol 2011, doi:10.1016/S1470-2045(11)70057-2
    """
    mask = load_mask(mask, where="measure_tumour")
    inside = np.asarray(mask.dataobj) > 0
    if not inside.any():
        raise BadImage(
            "measure_tumour",
            "a mask with at least one voxel inside",
            f"an empty mask, {mask.get_filename() or 'in memory'}",
            "look at the scan and its mask side by side",
        )
    steps = np.array(spacing_mm(mask, where="measure_tumour"))
    axial = axial_axis(mask)
    across = np.delete(steps, axial)
    slices = np.moveaxis(inside, axial, 0)
    diameters = [_longest(area, across) if area.any() else (0.0, None) for area in slices]
    widest = int(np.argmax([length for length, _ in diameters]))
    long_mm, ends = diameters[widest]
    short_mm = _perpendicular(slices[widest], across, ends)
    return TumourSize(
        volume_ml=float(inside.sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000),
        volume_voxels=int(inside.sum()),
        rano_long_mm=long_mm,
        rano_perpendicular_mm=short_mm,
        rano_slice=widest,
        lesions=int(ndimage.label(inside, np.ones((3, 3, 3)))[1]),
        measurable=min(long_mm, short_mm) >= 10,
    )


def axial_axis(image):
    """Array axis that runs closest to head-foot.

    Parameters
    ----------
    image : Nifti1Image

    Returns
    -------
    int
    """
    return int(np.flatnonzero(nib.io_orientation(image.affine)[:, 0] == 2)[0])


def _longest(area, steps):
    """Longest distance between two pixel centres of a slice, in mm, and its ends."""
    points = np.argwhere(area) * steps
    with suppress(QhullError, ValueError):  # one pixel, or all on a line: few enough to compare as they are
        points = points[ConvexHull(points).vertices]
    if len(points) < 2:
        return 0.0, None
    distances = squareform(pdist(points))
    first, second = np.unravel_index(distances.argmax(), distances.shape)
    return float(distances[first, second]), (points[first], points[second])


def _perpendicular(area, steps, ends):
    """Longest chord at a right angle to the long diameter, in mm."""
    if ends is None:
        return 0.0
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    points = np.argwhere(area) * steps - (ends[0] + ends[1]) / 2
    rows = np.round(points @ along / steps.min()).astype(int)
    side = points @ np.array([-along[1], along[0]])
    return float(max(np.ptp(side[rows == row]) for row in np.unique(rows)))
