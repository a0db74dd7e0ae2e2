"""Charts of learned epitomes: every slice is there, every bar has its unit, every number its n."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from ellipsoids import words
from matplotlib.text import Text

from epitome_kit.epitome.model import learn_epitome, reconstruct
from epitome_kit.plotting.epitomes import (
    epitome_difference,
    epitome_picture,
    error_chart,
    ratio_chart,
    rebuilt_tumour,
)

RNG = np.random.default_rng(0)
EPITOME = learn_epitome(RNG.normal(size=(30, 3, 3, 3, 2)), (5, 4, 6), contrasts=("T1ce", "T2w"), iterations=2)
OTHER = replace(EPITOME, mean=EPITOME.mean + [0.0, 1.0])
ERRORS = pd.DataFrame(
    {"mse_epitome": [0.5, 0.7, np.nan], "mse_kmeans": [0.6, 0.6, np.nan], "mse_random": [1, 2, np.nan]}
)
SCORES = {"auc": 0.75, "auc_ci95": [0.5, 1.0], "accuracy": 0.75, "majority_accuracy": 0.5}
SCANS = RNG.normal(size=(20, 22, 16, 2)).astype(np.float32)
MASK = np.zeros(SCANS.shape[:3], bool)
MASK[6:13, 8:14, 5:9] = True
FIGURES = {
    "picture": lambda: epitome_picture(EPITOME, title="sub-003"),
    "difference": lambda: epitome_difference(EPITOME, OTHER, counts=(31, 17)),
    "rebuilt": lambda: rebuilt_tumour(
        SCANS, reconstruct(EPITOME, SCANS, MASK), MASK, np.diag([3, 3, 3, 1]), ("T1ce", "T2w")
    ),
    "errors": lambda: error_chart(ERRORS),
    "ratios": lambda: ratio_chart([-3, 1, 2, 4], [0, 0, 1, 1], SCORES),
}


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_too_small_to_read_or_cut_off(name):
    figure = FIGURES[name]()
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 9
    box = figure.get_window_extent()
    titles = [text for text in [figure._suptitle, *(axes.title for axes in figure.axes)] if text and text.get_text()]
    assert titles
    for text in titles:
        found = text.get_window_extent()
        assert found.x0 >= box.x0 - 1 and found.x1 <= box.x1 + 1, text.get_text()


def test_the_picture_shows_each_slice_of_mean_and_variance_with_its_unit():
    figure = FIGURES["picture"]()
    text = words(figure)
    assert {"T1ce, mean", "T1ce, variance", "T2w, mean", "T2w, variance"} <= set(text)
    assert text.count("robust sd") == text.count("robust sd²") == 2
    assert "sub-003: 5 × 4 × 6 voxels, learned from patches of 3 × 3 × 3" in text
    shown = figure.axes[2].images[0].get_array()
    assert shown.shape == (4, 6 * 5 + 5), "six slices and five gaps"
    assert np.allclose(shown[:, 6:11].T, EPITOME.mean[::-1, ::-1, 1, 1])
    assert np.isnan(shown.filled(np.nan)[:, 5]).all()


def test_the_difference_is_the_second_less_the_first():
    figure = FIGURES["difference"]()
    text = words(figure)
    assert "Epitomes: grade 2, grade 3, and grade 3 minus grade 2, n = 31 and 17 subjects" in text
    pictures = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(pictures) == 6
    assert np.allclose(pictures[2].get_array().compressed(), 0) and np.allclose(pictures[5].get_array().compressed(), 1)
    assert pictures[5].norm.vcenter == 0 and pictures[3].norm is pictures[4].norm, "one window for both grades"


def test_the_rebuilt_tumour_stands_beside_the_scan_with_its_error():
    rebuilt = np.where(np.isfinite(reconstruct(EPITOME, SCANS, MASK)), SCANS + 0.5, np.nan)
    figure = rebuilt_tumour(SCANS, rebuilt, MASK, nib.affines.from_matvec(np.eye(3) * 3, (0, 0, -12)), ("T1ce", "T2w"))
    text = words(figure)
    assert text.count("rebuilt − scan, mean square 0.25") == 2 and text.count("rebuilt") == 2
    assert "Rebuilt from the epitome, z = 3 mm" in text and {"T1ce", "T2w", "tumour", "5 mm"} <= set(text)
    assert text.count("robust sd") == 4
    change = figure.axes[2].images[0].get_array()
    assert np.allclose(change.compressed(), 0.5, atol=1e-6)


def test_the_errors_are_compared_subject_by_subject():
    figure = FIGURES["errors"]()
    text = words(figure)
    assert {"mean 0.600", "mean 1.500"} <= set(text)
    assert any("n = 2 subjects" in word for word in text)
    assert "epitome better than k-means for 1 subjects, than random patches for 2" in text
    assert "mean squared error (robust sd²)" in text


def test_the_ratios_are_shown_by_class_beside_the_majority():
    figure = FIGURES["ratios"]()
    text = words(figure)
    assert {"grade 2, n = 2", "grade 3, n = 2"} <= set(text)
    (title,) = [word for word in text if word.startswith("Which epitome fits better?")]
    assert "n = 4 held-out subjects" in title and "AUC 0.75 (0.50 to 1.00, subjects alone), chance 0.50" in title
    assert "accuracy 0.75, majority 0.50" in title
    points = [line for line in figure.axes[0].lines if line.get_marker() in "o^"]
    assert [sorted(line.get_xdata()) for line in points] == [[-3, 1], [2, 4]]
