"""Cross-fitting: train on some subjects, describe the others, for every fold."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.backend import keras
from epitome_kit.errors import BadCohort
from epitome_kit.files import checksum, read_json, read_tsv, whole_file, write_json, write_tsv
from epitome_kit.folds import assign_folds
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.augment import Batches
from epitome_kit.learn.cnn import build_cnn, feature_names, fit_label, known_loss
from epitome_kit.learn.fresh import restart, snapshot
from epitome_kit.learn.pretrained import start_from_simulation
from epitome_kit.progress import for_each

LEARNING_RATE = 1e-3


def learn_features(cohort, preprocessed, out, *, target="grade", folds=5, epochs=5, seed=0):
    """Train the CNN out of fold and save what it sees in every subject.

    Each network starts from weights learned on simulated gliomas
    (:mod:`epitome_kit.learn.pretrained`). For each fold it is trained on the
    other folds and then describes all subjects. Rows with role ``test`` come
    from a network that never saw the subject; rows with role ``train`` come
    from the same network and are what a grader of that fold may learn from.
    Once all folds are done, the next call with the same settings keeps them.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    out : path
        Workspace: ``features.tsv``, ``cnn.keras`` (trained on all subjects),
        ``cnn/`` with the networks of the folds and ``history.tsv``.
    target : {"grade", "codeletion"}, default="grade"
    folds : int, default=5
    epochs : int, default=5
        Fixed beforehand: no stopping is learned from anything.
    seed : int, default=0

    Returns
    -------
    DataFrame
        Columns ``participant_id``, ``fold``, ``role`` ("train" or "test"),
        ``label`` (0, 1 or missing), ``cnn_probability`` and the features that
        :func:`epitome_kit.learn.cnn.feature_names` names.

    Raises
    ------
    BadCohort
        One class only, fewer subjects of a class than folds, no tumour mask, or
        nothing preprocessed.
    """
    out, records = Path(out), sorted(Path(preprocessed).glob("sub-*/anat/*_quality.json"))
    labels = cohort.labels(target)
    settings = {"target": target, "folds": folds, "epochs": epochs, "seed": seed, "inputs": checksum(*records)}
    settings["labels"] = labels.to_dict()
    done = out / "cnn" / "settings.json"
    if done.is_file() and read_json(done) == settings and (out / "features.tsv").is_file():
        return read_tsv(out / "features.tsv")

    arrays = load_arrays(cohort, preprocessed)
    if not arrays.known.any():
        raise BadCohort(
            "learn_features",
            "tumour masks, at least on some slices of some subjects",
            f"none for the {len(arrays.ids)} subjects of {cohort.root}",
            "add masks as data/README.md describes: the network learns from them where to look",
        )
    labels = labels[labels.index.isin(arrays.ids)]
    fold_of = assign_folds(labels, folds=folds, seed=seed, unlabelled=sorted(set(arrays.ids) - set(labels.index)))
    keras.utils.set_random_seed(seed)
    trainer = _Trainer(arrays, labels, epochs, seed)
    parts = for_each(lambda fold: trainer.fold(fold, fold_of, out), range(folds), title="Training the CNN")
    trainer.all_subjects(out)
    features = pd.concat([part for part, _ in parts], ignore_index=True)
    write_tsv(out / "cnn" / "history.tsv", pd.concat([history for _, history in parts], ignore_index=True))
    write_tsv(out / "features.tsv", features)
    write_json(done, settings)
    return features


def fold_model_path(out, fold):
    """Where a workspace keeps the network that never saw the subjects of a fold."""
    return Path(out) / "cnn" / f"fold-{fold + 1}.keras"


class _Trainer:
    """One compiled network, started afresh for each set of training subjects."""

    def __init__(self, arrays, labels, epochs, seed):
        self.arrays, self.epochs, self.seed = arrays, epochs, seed
        self.labels = labels.reindex(arrays.ids).to_numpy(float)
        self.masks = np.concatenate([arrays.tumour, arrays.known], axis=-1)
        self.model = build_cnn(len(arrays.contrasts), arrays.scans.shape[1:4])
        start_from_simulation(self.model, arrays.contrasts)
        self.model.compile(keras.optimizers.Adam(LEARNING_RATE), loss={"tumour": known_loss})
        self.state = snapshot(self.model)

    def fold(self, fold, fold_of, out):
        """Train without one fold; return features of all subjects and the history."""
        test = (fold_of.reindex(self.arrays.ids) == fold).to_numpy()
        features, history = self._fit(~test, fold)
        self._save(fold_model_path(out, fold))
        table = pd.DataFrame(features, columns=feature_names(self.arrays.contrasts))
        table.insert(0, "participant_id", self.arrays.ids)
        table.insert(1, "fold", fold + 1)
        table.insert(2, "role", np.where(test, "test", "train"))
        table.insert(3, "label", self.labels)
        table.insert(4, "cnn_probability", np.asarray(self.model.get_layer("label")(features))[:, 0])
        return table, history

    def all_subjects(self, out):
        """Train on everybody, for scans that are not of this cohort."""
        self._fit(np.ones(len(self.labels), bool), fold=-1)
        self._save(out / "cnn.keras")

    def _fit(self, train, fold):
        """Train the map, then the label; return features of all subjects and the history of the map."""
        restart(self.model, self.state)
        seed = self.seed * 1000 + fold + 1
        batches = Batches(np.flatnonzero(train), self.arrays.scans, self.masks, seed=seed)
        cooling = keras.callbacks.LearningRateScheduler(self._learning_rate)
        history = self.model.fit(batches, epochs=self.epochs, callbacks=[cooling], verbose=0).history
        features = self.model.predict(self.arrays.scans, batch_size=4, verbose=0)["features"]
        labelled = train & np.isfinite(self.labels)
        fit_label(self.model, features[labelled], self.labels[labelled])
        table = pd.DataFrame({"fold": fold + 1, "epoch": np.arange(1, self.epochs + 1), "loss": history["loss"]})
        return features, table

    def _learning_rate(self, epoch, _):
        """Fall from the full rate to nothing along a half cosine."""
        return LEARNING_RATE * (1 + math.cos(math.pi * epoch / self.epochs)) / 2

    def _save(self, path):
        """Save the network without its optimiser: a third of the size."""
        with whole_file(path) as temporary:
            keras.Model(self.model.input, self.model.output, name=self.model.name).save(temporary)
