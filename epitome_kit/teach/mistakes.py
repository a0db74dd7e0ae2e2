"""Faults: the one mistake that would explain why an answer is off."""

import nibabel as nib
import numpy as np

from epitome_kit.images import voxel_size_known
from epitome_kit.metrics import dice
from epitome_kit.preprocess.quality import mean_distance

_DIRECTIONS = (("patient's left", "patient's right"), ("back of the head", "front of the head"), ("neck", "crown"))
_FACTORS = {
    1000: "mm³ against mL",
    100: "per cent against a fraction",
    10: "mm against cm",
    2: "a radius against a diameter",
}


def explain_number(value, expected):
    """Say by how much a number is off, and which mix of units would explain it."""
    if expected == 0 or value == 0:
        return "off: go through the steps once more."
    if value * expected < 0:
        return "on the other side of zero: check the sign."
    ratio = value / expected
    word, times = ("large", ratio) if ratio > 1 else ("small", 1 / ratio)
    for factor, mix in _FACTORS.items():
        if abs(times / factor - 1) < 0.02:
            return f"{factor} times too {word}: is it {mix}?"
    about = f"{times:,.0f}" if times > 10 else f"{times:.2g}"
    return f"about {about} times too {word}." if times > 2 else f"too {word} by about {abs(ratio - 1):.0%}."


def explain_mask(inside, true, grid, at_least):
    """Say which one fault explains most of the disagreement of two masks.

    Parameters
    ----------
    inside, true : ndarray of bool, shape (i, j, k)
        Neither is empty.
    grid : Nifti1Image
        Where they lie.
    at_least : float
        Dice that is asked for.

    Returns
    -------
    str
        One sentence, or two.
    """
    sure = max(at_least, 0.5)
    if dice(~inside, true) >= sure:
        return "It is inside out: what should be 1 is 0. Try `~mask`."
    for axis in range(3):
        if dice(np.flip(inside, axis), true) >= max(sure, dice(inside, true) + 0.1):
            return f"It is mirrored along axis {'ijk'[axis]}: was the array flipped without its affine?"
    ratio = np.count_nonzero(inside) / np.count_nonzero(true)
    shift = _centre(inside) - _centre(true)
    if 0.8 < ratio < 1.25:
        if _far(shift, true):
            return (
                f"Its size is about right, but it lies {_length(shift, grid)} too far towards the {_side(shift, grid)}."
            )
        return "Its size and place are about right, but its shape is not: see which parts are missed and extra."
    wrong, kind = (inside & ~true, "extra") if ratio > 1 else (true & ~inside, "missed")
    where = _centre(wrong) - _centre(true)
    place = f"mostly towards the {_side(where, grid)}" if _far(where, true) else "on all sides"
    if ratio > 1:
        return f"It is too large, {ratio:.1f} times the truth; the {kind} voxels lie {place}."
    return f"It is too small, {ratio:.0%} of the truth; the {kind} voxels lie {place}."


def explain_field(found, true, at_most):
    """Say which one fault explains why the log of a bias field is off.

    Parameters
    ----------
    found, true : ndarray of float, shape (n,)
        Logarithms of both fields inside the brain.
    at_most : float
        Standard deviation that their difference may have.

    Returns
    -------
    str
    """
    if (found + true).std() <= max(at_most, (found - true).std() / 3):
        return "The field is upside down, bright where it should be dark: did you divide the other way round?"
    if found.std() < 0.6 * true.std():
        return "The field is too flat: it follows too little of the drift."
    if found.std() > 1.6 * true.std():
        return "The field is too strong: it follows the anatomy as well."
    return "The field has about the right strength, but another shape: see the ratio."


def explain_transform(matrix, truth, points, at_most_mm):
    """Say which one fault explains why a transform is off.

    Parameters
    ----------
    matrix, truth : array, shape (4, 4)
    points : ndarray of float, shape (n, 3)
        World coordinates in mm.
    at_most_mm : float
        Mean distance that is allowed.

    Returns
    -------
    str
    """
    if np.allclose(matrix, np.eye(4)):
        return "It is the identity: nothing was moved."
    if mean_distance(np.linalg.pinv(matrix), truth, points) <= at_most_mm:
        return "It is the inverse: it leads from fixed to moving instead of from moving to fixed, or the other way."
    if mean_distance(matrix.T, truth, points) <= at_most_mm:
        return "It is transposed: the translation belongs in the last column."
    apart = nib.affines.apply_affine(matrix, points) - nib.affines.apply_affine(truth, points)
    x, y, z = apart.mean(axis=0)
    if np.linalg.norm(apart - (x, y, z), axis=1).mean() <= at_most_mm:
        return f"The rotation is right; the translation is off by {x:.1f}, {y:.1f}, {z:.1f} mm along x, y, z."
    if np.allclose(matrix[:3, 3], np.asarray(truth)[:3, 3], atol=at_most_mm):
        return "The translation is right; the rotation is not."
    return "Both rotation and translation are off: lay the two scans over each other."


def _centre(part):
    return np.argwhere(part).mean(axis=0)


def _far(shift, true):
    """Whether a shift in voxels is large against the extent of the true mask."""
    extent = np.ptp(np.argwhere(true), axis=0) + 1
    return bool((np.abs(shift) > 0.12 * extent).any())


def _length(shift, grid):
    if not voxel_size_known(grid):
        return f"{np.linalg.norm(shift):.0f} voxels"
    return f"{np.linalg.norm(grid.affine[:3, :3] @ shift):.0f} mm"


def _side(shift, grid):
    world = grid.affine[:3, :3] @ shift
    axis = int(np.argmax(np.abs(world)))
    return _DIRECTIONS[axis][int(world[axis] > 0)]
