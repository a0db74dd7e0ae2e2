"""Conformal intervals of tumour volumes, calibrated on the errors of subjects that a network was not trained on."""

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


def unseen_error(found: ArrayLike, true: ArrayLike, found_on: ArrayLike, true_on: ArrayLike) -> np.ndarray:
    """Compare how much of a tumour lies outside a few slices, in truth and in its segmentation.

    Parameters
    ----------
    found, true : float or array-like
        Segmented and true volume, in voxels.
    found_on, true_on : float or array-like
        The part of each on the slices.

    Returns
    -------
    ndarray of float
        Log of the ratio of the volume outside the slices to that on them, in truth,
        minus the same of the segmentation; 1 is added to each volume.
    """
    found, true, found_on, true_on = (np.asarray(each, float) for each in (found, true, found_on, true_on))
    return np.log((true - true_on + 1) / (true_on + 1)) - np.log((found - found_on + 1) / (found_on + 1))


def possible_volumes(found: ArrayLike, found_on: ArrayLike, true_on: ArrayLike, unseen: ArrayLike) -> np.ndarray:
    """List whole volumes that an annotation of a few slices allows for.

    The segmentation says how much of the tumour lies outside the slices, as a multiple of
    what lies on them. That multiple is off by as much as in subjects whose whole tumour is
    known.

    Parameters
    ----------
    found, found_on : array-like of float, shape (n,)
        Segmented volume, and its part on the annotated slices, in voxels.
    true_on : array-like of float, shape (n,)
        Annotated volume on these slices.
    unseen : array-like of float, shape (m,)
        From :func:`unseen_error`, of subjects whose whole tumour is known.

    Returns
    -------
    ndarray of float, shape (n, m)
        True volumes; at least the annotated one.
    """
    found, found_on, true_on = (np.asarray(each, float)[:, None] for each in (found, found_on, true_on))
    outside = (found - found_on + 1) / (found_on + 1) * (true_on + 1) * np.exp(np.asarray(unseen, float))
    return true_on + np.maximum(outside - 1, 0)


def volume_interval(
    volume: float, spread: float, scores: Sequence[float] | np.ndarray, *, level: float, one: float = 1.0
) -> tuple[float, float]:
    """Return the interval that contains the true volume in a given share of exchangeable subjects.

    The limits are the log volume plus and minus a quantile of the scores, times the blur of
    the probability map. What is guaranteed depends on the subjects of the scores:

    - Held-out subjects of one network are *split conformal* prediction (Lei 2018): the
      coverage is at least `level`, on average over exchangeable subjects.
    - Out-of-fold subjects of several networks are *cross-conformal* prediction, in the
      manner of *CV+* (Barber 2021). For CV+ with n subjects, the coverage is at least
      1 - 2 alpha, 0.8 for a level of 0.9, less at most sqrt(2 / n), and in practice close
      to 1 - alpha. CV+ combines the predictions of all networks. Here one network gives
      the volume, and the guarantee holds only as far as the networks agree.

    Nothing is guaranteed for a single subject, for a part of the subjects (such as small
    tumours), or for another scanner. As coverage is guaranteed for a network that guesses,
    too, it does not show that a network is good: the width does.

    Parameters
    ----------
    volume : float
        Segmented volume, in any unit.
    spread : float
        From :func:`boundary_uncertainty`.
    scores : sequence of float
        From :func:`nonconformity_score`, of subjects that the network was not trained on.
    level : float
        Nominal coverage, 1 - alpha.
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
    Barber et al., Ann Stat 2021, doi:10.1214/20-AOS1965
    """
    ordered = np.sort(np.asarray(scores, float))
    rank = int(np.ceil((len(ordered) + 1) * level))
    if rank > len(ordered):
        return np.nan, np.nan
    factor = np.exp(ordered[rank - 1] * spread)
    return float(np.maximum((volume + one) / factor - one, 0)), float((volume + one) * factor - one)
