"""Train the CNN out of fold: for every fold, train on the other folds and compute the features of all subjects."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.cohort import Cohort
from epitome_kit.errors import CohortError
from epitome_kit.files import PathLike, read_tsv, write_tsv
from epitome_kit.folds import assign_folds
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.cnn import feature_names
from epitome_kit.learn.fit import Trainer, best_epoch
from epitome_kit.lock import locks
from epitome_kit.parallel import step_bar
from epitome_kit.preprocess.derivative import quality_records
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.workspace import Workspace


@locks("learn")
def learn_features(
    cohort: Cohort,
    preprocessed: PathLike,
    out: PathLike,
    *,
    target: str = "grade",
    folds: int = 5,
    epochs: int = 5,
    seed: int = 0,
    pretrained: bool = True,
) -> pd.DataFrame:
    """Train the CNN out of fold and save the features of every subject.

    Each network starts from weights trained on simulated gliomas of known traits
    (:mod:`epitome_kit.learn.pretrained`). For each fold it is trained on the other
    folds, then computes the features of all subjects. Rows with role ``test`` come
    from a network that was not trained on the subject; rows with role ``train`` come
    from the same network and are the training set of a grader of that fold. Early
    stopping uses training subjects alone: see :class:`epitome_kit.learn.fit.Trainer`.

    A call that is interrupted, for instance by Ctrl-C, leaves the finished folds and
    the best network so far of the current one. The next call with the same settings
    continues with that fold; once all are finished, it recomputes nothing.

    Parameters
    ----------
    cohort : Cohort
        Subjects with labels, and tumour masks for some of them.
    preprocessed : path
        Output folder of :func:`epitome_kit.preprocess_cohort`.
    out : path
        Workspace: ``features.tsv``, ``cnn.keras`` (trained on all subjects),
        ``cnn/`` with the networks of the folds and ``history.tsv`` (``fold``,
        ``epoch``, ``loss`` and ``val_loss``, that of the validation set).
    target : {"grade", "codeletion"}, default="grade"
        Label to predict.
    folds : int, default=5
        Number of folds, stratified by label.
    epochs : int, default=5
        Maximum number of epochs; the network of all subjects is trained for the
        median of the best epochs of the folds.
    seed : int, default=0
        Seed of folds and training.
    pretrained : bool, default=True
        Whether to start from the shipped weights; else every network starts from random
        ones, and its part that describes the tumour is not trained.

    Returns
    -------
    DataFrame
        Columns ``participant_id``, ``fold``, ``role`` ("train" or "test"),
        ``label`` (0, 1 or missing), ``cnn_probability`` and the features named by
        :func:`epitome_kit.learn.cnn.feature_names`.

    Raises
    ------
    CohortError
        There is one class only, a class with fewer subjects than folds, no tumour
        mask, or no preprocessed subject.

    See Also
    --------
    preprocess_cohort : Preprocess the cohort first.
    epitome_kit.learn.handcrafted_features : Measure the tumours that the networks find.
    grade_features : Predict the label from the features.

    Examples
    --------
    Training takes minutes:

    >>> import epitome_kit as ek
    >>> cohort = ek.make_phantom_cohort("cohort", subjects=10)  # doctest: +SKIP
    >>> _ = ek.preprocess_cohort(cohort, "run/preprocessed")  # doctest: +SKIP
    >>> features = ek.learn_features(cohort, "run/preprocessed", "run", folds=2)  # doctest: +SKIP
    >>> features.groupby("role").size().to_dict()  # doctest: +SKIP
    {'test': 10, 'train': 10}
    """
    out, records = Path(out), quality_records(preprocessed)
    labels = cohort.labels(target)
    settings = {"target": target, "folds": folds, "epochs": epochs, "seed": seed, "labels": labels.to_dict()}
    if not pretrained:  # else as in earlier records, which stay valid
        settings["pretrained"] = False
    products = [Workspace(out).features, Workspace(out).cnn, *_parts(out, folds)]
    record = Record(Workspace(out).cnn_folds / "settings.json", settings, checksums(*records), products)
    if record.valid():
        return read_tsv(Workspace(out).features)

    arrays = load_arrays(cohort, preprocessed)
    if not arrays.known.any():
        raise CohortError(
            "learn_features",
            "tumour masks, on at least some slices of some subjects",
            f"none for the {len(arrays.ids)} subjects of {cohort.root}",
            "add masks as data/README.md describes: the network is trained on them",
        )
    labels = labels[labels.index.isin(arrays.ids)]
    fold_of = assign_folds(labels, folds=folds, seed=seed, unlabelled=sorted(set(arrays.ids) - set(labels.index)))
    report_again("learn_features", [record.difference()])
    if not record.begun():
        _clear(out)
        record.begin()
    record.set_aside_changed()
    _train(Trainer(arrays, labels, epochs, seed, pretrained), fold_of.reindex(arrays.ids).to_numpy(), folds, out)
    write_tsv(Workspace(out).features, _whole(out, folds, "features"))
    record.finish()
    return read_tsv(Workspace(out).features)


def fold_model_path(out: PathLike, fold: int) -> Path:
    """Return the path of the network that was not trained on the subjects of a fold."""
    return Workspace(Path(out)).cnn_folds / f"fold-{fold + 1}.keras"


def _parts(out: Path, folds: int) -> list[Path]:
    """List the files of all folds."""
    return [path for fold in range(folds) for path in _of_fold(out, fold)] + [Workspace(out).cnn_folds / "history.tsv"]


def _of_fold(out: Path, fold: int) -> list[Path]:
    return [fold_model_path(out, fold), _part(out, fold, "history"), _part(out, fold, "features")]


def _clear(out: Path) -> None:
    """Remove the results of other settings."""
    shutil.rmtree(Workspace(out).cnn_folds, ignore_errors=True)
    for path in (Workspace(out).cnn, Workspace(out).features):
        path.unlink(missing_ok=True)


def _train(trainer: Trainer, fold_of: np.ndarray, folds: int, out: Path) -> None:
    """Train the missing networks: one per fold, and one on all subjects, for scans of other cohorts."""
    try:
        _train_missing(trainer, fold_of, folds, out)
    except KeyboardInterrupt as error:
        done = sum(_part(out, fold, "features").is_file() for fold in range(folds))
        error.add_note(f"{done} of {folds} folds are kept in {out / 'cnn'}; the same call continues from there.")
        raise


def _train_missing(trainer: Trainer, fold_of: np.ndarray, folds: int, out: Path) -> None:
    missing = [fold for fold in range(folds) if not all(path.is_file() for path in _of_fold(out, fold))]
    with step_bar("Training the CNN", trainer.epochs * (len(missing) + 1)) as advance:
        for fold in missing:
            features, history = trainer.fit(fold_of != fold, fold_model_path(out, fold), fold + 1, advance)
            write_tsv(_part(out, fold, "history"), history.assign(fold=fold + 1)[["fold", *history.columns]])
            write_tsv(_part(out, fold, "features"), _table(trainer, features, fold_of == fold, fold))
        history = _whole(out, folds, "history")
        best = int(np.median([best_epoch(each) for _, each in history.groupby("fold")]))
        trainer.fit(np.ones(len(fold_of), bool), Workspace(out).cnn, 0, advance, epochs=best)
    write_tsv(Workspace(out).cnn_folds / "history.tsv", history)


def _table(trainer: Trainer, features: np.ndarray, test: np.ndarray, fold: int) -> pd.DataFrame:
    table = pd.DataFrame(features, columns=feature_names(trainer.arrays.contrasts))
    table.insert(0, "participant_id", trainer.arrays.ids)
    table.insert(1, "fold", fold + 1)
    table.insert(2, "role", np.where(test, "test", "train"))
    table.insert(3, "label", trainer.labels)
    table.insert(4, "cnn_probability", trainer.probability(features))
    return table


def _part(out: Path, fold: int, name: str) -> Path:
    return Workspace(out).cnn_folds / f"fold-{fold + 1}_{name}.tsv"


def _whole(out: Path, folds: int, name: str) -> pd.DataFrame:
    return pd.concat([read_tsv(_part(out, fold, name)) for fold in range(folds)], ignore_index=True)
