"""Latent variables of simulated gliomas: their distribution, and the ceiling of any classifier."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from epitome_kit.simulate.labels import TUMOUR_TYPES, draw_labels
from epitome_kit.simulate.latents import LATENTS, draw_latents, oracle_auc, oracle_score


def _population(draws, seed):
    rng = np.random.default_rng(seed)
    types = draw_labels(draws, rng)
    labels = {name: np.array([getattr(each, name) for each in types]) for name in ("grade_3", "codeleted")}
    return draw_latents(labels["grade_3"], labels["codeleted"], rng), labels


def test_labels_shift_the_latents_by_what_the_table_says():
    rng = np.random.default_rng(0)
    shifts = np.array([latent[:3] for latent in LATENTS.values()])
    free = [index for index, latent in enumerate(LATENTS.values()) if np.isinf(latent.floor)]
    for grade_3, codeleted in ((0, 0), (1, 0), (0, 1), (1, 1)):
        drawn = draw_latents(np.full(20_000, grade_3), np.full(20_000, codeleted), rng)
        assert drawn[:, free].mean(0) == pytest.approx((shifts @ [grade_3, codeleted, 1])[free], abs=0.04)
        assert drawn[:, free].std(0) == pytest.approx(np.ones(len(free)), abs=0.03)
        enhancing = (drawn[:, list(LATENTS).index("enhancement")] > 0).mean()
        assert enhancing == pytest.approx(norm.cdf(-1.0 + 1.3 * grade_3), abs=0.02)
        necrotic = (drawn[:, list(LATENTS).index("necrosis")] > 0).mean()
        assert necrotic == pytest.approx(norm.cdf(-0.4) if grade_3 and codeleted else 0, abs=0.02)
    assert draw_latents(True, False, rng).shape == (len(LATENTS),)


@pytest.mark.parametrize("target", ["grade", "codeletion"])
def test_the_oracle_is_the_log_likelihood_ratio(target):
    latents, _ = _population(50, 0)

    def log_density(kind):
        total = np.zeros(len(latents))
        for column, (name, latent) in zip(latents.T, LATENTS.items(), strict=True):
            mean = latent.mean + kind.grade_3 * latent.grade_3 + kind.codeleted * latent.codeletion
            if name == "necrosis" and not (kind.grade_3 and kind.codeleted):
                total += np.where(column > 0, -np.inf, 0)
            else:
                total += np.where(column > latent.floor, norm.logpdf(column, mean), norm.logcdf(latent.floor, mean))
        return total

    def log_likelihood(positive):
        label = "grade_3" if target == "grade" else "codeleted"
        chosen = {each: share for each, share in TUMOUR_TYPES.items() if getattr(each, label) == positive}
        shares = np.array(list(chosen.values())) / sum(chosen.values())
        return logsumexp([log_density(each) for each in chosen], axis=0, b=shares[:, None])

    expected = np.clip(log_likelihood(True) - log_likelihood(False), -50, 50)
    assert oracle_score(latents, target) == pytest.approx(expected, abs=1e-8)


def test_the_ceiling_for_grade_is_an_auc_of_90_percent():
    assert oracle_auc("grade", draws=40_000) == pytest.approx(0.90, abs=0.01)
    assert 0.85 < oracle_auc("codeletion", draws=40_000) < 0.92


@pytest.mark.parametrize("target", ["grade", "codeletion"])
def test_the_oracle_beats_every_single_latent(target):
    latents, labels = _population(20_000, 1)
    truth = labels["grade_3" if target == "grade" else "codeleted"]
    best = max(roc_auc_score(truth, column) for column in latents.T)
    assert 0.6 < best < roc_auc_score(truth, oracle_score(latents, target)) - 0.05
