"""Where a registration begins: a head may lie turned, so many poses are tried as they are."""

from itertools import product

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from epitome_kit.images import resample_isotropic

TURNS_DEGREES = (0, -15, 15, -30, 30)
"""Turns that are tried about all axes together; the first is none."""

MOVED_DEGREES = (0, -10, 10, -20, 20, -30, 30)
"""Turns that are tried about one axis or another, between two scans of a head."""

_GRID_MM = 10.0
_CLEARLY = 1.2


def initial_pose(moving, moving_mask, fixed, fixed_mask, judged):
    """Choose the pose that brings two brains together best, before anything is optimised.

    Place and size of the masks along each axis give the first pose; the others
    are turned about it. A turned one is taken only where it matches clearly
    better: a brain that is cut off looks a little better askew.

    Parameters
    ----------
    moving, fixed : Nifti1Image
        Stripped brains, any contrasts.
    moving_mask, fixed_mask : Nifti1Image
        Their brain masks.
    judged : Nifti1Image
        Where on `fixed` the match is judged.

    Returns
    -------
    ndarray, shape (4, 4)
        `fixed` mm to `moving` mm.
    """
    (centre, size), (moving_centre, moving_size) = centre_and_extent(fixed_mask), centre_and_extent(moving_mask)
    poses = [_pose(turn * (moving_size / size), centre, moving_centre) for turn in _turns(TURNS_DEGREES, 3)]
    matches = _matches(poses, moving, fixed, judged)
    best = int(np.argmax(matches))
    return poses[best if matches[best] > _CLEARLY * matches[0] else 0]


def best_rotation(moving, fixed, judged, centre, moving_centre):
    """Choose the turn about one axis that brings two scans of a head together best, before anything is optimised.

    Parameters
    ----------
    moving, fixed : Nifti1Image
        Whole heads, any contrasts.
    judged : Nifti1Image
        Where on `fixed` the match is judged.
    centre, moving_centre : ndarray, shape (3,)
        Middle of each head, in mm.

    Returns
    -------
    ndarray, shape (3, 3)
        From `fixed` to `moving`.
    """
    turns = _turns(MOVED_DEGREES, 1)
    matches = _matches([_pose(turn, centre, moving_centre) for turn in turns], moving, fixed, judged)
    return turns[int(np.argmax(matches))]


def _turns(degrees, most_axes):
    """Rotations about up to so many axes at once; the first is none."""
    angles = [each for each in product(degrees, repeat=3) if np.count_nonzero(each) <= most_axes]
    return Rotation.from_euler("xyz", angles, degrees=True).as_matrix()


def _pose(matrix, centre, moving_centre):
    return nib.affines.from_matvec(matrix, moving_centre - matrix @ centre)


def _matches(poses, moving, fixed, judged):
    """Mutual information of two images in each pose, on a coarse grid."""
    moving, fixed, judged = (resample_isotropic(image, _GRID_MM) for image in (moving, fixed, judged))
    inside = np.asarray(judged.dataobj) > 0.5
    points = nib.affines.apply_affine(fixed.affine, np.indices(fixed.shape)[:, inside].T)
    values, data = np.asarray(fixed.dataobj)[inside], np.asarray(moving.dataobj)
    to_voxels = np.linalg.inv(moving.affine)
    places = [nib.affines.apply_affine(to_voxels @ pose, points).T for pose in poses]
    return [mutual_information(values, ndimage.map_coordinates(data, place, order=1)) for place in places]


def mutual_information(first, second, bins=16):
    """Compute how much of one image's intensities the other's tell, in nats.

    Parameters
    ----------
    first, second : ndarray, shape (n,)
        Intensities at the same places.
    bins : int, default=16
        Of the histogram, for each image.

    Returns
    -------
    float
        0 where neither tells anything of the other.
    """
    joint = np.histogram2d(first, second, bins)[0] / len(first)
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def centre_and_extent(mask):
    """Centre and standard deviation of a mask along the RAS axes, in mm."""
    points = nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0))
    return points.mean(0), points.std(0)
