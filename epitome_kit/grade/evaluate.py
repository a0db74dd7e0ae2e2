"""Nested cross-validation by subject: finished folds are kept, and the results are written."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit import __version__
from epitome_kit.cohort import TARGETS
from epitome_kit.files import Json, PathLike, whole_file, write_json, write_tsv
from epitome_kit.grade.nested import MOST_WITHOUT_SELECTION, Settings, grade_fold, train_network
from epitome_kit.grade.permutation import DRAWS, permute_table
from epitome_kit.grade.scoreboard import build_scoreboard
from epitome_kit.grade.select import METHODS
from epitome_kit.learn.probes import GROUP, feature_columns
from epitome_kit.lock import locks
from epitome_kit.parallel import for_each
from epitome_kit.resume import Record, report_again
from epitome_kit.simulate.oracle import Oracle
from epitome_kit.workspace import Workspace


@locks("grade")
def grade_features(
    features: pd.DataFrame,
    out: PathLike,
    *,
    target: str = "grade",
    seed: int = 0,
    oracle: Oracle | None = None,
    other_tables: Mapping[str, pd.DataFrame] | None = None,
    permutations: int = DRAWS,
    workers: int = 1,
) -> Json:
    """Select features, train the ANN and score it, fold by fold.

    Everything is fitted to rows with role ``train``: of more than 80 features, some are
    selected by three methods and their number by inner folds, then imputation, scaling,
    weights and calibration are fitted. Both classes have the same total weight in training. Rows
    with role ``test`` are only predicted. Finished folds are kept in ``folds/``, so an
    interrupted call continues.

    Parameters
    ----------
    features : DataFrame
        Table from :func:`epitome_kit.learn_features`; see also
        :func:`epitome_kit.learn.probes.add_probe` and
        :func:`epitome_kit.grade.offer_reliable`. Rows with the same ``group_id``, if
        there is such a column, stay together.
    out : path
        Workspace: ``scores.json``, ``predictions.tsv``, ``baselines.tsv``,
        ``selected.tsv``, ``ann.keras`` (of the last fold; its inputs are the features
        in ``ann.json``).
    target : {"grade", "codeletion"}, default="grade"
        Label to predict, which names the classes.
    seed : int, default=0
        Seed of selection, inner folds, networks and permutations.
    oracle : Oracle, default=None
        AUC of the oracle, known for phantoms: ``oracle_auc``, expected of a population,
        and ``oracle_auc_cohort``, on these subjects. See
        :func:`epitome_kit.simulate.score_oracle`.
    other_tables : dict of str to DataFrame, default=None
        Other tables of the same folds, by name; each is graded by the same network
        and listed as a baseline.
    permutations : int, default=199
        Number of permutations of the labels that train again, for the p value and the
        intervals; 0 leaves them out, and intervals count test subjects alone.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    dict
        Contents of ``scores.json``: see :func:`epitome_kit.grade.scoreboard.build_scoreboard`.

    Raises
    ------
    LeakageError
        A subject, or a group, has both training and test rows in a fold.

    See Also
    --------
    learn_features : Compute the features of the CNN.
    grade_table : Grade any table of features.
    epitome_kit.learn.add_probes : Add probes such as age to the features.

    References
    ----------
    Varma and Simon, BMC Bioinformatics 2006, doi:10.1186/1471-2105-7-91

    Examples
    --------
    Two folds of 24 subjects with one informative feature out of four:

    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> import epitome_kit as ek
    >>> label = np.arange(24) // 2 % 2
    >>> values = np.random.default_rng(0).standard_normal((24, 4)) + 2 * label[:, None] * [1, 0, 0, 0]
    >>> table = pd.DataFrame(values, columns=list("abcd")).assign(label=label)
    >>> table.insert(0, "participant_id", [f"sub-{number:02d}" for number in range(24)])
    >>> test = np.arange(24) % 2
    >>> folds = [table.assign(fold=fold + 1, role=np.where(test == fold, "test", "train")) for fold in (0, 1)]
    >>> scores = ek.grade_features(pd.concat(folds), tempfile.mkdtemp())
    >>> scores["n"], scores["folds"], scores["auc"] > 0.7
    (24, 2, True)
    """
    grade = partial(cross_validate, out=Path(out), seed=seed, workers=workers)
    features = features[features.label.notna()]
    results, settings = grade(features)
    others = {
        name: grade(table[table.label.notna()], baselines=False, name=name)[0]
        for name, table in (other_tables or {}).items()
    }
    permuted = permute_table(features, out, draws=permutations, seed=seed, workers=workers)
    scores = build_scoreboard(results, features, others=others, permutations=permuted, seed=seed)
    names = list(map(str, TARGETS[target]))
    scores = {"target": target, "positive": names[1], **(oracle or Oracle()).named(), **scores}
    scores["class_counts"] = dict(zip(names, scores["class_counts"], strict=True))
    last = features[(features.fold == features.fold.max()) & (features.role == "train")]
    save_grading(Path(out), results, scores, last, settings)
    return scores


def cross_validate(
    table: pd.DataFrame,
    out: Path,
    *,
    epochs: int = 30,
    seed: int = 0,
    workers: int = 1,
    baselines: bool = True,
    network: bool = True,
    name: str = "features",
) -> tuple[list[Json], Settings]:
    """Grade every fold of a table; finished folds with the same rows and settings are kept.

    Parameters
    ----------
    table : DataFrame
        Labelled rows of every subject in every fold, as for
        :func:`epitome_kit.grade.nested.grade_fold`.
    out : Path
        Workspace, whose ``folds/`` has the finished folds.
    epochs : int, default=30
        Number of training steps of the network.
    seed, workers
        As for :func:`grade_features`.
    baselines : bool, default=True
        Whether to train baselines and probes as well.
    network : bool, default=True
        Whether to train the network; else a logistic regression takes its place.
    name : str, default="features"
        Name of the table, for its files in the workspace.

    Returns
    -------
    results : list of dict
        Result of :func:`epitome_kit.grade.nested.grade_fold` for each fold.
    settings : Settings
        Settings of all folds.
    """
    table = table if "repeat" in table else table.assign(repeat=1)
    folds = [rows for _, rows in table.groupby(["repeat", "fold"])]
    subjects = max(int((rows.role == "train").sum()) for rows in folds)
    columns = len(feature_columns(table))
    settings = Settings(
        min(MOST_WITHOUT_SELECTION, columns),
        subjects,
        epochs=epochs,
        seed=seed,
        baselines=baselines,
        network=network,
        selects=columns > MOST_WITHOUT_SELECTION,
    )
    stem = re.sub(r"\W+", "-", name)
    jobs = [(rows, _fold_record(Workspace(out).ann_folds, stem, rows, settings)) for rows in folds]
    report_again(f"Grading of {name}", [record.difference() for _, record in jobs])
    grade = partial(_grade_once, settings=settings)
    title = "Training the ANN" if network else "Training the baselines"
    return for_each(grade, jobs, title=title, workers=workers), settings


def save_grading(out: Path, results: Sequence[Json], scores: Json, rows: pd.DataFrame, settings: Settings) -> None:
    """Write predictions, selected features, the network if there is one and, last, the scores.

    Parameters
    ----------
    out : Path
        Workspace.
    results : list of dict
        From :func:`cross_validate`.
    scores : dict
        Scoreboard.
    rows : DataFrame
        Training set of the network ``ann.keras``, whose inputs are the features in
        ``ann.json``.
    settings : Settings
        Settings of the network.
    """
    predictions = pd.concat([result["predictions"] for result in results]).sort_values(["repeat", "participant_id"])
    of_primary = predictions.model == settings.primary
    write_tsv(Workspace(out).predictions, predictions[of_primary].drop(columns="model"))
    write_tsv(Workspace(out).baselines, predictions[~of_primary])
    write_tsv(Workspace(out).selected, _selection_counts(results))
    if settings.network:
        _save_network(out, rows, settings)
    write_json(Workspace(out).scores, scores)


def _save_network(out: Path, rows: pd.DataFrame, settings: Settings) -> None:
    columns = feature_columns(rows)
    x, y = rows[columns].to_numpy(np.float32), rows.label.to_numpy(int)
    model, inputs = train_network(x, y, settings, rows[GROUP].to_numpy() if GROUP in rows else None)
    with whole_file(Workspace(out).ann) as path:
        model.save(path)
    write_json(Workspace(out).ann_columns, {"features": [columns[index] for index in inputs], "subjects": len(rows)})


def _fold_record(folder: Path, stem: str, rows: pd.DataFrame, settings: Settings) -> Record:
    """Return the record of one fold, which contains its result."""
    digest = sha256(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
    digest.update(repr(list(rows.columns)).encode())
    path = folder / f"{stem}_repeat-{rows['repeat'].iloc[0]}_fold-{rows['fold'].iloc[0]}.json"
    inputs = {"rows of the table": digest.hexdigest()[:16]}
    return Record(path, {"version": __version__, **settings._asdict()}, inputs)


def _grade_once(job: tuple[pd.DataFrame, Record], settings: Settings) -> Json:
    """Grade a fold, or return the result in its record."""
    rows, record = job
    result = record.results()
    if not result:
        result = grade_fold(rows, settings)
        record.finish(**{**result, "predictions": result["predictions"].to_dict("list")})
        return result
    return {**result, "predictions": pd.DataFrame(result["predictions"])}


def _selection_counts(results: Sequence[Json]) -> pd.DataFrame:
    """Count how often each method selected each feature, and the share of all selections."""
    selections = [each for result in results for each in result["selected"]]
    pairs = [(name, each["method"]) for each in selections for name in each["features"]]
    counts = pd.DataFrame(pairs, columns=["feature", "method"]).value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=list(METHODS), fill_value=0)
    counts["share"] = counts.sum(axis=1) / len(selections)
    return counts.sort_values("share", ascending=False, kind="stable").reset_index()
