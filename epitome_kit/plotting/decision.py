"""Draw decision curves."""

import pandas as pd
from matplotlib.ticker import PercentFormatter

from epitome_kit.confidence import interval_label
from epitome_kit.plotting.style import BLUE, GREY, ORANGE, DescribedFigure, in_house_style, new_figure


@in_house_style
def decision_chart(curve: pd.DataFrame, *, n: int | None = None, title: str = "Decision curve") -> DescribedFigure:
    """Draw the net benefit over threshold probabilities, and its difference to the better of all and none.

    Parameters
    ----------
    curve : DataFrame
        From :func:`epitome_kit.grade.net_benefit`.
    n : int, optional
        Number of subjects, for the title.
    title : str, default="Decision curve"
        Should say if subjects are simulated.

    Returns
    -------
    DescribedFigure
        Net benefit on the left; on the right the difference with its interval.
    """
    figure, ((left, right),) = new_figure(1, 2, size=(10, 4.2))
    x = curve.threshold
    left.plot(x, curve.treat_all, color=ORANGE, ls="--", lw=1.6, label="every subject called positive")
    left.plot(x, curve.treat_none, color=GREY, lw=1.6, label="no subject called positive")
    left.plot(x, curve.model, color=BLUE, lw=2.4, label="called positive by the model")
    top = max(curve.model.max(), curve.treat_all.max(), 0.05)
    left.set(ylim=(-0.4 * top, 1.1 * top), ylabel="net benefit per subject")
    left.legend(loc="upper right")
    right.axhline(0, color=GREY, lw=1.6)
    right.fill_between(x, curve.difference_low, curve.difference_high, color=BLUE, alpha=0.2, lw=0)
    right.plot(x, curve.difference, color=BLUE, lw=2.4)
    reach = max(2.5 * curve.difference.abs().max(), 0.1)
    right.set(ylim=(-reach, reach), ylabel="less the better of the other two")
    right.set_title(f"Difference, with {interval_label()}")
    for axes in (left, right):
        axes.set(xlabel="threshold probability", xlim=(0, 1))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    left.set_title(title if n is None else f"{title}, n = {n}")
    return figure
