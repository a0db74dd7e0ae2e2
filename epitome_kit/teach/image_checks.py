"""Check answers that are masks, bias fields or transforms, and explain what is wrong with them."""

import os
from collections.abc import Callable
from functools import partial

import nibabel as nib
import numpy as np

from epitome_kit.errors import EpitomeError
from epitome_kit.images import ImageLike, load_image, load_mask, new_image_like, same_grid
from epitome_kit.metrics import dice
from epitome_kit.plotting.scans import before_after, missed_and_extra
from epitome_kit.plotting.slices import load_shown
from epitome_kit.preprocess.quality import mean_distance
from epitome_kit.teach.check_result import Check, WrongAnswer, never_raises, require_answer, start_sentence
from epitome_kit.teach.mistakes import explain_field, explain_mask, explain_transform
from epitome_kit.tumour.measure import size_text


@never_raises
def check_mask(
    answer: object,
    truth: ImageLike,
    *,
    at_least: float = 0.9,
    what: str = "the mask",
    image: ImageLike | None = None,
    within: np.ndarray | None = None,
) -> Check:
    """Compare a mask with the truth, and explain what is wrong.

    Parameters
    ----------
    answer : image, path, array or None
        Mask; an array is on the grid of `truth`.
    truth : image or path
    at_least : float, default=0.9
        Required Dice.
    what : str, default="the mask"
    image : image or path, optional
        Scan on which to draw the figure.
    within : ndarray, default=None
        Voxels to compare, those above zero; all, if not given.

    Returns
    -------
    Check
        With a figure of missed and extra voxels, if the grids agree.
    """
    require_answer(answer)
    reference = load_mask(truth, where="check_mask")
    mask = _read(answer, reference, load_shown, what)
    if within is not None:
        kept = (np.asarray(mask.dataobj) > 0) & (within > 0)
        mask = new_image_like(kept.astype(np.uint8), reference)
    inside, true = (np.asarray(part.dataobj) > 0 for part in (mask, reference))
    if not inside.any():
        raise WrongAnswer(f"{start_sentence(what)} is empty: no voxel is above zero.")
    score = dice(inside, true)
    figure = missed_and_extra(mask, reference, image, what=what)
    found_size, true_size = (size_text(np.count_nonzero(part), reference) for part in (inside, true))
    sizes = f"{found_size}; truth {true_size}"
    if score >= at_least:
        return Check(True, f"{start_sentence(what)} overlaps the truth with Dice {score:.2f} ({sizes}).", figure)
    reason = explain_mask(inside, true, reference, at_least)
    return Check(False, f"Dice is {score:.2f}; at least {at_least:.2f} is required ({sizes}). {reason}", figure)


@never_raises
def check_field(
    answer: object, truth: ImageLike, mask: ImageLike, *, at_most: float = 0.05, what: str = "the bias field"
) -> Check:
    """Compare a bias field with the true one, regardless of their overall scale.

    Parameters
    ----------
    answer : image, path, array or None
        Bias field; an array is on the grid of `truth`.
    truth : image or path
        True field, positive inside `mask`.
    mask : image or path
        Voxels to compare.
    at_most : float, default=0.05
        Largest standard deviation of the log of their ratio that is right.
    what : str, default="the bias field"

    Returns
    -------
    Check
        With a figure of their ratio, if the grids agree.
    """
    require_answer(answer)
    reference = load_image(truth, where="check_field")
    brain = load_mask(mask, like=reference, where="check_field")
    field = _read(answer, reference, partial(load_image, check_voxels=False), what)
    inside = np.asarray(brain.dataobj) > 0
    found, true = (np.asarray(part.dataobj, float)[inside] for part in (field, reference))
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise WrongAnswer(
            f"{start_sentence(what)} multiplies the scan, so it has to be above zero everywhere inside the brain."
        )
    found, true = np.log(found), np.log(true)
    figure = before_after(reference, field, {"brain": brain}, labels=("truth", "answer"), compare="ratio", title=what)
    residual = (found - true).std()
    message = (
        f"The log sd of the residual bias is {residual:.3f} (before correction: {true.std():.3f}); "
        f"at most {at_most:.3f} is allowed."
    )
    if residual <= at_most:
        return Check(True, message, figure)
    return Check(False, f"{message} {explain_field(found, true, at_most)}", figure)


@never_raises
def check_transform(
    answer: object,
    truth: np.ndarray,
    mask: ImageLike,
    *,
    at_most_mm: float = 2.0,
    what: str = "the transform",
) -> Check:
    """Compare two affine transforms by the distance between the voxels of a mask after each.

    Parameters
    ----------
    answer : array, shape (4, 4), or None
        Transform from world coordinates (mm) to world coordinates.
    truth : array, shape (4, 4)
    mask : image or path
        Voxels to transform.
    at_most_mm : float, default=2.0
        Largest mean distance that is right.
    what : str, default="the transform"

    Returns
    -------
    Check
    """
    require_answer(answer)
    what = start_sentence(what)
    try:
        matrix = np.array(answer, dtype=float)
    except (TypeError, ValueError):
        raise WrongAnswer(f"{what} should be a 4 x 4 matrix; this is of type {type(answer).__name__}.") from None
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise WrongAnswer(f"{what} should be a 4 x 4 matrix of finite numbers; this has shape {matrix.shape}.")
    brain = load_mask(mask, where="check_transform")
    points = nib.affines.apply_affine(brain.affine, np.argwhere(np.asarray(brain.dataobj) > 0))
    error = mean_distance(matrix, truth, points)
    message = f"{what} misplaces the brain by {error:.1f} mm on average"
    if error > at_most_mm:
        reason = explain_transform(matrix, truth, points, at_most_mm)
        raise WrongAnswer(f"{message}; at most {at_most_mm:.3g} mm is allowed. {reason}")
    return Check(True, f"{message}.")


def _read(answer: object, truth: nib.Nifti1Image, load: Callable[..., nib.Nifti1Image], what: str) -> nib.Nifti1Image:
    """Load the image that a student made, and check that it is on the grid of the truth."""
    what = start_sentence(what)
    not_numbers = f"{what} does not hold plain numbers, one for each voxel."
    if isinstance(answer, np.ndarray):
        if answer.dtype.kind not in "biuf":
            raise WrongAnswer(not_numbers)
        answer = new_image_like(answer.astype(np.float32), truth)
    elif not isinstance(answer, (str, os.PathLike, nib.Nifti1Image)):
        raise WrongAnswer(f"{what} should be an image or an array; this is of type {type(answer).__name__}.")
    try:
        image = load(answer, where=what)
    except EpitomeError as error:
        raise WrongAnswer(f"{what} cannot be used: {error.reason}.") from error
    except TypeError as error:
        raise WrongAnswer(not_numbers) from error
    if image.shape != truth.shape:
        raise WrongAnswer(f"{what} has shape {image.shape}, the truth {truth.shape}: keep the grid of the scan.")
    if not same_grid(image, truth):
        raise WrongAnswer(
            f"{what} has the right shape but another affine, so it is in another place: keep the affine of the scan."
        )
    return image
