"""Skull stripping: the kit against BET in Python (`brainextractor`), and the kit on a volume of 1 mm.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/skull_strip.py

Each works in a process of its own, so that the loading of the network and the
compiling of the peer count as well. On 1 mm the aim is 6 s and 1.5 GB.
"""

import tempfile

import nibabel as nib
import numpy as np
import typer
from bench import in_a_fresh_process, peak_memory_mb, phantoms, record, timed

from epitome_kit.images import load_image, load_mask
from epitome_kit.overlap import dice
from epitome_kit.preprocess.skull_strip import skull_strip


def strip_with_kit(path):
    """Brain, seconds and peak memory in MB of the kit."""
    mask, seconds = timed(skull_strip, load_image(path))
    return np.asarray(mask.dataobj) > 0, seconds, peak_memory_mb()


def strip_with_brainextractor(path):
    """Brain and seconds of brainextractor."""
    from brainextractor import BrainExtractor

    def extract():
        extractor = BrainExtractor(nib.load(path))
        extractor.run()
        return extractor.compute_mask() > 0

    return timed(extract)


def main(spacing_mm: float = 2.0, contrast: str = "T1w"):
    """Strip one simulated head both ways, and one of 1 mm."""
    with tempfile.TemporaryDirectory() as folder:
        subject = phantoms(f"{folder}/small", spacing_mm, contrast)[0]
        truth = (
            np.asarray(load_mask(subject.truth / f"{subject.id}_space-{contrast}_desc-brain_mask.nii.gz").dataobj) > 0
        )
        path = str(subject.images[contrast])
        ours, seconds, _ = in_a_fresh_process(strip_with_kit, path)
        theirs, their_seconds = in_a_fresh_process(strip_with_brainextractor, path)
        record(
            f"skull strip, {contrast} at {spacing_mm:g} mm: seconds; Dice",
            f"{seconds:.1f} s; {dice(ours, truth):.3f}",
            f"brainextractor: {their_seconds:.1f} s; {dice(theirs, truth):.3f}",
            their_seconds / seconds,
        )
        large = phantoms(f"{folder}/large", 1.0, contrast)[0].images[contrast]
        shape = " x ".join(map(str, load_image(large).shape))
        _, seconds, memory_mb = in_a_fresh_process(strip_with_kit, str(large))
        record(
            f"skull strip, {contrast} of {shape} at 1 mm: seconds; peak memory", f"{seconds:.1f} s; {memory_mb:.0f} MB"
        )


if __name__ == "__main__":
    typer.run(main)
