"""Very small scans and cohorts, made in milliseconds, for tests of everything but image quality."""

from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from epitome_kit.cohort import annotation_path, image_path, write_annotation_sidecar, write_dataset
from epitome_kit.images import new_image_like, save_image

HELPERS = Path(__file__).resolve().parent
ROOT = HELPERS.parents[1]
"""Folder of the project."""

SHAPE = (16, 18, 12)
CENTRE = (8, 9, 6)


def affine(spacing=(2.0, 2.0, 3.0)):
    return nib.affines.from_matvec(np.diag(spacing), (-16, -18, -15))


def head(seed=0, *, shape=SHAPE, spacing=(2.0, 2.0, 3.0)):
    """A bright ball with noise in the dark, int16; no two seeds alike."""
    distance = sum(((axis - n / 2) / (n / 2)) ** 2 for axis, n in zip(np.indices(shape), shape, strict=True))
    noise = np.random.default_rng(seed).integers(0, 600, shape)
    return nib.Nifti1Image(np.where(distance < 0.8, 500 + noise, noise // 300).astype(np.int16), affine(spacing))


def lesion(scan):
    """A mask of 3 x 3 x 3 voxels in the middle of a scan."""
    mask = np.zeros(scan.shape, np.uint8)
    i, j, k = np.array(scan.shape) // 2
    mask[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2] = 1
    return new_image_like(mask, scan)


def write_cohort(root, *, subjects=4, contrasts=("T1ce", "FLAIR")):
    """A cohort of both grades, whole and sound; returns its folder."""
    names = [f"sub-{number:02d}" for number in range(1, subjects + 1)]
    for number, name in enumerate(names):
        for offset, contrast in enumerate(contrasts):
            save_image(head(10 * number + offset), image_path(root, name, contrast))
        save_image(lesion(head(0)), annotation_path(root, name))
        write_annotation_sidecar(root, name, contrasts[0])
    grades = [2 + number % 2 for number in range(subjects)]
    codeletion = ["codeleted", "intact"] * (subjects // 2) + ["intact"] * (subjects % 2)
    table = pd.DataFrame({"participant_id": names, "grade": grades, "codeletion": codeletion, "source_id": names})
    write_dataset(root, name="tiny", readme="A tiny cohort for tests.", participants=table)
    return root


@contextmanager
def raises_three_lines(kind, *words):
    """Expect an error of `kind` on three lines, as the kit writes them, that names every one of `words`."""
    with pytest.raises(kind) as caught:
        yield
    message = str(caught.value)
    expected, received, hint = message.split("\n")
    assert ": expected " in expected and expected.endswith(".")
    assert received.startswith("Received: ") and received.endswith(".")
    assert hint.startswith("Try: ") and hint.endswith(".")
    assert "\n" not in caught.value.reason
    missing = [word for word in words if str(word) not in message]
    assert not missing, f"{missing} not in {message}"
