"""`epitome grade`: any table of features, graded as the kit grades its own."""

import warnings
from pathlib import Path

from epitome_kit.errors import EpitomeWarning, OutputError, ParameterError
from epitome_kit.extras import is_installed
from epitome_kit.files import checksum, read_json, write_json
from epitome_kit.grade.splits import make_repeated_folds, shuffle_labels
from epitome_kit.grade.table import read_features
from epitome_kit.plotting.grading import grading_board
from epitome_kit.plotting.style import save_figure
from epitome_kit.provenance import describe_run
from epitome_kit.report.model_card import write_model_card
from epitome_kit.workspace import Workspace

_NO_NETWORK = (
    "the network is left out, as the extra `train` is not installed: a logistic regression leads; "
    "`pip install 'epitome-kit[train]'` adds the network"
)


def grade_table(
    table,
    out,
    *,
    label,
    id=None,
    positive=None,
    drop=(),
    probes=(),
    group=None,
    no_group=False,
    allow_leak=(),
    repeats=4,
    folds=5,
    shuffle=False,
    seed=0,
    workers=2,
):
    """Grade a table of features by nested, repeated, stratified cross-validation by subject.

    The way to select features, their number, filling, scaling, weights and
    calibration are learned inside the training part of each fold. Folds that are
    finished are kept, so a call that was stopped goes on. Without the extra `train` there is
    no network: a logistic regression selects and leads, with a warning.

    Parameters
    ----------
    table : path or DataFrame
        One row a subject, or several with `group`; see :func:`epitome_kit.grade.table.read_features`.
    out : path
        ``scores.json``, ``scoreboard.png``, ``predictions.tsv``, ``rivals.tsv``,
        ``selected.tsv``, ``ann.keras`` (trained on all subjects; takes the features
        that ``ann.json`` lists), ``provenance.json`` and ``model_card.md``.
    label, id, positive, drop, probes, group, no_group, allow_leak
        As for :func:`epitome_kit.grade.table.read_features`.
    repeats : int, default=4
        Deals of the folds.
    folds : int, default=5
    shuffle : bool, default=False
        Shuffle the labels first. An honest pipeline then scores an AUC of 0.5.
    seed : int, default=0
    workers : int, default=2
        Processes.

    Returns
    -------
    dict
        As in ``scores.json``.

    Raises
    ------
    TableError, Leak
        As :func:`epitome_kit.grade.table.read_features` raises them.
    CohortError
        The smaller class has fewer subjects, or groups, than folds.
    ParameterError
        Fewer than one repeat.
    OutputError
        `out` holds the grading of another label, of labels that were (or were not) shuffled, or
        of other groups, or one by the network where none can be trained.
    """
    if repeats < 1:
        raise ParameterError("grade", "at least one repeat", f"repeats={repeats}", "use `--repeats 4`")
    out, network = Path(out), is_installed("keras")
    _require_same(out, label, shuffle, group, network)
    columns = {"label": label, "id": id, "group": group, "drop": drop, "probes": probes}
    features, notes = read_features(table, **columns, positive=positive, no_group=no_group, allow_leak=allow_leak)
    if shuffle:
        features = shuffle_labels(features, seed=seed)
    if not network:
        warnings.warn(EpitomeWarning(_NO_NETWORK), stacklevel=2)
    from epitome_kit.grade.evaluate import build_scoreboard, cross_validate, save_grading

    dealt = make_repeated_folds(features, repeats=repeats, folds=folds, seed=seed)
    answers, settings = cross_validate(dealt, out, seed=seed, workers=workers, network=network)
    scores = build_scoreboard(answers, dealt, seed=seed)
    classes = notes.pop("classes")
    scores["class_counts"] = dict(zip(classes, scores["class_counts"], strict=True))
    source = {"table": "a DataFrame"}
    if not hasattr(table, "columns"):
        source = {"table": Path(table).name, "sha256": checksum(Path(table))}
    scores = {"target": label, "positive": classes[1], "shuffled": shuffle, **scores, "source": {**source, **notes}}
    save_grading(out, answers, scores, features, settings._replace(subjects=len(features)))
    write_json(Workspace(out).provenance, describe_run({"seed": seed}))
    figure = grading_board(out, title=f"{label}{', labels shuffled' if shuffle else ''}")
    save_figure(figure, Workspace(out).scoreboard, "Scores with intervals beside rivals and the majority.")
    write_model_card(out)
    return scores


def _require_same(out, label, shuffle, group, network):
    """Complain where the grading of another label, of shuffled ones, by other groups or a network would be lost."""
    if not (Workspace(out).scores).is_file():
        return
    before = read_json(Workspace(out).scores)
    target, shuffled = before.get("target"), before.get("shuffled", False)
    by = ((before.get("source") or {}).get("group") or {}).get("column")
    by_network = not network and before.get("model", "ann") == "ann"
    if (target, shuffled, by) != (label, shuffle, group) or by_network:
        told = f"{', labels shuffled' if shuffled else ''}{f', by {by}' if by else ''}{', by the network' * by_network}"
        received = f"{out}, which holds {target}{told}"
        raise OutputError("grade", f"a folder of its own for {label}", received, "name another `--out`")
