"""Likeness of answers: the same code under other names is found, a line that everybody writes is not."""

import pytest

from epitome_kit.classroom.likeness import alike

LOOP = """
total, found = 0, []
for number in range(1, 20):
    if number % 3 == 0:
        found.append(number ** 2 - 7 * number + 1)
        total += found[-1] / (number + 1)
my_x = total / max(found)
"""
OTHER = """
import numpy as np
x = np.arange(1, 20)
threes = x[x % 3 == 0].astype(float)
squares = threes ** 2 - 7 * threes + 1
my_x = np.sum(squares / (threes + 1)) / np.max(squares)
"""
HOSTILE = ["(" * 10_000, "-" * 200_000 + "1", "'" * 50_000, "\0\x1b", "%%bash\nls", "\ud800 = 1", "def f(:\n\t x"]


def _alike(*codes):
    return alike({f"{number}.ipynb": {"a": "my_a = 1", "x": code} for number, code in enumerate(codes)})


@pytest.mark.parametrize(
    "copy",
    [
        LOOP,
        "# mine\n" + LOOP.replace("\n", "\n\n").replace("found", "values").replace("number", "n"),
        LOOP.replace("1, 20", "1,\n    20").replace("- 7", "-   7"),
        LOOP.replace("+ 1)\n        total", "+ 2)\n        total"),
    ],
    ids=["the same", "other names", "other lines", "another number"],
)
def test_nearly_the_same_code_is_found(copy):
    assert _alike(LOOP, OTHER, copy) == {("0.ipynb", 2): "2.ipynb", ("2.ipynb", 2): "0.ipynb"}


def test_short_and_other_answers_are_not():
    assert _alike(LOOP, OTHER, "my_x = labels.mean()", "my_x = labels.mean()") == {}


@pytest.mark.parametrize("code", HOSTILE, ids=range(len(HOSTILE)))
def test_no_code_ends_the_comparison(code):
    assert ("0.ipynb", 2) not in _alike(LOOP, code) and alike({}) == {}
