"""Train the network of `epitome segment` on simulated patients.

    KERAS_BACKEND=jax python training/train_unet.py --cores 16

Patients are simulated by `epitome_kit.simulate.random_patient` on the template grid.
No scan of a person is read, and no seed of the built-in cohort is used. Writes
`epitome_kit/weights/tumour_unet.weights.h5`; takes 19 minutes on sixteen cores and
one H100, and hours on two cores. `--cache FOLDER` keeps the patients for another
call.
"""

import time
from pathlib import Path

import joblib
import keras
import nibabel as nib
import numpy as np
import typer

from epitome_kit.files import write_json
from epitome_kit.learn.augmentation import augment
from epitome_kit.learn.cnn import masked_dice_bce
from epitome_kit.metrics import dice
from epitome_kit.preprocess.intensity import normalise_intensity
from epitome_kit.preprocess.registration import template_grid
from epitome_kit.simulate.random_patient import random_patient
from epitome_kit.tumour.conformal import boundary_uncertainty, nonconformity_score, unseen_error
from epitome_kit.tumour.network import build_unet, tumour_probability

WEIGHTS = Path(__file__).parents[1] / "epitome_kit" / "weights" / "tumour_unet.weights.h5"
SPACING_MM = 3.0
HELD_OUT = 64
CHANNELS = ("T1w", "T1ce", "T2w", "FLAIR")
COMMON_SETS = [("T1ce", "T2w"), ("T1w", "T1ce", "FLAIR"), ("T1w", "T1ce", "T2w", "FLAIR"), ("FLAIR",), ("T2w",)]


def simulated_patient(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate the scans of one patient after preprocessing.

    Returns scans (i, j, k, 4) as float16 and tumour (i, j, k, 1) as uint8.
    """
    grid = template_grid(SPACING_MM)
    scans, brain, tumour = random_patient(np.random.default_rng([seed, number]), *grid, contrasts=CHANNELS)
    mask = nib.Nifti1Image(brain, grid[0])
    normalised = [normalise_intensity(nib.Nifti1Image(scans[name], grid[0]), mask).get_fdata() for name in CHANNELS]
    return np.stack(normalised, -1).astype(np.float16), tumour[..., None]


class Patients(keras.utils.PyDataset):
    """Shuffled, augmented batches with random subsets of contrasts, as in real cohorts."""

    def __init__(self, scans: np.ndarray, tumours: np.ndarray, *, batch: int, seed: int, cores: int) -> None:
        # With many cores, a single process for augmentation would be the bottleneck.
        super().__init__(workers=cores, use_multiprocessing=cores > 2, max_queue_size=4 * cores)
        self.scans, self.tumours, self.batch, self.seed, self.epoch = scans, tumours, batch, seed, 0

    def __len__(self) -> int:
        return len(self.scans) // self.batch

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.scans))
        rng = np.random.default_rng([self.seed, self.epoch, index])
        chosen = order[index * self.batch : (index + 1) * self.batch]
        pairs = [augment(self.scans[one].astype(np.float32), self.tumours[one], rng) for one in chosen]
        scans, tumours = (np.stack(part) for part in zip(*pairs, strict=True))
        for scan in scans:
            scan[..., ~_kept_contrasts(rng)] = 0
        return scans, {"tumour": np.concatenate([tumours, np.ones_like(tumours)], -1).astype(np.float32)}


def _kept_contrasts(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.7:
        return np.isin(CHANNELS, COMMON_SETS[rng.integers(len(COMMON_SETS))])
    kept = rng.random(len(CHANNELS)) < 0.5
    kept[rng.integers(len(kept))] = True
    return kept


def main(
    patients: int = 3200,
    epochs: int = 30,
    batch: int = 4,
    seed: int = 2003,
    cores: int = 2,
    cache: Path | None = None,
    out: Path = WEIGHTS,
) -> None:
    """Simulate the patients, train, print the Dice on 64 held-out patients, and save the weights."""
    started = time.monotonic()
    simulate = joblib.delayed(joblib.Memory(cache, verbose=0).cache(simulated_patient))
    simulated = joblib.Parallel(cores, verbose=1)(simulate(number, seed) for number in range(patients + HELD_OUT))
    scans, tumours = (np.stack(part) for part in zip(*simulated, strict=True))
    del simulated
    print(f"{len(scans)} patients after {(time.monotonic() - started) / 60:.1f} min", flush=True)

    keras.utils.set_random_seed(seed)
    model = build_unet(CHANNELS)
    train = Patients(scans[:patients], tumours[:patients], batch=batch, seed=seed, cores=cores)
    rate = keras.optimizers.schedules.CosineDecay(0.0, epochs * len(train), warmup_target=2e-3, warmup_steps=200)
    model.compile(keras.optimizers.Adam(rate, clipnorm=5.0), loss={"tumour": masked_dice_bce})
    for epoch in range(epochs):
        train.epoch = epoch
        loss = model.fit(train, epochs=1, verbose=0).history["loss"][0]
        line = _evaluate(model, scans[patients:], tumours[patients:, ..., 0] > 0)
        print(f"epoch {epoch + 1}: loss {loss:.3f}, {line}, {(time.monotonic() - started) / 60:.1f} min", flush=True)
        keras.Model(model.input, model.output).save_weights(out)  # without the optimiser
    held_out = zip(scans[patients:], tumours[patients:], COMMON_SETS * HELD_OUT, strict=False)
    scores, unseen = zip(*(_calibrate(model, *each) for each in held_out), strict=True)
    card = {
        "trained_on": f"{patients} simulated patients",
        "channels": CHANNELS,
        "epochs": epochs,
        "seed": seed,
        "dice": line,
        "misfits": scores,
        "unseen": unseen,
    }
    write_json(out.with_name("tumour_unet.json"), card)


def _calibrate(model: keras.Model, scans: np.ndarray, tumour: np.ndarray, kept: tuple[str, ...]) -> tuple[float, float]:
    """Compute the nonconformity score of one held-out patient, and the error outside its three widest slices."""
    probability = tumour_probability(model, scans.astype(np.float32) * np.isin(CHANNELS, kept))
    found, true = probability > 0.5, tumour[..., 0] > 0
    middle = int(true.sum(axis=(0, 1)).argmax())
    on = np.s_[:, :, max(middle - 1, 0) : middle + 2]
    score = nonconformity_score(found.sum(), true.sum(), boundary_uncertainty(probability))
    return float(score), float(unseen_error(found.sum(), true.sum(), found[on].sum(), true[on].sum()))


def _evaluate(model: keras.Model, scans: np.ndarray, tumours: np.ndarray) -> str:
    """Describe the mean Dice of held-out patients for each common set of contrasts."""
    parts = []
    for kept in COMMON_SETS:
        inputs = scans.astype(np.float32) * np.isin(CHANNELS, kept)
        found = model.predict(inputs, batch_size=4, verbose=0)["tumour"][..., 0] > 0.5
        score = np.mean([dice(*pair) for pair in zip(found, tumours, strict=True)])
        parts.append(f"{' '.join(kept)} {score:.3f}")
    return "Dice " + ", ".join(parts)


if __name__ == "__main__":
    typer.run(main)
