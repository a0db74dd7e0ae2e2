"""Write the quality-control page of a preprocessed cohort, with warnings and outliers first."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.cohort import Cohort, Subject
from epitome_kit.files import Json, PathLike, read_json, read_tsv
from epitome_kit.lock import locks
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.report.html import embed_picture, write_page
from epitome_kit.resume import made_from
from epitome_kit.workspace import EXCLUDED_TABLE, QUALITY_PAGE, QUALITY_TABLE

FIGURES = {
    "brain_volume_ml": ("brain volume", "{:.0f} mL", 0),
    "template_dice": ("overlap with the template brain (Dice)", "{:.3f}", -1),
    "bias_field_sd": ("bias field (SD of its logarithm)", "{:.3f}", 0),
    "brain_mask_dice": ("brain mask against the truth (Dice)", "{:.3f}", -1),
    "registration_error_mm": ("registration error", "{:.1f} mm", 1),
    "bias_residual_sd": ("residual bias (SD of its logarithm)", "{:.3f}", 1),
}
"""Measures by which outliers are found: label, format, and sign of a deviation that counts (0: both)."""

LIMIT = 3.5
"""Robust deviations from the median beyond which a subject is an outlier."""

MIN_SUBJECTS = 5
"""Minimum number of subjects to search for outliers."""

_MIN_RELATIVE_SPREAD = 0.02


@locks("preprocess")
def write_quality_page(cohort: Cohort, out: PathLike, *, workers: int = 1) -> Path:
    """Draw every preprocessed subject and write ``qc.html``: warnings first, then outliers.

    Figures that are up to date are kept.

    Parameters
    ----------
    cohort : Cohort
        Subjects that were preprocessed.
    out : path
        Folder written by :func:`epitome_kit.preprocess_cohort`.
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
    deviations = robust_deviations(quality)
    order = deviations.max(axis=1).sort_values(ascending=False, kind="stable").index
    order = sorted(order, key=lambda name: not _text(quality.loc[name], "warnings"))
    few = len(quality) < MIN_SUBJECTS
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
        rule={"limit": LIMIT, "fewest": MIN_SUBJECTS, "least": f"{_MIN_RELATIVE_SPREAD:.0%}", "few": few},
    )
    return out / QUALITY_PAGE


def robust_deviations(quality: pd.DataFrame) -> pd.DataFrame:
    """Return the distance of each subject from the median of the cohort, in robust standard deviations.

    Parameters
    ----------
    quality : DataFrame
        Indexed by participant_id; columns of :data:`FIGURES` with numbers are used.

    Returns
    -------
    DataFrame
        One column per measure; 0 for deviations to the better side.

    References
    ----------
    Iglewicz and Hoaglin, How to Detect and Handle Outliers, ASQC 1993
    """
    values = quality[_measured(quality)].astype(float)
    away = values - values.median()
    spread = np.maximum(1.4826 * away.abs().median(), _MIN_RELATIVE_SPREAD * values.median().abs()).clip(lower=1e-9)
    sides = pd.Series({column: FIGURES[column][2] for column in values}, dtype=float)
    return (away.abs() / spread).where(away * sides >= 0, 0).fillna(0)


def _measured(quality: pd.DataFrame) -> list[str]:
    return [column for column in FIGURES if column in quality and quality[column].notna().any()]


def _row(out: Path, name: str, quality: pd.Series, deviations: pd.Series, few: bool) -> Json:
    """Collect what the page shows of one subject."""
    far = [column for column in deviations.index if deviations[column] > LIMIT and not few]
    return {
        "id": name,
        "figures": [_written(column, quality[column]) for column in deviations.index],
        "reasons": [
            f"{FIGURES[column][0]} {_written(column, quality[column])}: {deviations[column]:.1f} deviations away"
            for column in far
        ],
        "worst": f"{deviations.max():.1f}",
        "warnings": _text(quality, "warnings"),
        "taken_as": _text(quality, "taken_as"),
        "picture": embed_picture(Preprocessed(out, name).picture),
    }


def _text(quality: pd.Series, name: str) -> str:
    """Return the text of a column; empty if it is missing, as in tables of earlier versions."""
    return "" if pd.isna(text := quality.get(name)) else str(text)


def _written(column: str, value: float) -> str:
    return "–" if pd.isna(value) else FIGURES[column][1].format(value)


def _draw(subject: Subject, *, out: Path) -> None:
    """Draw one subject, unless its figure is up to date with its preprocessing and the style."""
    from epitome_kit.plotting.quality import describe_picture, quality_picture
    from epitome_kit.plotting.style import is_drawn_as_now, save_figure

    files = Preprocessed(out, subject.id)
    record = made_from(files.picture, files.record)
    if not (record.valid() and is_drawn_as_now(files.picture)):
        save_figure(quality_picture(subject, files), files.picture, describe_picture(subject))
        record.finish()
