"""Segmentation: the tumour of every subject, outlined by a network that never saw the subject."""

import shutil
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.errors import CohortError, ParameterError
from epitome_kit.files import checksum, read_json, read_tsv, remove_abandoned, shipped_weights, write_json, write_tsv
from epitome_kit.folds import make_equal_folds
from epitome_kit.learn.arrays import load_arrays, load_scans
from epitome_kit.learn.channels import shipped_channels
from epitome_kit.metrics import mean_ci95
from epitome_kit.parallel import for_each, step_bar
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.tumour.classical import outline_by_symmetry
from epitome_kit.tumour.conformal import boundary_uncertainty
from epitome_kit.tumour.fit import UNetFineTuner
from epitome_kit.tumour.intervals import add_intervals, score_misfits
from epitome_kit.tumour.network import load_unet, save_unet, tumour_probability, unet_channels
from epitome_kit.tumour.outline import (
    compare_outline,
    describe_outline,
    reference_path,
    save_outline,
    to_subject_space,
    voxel_ml,
    with_whole_truth,
)

EPOCHS = 20
"""Rounds through the training subjects, unless told otherwise."""

_LEARN_FROM = ("annotation", "truth")


def segment_cohort(
    cohort, preprocessed, out, *, folds=5, epochs=EPOCHS, seed=0, learn_from="annotation", weights=None, workers=1
):
    """Outline the tumour of every subject with a U-Net that never saw the subject.

    Each network starts from weights learned on simulated patients and is
    trained on the other folds. Where annotation is sparse, training and scores
    look at the annotated slices, and at what is surely free of tumour: the rest
    is unknown, not background (:func:`epitome_kit.learn.arrays.known_region`).
    A simulated cohort is scored on the whole truth all the same.

    Beside each outline stands that of :func:`outline_by_symmetry`, which learns
    nothing, and an interval for the volume, calibrated on the other subjects
    (:func:`epitome_kit.tumour.intervals.add_intervals`).

    A call that is stopped keeps the finished folds; the next one with the same
    settings goes on from there.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    out : path
        Workspace: ``masks/`` on each subject's own grid, ``tumours.tsv``, and
        ``unet/`` with the networks of the folds.
    folds : int, default=5
    epochs : int, default=20
        Fixed beforehand: nothing is looked at to tell when to stop.
    seed : int, default=0
    learn_from : {"annotation", "truth"}, default="annotation"
        ``"truth"``: the whole tumour, which only simulated subjects have.
    weights : path, default=None
        Also train on all subjects, and write that network here, ``.keras``,
        with a ``.json`` that says what it was trained on and how well that
        went out of fold.
    workers : int, default=1
        Processes to outline with; training is done by this one.

    Returns
    -------
    DataFrame
        One row a subject: ``participant_id``, ``fold``, ``volume_voxels`` and
        ``volume_ml`` with ``_low_`` and ``_high_``, ``rano_long_mm``,
        ``rano_perpendicular_mm``; and where there is a reference ``dice``,
        ``hd95_mm``, ``dice_classical``, ``reference`` ("truth", "all slices" or
        "annotated slices"), ``reference_volume_voxels``, ``reference_volume_ml``,
        ``compared_volume_voxels`` (found on the same slices), ``volume_error_pct``
        and ``covered``, whether the interval holds the reference. ``spread`` is
        that of :func:`epitome_kit.tumour.conformal.boundary_uncertainty`. What has a unit,
        ``voxel_ml`` included, is missing where the voxel size is unknown.
        ``warnings`` says what preprocessing found doubtful in the input.

    Raises
    ------
    CohortError
        Nothing preprocessed, no tumour mask, or too few subjects for the folds.
    ParameterError
        Nothing like that to learn from, or `weights` is not named ``.keras``.
    """
    out, preprocessed = Path(out), Path(preprocessed)
    _check(cohort, learn_from, weights)
    settings = _begin(cohort, preprocessed, out, folds=folds, epochs=epochs, seed=seed, learn_from=learn_from)
    if not _finished(out, folds, weights, settings):
        arrays = load_arrays(cohort, preprocessed, shipped_channels("tumour_unet"))
        if learn_from == "truth":
            arrays = with_whole_truth(arrays, cohort, preprocessed)
        fold_of = make_equal_folds(arrays.ids, folds=folds, seed=seed)
        _require_masks(arrays, fold_of, cohort)
        _train(UNetFineTuner(arrays, epochs, seed), fold_of, cohort, preprocessed, out, weights, workers)
    tumours = add_intervals(pd.concat([read_tsv(_part(out, fold)) for fold in range(folds)]))
    tumours = tumours.sort_values("participant_id", ignore_index=True)
    write_tsv(out / "tumours.tsv", tumours)
    if weights:
        _write_card(weights, cohort, tumours, settings)
    return tumours


def predict_tumours(subjects, preprocessed, out, *, weights=None, workers=1):
    """Outline the tumour of every subject with a network that is there already.

    Parameters
    ----------
    subjects : Cohort or sequence of Subject
        None of them may have trained the network.
    preprocessed, out : path
        As for :func:`segment_cohort`.
    weights : path, default=None
        Written by :func:`segment_cohort`; None means the shipped network, which
        has seen simulated patients alone.
    workers : int, default=1
        Processes.

    Returns
    -------
    DataFrame
        As from :func:`segment_cohort`, without ``fold``. The intervals are
        calibrated on the subjects that the network was tested on out of fold.

    Raises
    ------
    ParameterError
        `weights` is not such a network.
    ImageError
        A subject without any contrast that the network looks at.
    CohortError
        No subject has been preprocessed.
    """
    out, preprocessed = Path(out), Path(preprocessed)
    _network(weights)  # refused here rather than by every worker
    ready = [each for each in subjects if Preprocessed(preprocessed, each.id).mask("desc-brain").is_file()]
    if not ready:
        hint = "run `epitome preprocess` first"
        raise CohortError("predict_tumours", "preprocessed subjects", f"none in {preprocessed}", hint)
    for part in out.glob("unet/fold-*.tsv"):  # their masks are about to be overwritten
        part.unlink()
    rows = _outline_all(ready, weights, preprocessed, out, workers)
    tumours = add_intervals(pd.DataFrame(rows), read_card(weights)["misfits"])
    write_tsv(out / "tumours.tsv", tumours)
    return tumours


def summarise(tumours):
    """Sum up how well outlines fit their references.

    Parameters
    ----------
    tumours : DataFrame
        From :func:`segment_cohort` or :func:`predict_tumours`.

    Returns
    -------
    dict
        ``n`` subjects with a reference, ``reference``, ``dice_mean`` with its
        bootstrap interval ``dice_mean_ci95``, ``dice_median``,
        ``dice_classical_mean``, ``volume_error_pct_median`` (of its size) and
        ``coverage`` of the intervals of the volumes. What too few subjects cannot tell is
        left out; empty without a reference.
    """
    if "dice" not in tumours or not (scored := tumours.dropna(subset="dice")).size:
        return {}
    dice = scored.dice.to_numpy()
    figures = {
        "n": len(scored),
        "reference": ", ".join(sorted(scored.reference.unique())),
        "dice_mean": float(dice.mean()),
        "dice_median": float(np.median(dice)),
        "dice_classical_mean": float(scored.dice_classical.mean()),
        "volume_error_pct_median": float(scored.volume_error_pct.abs().median()),
        "coverage": float(scored.covered.dropna().astype(float).mean()),
    }
    if interval := mean_ci95(dice):
        figures["dice_mean_ci95"] = list(interval)
    return {name: value for name, value in figures.items() if value == value}


def read_card(weights=None):
    """Read what is kept beside weights: what they were trained on, and how far volumes were off out of fold."""
    if weights is None:
        with shipped_weights("tumour_unet") as path:
            return read_json(path.with_name("tumour_unet.json"))
    return read_json(_card_path(weights), missing={"misfits": []})


def _card_path(weights):
    return Path(weights).with_suffix(".json")


def _check(cohort, learn_from, weights):
    if learn_from not in _LEARN_FROM or (learn_from == "truth" and not cohort.simulated):
        raise ParameterError(
            "segment_cohort",
            f"`learn_from` out of {', '.join(_LEARN_FROM)}; the truth only of simulated subjects",
            f"{learn_from!r} for {cohort.root}",
            "use `annotation`",
        )
    if weights and Path(weights).suffix != ".keras":
        raise ParameterError(
            "segment_cohort", "weights named `.keras`", str(weights), f"write to {Path(weights).with_suffix('.keras')}"
        )


def _require_masks(arrays, fold_of, cohort):
    """Make sure that every fold has somebody to learn from on its other side."""
    annotated = arrays.known.any(axis=(1, 2, 3, 4))
    if any(not annotated[fold_of != fold].any() for fold in fold_of):
        raise CohortError(
            "segment_cohort",
            "tumour masks, at least on some slices of some subjects outside each fold",
            f"masks of {annotated.sum()} of the {len(annotated)} subjects of {cohort.root}",
            "draw more of them; or leave `--train` out: the shipped network needs none",
        )


def _begin(cohort, preprocessed, out, **settings):
    """Write down the settings; what others made is cleared away."""
    remove_abandoned(out)
    records = [Preprocessed(preprocessed, each.id).record for each in cohort]
    with shipped_weights("tumour_unet") as start:
        inputs = checksum(start, *(record for record in records if record.is_file()))
    settings, path = {**settings, "inputs": inputs}, out / "unet" / "settings.json"
    if not path.is_file() or read_json(path) != settings:
        shutil.rmtree(out / "unet", ignore_errors=True)
        write_json(path, settings)
    return settings


def _finished(out, folds, weights, settings):
    """Whether every fold is there, and the network of all subjects with the same settings."""
    kept = not weights or (Path(weights).is_file() and read_card(weights).get("settings") == settings)
    return kept and all(_part(out, fold).is_file() for fold in range(folds))


def _train(tuner, fold_of, cohort, preprocessed, out, weights, workers):
    """Train what is not there yet, and outline the subjects of each fold."""
    missing = [fold for fold in np.unique(fold_of) if not _part(out, fold).is_file()]
    untrained = [fold for fold in missing if not unet_path(out, fold).is_file()]
    with step_bar("Training the U-Net", tuner.epochs * (len(untrained) + bool(weights))) as advance:
        for fold in untrained:
            save_unet(tuner.fit(fold_of != fold, fold + 1, advance), unet_path(out, fold))
        if weights:
            _card_path(weights).unlink(missing_ok=True)
            save_unet(tuner.fit(np.ones(len(fold_of), bool), 0, advance), weights)
    for fold in missing:  # after the bar above is gone: a notebook cannot show two at a time
        tested = [cohort[name] for name in np.array(tuner.arrays.ids)[fold_of == fold]]
        rows = _outline_all(tested, unet_path(out, fold), preprocessed, out, workers)
        write_tsv(_part(out, fold), pd.DataFrame([{"fold": fold + 1, **row} for row in rows]))


def unet_path(out, fold):
    """Where a workspace keeps the U-Net that never saw the subjects of a fold."""
    return Path(out) / "unet" / f"fold-{fold + 1}.keras"


def _part(out, fold):
    return unet_path(out, fold).with_suffix(".tsv")


def _outline_all(subjects, weights, preprocessed, out, workers):
    work = partial(_outline, weights=weights, preprocessed=preprocessed, out=out)
    return for_each(work, subjects, title="Segmenting", workers=workers)


def _network(weights):
    """Load a network once in each process, and again when its file has changed."""
    path = Path(weights or "")
    return _loaded(weights, path.stat().st_mtime_ns if path.is_file() else None)


@lru_cache(maxsize=1)
def _loaded(weights, _changed):
    return load_unet(weights)


def _outline(subject, *, weights, preprocessed, out):
    """Outline, save, measure and compare one subject."""
    network = _network(weights)
    channels = unet_channels(network)
    scans = load_scans(Preprocessed(preprocessed, subject.id), channels)
    probability = tumour_probability(network, scans)
    mask = to_subject_space(subject, preprocessed, probability)
    save_outline(mask, out, subject.id)
    figures = {"spread": boundary_uncertainty(probability), "voxel_ml": voxel_ml(mask), "dice_classical": np.nan}
    if reference_path(subject) is not None:
        rival = to_subject_space(subject, preprocessed, outline_by_symmetry(scans, channels))
        figures["dice_classical"] = compare_outline(subject, rival)["dice"]
    said = " ".join(Preprocessed(preprocessed, subject.id).warnings) or np.nan
    return {"participant_id": subject.id, **describe_outline(subject, mask), **figures, "warnings": said}


def _write_card(weights, cohort, tumours, settings):
    misfits = [each for each in score_misfits(tumours).tolist() if np.isfinite(each)]
    card = {"trained_on": cohort.name, "n_subjects": len(tumours), "contrasts": cohort.contrasts, "settings": settings}
    write_json(_card_path(weights), {**card, "out_of_fold": summarise(tumours), "misfits": misfits})
