"""Features that give the label away are found in any shape; noise and honest features are not."""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, rankdata
from tiny import raises_three_lines

from epitome_kit.errors import LeakageError
from epitome_kit.grade import leaks
from epitome_kit.grade.leaks import find_leaks, require_no_copy, require_no_leaks


def _labels(n, rng):
    return rng.permutation((np.arange(n) < max(10, n // 3)).astype(int))


def _with_gaps(values, rng, number):
    values = values.astype(float)
    values[rng.choice(len(values), number, replace=False)] = np.nan
    return values


SHAPES = {
    "two gaps": lambda y, rng: _with_gaps(5 - 2 * y, rng, 2),
    "jitter": lambda y, rng: y + rng.normal(scale=0.1, size=len(y)),
    "a curve": lambda y, rng: np.exp(9 * y + rng.normal(size=len(y))),
    "finer classes in order": lambda y, rng: 3 * y + rng.integers(0, 3, len(y)),
    "finer classes out of order": lambda y, rng: y + 2 * rng.integers(0, 3, len(y)),
    "finer classes with gaps": lambda y, rng: _with_gaps(y + 2 * rng.integers(0, 2, len(y)), rng, 2),
    "missing for one class": lambda y, rng: np.where(y == 1, np.nan, rng.normal(size=len(y))),
}


@pytest.mark.parametrize("n", [20, 40, 100, 159])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_label_in_any_shape_is_found_and_nothing_else(shape, n):
    rng = np.random.default_rng(n)
    labels = _labels(n, rng)
    table = pd.DataFrame(rng.normal(size=(n, 8))).add_prefix("f").assign(told=SHAPES[shape](labels, rng))
    found = find_leaks(table.astype(np.float32), labels)
    assert list(found) == ["told"], found
    assert list(find_leaks(table.astype(np.float32), 1 - labels)) == ["told"]


def test_finer_classes_with_jitter_are_found():
    rng = np.random.default_rng(0)
    labels = _labels(60, rng)
    codes = labels + 2 * rng.integers(0, 3, 60) + rng.normal(scale=0.03, size=60)
    assert list(find_leaks(pd.DataFrame({"told": codes, "f": rng.normal(size=60)}), labels)) == ["told"]


def test_a_copy_among_2030_features_of_few_subjects_is_found():
    rng = np.random.default_rng(2)
    labels = _labels(20, rng)
    table = pd.DataFrame(rng.normal(size=(20, 2030))).add_prefix("f")
    table["gaps"], table["jitter"] = (SHAPES[shape](labels, rng) for shape in ("two gaps", "jitter"))
    assert set(find_leaks(table, labels)) == {"gaps", "jitter"}


NOISE = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "lognormal with gaps": lambda rng, shape: np.where(rng.random(shape) < 0.3, np.nan, rng.lognormal(0, 2, shape)),
    "zero or one": lambda rng, shape: rng.integers(0, 2, shape).astype(float),
    "counts": lambda rng, shape: rng.poisson(3, shape).astype(float),
    "two scanners": lambda rng, shape: rng.integers(0, 2, shape) + rng.normal(scale=0.05, size=shape),
    "mostly zero": lambda rng, shape: np.where(rng.random(shape) < 0.6, 0, rng.lognormal(size=shape)),
}


@pytest.mark.parametrize("kind", NOISE)
def test_noise_raises_no_alarm(kind):
    """600 features and 10 + 10 rows: the best of them reach an AUC of 0.98 in one table out of 38."""
    rng = np.random.default_rng(7)
    labels = np.repeat([0, 1], 10)
    assert not [each for each in (find_leaks(_noise(kind, rng), labels) for _ in range(3)) if each]


def _noise(kind, rng, columns=600):
    return pd.DataFrame(NOISE[kind](rng, (20, columns))).add_prefix("f")


@pytest.mark.parametrize("n", [40, 159])
def test_an_honest_feature_is_none(n):
    """Its AUC is 0.9, and rounding it to tenths makes it no code."""
    rng = np.random.default_rng(3)
    labels = _labels(n, rng)
    good = 1.8 * labels + rng.normal(size=n)
    table = pd.DataFrame({"good": good, "rounded": good.round(1), "age": (50 + 8 * good).round()})
    assert not find_leaks(table, labels)


def test_a_site_of_one_class_each_is_found():
    rng = np.random.default_rng(0)
    site = np.repeat(np.arange(6), 10)
    assert list(find_leaks(pd.DataFrame({"site": site, "f": rng.normal(size=60)}), site % 2)) == ["site"]


def test_rows_of_a_group_count_once():
    """Ten and ten patients with five scans each: 100 rows, but no more chance than of twenty."""
    rng = np.random.default_rng(0)
    labels, people = np.repeat(np.repeat([0, 1], 10), 5), np.repeat(np.arange(20), 5)
    values = np.sort(rng.normal(size=20))[people]
    table = pd.DataFrame(rng.normal(size=(100, 500))).add_prefix("f").assign(best=values)
    assert "best" in find_leaks(table, labels) and "best" not in find_leaks(table, labels, people)
    assert "best" in find_leaks(table[["f0", "best"]], labels, people)


def test_the_first_is_refused_by_name_and_may_be_allowed():
    rng = np.random.default_rng(0)
    labels = _labels(40, rng)
    table = pd.DataFrame({"f": rng.normal(size=40), "a": 2.0 * labels, "b": labels + rng.normal(scale=0.05, size=40)})
    with raises_three_lines(LeakageError, "column a, whose AUC is 1.000 with n = 40, and 1 more", "--allow-leak a"):
        require_no_leaks(table, labels, "grade")
    with raises_three_lines(LeakageError, "column b"):
        require_no_leaks(table, labels, "grade", allowed=["a"])
    assert set(require_no_leaks(table, labels, "grade", allowed=["a", "b"])) == {"a", "b"}


def test_a_text_that_says_the_label_is_refused_with_gaps_too():
    codes = pd.Series(np.arange(40) % 2)
    words = pd.Series(np.where(codes, "yes", "no")).mask(np.arange(40) < 3)
    for frame in (pd.DataFrame({"said": words}), pd.DataFrame({"said": codes * 2.0})):
        with raises_three_lines(LeakageError, "said", "--drop said"):
            require_no_copy(frame, codes, "grade")
        require_no_copy(frame, codes, "grade", allowed=["said"])
    require_no_copy(pd.DataFrame({"said": words.mask(codes == 0, words.shift())}), codes, "grade")


@pytest.mark.parametrize("ties", [False, True])
def test_the_chance_of_an_order_is_that_of_all_orders(ties):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 5, 12).astype(float) if ties else rng.normal(size=12)
    codes = np.array([1] * 4 + [0] * 8)[np.argsort(np.argsort(-values, kind="stable"))]
    found = leaks._chance_of_order(values, codes)
    if not ties:
        assert found == pytest.approx(mannwhitneyu(values[codes == 1], values[codes == 0], method="exact").pvalue)
    assert found == pytest.approx(_share_of_all_orders(values, codes))


def _share_of_all_orders(values, codes):
    ranks = rankdata(values)
    far = abs(ranks[codes == 1].sum() - codes.sum() * (len(codes) + 1) / 2) - 1e-9
    sums = np.array([ranks[list(each)].sum() for each in combinations(range(len(codes)), int(codes.sum()))])
    return np.mean(np.abs(sums - codes.sum() * (len(codes) + 1) / 2) >= far)


def test_the_chance_of_pure_groups_is_counted():
    assert leaks._chance_of_purity([10, 10], 10, 0) == pytest.approx(2 / comb(20, 10))
    assert leaks._chance_of_purity([5, 5, 10], 10, 0) == pytest.approx(2 / comb(20, 10))
    assert leaks._chance_of_purity([10, 10], 10, 2) == pytest.approx((2 + 2 * 10 * 10) / comb(20, 10))
    assert leaks._chance_of_purity([7, 13], 10, 0) == 0
