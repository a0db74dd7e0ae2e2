"""Learn an epitome: a small image from whose parts the patches of a tumour can be rebuilt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from scipy import fft

from epitome_kit.epitome.patches import assemble_patches, take_patches
from epitome_kit.errors import ParameterError

FLOOR = 0.05
"""Minimum variance of a voxel; with less, a voxel could fit a single patch."""

_AXES, _LAST = (-4, -3, -2), (-3, -2, -1)
_NOISE = 0.1
_UNUSED = 1e-3
_BLOCK = 256


@dataclass(frozen=True)
class LearnedEpitome:
    """A small image with periodic boundaries.

    Attributes
    ----------
    mean, variance : ndarray, shape (i, j, k, contrasts)
        Mean and variance of the intensity at each voxel, in units of the patches and
        their squares.
    usage : ndarray, shape (i, j, k)
        Proportion of patches whose corner is at each voxel; sums to 1.
    patch : (int, int, int)
        Sides of the training patches.
    contrasts : tuple of str
        Names of the last axis.
    history : tuple of float
        Mean log-likelihood of a patch, in nats, initially and after each iteration.
    """

    mean: np.ndarray
    variance: np.ndarray
    usage: np.ndarray
    patch: tuple[int, ...]
    contrasts: tuple[str, ...]
    history: tuple[float, ...]


def learn_epitome(
    patches: np.ndarray,
    shape: int | Sequence[int] = 12,
    *,
    contrasts: Sequence[str] | None = None,
    iterations: int = 15,
    seed: int = 0,
    start: LearnedEpitome | None = None,
) -> LearnedEpitome:
    """Learn an epitome from patches by expectation-maximisation.

    Each patch is modelled as a noisy copy of an unknown part of the epitome. The E-step
    computes the posterior of all parts for every patch; the M-step sets each voxel to the
    weighted mean and variance of the patch voxels assigned to it. The epitome is
    initialised with a tiling of random patches and a little noise.

    Parameters
    ----------
    patches : ndarray, shape (n, a, b, c, contrasts)
        As returned by :func:`epitome_kit.epitome.patches.take_patches`.
    shape : int or (int, int, int), default=12
        Voxels along each side of the epitome.
    contrasts : sequence of str, default=None
        Names of the last axis; None numbers them from 1.
    iterations : int, default=15
        Number of iterations of expectation-maximisation.
    seed : int, default=0
        Seed of the initialisation.
    start : LearnedEpitome, default=None
        Initial epitome, whose layout is kept; None for a random initialisation.

    Returns
    -------
    LearnedEpitome
        Means, variances and usage.

    Raises
    ------
    ParameterError
        There are no patches, they are larger than the epitome, or `start` has another shape.

    See Also
    --------
    learn_epitomes : Learn an epitome from every tumour of a cohort.
    extract_epitome : Cut the tumour region itself out of the scans.

    References
    ----------
    Jojic, Frey and Kannan, ICCV 2003, doi:10.1109/ICCV.2003.1238311
    Dempster, Laird and Rubin, J R Stat Soc B 1977, doi:10.1111/j.2517-6161.1977.tb01600.x

    Examples
    --------
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> from epitome_kit.epitome import take_patches
    >>> rng = np.random.default_rng(0)
    >>> scans = rng.normal(size=(10, 10, 10, 2))
    >>> epitome = ek.learn_epitome(take_patches(scans, np.ones((10, 10, 10), bool), size=3), shape=6, iterations=2)
    >>> epitome.mean.shape, epitome.contrasts, len(epitome.history)
    ((6, 6, 6, 2), ('1', '2'), 3)
    """
    patches = np.asarray(patches, float)
    grid = tuple(int(side) for side in np.broadcast_to(shape, 3))
    _check(patches, grid, start)
    size, names = patches.shape[1:4], contrasts or range(1, patches.shape[-1] + 1)
    if start is None:
        mean, variance = _initialise(patches, grid, np.random.default_rng(seed))
    else:
        mean, variance = start.mean, start.variance
    spectra = _Spectra.of(patches, grid, np.complex64)
    weights, fit = _expect(spectra, mean, variance)
    history = [fit.mean()]
    for _ in range(iterations):
        mean, variance = _maximise(spectra, weights, mean, variance)
        weights, fit = _expect(spectra, mean, variance)
        history.append(fit.mean())
    usage = weights.mean(axis=0)
    return LearnedEpitome(mean, variance, usage, size, tuple(map(str, names)), tuple(map(float, history)))


def squared_distances(patches: np.ndarray, mean: np.ndarray, precision: np.ndarray | None = None) -> np.ndarray:
    """Compute the distances between all patches and all parts of a periodic image, by FFT.

    Parameters
    ----------
    patches : ndarray, shape (n, a, b, c, contrasts)
        Patches.
    mean : ndarray, shape (i, j, k, contrasts)
        Periodic image.
    precision : ndarray of the same shape, default=None
        Weight of each voxel of the image; None for equal weights.

    Returns
    -------
    ndarray, shape (n, i, j, k)
        Weighted sum of squared differences, by the corner of the part.
    """
    spectra = _Spectra.of(np.asarray(patches, float), mean.shape[:3])
    return _distances(spectra, mean, np.ones_like(mean) if precision is None else precision)


def posteriors(epitome: LearnedEpitome, patches: np.ndarray) -> np.ndarray:
    """Compute the posterior probability of each part of an epitome for each patch.

    Parameters
    ----------
    epitome : LearnedEpitome
        From :func:`learn_epitome`.
    patches : ndarray, shape (n, a, b, c, contrasts)
        Patches with the contrasts of the epitome.

    Returns
    -------
    ndarray, shape (n, i, j, k)
        By the corner of the part; sums to 1 for each patch.
    """
    spectra = _Spectra.of(np.asarray(patches, float), epitome.usage.shape)
    return _expect(spectra, epitome.mean, epitome.variance)[0]


def log_likelihood(epitome: LearnedEpitome, patches: np.ndarray) -> np.ndarray:
    """Return the log-likelihood of each patch under an epitome, in nats, with a uniform prior of parts.

    Parameters
    ----------
    epitome : LearnedEpitome
        From :func:`learn_epitome`.
    patches : ndarray, shape (n, a, b, c, contrasts)
        Patches with the contrasts of the epitome.

    Returns
    -------
    ndarray, shape (n,)
    """
    blocks = (np.asarray(patches[block], float) for block in _blocks(len(patches)))
    parts = (_Spectra.of(each, epitome.usage.shape) for each in blocks)
    return np.concatenate([_expect(spectra, epitome.mean, epitome.variance)[1] for spectra in parts])


def reconstruction_error(epitome: LearnedEpitome, patches: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each patch, replaced by the nearest part of an epitome.

    Parameters
    ----------
    epitome : LearnedEpitome
        From :func:`learn_epitome`.
    patches : ndarray, shape (n, a, b, c, contrasts)
        Patches with the contrasts of the epitome.

    Returns
    -------
    ndarray, shape (n,)
        In the squared units of the patches; the variance of the epitome is not used.
    """
    parts = (squared_distances(patches[block], epitome.mean) for block in _blocks(len(patches)))
    nearest = [part.min(axis=(1, 2, 3)) for part in parts]
    return np.maximum(np.concatenate(nearest), 0) / np.prod(np.shape(patches)[1:])


def reconstruct(epitome: LearnedEpitome, scans: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Reconstruct a tumour from the parts of an epitome.

    Each patch is replaced by the posterior mean of all parts; overlapping patches are
    averaged.

    Parameters
    ----------
    epitome : LearnedEpitome
        From :func:`learn_epitome`.
    scans : ndarray, shape (i, j, k, contrasts)
        Scans with the contrasts of the epitome.
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
    """Fourier transforms of patches, of their squares and of a patch of ones, zero-padded to the epitome's grid.

    Contrasts are the first axis, shape (contrasts, n, ...), so that the long axes are contiguous.
    They may be kept in single precision (`kind`) to save memory; blocks are processed in double.
    """

    first: np.ndarray
    second: np.ndarray
    box: np.ndarray
    shape: tuple[int, ...]

    @classmethod
    def of(cls, patches: np.ndarray, shape: tuple[int, ...], kind: type[np.complexfloating] = np.complex128) -> Self:
        box = fft.rfftn(np.ones(patches.shape[1:4]), shape)
        first, second = np.empty((2, patches.shape[-1], len(patches), *box.shape), kind)
        for block in _blocks(len(patches)):
            values = np.ascontiguousarray(np.moveaxis(patches[block], -1, 0))
            first[:, block], second[:, block] = (fft.rfftn(each, shape, axes=_LAST) for each in (values, values**2))
        return cls(first, second, box, shape)


def _distances(spectra: _Spectra, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Expand the square: p * patch**2 - 2 * p * mean * patch + p * mean**2, summed over each part."""
    once, twice = (np.conj(fft.rfftn(np.moveaxis(field, -1, 0), axes=_LAST)) for field in (precision * mean, precision))
    fields = (*twice, *(-2 * once))
    fit = np.empty((spectra.first.shape[1], *spectra.shape))
    for block in _blocks(len(fit)):
        parts = (*spectra.second[:, block], *spectra.first[:, block])
        crossed = sum(part * field for part, field in zip(parts, fields, strict=True))
        fit[block] = fft.irfftn(np.conj(crossed, out=crossed), spectra.shape, axes=_LAST, overwrite_x=True)
    fit += _window_sums(spectra, precision * mean**2)
    return fit


def _window_sums(spectra: _Spectra, field: np.ndarray) -> np.ndarray:
    """Sum a field over each part of the epitome and all contrasts, shape (i, j, k)."""
    return fft.irfftn(np.conj(spectra.box) * fft.rfftn(field.sum(axis=-1)), spectra.shape)


def _expect(spectra: _Spectra, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the posteriors of the parts for each patch, shape (n, i, j, k), and its log-likelihood."""
    fit = _distances(spectra, mean, 1 / variance)
    fit += _window_sums(spectra, np.log(2 * np.pi * variance))
    fit *= -0.5
    best = fit.max(axis=_LAST, keepdims=True)
    fit -= best
    weights = np.exp(fit, out=fit)
    total = weights.sum(axis=_LAST, keepdims=True)
    weights /= total
    return weights, (best + np.log(total)).ravel() - np.log(np.prod(spectra.shape))


def _maximise(
    spectra: _Spectra, weights: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and variance at each voxel; voxels that are hardly used are unchanged."""
    count, *sums = _weighted_sums(spectra, weights)
    used, safe = count[..., None] > _UNUSED, np.maximum(count, _UNUSED)
    first, second = np.moveaxis(np.array(np.split(np.array(sums) / safe, 2)), 1, -1)
    return np.where(used, first, mean), np.where(used, np.maximum(second - first**2, FLOOR), variance)


def _weighted_sums(spectra: _Spectra, weights: np.ndarray) -> np.ndarray:
    """Sum ones, patches by contrast, and their squares over all parts, weighted by posteriors."""
    contrasts = len(spectra.first)
    total = np.zeros((1 + 2 * contrasts, *spectra.box.shape), complex)
    for block in _blocks(len(weights)):
        spectrum = fft.rfftn(weights[block], axes=_LAST)
        parts = (*spectra.first[:, block], *spectra.second[:, block])
        total[0] += spectrum.sum(axis=0) * spectra.box
        total[1:] += [np.einsum("nijk,nijk->ijk", spectrum, part) for part in parts]
    return fft.irfftn(total, spectra.shape, axes=_LAST)


def _initialise(patches: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tile random patches and add noise; all voxels have the variance of the patches."""
    size, spread = patches.shape[1:4], np.maximum(patches.var(axis=(0, 1, 2, 3)), FLOOR)
    counts = [-(-side // width) for side, width in zip(shape, size, strict=True)]
    chosen = patches[rng.integers(len(patches), size=np.prod(counts))].reshape(*counts, *patches.shape[1:])
    tiled = np.moveaxis(chosen, (3, 4, 5), (1, 3, 5)).reshape(*np.multiply(counts, size), -1)
    mean = tiled[tuple(slice(0, side) for side in shape)]
    noise = _NOISE * np.sqrt(spread) * rng.standard_normal(mean.shape)
    return mean + noise, np.broadcast_to(spread, mean.shape).copy()


def _blocks(count: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, count, _BLOCK)]


def _check(patches: np.ndarray, shape: tuple[int, ...], start: LearnedEpitome | None) -> None:
    if patches.ndim != 5 or not len(patches):
        raise ParameterError(
            "learn_epitome",
            "patches of shape (n, a, b, c, contrasts), at least one",
            f"shape {patches.shape}",
            "extract them with `take_patches`",
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
            "use the same `shape`, and patches of the same contrasts",
        )
