"""Which session and which scans of a BIDS subject are taken, by what they mean."""

import re

import pandas as pd

from epitome_kit.cohort import CONTRASTS
from epitome_kit.errors import EpitomeError
from epitome_kit.folders import natural_key
from epitome_kit.tables import read_text_table

_BEFORE = re.compile(r"pre|preop\w*|presurg\w*|preoperative|pretreat\w*|baseline|bl|initial|base|before")
_AFTER = re.compile(
    r"post|postop\w*|postsurg\w*|postoperative|posttreat\w*|postrt|postrx|intraop\w*|follow\w*|fu|fup|after|recur\w*|"
    r"progress\w*|residual|nadir|chemo\w*|radio\w*|rt"
)


def choose_session(sessions, annotated, dates, *, wanted=None):
    """Choose one session of a subject.

    The one that is asked for; else one with a tumour mask before one without, one
    before surgery before one after it, by their names; then the earlier by date;
    then the first in natural order.

    Parameters
    ----------
    sessions : collection of str
        Those with a scan that can be used; ``""`` is none.
    annotated : collection of str
        Those with a tumour mask.
    dates : dict of str to str
        ISO date of a session, where it is known.
    wanted : str, default=None
        Such as ``"ses-1"`` or ``"1"``.

    Returns
    -------
    session : str or None
        None where the one that is asked for is not there.
    why : str
        Empty where there was no choice.
    """
    if wanted is not None:
        named = [each for each in sessions if each.removeprefix("ses-") == wanted.removeprefix("ses-")]
        return (named[0] if named else None), f"asked for ({wanted})"
    ranked = sorted(sessions, key=lambda each: [key(each, annotated, dates) for key, _ in _RULES])
    first = ranked[0]
    if len(ranked) == 1:
        return first, ""
    for key, why in _RULES:
        if key(first, annotated, dates) != key(ranked[1], annotated, dates):
            return first, why
    return first, _RULES[-1][1]


def _surgery(session, *_):
    """0 before surgery, 1 unknown, 2 after it; by the words of a name."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", session.removeprefix("ses-")).lower())
    if any(_AFTER.fullmatch(word) for word in words):
        return 2
    return 0 if any(_BEFORE.fullmatch(word) for word in words) else 1


_RULES = (
    (lambda session, annotated, dates: session not in annotated, "it has a tumour mask"),
    (_surgery, "by its name it is before surgery, or the other after it"),
    (lambda session, annotated, dates: dates.get(session, "9999"), "it is the earliest by date"),
    (lambda session, annotated, dates: natural_key(session), "it is the first by name; no date says which came first"),
)


def session_dates(source, subject):
    """Read when the sessions of a subject took place, from ``sessions.tsv`` and ``scans.tsv``.

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
    dates = {}
    folder = source / subject
    for path in (folder / f"{subject}_sessions.tsv", source / "sessions.tsv", *sorted(folder.glob("*/*_scans.tsv"))):
        table = _table(path)
        if "acq_time" not in table:
            continue
        if "participant_id" in table:
            table = table[table.participant_id == subject]
        days = pd.to_datetime(table.acq_time, errors="coerce", format="ISO8601").dt.strftime("%Y-%m-%dT%H:%M:%S")
        names = table.session_id.fillna("") if "session_id" in table else pd.Series(path.parent.name, table.index)
        for name, day in zip(names, days, strict=True):
            name = name if name.startswith("ses-") else f"ses-{name}"
            if isinstance(day, str):
                dates[name] = min(day, dates.get(name, day))
    return dates


def _table(path):
    try:
        return read_text_table(path, where="import") if path.is_file() else pd.DataFrame()
    except EpitomeError:
        return pd.DataFrame()


def choose_scans(judged, decided=()):
    """Choose one scan of each contrast, out of those of one session.

    Parameters
    ----------
    judged : dict of BidsFile to str
        Contrast of each scan, in natural order.
    decided : collection of BidsFile, default=()
        Scans whose contrast a person stated: they come first.

    Returns
    -------
    scans : dict of str to BidsFile
        In the order of :data:`epitome_kit.cohort.CONTRASTS`.
    why : dict of BidsFile to str
        For each scan that was not taken.
    """
    found = {}
    for file, contrast in sorted(judged.items(), key=lambda item: item[0] not in decided):
        found.setdefault(contrast, []).append(file)
    scans = {contrast: found[contrast][0] for contrast in CONTRASTS if contrast in found}
    why = {
        file: f"another {contrast} was taken: {files[0].path.name}, the first in natural order"
        for contrast, files in found.items()
        for file in files[1:]
    }
    return scans, why
