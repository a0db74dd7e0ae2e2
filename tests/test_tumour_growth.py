"""Simulated gliomas: the mix of labels, the ceiling of any classifier, and laws of growth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from epitome_kit.simulate.anatomy import TISSUES, HeadModel
from epitome_kit.simulate.tumour import (
    CODELETED_SHARE,
    GRADE_III_SHARE,
    LATENTS,
    VISIBLE_DENSITY,
    draw_labels,
    draw_latents,
    grow_tumour,
    oracle_auc,
    oracle_score,
    tumour_parameters,
)

SMOOTH_BORDER = {"border": -9.0}


def _latents(**values):
    return np.array([values.get(name, 0.0) for name in LATENTS])


def _head(white, spacing=2.0):
    """A cube of brain, 160 mm wide, that is white matter where `white` says so and grey elsewhere."""
    n = int(160 / spacing)
    origin = np.array([-80.0, -98.0, -60.0])
    x, y, z = np.meshgrid(*[start + spacing * np.arange(n) for start in origin], indexing="ij", sparse=True)
    maps = np.zeros((len(TISSUES), n, n, n), np.float16)
    maps[TISSUES.index("white")] = white(x, y, z)
    maps[TISSUES.index("grey")] = 1 - maps[TISSUES.index("white")]
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = origin
    return HeadModel(maps, np.ones((n, n, n), np.float32), affine)


def _everywhere(x, y, z):
    return np.ones(np.broadcast_shapes(x.shape, y.shape, z.shape), bool)


def _visible_mm(tumour):
    """Extent of what T2 would show, along the three axes."""
    where = np.argwhere(tumour.density > VISIBLE_DENSITY)
    return np.ptp(where, axis=0) * tumour.affine[0, 0]


def test_the_mix_is_that_of_the_collection():
    grade_iii, codeleted = draw_labels(159, np.random.default_rng(0))
    assert (grade_iii.sum(), (~grade_iii).sum(), codeleted.sum()) == (55, 104, 102)


@given(subjects=st.integers(2, 400), seed=st.integers(0, 99))
def test_every_cohort_has_both_classes_near_their_shares(subjects, seed):
    for dealt, share in zip(
        draw_labels(subjects, np.random.default_rng(seed)), (GRADE_III_SHARE, CODELETED_SHARE), strict=True
    ):
        assert 0 < dealt.sum() < subjects == len(dealt)
        assert abs(dealt.sum() - share * subjects) <= 1


def test_labels_shift_the_latents_by_what_the_table_says():
    rng = np.random.default_rng(0)
    shifts = np.array(list(LATENTS.values()))
    for grade_iii, codeleted, expected in ((1, 0, shifts[:, 0]), (0, 1, shifts[:, 1]), (1, 1, shifts.sum(1))):
        drawn = draw_latents(np.full(20_000, grade_iii), np.full(20_000, codeleted), rng)
        assert drawn.mean(0) == pytest.approx(expected, abs=0.04)
        assert drawn.std(0) == pytest.approx(np.ones(len(LATENTS)), abs=0.03)
    assert draw_latents(True, False, rng).shape == (len(LATENTS),)


@pytest.mark.parametrize("target", ["grade", "codeletion"])
def test_the_oracle_is_the_log_likelihood_ratio(target):
    own, share = (0, CODELETED_SHARE) if target == "grade" else (1, GRADE_III_SHARE)
    latents = np.random.default_rng(0).normal(0, 1.5, (50, len(LATENTS)))
    shifts = np.array(list(LATENTS.values())).T

    def log_likelihood(positive):
        parts = [norm.logpdf(latents, positive * shifts[own] + other * shifts[1 - own]).sum(1) for other in (0, 1)]
        return logsumexp(parts, axis=0, b=np.array([[1 - share], [share]]))

    assert oracle_score(latents, target) == pytest.approx(log_likelihood(1) - log_likelihood(0), abs=1e-8)


def test_the_ceiling_for_grade_is_an_auc_of_90_percent():
    assert oracle_auc("grade") == pytest.approx(0.90, abs=0.01)
    assert 0.85 < oracle_auc("codeletion") < 0.92


@pytest.mark.parametrize("target", ["grade", "codeletion"])
def test_the_oracle_beats_every_single_latent(target):
    rng = np.random.default_rng(1)
    grade_iii, codeleted = rng.random(20_000) < GRADE_III_SHARE, rng.random(20_000) < CODELETED_SHARE
    latents = draw_latents(grade_iii, codeleted, rng)
    labels = grade_iii if target == "grade" else codeleted
    best = max(roc_auc_score(labels, column) for column in latents.T)
    assert 0.6 < best < roc_auc_score(labels, oracle_score(latents, target)) - 0.05


@given(
    latents=st.lists(st.floats(-2, 2), min_size=len(LATENTS), max_size=len(LATENTS)),
    raised=st.sampled_from(range(len(LATENTS))),
)
def test_every_latent_moves_the_tumour_one_way(latents, raised):
    higher = list(latents)
    higher[raised] += 0.5
    before, after = tumour_parameters(latents), tumour_parameters(higher)
    assert all(after[name] >= before[name] for name in before)
    assert any(after[name] > before[name] for name in before)


@pytest.mark.parametrize("spacing", [1.0, 2.0])
@pytest.mark.parametrize("infiltration", [0.0, 1.5])
def test_in_one_tissue_a_tumour_is_a_ball_of_the_size_that_was_drawn(spacing, infiltration):
    latents = _latents(infiltration=infiltration, growth=-infiltration, **SMOOTH_BORDER)
    tumour = grow_tumour(_head(_everywhere, spacing), latents, _rng())
    volume = np.count_nonzero(tumour.density > VISIBLE_DENSITY) * spacing**3
    radius = (3 * volume / (4 * np.pi)) ** (1 / 3)
    assert 0.98 <= radius / tumour.parameters["radius_mm"] <= 1.2
    assert _visible_mm(tumour) == pytest.approx(np.full(3, 2 * radius), abs=4)


def test_a_tumour_that_spreads_as_fast_as_none_in_ten_thousand_is_seen_in_the_end():
    """It thins out below what can be seen before it grows back."""
    tumour = grow_tumour(_head(_everywhere), _latents(infiltration=4.1, **SMOOTH_BORDER), _rng())
    assert _visible_mm(tumour) == pytest.approx(np.full(3, 2 * tumour.parameters["radius_mm"]), abs=4)


def test_white_matter_is_invaded_faster_than_grey():
    tract = _head(lambda x, y, z: (abs(x) < 8) & (abs(z - 16) < 8) & _everywhere(x, y, z))
    across, along, upwards = _visible_mm(grow_tumour(tract, _latents(**SMOOTH_BORDER), _rng()))
    assert along > across + 6 and along > upwards + 6


@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_a_tumour_stays_inside_the_brain_and_out_of_fluid(spacing):
    head = _head(_everywhere, spacing)
    head.brain[head.brain.shape[0] // 2 + int(52 / spacing) :] = 0
    head.maps[:, :, : head.brain.shape[1] // 3] = 0
    tumour = grow_tumour(head, _latents(growth=1.5), _rng())
    low = np.round(np.linalg.inv(head.affine) @ tumour.affine[:, 3]).astype(int)[:3]
    crop = tuple(slice(start, start + n) for start, n in zip(low, tumour.density.shape, strict=True))
    tissue = head.maps[1:3].astype(np.float32).sum(0)[crop]
    assert not tumour.density[(head.brain[crop] < 0.5) | (tissue == 0)].any()
    assert 0.9 < tumour.density.max() <= 1 and tumour.density.min() >= 0


def test_parts_take_the_share_that_was_drawn():
    head = _head(_everywhere)
    tumour = grow_tumour(head, _latents(enhancement=2.0, necrosis=2.0, heterogeneity=1.0), _rng())
    visible, drawn = tumour.density > VISIBLE_DENSITY, tumour.parameters
    for part in (tumour.enhancing, tumour.necrotic, tumour.calcified):
        assert part.min() >= 0 and part.max() <= 1 and not part[~visible].any()
    assert (tumour.enhancing + tumour.necrotic).max() <= 1 + 1e-6
    assert tumour.enhancing[visible].mean() == pytest.approx(drawn["enhancing_fraction"], abs=0.02)
    assert tumour.calcified[visible].mean() == pytest.approx(drawn["calcified_fraction"], abs=0.02)
    depth = np.where(tumour.necrotic > 0.5, tumour.density, np.nan)
    assert np.nanmean(depth) > np.mean(tumour.density[tumour.enhancing > 0.5]) > np.mean(tumour.density[visible])


def test_the_same_draw_grows_the_same_tumour():
    head = _head(_everywhere, spacing=4.0)
    first, again, other = (grow_tumour(head, _latents(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.density, again.density) and np.array_equal(first.enhancing, again.enhancing)
    assert first.density.shape != other.density.shape or not np.array_equal(first.density, other.density)


def _rng():
    return np.random.default_rng(0)
