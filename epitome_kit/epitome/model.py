"""The learned epitome: a small image whose parts explain the patches of a tumour."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import fft

from epitome_kit.epitome.patches import assemble_patches, take_patches
from epitome_kit.errors import ParameterError

FLOOR = 0.05
"""Least variance of a voxel: with less, one patch alone could claim it."""

_AXES, _LAST = (-4, -3, -2), (-3, -2, -1)
_NOISE = 0.1
_UNUSED = 1e-3
_BLOCK = 256


@dataclass(frozen=True)
class LearnedEpitome:
    """A small image that wraps around: its last voxel stands beside its first.

    Attributes
    ----------
    mean, variance : ndarray, shape (i, j, k, contrasts)
        Of the grey value at each voxel, in the units of the patches, and those squared.
    usage : ndarray, shape (i, j, k)
        Share of the patches that begin at each voxel; sums to 1.
    patch : (int, int, int)
        Sides of the patches it was learned from.
    contrasts : tuple of str
        In the order of the last axis.
    history : tuple of float
        Mean log-likelihood of a patch, in nats, before the first step of
        learning and after each; it never falls.
    """

    mean: np.ndarray
    variance: np.ndarray
    usage: np.ndarray
    patch: tuple
    contrasts: tuple
    history: tuple


def learn_epitome(patches, shape=12, *, contrasts=None, iterations=15, seed=0, start=None):
    """Learn an epitome from patches by expectation-maximisation.

    Each patch is thought to be a noisy copy of some part of the epitome, of
    which part is not known. The E-step weighs all parts for every patch; the
    M-step makes each voxel the weighted mean and variance of what was laid on
    it. It begins with random patches side by side, and a little noise.

    Parameters
    ----------
    patches : ndarray, shape (n, a, b, c, contrasts)
        As :func:`epitome_kit.epitome.patches.take_patches` cuts them out.
    shape : int or (int, int, int), default=12
        Voxels along each side of the epitome.
    contrasts : sequence of str, default=None
        Names of the last axis; None numbers them from 1.
    iterations : int, default=15
    seed : int, default=0
        Patches and noise of the beginning.
    start : LearnedEpitome, default=None
        Begin with this one instead, which keeps its parts in their places.

    Returns
    -------
    LearnedEpitome

    Raises
    ------
    ParameterError
        No patches, patches that are larger than the epitome, or a `start` of
        another shape.

    References
    ----------
    Jojic, Frey and Kannan, ICCV 2003, doi:10.1109/ICCV.2003.1238311
    Dempster, Laird and Rubin, J R Stat Soc B 1977, doi:10.1111/j.2517-6161.1977.tb01600.x
    """
    patches = np.asarray(patches, float)
    shape = tuple(int(side) for side in np.broadcast_to(shape, 3))
    _check(patches, shape, start)
    size, names = patches.shape[1:4], contrasts or range(1, patches.shape[-1] + 1)
    if start is None:
        mean, variance = _begin(patches, shape, np.random.default_rng(seed))
    else:
        mean, variance = start.mean, start.variance
    spectra = _Spectra.of(patches, shape, np.complex64)
    weights, fit = _expect(spectra, mean, variance)
    history = [fit.mean()]
    for _ in range(iterations):
        mean, variance = _maximise(spectra, weights, mean, variance)
        weights, fit = _expect(spectra, mean, variance)
        history.append(fit.mean())
    usage = weights.mean(axis=0)
    return LearnedEpitome(mean, variance, usage, size, tuple(map(str, names)), tuple(map(float, history)))


def squared_distances(patches, mean, precision=None):
    """Compare every patch with every part of an image that wraps around, by FFT.

    Parameters
    ----------
    patches : ndarray, shape (n, a, b, c, contrasts)
    mean : ndarray, shape (i, j, k, contrasts)
    precision : ndarray of the same shape, default=None
        Weight of each voxel of the image; None weighs all alike.

    Returns
    -------
    ndarray, shape (n, i, j, k)
        Weighted sum of squared differences, by the corner of the part.
    """
    spectra = _Spectra.of(np.asarray(patches, float), mean.shape[:3])
    return _distances(spectra, mean, np.ones_like(mean) if precision is None else precision)


def posteriors(epitome, patches):
    """Tell how likely it is that each patch comes from each part of an epitome.

    Parameters
    ----------
    epitome : LearnedEpitome
    patches : ndarray, shape (n, a, b, c, contrasts)

    Returns
    -------
    ndarray, shape (n, i, j, k)
        By the corner of the part; sums to 1 for each patch.
    """
    spectra = _Spectra.of(np.asarray(patches, float), epitome.usage.shape)
    return _expect(spectra, epitome.mean, epitome.variance)[0]


def log_likelihood(epitome, patches):
    """Log-likelihood of each patch under an epitome, in nats, all parts equally likely.

    Parameters
    ----------
    epitome : LearnedEpitome
    patches : ndarray, shape (n, a, b, c, contrasts)

    Returns
    -------
    ndarray, shape (n,)
    """
    blocks = (np.asarray(patches[block], float) for block in _blocks(len(patches)))
    parts = (_Spectra.of(each, epitome.usage.shape) for each in blocks)
    return np.concatenate([_expect(spectra, epitome.mean, epitome.variance)[1] for spectra in parts])


def reconstruction_error(epitome, patches):
    """Mean squared error of each patch, replaced by the most similar part of an epitome.

    Parameters
    ----------
    epitome : LearnedEpitome
    patches : ndarray, shape (n, a, b, c, contrasts)

    Returns
    -------
    ndarray, shape (n,)
        In the squared units of the patches; the variance of the epitome is not used.
    """
    parts = (squared_distances(patches[block], epitome.mean) for block in _blocks(len(patches)))
    nearest = [part.min(axis=(1, 2, 3)) for part in parts]
    return np.maximum(np.concatenate(nearest), 0) / np.prod(np.shape(patches)[1:])


def reconstruct(epitome, scans, mask):
    """Rebuild a tumour out of the parts of an epitome.

    Each patch becomes the mean of all parts, weighed by how likely it comes
    from them, and where patches overlap they are averaged.

    Parameters
    ----------
    epitome : LearnedEpitome
    scans : ndarray, shape (i, j, k, contrasts)
    mask : ndarray of bool, shape (i, j, k)
        The tumour.

    Returns
    -------
    ndarray of float32, shape (i, j, k, contrasts)
        NaN where no patch reaches.
    """
    image = fft.rfftn(epitome.mean, axes=_AXES)
    a, b, c = epitome.patch
    rebuilt = [np.zeros((0, *epitome.patch, epitome.mean.shape[-1]))]
    patches = take_patches(scans, mask, epitome.patch)
    for block in _blocks(len(patches)):
        spectrum = np.conj(fft.rfftn(posteriors(epitome, patches[block]), axes=_LAST))
        rebuilt.append(fft.irfftn(spectrum[..., None] * image, epitome.usage.shape, axes=_AXES)[:, :a, :b, :c])
    return assemble_patches(np.concatenate(rebuilt), mask)


class _Spectra(NamedTuple):
    """Fourier transforms of patches, of their squares and of a patch of ones, in a corner of the epitome's grid.

    Contrasts come first here, shape (contrasts, n, ...), so that the long axes
    lie together in memory. They are what takes the memory: where many are kept,
    as `kind` says, in single precision, they are used block by block in double.
    """

    first: np.ndarray
    second: np.ndarray
    box: np.ndarray
    shape: tuple

    @classmethod
    def of(cls, patches, shape, kind=np.complex128):
        box = fft.rfftn(np.ones(patches.shape[1:4]), shape)
        first, second = np.empty((2, patches.shape[-1], len(patches), *box.shape), kind)
        for block in _blocks(len(patches)):
            values = np.ascontiguousarray(np.moveaxis(patches[block], -1, 0))
            first[:, block], second[:, block] = (fft.rfftn(each, shape, axes=_LAST) for each in (values, values**2))
        return cls(first, second, box, shape)


def _distances(spectra, mean, precision):
    """Open the square: patches squared on the precision, less twice patches on the mean, plus the mean squared."""
    once, twice = (np.conj(fft.rfftn(np.moveaxis(field, -1, 0), axes=_LAST)) for field in (precision * mean, precision))
    fields = (*twice, *(-2 * once))
    fit = np.empty((spectra.first.shape[1], *spectra.shape))
    for block in _blocks(len(fit)):
        parts = (*spectra.second[:, block], *spectra.first[:, block])
        crossed = sum(part * field for part, field in zip(parts, fields, strict=True))
        fit[block] = fft.irfftn(np.conj(crossed, out=crossed), spectra.shape, axes=_LAST, overwrite_x=True)
    fit += _window_sums(spectra, precision * mean**2)
    return fit


def _window_sums(spectra, field):
    """Sum of a field over each part of the epitome, all contrasts together, shape (i, j, k)."""
    return fft.irfftn(np.conj(spectra.box) * fft.rfftn(field.sum(axis=-1)), spectra.shape)


def _expect(spectra, mean, variance):
    """Posterior of every part for each patch, shape (n, i, j, k), and the log-likelihood of each patch."""
    fit = _distances(spectra, mean, 1 / variance)
    fit += _window_sums(spectra, np.log(2 * np.pi * variance))
    fit *= -0.5
    best = fit.max(axis=_LAST, keepdims=True)
    fit -= best
    weights = np.exp(fit, out=fit)
    total = weights.sum(axis=_LAST, keepdims=True)
    weights /= total
    return weights, (best + np.log(total)).ravel() - np.log(np.prod(spectra.shape))


def _maximise(spectra, weights, mean, variance):
    """Weighted mean and variance of what is laid on each voxel; a voxel that is hardly used stays as it is."""
    count, *laid = _lay(spectra, weights)
    used, safe = count[..., None] > _UNUSED, np.maximum(count, _UNUSED)
    first, second = np.moveaxis(np.split(np.array(laid) / safe, 2), 1, -1)
    return np.where(used, first, mean), np.where(used, np.maximum(second - first**2, FLOOR), variance)


def _lay(spectra, weights):
    """Sum up what is laid on all parts by its weights: ones, then the patches by contrast, then their squares."""
    contrasts = len(spectra.first)
    total = np.zeros((1 + 2 * contrasts, *spectra.box.shape), complex)
    for block in _blocks(len(weights)):
        spectrum = fft.rfftn(weights[block], axes=_LAST)
        parts = (*spectra.first[:, block], *spectra.second[:, block])
        total[0] += spectrum.sum(axis=0) * spectra.box
        total[1:] += [np.einsum("nijk,nijk->ijk", spectrum, part) for part in parts]
    return fft.irfftn(total, spectra.shape, axes=_LAST)


def _begin(patches, shape, rng):
    """Lay random patches side by side and add noise; every voxel varies as the patches do."""
    size, spread = patches.shape[1:4], np.maximum(patches.var(axis=(0, 1, 2, 3)), FLOOR)
    counts = [-(-side // width) for side, width in zip(shape, size, strict=True)]
    chosen = patches[rng.integers(len(patches), size=np.prod(counts))].reshape(*counts, *patches.shape[1:])
    tiled = np.moveaxis(chosen, (3, 4, 5), (1, 3, 5)).reshape(*np.multiply(counts, size), -1)
    mean = tiled[tuple(slice(0, side) for side in shape)]
    noise = _NOISE * np.sqrt(spread) * rng.standard_normal(mean.shape)
    return mean + noise, np.broadcast_to(spread, mean.shape).copy()


def _blocks(count):
    return [slice(start, start + _BLOCK) for start in range(0, count, _BLOCK)]


def _check(patches, shape, start):
    if patches.ndim != 5 or not len(patches):
        raise ParameterError(
            "learn_epitome",
            "patches of shape (n, a, b, c, contrasts), at least one",
            f"shape {patches.shape}",
            "cut them out with `take_patches`",
        )
    if any(side < width for side, width in zip(shape, patches.shape[1:4], strict=True)):
        raise ParameterError(
            "learn_epitome",
            f"an epitome of at least {patches.shape[1:4]} voxels, the size of a patch",
            f"shape {shape}",
            "make it twice as large as a patch, or larger",
        )
    if start is not None and start.mean.shape != (*shape, patches.shape[-1]):
        raise ParameterError(
            "learn_epitome",
            f"a `start` of shape {(*shape, patches.shape[-1])}",
            f"shape {start.mean.shape}",
            "give the same `shape`, and patches of the same contrasts",
        )
