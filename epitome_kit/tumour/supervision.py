"""What a network may learn from: a few annotated slices, or the whole truth of a simulated cohort."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.images import load_mask, resample
from epitome_kit.preprocess.pipeline import Preprocessed, lead_contrast
from epitome_kit.tumour.outline import true_mask


def with_whole_truth(arrays, cohort, preprocessed):
    """Give arrays the whole true tumour in place of the annotated slices.

    Parameters
    ----------
    arrays : Arrays
    cohort : Cohort
        Simulated.
    preprocessed : path
        Folder that the arrays were loaded from.

    Returns
    -------
    Arrays
        With everything known.
    """
    files = {name: Preprocessed(Path(preprocessed), name) for name in arrays.ids}
    tumour = np.stack([_on_template(cohort[name], each) for name, each in files.items()])[..., None]
    return replace(arrays, tumour=tumour, known=np.ones_like(tumour))


def _on_template(subject, files):
    grid = nib.load(files.mask("desc-brain"))
    transform = np.loadtxt(files.transform(lead_contrast(subject)))
    carried = resample(load_mask(true_mask(subject)), grid.affine, grid.shape, transform=transform)
    return (np.asarray(carried.dataobj) > 0.5).astype(np.uint8)
