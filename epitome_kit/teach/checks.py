"""Checks of exercises: what is right, what is off, and where; never an exception for an answer."""

import math
import re
from collections.abc import Iterable
from functools import partial
from numbers import Real
from os import PathLike

import nibabel as nib
import numpy as np

from epitome_kit.errors import EpitomeError
from epitome_kit.images import image_like, load_image, load_mask, same_grid
from epitome_kit.metrics import dice
from epitome_kit.plotting.scans import before_after, missed_and_extra
from epitome_kit.plotting.slices import load_shown
from epitome_kit.preprocess.quality import mean_distance
from epitome_kit.teach.check_result import Check, WrongAnswer, never_raises, require_answer
from epitome_kit.teach.mistakes import explain_field, explain_mask, explain_number, explain_transform
from epitome_kit.tumour.measure import size_text

_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")


@never_raises
def check_number(answer, expected, *, tolerance, unit="", what="the value"):
    """Compare a number with the expected one.

    Parameters
    ----------
    answer : float or None
        None stands for a blank exercise, here and in every check.
    expected, tolerance : float
        The answer may be off by `tolerance`, in the same unit.
    unit : str, default=""
    what : str, default="the value"
        What the number is, for the message.

    Returns
    -------
    Check
    """
    require_answer(answer)
    what, value = _start(what), _as_number(answer)
    if value is None:
        raise WrongAnswer(f"{what} should be one number; this is of type {type(answer).__name__}.")
    if not math.isfinite(value):
        raise WrongAnswer(f"{what} is {value}: look for a division by zero or an empty selection on the way.")
    if abs(value - expected) > tolerance:
        raise WrongAnswer(f"{what} is {_amount(value, unit)}, which is {explain_number(value, expected)}")
    return Check(True, f"{what} is {_amount(value, unit)}, within {_amount(tolerance, unit)} of the truth.")


@never_raises
def check_choice(answer, expected, why, *, hint="Look at the figure once more."):
    """Compare a choice with the right one, capitals and spaces aside.

    Parameters
    ----------
    answer : str or None
    expected : str
    why : str
        Explains the right choice; shown with it.
    hint : str, optional
        Shown with a wrong one.

    Returns
    -------
    Check
    """
    require_answer(answer)
    if _plain(answer) != _plain(expected):
        raise WrongAnswer(f"“{answer}” is not it. {hint}")
    return Check(True, f"“{expected}” it is. {why}")


@never_raises
def check_names(answer, expected, why, *, what="the names", hint="Look at the table once more."):
    """Compare a list of names with the expected ones, their order aside.

    Parameters
    ----------
    answer : sequence of str or None
    expected : sequence of str
    why : str
        Explains the right names; shown with them.
    what : str, default="the names"
    hint : str, optional
        Shown with wrong ones.

    Returns
    -------
    Check
    """
    require_answer(answer)
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise WrongAnswer(f"{_start(what)} should be a list of names; this is of type {type(answer).__name__}.")
    given, asked = ({str(name) for name in names} for names in (answer, expected))
    if given != asked:
        others = f"; not among them: {', '.join(sorted(given - asked))}" if given - asked else ""
        raise WrongAnswer(f"{len(given & asked)} of {len(asked)} are there{others}. {hint}")
    return Check(True, f"All {len(asked)} are there, and no other. {why}")


@never_raises
def check_model(answer, score, expected, *, tolerance, what="the score", hint=""):
    """Compare what a model scores with the expected score.

    Parameters
    ----------
    answer : object or None
        Such as a scikit-learn pipeline.
    score : callable
        Takes the model, returns its score.
    expected, tolerance : float
    what : str, default="the score"
    hint : str, optional
        Shown with a wrong one.

    Returns
    -------
    Check
    """
    require_answer(answer)
    try:
        value = score(answer)
    except Exception as error:  # a model that a student built may raise anything
        raise WrongAnswer(
            f"The model cannot be scored: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
        ) from error
    if abs(value - expected) > tolerance:
        raise WrongAnswer(f"{_start(what)} is {value:.2f}, which is {explain_number(value, expected)} {hint}".strip())
    return Check(True, f"{_start(what)} is {value:.2f}, as that of the solution within {tolerance:.2g}.")


@never_raises
def check_mask(answer, truth, *, at_least=0.9, what="the mask", image=None):
    """Compare a mask with the truth and say what is off, and where.

    Parameters
    ----------
    answer : image, path, array or None
        An array is taken to lie on the grid of `truth`.
    truth : image or path
    at_least : float, default=0.9
        Dice that is asked for.
    what : str, default="the mask"
    image : image or path, optional
        Scan to draw the picture on.

    Returns
    -------
    Check
        With a picture of missed and extra voxels, if the grids agree.
    """
    require_answer(answer)
    truth = load_mask(truth, where="check_mask")
    mask = _read(answer, truth, load_shown, what)
    inside, true = (np.asarray(part.dataobj) > 0 for part in (mask, truth))
    if not inside.any():
        raise WrongAnswer(f"{_start(what)} is empty: no voxel is above zero.")
    score = dice(inside, true)
    figure = missed_and_extra(mask, truth, image, what=what)
    sizes = f"{size_text(np.count_nonzero(inside), truth)} against {size_text(np.count_nonzero(true), truth)}"
    if score >= at_least:
        return Check(True, f"{_start(what)} overlaps the truth with Dice {score:.2f}, {sizes}.", figure)
    reason = explain_mask(inside, true, truth, at_least)
    return Check(False, f"Dice is {score:.2f}, and {at_least:.2f} is asked for ({sizes}). {reason}", figure)


@never_raises
def check_field(answer, truth, mask, *, at_most=0.05, what="the bias field"):
    """Compare a bias field with the true one, their overall scale aside.

    Parameters
    ----------
    answer : image, path, array or None
        An array is taken to lie on the grid of `truth`.
    truth : image or path
        Positive inside `mask`.
    mask : image or path
        Where to compare.
    at_most : float, default=0.05
        Standard deviation that the log of their ratio may have.
    what : str, default="the bias field"

    Returns
    -------
    Check
        With a picture of their ratio, if the grids agree.
    """
    require_answer(answer)
    truth = load_image(truth, where="check_field")
    mask = load_mask(mask, like=truth, where="check_field")
    field = _read(answer, truth, partial(load_image, check_voxels=False), what)
    inside = np.asarray(mask.dataobj) > 0
    found, true = (np.asarray(part.dataobj, float)[inside] for part in (field, truth))
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise WrongAnswer(
            f"{_start(what)} multiplies the scan, so inside the brain it has to be above zero everywhere."
        )
    found, true = np.log(found), np.log(true)
    figure = before_after(truth, field, {"brain": mask}, labels=("truth", "answer"), compare="ratio", title=what)
    left = (found - true).std()
    said = f"What is left of the drift has a log sd of {left:.3f} (it was {true.std():.3f})"
    if left <= at_most:
        return Check(True, f"{said}; at most {at_most:.3f} is asked for.", figure)
    reason = explain_field(found, true, at_most)
    return Check(False, f"{said}, and at most {at_most:.3f} is asked for. {reason}", figure)


@never_raises
def check_transform(answer, truth, mask, *, at_most_mm=2.0, what="the transform"):
    """Compare two affine transforms by how far apart they put the voxels of a mask.

    Parameters
    ----------
    answer : array, shape (4, 4), or None
        Takes world coordinates (mm) to world coordinates.
    truth : array, shape (4, 4)
    mask : image or path
        Where it matters.
    at_most_mm : float, default=2.0
        Mean distance that is allowed.
    what : str, default="the transform"

    Returns
    -------
    Check
    """
    require_answer(answer)
    what = _start(what)
    try:
        matrix = np.asarray(answer, float)
    except (TypeError, ValueError):
        raise WrongAnswer(f"{what} should be a 4 x 4 matrix; this is of type {type(answer).__name__}.") from None
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise WrongAnswer(f"{what} should be a 4 x 4 matrix of finite numbers; this has shape {matrix.shape}.")
    mask = load_mask(mask, where="check_transform")
    points = nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0))
    error = mean_distance(matrix, truth, points)
    said = f"{what} puts the brain {error:.1f} mm from where it belongs, on average"
    if error > at_most_mm:
        reason = explain_transform(matrix, truth, points, at_most_mm)
        raise WrongAnswer(f"{said}; at most {at_most_mm:.3g} mm is asked for. {reason}")
    return Check(True, f"{said}.")


@never_raises
def check_split(train, test, *, everyone=()):
    """Make sure that no subject is both learned from and tested on.

    Parameters
    ----------
    train, test : sequence of str or None
        Names of subjects, or of files or slices that contain them (``sub-...``).
    everyone : sequence of str, default=()
        Subjects that should stand on one side or the other.

    Returns
    -------
    Check
    """
    require_answer(train, test)
    sides = [_subjects(train), _subjects(test)]
    for side, name in zip(sides, ("training", "test"), strict=True):
        if not side:
            raise WrongAnswer(f"The {name} side is empty: nobody is left there.")
    both = sides[0] & sides[1]
    if both:
        raise WrongAnswer(
            f"{_who(both)} on both sides, so the score would partly be memory. Split by subject, not by slice."
        )
    missing = _subjects(everyone) - sides[0] - sides[1]
    if missing:
        raise WrongAnswer(f"Nobody is on both sides, but {_who(missing)} on neither.")
    return Check(True, f"{len(sides[0])} subjects to learn from, {len(sides[1])} to test on, and nobody on both sides.")


def _read(answer, truth, load, what):
    """Load the image that a student made, and make sure that it lies on the grid of the truth."""
    what = _start(what)
    plain = f"{what} does not hold plain numbers, one for each voxel."
    if isinstance(answer, np.ndarray):
        if answer.dtype.kind not in "biuf":
            raise WrongAnswer(plain)
        answer = image_like(answer.astype(np.float32), truth)
    elif not isinstance(answer, (str, PathLike, nib.Nifti1Image)):
        raise WrongAnswer(f"{what} should be an image or an array; this is of type {type(answer).__name__}.")
    try:
        image = load(answer, where=what)
    except EpitomeError as error:
        raise WrongAnswer(f"{what} cannot be used: {error.reason}.") from error
    except TypeError as error:
        raise WrongAnswer(plain) from error
    if image.shape != truth.shape:
        raise WrongAnswer(f"{what} has shape {image.shape}, the truth {truth.shape}: stay on the grid of the scan.")
    if not same_grid(image, truth):
        raise WrongAnswer(
            f"{what} has the right shape but another affine, so it lies elsewhere: keep the affine of the scan."
        )
    return image


def _subjects(names):
    """Subjects behind a list of names of subjects, files or slices."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise WrongAnswer("Both sides should be lists of subjects, such as ['sub-001', 'sub-002'].")
    texts = [str(name) for name in names]
    found = [_SUBJECT.search(text) for text in texts]
    return {match.group() if match else text for match, text in zip(found, texts, strict=True)}


def _who(subjects):
    names = sorted(subjects)
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} subject{'s' * (len(names) > 1)} ({few}) {'are' if len(names) > 1 else 'is'}"


def _as_number(answer):
    if isinstance(answer, np.ndarray) and answer.size == 1:
        answer = answer.item()
    return float(answer) if isinstance(answer, Real) and not isinstance(answer, bool) else None


def _amount(value, unit):
    return f"{value:.3g}{' ' * bool(unit)}{unit}"


def _plain(text):
    return " ".join(str(text).split()).casefold()


def _start(what):
    return what[:1].upper() + what[1:]
