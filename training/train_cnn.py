"""Train the initial weights of the CNN on simulated gliomas.

    python training/train_cnn.py --patients 1200 --epochs 12

Gliomas are simulated and scanned in four contrasts on the template grid, with the
errors of real preprocessing. No scan of a person is read, and no seed of the
built-in cohort is used. Writes `epitome_kit/weights/epitome_cnn.weights.h5`; takes
about an hour and a half on two cores.
"""

import time
from functools import partial
from pathlib import Path

import keras
import nibabel as nib
import numpy as np
import typer
from keras import ops
from scipy import ndimage
from scipy.spatial.transform import Rotation

from epitome_kit.files import write_json
from epitome_kit.learn.augmentation import augment
from epitome_kit.learn.cnn import TRAITS, build_cnn, masked_dice_bce
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.intensity import normalise_intensity
from epitome_kit.preprocess.registration import template_grid
from epitome_kit.simulate.anatomy import age_head, head_model, random_deformation
from epitome_kit.simulate.latents import draw_latents
from epitome_kit.simulate.mass_effect import push_tissue
from epitome_kit.simulate.scanner import Artefacts, acquire
from epitome_kit.simulate.tumour import grow_tumour

WEIGHTS = Path(__file__).parents[1] / "epitome_kit" / "weights" / "epitome_cnn.weights.h5"
SPACING_MM = 3.0
CHANNELS = ("T1w", "T1ce", "T2w", "FLAIR")
COMMON_SETS = [("T1ce", "T2w"), ("T1w", "T1ce", "FLAIR"), ("T1w", "T1ce", "T2w", "FLAIR")]


def simulated_patient(number: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate one glioma and its scans after preprocessing.

    Returns scans (i, j, k, 4) as float16, tumour (i, j, k, 1) as uint8, and latents (7,).
    """
    rng = np.random.default_rng([seed, number])
    grid = template_grid(SPACING_MM)
    head = age_head(head_model(2.0), rng.uniform(18, 80), rng.normal(0, 0.3))
    latents = draw_latents(rng.random() < 0.5, rng.random() < 0.5, rng)
    tumour = grow_tumour(head, latents, rng)
    head = push_tissue(head, tumour, rng.uniform(0, 0.25) * tumour.parameters["radius_mm"])
    deformation, pose = random_deformation(rng), _nearly_registered(rng, degrees=1.5, mm=1.5, scale=0.02)
    variety = rng.choice((0.05, 0.12))
    blur_mm = rng.uniform(0.5, 2.5, 3) if rng.random() < 0.5 else np.full(3, 0.8)
    scans = []
    for contrast in CHANNELS:
        moved = _nearly_registered(rng, degrees=0.4, mm=0.4, scale=0) @ pose
        artefacts = Artefacts(noise=rng.uniform(0.008, 0.03), bias_sd=rng.uniform(0, 0.06), variety=variety)
        scan = acquire(head, tumour, deformation, moved, grid, contrast=contrast, rng=rng, artefacts=artefacts)
        if contrast == "T2w":
            reference = scan
        scans.append(ndimage.gaussian_filter(scan.image.get_fdata(dtype=np.float32), blur_mm / SPACING_MM))
    ragged = ndimage.gaussian_filter(rng.standard_normal(grid[1]), 3)
    brain = ndimage.gaussian_filter(reference.brain.astype(float), 0.7) > 0.5 + 0.2 * ragged / ragged.std()
    mask = nib.Nifti1Image(brain.astype(np.uint8), grid[0])
    normalised = [
        normalise_intensity(nib.Nifti1Image(scan, grid[0]), mask).get_fdata(dtype=np.float32) for scan in scans
    ]
    return np.stack(normalised, -1).astype(np.float16), reference.tumour[..., None], latents.astype(np.float32)


def _nearly_registered(rng: np.random.Generator, *, degrees: float, mm: float, scale: float) -> np.ndarray:
    rotation = Rotation.from_euler("xyz", rng.normal(0, degrees, 3), degrees=True).as_matrix()
    return nib.affines.from_matvec(rotation * rng.normal(1, scale, 3), rng.normal(0, mm, 3))


class Patients(keras.utils.PyDataset):
    """Shuffled, augmented batches with random subsets of contrasts, as in real cohorts."""

    def __init__(self, scans: np.ndarray, tumours: np.ndarray, latents: np.ndarray, batch: int, seed: int) -> None:
        super().__init__(workers=1, max_queue_size=4)
        self.parts, self.batch, self.rng = (scans, tumours, latents), batch, np.random.default_rng(seed)
        self.order = self.rng.permutation(len(scans))

    def __len__(self) -> int:
        return len(self.order) // self.batch

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        chosen = self.order[index * self.batch : (index + 1) * self.batch]
        scans, tumours, latents = (part[chosen] for part in self.parts)
        pairs = [augment(scan.astype(np.float32), one, self.rng) for scan, one in zip(scans, tumours, strict=True)]
        scans, tumours = (np.stack(part) for part in zip(*pairs, strict=True))
        for scan in scans:
            scan[..., ~self._kept_contrasts()] = 0
        known = np.concatenate([tumours, np.ones_like(tumours)], -1).astype(np.float32)
        return scans, {"tumour": known, "features": latents}

    def _kept_contrasts(self) -> np.ndarray:
        """Draw a common set of contrasts, or a random one."""
        if self.rng.random() < 0.75:
            return np.isin(CHANNELS, COMMON_SETS[self.rng.integers(len(COMMON_SETS))])
        kept = self.rng.random(len(CHANNELS)) < 0.5
        kept[self.rng.integers(len(kept))] = True
        return kept

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch."""
        self.order = self.rng.permutation(self.order)


def trait_loss(latents: keras.KerasTensor, features: keras.KerasTensor) -> keras.KerasTensor:
    """Compute the mean squared error of the traits, which are the first features."""
    return ops.mean((latents - features[:, : len(TRAITS)]) ** 2, -1)


def main(
    patients: int = 1200, epochs: int = 12, batch: int = 4, seed: int = 2018, cores: int = 2, out: Path = WEIGHTS
) -> None:
    """Simulate the patients, train, print the accuracy on 64 held-out patients, and save the weights."""
    started = time.monotonic()
    count = patients + 64
    simulate = partial(simulated_patient, seed=seed)
    simulated = for_each(simulate, range(count), title="Simulating gliomas", workers=cores)
    scans, tumours, latents = (np.stack(part) for part in zip(*simulated, strict=True))
    print(f"{count} patients after {(time.monotonic() - started) / 60:.1f} min", flush=True)

    keras.utils.set_random_seed(seed)
    model = build_cnn(CHANNELS, scans.shape[1:4])
    train = Patients(scans[:patients], tumours[:patients], latents[:patients], batch, seed)
    rate = keras.optimizers.schedules.CosineDecay(0.0, epochs * len(train), warmup_target=4e-3, warmup_steps=100)
    model.compile(keras.optimizers.Adam(rate, clipnorm=5.0), loss={"tumour": masked_dice_bce, "features": trait_loss})
    for epoch in range(epochs):
        loss = model.fit(train, epochs=1, verbose=0).history["loss"][0]
        line = _evaluate(model, scans[patients:], tumours[patients:], latents[patients:])
        print(f"epoch {epoch + 1}: loss {loss:.3f}, {line}, {(time.monotonic() - started) / 60:.1f} min", flush=True)
        keras.Model(model.input, model.output).save_weights(out)  # without the optimiser
    write_json(out.with_name("epitome_cnn.json"), {"channels": CHANNELS})


def _evaluate(model: keras.Model, scans: np.ndarray, tumours: np.ndarray, latents: np.ndarray) -> str:
    """Describe the Dice, and the correlation of each trait with the truth, for T1ce and T2w alone."""
    inputs = scans.astype(np.float32) * np.isin(CHANNELS, COMMON_SETS[0])
    outputs = model.predict(inputs, batch_size=4, verbose=0)
    found = outputs["tumour"].repeat(2, 1).repeat(2, 2).repeat(2, 3) > 0.5
    dice = 2 * (found & (tumours > 0)).sum((1, 2, 3, 4)) / (found.sum((1, 2, 3, 4)) + tumours.sum((1, 2, 3, 4)))
    correlations = [np.corrcoef(outputs["features"][:, i], latents[:, i])[0, 1] for i in range(len(TRAITS))]
    pairs = zip(TRAITS, correlations, strict=True)
    return f"Dice {dice.mean():.3f}, " + ", ".join(f"{name} {correlation:.2f}" for name, correlation in pairs)


if __name__ == "__main__":
    typer.run(main)
