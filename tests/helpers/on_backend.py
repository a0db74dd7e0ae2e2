"""What a network says, learns and keeps on the backend of Keras that KERAS_BACKEND names.

python on_backend.py FOLDER      with cohort/, ready/, cnn.keras, unet.keras, ann.keras; writes answers.npz there
"""

import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from epitome_kit.cohort import open_cohort
from epitome_kit.grade.grader import Grader
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.channels import shipped_channels
from epitome_kit.learn.fit import Trainer
from epitome_kit.tumour.network import load_unet, tumour_probability

CHANNELS = shipped_channels("tumour_unet")

LABELS = np.arange(6) % 2
POINTS = np.random.default_rng(0).standard_normal((6, 3)) + LABELS[:, None]


def answer(folder):
    arrays = load_arrays(open_cohort(folder / "cohort"), folder / "ready")
    found = _load(folder / "cnn.keras").predict(arrays.scans, verbose=0)
    every = load_arrays(open_cohort(folder / "cohort"), folder / "ready", CHANNELS)
    found["outline"] = tumour_probability(load_unet(folder / "unet.keras"), every.scans[0])
    found["ann"] = _load(folder / "ann.keras").predict(POINTS.astype(np.float32), verbose=0)

    own = folder / keras.backend.backend()
    trainer = Trainer(arrays, pd.Series(LABELS, index=list(arrays.ids)), 1, 0)
    learned, history = trainer.fit(np.ones(6, bool), own / "cnn.keras", 1, lambda epochs: None)
    found["history"] = history[["epoch", "loss"]].to_numpy()  # of six subjects, none is set apart
    found["learned"], found["learned_again"] = learned, trainer.fit(np.ones(6, bool), own / "cnn.keras", 1, print)[0]
    found["loaded"] = _load(own / "cnn.keras").predict(arrays.scans, verbose=0)["features"]

    grader = Grader(epochs=5)
    found["graded"], found["graded_again"] = (grader.fit(POINTS, LABELS).predict_proba(POINTS)[:, 1] for _ in range(2))
    return found


def _load(path):
    return keras.saving.load_model(path, compile=False, safe_mode=True)


if __name__ == "__main__":
    np.savez(Path(sys.argv[1]) / "answers.npz", **answer(Path(sys.argv[1])))
