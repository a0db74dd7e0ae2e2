"""Skull stripping: the kit compared with BET in Python (`brainextractor`), on phantoms and real scans.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/skull_strip.py

Each tool runs in a process of its own, so that loading the network and compiling the
peer count as well. The peer needs isotropic voxels and gets the scan at 1 mm. Targets:
a better Dice on every scan; on real ones 0.95 on average and 0.93 on each; 6 s after
start-up and 1.5 GB on a volume of 1 mm. The real scans are not part of the kit; the
variable `EPITOME_REAL_DATA` names their folder.
"""

import os
import tempfile
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from pathlib import Path

import nibabel as nib
import numpy as np
import typer
from bench import in_new_process, peak_memory_mb, phantoms, record, timed

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
"""Scan and reference: a mask by HD-BET with slices of 5.5 mm; a published stripped scan of 2 x 2 x 3 mm."""


def strip_with_kit(path: str) -> tuple[np.ndarray, float, float, float]:
    """Strip with the kit; return mask, seconds with and without start-up, and peak memory in MB."""
    image = load_image(path)
    (mask, first), (_, again) = timed(skull_strip, image), timed(skull_strip, image)
    return np.asarray(mask.dataobj) > 0, first, again, peak_memory_mb()


def strip_with_brainextractor(path: str) -> tuple[np.ndarray, float]:
    """Strip with brainextractor; return mask and seconds."""
    from brainextractor import BrainExtractor

    image = load_image(path)
    isotropic = resample_isotropic(image, 1.0)

    def extract() -> np.ndarray:
        extractor = BrainExtractor(nib.Nifti1Image(np.asarray(isotropic.dataobj, np.float32), isotropic.affine))
        extractor.run()
        found = nib.Nifti1Image(extractor.compute_mask().astype(np.float32), isotropic.affine)
        return np.asarray(resample(found, image.affine, image.shape).dataobj) > 0.5

    with open(os.devnull, "w") as silence, redirect_stdout(silence):
        return timed(extract)


def compare(name: str, scan: Path, reference: Path) -> None:
    """Strip one scan with both tools."""
    truth = np.asarray(load_mask(reference, labels="all").dataobj) > 0
    ours, seconds, _, _ = in_new_process(strip_with_kit, str(scan))
    try:
        theirs, their_seconds = in_new_process(strip_with_brainextractor, str(scan))
        peer, ratio = f"{their_seconds:.1f} s; {dice(theirs, truth):.3f}", their_seconds / seconds
    except (ValueError, MemoryError, BrokenProcessPool):  # the surface diverges, and its process may be killed
        peer, ratio = "stops with an error", None
    record(
        f"skull strip, {name}: seconds; Dice",
        f"{seconds:.1f} s; {dice(ours, truth):.3f}",
        f"brainextractor: {peer}",
        ratio,
    )


def main(spacing_mm: float = 2.0, contrast: str = "T1w") -> None:
    """Strip a simulated head and real scans with both tools, and a head of 1 mm with the kit."""
    with tempfile.TemporaryDirectory() as folder:
        subject = phantoms(f"{folder}/small", spacing_mm, contrast)[0]
        truth = Path(f"{subject.truth}/{subject.id}_space-{contrast}_desc-brain_mask.nii.gz")
        compare(f"phantom, {contrast} at {spacing_mm:g} mm", subject.images[contrast], truth)
        large = in_new_process(phantoms, f"{folder}/large", 1.0, contrast)[0].images[contrast]
        shape = " x ".join(map(str, load_image(large).shape))
        _, _, seconds, memory_mb = in_new_process(strip_with_kit, str(large))
        record(
            f"skull strip, {contrast} of {shape} at 1 mm: seconds after start-up; peak memory",
            f"{seconds:.1f} s; {memory_mb:.0f} MB",
        )
    for name, (scan, reference) in REAL_HEADS.items():
        if scan.is_file():
            compare(name, scan, reference)
        else:
            print(f"skipped: {name} (no file {scan})")


if __name__ == "__main__":
    typer.run(main)
