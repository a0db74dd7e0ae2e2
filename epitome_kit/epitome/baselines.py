"""Codebooks: what else the voxels of an epitome could be spent on, and who explains more."""

import numpy as np
from scipy.cluster.vq import kmeans2

from epitome_kit.epitome.model import learn_epitome, reconstruction_error

METHODS = ("epitome", "kmeans", "random")
"""Ways to spend the voxels, the columns ``mse_...`` of every comparison."""

_DRAWS = 5
_STARTS = 2
_STEPS = 30


def codebook_size(shape, size):
    """Count the patches that have as many voxels as an epitome, at least one.

    Parameters
    ----------
    shape, size : (int, int, int)
        Sides of the epitome and of a patch, in voxels.

    Returns
    -------
    int
    """
    return max(1, int(np.prod(shape) // np.prod(size)))


def kmeans_patches(patches, count, *, seed=0):
    """Find the patches that k-means explains the others by.

    Parameters
    ----------
    patches : ndarray, shape (n, a, b, c, contrasts)
    count : int
        Number of clusters; at most n are made.
    seed : int, default=0
        Beginnings: k-means++, the better of two.

    Returns
    -------
    ndarray, shape (count, a, b, c, contrasts)

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


def baseline_error(book, patches):
    """Mean squared error of each patch, replaced by the most similar one of a codebook.

    Parameters
    ----------
    book : ndarray, shape (count, a, b, c, contrasts)
    patches : ndarray, shape (n, a, b, c, contrasts)

    Returns
    -------
    ndarray, shape (n,)
        In the squared units of the patches.
    """
    entries, flat = (np.reshape(part, (len(part), -1)).astype(float) for part in (book, patches))
    squared = (flat**2).sum(1)[:, None] - 2 * flat @ entries.T + (entries**2).sum(1)
    return np.maximum(squared.min(axis=1), 0) / flat.shape[1]


def compare_codebooks(train, test, shape, *, epitome=None, iterations=15, seed=0):
    """Spend the same number of voxels in three ways, and see which explains new patches best.

    An epitome; the centres of k-means; and training patches taken at random,
    the mean over five draws. Each patch is replaced by the most similar part or
    patch. The budget is of voxels, not of bits: an epitome has as many parts as
    voxels, so that naming one takes more bits than naming one patch of a few.

    Parameters
    ----------
    train, test : ndarray, shape (n, a, b, c, contrasts)
        Patches to learn from, and others, which must share no voxel with them.
    shape : int or (int, int, int)
        Sides of the epitome, whose voxels are the budget.
    epitome : LearnedEpitome, default=None
        One that was learned from `train`; None: learn it.
    iterations : int, default=15
        As for :func:`epitome_kit.learn_epitome`.
    seed : int, default=0

    Returns
    -------
    dict of str to ndarray, shape (n of test,)
        Mean squared error of each test patch, by :data:`METHODS`.
    """
    shape = tuple(np.broadcast_to(shape, 3))
    count = codebook_size(shape, np.shape(train)[1:4])
    epitome = learn_epitome(train, shape, iterations=iterations, seed=seed) if epitome is None else epitome
    rng = np.random.default_rng(seed)
    draws = [train[rng.permutation(len(train))[:count]] for _ in range(_DRAWS)]
    return {
        "epitome": reconstruction_error(epitome, test),
        "kmeans": baseline_error(kmeans_patches(train, count, seed=seed), test),
        "random": np.mean([baseline_error(book, test) for book in draws], axis=0),
    }
