"""Learned epitomes on disk: what was saved comes back, under names that BIDS readers understand."""

import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.epitome.files import load_epitome, record_path, save_epitome
from epitome_kit.epitome.model import learn_epitome, log_likelihood
from epitome_kit.errors import ImageError
from epitome_kit.files import read_json
from epitome_kit.images import load_image, spacing_mm

PATCHES = np.random.default_rng(0).normal(size=(20, 3, 3, 1, 2))


def test_what_was_saved_comes_back(tmp_path):
    epitome = learn_epitome(PATCHES, (5, 4, 3), contrasts=("T1ce", "T2w"), iterations=2)
    paths = save_epitome(epitome, tmp_path, "sub-01", spacing_mm=(3, 3, 4), notes={"seed": 5})
    found = load_epitome(tmp_path, "sub-01")
    for field in ("mean", "variance", "usage"):
        assert getattr(found, field) == pytest.approx(getattr(epitome, field), abs=1e-6)
    assert (found.patch, found.contrasts) == ((3, 3, 1), ("T1ce", "T2w"))
    assert found.history == pytest.approx(epitome.history)
    assert log_likelihood(found, PATCHES) == pytest.approx(log_likelihood(epitome, PATCHES), abs=1e-3)
    assert read_json(record_path(tmp_path, "sub-01"))["seed"] == 5
    assert {path.name for path in paths.values()} == {
        *(f"sub-01_ce-gadolinium_stat-{field}_desc-epitome_T1w.nii.gz" for field in ("mean", "variance")),
        *(f"sub-01_stat-{field}_desc-epitome_T2w.nii.gz" for field in ("mean", "variance")),
        "sub-01_desc-epitome_usage.nii.gz",
    }
    image = load_image(paths["mean T2w"])
    assert spacing_mm(image) == (3, 3, 4)
    assert image.get_fdata() == pytest.approx(epitome.mean[..., 1], abs=1e-6)


def test_an_epitome_that_is_not_there_is_three_lines(tmp_path):
    with raises_three_lines(ImageError, "load_epitome", "sub-02", "epitome extract"):
        load_epitome(tmp_path, "sub-02")
    paths = save_epitome(learn_epitome(PATCHES, 4, iterations=1), tmp_path, "sub-02", spacing_mm=3.0)
    paths["usage"].unlink()
    with raises_three_lines(ImageError, "load_epitome", "usage"):
        load_epitome(tmp_path, "sub-02")
