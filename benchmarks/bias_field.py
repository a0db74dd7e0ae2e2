"""Bias field: N4 of the kit compared with ANTsPy at its default shrink factor, on one phantom in one run.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/bias_field.py

The target is at least three times the speed, and a residual log field of 0.035
(sd over the brain), from about 0.10.
"""

import tempfile

import ants
import numpy as np
import typer
from bench import phantoms, record, timed

from epitome_kit.images import load_image, load_mask, new_image_like
from epitome_kit.preprocess.bias_field import correct_bias


def main(spacing_mm: float = 1.0, contrast: str = "T2w") -> None:
    """Correct one simulated head with both tools."""
    with tempfile.TemporaryDirectory() as folder:
        subject = phantoms(folder, spacing_mm, contrast)[0]
        prefix = f"{subject.truth}/{subject.id}_space-{contrast}"
        image = load_image(subject.images[contrast])
        image = new_image_like(np.asarray(image.dataobj, np.float32), image)
        mask = load_mask(f"{prefix}_desc-brain_mask.nii.gz")
        truth = np.log(np.asarray(load_image(f"{prefix}_biasfield.nii.gz").dataobj))
    inside = np.asarray(mask.dataobj) > 0
    scan, brain = (
        ants.from_numpy(np.asarray(part.dataobj, np.float32), spacing=[spacing_mm] * 3) for part in (image, mask)
    )

    def peer() -> np.ndarray:
        return ants.n4_bias_field_correction(scan, mask=brain, return_bias_field=True).numpy()

    (_, field), seconds = timed(correct_bias, image, mask)
    theirs, their_seconds = timed(peer)
    residuals = [(truth - np.log(found))[inside].std() for found in (np.asarray(field.dataobj), theirs)]
    record(
        f"N4, {contrast} of {' x '.join(map(str, image.shape))}: seconds; log field left (sd, of"
        f" {truth[inside].std():.3f})",
        f"{seconds:.1f} s; {residuals[0]:.3f}",
        f"ANTsPy, shrink 4: {their_seconds:.1f} s; {residuals[1]:.3f}",
        their_seconds / seconds,
    )


if __name__ == "__main__":
    typer.run(main)
