"""Simulate a second session of a preprocessed head: the head scanned again, and its region outlined again."""

from collections.abc import Sequence

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.learn.augmentation import move
from epitome_kit.preprocess.intensity import normalise_intensity
from epitome_kit.simulate.scanner import random_bias, random_motion

BIAS_SD = 0.1
"""Standard deviation of the bias field that is left, in units of the robust standard deviation of the brain."""

CONTOUR_SHIFT = 1.0
"""Standard deviation of the shift of the contour, in voxels."""

_SMOOTH = 2.0
_MARGIN = 4


def scan_again(scans: np.ndarray, rng: np.random.Generator, *, spacing_mm: Sequence[float]) -> np.ndarray:
    """Simulate that a preprocessed head is scanned and preprocessed a second time.

    The head is moved as between two scans of one session
    (:func:`epitome_kit.simulate.scanner.random_motion`) and resampled. All contrasts get
    one smooth bias field of :data:`BIAS_SD`, each as much noise as :func:`noise_sd` finds
    in it, and are normalised again.

    Parameters
    ----------
    scans : ndarray of float32, shape (i, j, k, contrasts)
        Normalised scans; 0 outside the brain, and everywhere for a missing contrast.
    rng : numpy.random.Generator
        Source of the random changes.
    spacing_mm : sequence of 3 float
        Voxel size.

    Returns
    -------
    ndarray of float32, shape (i, j, k, contrasts)

    Notes
    -----
    The noise of the first scan is still there, smoothed by resampling, so the second scan
    is a little noisier than the first. Neither the anatomy nor the scanner changes.

    References
    ----------
    Zwanenburg et al., Sci Rep 2019, doi:10.1038/s41598-018-36938-4
    """
    brain = np.any(scans, axis=-1)
    spacing = np.diag([*map(float, spacing_mm), 1.0])
    motion = np.linalg.inv(spacing) @ random_motion(rng) @ spacing
    centre = (np.array(brain.shape) - 1) / 2
    offset = centre + motion[:3, 3] - motion[:3, :3] @ centre
    moved = move(np.concatenate([scans, brain[..., None]], axis=-1).astype(np.float32), motion[:3, :3], offset)
    weight = moved[..., -1]
    inside = weight > 0.5
    mask = nib.Nifti1Image(inside.astype(np.uint8), spacing)
    field = np.log(random_bias(inside.shape, inside, BIAS_SD, rng))
    again = np.zeros_like(scans, dtype=np.float32)
    for channel in range(scans.shape[-1]):
        noise = rng.standard_normal(inside.shape, dtype=np.float32)
        if not scans[..., channel].any():
            continue
        signal = moved[..., channel] / np.maximum(weight, 0.5)
        changed = signal + field + noise * np.float32(noise_sd(scans[..., channel], brain))
        again[..., channel] = normalise_intensity(nib.Nifti1Image(changed, spacing), mask).dataobj
    return again


def noise_sd(scan: np.ndarray, inside: np.ndarray) -> float:
    """Estimate the standard deviation of the noise of a scan from second differences along all three axes.

    They are 0 for a signal without a mixed sixth derivative. The median of their absolute
    values is little affected by edges; fine texture counts as noise.

    Parameters
    ----------
    scan : ndarray, shape (i, j, k)
        One contrast.
    inside : ndarray of bool, shape (i, j, k)
        Brain mask; its border is left out.

    Returns
    -------
    float
        In the unit of the scan; 0 where no voxel of the brain has all its neighbours.

    References
    ----------
    Immerkaer, Comput Vis Image Underst 1996, doi:10.1006/cviu.1996.0060
    """
    core = ndimage.binary_erosion(inside, np.ones((3, 3, 3)))
    if not core.any():
        return 0.0
    differences = scan.astype(np.float32)
    for axis in range(3):
        differences = ndimage.correlate1d(differences, [1.0, -2.0, 1.0], axis=axis)
    return float(np.median(np.abs(differences[core])) / 0.6745 / 6**1.5)


def outline_again(region: np.ndarray, brain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Simulate that a region is outlined a second time: shift its contour by a smooth random field.

    Parameters
    ----------
    region, brain : ndarray of bool, shape (i, j, k)
        The region, and the brain, out of which the new one does not reach.
    rng : numpy.random.Generator
        Source of the field, whose standard deviation is :data:`CONTOUR_SHIFT`.

    Returns
    -------
    ndarray of bool, shape (i, j, k)
        Largest connected component within the new contour; `region` if nothing is left.

    References
    ----------
    Zwanenburg et al., Sci Rep 2019, doi:10.1038/s41598-018-36938-4
    """
    if not region.any():
        return region
    (found,) = ndimage.find_objects(region.astype(np.uint8))
    box = tuple(slice(max(0, side.start - _MARGIN), side.stop + _MARGIN) for side in found)
    inside = np.pad(region[box], 1)  # distances to the border of the grid count
    field = ndimage.gaussian_filter(rng.standard_normal(inside.shape), _SMOOTH)
    depth = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    shifted = depth - np.sign(depth) / 2 + CONTOUR_SHIFT * field / field.std() > 0
    likely = shifted[1:-1, 1:-1, 1:-1] & brain[box]
    if not likely.any():
        return region
    components, _ = ndimage.label(likely)
    again = np.zeros_like(region)
    again[box] = components == np.bincount(components[likely]).argmax()
    return again
