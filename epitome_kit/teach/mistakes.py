"""Find the mistake that explains a wrong answer."""

import nibabel as nib
import numpy as np

from epitome_kit.images import voxel_size_known
from epitome_kit.metrics import dice
from epitome_kit.preprocess.quality import mean_distance

_DIRECTIONS = (("patient's left", "patient's right"), ("back of the head", "front of the head"), ("neck", "crown"))
_FACTORS = {
    1000: "mm³ in place of mL",
    100: "per cent in place of a fraction",
    10: "mm in place of cm",
    2: "a radius in place of a diameter",
}


def explain_number(value: float, expected: float) -> str:
    """Describe the error of a number, and the units or quantities that may have been confused."""
    if expected == 0 or value == 0:
        return "wrong: go through the steps once more."
    if value * expected < 0:
        return "of the wrong sign."
    ratio = value / expected
    word, times = ("large", ratio) if ratio > 1 else ("small", 1 / ratio)
    for factor, mix in _FACTORS.items():
        if abs(times / factor - 1) < 0.02:
            return f"{factor} times too {word}: did you use {mix}, or the reverse?"
    about = f"{times:,.0f}" if times > 10 else f"{times:.2g}"
    return f"about {about} times too {word}." if times > 2 else f"too {word} by about {abs(ratio - 1):.0%}."


def explain_mask(inside: np.ndarray, true: np.ndarray, grid: nib.Nifti1Image, at_least: float) -> str:
    """Find the mistake that explains most of the difference between two masks.

    Parameters
    ----------
    inside, true : ndarray of bool, shape (i, j, k)
        Masks, neither of which is empty.
    grid : Nifti1Image
        Image on the same grid.
    at_least : float
        Required Dice.

    Returns
    -------
    str
        One sentence, or two.
    """
    required = max(at_least, 0.5)
    if dice(~inside, true) >= required:
        return "It is inverted: voxels that should be 1 are 0. Try `~mask`."
    for axis in range(3):
        if dice(np.flip(inside, axis), true) >= max(required, dice(inside, true) + 0.1):
            return f"It is mirrored along axis {'ijk'[axis]}: was the array flipped without its affine?"
    ratio = np.count_nonzero(inside) / np.count_nonzero(true)
    shift = _centre(inside) - _centre(true)
    if 0.8 < ratio < 1.25:
        if _far(shift, true):
            return (
                f"Its size is about right, but it is {_length(shift, grid)} too far towards the {_side(shift, grid)}."
            )
        return "Its size and position are about right, but its shape is not: see which parts are missed and extra."
    wrong, kind = (inside & ~true, "extra") if ratio > 1 else (true & ~inside, "missed")
    where = _centre(wrong) - _centre(true)
    place = f"mostly towards the {_side(where, grid)}" if _far(where, true) else "on all sides"
    if ratio > 1:
        return f"It is too large, {ratio:.1f} times the truth; the {kind} voxels are {place}."
    return f"It is too small, {ratio:.0%} of the truth; the {kind} voxels are {place}."


def explain_field(found: np.ndarray, true: np.ndarray, at_most: float) -> str:
    """Find the mistake that explains the error of a bias field.

    Parameters
    ----------
    found, true : ndarray of float, shape (n,)
        Logarithms of both fields inside the brain.
    at_most : float
        Largest standard deviation of their difference that is right.

    Returns
    -------
    str
    """
    if (found + true).std() <= max(at_most, (found - true).std() / 3):
        return "The field is inverted, bright where it should be dark: did you divide the other way round?"
    if found.std() < 0.6 * true.std():
        return "The field is too flat: it captures too little of the bias."
    if found.std() > 1.6 * true.std():
        return "The field is too strong: it follows the anatomy as well."
    return "The field has about the right strength, but another shape: see the ratio."


def explain_transform(matrix: np.ndarray, truth: np.ndarray, points: np.ndarray, at_most_mm: float) -> str:
    """Find the mistake that explains the error of a transform.

    Parameters
    ----------
    matrix, truth : array, shape (4, 4)
    points : ndarray of float, shape (n, 3)
        World coordinates in mm.
    at_most_mm : float
        Largest mean distance that is right.

    Returns
    -------
    str
    """
    if np.allclose(matrix, np.eye(4)):
        return "It is the identity: nothing was moved."
    if mean_distance(np.linalg.pinv(matrix), truth, points) <= at_most_mm:
        return "It is the inverse: did you swap the fixed and the moving scan?"
    if mean_distance(matrix.T, truth, points) <= at_most_mm:
        return "It is transposed: the translation belongs in the last column."
    apart = nib.affines.apply_affine(matrix, points) - nib.affines.apply_affine(truth, points)
    x, y, z = apart.mean(axis=0)
    if np.linalg.norm(apart - (x, y, z), axis=1).mean() <= at_most_mm:
        return f"The rotation is right; the translation is off by {x:.1f}, {y:.1f}, {z:.1f} mm along x, y, z."
    if np.allclose(matrix[:3, 3], np.asarray(truth)[:3, 3], atol=at_most_mm):
        return "The translation is right; the rotation is not."
    return "Both rotation and translation are wrong: overlay the two scans."


def _centre(part: np.ndarray) -> np.ndarray:
    return np.argwhere(part).mean(axis=0)


def _far(shift: np.ndarray, true: np.ndarray) -> bool:
    """Check whether a shift in voxels is large compared with the extent of the true mask."""
    extent = np.ptp(np.argwhere(true), axis=0) + 1
    return bool((np.abs(shift) > 0.12 * extent).any())


def _length(shift: np.ndarray, grid: nib.Nifti1Image) -> str:
    if not voxel_size_known(grid):
        return f"{np.linalg.norm(shift):.0f} voxels"
    return f"{np.linalg.norm(grid.affine[:3, :3] @ shift):.0f} mm"


def _side(shift: np.ndarray, grid: nib.Nifti1Image) -> str:
    world = grid.affine[:3, :3] @ shift
    axis = int(np.argmax(np.abs(world)))
    return _DIRECTIONS[axis][int(world[axis] > 0)]
