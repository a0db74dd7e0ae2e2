"""A tiny cohort on the template grid and its derivative, as preprocessing would leave them, made without it.

Every brain is a ball with a smaller ball for a tumour. FLAIR shows the tumour, T1ce its grade: bright is grade III.
"""

import nibabel as nib
import numpy as np
import pandas as pd

from epitome_kit.cohort import annotation_path, image_path, open_cohort, write_annotation_sidecar, write_dataset
from epitome_kit.files import write_json, write_text
from epitome_kit.images import new_image_like, save_image
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.preprocess.registration import template_grid

SPACING_MM = 12.0
AFFINE, SHAPE = template_grid(SPACING_MM)
VOXEL_ML = SPACING_MM**3 / 1000


def _ball(centre, radius):
    grid = np.indices(SHAPE) - np.array(centre).reshape(3, 1, 1, 1)
    return np.linalg.norm(grid, axis=0) < radius


BRAIN = _ball((7.5, 7.5, 7.5), 7.3)


def draw_head(number):
    """Scans by contrast, float32, and the tumour, uint8; even numbers are grade II."""
    rng = np.random.default_rng(number)
    tumour = _ball(7.5 + rng.uniform(-2.5, 2.5, 3), 3.2)
    grey = {name: rng.normal(0, 0.4, SHAPE) for name in ("T1ce", "FLAIR")}
    grey["FLAIR"] += 3 * tumour
    grey["T1ce"] += (3 if number % 2 else -1) * tumour
    return {name: (data * BRAIN).astype(np.float32) for name, data in grey.items()}, tumour.astype(np.uint8)


def make_derivative(folder, *, subjects=12, unlabelled=(), slices=None):
    """Make a cohort in ``folder/cohort`` and its derivative in ``folder/ready``.

    `unlabelled` numbers have no grade, `slices` are the annotated ones (None: all). Returns cohort and derivative.
    """
    root, ready = folder / "cohort", folder / "ready"
    names = [f"sub-{number:02d}" for number in range(subjects)]
    for number, name in enumerate(names):
        scans, tumour = draw_head(number)
        for contrast, data in scans.items():
            save_image(nib.Nifti1Image(data, AFFINE), image_path(root, name, contrast))
        seen = np.zeros_like(tumour)
        seen[:, :, slices if slices is not None else slice(None)] = 1
        save_image(nib.Nifti1Image(tumour * seen, AFFINE), annotation_path(root, name))
        write_annotation_sidecar(root, name, "FLAIR", slices)
        write_ready(Preprocessed(ready, name), scans, tumour * seen, seen)
    grades = ["n/a" if number in unlabelled else 2 + number % 2 for number in range(subjects)]
    table = pd.DataFrame({"participant_id": names, "grade": grades, "codeletion": "intact"})
    write_dataset(root, name="ready", readme="A tiny cohort for tests.", participants=table)
    return open_cohort(root), ready


def write_ready(files, scans, tumour=None, seen=None, *, version=1):
    """Write one subject's derivative; `version` stands for the checksum of its inputs."""
    for contrast, data in scans.items():
        save_image(nib.Nifti1Image(data, AFFINE), files.scan(contrast))
        write_text(files.transform(contrast), "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    brain = nib.Nifti1Image(BRAIN.astype(np.uint8), AFFINE)
    save_image(brain, files.mask("desc-brain"))
    if tumour is not None:
        save_image(new_image_like(tumour, brain), files.mask("label-tumour"))
        save_image(new_image_like(seen, brain), files.mask("desc-annotated"))
    settings = {"spacing_mm": SPACING_MM, "inputs": f"version {version}"}
    write_json(files.record, {"settings": settings, "quality": {"participant_id": files.id}})
