"""The quality-control page of a preprocessed cohort: one picture a subject, warnings and outliers first."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.files import read_json, read_tsv
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.report.html import embed_picture, write_page
from epitome_kit.resume import made_from
from epitome_kit.workspace import EXCLUDED_TABLE, QUALITY_PAGE, QUALITY_TABLE

FIGURES = {
    "brain_volume_ml": ("brain volume", "{:.0f} mL", 0),
    "template_dice": ("overlap with the template's brain (Dice)", "{:.3f}", -1),
    "bias_field_sd": ("strength of the bias field (sd of its logarithm)", "{:.3f}", 0),
    "brain_mask_dice": ("brain mask against the truth (Dice)", "{:.3f}", -1),
    "registration_error_mm": ("registration error", "{:.1f} mm", 1),
    "bias_residual_sd": ("bias left over (sd of its logarithm)", "{:.3f}", 1),
}
"""What a subject is judged by: its name, how it is written, and which side is bad (0: both)."""

LIMIT = 3.5
FEWEST = 5
"""Deviations from the median that make an outlier, and the fewest subjects that tell."""

_LEAST_SPREAD = 0.02


def write_quality_page(cohort, out, *, workers=1):
    """Draw every preprocessed subject, and write ``qc.html``: warnings first, then outliers.

    A picture is drawn again only where its subject was preprocessed since.

    Parameters
    ----------
    cohort : Cohort
    out : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    workers : int, default=1
        Processes.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        The folder cannot be written to.
    """
    out = Path(out)
    quality = read_tsv(out / QUALITY_TABLE).set_index("participant_id")
    subjects = [subject for subject in cohort if subject.id in quality.index]
    for_each(partial(_draw, out=out), subjects, title="Quality pictures", workers=workers)
    deviations = rate(quality)
    order = deviations.max(axis=1).sort_values(ascending=False, kind="stable").index
    order = sorted(order, key=lambda name: not _said(quality.loc[name], "warnings"))
    few = len(quality) < FEWEST
    rows = [_row(out, name, quality.loc[name], deviations.loc[name], few) for name in order]
    write_page(
        out / QUALITY_PAGE,
        "qc.html.j2",
        name=cohort.name,
        rows=rows,
        n_outliers=sum(bool(row["reasons"]) for row in rows),
        n_warned=sum(bool(row["warnings"]) for row in rows),
        excluded=read_tsv(out / EXCLUDED_TABLE).to_dict("records"),
        headings=[FIGURES[column][0] for column in _measured(quality)],
        settings=read_json(Preprocessed(out, order[0]).record)["settings"],
        rule={"limit": LIMIT, "fewest": FEWEST, "least": f"{_LEAST_SPREAD:.0%}", "few": few},
    )
    return out / QUALITY_PAGE


def rate(quality):
    """Tell how far each subject is from the median of its cohort, on the bad side, in robust deviations.

    Parameters
    ----------
    quality : DataFrame
        Indexed by participant_id; of the columns of :data:`FIGURES`, those
        that hold numbers count.

    Returns
    -------
    DataFrame
        Index and columns of `quality` that count; 0 on the good side.

    References
    ----------
    Iglewicz and Hoaglin, How to Detect and Handle Outliers, ASQC 1993
    """
    values = quality[_measured(quality)].astype(float)
    away = values - values.median()
    spread = np.maximum(1.4826 * away.abs().median(), _LEAST_SPREAD * values.median().abs()).clip(lower=1e-9)
    sides = pd.Series({column: FIGURES[column][2] for column in values}, dtype=float)
    return (away.abs() / spread).where(away * sides >= 0, 0).fillna(0)


def _measured(quality):
    return [column for column in FIGURES if column in quality and quality[column].notna().any()]


def _row(out, name, quality, deviations, few):
    """Put together what the page says of one subject."""
    far = [column for column in deviations.index if deviations[column] > LIMIT and not few]
    return {
        "id": name,
        "figures": [_written(column, quality[column]) for column in deviations.index],
        "reasons": [
            f"{FIGURES[column][0]} {_written(column, quality[column])}: {deviations[column]:.1f} deviations away"
            for column in far
        ],
        "worst": f"{deviations.max():.1f}",
        "warnings": _said(quality, "warnings"),
        "taken_as": _said(quality, "taken_as"),
        "picture": embed_picture(Preprocessed(out, name).picture),
    }


def _said(quality, name):
    """Return what is said in words of one subject; nothing in a table of an earlier version."""
    return "" if pd.isna(said := quality.get(name)) else said


def _written(column, value):
    return "–" if pd.isna(value) else FIGURES[column][1].format(value)


def _draw(subject, *, out):
    """Draw one subject, unless that was done for what was preprocessed and in the present style."""
    from epitome_kit.plotting.quality import describe_picture, quality_picture
    from epitome_kit.plotting.style import is_drawn_as_now, save_figure

    files = Preprocessed(out, subject.id)
    record = made_from(files.picture, files.record)
    if not (record.valid() and is_drawn_as_now(files.picture)):
        save_figure(quality_picture(subject, files), files.picture, describe_picture(subject))
        record.finish()
