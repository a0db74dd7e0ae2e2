"""Scores of subgroups as rows of text, for the model card and the terminal."""

from collections.abc import Mapping

import pandas as pd

HEADER = ("variable", "subgroup", "n", "of each class", "AUC", "accuracy", "calibration in the large", "p (Holm)")
"""Names of the columns of :func:`subgroup_rows`; figures are followed by their interval."""


def subgroup_rows(subgroups: pd.DataFrame) -> list[tuple[str, ...]]:
    """Format the scores of subgroups.

    Parameters
    ----------
    subgroups : DataFrame
        As in ``subgroups.tsv``.

    Returns
    -------
    list of tuple of str
        One for each subgroup, with the columns of :data:`HEADER`. p stands in the first
        row of its variable.
    """
    rows, before = list[tuple[str, ...]](), None
    for each in subgroups.to_dict("records"):
        scored = pd.notna(each["auc"])
        figures = [_figure(each, name) if scored else "" for name in ("auc", "accuracy", "in_the_large")]
        figures[0] = figures[0] or str(each["note"])
        p = f"{each['p_holm']:.3f}" if each["variable"] != before and pd.notna(each["p_holm"]) else ""
        classes = f"{each['negative']} and {each['positive']}"
        rows.append((str(each["variable"]), str(each["group"]), str(each["n"]), classes, *figures, p))
        before = each["variable"]
    return rows


def _figure(row: Mapping, name: str) -> str:
    sign = "+" if name == "in_the_large" else ""
    return f"{row[name]:{sign}.2f} ({row[f'{name}_low']:{sign}.2f} to {row[f'{name}_high']:{sign}.2f})"
