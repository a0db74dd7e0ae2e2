"""Segmentation: the tumour of every subject, outlined by a network that never saw the subject."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.errors import CohortError, ParameterError
from epitome_kit.files import (
    read_json,
    read_tsv_text,
    remove_abandoned,
    shipped_weights,
    text_digest,
    tsv_text,
    write_tsv,
)
from epitome_kit.folds import make_equal_folds
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.channels import shipped_channels
from epitome_kit.metrics import mean_ci95
from epitome_kit.parallel import step_bar
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.tumour.fit import UNetFineTuner
from epitome_kit.tumour.intervals import add_intervals, score_misfits
from epitome_kit.tumour.network import save_unet
from epitome_kit.tumour.outline import with_whole_truth
from epitome_kit.tumour.outline_cohort import outline_path, outline_subjects
from epitome_kit.workspace import Workspace

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

    A call that is stopped keeps the finished networks and outlines; the next one
    with the same settings goes on from there.

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
    remove_abandoned(out)
    settings = {"folds": folds, "epochs": epochs, "seed": seed, "learn_from": learn_from}
    record = _training_record(cohort, preprocessed, out, settings)
    card = _card_record(weights, record) if weights else None
    everybody = card is not None and not (card.begun() and Path(weights).is_file())
    if not record.valid() or everybody:
        _begin(record, card, cohort, out)
        arrays = load_arrays(cohort, preprocessed, shipped_channels("tumour_unet"))
        if learn_from == "truth":
            arrays = with_whole_truth(arrays, cohort, preprocessed)
        fold_of = make_equal_folds(arrays.ids, folds=folds, seed=seed)
        _require_masks(arrays, fold_of, cohort)
        _train(UNetFineTuner(arrays, epochs, seed), fold_of, out, card if everybody else None)
        record.finish(fold_of=dict(zip(arrays.ids, fold_of, strict=True)))
    fold_of = record.results()["fold_of"]
    networks = {name: unet_path(out, fold) for name, fold in fold_of.items()}
    rows = outline_subjects([cohort[name] for name in fold_of], networks, preprocessed, out, workers)
    parts = [
        [{"fold": fold + 1, **row} for row in rows if fold_of[row["participant_id"]] == fold] for fold in range(folds)
    ]
    tumours = add_intervals(pd.concat([_as_read(pd.DataFrame(part)) for part in parts]))
    tumours = tumours.sort_values("participant_id", ignore_index=True)
    write_tsv(Workspace(out).tumours, tumours)
    if card:
        card.finish(**_describe_network(cohort, tumours))
    return tumours


def predict_tumours(subjects, preprocessed, out, *, weights=None, workers=1):
    """Outline the tumour of every subject with a network that is there already; what is finished is kept.

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
    remove_abandoned(out)
    ready = [each for each in subjects if Preprocessed(preprocessed, each.id).mask("desc-brain").is_file()]
    if not ready:
        hint = "run `epitome preprocess` first"
        raise CohortError("predict_tumours", "preprocessed subjects", f"none in {preprocessed}", hint)
    rows = outline_subjects(ready, dict.fromkeys((each.id for each in ready), weights), preprocessed, out, workers)
    tumours = add_intervals(pd.DataFrame(rows), read_card(weights).get("misfits", []))
    write_tsv(Workspace(out).tumours, tumours)
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


def _training_record(cohort, preprocessed, out, settings):
    """Record of the networks of all folds; it holds the fold of each subject."""
    records = [Preprocessed(preprocessed, each.id).record for each in cohort]
    with shipped_weights("tumour_unet") as start:
        inputs = checksums(start, *records)
    networks = [unet_path(out, fold) for fold in range(settings["folds"])]
    return Record(out / "unet" / "settings.json", settings, inputs, networks)


def _card_record(weights, training):
    """Record of the network of all subjects, which is its card: it goes with the network, so it names no subject."""
    inputs = {"preprocessed subjects": text_digest(repr(sorted(training.inputs.items())))}
    return Record(_card_path(weights), training.settings, inputs, [Path(weights)])


def _begin(record, card, cohort, out):
    """Say what is computed again, and clear away what was made with other settings."""
    report_again("segment_cohort", [record.difference() or (card and card.difference())])
    if not record.begun():
        shutil.rmtree(out / "unet", ignore_errors=True)
        for each in cohort:
            outline_path(out, each.id).unlink(missing_ok=True)
        record.begin()


def _train(tuner, fold_of, out, card):
    """Train the networks that are missing: one for each fold, and that of all subjects where its card is given."""
    untrained = [fold for fold in np.unique(fold_of) if not unet_path(out, fold).is_file()]
    with step_bar("Training the U-Net", tuner.epochs * (len(untrained) + bool(card))) as advance:
        for fold in untrained:
            save_unet(tuner.fit(fold_of != fold, fold + 1, advance), unet_path(out, fold))
        if card:
            card.path.unlink(missing_ok=True)
            save_unet(tuner.fit(np.ones(len(fold_of), bool), 0, advance), *card.outputs)
            card.begin()


def unet_path(out, fold):
    """Where a workspace keeps the U-Net that never saw the subjects of a fold."""
    return Path(out) / "unet" / f"fold-{fold + 1}.keras"


def _as_read(table):
    """Give a table as it is read from its file."""
    return read_tsv_text(tsv_text(table), dtype={"participant_id": str})


def _describe_network(cohort, tumours):
    """Describe the training of a network, for its card."""
    misfits = [each for each in score_misfits(tumours).tolist() if np.isfinite(each)]
    known = {"trained_on": cohort.name, "n_subjects": len(tumours), "contrasts": cohort.contrasts}
    return {**known, "out_of_fold": summarise(tumours), "misfits": misfits}
