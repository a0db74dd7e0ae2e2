"""Initial poses for registration, chosen from a grid of rotations."""

from collections.abc import Sequence
from itertools import product

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from epitome_kit.images import resample_isotropic

ALL_AXES_DEGREES = (0, -15, 15, -30, 30)
"""Angles tried about all three axes at once; the first is the identity."""

ONE_AXIS_DEGREES = (0, -10, 10, -20, 20, -30, 30)
"""Angles tried about one axis at a time, between two scans of one subject."""

_GRID_MM = 10.0
_MIN_IMPROVEMENT = 1.2


def initial_pose(
    moving: nib.Nifti1Image,
    moving_mask: nib.Nifti1Image,
    fixed: nib.Nifti1Image,
    fixed_mask: nib.Nifti1Image,
    metric_mask: nib.Nifti1Image,
) -> np.ndarray:
    """Choose the pose that aligns two brains best, before any optimisation.

    Centre and extent of the masks along each axis give the first pose; the others
    are rotations of it. A rotated pose is taken only if its mutual information is
    clearly higher, because a truncated brain matches slightly better when tilted.

    Parameters
    ----------
    moving, fixed : Nifti1Image
        Stripped brains, any contrasts.
    moving_mask, fixed_mask : Nifti1Image
        Their brain masks.
    metric_mask : Nifti1Image
        Region of `fixed` in which the poses are compared.

    Returns
    -------
    ndarray, shape (4, 4)
        `fixed` mm to `moving` mm.
    """
    (centre, extent), (moving_centre, moving_extent) = centre_and_extent(fixed_mask), centre_and_extent(moving_mask)
    rotations = _rotations(ALL_AXES_DEGREES, 3)
    poses = [_pose(rotation * (moving_extent / extent), centre, moving_centre) for rotation in rotations]
    scores = _score_poses(poses, moving, fixed, metric_mask)
    best = int(np.argmax(scores))
    return poses[best if scores[best] > _MIN_IMPROVEMENT * scores[0] else 0]


def best_rotation(
    moving: nib.Nifti1Image,
    fixed: nib.Nifti1Image,
    metric_mask: nib.Nifti1Image,
    centre: np.ndarray,
    moving_centre: np.ndarray,
) -> np.ndarray:
    """Choose the rotation about one axis that aligns two scans of one subject best, before any optimisation.

    Parameters
    ----------
    moving, fixed : Nifti1Image
        Whole heads, any contrasts.
    metric_mask : Nifti1Image
        Region of `fixed` in which the poses are compared.
    centre, moving_centre : ndarray, shape (3,)
        Centre of each head, in mm.

    Returns
    -------
    ndarray, shape (3, 3)
        From `fixed` to `moving`.
    """
    rotations = _rotations(ONE_AXIS_DEGREES, 1)
    poses = [_pose(rotation, centre, moving_centre) for rotation in rotations]
    return rotations[int(np.argmax(_score_poses(poses, moving, fixed, metric_mask)))]


def _rotations(degrees: Sequence[float], max_axes: int) -> np.ndarray:
    """Return rotation matrices about at most `max_axes` axes at once; the first is the identity."""
    angles = [each for each in product(degrees, repeat=3) if np.count_nonzero(each) <= max_axes]
    return Rotation.from_euler("xyz", angles, degrees=True).as_matrix()


def _pose(matrix: np.ndarray, centre: np.ndarray, moving_centre: np.ndarray) -> np.ndarray:
    return nib.affines.from_matvec(matrix, moving_centre - matrix @ centre)


def _score_poses(
    poses: Sequence[np.ndarray], moving: nib.Nifti1Image, fixed: nib.Nifti1Image, metric_mask: nib.Nifti1Image
) -> list[float]:
    """Return the mutual information of two images in each pose, on a coarse grid."""
    moving, fixed, metric_mask = (resample_isotropic(image, _GRID_MM) for image in (moving, fixed, metric_mask))
    inside = np.asarray(metric_mask.dataobj) > 0.5
    points = nib.affines.apply_affine(fixed.affine, np.indices(fixed.shape)[:, inside].T)
    values, data = np.asarray(fixed.dataobj)[inside], np.asarray(moving.dataobj)
    to_voxels = np.linalg.inv(moving.affine)
    places = [nib.affines.apply_affine(to_voxels @ pose, points).T for pose in poses]
    return [mutual_information(values, ndimage.map_coordinates(data, place, order=1)) for place in places]


def mutual_information(first: np.ndarray, second: np.ndarray, bins: int = 16) -> float:
    """Compute the mutual information of two sets of intensities, in nats.

    Parameters
    ----------
    first, second : ndarray, shape (n,)
        Intensities at the same points.
    bins : int, default=16
        Histogram bins for each image.

    Returns
    -------
    float
        0 for independent intensities.
    """
    joint = np.histogram2d(first, second, bins)[0] / len(first)
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    filled = joint > 0
    return float((joint[filled] * np.log(joint[filled] / independent[filled])).sum())


def centre_and_extent(mask: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre and the standard deviation of a mask along the RAS axes, in mm."""
    points = nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0))
    return points.mean(0), points.std(0)
