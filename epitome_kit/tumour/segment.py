"""Segment the tumour of every subject with a network that was not trained on the subject."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.cohort import Cohort, Subject
from epitome_kit.errors import CohortError, ParameterError
from epitome_kit.files import (
    Json,
    PathLike,
    read_json,
    read_tsv_text,
    shipped_weights,
    text_digest,
    tsv_text,
    write_tsv,
)
from epitome_kit.folds import make_equal_folds
from epitome_kit.learn.arrays import Arrays, load_arrays
from epitome_kit.learn.channels import shipped_channels
from epitome_kit.lock import locks
from epitome_kit.parallel import step_bar
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.tumour.fit import UNetFineTuner, UNetSettings
from epitome_kit.tumour.intervals import add_intervals, pool_scores, score_volumes
from epitome_kit.tumour.network import save_unet
from epitome_kit.tumour.outline import with_whole_truth
from epitome_kit.tumour.outline_cohort import outline_path, outline_subjects
from epitome_kit.tumour.summary import summarise
from epitome_kit.workspace import Workspace

_LABEL_SOURCES = ("annotation", "truth")


@locks("segment")
def segment_cohort(
    cohort: Cohort,
    preprocessed: PathLike,
    out: PathLike,
    *,
    folds: int = 5,
    settings: UNetSettings | None = None,
    seed: int = 0,
    weights: PathLike | None = None,
    workers: int = 1,
) -> pd.DataFrame:
    """Segment the tumour of every subject by cross-validation with a U-Net.

    Each network starts from weights trained on simulated patients and is fine-tuned on
    the other folds. With sparse annotation, training and scores use the annotated slices
    and voxels certainly free of tumour; all other voxels are unknown, not background
    (:func:`epitome_kit.learn.arrays.known_region`). Simulated cohorts are scored on the
    whole ground truth.

    Each row also has the Dice of the baseline
    :func:`epitome_kit.tumour.classical.outline_by_symmetry`, which is not trained, and
    an interval of the whole volume, calibrated on the subjects of the other folds
    (:func:`epitome_kit.tumour.intervals.add_intervals`). Where these are annotated on a
    few slices, how far the volume outside the slices may be off is taken from simulated
    patients.

    Finished networks and outlines are kept when a call is interrupted; the next call
    with the same settings continues from there.

    Parameters
    ----------
    cohort : Cohort
        Subjects with annotations.
    preprocessed : path
        Folder written by :func:`epitome_kit.preprocess_cohort`.
    out : path
        Workspace for ``masks/`` on the grid of each subject's scan, ``tumours.tsv``, and
        ``unet/`` with the networks of the folds.
    folds : int, default=5
        Number of folds.
    settings : UNetSettings, default=None
        Epochs and labels of the training; None means the defaults of
        :class:`epitome_kit.UNetSettings`.
    seed : int, default=0
        Seed of folds and training.
    weights : path, default=None
        Also train on all subjects, and write that network here, ``.keras``, with a
        ``.json`` that describes its training data and its out-of-fold performance.
    workers : int, default=1
        Number of processes for segmentation; training runs in this one.

    Returns
    -------
    DataFrame
        One row for each subject: ``participant_id``, ``fold``, ``volume_voxels`` and
        ``volume_ml`` with ``_low_`` and ``_high_``, ``rano_long_mm``,
        ``rano_perpendicular_mm``; with a reference also ``dice``,
        ``hd95_mm``, ``dice_classical``, ``reference`` ("truth", "all slices" or
        "annotated slices"), ``reference_volume_voxels``, ``reference_volume_ml``,
        ``compared_volume_voxels`` (segmented on the same slices), ``volume_error_pct``
        and ``covered``, whether the interval contains the reference, missing for annotated
        slices, which do not show the whole volume. ``spread`` is
        :func:`epitome_kit.tumour.conformal.boundary_uncertainty`. Columns in mm and mL,
        including ``voxel_ml``, are missing if the voxel size is unknown. ``warnings``
        are those of preprocessing.

    Raises
    ------
    CohortError
        No preprocessed subject, no tumour mask, or too few subjects for the folds.
    ParameterError
        Unknown or unavailable `learn_from`, or `weights` is not named ``.keras``.

    See Also
    --------
    predict_tumours : Segment with an existing network.
    measure_tumour : Measure a mask.

    Examples
    --------
    Training takes minutes:

    >>> import epitome_kit as ek
    >>> cohort = ek.open_cohort("bids")  # doctest: +SKIP
    >>> tumours = ek.segment_cohort(cohort, "run/preprocessed", "run")  # doctest: +SKIP
    """
    out, preprocessed = Path(out), Path(preprocessed)
    settings = settings or UNetSettings()
    _check(cohort, settings.learn_from, weights)
    recorded = {"folds": folds, "epochs": settings.epochs, "seed": seed, "learn_from": settings.learn_from}
    record = _training_record(cohort, preprocessed, out, recorded)
    card = _card_record(weights, record) if weights else None
    final = card is not None and not _trained(card)
    if not record.valid() or final:
        _begin(record, card, cohort, out)
        arrays = load_arrays(cohort, preprocessed, shipped_channels("tumour_unet"))
        if settings.learn_from == "truth":
            arrays = with_whole_truth(arrays, cohort, preprocessed)
        fold_of = make_equal_folds(arrays.ids, folds=folds, seed=seed)
        _require_masks(arrays, fold_of, cohort)
        _train(UNetFineTuner(arrays, settings.epochs, seed), fold_of, out, card if final else None)
        record.finish(fold_of=dict(zip(arrays.ids, fold_of, strict=True)))
    fold_of = record.results()["fold_of"]
    networks = {name: unet_path(out, fold) for name, fold in fold_of.items()}
    rows = outline_subjects([cohort[name] for name in fold_of], networks, preprocessed, out, workers)
    parts = [
        [{"fold": fold + 1, **row} for row in rows if fold_of[row["participant_id"]] == fold] for fold in range(folds)
    ]
    tumours = add_intervals(pd.concat([_as_read(pd.DataFrame(part)) for part in parts]), unseen=read_card()["unseen"])
    tumours = tumours.sort_values("participant_id", ignore_index=True)
    write_tsv(Workspace(out).tumours, tumours)
    if card:
        card.finish(**_describe_network(cohort, tumours))
    return tumours


@locks("segment")
def predict_tumours(
    subjects: Iterable[Subject],
    preprocessed: PathLike,
    out: PathLike,
    *,
    weights: PathLike | None = None,
    workers: int = 1,
) -> pd.DataFrame:
    """Segment the tumour of every subject with an existing network.

    Outlines are kept on the next call if scans and network are unchanged.

    Parameters
    ----------
    subjects : Cohort or iterable of Subject
        Subjects that the network was not trained on.
    preprocessed, out : path
        As for :func:`segment_cohort`.
    weights : path, default=None
        Network written by :func:`segment_cohort`; None for the shipped network, trained
        on simulated patients only.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    DataFrame
        As from :func:`segment_cohort`, without ``fold``. The intervals are calibrated on
        the out-of-fold subjects of the network.

    Raises
    ------
    ParameterError
        `weights` is not such a network.
    ImageError
        A subject has none of the network's contrasts.
    CohortError
        No subject has been preprocessed.

    See Also
    --------
    segment_cohort : Fine-tune the network on a cohort.
    segment_head : Preprocess and segment the scans of one subject.

    Examples
    --------
    Preprocessing takes a minute for each subject:

    >>> import epitome_kit as ek
    >>> cohort = ek.open_cohort("bids")  # doctest: +SKIP
    >>> quality = ek.preprocess_cohort(cohort, "run/preprocessed")  # doctest: +SKIP
    >>> tumours = ek.predict_tumours(cohort, "run/preprocessed", "run")  # doctest: +SKIP
    """
    out, preprocessed = Path(out), Path(preprocessed)
    ready = [each for each in subjects if Preprocessed(preprocessed, each.id).mask("desc-brain").is_file()]
    if not ready:
        hint = "run `epitome preprocess` first"
        raise CohortError("predict_tumours", "preprocessed subjects", f"none in {preprocessed}", hint)
    network = None if weights is None else Path(weights)
    rows = outline_subjects(ready, {each.id: network for each in ready}, preprocessed, out, workers)
    tumours = add_intervals(pd.DataFrame(rows), read_card(weights).get("misfits", []))
    write_tsv(Workspace(out).tumours, tumours)
    return tumours


def read_card(weights: PathLike | None = None) -> Json:
    """Read the card of a network: its training data, and the nonconformity scores of its out-of-fold subjects."""
    if weights is None:
        with shipped_weights("tumour_unet") as path:
            return read_json(path.with_name("tumour_unet.json"))
    return read_json(_card_path(weights), missing={"misfits": []})


def _card_path(weights: PathLike) -> Path:
    return Path(weights).with_suffix(".json")


def _check(cohort: Cohort, learn_from: str, weights: PathLike | None) -> None:
    if learn_from not in _LABEL_SOURCES or (learn_from == "truth" and not cohort.simulated):
        raise ParameterError(
            "segment_cohort",
            f"`learn_from` among {', '.join(_LABEL_SOURCES)}; the truth only for simulated subjects",
            f"{learn_from!r} for {cohort.root}",
            "use `annotation`",
        )
    if weights and Path(weights).suffix != ".keras":
        raise ParameterError(
            "segment_cohort", "weights named `.keras`", str(weights), f"write to {Path(weights).with_suffix('.keras')}"
        )


def _require_masks(arrays: Arrays, fold_of: np.ndarray, cohort: Cohort) -> None:
    """Check that there is an annotated training subject for every fold."""
    annotated = np.asarray(arrays.known.any(axis=(1, 2, 3, 4)))
    if any(not annotated[fold_of != fold].any() for fold in fold_of):
        raise CohortError(
            "segment_cohort",
            "tumour masks, at least on some slices of some subjects outside each fold",
            f"masks of {annotated.sum()} of the {len(annotated)} subjects of {cohort.root}",
            "annotate more subjects; or leave out `--train`: the shipped network needs no masks",
        )


def _training_record(cohort: Cohort, preprocessed: Path, out: Path, settings: Json) -> Record:
    """Return the record of the networks of all folds, which stores the fold of each subject."""
    records = [Preprocessed(preprocessed, each.id).record for each in cohort]
    with shipped_weights("tumour_unet") as start:
        inputs = checksums(start, *records)
    networks = [unet_path(out, fold) for fold in range(settings["folds"])]
    return Record(Workspace(out).unet_folds / "settings.json", settings, inputs, networks)


def _card_record(weights: PathLike, training: Record) -> Record:
    """Return the record of the network of all subjects, its card; shared with the network, so without subject names."""
    inputs = {"preprocessed subjects": text_digest(repr(sorted(training.inputs.items())))}
    return Record(_card_path(weights), training.settings, inputs, [Path(weights)])


def _trained(card: Record) -> bool:
    """Return whether the network of a card is there, unchanged, even if its card is not finished."""
    return card.begun() and not card.difference() and all(path.is_file() for path in card.outputs)


def _begin(record: Record, card: Record | None, cohort: Cohort, out: Path) -> None:
    """Report what is computed again, and remove results made with other settings."""
    report_again("segment_cohort", [record.difference() or (card.difference() if card else None)])
    if not record.begun():
        shutil.rmtree(Workspace(out).unet_folds, ignore_errors=True)
        for each in cohort:
            outline_path(out, each.id).unlink(missing_ok=True)
        record.begin()
    record.set_aside_changed()


def _train(tuner: UNetFineTuner, fold_of: np.ndarray, out: Path, card: Record | None) -> None:
    """Train the missing networks: one for each fold, and that of all subjects if its card is given."""
    untrained = [fold for fold in np.unique(fold_of) if not unet_path(out, fold).is_file()]
    with step_bar("Training the U-Net", tuner.epochs * (len(untrained) + bool(card))) as advance:
        for fold in untrained:
            save_unet(tuner.fit(fold_of != fold, fold + 1, advance), unet_path(out, fold))
        if card:
            card.path.unlink(missing_ok=True)
            save_unet(tuner.fit(np.ones(len(fold_of), bool), 0, advance), *card.outputs)
            card.begin()


def unet_path(out: PathLike, fold: int) -> Path:
    """Return the path of the U-Net trained without the subjects of a fold."""
    return Workspace(Path(out)).unet_folds / f"fold-{fold + 1}.keras"


def _as_read(table: pd.DataFrame) -> pd.DataFrame:
    """Round-trip a table through its file format."""
    return read_tsv_text(tsv_text(table), dtype={"participant_id": str})


def _describe_network(cohort: Cohort, tumours: pd.DataFrame) -> Json:
    """Describe the training of a network, for its card."""
    scores = pool_scores(score_volumes(tumours, read_card()["unseen"])).tolist()
    known = {"trained_on": cohort.name, "n_subjects": len(tumours), "contrasts": cohort.contrasts}
    return {**known, "out_of_fold": summarise(tumours), "misfits": scores}
