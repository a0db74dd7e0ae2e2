"""Simulated gliomas: laws of growth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epitome_kit.simulate.anatomy import TISSUES, HeadModel
from epitome_kit.simulate.latents import LATENTS
from epitome_kit.simulate.tumour import VISIBLE_DENSITY, grow_tumour, tumour_parameters

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


@given(
    latents=st.lists(st.floats(-2, 2), min_size=len(LATENTS), max_size=len(LATENTS)),
    raised=st.sampled_from(range(len(LATENTS))),
)
def test_every_latent_moves_the_tumour_one_way(latents, raised):
    higher = list(latents)
    higher[raised] += 0.5
    before, after = tumour_parameters(latents), tumour_parameters(higher)
    rising = [name for name in before if name != "proliferation_per_year"]  # which falls where the edge is wider
    assert all(after[name] >= before[name] for name in rising)
    shown = higher[raised] > 0 or list(LATENTS)[raised] not in ("enhancement", "necrosis")
    assert any(after[name] > before[name] for name in rising) == shown


def test_diffusion_and_proliferation_give_the_speed_and_the_width():
    drawn = tumour_parameters(_latents(growth=0.7, infiltration=1.0))
    diffusion, proliferation = drawn["diffusion_mm2_per_year"], drawn["proliferation_per_year"]
    assert 4 * np.sqrt(diffusion * proliferation) == pytest.approx(drawn["growth_mm_per_year"])
    assert np.sqrt(diffusion / proliferation) == pytest.approx(2.2 / np.sqrt(2.8) * np.exp(0.3))


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


def test_a_part_with_no_share_is_nowhere():
    tumour = grow_tumour(_head(_everywhere, spacing=4.0), _latents(enhancement=0.0, necrosis=-1.0), _rng())
    assert not tumour.enhancing.any() and not tumour.necrotic.any() and tumour.calcified.any()


def test_the_same_draw_grows_the_same_tumour():
    head = _head(_everywhere, spacing=4.0)
    first, again, other = (grow_tumour(head, _latents(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.density, again.density) and np.array_equal(first.enhancing, again.enhancing)
    assert first.density.shape != other.density.shape or not np.array_equal(first.density, other.density)


def _rng():
    return np.random.default_rng(0)
