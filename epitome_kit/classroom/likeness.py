"""Answers whose code is nearly the same: a fact for the instructor, who knows how it may have come about."""

import ast
from collections import defaultdict
from collections.abc import Mapping
from difflib import SequenceMatcher
from itertools import combinations

_SHORTEST = 60
"""Parts of an answer below which equal code says nothing: two students write the same line."""

_NEARLY = 0.9
"""Share of equal parts from which two answers are nearly the same."""


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
    """Return the syntax of a code in order, with a number in place of each variable that it sets."""
    try:
        nodes = _in_order(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code.split()  # such as code with magics
    own = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    numbers = {name: str(number) for number, name in enumerate(dict.fromkeys(own))}
    return [_part(node, numbers) for node in nodes if not isinstance(node, ast.expr_context)]


def _in_order(node: ast.AST) -> list[ast.AST]:
    """Return a node and all below it, parents first and in the order of the code."""
    found: list[ast.AST] = []
    waiting = [node]
    while waiting:
        found.append(waiting.pop())
        waiting += reversed(list(ast.iter_child_nodes(found[-1])))
    return found


def _part(node: ast.AST, numbers: Mapping[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return f"name {numbers.get(name, name)}"
        case ast.Constant(value=value):
            return f"constant {value!r}"
        case ast.Attribute(attr=name) | ast.keyword(arg=name) | ast.alias(name=name):
            return f"{type(node).__name__} {name}"
    return type(node).__name__
