"""Twenty simulated heads at 2 mm: what preprocessing promises, measured against the truth."""

import pytest

from epitome_kit.preprocess.pipeline import preprocess_cohort
from epitome_kit.simulate.phantom import make_phantom_cohort

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quality(tmp_path_factory):
    """Each subject has a seed of its own, drawn from the seed of the cohort."""
    folder = tmp_path_factory.mktemp("twenty")
    settings = {"spacing_mm": (2.0, 2.0, 2.0), "contrasts": ["T2w"], "seed": 20, "workers": 2}
    cohort = make_phantom_cohort(folder / "heads", subjects=20, **settings)
    return preprocess_cohort(cohort, folder / "out", spacing_mm=4.0, workers=2)


def test_the_brain_is_found(quality):
    assert quality.brain_mask_dice.mean() >= 0.97
    assert quality.brain_mask_dice.min() >= 0.96


def test_little_of_the_bias_is_left(quality):
    assert quality.bias_residual_sd.mean() <= 0.035, "of about 0.10"


def test_the_head_arrives_on_the_template(quality):
    assert quality.registration_error_mm.mean() <= 1.0
    assert (quality.registration_error_mm <= 1.5).mean() >= 0.95
