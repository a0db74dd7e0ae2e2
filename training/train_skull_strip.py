"""Train the network of `epitome strip` on simulated heads.

    python training/train_skull_strip.py --steps 8000

New heads are simulated for every step, so nothing is stored; no scan of a person is
read. Writes `epitome_kit/weights/skull_strip.weights.h5`; takes about two hours on
two cores.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import joblib
import keras
import numpy as np
import typer
from keras import ops

from epitome_kit.preprocess.skull_stripping import build_network
from epitome_kit.simulate.random_head import random_head

WEIGHTS = Path(__file__).parents[1] / "epitome_kit" / "weights" / "skull_strip.weights.h5"


@keras.saving.register_keras_serializable("epitome_kit")
def dice_and_cross_entropy(truth: keras.KerasTensor, predicted: keras.KerasTensor) -> keras.KerasTensor:
    """Compute soft Dice loss plus binary cross-entropy, one value per volume."""
    axes = (1, 2, 3, 4)
    overlap = ops.sum(truth * predicted, axes)
    dice = (2 * overlap + 1) / (ops.sum(truth, axes) + ops.sum(predicted, axes) + 1)
    return 1 - dice + ops.mean(keras.losses.binary_crossentropy(truth, predicted), (1, 2, 3))


def heads(count: int, seed: int | Sequence[int]) -> tuple[np.ndarray, ...]:
    """Simulate heads and brain masks, shape (count, 64, 64, 64, 1) each."""
    drawn = [random_head(np.random.default_rng([*np.atleast_1d(seed), index])) for index in range(count)]
    return tuple(np.stack(part)[..., None] for part in zip(*drawn, strict=True))


def main(steps: int = 8000, batch: int = 1, seed: int = 1, cores: int = 2, out: Path = WEIGHTS) -> None:
    """Train, print the Dice on 16 held-out heads every 250 steps, and save the weights.

    An interrupted call continues from the last print when it is called again.
    """
    keras.utils.set_random_seed(seed)
    checkpoint = out.with_suffix("").with_suffix(".keras")
    if checkpoint.is_file():
        network = keras.models.load_model(checkpoint)
    else:
        network = build_network()
        schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1.5e-3, warmup_steps=steps // 20)
        network.compile(keras.optimizers.Adam(schedule, clipnorm=1.0), dice_and_cross_entropy)
    held_out = heads(16, seed + 1_000_000)
    started, losses = time.monotonic(), []
    draw, first = joblib.delayed(heads), int(network.optimizer.iterations) + 1
    drawn = joblib.Parallel(cores, return_as="generator")(draw(batch, [seed, step]) for step in range(first, steps + 1))
    for step, (images, brains) in enumerate(drawn, first):
        losses.append(float(network.train_on_batch(images, brains)))
        if step % 250 == 0 or step == steps:
            predicted = network.predict(held_out[0], batch_size=1, verbose=0) > 0.5
            truth = held_out[1] > 0.5
            dice = 2 * (predicted & truth).sum((1, 2, 3, 4)) / (predicted.sum((1, 2, 3, 4)) + truth.sum((1, 2, 3, 4)))
            minutes = (time.monotonic() - started) / 60
            loss = np.mean(losses[-250:])
            print(f"step {step}: loss {loss:.4f}, Dice {dice.mean():.4f}, {minutes:.1f} min", flush=True)
            network.save(checkpoint)
            keras.Model(network.input, network.output).save_weights(out)  # without the optimiser
    checkpoint.unlink()


if __name__ == "__main__":
    typer.run(main)
