"""Time and memory of the simulator: seconds per subject and core, and peak memory.

    make bench
    python benchmarks/simulate.py --subjects 8 --profile full

Prints one line; run it on an idle machine. The target at 2 mm with two contrasts is
1.5 s per subject and core, and 1 GB of memory.
"""

import tempfile
import time

import typer
from bench import peak_memory_mb, record

from epitome_kit.simulate.anatomy import head_model
from epitome_kit.simulate.phantom import make_phantom_cohort


def main(subjects: int = 12, profile: str = "quick", seed: int = 0) -> None:
    """Simulate a cohort in a temporary folder on one core, and record time and memory."""
    started = time.perf_counter()
    head_model(1.0 if profile == "full" else 2.0)
    once = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        make_phantom_cohort(folder, subjects=subjects, seed=seed, profile=profile, workers=1)
        each = (time.perf_counter() - started) / subjects
    kit = f"{each:.2f} s; {once:.1f} s once; {peak_memory_mb():.0f} MB"
    record(f"simulate, {profile}: seconds per subject and core; peak memory", kit)


if __name__ == "__main__":
    typer.run(main)
