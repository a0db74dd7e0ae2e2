"""The models of `make selection` are those of the kit."""

import sys
from pathlib import Path

import numpy as np
import pytest

from epitome_kit.grade.baselines import make_baseline

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def models(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import fast_models

    yield fast_models
    sys.modules.pop("fast_models")


def _subjects(n, rng):
    y = np.arange(n) % 3 == 0
    return (rng.standard_normal((n, 20)) + 0.5 * y[:, None]).astype(np.float32), y.astype(int)


@pytest.mark.slow
def test_the_network_in_numpy_is_the_network(models):
    from epitome_kit.grade import Grader

    rng = np.random.default_rng(0)
    (x, y), (tested, _) = _subjects(38, rng), _subjects(50, rng)
    expected = Grader().fit(x, y).predict_proba(tested)[:, 1]
    assert models.RandomFeatureNetwork().fit(x, y).predict(tested) == pytest.approx(expected, abs=1e-3)


def test_ridge_ranks_like_the_logistic_regression(models):
    rng = np.random.default_rng(0)
    (x, y), (tested, _) = _subjects(38, rng), _subjects(300, rng)
    expected = make_baseline("logistic").fit(x, y).decision_function(tested)
    assert np.corrcoef(models.Ridge().fit(x, y).predict(tested), expected)[0, 1] > 0.97
