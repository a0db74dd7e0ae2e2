"""Compare epitomes with baseline codebooks of the same number of voxels."""

from collections.abc import Sequence

import numpy as np
from scipy.cluster.vq import kmeans2

from epitome_kit.epitome.model import LearnedEpitome, learn_epitome, reconstruction_error

METHODS = ("epitome", "kmeans", "random")
"""Methods compared, the suffixes of the columns ``mse_...``."""

_DRAWS = 5
_STARTS = 2
_STEPS = 30


def codebook_size(shape: Sequence[int], size: Sequence[int]) -> int:
    """Return the number of patches with as many voxels as an epitome, at least one.

    Parameters
    ----------
    shape, size : (int, int, int)
        Sides of the epitome and of a patch, in voxels.

    Returns
    -------
    int
        Number of entries of a codebook.
    """
    return max(1, int(np.prod(shape) // np.prod(size)))


def kmeans_patches(patches: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Compute a codebook of patches by k-means.

    Parameters
    ----------
    patches : ndarray, shape (n, a, b, c, contrasts)
        Training patches.
    count : int
        Number of clusters, at most the number of distinct patches.
    seed : int, default=0
        Seed of k-means++; the better of two runs is returned.

    Returns
    -------
    ndarray, shape (count, a, b, c, contrasts)
        Cluster centres.

    References
    ----------
    Arthur and Vassilvitskii, SODA 2007, doi:10.5555/1283383.1283494
    """
    flat = np.reshape(patches, (len(patches), -1)).astype(float)
    rng = np.random.default_rng(seed)
    count = min(count, len(np.unique(flat, axis=0)))
    found = [kmeans2(flat, count, _STEPS, minit="++", missing="warn", seed=rng)[0] for _ in range(_STARTS)]
    books = [book.reshape(-1, *np.shape(patches)[1:]) for book in found]
    return min(books, key=lambda book: baseline_error(book, patches).mean())


def baseline_error(book: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each patch, replaced by the nearest entry of a codebook.

    Parameters
    ----------
    book : ndarray, shape (count, a, b, c, contrasts)
        Codebook.
    patches : ndarray, shape (n, a, b, c, contrasts)
        Patches to approximate.

    Returns
    -------
    ndarray, shape (n,)
        In the squared units of the patches.
    """
    entries, flat = (np.reshape(part, (len(part), -1)).astype(float) for part in (book, patches))
    squared = (flat**2).sum(1)[:, None] - 2 * flat @ entries.T + (entries**2).sum(1)
    return np.maximum(squared.min(axis=1), 0) / flat.shape[1]


def compare_codebooks(
    train: np.ndarray,
    test: np.ndarray,
    shape: int | Sequence[int],
    *,
    epitome: LearnedEpitome | None = None,
    iterations: int = 15,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Compare the reconstruction errors of three codebooks with the same number of voxels.

    The codebooks are an epitome, the centres of k-means, and random training patches
    (mean over five draws). Each patch is replaced by its nearest part or entry. The
    budget is in voxels, not in bits: an epitome has as many parts as voxels, so that the
    index of a part takes more bits than that of an entry.

    Parameters
    ----------
    train, test : ndarray, shape (n, a, b, c, contrasts)
        Training and test patches, which must share no voxel.
    shape : int or (int, int, int)
        Sides of the epitome, whose number of voxels is the budget.
    epitome : LearnedEpitome, default=None
        Epitome learned from `train`; None: learn it.
    iterations : int, default=15
        As for :func:`epitome_kit.learn_epitome`.
    seed : int, default=0
        Seed of all three codebooks.

    Returns
    -------
    dict of str to ndarray, shape (n of test,)
        Mean squared error of each test patch, by :data:`METHODS`.
    """
    grid = tuple(np.broadcast_to(shape, 3))
    count = codebook_size(grid, np.shape(train)[1:4])
    epitome = learn_epitome(train, grid, iterations=iterations, seed=seed) if epitome is None else epitome
    rng = np.random.default_rng(seed)
    draws = [train[rng.permutation(len(train))[:count]] for _ in range(_DRAWS)]
    return {
        "epitome": reconstruction_error(epitome, test),
        "kmeans": baseline_error(kmeans_patches(train, count, seed=seed), test),
        "random": np.mean([baseline_error(book, test) for book in draws], axis=0),
    }
