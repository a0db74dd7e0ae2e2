"""Training: the network of the kit on its default backend compared with the same network in plain PyTorch.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/training.py

Both have the same layers, batch size, optimiser and loss, two threads, and a process
of their own. The peer has only the trained part of the network; the kit also runs the
frozen part. The target is at least the throughput of the peer, with and without
augmentation.
"""

import os
import time
from collections.abc import Sequence
from statistics import median

import numpy as np
import typer
from bench import in_new_process, record

from epitome_kit.learn.augmentation import augment
from epitome_kit.preprocess.registration import template_grid

CONTRASTS, BATCH, THREADS = ("T1ce", "T2w"), 2, 2


def draw_subjects(shape: Sequence[int], count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Draw noise for scans, and random masks of a fifth of the voxels: the content does not affect the time."""
    rng = np.random.default_rng(0)
    scans = rng.standard_normal((count, *shape, len(CONTRASTS))).astype(np.float32)
    return scans, (rng.random((count, *shape, 2)) < 0.2).astype(np.uint8)


class Subjects:
    """Data set for the loader of the peer: scans and masks, channels first."""

    def __init__(self, shape: Sequence[int], count: int, augmented: bool) -> None:
        self.pairs, self.count, self.augmented = list(zip(*draw_subjects(shape), strict=True)), count, augmented

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        pair = self.pairs[index % len(self.pairs)]
        if self.augmented:
            pair = augment(*pair, np.random.default_rng(index))
        return tuple(np.moveaxis(part, -1, 0).astype(np.float32, order="C") for part in pair)


def train_kit(shape: Sequence[int], steps: int, augmented: bool) -> float:
    """Return the seconds per volume of the kit."""
    os.environ.update(TF_NUM_INTRAOP_THREADS=str(THREADS), TF_NUM_INTEROP_THREADS=str(THREADS))
    from epitome_kit.backend import keras
    from epitome_kit.learn.batches import Batches
    from epitome_kit.learn.cnn import build_cnn, masked_dice_bce
    from epitome_kit.learn.pretrained import start_from_simulation

    model = build_cnn(CONTRASTS, shape)
    start_from_simulation(model)
    model.compile(keras.optimizers.Adam(1e-3), loss={"tumour": masked_dice_bce})
    scans, masks = draw_subjects(shape)
    ticks = []
    tick = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ticks.append(time.perf_counter()))
    chosen = np.arange(BATCH * (steps + 3)) % len(scans)
    batches = Batches(chosen, scans, masks, batch_size=BATCH, seed=0 if augmented else None)
    model.fit(batches, shuffle=False, callbacks=[tick], verbose=0)
    return _seconds(ticks)


def train_peer(shape: Sequence[int], steps: int, augmented: bool) -> float:
    """Return the seconds per volume of PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(THREADS)

    def block(inputs: int, filters: int, stride: int = 1) -> nn.Sequential:
        layer = nn.Conv3d(inputs, filters, 3, stride, padding=1, bias=False)
        return nn.Sequential(layer, nn.BatchNorm3d(filters, eps=1e-3), nn.ReLU())

    class Finder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.near = nn.Sequential(block(len(CONTRASTS), 16, 2), block(16, 16))
            self.middle = nn.Sequential(block(16, 32, 2), block(32, 32))
            self.far = nn.Sequential(block(32, 64, 2), block(64, 64))
            self.context, self.narrow = block(96, 32), nn.Conv3d(32, 16, 1)
            self.joined, self.tumour = block(32, 16), nn.Conv3d(16, 1, 1)
            self.up = nn.Upsample(scale_factor=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            near = self.near(x)
            middle = self.middle(near)
            context = self.narrow(self.context(torch.cat([self.up(self.far(middle)), middle], 1)))
            return torch.sigmoid(self.tumour(self.joined(torch.cat([self.up(context), near], 1))))

    def loss(truth: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        tumour, known = nn.functional.avg_pool3d(truth, 2).split(1, dim=1)
        predicted, axes = predicted.clamp(1e-5, 1 - 1e-5), (1, 2, 3, 4)
        entropy = -(tumour * predicted.log() + (1 - tumour) * (1 - predicted).log())
        entropy = (entropy * known).sum(axes) / (known.sum(axes) + 1)
        overlap = (tumour * predicted * known).sum(axes)
        return (entropy + 1 - (2 * overlap + 1) / (((tumour + predicted) * known).sum(axes) + 1)).mean()

    model = Finder()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm3d):  # frozen, as in the kit
            layer.eval().requires_grad_(False)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    subjects = Subjects(shape, BATCH * (steps + 3), augmented)
    loader = torch.utils.data.DataLoader(subjects, batch_size=BATCH, num_workers=int(augmented))
    ticks = []
    for scans, truth in loader:
        optimiser.zero_grad()
        step = loss(truth, model(scans))
        step.backward()
        optimiser.step()
        step.item()
        ticks.append(time.perf_counter())
    return _seconds(ticks)


def _seconds(ticks: Sequence[float]) -> float:
    """Return the seconds per volume, from the median step after the first three."""
    return median(np.diff(ticks[2:])) / BATCH


def main(spacing_mm: float = 3.0, steps: int = 30, rounds: int = 3) -> None:
    """Train both for some steps, in turns, without and with augmentation; the best round of each counts.

    Other load on the machine adds time, most of all to PyTorch, whose threads wait for each other.
    """
    shape = template_grid(spacing_mm)[1]
    grid = f"{' x '.join(map(str, shape))} at {spacing_mm:g} mm"
    for augmented, name in ((False, "training"), (True, "training with augmentation")):
        times = [
            [in_new_process(train, shape, steps, augmented) for train in (train_kit, train_peer)] for _ in range(rounds)
        ]
        kit, peer = np.min(times, axis=0)
        record(
            f"{name}, {grid}, batches of {BATCH}: time per volume; volumes per second",
            f"{1000 * kit:.0f} ms; {1 / kit:.1f}",
            f"PyTorch: {1000 * peer:.0f} ms; {1 / peer:.1f}",
            peer / kit,
        )


if __name__ == "__main__":
    typer.run(main)
