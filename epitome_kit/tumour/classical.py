"""Baseline segmentation without training, by brightness and asymmetry."""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage
from sklearn.mixture import GaussianMixture

from epitome_kit.contrast_table import by_conspicuity
from epitome_kit.preprocess.head import largest_piece

_COMPONENTS = 3
_SMOOTH_VOXELS = 1.0
_MAX_SAMPLES = 20_000


def outline_by_symmetry(scans: np.ndarray, contrasts: Iterable[str]) -> np.ndarray:
    """Segment a tumour by asymmetry and a Gaussian mixture.

    In the contrast that shows gliomas best, two features are computed for each voxel: its
    brightness, and the difference from its mirror voxel. A mixture of three Gaussians is
    fitted; the brightest and least symmetric component is taken as tumour, and its
    largest connected component is kept.

    Parameters
    ----------
    scans : ndarray of float32, shape (i, j, k, contrasts)
        Normalised, on a grid whose first axis runs from left to right, symmetric about
        the midline; 0 for a missing contrast.
    contrasts : iterable of str
        Names of the last axis.

    Returns
    -------
    ndarray of bool, shape (i, j, k)
    """
    brain = np.any(scans, axis=-1)
    volumes = {name: scans[..., channel] for channel, name in enumerate(contrasts)}
    best = next(name for name in by_conspicuity(volumes) if volumes[name].any())
    smooth = ndimage.gaussian_filter(volumes[best], _SMOOTH_VOXELS)
    features = np.stack([smooth, smooth - smooth[::-1]], axis=-1)[brain]
    sample = features[:: max(1, len(features) // _MAX_SAMPLES)]
    mixture = GaussianMixture(_COMPONENTS, n_init=2, reg_covar=1e-3, random_state=0).fit(sample)
    tumour = np.zeros(brain.shape, bool)
    tumour[brain] = mixture.predict(features) == mixture.means_.sum(axis=1).argmax()
    return largest_piece(ndimage.binary_opening(tumour))
