"""Split conformal prediction of tumour volumes, calibrated on held-out subjects."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

_MIN_SPREAD = 0.05


def boundary_uncertainty(probability: np.ndarray) -> float:
    """Measure the blur of a tumour's boundary: the log ratio of its volumes at a low and a high threshold.

    Parameters
    ----------
    probability : ndarray, shape (i, j, k)
        Probability of tumour.

    Returns
    -------
    float
        At least 0.05.
    """
    wide, narrow = (np.count_nonzero(probability > limit) for limit in (0.2, 0.8))
    return float(np.log((wide + 1) / (narrow + 1)) + _MIN_SPREAD)


def nonconformity_score(found: ArrayLike, true: ArrayLike, spread: ArrayLike) -> np.ndarray:
    """Return the absolute log error of a volume, in units of its spread.

    Parameters
    ----------
    found, true : float or array-like
        Volumes in voxels; 1 is added to each, so that logarithms exist.
    spread : float or array-like
        From :func:`boundary_uncertainty`.

    Returns
    -------
    ndarray of float
        Nonconformity scores for :func:`volume_interval`.
    """
    return np.abs(np.log((np.asarray(true) + 1) / (np.asarray(found) + 1))) / np.asarray(spread)


def volume_interval(
    volume: float, spread: float, scores: Sequence[float] | np.ndarray, *, level: float, one: float = 1.0
) -> tuple[float, float]:
    """Return the interval that contains the true volume in a given share of exchangeable subjects.

    Split conformal prediction on the log volume, scaled by the blur of the probability
    map. Coverage holds on average over subjects exchangeable with those used for
    calibration, not for each subject, and not for another scanner.

    Parameters
    ----------
    volume : float
        Segmented volume, in any unit.
    spread : float
        From :func:`boundary_uncertainty`.
    scores : sequence of float
        From :func:`nonconformity_score`, of held-out subjects.
    level : float
        Nominal coverage.
    one : float, default=1.0
        Volume of one voxel in the unit of `volume`, added as in
        :func:`nonconformity_score`.

    Returns
    -------
    low, high : float
        In the unit of `volume`; NaN if there are too few scores for the level
        (nine are needed for 0.9).

    References
    ----------
    Lei et al., J Am Stat Assoc 2018, doi:10.1080/01621459.2017.1307116
    """
    ordered = np.sort(np.asarray(scores, float))
    rank = int(np.ceil((len(ordered) + 1) * level))
    if rank > len(ordered):
        return np.nan, np.nan
    factor = np.exp(ordered[rank - 1] * spread)
    return float(np.maximum((volume + one) / factor - one, 0)), float((volume + one) * factor - one)
