"""What the CNN learns from batches that are spread over two devices; the processor stands in for both.

python on_devices.py FOLDER      with cohort/ and ready/; writes devices.npz there
"""

import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd

keras.distribution.set_distribution(keras.distribution.DataParallel())

from epitome_kit.cohort import open_cohort  # noqa: E402
from epitome_kit.learn.arrays import load_arrays  # noqa: E402
from epitome_kit.learn.fit import Trainer  # noqa: E402

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    arrays = load_arrays(open_cohort(folder / "cohort"), folder / "ready")
    trainer = Trainer(arrays, pd.Series([0, 1, 0, 1, 0], index=list(arrays.ids)), 1, 0)
    features, history = trainer.fit(np.ones(5, bool), folder / "devices" / "cnn.keras", 1, lambda epochs: None)
    alone = np.asarray(trainer._model(arrays.scans[:1])["features"])
    devices = len(trainer._model.variables[0].value.devices())
    np.savez(folder / "devices.npz", features=features, alone=alone, loss=history.loss, devices=devices)
