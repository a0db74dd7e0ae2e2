"""How sure a volume is: an interval that earlier, held-out subjects calibrate."""

import numpy as np

_LEAST_SPREAD = 0.05


def boundary_uncertainty(probability):
    """Tell how blurred the outline on a tumour map is: the log of its volume at a low over that at a high threshold.

    Parameters
    ----------
    probability : ndarray, shape (i, j, k)

    Returns
    -------
    float
        0.05 at least.
    """
    wide, narrow = (np.count_nonzero(probability > limit) for limit in (0.2, 0.8))
    return float(np.log((wide + 1) / (narrow + 1)) + _LEAST_SPREAD)


def nonconformity_score(found, true, spread):
    """How far a volume was off, in units of its spread.

    Parameters
    ----------
    found, true : float or ndarray
        Volumes in voxels; one is added to each, so that none is without a logarithm.
    spread : float or ndarray
        From :func:`boundary_uncertainty`.

    Returns
    -------
    float or ndarray
    """
    return np.abs(np.log((np.asarray(true) + 1) / (np.asarray(found) + 1))) / spread


def volume_interval(volume, spread, misfits, *, level, one=1.0):
    """Interval that holds the true volume in a given share of subjects like those that calibrate it.

    Split conformal prediction on the log of the volume, scaled by how blurred
    the map is. It promises coverage on average over subjects that are drawn
    alike, not for each one, and not for another scanner.

    Parameters
    ----------
    volume : float
        Found, in any unit.
    spread : float
        From :func:`boundary_uncertainty`.
    misfits : sequence of float
        From :func:`nonconformity_score`, of subjects that the network never saw.
    level : float
        Share of subjects whose true volume the interval is to hold.
    one : float, default=1.0
        One voxel, in the unit of `volume`: :func:`nonconformity_score` counts one more.

    Returns
    -------
    low, high : float
        In the unit of `volume`; missing where there are too few subjects for
        that level (nine for 0.9).

    References
    ----------
    Lei et al., J Am Stat Assoc 2018, doi:10.1080/01621459.2017.1307116
    """
    misfits = np.sort(np.asarray(misfits, float))
    rank = int(np.ceil((len(misfits) + 1) * level))
    if rank > len(misfits):
        return np.nan, np.nan
    factor = np.exp(misfits[rank - 1] * spread)
    return float(np.maximum((volume + one) / factor - one, 0)), float((volume + one) * factor - one)
