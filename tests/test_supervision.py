"""Supervision by the whole truth: it arrives on the template, and everything is known."""

import nibabel as nib
import numpy as np
from made_derivative import AFFINE, SHAPE, draw_head, make_derivative

from epitome_kit.cohort import open_cohort, truth_folder
from epitome_kit.files import write_text
from epitome_kit.images import save_image
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.channels import shipped_channels
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.tumour.outline import with_whole_truth

CHANNELS = shipped_channels("tumour_unet")


def test_the_whole_tumour_takes_the_place_of_the_annotated_slices(tmp_path):
    """The second subject lies 24 mm, two voxels, further right in its scan than on the template."""
    cohort, ready = make_derivative(tmp_path, subjects=2, slices=[8])
    shifts = (0, 2)
    for number, (name, shift) in enumerate(zip(cohort.subjects, shifts, strict=True)):
        there = nib.Nifti1Image(np.roll(draw_head(number)[1], shift, axis=0), AFFINE)
        save_image(there, truth_folder(cohort.root, name) / f"{name}_space-FLAIR_label-tumour_mask.nii.gz")
        moved = nib.affines.from_matvec(np.eye(3), (-12.0 * shift, 0, 0))
        write_text(Preprocessed(ready, name).transform("FLAIR"), "\n".join(" ".join(map(str, row)) for row in moved))
    cohort = open_cohort(cohort.root)
    arrays = load_arrays(cohort, ready, CHANNELS)
    found = with_whole_truth(arrays, cohort, ready)
    assert found.tumour.shape == found.known.shape == (2, *SHAPE, 1) and found.known.all()
    assert np.array_equal(found.tumour[..., 0], np.stack([draw_head(number)[1] for number in range(2)]))
    assert not arrays.known.all() and arrays.tumour.sum() < found.tumour.sum(), "what was passed is left alone"
    assert found.scans is arrays.scans and found.ids == arrays.ids
