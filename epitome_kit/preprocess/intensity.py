"""Intensity normalisation: one scale for all scans."""

import numpy as np

from epitome_kit.images import image_like, load_image, load_mask

_LIMIT = 6.0
PARAMETERS = {"limit": _LIMIT}
"""What the pipeline normalises with."""


def normalise_intensity(image, mask):
    """Centre and scale a scan by its brain: median 0, robust standard deviation 1.

    The median and the interquartile range hardly notice a tumour, which a mean
    and a standard deviation would follow.

    Parameters
    ----------
    image : Nifti1Image or path
        Shape (i, j, k).
    mask : Nifti1Image or path
        Brain mask on the same grid.

    Returns
    -------
    Nifti1Image
        float32, limited to -6 to 6 inside the mask, 0 outside.

    Raises
    ------
    ImageError
        Unreadable scan, or a mask on another grid.
    """
    image = load_image(image, where="normalise_intensity")
    inside = np.asarray(load_mask(mask, like=image, where="normalise_intensity").dataobj) > 0
    data = np.asarray(image.dataobj, np.float32)
    low, middle, high = np.quantile(data[inside], (0.25, 0.5, 0.75))
    spread = max((high - low) / 1.349, 1e-6)
    scaled = np.clip((data - middle) / spread, -_LIMIT, _LIMIT) * inside
    return image_like(scaled.astype(np.float32), image)
