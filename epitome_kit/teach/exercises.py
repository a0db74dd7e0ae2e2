"""Exercises of the notebooks: what the answer to each should be, worked out when it is checked.

``check("02-mask", my_mask)`` in a notebook finds the check below by its name, and hands it the answer together with
those variables of the notebook that it has as keywords. Nothing that is expected stands in a notebook.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel import Nifti1Image
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from epitome_kit.cohort import Cohort, Subject
from epitome_kit.errors import ParameterError
from epitome_kit.files import Json
from epitome_kit.grade import select_features
from epitome_kit.images import load_image, load_mask, new_image_like, voxel_size_known
from epitome_kit.metrics import dice
from epitome_kit.preprocess import SPACE, Preprocessed, registration_error_mm
from epitome_kit.teach import leakage
from epitome_kit.teach.check_result import Check, never_raises, require_answer
from epitome_kit.teach.checks import check_choice, check_model, check_names, check_number, check_split
from epitome_kit.teach.image_checks import check_field, check_mask, check_transform

_EXERCISES: dict[str, Callable[..., Check]] = {}


def check(exercise: str, *answers: object) -> Check:
    """Check the answer to an exercise, and explain what is wrong with it.

    What is expected is computed from the variables that the cells of the notebook
    have left, such as the cohort and the files of the workspace.

    Parameters
    ----------
    exercise : str
        Name of the exercise, such as ``"01-baseline"``.
    *answers : object
        Variables that the exercise asks for; None is a blank exercise.

    Returns
    -------
    Check

    Raises
    ------
    ParameterError
        There is no such exercise, or a cell above has not been run.
    """
    return check_with(sys._getframe(1).f_globals, exercise, *answers)


@never_raises
def check_with(variables: Mapping[str, Any], exercise: str, *answers: object) -> Check:
    """Check an answer with variables that are given, as :func:`check` does with those of the notebook.

    Parameters
    ----------
    variables : dict
        Variables of the notebook.
    exercise : str
    *answers : object

    Returns
    -------
    Check
    """
    if exercise not in _EXERCISES:
        expected = f"one of {', '.join(_EXERCISES)}"
        raise ParameterError("check", expected, repr(exercise), "copy the cell from the notebook of the kit")
    require_answer(*answers)
    checked = _EXERCISES[exercise]
    needed = [name for name, each in inspect.signature(checked).parameters.items() if each.kind == each.KEYWORD_ONLY]
    missing = [name for name in needed if name not in variables]
    if missing:
        raise ParameterError(
            "check",
            f"the variables of the notebook, {', '.join(needed)}",
            f"none called {', '.join(missing)}",
            "run the cells above first: in Jupyter, Run, Run All Above Selected Cell",
        )
    return checked(*answers, **{name: variables[name] for name in needed})


def _exercise(name: str) -> Callable[[Callable[..., Check]], Callable[..., Check]]:
    def register(checked: Callable[..., Check]) -> Callable[..., Check]:
        _EXERCISES[name] = checked
        return checked

    return register


@_exercise("01-baseline")
def _baseline(answer: object, *, group: Cohort, target: str) -> Check:
    counts = group.labels(target).value_counts()
    return check_number(answer, counts.max() / counts.sum(), tolerance=0.005, what="the majority accuracy")


@_exercise("01-annotated")
def _annotated(answer: object, *, group: Cohort, subject: Subject) -> Check:
    depth = load_image(subject.images[subject.annotated_on or group.contrasts[0]]).shape[2]
    looked_at = depth if subject.annotated_slices is None else len(subject.annotated_slices)
    return check_number(answer, looked_at / depth, tolerance=0.01, what="the annotated share")


@_exercise("01-header")
def _header(answer: object, *, scan: Nifti1Image, versions: Mapping[str, Nifti1Image]) -> Check:
    inside = np.asarray(scan.dataobj, dtype=np.float32).ravel()
    alike = {
        name: np.corrcoef(inside, np.asarray(version.dataobj, dtype=np.float32).ravel())[0, 1]
        for name, version in versions.items()
    }
    why = "Front and back are swapped while the letters stay. B merely looks brighter inside, and scales away."
    return check_choice(answer, min(alike, key=alike.__getitem__), why)


@_exercise("02-mask")
def _mask(answer: object, *, subject: Subject, lead: str, scan: Nifti1Image, brain: Nifti1Image) -> Check:
    known = _truth(subject, f"space-{lead}_desc-brain_mask.nii.gz")
    reference = new_image_like(np.asarray(load_mask(known or brain).dataobj), scan)
    return check_mask(answer, reference, at_least=0.8, what="your brain mask", image=scan)


@_exercise("02-field")
def _field(
    answer: object, *, subject: Subject, lead: str, scan: Nifti1Image, brain: Nifti1Image, field: Nifti1Image
) -> Check:
    known = _truth(subject, f"space-{lead}_biasfield.nii.gz")
    reference = new_image_like(np.asarray(load_image(known or field).dataobj, dtype=np.float32), scan)
    return check_field(answer, reference, brain, at_most=0.08)


@_exercise("02-transform")
def _transform(answer: object, *, subject: Subject, lead: str, brain: Nifti1Image, to_template: np.ndarray) -> Check:
    known = _truth(subject, f"from-{lead}_to-{SPACE}_mode-image_xfm.txt")
    if known is None:
        return check_transform(answer, to_template, brain, at_most_mm=20)
    reference = np.loadtxt(known)
    without = registration_error_mm(np.eye(4), reference, brain)
    return check_transform(answer, reference, brain, at_most_mm=0.95 * without)


@_exercise("02-spread")
def _spread(answer: object, *, on_template: Nifti1Image, brain_on_template: Nifti1Image) -> Check:
    values = on_template.get_fdata()[brain_on_template.get_fdata() > 0]
    expected = ((values - values.mean()) / values.std()).std()
    return check_number(answer, expected, tolerance=0.01, what="the spread after normalisation")


@_exercise("03-weights")
def _weights(answer: object, *, network: Any) -> Check:
    expected = network.get_layer("find_near_1").count_params()
    return check_number(answer, expected, tolerance=0, what="the number of weights")


@_exercise("03-split")
def _split(train: object, test: object, *, fold_of: pd.Series) -> Check:
    return check_split(train, test, everyone=list(fold_of.index))


@_exercise("03-auc")
def _auc(answer: object, *, labels: pd.Series, held_out: pd.DataFrame) -> Check:
    expected = roc_auc_score(labels, held_out.cnn_probability[labels.index])
    return check_number(answer, expected, tolerance=0.005, what="the AUC of the CNN alone")


@_exercise("04-features")
def _features(answer: object, *, train: pd.DataFrame) -> Check:
    why, hint = "Selected from the training rows of the fold alone.", "Give the rows of `train`, keep=5."
    return check_names(answer, select_features(train, keep=5), why, what="your features", hint=hint)


@_exercise("04-balanced")
def _balanced(answer: object, *, scores: Json) -> Check:
    return check_number(answer, scores["balanced_accuracy"], tolerance=0.005, what="the balanced accuracy")


@_exercise("04-margin")
def _margin(answer: object, *, scores: Json) -> Check:
    n1, n2 = scores["class_counts"].values()
    effect = scores["permutation"]["design_effects"]["auc"]
    expected = 1.96 * np.sqrt(effect * (n1 + n2 + 1) / (12 * n1 * n2))
    return check_number(answer, expected, tolerance=0.02, what="the half-width")


@_exercise("05-tumour")
def _tumour(answer: object, *, files: Preprocessed, scan: Path, drawn: Path) -> Check:
    looked_at = np.asarray(load_mask(files.mask("desc-annotated")).dataobj)
    return check_mask(answer, drawn, at_least=0.2, what="your tumour mask", image=scan, within=looked_at)


@_exercise("05-volume")
def _volume(answer: object, *, found: Path, middle: str, tumours: pd.DataFrame) -> Check:
    known = voxel_size_known(load_mask(found))
    row = tumours.set_index("participant_id").loc[middle]
    expected, unit = (row.volume_ml, "mL") if known else (row.volume_voxels, "voxels")
    return check_number(answer, expected, tolerance=0.01 * expected, unit=unit, what="the volume")


@_exercise("05-slices")
def _slices(answer: object, *, truth: Path) -> Check:
    areas = np.asarray(load_mask(truth).dataobj).sum(axis=(0, 1))
    expected = np.convolve(areas, np.ones(3), mode="valid").max() / areas.sum()
    return check_number(answer, expected, tolerance=0.01, what="the share in three slices")


@_exercise("05-share")
def _share(answer: object, *, errors: Mapping[str, np.ndarray]) -> Check:
    expected = errors["epitome"].mean() / errors["kmeans"].mean()
    return check_number(answer, expected, tolerance=0.02, what="the share of the error that is left")


@_exercise("06-volume")
def _wrong_volume(answer: object, *, report: Any) -> Check:
    voxels = np.count_nonzero(load_mask(report.tumour).dataobj)
    return check_number(answer, voxels / 1000, tolerance=0.05, unit="mL", what="the volume by the wrong header")


@_exercise("06-intervals")
def _intervals(answer: object) -> Check:
    return check_number(answer, 0.9**10, tolerance=0.01, what="the chance that all ten hold")


@_exercise("06-dice")
def _dice(answer: object, *, report: Any, other: Path) -> Check:
    expected = dice(*(np.asarray(load_mask(path).dataobj) for path in (report.tumour, other)))
    return check_number(answer, expected, tolerance=0.005, what="the Dice of the two outlines")


@_exercise("coverage-share")
def _coverage(answer: object, *, fixed: pd.DataFrame, truth: float) -> Check:
    expected = ((fixed.low <= truth) & (truth <= fixed.high)).mean()
    return check_number(answer, expected, tolerance=0.001, what="the coverage")


@_exercise("coverage-false")
def _false_positives(answer: object, *, fixed: pd.DataFrame) -> Check:
    return check_number(answer, (fixed.p <= 0.05).mean(), tolerance=0.001, what="the share of false positives")


@_exercise("coverage-next")
def _next_cohort(answer: object, *, trained: pd.DataFrame) -> Check:
    following = trained.auc.shift(-1)[:-1]
    expected = ((trained.low[:-1] <= following) & (following <= trained.high[:-1])).mean()
    what = "the share of intervals that hold the next AUC"
    return check_number(answer, expected, tolerance=1 / len(trained), what=what)


@_exercise("leakage-split")
def _slice_split(train: object, test: object, *, names: Iterable[str]) -> Check:
    return check_split(train, test, everyone=list(names))


@_exercise("leakage-pipeline")
def _pipeline(answer: object, *, noise: Callable[[int], pd.DataFrame], labels: pd.Series, seed: int) -> Check:
    def score(model: Any) -> float:
        reach = model.fit(noise(seed), labels)[-1].n_features_in_
        if reach != 12:
            raise ValueError(f"{reach} features reach the last step, not 12")
        return leakage.cross_validated_auc(model, noise(seed), labels, seed=seed)

    honest = leakage.selection_auc(noise(seed), labels, apart=True, seed=seed)
    hint = "Is every step inside the pipeline, in the order of the hint?"
    return check_model(answer, score, honest, tolerance=0.02, what="the AUC on noise", hint=hint)


@_exercise("leakage-alarms")
def _alarms(answer: object, *, measured: Mapping[str, pd.DataFrame], experiments: Mapping[str, object]) -> Check:
    known = ("slices", "selection", *experiments)
    alarms = [leak for leak in known if measured[f"{leak}, shuffled"].leaking.min() > 0.5]
    why = "Where the alarm is silent, the leak is small: silence is no proof that there is none."
    hint = "Take the rows named shuffled, and the lowest of their repeats."
    return check_names(answer, alarms, why, what="your list", hint=hint)


@_exercise("seed-interval")
def _interval(answer: object) -> Check:
    expected = binomtest(22, 32).proportion_ci(method="exact").low
    return check_number(answer, expected, tolerance=0.005, what="the lower end")


@_exercise("seed-weights")
def _dense_share(answer: object, *, weights: pd.Series) -> Check:
    expected = weights["dense_first"] / weights.sum()
    return check_number(answer, expected, tolerance=0.005, what="the share")


@_exercise("seed-improvements")
def _improvements(answer: object, *, changes: pd.DataFrame) -> Check:
    expected = int((changes["low"] > 0).sum())
    return check_number(answer, expected, tolerance=0, what="the number of sure improvements")


def _truth(subject: Subject, name: str) -> Path | None:
    """Return a file of what is known about a simulated subject, or None for a real one."""
    return None if subject.truth is None else subject.truth / f"{subject.id}_{name}"
