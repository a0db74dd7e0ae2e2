"""Normalise the intensities of scans to a common scale."""

import nibabel as nib
import numpy as np

from epitome_kit.images import ImageLike, load_image, load_mask, new_image_like

_LIMIT = 6.0
PARAMETERS = {"limit": _LIMIT}
"""Settings recorded by the pipeline."""


def normalise_intensity(image: ImageLike, mask: ImageLike) -> nib.Nifti1Image:
    """Centre and scale a scan by its brain: median 0, robust standard deviation 1.

    Median and interquartile range are little affected by a tumour, unlike mean and
    standard deviation.

    Parameters
    ----------
    image : image-like
        Shape (i, j, k).
    mask : image-like
        Brain mask on the same grid.

    Returns
    -------
    Nifti1Image
        Image of float32, clipped to -6 to 6 inside the mask, 0 outside.

    Raises
    ------
    ImageError
        The scan cannot be read, or the mask is on another grid.

    See Also
    --------
    correct_bias : Correct inhomogeneity first.
    preprocess_cohort : Run all steps for every subject of a cohort.

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> scan = nib.Nifti1Image(np.arange(512, dtype=np.float32).reshape(8, 8, 8), np.eye(4))
    >>> inside = np.zeros(scan.shape, np.uint8)
    >>> inside[2:6, 2:6, 2:6] = 1
    >>> mask = nib.Nifti1Image(inside, scan.affine)
    >>> normalised = np.asarray(ek.normalise_intensity(scan, mask).dataobj)
    >>> print(f"median {np.median(normalised[inside > 0]):.2f}")
    median 0.00
    """
    image = load_image(image, where="normalise_intensity")
    inside = np.asarray(load_mask(mask, like=image, where="normalise_intensity").dataobj) > 0
    data = np.asarray(image.dataobj, np.float32)
    low, middle, high = np.quantile(data[inside], (0.25, 0.5, 0.75))
    spread = max((high - low) / 1.349, 1e-6)
    scaled = np.clip((data - middle) / spread, -_LIMIT, _LIMIT) * inside
    return new_image_like(scaled.astype(np.float32), image)
