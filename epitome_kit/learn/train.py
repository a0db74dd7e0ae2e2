"""Cross-fitting: train on some subjects, describe the others, for every fold."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.errors import CohortError
from epitome_kit.files import read_tsv, write_tsv
from epitome_kit.folds import assign_folds
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.cnn import feature_names
from epitome_kit.learn.fit import Trainer, best_epoch
from epitome_kit.parallel import step_bar
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.workspace import Workspace


def learn_features(cohort, preprocessed, out, *, target="grade", folds=5, epochs=5, seed=0):
    """Train the CNN out of fold and save what it sees in every subject.

    Each network starts from weights learned on simulated gliomas
    (:mod:`epitome_kit.learn.pretrained`). For each fold it is trained on the
    other folds and then describes all subjects. Rows with role ``test`` come
    from a network that never saw the subject; rows with role ``train`` come
    from the same network and are what a grader of that fold may learn from.
    When to stop is learned from training subjects alone: see
    :class:`epitome_kit.learn.fit.Trainer`.

    A call that is stopped, by Ctrl-C for instance, leaves the finished folds,
    and of the one at work the best network so far. The next call with the same
    settings goes on with that fold; once all are done, it keeps everything.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    out : path
        Workspace: ``features.tsv``, ``cnn.keras`` (trained on all subjects),
        ``cnn/`` with the networks of the folds and ``history.tsv`` (``fold``,
        ``epoch``, ``loss`` and ``val_loss``, that of the stopping set).
    target : {"grade", "codeletion"}, default="grade"
    folds : int, default=5
    epochs : int, default=5
        At most; the network for all subjects is trained for the median of what
        was best in the folds.
    seed : int, default=0

    Returns
    -------
    DataFrame
        Columns ``participant_id``, ``fold``, ``role`` ("train" or "test"),
        ``label`` (0, 1 or missing), ``cnn_probability`` and the features that
        :func:`epitome_kit.learn.cnn.feature_names` names.

    Raises
    ------
    CohortError
        One class only, fewer subjects of a class than folds, no tumour mask, or
        nothing preprocessed.
    """
    out, records = Path(out), sorted(Path(preprocessed).glob("sub-*/anat/[!.]*_quality.json"))
    labels = cohort.labels(target)
    settings = {"target": target, "folds": folds, "epochs": epochs, "seed": seed, "labels": labels.to_dict()}
    products = [Workspace(out).features, Workspace(out).cnn]
    record = Record(Workspace(out).cnn_folds / "settings.json", settings, checksums(*records), products)
    if record.valid():
        return read_tsv(Workspace(out).features)

    arrays = load_arrays(cohort, preprocessed)
    if not arrays.known.any():
        raise CohortError(
            "learn_features",
            "tumour masks, at least on some slices of some subjects",
            f"none for the {len(arrays.ids)} subjects of {cohort.root}",
            "add masks as data/README.md describes: the network learns from them where to look",
        )
    labels = labels[labels.index.isin(arrays.ids)]
    fold_of = assign_folds(labels, folds=folds, seed=seed, unlabelled=sorted(set(arrays.ids) - set(labels.index)))
    report_again("learn_features", [record.difference()])
    if not record.begun():
        _clear(out)
        record.begin()
    _train(Trainer(arrays, labels, epochs, seed), fold_of.reindex(arrays.ids).to_numpy(), folds, out)
    write_tsv(Workspace(out).features, _whole(out, folds, "features"))
    record.finish()
    return read_tsv(Workspace(out).features)


def fold_model_path(out, fold):
    """Where a workspace keeps the network that never saw the subjects of a fold."""
    return Workspace(out).cnn_folds / f"fold-{fold + 1}.keras"


def _clear(out):
    """Clear away what was learned with other settings."""
    shutil.rmtree(Workspace(out).cnn_folds, ignore_errors=True)
    for path in (Workspace(out).cnn, Workspace(out).features):
        path.unlink(missing_ok=True)


def _train(trainer, fold_of, folds, out):
    """Train what is not there yet: a network a fold, and one on everybody for scans that are not of this cohort."""
    try:
        _train_missing(trainer, fold_of, folds, out)
    except KeyboardInterrupt as error:
        done = sum(_part(out, fold, "features").is_file() for fold in range(folds))
        error.add_note(f"{done} of {folds} folds are kept in {out / 'cnn'}; the same call goes on from there.")
        raise


def _train_missing(trainer, fold_of, folds, out):
    missing = [fold for fold in range(folds) if not _part(out, fold, "features").is_file()]
    with step_bar("Training the CNN", trainer.epochs * (len(missing) + 1)) as advance:
        for fold in missing:
            features, history = trainer.fit(fold_of != fold, fold_model_path(out, fold), fold + 1, advance)
            write_tsv(_part(out, fold, "history"), history.assign(fold=fold + 1)[["fold", *history.columns]])
            write_tsv(_part(out, fold, "features"), _table(trainer, features, fold_of == fold, fold))
        history = _whole(out, folds, "history")
        best = int(np.median([best_epoch(each) for _, each in history.groupby("fold")]))
        trainer.fit(np.ones(len(fold_of), bool), Workspace(out).cnn, 0, advance, epochs=best)
    write_tsv(Workspace(out).cnn_folds / "history.tsv", history)


def _table(trainer, features, test, fold):
    table = pd.DataFrame(features, columns=feature_names(trainer.arrays.contrasts))
    table.insert(0, "participant_id", trainer.arrays.ids)
    table.insert(1, "fold", fold + 1)
    table.insert(2, "role", np.where(test, "test", "train"))
    table.insert(3, "label", trainer.labels)
    table.insert(4, "cnn_probability", trainer.probability(features))
    return table


def _part(out, fold, name):
    return Workspace(out).cnn_folds / f"fold-{fold + 1}_{name}.tsv"


def _whole(out, folds, name):
    return pd.concat([read_tsv(_part(out, fold, name)) for fold in range(folds)], ignore_index=True)
