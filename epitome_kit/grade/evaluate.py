"""Nested cross-validation by subject, and a scoreboard with everything that a score must stand beside."""

import re
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit import __version__
from epitome_kit.cohort import TARGETS
from epitome_kit.files import whole_file, write_json, write_tsv
from epitome_kit.grade.baselines import BASELINES
from epitome_kit.grade.nested import NUMBERS, Settings, grade_fold, train_network
from epitome_kit.grade.scores import score
from epitome_kit.grade.select import METHODS
from epitome_kit.learn.probes import GROUP, feature_columns, probe_columns
from epitome_kit.parallel import for_each
from epitome_kit.resume import Record, report_again
from epitome_kit.workspace import Workspace


def grade_features(
    features, out, *, target="grade", balanced=True, epochs=30, seed=0, oracle_auc=None, beside=None, workers=1
):
    """Select features, train the ANN and score it, fold by fold.

    Everything is chosen and learned from rows with role ``train``: features by
    three methods, how many by inner folds, then filling, scaling, weights and
    calibration. Rows with role ``test`` are only predicted. Finished folds are kept
    in ``folds/``, so a call that was stopped goes on.

    Parameters
    ----------
    features : DataFrame
        As :func:`epitome_kit.learn_features` returns it; see also
        :func:`epitome_kit.learn.probes.add_probe`. A column ``group_id`` tells which rows
        stay together.
    out : path
        Workspace: ``scores.json``, ``predictions.tsv``, ``rivals.tsv``,
        ``selected.tsv``, ``ann.keras`` (of the last fold; takes the features that
        ``ann.json`` lists).
    target : {"grade", "codeletion"}, default="grade"
    balanced : bool, default=True
        Balanced training.
    epochs : int, default=30
    seed : int, default=0
    oracle_auc : float, default=None
        Ceiling of any model, known for phantoms.
    beside : dict of str to DataFrame, default=None
        Other tables of the same folds, each graded by the same network and
        listed as a rival.
    workers : int, default=1
        Processes.

    Returns
    -------
    dict
        As in ``scores.json``: see :func:`epitome_kit.grade.scores.score`; also
        ``rivals`` and ``probes``, each with the same keys.

    Raises
    ------
    Leak
        A subject, or a group, is both in training and in test of a fold.
    """
    how = {"balanced": balanced, "epochs": epochs, "seed": seed, "workers": workers}
    features = features[features.label.notna()]
    answers, settings = cross_validate(features, Path(out), **how)
    scores = build_scoreboard(answers, features, seed=seed)
    for name, table in (beside or {}).items():
        others, _ = cross_validate(table[table.label.notna()], Path(out), **how, rivals=False, name=name)
        scores["rivals"][name] = score_models(others, seed)[scores["model"]]
    names = list(map(str, TARGETS[target]))
    scores = {"target": target, "positive": names[1], "oracle_auc": oracle_auc, **scores}
    scores["class_counts"] = dict(zip(names, scores["class_counts"], strict=True))
    last = features[(features.fold == features.fold.max()) & (features.role == "train")]
    save_grading(Path(out), answers, scores, last, settings)
    return scores


def cross_validate(
    table, out, *, balanced=True, epochs=30, seed=0, workers=1, rivals=True, network=True, name="features"
):
    """Grade every fold of a table; folds that were finished earlier, with the same rows and settings, are kept.

    Parameters
    ----------
    table : DataFrame
        Rows of every subject in every fold, as for
        :func:`epitome_kit.grade.nested.grade_fold`; all labelled.
    out : Path
        Workspace: ``folds/`` holds the finished ones.
    balanced, epochs, seed, workers
        As for :func:`grade_features`.
    rivals : bool, default=True
        Whether to train rivals and probes as well.
    name : str, default="features"
        Tells the folds of one table from those of another in the same workspace.
    network : bool, default=True
        Whether to train the network; without it, a logistic regression selects and leads.

    Returns
    -------
    answers : list of dict
        As :func:`epitome_kit.grade.nested.grade_fold` gives them.
    settings : Settings
    """
    table = table if "repeat" in table else table.assign(repeat=1)
    folds = [rows for _, rows in table.groupby(["repeat", "fold"])]
    subjects = max(int((rows.role == "train").sum()) for rows in folds)
    widest = min(max(NUMBERS), len(feature_columns(table)))
    settings = Settings(widest, subjects, epochs, balanced, seed, rivals, network)
    stem = re.sub(r"\W+", "-", name)
    jobs = [(rows, _fold_record(out / "folds", stem, rows, settings)) for rows in folds]
    report_again(f"Grading of {name}", [record.difference() for _, record in jobs])
    grade = partial(_grade_once, settings=settings)
    title = "Training the ANN" if network else "Training the baselines"
    return for_each(grade, jobs, title=title, workers=workers), settings


def build_scoreboard(answers, table, *, seed=0):
    """Put together the scoreboard.

    Parameters
    ----------
    answers : list of dict
        From :func:`cross_validate`.
    table : DataFrame
        What was graded.
    seed : int, default=0

    Returns
    -------
    dict
        ``model``, the name of the leading model, and its scores; ``rivals`` and ``probes`` with the same keys each;
        ``folds``, ``repeats``, ``seed``, ``features`` and ``selection``.
    """
    scored = score_models(answers, seed)
    leading = next(iter(scored))
    selections = [each for answer in answers for each in answer["selected"]]
    numbers = pd.Series([each["number"] for each in selections if each["method"] == METHODS[0]])
    people = pd.concat([answer["predictions"] for answer in answers]).groupby("participant_id").first()
    repeats = table["repeat"].nunique() if "repeat" in table else 1
    return {
        "model": leading,
        **scored[leading],
        "rivals": {
            "majority": majority(people.label, people.get(GROUP)),
            **{name: scored[name] for name in BASELINES if name in scored and name != leading},
        },
        "probes": {name: scored[name] for name in probe_columns(table)},
        "folds": int(table.fold.nunique()),
        "repeats": int(repeats),
        "seed": seed,
        "features": {"offered": len(feature_columns(table)), "selected": sorted(set(numbers.tolist()))},
        "selection": {
            "methods": list(METHODS),
            "numbers": list(NUMBERS),
            "chosen": {str(number): int(count) for number, count in numbers.value_counts().items()},
        },
    }


def score_models(answers, seed=0):
    """Score every model of the answers.

    Parameters
    ----------
    answers : list of dict
    seed : int, default=0

    Returns
    -------
    dict of str to dict
    """
    everything = pd.concat([answer["predictions"] for answer in answers])
    return {name: _score_model(rows, seed) for name, rows in everything.groupby("model", sort=False)}


def majority(labels, groups=None):
    """Score who always names the commoner class, with its share as the probability.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
    groups : array, shape (n,), default=None
        As for :func:`epitome_kit.grade.scores.score`.

    Returns
    -------
    dict
        As :func:`epitome_kit.grade.scores.score` gives it.
    """
    labels = np.asarray(labels, int)
    return score(labels, np.full(len(labels), labels.mean()), groups=groups)


def save_grading(out, answers, scores, rows, settings):
    """Write predictions, selected features, a network where one is trained, and, last, the scores.

    Parameters
    ----------
    out : Path
    answers : list of dict
    scores : dict
    rows : DataFrame
        Subjects to train the network on that is kept: ``ann.keras``, which takes
        the features that ``ann.json`` lists.
    settings : Settings
    """
    everything = pd.concat([answer["predictions"] for answer in answers]).sort_values(["repeat", "participant_id"])
    ours = everything.model == settings.leading
    write_tsv(Workspace(out).predictions, everything[ours].drop(columns="model"))
    write_tsv(out / "rivals.tsv", everything[~ours])
    write_tsv(Workspace(out).selected, _how_often(answers))
    if settings.network:
        _save_network(out, rows, settings)
    write_json(Workspace(out).scores, scores)


def _save_network(out, rows, settings):
    columns = feature_columns(rows)
    x, y = rows[columns].to_numpy(np.float32), rows.label.to_numpy(int)
    model, taken = train_network(x, y, settings, rows[GROUP].to_numpy() if GROUP in rows else None)
    with whole_file(Workspace(out).ann) as path:
        model.save(path)
    write_json(Workspace(out).ann_columns, {"features": [columns[index] for index in taken], "subjects": len(rows)})


def _fold_record(folder, stem, rows, settings):
    """Record of one graded fold, which holds its answer."""
    digest = sha256(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
    digest.update(repr(list(rows.columns)).encode())
    path = folder / f"{stem}_repeat-{rows['repeat'].iloc[0]}_fold-{rows['fold'].iloc[0]}.json"
    inputs = {"rows of the table": digest.hexdigest()[:16]}
    return Record(path, {"version": __version__, **settings._asdict()}, inputs)


def _grade_once(job, settings):
    """Grade a fold, unless its record says that this is done."""
    rows, record = job
    answer = record.results()
    if not answer:
        answer = grade_fold(rows, settings)
        record.finish(**{**answer, "predictions": answer["predictions"].to_dict("list")})
        return answer
    return {**answer, "predictions": pd.DataFrame(answer["predictions"])}


def _score_model(rows, seed):
    wide = rows.pivot(index="participant_id", columns="repeat")
    groups = wide[GROUP].iloc[:, 0] if GROUP in rows else None
    return score(wide["label"].iloc[:, 0], wide["probability"].T, wide["calibrated"].T, groups=groups, seed=seed)


def _how_often(answers):
    """How often each feature was selected: by each method, and the share of all selections."""
    selections = [each for answer in answers for each in answer["selected"]]
    pairs = [(name, each["method"]) for each in selections for name in each["features"]]
    counts = pd.DataFrame(pairs, columns=["feature", "method"]).value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=list(METHODS), fill_value=0)
    counts["share"] = counts.sum(axis=1) / len(selections)
    return counts.sort_values("share", ascending=False, kind="stable").reset_index()
