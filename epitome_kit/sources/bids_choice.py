"""Choose the session and the scans of a BIDS subject."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pandas as pd

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import EpitomeError
from epitome_kit.folders import natural_key
from epitome_kit.sources.bids_files import BidsFile
from epitome_kit.tables import read_text_table

_BEFORE = re.compile(r"pre|preop\w*|presurg\w*|preoperative|pretreat\w*|baseline|bl|initial|base|before")
_AFTER = re.compile(
    r"post|postop\w*|postsurg\w*|postoperative|posttreat\w*|postrt|postrx|intraop\w*|follow\w*|fu|fup|after|recur\w*|"
    r"progress\w*|residual|nadir|chemo\w*|radio\w*|rt"
)
_DATE = re.compile(r"(acq|scan|session|study)?_?(time|date)", re.IGNORECASE)


def choose_session(
    sessions: Collection[str],
    decided: Collection[str | None],
    annotated: Collection[str | None],
    dates: Mapping[str, str],
    *,
    requested: str | None = None,
) -> tuple[str | None, str]:
    """Choose one session of a subject.

    The requested session is taken; otherwise, in this order, one with a manual decision,
    one with a tumour mask, one before surgery according to its name, the earliest if all
    have a date, and the first in natural order.

    Parameters
    ----------
    sessions : collection of str
        Sessions with a usable scan; ``""`` stands for scans outside of sessions.
    decided, annotated : collection of str
        Sessions with a manual decision, and sessions with a tumour mask.
    dates : dict of str to str
        ISO dates of sessions, if known.
    requested : str, default=None
        Such as ``"ses-1"`` or ``"1"``.

    Returns
    -------
    session : str or None
        None if the requested session does not exist.
    why : str
        Reason for the choice; empty if there is only one session.
    """
    if requested is not None:
        named = [each for each in sessions if each.removeprefix("ses-") == requested.removeprefix("ses-")]
        return (named[0] if named else None), f"asked for ({requested})"
    dates = dates if set(sessions) <= set(dates) else {}
    rules: dict[str, Callable] = {
        "a person decided on a file of it": lambda each: each not in decided,
        "it has a tumour mask": lambda each: each not in annotated,
        "by its name it is before surgery, or the other after it": _surgery,
        "it is the earliest by date": lambda each: dates.get(each, ""),
        "it is the first by name; no dates of all of them say which came first": natural_key,
    }
    first, *others = sorted(sessions, key=lambda each: [rule(each) for rule in rules.values()])
    if not others:
        return first, ""
    return first, next(why for why, rule in rules.items() if rule(first) != rule(others[0]))


def _surgery(session: str) -> int:
    """Return 0 for a session before surgery, 2 after it and 1 if unknown, by the words of its name."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", session.removeprefix("ses-")).lower())
    if any(_AFTER.fullmatch(word) for word in words):
        return 2
    return 0 if any(_BEFORE.fullmatch(word) for word in words) else 1


def session_dates(source: Path, subject: str) -> dict[str, str]:
    """Read the dates of a subject's sessions from ``sessions.tsv`` and ``scans.tsv``.

    Parameters
    ----------
    source : Path
        BIDS folder.
    subject : str

    Returns
    -------
    dict of str to str
        ISO date by session.
    """
    dates: dict[str, str] = {}
    folder = source / subject
    for path in (folder / f"{subject}_sessions.tsv", source / "sessions.tsv", *sorted(folder.glob("*/*_scans.tsv"))):
        table = _table(path)
        column = next((name for name in table if _DATE.fullmatch(name)), None)
        if column is None:
            continue
        if "participant_id" in table:
            table = table[table.participant_id == subject]
        days = pd.to_datetime(table[column], errors="coerce", format="ISO8601").dt.strftime("%Y-%m-%dT%H:%M:%S")
        names = table.session_id.fillna("") if "session_id" in table else pd.Series(path.parent.name, table.index)
        for name, day in zip(names, days, strict=True):
            name = name if name.startswith("ses-") else f"ses-{name}"
            if isinstance(day, str):
                dates[name] = min(day, dates.get(name, day))
    return dates


def _table(path: Path) -> pd.DataFrame:
    try:
        return read_text_table(path, where="import") if path.is_file() else pd.DataFrame()
    except EpitomeError:
        return pd.DataFrame()


def choose_scans(
    judged: Mapping[BidsFile, str], preferred: Collection[BidsFile] = (), because: str = ""
) -> tuple[dict[str, BidsFile], dict[BidsFile, str]]:
    """Choose one scan of each contrast from one session.

    Parameters
    ----------
    judged : dict of BidsFile to str
        Contrast of each scan; names without extra entities first, then in natural order.
    preferred : collection of BidsFile, default=()
        Scans that take precedence.
    because : str, default=""
        Why they take precedence.

    Returns
    -------
    scans : dict of str to BidsFile
        In the order of :data:`epitome_kit.contrast_table.CONTRASTS`.
    why : dict of BidsFile to str
        Reason for each scan that is not taken.
    """
    found: dict[str, list[BidsFile]] = {}
    for file, contrast in sorted(judged.items(), key=lambda item: item[0] not in preferred):
        found.setdefault(contrast, []).append(file)
    scans = {contrast: found[contrast][0] for contrast in CONTRASTS if contrast in found}
    why = {
        file: f"another {contrast} was taken: {files[0].path.name}, "
        + (because if files[0] in preferred and file not in preferred else "the plainest name, then the first in order")
        for contrast, files in found.items()
        for file in files[1:]
    }
    return scans, why
