"""Defacing: what lies before and below the brain is taken off."""

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.images import image_like, load_image, load_mask
from epitome_kit.preprocess.skull_stripping import skull_strip

_TO_THE_FACE = np.array([0.0, 1.0, -1.0]) / np.sqrt(2)
_BRAIN_PCT = 95
_MARGIN_MM = 25.0


def deface(image, *, mask=None):
    """Take the face off a head scan by one straight cut that spares the brain, as Quickshear does.

    The cut slopes at 45 degrees from the brow to the neck, 25 mm clear of 95 % of the
    brain; what lies before and below and is no brain is set to the lowest value of the
    scan. Quickshear lays its cut along an edge of the brain's outline, which one eye
    taken for brain would move.

    Parameters
    ----------
    image : Nifti1Image or path
        Shape (i, j, k), any orientation and voxel size.
    mask : Nifti1Image or path, default=None
        Brain mask on the grid of the scan; None finds the brain first.

    Returns
    -------
    Nifti1Image
        Same grid and number type.

    Raises
    ------
    ImageError
        The scan cannot be read, no brain is found, or the mask is not on its grid or empty.

    References
    ----------
    Schimke and Hale, Quickshear defacing for neuroimages, USENIX HealthSec 2011
    """
    image = load_image(image, where="deface")
    mask = skull_strip(image) if mask is None else load_mask(mask, like=image, where="deface")
    inside = np.asarray(mask.dataobj) > 0
    if not inside.any():
        raise ImageError("deface", "a brain mask with a brain in it", "an empty mask", "look at the mask")
    brain = nib.affines.apply_affine(mask.affine, np.argwhere(inside)) @ _TO_THE_FACE
    clear = np.percentile(brain, _BRAIN_PCT) + _MARGIN_MM
    steps = _TO_THE_FACE @ image.affine[:3, :3]
    i, j, k = np.ogrid[tuple(map(slice, image.shape))]
    distance = steps[0] * i + steps[1] * j + steps[2] * k + _TO_THE_FACE @ image.affine[:3, 3]
    data = np.asarray(image.dataobj)
    return image_like(np.where((distance > clear) & ~inside, data.min(), data), image)
