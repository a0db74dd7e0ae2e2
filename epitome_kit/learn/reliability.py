"""Reliability of features: measure every head in simulated sessions, and compute the ICC in every fold."""

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
from epitome_kit.learn.handcrafted import describe_region, find_region, handcrafted_features
from epitome_kit.learn.perturbation import outline_again, scan_again
from epitome_kit.learn.probes import feature_columns
from epitome_kit.learn.train import fold_model_path
from epitome_kit.lock import locks
from epitome_kit.parallel import step_bar
from epitome_kit.preprocess.derivative import quality_records
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.workspace import Workspace


@locks("learn")
def feature_reliability(
    cohort: Cohort, preprocessed: PathLike, out: PathLike, *, sessions: int = 3, seed: int = 0
) -> pd.DataFrame:
    """Compute the ICC of every feature in every fold, between simulated scans of the same heads.

    In each session, every training subject of a fold is scanned again
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
        Number of simulated sessions, at least two.
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
        There are fewer than two sessions or three training subjects.

    Notes
    -----
    Sessions are compared with each other, not with the actual scan, which has less noise
    than any of them. All share the noise of that scan, its scanner and its protocol, so
    the ICC of actual second scans is lower. Features of the CNN are weighted by its map,
    which moves with the second scan; the second outline concerns handcrafted ones alone.

    References
    ----------
    Zwanenburg et al., Sci Rep 2019, doi:10.1038/s41598-018-36938-4
    """
    out, preprocessed = Path(out), Path(preprocessed)
    rows = handcrafted_features(cohort, preprocessed, out)
    networks = {fold: fold_model_path(out, fold - 1) for fold in sorted(rows["fold"].unique())}
    inputs = checksums(
        Workspace(out).features, Workspace(out).handcrafted, *networks.values(), *quality_records(preprocessed)
    )
    tables = [Workspace(out).cnn_folds / f"session-{number + 1}.tsv" for number in range(sessions)]
    records = [Record(path.with_suffix(".json"), {"seed": [seed, n]}, inputs, [path]) for n, path in enumerate(tables)]
    if missing := [number for number, record in enumerate(records) if not record.valid()]:
        report_again("feature_reliability", [record.difference() for record in records])
        models = {fold: load_model(path, where="feature_reliability") for fold, path in networks.items()}
        weights = {fold: each.get_weights() for fold, each in models.items()}
        model = next(iter(models.values()))  # with the weights of each in turn: compiled once
        arrays = load_arrays(cohort, preprocessed, read_channels(model))
        training = {fold: set(each.participant_id) for fold, each in rows[rows.role == "train"].groupby("fold")}
        chosen = {fold: [name in training[fold] for name in arrays.ids] for fold in networks}
        steps = len(missing) * (len(arrays.ids) + sum(map(sum, chosen.values())))
        with step_bar("Simulating second scans", steps) as advance:
            for number in missing:
                write_tsv(tables[number], _measure_again(arrays, (model, weights), chosen, [seed, number], advance))
                records[number].finish()
    record = Record(Workspace(out).cnn_folds / "reliability.json", {}, checksums(*tables), [Workspace(out).reliability])
    if not record.valid():
        write_tsv(Workspace(out).reliability, compare_sessions([read_tsv(path) for path in tables]))
        record.finish()
    return read_tsv(Workspace(out).reliability)


def compare_sessions(sessions: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Compute the ICC of every feature over the training subjects of every fold.

    Parameters
    ----------
    sessions : sequence of DataFrame
        Tables of features of the same subjects: ``participant_id``, ``fold``, ``role``
        and the features. Rows with role ``test`` are not used.

    Returns
    -------
    DataFrame
        One row per fold and feature: ``fold``, ``feature``, ``icc``, ``icc_low``, the lower
        bound of its 95 % interval, and ``n``, the number of subjects. See
        :func:`epitome_kit.learn.intraclass_correlation`.
    """
    columns, parts = feature_columns(sessions[0]), []
    for fold, rows in sessions[0][sessions[0].role == "train"].groupby("fold"):
        of_fold = [each[(each.fold == fold) & (each.role == "train")].set_index("participant_id") for each in sessions]
        values = np.stack([each.loc[rows.participant_id, columns].to_numpy(float) for each in of_fold])
        icc, low = intraclass_correlation(values)
        parts.append(pd.DataFrame({"fold": fold, "feature": columns, "icc": icc, "icc_low": low, "n": len(rows)}))
    return pd.concat(parts, ignore_index=True)


def _measure_again(
    arrays: Arrays,
    networks: tuple[Model, Mapping[int, list[np.ndarray]]],
    chosen: Mapping[int, Sequence[bool]],
    seed: Sequence[int],
    advance: Callable[[int], None],
) -> pd.DataFrame:
    """Simulate one session, and describe the chosen subjects of each fold by its network."""
    scans = np.empty_like(arrays.scans)
    for place, head in enumerate(arrays.scans):
        scans[place] = scan_again(head, np.random.default_rng([*seed, place]), spacing_mm=arrays.spacing_mm)
        advance(1)
    (model, weights), parts = networks, []
    for fold, each in weights.items():
        model.set_weights(each)
        numbers: list[int] = np.flatnonzero(chosen[fold]).tolist()
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
        rows = pd.DataFrame({"participant_id": names, "fold": fold, "role": "train"})
        parts.append(pd.concat([rows, learned, pd.DataFrame(described)], axis=1))
    return pd.concat(parts, ignore_index=True)
