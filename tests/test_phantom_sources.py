"""Drawn gliomas and heads agree with the publications that the simulator cites."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from epitome_kit.simulate import tumour
from epitome_kit.simulate.anatomy import age_head, head_model
from epitome_kit.simulate.labels import TUMOUR_TYPES, draw_labels
from epitome_kit.simulate.latents import draw_latents
from epitome_kit.simulate.mass_effect import push_tissue
from epitome_kit.simulate.tumour import VISIBLE_DENSITY, grow_tumour, tumour_parameters
from epitome_kit.vocabulary import known_histology


def _drawn(grade_3, subjects=400):
    """Parameters of tumours of one grade by name, and their types."""
    rng = np.random.default_rng(7)
    types = [each for each in draw_labels(4 * subjects, rng) if each.grade_3 == grade_3][:subjects]
    rows = [tumour_parameters(draw_latents(each.grade_3, each.codeleted, rng)) for each in types]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}, types


@pytest.fixture(scope="module")
def grade_2():
    return _drawn(False)


@pytest.fixture(scope="module")
def grade_3():
    return _drawn(True)


@pytest.fixture(scope="module")
def head():
    return head_model(4.0)


def test_one_in_six_tumours_of_grade_2_enhances_and_most_of_grade_3(grade_2, grade_3):
    """Pallud 2009: 15.9 % of 927."""
    assert 0.08 <= (grade_2[0]["enhancing_fraction"] > 0.01).mean() <= 0.27
    assert 0.45 <= (grade_3[0]["enhancing_fraction"] > 0.01).mean() <= 0.75


def test_necrosis_is_found_in_oligodendrogliomas_of_grade_3_alone(grade_2, grade_3):
    assert not grade_2[0]["necrotic_fraction"].any()
    codeleted = np.array([each.codeleted for each in grade_3[1]])
    assert not grade_3[0]["necrotic_fraction"][~codeleted].any(), "WHO 2021: it would be grade 4"
    assert 0.1 < (grade_3[0]["necrotic_fraction"][codeleted] > 0).mean() < 0.6


def test_diameters_grow_as_fast_as_published(grade_2, grade_3):
    """Mandonnet 2003: 4.1 mm a year; Pallud 2013: 5.8 with a standard deviation of 6.3."""
    slow, fast = (found["growth_mm_per_year"] for found, _ in (grade_2, grade_3))
    fisher = 4 * np.sqrt(grade_2[0]["diffusion_mm2_per_year"] * grade_2[0]["proliferation_per_year"])
    assert 3.5 < np.median(fisher) < 4.8 and 4.8 < fisher.mean() < 6.8
    assert slow == pytest.approx(fisher)
    assert 1.5 < np.median(fast) / np.median(slow) < 4


@pytest.mark.slow
def test_a_simulated_diameter_grows_as_fast_as_its_parameter_says(monkeypatch):
    """In white and grey matter, from three quarters of its diameter on."""
    grown, simulate = [], tumour._react_and_diffuse

    def watched(mobility, seed, parameters, spacing):
        for part in (0.75, 1.0):
            density, years = simulate(
                mobility, seed, {**parameters, "radius_mm": part * parameters["radius_mm"]}, spacing
            )
            volume = np.count_nonzero(density > VISIBLE_DENSITY) * spacing**3
            grown.append((2 * (3 * volume / (4 * np.pi)) ** (1 / 3), years, parameters["growth_mm_per_year"]))
        return density, years

    monkeypatch.setattr(tumour, "_react_and_diffuse", watched)
    rng = np.random.default_rng(0)
    for _ in range(8):
        grow_tumour(head_model(2.0), draw_latents(False, True, rng), rng)
    speeds = [(b[0] - a[0]) / (b[1] - a[1]) / a[2] for a, b in zip(grown[::2], grown[1::2], strict=True)]
    assert np.median(speeds) == pytest.approx(1, abs=0.25)


def test_types_have_the_joint_frequencies_of_their_sources():
    drawn = draw_labels(20_000, np.random.default_rng(0))
    mutant = {grade: [each for each in drawn if each.grade == grade and each.idh == "mutant"] for grade in (2, 3)}
    assert sum(each.grade_3 for each in drawn) / len(drawn) == pytest.approx(55 / 159, abs=0.002)
    assert np.mean([each.codeleted for each in mutant[2]]) == pytest.approx(66 / 135, abs=0.002)
    assert np.mean([each.codeleted for each in mutant[3]]) == pytest.approx(84 / 223, abs=0.002)
    assert 0 < np.mean([each.idh == "wildtype" for each in drawn]) < 0.05
    assert 0.03 < np.mean([each.cdkn2ab == "deleted" for each in mutant[3] if each.codeleted]) < 0.12


def test_types_are_possible_in_who_2021():
    for each in TUMOUR_TYPES:
        assert each.grade in (2, 3) and known_histology(each.histology) == each.histology
        assert each.codeleted == each.histology.startswith("Oligodendroglioma") and "oligoastro" not in each.histology
        assert ("IDH-mutant" in each.histology) == (each.idh == "mutant") >= each.codeleted
        assert each.cdkn2ab == "intact" or (each.grade_3 and each.codeleted)


@given(subjects=st.integers(2, 400), seed=st.integers(0, 99))
def test_every_cohort_has_both_classes_near_their_shares(subjects, seed):
    drawn = draw_labels(subjects, np.random.default_rng(seed))
    for label in ("grade_3", "codeleted"):
        share = sum(share for each, share in TUMOUR_TYPES.items() if getattr(each, label))
        count = sum(getattr(each, label) for each in drawn)
        assert 0 < count < subjects == len(drawn) and abs(count - share * subjects) <= 1
    assert drawn != sorted(drawn) or subjects < 9, "in random order"


def test_left_and_right_differ(head):
    """The atlas does not: its mirror correlation is 1."""
    for name in ("grey", "white"):
        tissue = head.tissue(name)
        assert 0.85 < np.corrcoef(tissue.ravel(), tissue[::-1].ravel())[0, 1] < 0.995
    y = head.affine[1, 3] + head.affine[1, 1] * np.arange(head.brain.shape[1])
    left, right = head.brain[: len(head.brain) // 2].sum((0, 2)), head.brain[len(head.brain) // 2 + 1 :].sum((0, 2))
    assert right[y > 20].sum() > 1.01 * left[y > 20].sum(), "the right frontal lobe is larger"
    assert left[y < -60].sum() > 1.01 * right[y < -60].sum(), "the left occipital lobe is larger"


def test_ventricles_and_sulci_widen_with_age(head):
    deep = ndimage.distance_transform_edt(head.brain > 0.5) * 4 > 22
    fluid = [age_head(head, age).tissue("csf") * head.brain for age in (20, 40, 60, 80)]
    for where in (deep, ~deep):
        volume = np.array([part[where].sum() for part in fluid])
        assert (np.diff(volume) > 0.05 * volume[0]).all() and 1.5 < volume[-1] / volume[0] < 4
    for age in (20, 80):
        maps = age_head(head, age).maps.astype(np.float32)
        assert maps.sum(0) == pytest.approx(head.maps.astype(np.float32).sum(0), abs=0.01)


def test_a_tumour_pushes_tissue_away_and_leaves_the_skull(head):
    latents = draw_latents(True, False, np.random.default_rng(0))
    grown = grow_tumour(head, latents, np.random.default_rng(1))
    pushed = push_tissue(head, grown, 5.0)
    changed = np.abs(pushed.maps.astype(np.float32) - head.maps).max(0) > 0.05
    assert changed.any() and not changed[head.brain < 0.05].any()
    where = np.argwhere(changed) @ head.affine[:3, :3] + head.affine[:3, 3]
    middle = np.argwhere(grown.density > 0.16).mean(0) @ grown.affine[:3, :3] + grown.affine[:3, 3]
    assert np.linalg.norm(where - middle, axis=1).max() < 3.3 * grown.parameters["radius_mm"]
    assert np.array_equal(push_tissue(head, grown, 0.0).maps[3:], head.maps[3:])
