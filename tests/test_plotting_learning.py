"""Charts of learning: curves by fold, features by class, how often each was chosen."""

import numpy as np
import pandas as pd
import pytest
from ellipsoids import words
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError
from epitome_kit.plotting.learning import attention_shares, feature_map, icc_chart, selection_frequency, training_curves

HISTORY = pd.DataFrame(
    [{"epoch": e, "fold": f, "loss": 10 - e + f, "val_loss": 12 - e, "auc": 0.5} for f in (1, 2) for e in range(4)]
)


def test_a_thin_line_for_each_fold_and_a_bold_mean():
    figure = training_curves(HISTORY)
    loss, auc = figure.axes
    assert len(loss.lines) == 6 and len(auc.lines) == 3
    bold = [line for line in loss.lines if line.get_linewidth() > 2]
    assert bold[0].get_ydata().tolist() == [11.5, 10.5, 9.5, 8.5]
    assert bold[1].get_ydata().tolist() == [12, 11, 10, 9]
    assert {"training", "validation", "epoch", "AUC"} <= set(words(figure))
    assert any("n = 2 folds" in word for word in words(figure))


def test_a_history_of_one_fold():
    assert any("n = 1 fold," in word for word in words(training_curves(HISTORY[["epoch", "loss"]].head(4))))


@pytest.mark.parametrize("columns", [["epoch", "fold"], ["loss"]])
def test_a_history_without_measure_or_epoch(columns):
    with raises_three_lines(ParameterError, "`epoch`", columns[0]):
        training_curves(HISTORY[columns])


def table(n=12):
    labels = pd.Series([1, 0, 0] * (n // 3), index=[f"sub-{number:02d}" for number in range(n)])
    noise = np.random.default_rng(0).normal(size=(n, 4))
    features = pd.DataFrame(noise, index=labels.index, columns=["growth", "necrosis", "size", "T2w_mean"])
    features["necrosis"] = 10 * labels + 0.1 * features["necrosis"]
    return features.assign(T2w_rim=3.0, fold=1, label=labels), labels


def test_features_by_class():
    features, labels = table()
    figure = feature_map(features.sample(frac=1, random_state=1), labels, ("intact", "codeleted"))
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (12, 4), "a constant feature and other columns are left out"
    assert np.isclose(shown.mean(axis=0), 0).all() and np.isclose(shown.std(axis=0), 1).all()
    assert ((shown[:8] < 0).all(axis=0) & (shown[8:] > 0).all(axis=0)).any(), "subjects are not sorted by class"
    assert {"intact, n = 8", "codeleted, n = 4", "CNN features, n = 12 subjects"} <= set(words(figure))


def test_subjects_without_a_label_are_left_out():
    features, labels = table()
    assert "CNN features, n = 9 subjects" in words(feature_map(features, labels.head(9)))


def test_nothing_to_map():
    features, labels = table()
    with raises_three_lines(ParameterError, "0 features, 12 subjects"):
        feature_map(features[["fold"]], labels)
    with raises_three_lines(ParameterError, "5 features, 0 subjects"):
        feature_map(features.reset_index(drop=True), labels)


def test_the_features_chosen_most_often_come_first():
    shares = pd.Series([0.2, 1.0, 0.0, 0.6], index=["growth", "necrosis", "size", "T2w_mean"])
    figure = selection_frequency(shares, top=3)
    assert [bar.get_width() for bar in figure.axes[0].patches] == pytest.approx([100, 60, 20])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["necrosis", "T2w_mean", "growth"]
    assert any("3 of n = 3" in word for word in words(figure))


def attention(subjects=3):
    rows = [
        {"participant_id": f"sub-{n}", "method": method, "weights": weights, "share_inside": share}
        for n in range(subjects)
        for method, weights, share in (
            ("Grad-CAM", "learned", 0.1 * (n + 1)),
            ("Grad-CAM", "shuffled", 0.0),
            ("occlusion", "learned", 0.05),
            ("occlusion", "shuffled", 0.1),
        )
    ]
    return pd.DataFrame(rows, columns=["participant_id", "method", "weights", "share_inside"]).assign(
        share_by_chance=0.05
    )


def test_shares_inside_the_tumour_are_drawn_in_times_of_chance():
    figure = attention_shares(attention())
    (axes,) = figure.axes
    points = {line.get_label(): line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 3}
    assert points["learned weights"] == pytest.approx([2, 4, 6])
    assert points["shuffled weights"] == pytest.approx([0.01] * 3), "nothing inside stands at the edge"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Grad-CAM", "occlusion"]
    text = words(figure)
    assert {"by chance", "learned weights"} <= set(text) and any("n = 3 subjects" in word for word in text)


def test_no_subject_has_a_tumour_to_look_at():
    with raises_three_lines(ParameterError, "tumour mask"):
        attention_shares(attention(0))


def test_a_row_for_each_kind_of_feature_and_how_many_can_be_measured_again():
    icc = {"necrosis": 0.9, "T2w_mean": 0.2, "size": 0.8, "first_T2w_mean": 0.95, "texture_T2w_energy": -0.1}
    rows = [{"fold": fold, "feature": name, "icc": value, "n": 38} for fold in (1, 2) for name, value in icc.items()]
    figure = icc_chart(pd.DataFrame(rows))
    expected = {"CNN, traits, 1 of 1", "CNN, measured, 1 of 2", "brightness, 1 of 1", "texture, 0 of 1"}
    assert expected <= set(words(figure)) and any("n = 38" in word for word in words(figure))
    points = sorted(np.concatenate([line.get_xdata() for line in figure.axes[0].lines[:-1]]).tolist())
    assert points == [0, 0.2, 0.8, 0.9, 0.95]
    assert "CNN, traits, 0 of 1" in words(icc_chart(pd.DataFrame(rows), least_icc=0.99))
    with raises_three_lines(ParameterError, "empty"):
        icc_chart(pd.DataFrame(rows).head(0))
