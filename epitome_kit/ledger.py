"""The ledger of an import: every scan, series, mask and table row that was seen, and what became of it."""

import re
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import CohortError, EpitomeWarning, ParameterError, plain
from epitome_kit.files import read_text, read_tsv_text, tsv_text, unquoted, write_text
from epitome_kit.tables import read_text_table

LEDGER = "sources.tsv"
"""Name of the ledger in the folder of a cohort."""

RULES = 2
"""Rules by which imports choose; a cohort that was made by older ones asks to be imported again."""

_TITLE = (
    f"# What an import saw, and what became of it (rules {RULES}). Its paths may name people: this file "
    "is yours alone, nothing links to it, and it goes nowhere with the cohort."
)
UNTOLD = "cannot tell"
"""How the reason begins where evidence is missing or contradicts itself, so that a person has to decide."""

_MOST_REASONS = 8
LEAVE_OUT = "leave out"
"""Decision that nothing is taken from a file."""

DECISIONS = {
    "scan": (*CONTRASTS, LEAVE_OUT, "tumour"),
    "series": (*CONTRASTS, LEAVE_OUT),
    "mask": ("tumour", LEAVE_OUT),
}
"""What a person can decide, by kind."""

_BEFORE = "excluded.tsv", "repaired.tsv"
"""Files that older versions wrote in its place."""


class Entry(NamedTuple):
    """One thing that an import saw.

    Attributes
    ----------
    source : str
        Path relative to the folder that was imported; for a row of a table also its
        number; for a subject its name there.
    kind : str
        ``"scan"``, ``"series"``, ``"mask"``, ``"table"``, ``"label"`` (a row of a
        table), ``"file"``, ``"subject"`` or ``"note"`` (what was noticed about a
        subject).
    subject : str
        Of the cohort; empty where there is none.
    taken_as : str
        Such as ``"T1w"`` or ``"tumour"``; empty where it was left out.
    evidence : str
        What that rests on.
    reason : str
        Why it was left out, or what was noticed.
    decision : str
        What a person decided about it, see :func:`read_decisions`.
    """

    source: str
    kind: str
    subject: str = ""
    taken_as: str = ""
    evidence: str = ""
    reason: str = ""
    decision: str = ""


def write_ledger(root, entries):
    """Write the ledger of a cohort, and take away the lists that older versions wrote.

    Parameters
    ----------
    root : path
        Folder of the cohort.
    entries : iterable of Entry
    """
    root = Path(root)
    rows = [tuple(plain(value) for value in entry) for entry in entries]
    table = pd.DataFrame(rows, columns=list(Entry._fields), dtype=str).replace("", pd.NA)
    write_text(root / LEDGER, f"{_TITLE}\n{tsv_text(table)}")
    for name in _BEFORE:
        (root / name).unlink(missing_ok=True)


def read_ledger(root):
    """Read the ledger of a cohort.

    Parameters
    ----------
    root : path
        Folder of the cohort.

    Returns
    -------
    DataFrame of str
        Columns as the attributes of :class:`Entry`, empty texts where there is
        nothing; no row where the cohort was not imported.

    Raises
    ------
    CohortError
        It cannot be read.
    """
    path = Path(root) / LEDGER
    if not path.is_file():
        return pd.DataFrame(columns=list(Entry._fields), dtype=object)
    try:
        title, _, text = read_text(path).partition("\n")
        table = read_tsv_text(text if title.startswith("#") else f"{title}\n{text}", dtype=str)
        return _with_columns(table)
    except (OSError, ValueError) as error:
        expected = "a ledger with the columns source and kind, separated by tabs"
        hint = "import the cohort again"
        raise CohortError("ledger", expected, f"{path} ({str(error)[:160]})", hint) from error


def _with_columns(table):
    if not {"source", "kind"} <= set(table):
        raise ValueError(f"columns {', '.join(map(str, table.columns[:5]))}")
    return table.reindex(columns=list(Entry._fields)).astype(object).fillna("")


def read_decisions(path):
    """Read what a person decided, from a ledger that was edited by hand.

    Parameters
    ----------
    path : path or None
        A ledger whose column ``decision`` was filled in, as text or ``.xlsx``: for
        scans and series a contrast, such as ``T1ce``, or ``leave out``; for masks
         ``tumour`` or ``leave out``. None: nothing was decided.

    Returns
    -------
    dict of (str, str) to str, or None
        Source and kind to decision; None where `path` is.

    Raises
    ------
    TableError
        It cannot be read as a table.
    ParameterError
        It is no ledger, or a decision is none of these.
    """
    if path is None:
        return None
    path = Path(path)
    table = read_text_table(path, where="decisions", columns={"source", "kind", "decision"}).fillna("")
    if not {"source", "kind", "decision"} <= set(table):
        expected, received = "columns source, kind and decision", f"{', '.join(table.columns[:6])} in {path}"
        raise ParameterError("decisions", expected, received, "fill in the column `decision` of the `sources.tsv`")
    decided = table[table.decision.str.replace("n/a", "").str.strip() != ""]
    decisions = {}
    for place, meant in (_decision(row, path) for row in decided.itertuples()):
        if decisions.setdefault(place, meant) != meant:
            received = f"{decisions[place]} and {meant} on the {place[1]} {place[0]} in {path}"
            raise ParameterError("decisions", "one decision on each file", received, "leave one of the two rows")
    return decisions


def require_decisions(out, decisions):
    """Make sure that what a person decided in the ledger of a cohort is not lost by importing it again.

    Parameters
    ----------
    out : path
        Folder of the cohort, which may not be there yet.
    decisions : dict or None
        From :func:`read_decisions`; None: nothing was said of decisions.

    Returns
    -------
    dict
        The decisions.

    Raises
    ------
    ParameterError
        The ledger holds decisions, and none were given.
    """
    path = Path(out) / LEDGER
    if decisions is not None or not path.is_file():
        return decisions or {}
    decided = read_ledger(out).decision.str.strip().ne("").sum()
    if decided:
        hint = f"`--decisions {path}`, or empty that column"
        raise ParameterError(
            "import", "`--decisions` where a ledger holds some", f"{decided} in {path} and none given", hint
        )
    return {}


def _decision(row, path):
    """Check one decision, and give it in the words of the kit."""
    allowed = DECISIONS.get(row.kind, ())
    written = re.sub(r"[\s_-]+", " ", row.decision.strip())
    meant = next((word for word in allowed if word.lower() == written.lower()), None)
    if meant is None:
        expected = (
            f"a decision out of {', '.join(allowed)}" if allowed else "decisions on scans, series and masks alone"
        )
        received = f"{row.decision!r} on the {row.kind} {row.source} in {path}"
        raise ParameterError("decisions", expected, received, "correct the column `decision`")
    return (unquoted(row.source), row.kind), meant


def unused_decisions(decisions, entries):
    """Say which decisions match nothing that an import saw.

    Parameters
    ----------
    decisions : dict of (str, str) to str
        From :func:`read_decisions`.
    entries : iterable of Entry

    Returns
    -------
    list of Entry
        A note for each of them.
    """
    seen = {(entry.source, entry.kind) for entry in entries}
    return [
        Entry(source, "file", reason=f"decided as {decision}, but the source has no such {kind} any more")
        for (source, kind), decision in decisions.items()
        if (source, kind) not in seen
    ]


def made_by_older_rules(root):
    """Tell whether a cohort was imported by rules that have changed since.

    Parameters
    ----------
    root : path

    Returns
    -------
    bool
    """
    root = Path(root)
    path = root / LEDGER
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as stream:
            return f"(rules {RULES})" not in stream.readline()
    return any((root / name).is_file() for name in _BEFORE)


def warn_of_older_rules(root):
    """Warn where a cohort was imported by rules that have changed since.

    Parameters
    ----------
    root : path
    """
    if made_by_older_rules(root):
        text = (
            f"{root} was imported by an older version, whose rules took some scans, masks and labels wrongly without a "
            "word. Import it again, into a new folder, before you trust its numbers."
        )
        warnings.warn(text, EpitomeWarning, stacklevel=3)


def sum_up(ledger):
    """Count what an import saw, for the screen.

    Parameters
    ----------
    ledger : DataFrame
        From :func:`read_ledger`.

    Returns
    -------
    list of (str, str)
        What, and how many; for what was left out also each reason, the commonest
        first, without what it says of one file.
    """
    rows = []
    for kind, group in ledger[~ledger.kind.isin(["subject", "note"])].groupby("kind", sort=False):
        taken, left = group[group.taken_as != ""], group[group.taken_as == ""]
        as_what = ", ".join(f"{name} {n}" for name, n in Counter(taken.taken_as).most_common())
        rows.append((f"{kind}: taken", f"{len(taken)} ({as_what})" if as_what else "0"))
        reasons = Counter(reason if reason.startswith(UNTOLD) else reason.split(":")[0] for reason in left.reason)
        rows += [(f"{kind}: left out", f"{n} ({reason})") for reason, n in reasons.most_common(_MOST_REASONS)]
        if others := reasons.total() - sum(n for _, n in reasons.most_common(_MOST_REASONS)):
            rows.append((f"{kind}: left out", f"{others} (for other reasons)"))
    return rows
