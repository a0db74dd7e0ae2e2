"""Overlap of masks."""

import numpy as np


def dice(first, second):
    """Compute the Dice overlap of two masks.

    Parameters
    ----------
    first, second : ndarray of bool, same shape

    Returns
    -------
    float
        1 when both are empty.

    References
    ----------
    Dice, Ecology 1945, doi:10.2307/1932409
    """
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0
