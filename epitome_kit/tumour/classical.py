"""A rival that learns from nobody: what is bright, and not so on the other side, is tumour."""

import numpy as np
from scipy import ndimage
from sklearn.mixture import GaussianMixture

from epitome_kit.contrast_table import by_conspicuity
from epitome_kit.preprocess.head import largest_piece

_COMPONENTS = 3
_SMOOTH_VOXELS = 1.0
_LOOKED_AT = 20_000


def outline_by_symmetry(scans, contrasts):
    """Outline a tumour by symmetry and a mixture model.

    Of the contrast that shows gliomas best, each voxel is described by its
    brightness and by how much brighter it is than its mirror image. A mixture
    of three Gaussians is fitted to these two numbers; the component that is
    brightest and least symmetric is called tumour, and its largest piece kept.

    Parameters
    ----------
    scans : ndarray of float32, shape (i, j, k, contrasts)
        Normalised, on a grid whose first axis runs from left to right about the
        midline; a contrast that is missing is 0.
    contrasts : sequence of str
        Names of the last axis.

    Returns
    -------
    ndarray of bool, shape (i, j, k)
    """
    brain = np.any(scans, axis=-1)
    volumes = {name: scans[..., channel] for channel, name in enumerate(contrasts)}
    shown = next(name for name in by_conspicuity(contrasts) if volumes[name].any())
    smooth = ndimage.gaussian_filter(volumes[shown], _SMOOTH_VOXELS)
    described = np.stack([smooth, smooth - smooth[::-1]], axis=-1)[brain]
    some = described[:: max(1, len(described) // _LOOKED_AT)]
    mixture = GaussianMixture(_COMPONENTS, n_init=2, reg_covar=1e-3, random_state=0).fit(some)
    tumour = np.zeros(brain.shape, bool)
    tumour[brain] = mixture.predict(described) == mixture.means_.sum(axis=1).argmax()
    return largest_piece(ndimage.binary_opening(tumour))
