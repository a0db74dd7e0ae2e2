"""Agreement of masks: the kit compared with DeepMind's surface-distance, on the same pairs in one run.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/metrics.py --pairs 12

Each pair simulates two annotations of a rough ellipsoid. The target is equal values,
to 1e-6, in at most the same time.
"""

from collections.abc import Sequence

import numpy as np
import surface_distance
import typer
from bench import record, timed
from scipy import ndimage

from epitome_kit.metrics import dice, hausdorff95_mm

GRIDS = {(256, 256, 48): (0.94, 0.94, 3.0), (240, 240, 155): (1.0, 1.0, 1.0)}


def annotations(
    shape: Sequence[int], spacing: Sequence[float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate two different annotations of one tumour with a rough border."""
    places = np.moveaxis(np.indices(shape), 0, -1) * spacing - np.multiply(shape, spacing) / 2
    distance = np.linalg.norm(places / rng.uniform(14, 32, 3), axis=-1)
    waves = [ndimage.gaussian_filter(rng.standard_normal(shape), 5 / np.array(spacing)) for _ in range(2)]
    shared, difference = (0.1 * wave / wave.std() for wave in waves)
    return distance + shared < 1, distance + shared + difference < 1


def kit(first: np.ndarray, second: np.ndarray, spacing: Sequence[float]) -> tuple[float, float]:
    """Return Dice and HD95 by the kit."""
    return dice(first, second), hausdorff95_mm(first, second, spacing)


def peer(first: np.ndarray, second: np.ndarray, spacing: Sequence[float]) -> tuple[float, float]:
    """Return Dice and HD95 by surface-distance."""
    distances = surface_distance.compute_surface_distances(first, second, spacing)
    return (
        surface_distance.compute_dice_coefficient(first, second),
        surface_distance.compute_robust_hausdorff(distances, 95),
    )


def main(pairs: int = 8) -> None:
    """Compare pairs of masks with both tools, on a clinical grid and on a grid of 1 mm."""
    for shape, spacing in GRIDS.items():
        rng = np.random.default_rng(0)
        seconds, differences = [], []
        for pair in range(pairs + 1):
            masks = annotations(shape, spacing, rng)
            (ours, our_time), (theirs, their_time) = (timed(measure, *masks, spacing) for measure in (kit, peer))
            differences.append(np.abs(np.subtract(ours, theirs)).max())
            seconds += [(our_time, their_time)] if pair else []  # the first pair includes the imports
        ours, theirs = np.median(seconds, axis=0)
        record(
            f"Dice and HD95, {' x '.join(map(str, shape))}, n = {pairs}: time per pair; furthest apart",
            f"{1000 * ours:.0f} ms; {max(differences):.0e}",
            f"surface-distance: {1000 * theirs:.0f} ms",
            theirs / ours,
        )


if __name__ == "__main__":
    typer.run(main)
