"""Affine registration: the kit compared with ANTsPy, on the same phantoms in one run.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/registration.py --subjects 8

Both get the scan without bias field and the true brain mask: the kit as two images,
ANTsPy as the masked scan. The target is half the time at the same or a smaller
error. ANTsPy uses all cores, the kit one.
"""

import tempfile
from pathlib import Path

import ants
import nibabel as nib
import numpy as np
import typer
from bench import phantoms, record, timed

from epitome_kit.images import load_image, load_mask, new_image_like
from epitome_kit.io.geometry import SPACE
from epitome_kit.preprocess.quality import registration_error_mm
from epitome_kit.preprocess.registration import load_template, register_affine

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def register_with_ants(moving: str, fixed: str) -> np.ndarray:
    """Return the affine of ANTsPy from moving mm to fixed mm, both RAS; images are read from files."""
    found = ants.registration(ants.image_read(fixed), ants.image_read(moving), type_of_transform="Affine")
    transform = ants.read_transform(found["fwdtransforms"][0])
    matrix, centre = np.reshape(transform.parameters[:9], (3, 3)), np.array(transform.fixed_parameters)
    to_moving = nib.affines.from_matvec(matrix, transform.parameters[9:] + centre - matrix @ centre)
    return _RAS_TO_LPS @ np.linalg.inv(to_moving) @ _RAS_TO_LPS


def main(subjects: int = 4, spacing_mm: float = 2.0, contrast: str = "T2w") -> None:
    """Register simulated heads to the template with both tools."""
    template = load_template()[0]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        fixed, moving = str(Path(folder, "template.nii")), str(Path(folder, "brain.nii"))
        nib.save(template, fixed)
        for subject in phantoms(Path(folder, "cohort"), spacing_mm, contrast, subjects):
            prefix = f"{subject.truth}/{subject.id}_space-{contrast}"
            mask = load_mask(f"{prefix}_desc-brain_mask.nii.gz")
            scan, bias = (load_image(path) for path in (subject.images[contrast], f"{prefix}_biasfield.nii.gz"))
            scan = new_image_like(np.asarray(scan.dataobj, np.float32) / np.asarray(bias.dataobj, np.float32), scan)
            nib.save(new_image_like(np.asarray(scan.dataobj) * np.asarray(mask.dataobj), scan), moving)
            truth = np.loadtxt(f"{subject.truth}/{subject.id}_from-{contrast}_to-{SPACE}_mode-image_xfm.txt")
            for_kit, for_ants = timed(register_affine, scan, mask), timed(register_with_ants, moving, fixed)
            errors = [registration_error_mm(found, truth, mask) for found, _ in (for_kit, for_ants)]
            rows.append((for_kit[1], for_ants[1], *errors))
    seconds, their_seconds, error, their_error = np.mean(rows, axis=0)
    record(
        f"affine to ICBM152, {contrast} at {spacing_mm:g} mm, n = {subjects}: seconds; mean error over the brain",
        f"{seconds:.1f} s; {error:.2f} mm",
        f"ANTsPy, Affine: {their_seconds:.1f} s; {their_error:.2f} mm",
        their_seconds / seconds,
    )


if __name__ == "__main__":
    typer.run(main)
