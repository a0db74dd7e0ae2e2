"""Time and memory for one subject, from its scans to tumour mask and size.

    make bench
    python benchmarks/segment.py

A simulated head of 2 mm in four contrasts is stripped, corrected, registered,
segmented and measured. The first head, for which the networks are loaded, does not
count. The target is 5 s on two cores, and 1.5 GB.
"""

import tempfile
from collections.abc import Mapping, Sequence

import typer
from bench import in_new_process, peak_memory_mb, record, timed

from epitome_kit.learn.channels import shipped_channels
from epitome_kit.simulate.phantom import make_phantom_cohort


def segment(heads: Sequence[Mapping[str, str]], out: str) -> tuple[float, float]:
    """Segment subjects one after the other; return the seconds of the last one, and the peak memory."""
    from epitome_kit.tumour.single_case import segment_head

    seconds = [timed(segment_head, images, f"{out}/{number}")[1] for number, images in enumerate(heads)]
    return seconds[-1], peak_memory_mb()


def main(spacing_mm: float = 2.0) -> None:
    """Segment two simulated heads, and record time and memory of the second."""
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_phantom_cohort(
            f"{folder}/heads", subjects=2, spacing_mm=(spacing_mm,) * 3, contrasts=shipped_channels("tumour_unet")
        )
        heads = [{name: str(path) for name, path in subject.images.items()} for subject in cohort]
        seconds, memory_mb = in_new_process(segment, heads, folder)
    what = f"one head, four contrasts at {spacing_mm:g} mm, to mask and size: seconds after start-up; peak memory"
    record(what, f"{seconds:.1f} s; {memory_mb:.0f} MB")


if __name__ == "__main__":
    typer.run(main)
