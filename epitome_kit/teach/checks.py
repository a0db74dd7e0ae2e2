"""Check answers that are numbers, choices, names, models or splits, and explain what is wrong with them."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from numbers import Real

import numpy as np

from epitome_kit.teach.check_result import Check, WrongAnswer, never_raises, require_answer, start_sentence
from epitome_kit.teach.mistakes import explain_number

_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")


@never_raises
def check_number(
    answer: object, expected: float, *, tolerance: float, unit: str = "", what: str = "the value"
) -> Check:
    """Compare a number with the expected one.

    Parameters
    ----------
    answer : float or None
        None is a blank exercise, here and in every check.
    expected, tolerance : float
        Expected number, and the largest deviation that is right.
    unit : str, default=""
    what : str, default="the value"
        Name of the number, for the message.

    Returns
    -------
    Check
    """
    require_answer(answer)
    what, value = start_sentence(what), _as_number(answer)
    if value is None:
        raise WrongAnswer(f"{what} should be one number; this is of type {type(answer).__name__}.")
    if not math.isfinite(value):
        raise WrongAnswer(f"{what} is {value}: look for a division by zero or an empty selection.")
    if abs(value - expected) > tolerance:
        raise WrongAnswer(f"{what} is {_amount(value, unit)}, which is {explain_number(value, expected)}")
    return Check(True, f"{what} is {_amount(value, unit)}, within {_amount(tolerance, unit)} of the truth.")


@never_raises
def check_choice(answer: object, expected: str, why: str, *, hint: str = "Look at the figure once more.") -> Check:
    """Compare a choice with the right one, regardless of capitals and spaces.

    Parameters
    ----------
    answer : str or None
    expected : str
    why : str
        Explanation, shown with the right choice.
    hint : str, optional
        Hint, shown with a wrong choice.

    Returns
    -------
    Check
    """
    require_answer(answer)
    if _normalise(answer) != _normalise(expected):
        raise WrongAnswer(f"“{answer}” is not right. {hint}")
    return Check(True, f"“{expected}” is right. {why}")


@never_raises
def check_names(
    answer: object,
    expected: Iterable[str],
    why: str,
    *,
    what: str = "the names",
    hint: str = "Look at the table once more.",
) -> Check:
    """Compare a list of names with the expected ones, in any order.

    Parameters
    ----------
    answer : sequence of str or None
    expected : sequence of str
    why : str
        Explanation, shown with the right names.
    what : str, default="the names"
    hint : str, optional
        Hint, shown with wrong names.

    Returns
    -------
    Check
    """
    require_answer(answer)
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise WrongAnswer(f"{start_sentence(what)} should be a list of names; this is of type {type(answer).__name__}.")
    given, right = ({str(name) for name in names} for names in (answer, expected))
    if given != right:
        others = f"; wrong: {', '.join(sorted(given - right))}" if given - right else ""
        raise WrongAnswer(f"{len(given & right)} of {len(right)} names found{others}. {hint}")
    return Check(True, f"All {len(right)} names found, and no wrong one. {why}")


@never_raises
def check_model(
    answer: object,
    score: Callable[..., float],
    expected: float,
    *,
    tolerance: float,
    what: str = "the score",
    hint: str = "",
) -> Check:
    """Compare the score of a model with the expected score.

    Parameters
    ----------
    answer : object or None
        Model, such as a scikit-learn pipeline.
    score : callable
        Takes the model, returns its score.
    expected, tolerance : float
        Expected score, and the largest deviation that is right.
    what : str, default="the score"
    hint : str, optional
        Hint, shown with a wrong score.

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
        raise WrongAnswer(
            f"{start_sentence(what)} is {value:.2f}, which is {explain_number(value, expected)} {hint}".strip()
        )
    return Check(True, f"{start_sentence(what)} is {value:.2f}, within {tolerance:.2g} of the solution.")


@never_raises
def check_split(train: object, test: object, *, everyone: Sequence[str] = ()) -> Check:
    """Check that no subject is in both the training and the test set.

    Parameters
    ----------
    train, test : sequence of str or None
        Names of subjects, or of files or slices that contain them (``sub-...``).
    everyone : sequence of str, default=()
        Subjects of which each should be in one of the sets.

    Returns
    -------
    Check
    """
    require_answer(train, test)
    sets = [_subjects(train), _subjects(test)]
    for subjects, name in zip(sets, ("training", "test"), strict=True):
        if not subjects:
            raise WrongAnswer(f"The {name} set is empty.")
    both = sets[0] & sets[1]
    if both:
        raise WrongAnswer(
            f"{_list_subjects(both)} in both sets, so the score would partly reflect memorisation. "
            "Split by subject, not by slice."
        )
    missing = _subjects(everyone) - sets[0] - sets[1]
    if missing:
        raise WrongAnswer(f"No subject is in both sets, but {_list_subjects(missing)} in neither.")
    return Check(True, f"{len(sets[0])} subjects to train on, {len(sets[1])} to test on, and none in both sets.")


def _subjects(names: object) -> set[str]:
    """Return the subjects named by a list of subjects, files or slices."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise WrongAnswer("Both sets should be lists of subjects, such as ['sub-001', 'sub-002'].")
    texts = [str(name) for name in names]
    found = [_SUBJECT.search(text) for text in texts]
    return {match.group() if match else text for match, text in zip(found, texts, strict=True)}


def _list_subjects(subjects: set[str]) -> str:
    names = sorted(subjects)
    few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} subject{'s' * (len(names) > 1)} ({few}) {'are' if len(names) > 1 else 'is'}"


def _as_number(answer: object) -> float | None:
    if isinstance(answer, np.ndarray) and answer.size == 1:
        answer = answer.item()
    return float(answer) if isinstance(answer, Real) and not isinstance(answer, bool) else None


def _amount(value: float, unit: str) -> str:
    return f"{value:.3g}{' ' * bool(unit)}{unit}"


def _normalise(text: object) -> str:
    return " ".join(str(text).split()).casefold()
