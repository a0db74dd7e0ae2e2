"""Train the networks of a cohort one after another, each with early stopping on a validation set."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.backend import keras, ops
from epitome_kit.files import whole_file
from epitome_kit.learn.arrays import Arrays
from epitome_kit.learn.batches import Batches
from epitome_kit.learn.cnn import LEARNING_RATE, build_cnn, cosine_decay, fit_label, masked_dice_bce
from epitome_kit.learn.model_state import reset_model, snapshot
from epitome_kit.learn.pretrained import start_from_simulation

PATIENCE = 3
"""Epochs without a lower validation loss after which training stops."""

VALIDATION_FRACTION = 1 / 6
"""Share of the training subjects in the validation set."""


class Trainer:
    """One compiled network, reset for each set of training subjects.

    The validation set is a sixth of the annotated training subjects, unless that
    would be fewer than two. Training stops when the loss of their scans, without
    augmentation, has not fallen for :data:`PATIENCE` epochs, and the weights of
    the best epoch are kept. The label is then fitted on all training subjects.

    Parameters
    ----------
    arrays : Arrays
        Scans and masks of all subjects.
    labels : Series of int
        Classes of the labelled subjects, indexed by participant_id.
    epochs : int
        Maximum number of epochs.
    seed : int
        Seed of weights, validation sets and batches.
    pretrained : bool, default=True
        Whether to start from the shipped weights.
    """

    def __init__(self, arrays: Arrays, labels: pd.Series, epochs: int, seed: int, pretrained: bool = True) -> None:
        keras.utils.set_random_seed(seed)
        self.arrays, self.epochs, self.seed = arrays, epochs, seed
        self.labels = labels.reindex(arrays.ids).to_numpy(float)
        self._masks = np.concatenate([arrays.tumour, arrays.known], axis=-1)
        self._annotated = arrays.known.any(axis=(1, 2, 3, 4))
        self._model = build_cnn(arrays.contrasts, arrays.scans.shape[1:4])
        if pretrained:
            start_from_simulation(self._model)
        self._model.compile(keras.optimizers.Adam(LEARNING_RATE), loss={"tumour": masked_dice_bce})
        self._start = snapshot(self._model)

    def fit(
        self, train: np.ndarray, path: Path, number: int, advance: Callable[[int], None], *, epochs: int | None = None
    ) -> tuple[np.ndarray, pd.DataFrame]:
        """Train the map, then the label, and save the network.

        Parameters
        ----------
        train : ndarray of bool, shape (n,)
            Training subjects.
        path : path
            File of the network. If training is interrupted, the best network so far
            is kept as ``<name>.partial.keras`` in the same folder, without a label.
        number : int
            Index of the network, for its random numbers.
        advance : callable
            Called with the number of epochs that are finished.
        epochs : int, default=None
            Number of epochs without a validation set; None uses a validation set.

        Returns
        -------
        features : ndarray, shape (n, p)
            Features of all subjects.
        history : DataFrame
            Columns epoch, loss and val_loss.
        """
        reset_model(self._model, self._start)
        annotated = np.flatnonzero(train & self._annotated)
        validation = annotated[:0]
        if epochs is None:
            validation = validation_split(annotated, self.labels[annotated], seed=[self.seed, number])
        partial = path.with_suffix(".partial.keras")
        history = self._fit_map(train, validation, epochs or self.epochs, number, advance, partial)
        with self._batches(range(len(train)), batch_size=4, seed=None) as subjects:
            features = self._model.predict(subjects, verbose=0)["features"][: len(train)]
        labelled = train & np.isfinite(self.labels)
        fit_label(self._model, features[labelled], self.labels[labelled])
        self._save(path)
        partial.unlink(missing_ok=True)
        return features, history

    def probability(self, features: np.ndarray) -> np.ndarray:
        """Predict the probability of the positive label, shape (n,), by the network that was trained last."""
        return ops.convert_to_numpy(self._model.get_layer("label")(features))[:, 0]

    def _fit_map(
        self,
        train: np.ndarray,
        validation: np.ndarray,
        epochs: int,
        number: int,
        advance: Callable[[int], None],
        partial: Path,
    ) -> pd.DataFrame:
        remaining = np.setdiff1d(np.flatnonzero(train), validation)
        decay = cosine_decay(self.epochs)
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
        progress = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: advance(1))
        with (
            self._batches(remaining, seed=self.seed * 1000 + number) as batches,
            self._batches(validation, batch_size=4, seed=None) as validation_batches,
        ):
            try:
                record = self._model.fit(
                    batches,
                    validation_data=validation_batches if len(validation) else None,
                    epochs=epochs,
                    callbacks=[decay, stopping, progress] if len(validation) else [decay, progress],
                    shuffle=False,  # the batches shuffle themselves, with their own seed
                    verbose=0,
                )
            except KeyboardInterrupt:
                if stopping.best_weights is not None:
                    self._model.set_weights(stopping.best_weights)
                    self._save(partial)
                raise
        history = pd.DataFrame({"loss": record.history["loss"], "val_loss": record.history.get("val_loss", np.nan)})
        advance(self.epochs - len(history))
        history.insert(0, "epoch", np.arange(1, len(history) + 1))
        return history

    def _batches(self, chosen: Iterable[int], *, batch_size: int = 2, seed: int | None) -> Batches:
        spacing_mm = self.arrays.spacing_mm
        return Batches(chosen, self.arrays.scans, self._masks, batch_size=batch_size, seed=seed, spacing_mm=spacing_mm)

    def _save(self, path: Path) -> None:
        """Save the network without its optimiser, at a third of the size."""
        with whole_file(path) as temporary:
            keras.Model(self._model.input, self._model.output, name=self._model.name).save(temporary)


def validation_split(subjects: np.ndarray, labels: np.ndarray, *, seed: int | Sequence[int] = 0) -> np.ndarray:
    """Choose a sixth of the subjects, stratified by label.

    Parameters
    ----------
    subjects : ndarray, shape (n,)
        Training subjects.
    labels : ndarray, shape (n,)
        Class of each; may be missing.
    seed : int or sequence of int, default=0
        Seed of the choice.

    Returns
    -------
    ndarray
        Validation subjects; empty for fewer than ten subjects.
    """
    order = np.random.default_rng(seed).permutation(len(subjects))
    by_label = order[np.argsort(labels[order], kind="stable")]
    step = round(1 / VALIDATION_FRACTION)
    validation = subjects[by_label[step // 2 :: step]]
    return validation if len(validation) > 1 else validation[:0]


def best_epoch(history: pd.DataFrame) -> int:
    """Find the epoch with the lowest validation loss.

    Parameters
    ----------
    history : DataFrame
        History of one network, from :meth:`Trainer.fit`.

    Returns
    -------
    int
        Number of the epoch; the last one without a validation set.
    """
    known = history.dropna(subset="val_loss")
    return int(known.epoch[known.val_loss.idxmin()] if len(known) else history.epoch.max())
