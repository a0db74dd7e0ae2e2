"""Skull stripping: the kit against BET in Python (`brainextractor`), on a phantom, on real heads and on 1 mm.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/skull_strip.py

Each works in a process of its own, so that the loading of the network and the
compiling of the peer count as well. The peer wants voxels of equal sides: it
gets the scan at 1 mm. The aims: a better Dice on every head; on real ones 0.95
on average and 0.93 on each; 6 s after start-up and 1.5 GB on a volume of 1 mm.
The real heads are not part of the kit; `EPITOME_REAL_DATA` says where they are.
"""

import os
import tempfile
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from pathlib import Path

import nibabel as nib
import numpy as np
import typer
from bench import in_a_fresh_process, peak_memory_mb, phantoms, record, timed

from epitome_kit.images import load_image, load_mask, resample, resample_isotropic
from epitome_kit.metrics import dice
from epitome_kit.preprocess.skull_stripping import skull_strip

REAL_DATA = Path(os.environ.get("EPITOME_REAL_DATA", "../shared/real"))
CONTRASTS = ("t1", "t1c", "t2", "flair")
EXAM, HEAD = REAL_DATA / "tcga-fg-6692", REAL_DATA / "itk-head"
REAL_HEADS = {
    **{
        f"glioma exam, {name}": (EXAM / f"{name}.nii.gz", EXAM / f"brainmask-hdbet_{name}.nii.gz") for name in CONTRASTS
    },
    "research scan, t1": (HEAD / "t1.nii.gz", HEAD / "t1_stripped.nii.gz"),
}
"""Scan and reference: HD-BET's mask of slices of 5.5 mm; what others left of a scan of 2 x 2 x 3 mm."""


def strip_with_kit(path):
    """Brain, seconds with and without start-up, and peak memory in MB of the kit."""
    image = load_image(path)
    (mask, first), (_, again) = timed(skull_strip, image), timed(skull_strip, image)
    return np.asarray(mask.dataobj) > 0, first, again, peak_memory_mb()


def strip_with_brainextractor(path):
    """Brain and seconds of brainextractor."""
    from brainextractor import BrainExtractor

    image = load_image(path)
    even = resample_isotropic(image, 1.0)

    def extract():
        extractor = BrainExtractor(nib.Nifti1Image(np.asarray(even.dataobj, np.float32), even.affine))
        extractor.run()
        found = nib.Nifti1Image(extractor.compute_mask().astype(np.float32), even.affine)
        return np.asarray(resample(found, image.affine, image.shape).dataobj) > 0.5

    with open(os.devnull, "w") as silence, redirect_stdout(silence):
        return timed(extract)


def compare(name, scan, reference):
    """Strip one head both ways."""
    truth = np.asarray(load_mask(reference, labels="all").dataobj) > 0
    ours, seconds, _, _ = in_a_fresh_process(strip_with_kit, str(scan))
    try:
        theirs, their_seconds = in_a_fresh_process(strip_with_brainextractor, str(scan))
        peer, ratio = f"{their_seconds:.1f} s; {dice(theirs, truth):.3f}", their_seconds / seconds
    except (ValueError, MemoryError, BrokenProcessPool):  # a surface that got lost, and its process with it
        peer, ratio = "stops with an error", None
    record(
        f"skull strip, {name}: seconds; Dice",
        f"{seconds:.1f} s; {dice(ours, truth):.3f}",
        f"brainextractor: {peer}",
        ratio,
    )


def main(spacing_mm: float = 2.0, contrast: str = "T1w"):
    """Strip a simulated head and real ones both ways, and one of 1 mm."""
    with tempfile.TemporaryDirectory() as folder:
        subject = phantoms(f"{folder}/small", spacing_mm, contrast)[0]
        truth = subject.truth / f"{subject.id}_space-{contrast}_desc-brain_mask.nii.gz"
        compare(f"phantom, {contrast} at {spacing_mm:g} mm", subject.images[contrast], truth)
        large = in_a_fresh_process(phantoms, f"{folder}/large", 1.0, contrast)[0].images[contrast]
        shape = " x ".join(map(str, load_image(large).shape))
        _, _, seconds, memory_mb = in_a_fresh_process(strip_with_kit, str(large))
        record(
            f"skull strip, {contrast} of {shape} at 1 mm: seconds after start-up; peak memory",
            f"{seconds:.1f} s; {memory_mb:.0f} MB",
        )
    for name, (scan, reference) in REAL_HEADS.items():
        if scan.is_file():
            compare(name, scan, reference)
        else:
            print(f"left out: {name}, for there is no {scan}")


if __name__ == "__main__":
    typer.run(main)
