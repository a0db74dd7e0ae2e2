"""Answers whose code is nearly the same: a fact for the instructor, who knows how it may have come about."""

import io
import keyword
import tokenize
from collections import defaultdict
from collections.abc import Mapping
from difflib import SequenceMatcher
from itertools import combinations, pairwise

_MOST_TEXT = 20_000
"""Characters of an answer that are compared."""

_SHORTEST, _LONGEST = 40, 2000
"""Parts of an answer below which equal code says nothing: two students write the same line. More are not compared."""

_NEARLY = 0.9
"""Share of equal parts from which two answers are nearly the same."""

_IGNORED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_SETS = {"=", "+=", "-=", "*=", "/=", "in"}
"""What follows the name of a variable that is set."""


def alike(answers: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, int], str]:
    """Find answers to one notebook whose code is nearly the same.

    Names of variables, comments, quotes and line breaks do not count; numbers, text
    and the names of functions and attributes do.

    Parameters
    ----------
    answers : dict of str to dict
        File to the code of its answers, by the id of the exercise.

    Returns
    -------
    dict of (str, int) to str
        File and number of the exercise (from 1) to the files that answer it with
        nearly the same code. Answers of a line or two are left out.
    """
    found = defaultdict(list)
    exercises = list(next(iter(answers.values()), {}))
    for number, exercise in enumerate(exercises, 1):
        parts = {file: _parts(codes.get(exercise, "")) for file, codes in answers.items()}
        long = {file: part for file, part in parts.items() if len(part) >= _SHORTEST}
        for (one, first), (two, second) in combinations(long.items(), 2):
            if _nearly_equal(first, second):
                found[one, number].append(two)
                found[two, number].append(one)
    return {key: ", ".join(files) for key, files in found.items()}


def _nearly_equal(first: list[str], second: list[str]) -> bool:
    if first == second:
        return True
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    return matcher.real_quick_ratio() >= _NEARLY and matcher.quick_ratio() >= _NEARLY and matcher.ratio() >= _NEARLY


def _parts(code: str) -> list[str]:
    """Return the tokens of a code, with a number in place of each variable that it sets.

    Not by ``ast``, whose parser can end the process on hostile code.
    """
    code = code[:_MOST_TEXT]
    try:
        tokens = [each for each in tokenize.generate_tokens(io.StringIO(code).readline) if each.type not in _IGNORED]
    except (SyntaxError, ValueError, tokenize.TokenError):
        return code.split()[:_LONGEST]  # such as code with magics
    names = [one.string for one, two in pairwise(tokens) if one.type == tokenize.NAME and two.string in _SETS]
    own = {name: str(number) for number, name in enumerate(dict.fromkeys(names)) if not keyword.iskeyword(name)}
    return [own.get(each.string, each.string.strip("\"'")) for each in tokens[:_LONGEST]]
