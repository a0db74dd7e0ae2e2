"""The examples in the docstrings of the public face run, in an empty folder, and give what they show."""

import doctest

import pytest

import epitome_kit
from epitome_kit import grade

VERBS = [name for name in epitome_kit.__all__ if name != "__version__"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


ESTIMATORS = ("FeatureSelector", "Grader")


def _example(name):
    owner = grade if name in ESTIMATORS else epitome_kit
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(owner, name), name)
    return example


def test_at_most_ten_examples_are_skipped():
    skipped = [verb for verb in VERBS if all(each.options.get(doctest.SKIP) for each in _example(verb).examples[1:])]
    assert all(_example(verb).examples for verb in VERBS) and len(skipped) <= 10


@pytest.mark.slow
@pytest.mark.parametrize("verb", [*VERBS, *ESTIMATORS])
def test_the_example_of_a_function_runs(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = []
    results = doctest.DocTestRunner(optionflags=FLAGS).run(_example(verb), out=printed.append)
    assert not results.failed, "".join(printed)
