"""A real exam without its face: what lies before the brow and below is gone, the brain of another tool stays."""

import nibabel as nib
import numpy as np
import pytest

from epitome_kit.images import load_image, load_mask
from epitome_kit.preprocess.defacing import deface


@pytest.mark.parametrize("name", ["t1", "t2"])
def test_the_face_goes_and_the_brain_stays(real_data, name):
    head = load_image(real_data / "tcga-fg-6692" / f"{name}.nii.gz")
    brain = np.asarray(load_mask(real_data / "tcga-fg-6692" / f"brainmask-hdbet_{name}.nii.gz").dataobj) > 0
    before, after = (np.asarray(image.dataobj) for image in (head, deface(head)))
    assert (before != after)[brain].mean() < 0.002
    place = nib.affines.apply_affine(head.affine, np.indices(head.shape).transpose(1, 2, 3, 0))
    foremost, lowest = place[brain][:, 1].max(), place[brain][:, 2].min()
    face = (place[..., 1] > foremost - 10) & (place[..., 2] < lowest + 30) & (before > np.percentile(before, 60))
    assert face.sum() > 1000 and (after[face] == before.min()).mean() > 0.95
