"""Grade any table of features: the implementation of `epitome grade`."""

import warnings
from pathlib import Path

import pandas as pd

from epitome_kit.errors import EpitomeWarning, OutputError
from epitome_kit.extras import is_installed
from epitome_kit.files import Json, PathLike, check_output, checksum, read_json, write_json
from epitome_kit.grade.splits import Resampling, make_repeated_folds, shuffle_labels
from epitome_kit.grade.table import TableColumns, read_features
from epitome_kit.lock import locks
from epitome_kit.plotting.grading import grading_board
from epitome_kit.plotting.style import save_figure
from epitome_kit.provenance import describe_run
from epitome_kit.report.model_card import write_model_card
from epitome_kit.workspace import Workspace

_NO_NETWORK = (
    "the network is left out because the extra `train` is not installed, and a logistic regression is graded "
    "in its place; `pip install 'epitome-kit[train]'` adds the network"
)


@locks("grade")
def grade_table(
    table: PathLike | pd.DataFrame,
    out: PathLike,
    columns: TableColumns,
    *,
    resampling: Resampling = Resampling(),  # noqa: B008
    shuffle: bool = False,
    seed: int = 0,
    workers: int = 2,
) -> Json:
    """Grade a table of features by nested, repeated, stratified cross-validation by subject.

    Imputation, scaling, feature selection, class weights, the network and its
    calibration are fitted on the training part of each fold only; hyperparameters
    are chosen by inner cross-validation. Finished folds are kept, so an interrupted
    call can be repeated to continue. Without the extra `train`, a logistic
    regression is graded in place of the network, and a warning is issued.

    Parameters
    ----------
    table : path or DataFrame
        One row per subject, or several with a group in `columns`.
    out : path
        Output folder: ``scores.json``, ``scoreboard.png``, ``predictions.tsv``,
        ``baselines.tsv``, ``selected.tsv``, ``subgroups.tsv`` if there are columns of
        subgroups, ``ann.keras`` (trained on all subjects, on the features listed in
        ``ann.json``), ``provenance.json`` and ``model_card.md``.
    columns : TableColumns
        Roles of the columns: the label, the subject, probes and so on. The label is
        required, all others are optional.
    resampling : Resampling, default=Resampling()
        Numbers of repeats, folds and permutations.
    shuffle : bool, default=False
        Shuffle the labels first; the expected AUC is then 0.5.
    seed : int, default=0
        Seed of folds, training and resampling.
    workers : int, default=2
        Processes.

    Returns
    -------
    dict
        As in ``scores.json``: scores with intervals, baselines, probes and counts.

    Raises
    ------
    TableError, LeakageError
        As for :func:`epitome_kit.grade.table.read_features`.
    CohortError
        The smaller class has fewer subjects, or groups, than folds.
    OutputError
        `out` holds the grading of another label or other groups, differs in
        `shuffle`, or holds the grading by a network while the extra `train` is not
        installed.

    See Also
    --------
    grade_features : Grade the features of a workspace.
    learn_features : Learn the features that a workspace grades.

    Examples
    --------
    >>> import epitome_kit as ek
    >>> columns = ek.TableColumns(label="grade", id="patient")
    >>> scores = ek.grade_table("features.csv", "runs/features", columns)  # doctest: +SKIP
    >>> scores["auc"], scores["auc_ci95"]  # doctest: +SKIP
    """
    out, network = Path(out), is_installed("keras")
    label = columns.label
    _require_same(out, label, shuffle, columns.group, network)
    features, notes = read_features(table, columns)
    check_output(out, where="grade")
    if shuffle:
        features = shuffle_labels(features, seed=seed)
    if not network:
        warnings.warn(EpitomeWarning(_NO_NETWORK), stacklevel=2)
    from epitome_kit.grade.evaluate import cross_validate, save_grading
    from epitome_kit.grade.permutation import permute_table
    from epitome_kit.grade.scoreboard import build_scoreboard
    from epitome_kit.grade.subgroups import save_subgroups

    splits = make_repeated_folds(features, repeats=resampling.repeats, folds=resampling.folds, seed=seed)
    predictions, settings = cross_validate(splits, out, seed=seed, workers=workers, network=network)
    permuted = permute_table(splits, out, draws=resampling.permutations, seed=seed, workers=workers)
    scores = build_scoreboard(predictions, splits, permutations=permuted, seed=seed)
    classes, variables = notes.pop("classes"), notes.pop("subgroups")
    scores["class_counts"] = dict(zip(classes, scores["class_counts"], strict=True))
    source = {"table": "a DataFrame"}
    if not hasattr(table, "columns"):
        source = {"table": Path(table).name, "sha256": checksum(Path(table))}
    scores = {"target": label, "positive": classes[1], "shuffled": shuffle, **scores, "source": {**source, **notes}}
    save_grading(out, predictions, scores, features, settings._replace(subjects=len(features)))
    save_subgroups(out, variables, scores)
    write_json(Workspace(out).provenance, describe_run({"seed": seed}))
    figure = grading_board(out, title=f"{label}{', labels shuffled' if shuffle else ''}")
    save_figure(
        figure, Workspace(out).scoreboard, "Scores with intervals, compared with baselines and the majority class."
    )
    write_model_card(out)
    return scores


def _require_same(out: Path, label: str, shuffle: bool, group: str | None, network: bool) -> None:
    """Raise OutputError if `out` holds a grading with another label, other groups, shuffled labels or a network."""
    if not Workspace(out).scores.is_file():
        return
    before = read_json(Workspace(out).scores)
    target, shuffled = before.get("target"), before.get("shuffled", False)
    by = ((before.get("source") or {}).get("group") or {}).get("column")
    by_network = not network and before.get("model", "ann") == "ann"
    if (target, shuffled, by) != (label, shuffle, group) or by_network:
        details = f"{', labels shuffled' * shuffled}{f', by {by}' if by else ''}{', by the network' * by_network}"
        received = f"{out}, which holds {target}{details}"
        raise OutputError("grade", f"a separate folder for {label}", received, "choose another `--out`")
