"""The grader and the selectors are estimators of scikit-learn."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError
from epitome_kit.grade import FeatureSelector, Grader
from epitome_kit.grade.select import METHODS

TOO_EXACT = {
    "check_methods_sample_order_invariance": "asks for 9 digits; in float32 the last of 7 depends on a row's place",
}


@pytest.mark.slow
@parametrize_with_checks(
    [*(FeatureSelector(method=method) for method in METHODS), Grader()],
    expected_failed_checks=lambda estimator: TOO_EXACT if isinstance(estimator, Grader) else {},
)
def test_scikit_learns_checks_of_estimators_pass(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def subjects():
    """Two informative features out of 60, with gaps, and labels as text."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    features = rng.standard_normal((80, 60))
    features[:, [7, 30]] += 1.5 * labels[:, None]
    features[rng.uniform(size=features.shape) < 0.05] = np.nan
    return features, np.array(["2", "4"])[labels]


def _pipeline():
    return make_pipeline(SimpleImputer(), FeatureSelector(keep=5), Grader())


def test_they_work_in_a_pipeline_under_cross_validation(subjects):
    scores = cross_validate(_pipeline(), *subjects, scoring=("roc_auc", "accuracy"), return_estimator=True)
    assert scores["test_roc_auc"].mean() > 0.85 and scores["test_accuracy"].mean() > 0.75
    for pipeline in scores["estimator"]:
        assert {7, 30} <= set(pipeline[1].get_support(indices=True))


@pytest.mark.slow
def test_selection_inside_the_pipeline_finds_nothing_in_noise(subjects):
    noise = np.random.default_rng(1).standard_normal((80, 400))
    scores = cross_validate(_pipeline(), noise, subjects[1], scoring="roc_auc", cv=5)
    assert scores["test_score"].mean() < 0.7, "selection on all subjects would give more than 0.8"


@pytest.mark.slow
def test_their_parameters_can_be_searched(subjects):
    search = GridSearchCV(_pipeline(), {"featureselector__keep": [1, 5], "grader__epochs": [2, 30]}, cv=2)
    assert search.fit(*subjects).best_params_["featureselector__keep"] == 5


def test_each_fit_of_a_copy_leaves_the_other_alone(subjects):
    features, labels = subjects
    first = Grader().fit(features, labels)
    before = first.predict_proba(features)
    clone(first).fit(features, labels[::-1])
    assert np.array_equal(first.predict_proba(features), before)


def test_a_fitted_grader_can_be_pickled(subjects):
    features, labels = subjects
    grader = Grader().fit(features, labels)
    loaded = pickle.loads(pickle.dumps(grader))
    assert np.array_equal(loaded.predict(features), grader.predict(features))
    assert loaded.predict_proba(features) == pytest.approx(grader.predict_proba(features), abs=1e-6)
    assert list(loaded.fit(features, labels).classes_) == ["2", "4"], "and fitted again"


def test_a_prediction_depends_on_neither_order_nor_company(subjects):
    """What scikit-learn checks to nine digits, to the six that float32 has."""
    features, labels = subjects
    grader = Grader().fit(features, labels)
    every, order = grader.predict_proba(features), np.random.default_rng(0).permutation(len(labels))
    assert grader.predict_proba(features[order]) == pytest.approx(every[order], abs=1e-6)
    alone = np.concatenate([grader.predict_proba(row[None]) for row in features])
    assert alone == pytest.approx(every, abs=1e-6)


@pytest.mark.parametrize(("room", "count"), [("max_features", 59), ("max_features", 0), ("max_subjects", 79)])
def test_more_than_there_is_room_for_is_an_error(subjects, room, count):
    with pytest.raises(ValueError, match=rf"{count} \w+ \({room}\).*80 subjects and 60 features"):
        Grader(**{room: count}).fit(*subjects)


def test_no_epoch_is_three_lines(subjects):
    with raises_three_lines(ParameterError, "epochs=0"):
        Grader(epochs=0).fit(*subjects)


def test_one_class_or_three_are_an_error_that_says_so(subjects):
    for labels, words in ((["2"] * 80, "received one class: 2"), (np.arange(80) % 3, "multiclass")):
        for estimator in (Grader(), FeatureSelector()):
            with pytest.raises(ValueError, match=words):
                estimator.fit(np.nan_to_num(subjects[0]), labels)


@pytest.mark.slow
def test_a_network_is_built_again_when_a_parameter_has_changed(subjects):
    grader = Grader(epochs=2)
    few = grader.fit(*subjects).predict_proba(subjects[0])
    more = grader.set_params(epochs=30).fit(*subjects).predict_proba(subjects[0])
    assert np.array_equal(more, Grader().fit(*subjects).predict_proba(subjects[0]))
    assert not np.allclose(few, more, atol=0.05)
