"""Confidence intervals of scores: their level, and the label that every display prints."""

SCORE_LEVEL = 0.95
"""Level of the interval of every score, such as AUC and Dice. Keys of tables and files that end in ``ci95`` hold it."""


def interval_label(level: float = SCORE_LEVEL) -> str:
    """Name an interval by its level.

    Parameters
    ----------
    level : float, default=0.95
        Of a score; those of a tumour's volume are in :mod:`epitome_kit.tumour.intervals`.

    Returns
    -------
    str
        Such as ``"95 % interval"``.
    """
    return f"{100 * level:g} % interval"


def interval_quantiles(level: float = SCORE_LEVEL) -> tuple[float, float]:
    """Quantiles that enclose a share of a distribution and leave equal tails.

    Parameters
    ----------
    level : float, default=0.95

    Returns
    -------
    (float, float)
        0.025 and 0.975 for 0.95.
    """
    return round((1 - level) / 2, 12), round((1 + level) / 2, 12)
