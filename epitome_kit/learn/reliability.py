"""Reliability of features: measure every head in simulated second sessions, and compute the ICC in every fold."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.backend import Model, load_model
from epitome_kit.cohort import Cohort
from epitome_kit.files import PathLike, read_tsv, write_tsv
from epitome_kit.learn.agreement import intraclass_correlation
from epitome_kit.learn.arrays import Arrays, load_arrays
from epitome_kit.learn.channels import read_channels
from epitome_kit.learn.cnn import feature_names
from epitome_kit.learn.explain import enlarge
from epitome_kit.learn.handcrafted import describe_region, find_region, handcrafted_features, merge_features
from epitome_kit.learn.perturbation import outline_again, scan_again
from epitome_kit.learn.probes import feature_columns
from epitome_kit.learn.train import fold_model_path
from epitome_kit.lock import locks
from epitome_kit.parallel import step_bar
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.workspace import Workspace


@locks("learn")
def feature_reliability(
    cohort: Cohort, preprocessed: PathLike, out: PathLike, *, sessions: int = 3, seed: int = 0
) -> pd.DataFrame:
    """Compute the ICC of every feature in every fold, between the scans and simulated second scans.

    Each training subject of a fold is scanned again
    (:func:`epitome_kit.learn.perturbation.scan_again`) and described by the network of
    the fold. The region that it finds is outlined again
    (:func:`epitome_kit.learn.perturbation.outline_again`) before the handcrafted features
    are measured. Test subjects are left out, so that the table may decide which
    features a grader is offered (:func:`epitome_kit.grade_features`).

    Parameters
    ----------
    cohort : Cohort
        Cohort of the networks.
    preprocessed : path
        Output folder of :func:`epitome_kit.preprocess_cohort`.
    out : path
        Workspace of :func:`epitome_kit.learn_features`, which has to be called first;
        ``reliability.tsv`` is written there, the measurements of each session to
        ``cnn/``. Finished sessions are kept.
    sessions : int, default=3
        Number of simulated sessions, besides the actual one.
    seed : int, default=0
        Seed of all changes.

    Returns
    -------
    DataFrame
        From :func:`compare_sessions`.

    Raises
    ------
    CohortError
        The workspace has no trained CNN, or no subject has been preprocessed.
    ParameterError
        `sessions` is less than 1.

    Notes
    -----
    The ICC says how much of the spread between these subjects survives such changes, and
    no more: anatomy, scanner and protocol stay the same. It is an upper bound of that of
    actual second scans.

    References
    ----------
    Zwanenburg et al., Sci Rep 2019, doi:10.1038/s41598-018-36938-4
    """
    out, preprocessed = Path(out), Path(preprocessed)
    handcrafted = handcrafted_features(cohort, preprocessed, out)
    first = merge_features(read_tsv(Workspace(out).features), handcrafted)
    networks = {fold: fold_model_path(out, fold - 1) for fold in sorted(first["fold"].unique())}
    quality = sorted(preprocessed.glob("sub-*/anat/[!.]*_quality.json"))
    inputs = checksums(Workspace(out).features, Workspace(out).handcrafted, *networks.values(), *quality)
    tables = [Workspace(out).cnn_folds / f"session-{number + 1}.tsv" for number in range(sessions)]
    records = [Record(path.with_suffix(".json"), {"seed": [seed, n]}, inputs, [path]) for n, path in enumerate(tables)]
    if missing := [number for number, record in enumerate(records) if not record.valid()]:
        report_again("feature_reliability", [record.difference() for record in records])
        models = {fold: load_model(path, where="feature_reliability") for fold, path in networks.items()}
        arrays = load_arrays(cohort, preprocessed, read_channels(next(iter(models.values()))))
        training = {fold: set(rows.participant_id) for fold, rows in first[first.role == "train"].groupby("fold")}
        chosen = {fold: [name in training[fold] for name in arrays.ids] for fold in models}
        steps = len(missing) * (len(arrays.ids) + sum(map(sum, chosen.values())))
        with step_bar("Simulating second scans", steps) as advance:
            for number in missing:
                write_tsv(tables[number], _measure_again(arrays, models, chosen, [seed, number], advance))
                records[number].finish()
    record = Record(Workspace(out).cnn_folds / "reliability.json", {}, checksums(*tables), [Workspace(out).reliability])
    if not record.valid():
        write_tsv(Workspace(out).reliability, compare_sessions(first, [read_tsv(path) for path in tables]))
        record.finish()
    return read_tsv(Workspace(out).reliability)


def compare_sessions(first: pd.DataFrame, again: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Compute the ICC of every feature over the training subjects of every fold.

    Parameters
    ----------
    first : DataFrame
        Table of features with one row per subject and fold, as from
        :func:`epitome_kit.learn.merge_features`.
    again : sequence of DataFrame
        Further measurements of its training subjects: ``participant_id``, ``fold`` and
        the features. Other rows are not used.

    Returns
    -------
    DataFrame
        One row per fold and feature: ``fold``, ``feature``, ``icc``, ``icc_low``, the lower
        bound of its 95 % interval, and ``n``, the number of subjects. See
        :func:`epitome_kit.learn.intraclass_correlation`.
    """
    columns, parts = feature_columns(first), []
    for fold, rows in first[first.role == "train"].groupby("fold"):
        sessions = [rows, *(each[each.fold == fold] for each in again)]
        values = [each.set_index("participant_id").loc[rows.participant_id, columns] for each in sessions]
        icc, low = intraclass_correlation(np.stack([each.to_numpy(float) for each in values]))
        parts.append(pd.DataFrame({"fold": fold, "feature": columns, "icc": icc, "icc_low": low, "n": len(rows)}))
    return pd.concat(parts, ignore_index=True)


def _measure_again(
    arrays: Arrays,
    models: Mapping[int, Model],
    chosen: Mapping[int, Sequence[bool]],
    seed: Sequence[int],
    advance: Callable[[int], None],
) -> pd.DataFrame:
    """Simulate one session, and describe the chosen subjects of each fold by its network."""
    scans = np.empty_like(arrays.scans)
    for number, head in enumerate(arrays.scans):
        scans[number] = scan_again(head, np.random.default_rng([*seed, number]), spacing_mm=arrays.spacing_mm)
        advance(1)
    parts = []
    for fold, model in models.items():
        numbers = np.flatnonzero(chosen[fold])
        found = model.predict(scans[numbers], batch_size=4, verbose=0)
        learned = pd.DataFrame(np.asarray(found["features"]), columns=feature_names(arrays.contrasts))
        described = []
        for number, coarse in zip(numbers, np.asarray(found["tumour"])[..., 0], strict=True):
            head, rng = scans[number], np.random.default_rng([*seed, number, fold])
            brain = np.any(head, axis=-1)
            region = outline_again(find_region(enlarge(coarse, brain.shape), brain), brain, rng)
            described.append(describe_region(head, region, arrays.spacing_mm, arrays.contrasts))
            advance(1)
        names = [arrays.ids[number] for number in numbers]
        measured = pd.concat([learned, pd.DataFrame(described)], axis=1)
        parts.append(pd.concat([pd.DataFrame({"participant_id": names, "fold": fold}), measured], axis=1))
    return pd.concat(parts, ignore_index=True)
