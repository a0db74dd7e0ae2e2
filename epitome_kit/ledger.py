"""The ledger of an import: every scan, series, mask and table row that was found, and whether it was used."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import pandas as pd

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import CohortError, EpitomeWarning, ParameterError, plain
from epitome_kit.files import PathLike, read_text, read_tsv_text, tsv_text, unquoted, write_text
from epitome_kit.tables import read_text_table

LEDGER = "sources.tsv"
"""Name of the ledger in the folder of a cohort."""

ORIGINS = ".sources"
"""Folder of a cohort with what links each subject to its source; as private as the ledger."""

RULES = 2
"""Version of the import rules; cohorts made by an older version should be imported again."""

_TITLE = (
    f"# Files found by an import, and what was done with them (rules {RULES}). Paths may contain names of people: "
    "keep this file private; nothing links to it, and it is not shared with the cohort."
)
UNDECIDED = "cannot tell"
"""Start of the reason if evidence is missing or contradictory, so that a person has to decide."""

_MOST_REASONS = 8
LEAVE_OUT = "leave out"
"""Decision not to use a file."""

DECISIONS = {
    "scan": (*CONTRASTS, LEAVE_OUT, "tumour"),
    "series": (*CONTRASTS, LEAVE_OUT),
    "mask": ("tumour", LEAVE_OUT),
}
"""Possible decisions of a person, by kind of entry."""

_BEFORE = "excluded.tsv", "repaired.tsv"
"""Files that older versions wrote instead of the ledger."""


Decisions = dict[tuple[str, str], str]
"""Decisions of a person, by source and kind of the entry."""


class Entry(NamedTuple):
    """One entry of the ledger.

    Attributes
    ----------
    source : str
        Path relative to the imported folder, with the row number for a row of a table;
        for a subject its original name.
    kind : str
        ``"scan"``, ``"series"``, ``"mask"``, ``"table"``, ``"label"`` (a row of a
        table), ``"file"``, ``"link"`` (one that leads out of the imported folder and
        was followed), ``"subject"`` or ``"note"`` (a remark about a subject).
    subject : str
        Subject of the cohort, or empty.
    taken_as : str
        Such as ``"T1w"`` or ``"tumour"``; empty if it was left out.
    evidence : str
        What `taken_as` is based on.
    reason : str
        Why it was left out, or a remark.
    decision : str
        Decision of a person, see :func:`read_decisions`.
    """

    source: str
    kind: str
    subject: str = ""
    taken_as: str = ""
    evidence: str = ""
    reason: str = ""
    decision: str = ""


def write_ledger(root: PathLike, entries: Iterable[Entry]) -> None:
    """Write the ledger of a cohort, and remove the lists that older versions wrote.

    Parameters
    ----------
    root : path
        Folder of the cohort.
    entries : iterable of Entry
        Rows of the ledger, in order.
    """
    root = Path(root)
    rows = [tuple(plain(value) for value in entry) for entry in entries]
    table = pd.DataFrame(rows, columns=list(Entry._fields), dtype=str).replace("", pd.NA)
    write_text(root / LEDGER, f"{_TITLE}\n{tsv_text(table)}")
    for name in _BEFORE:
        (root / name).unlink(missing_ok=True)


def read_ledger(root: PathLike) -> pd.DataFrame:
    """Read the ledger of a cohort.

    Parameters
    ----------
    root : path
        Folder of the cohort.

    Returns
    -------
    DataFrame of str
        Columns as the attributes of :class:`Entry`, with empty text for missing
        values; no rows if the cohort was not imported.

    Raises
    ------
    CohortError
        The ledger cannot be read.
    """
    path = Path(root) / LEDGER
    if not path.is_file():
        return pd.DataFrame(columns=list(Entry._fields), dtype=object)
    try:
        title, _, text = read_text(path).partition("\n")
        table = read_tsv_text(text if title.startswith("#") else f"{title}\n{text}", dtype=str)
        return _with_columns(table)
    except (OSError, ValueError) as error:
        expected = "a tab-separated ledger with the columns source and kind"
        hint = "import the cohort again"
        raise CohortError("ledger", expected, f"{path} ({str(error)[:160]})", hint) from error


def _with_columns(table: pd.DataFrame) -> pd.DataFrame:
    if not {"source", "kind"} <= set(table):
        raise ValueError(f"columns {', '.join(map(str, table.columns[:5]))}")
    return table.reindex(columns=list(Entry._fields)).astype(object).fillna("")


def read_decisions(path: PathLike | None) -> Decisions | None:
    """Read the decisions of a person from a ledger that was edited by hand.

    Parameters
    ----------
    path : path or None
        A ledger whose column ``decision`` was filled in, as text or ``.xlsx``: for
        scans and series a contrast, such as ``T1ce``, or ``leave out``; for masks
         ``tumour`` or ``leave out``. None: nothing was decided.

    Returns
    -------
    dict of (str, str) to str, or None
        Source and kind to decision; None if `path` is None.

    Raises
    ------
    TableError
        The file cannot be read as a table.
    ParameterError
        The table is not a ledger, or a decision is invalid.
    """
    if path is None:
        return None
    path = Path(path)
    table = read_text_table(path, where="decisions", columns={"source", "kind", "decision"}).fillna("")
    if not {"source", "kind", "decision"} <= set(table):
        expected, received = "columns source, kind and decision", f"{', '.join(table.columns[:6])} in {path}"
        raise ParameterError("decisions", expected, received, "fill in the column `decision` of the `sources.tsv`")
    decided = table[table.decision.str.replace("n/a", "").str.strip() != ""]
    decisions: Decisions = {}
    for place, decision in (_decision(row, path) for row in decided.itertuples()):
        if decisions.setdefault(place, decision) != decision:
            received = f"{decisions[place]} and {decision} for the {place[1]} {place[0]} in {path}"
            raise ParameterError("decisions", "one decision for each file", received, "remove one of the two rows")
    return decisions


def require_decisions(out: PathLike, decisions: Decisions | None) -> Decisions:
    """Make sure that decisions in an existing ledger are not lost by importing the cohort again.

    Parameters
    ----------
    out : path
        Folder of the cohort, which may not exist yet.
    decisions : dict or None
        From :func:`read_decisions`; None if no ledger was given.

    Returns
    -------
    dict
        The decisions, empty for None.

    Raises
    ------
    ParameterError
        The ledger in `out` contains decisions, and none were given.
    """
    path = Path(out) / LEDGER
    if decisions is not None or not path.is_file():
        return decisions or {}
    decided = read_ledger(out).decision.str.strip().ne("").sum()
    if decided:
        hint = f"`--decisions {path}`, or clear that column"
        raise ParameterError(
            "import", "`--decisions` for a ledger with decisions", f"{decided} in {path} and none given", hint
        )
    return {}


class _Row(Protocol):
    """Row of a ledger, as from :meth:`pandas.DataFrame.itertuples`."""

    source: str
    kind: str
    decision: str


def _decision(row: _Row, path: Path) -> tuple[tuple[str, str], str]:
    """Check one decision, and return it with its source and kind in the spelling of :data:`DECISIONS`."""
    allowed = DECISIONS.get(row.kind, ())
    written = re.sub(r"[\s_-]+", " ", row.decision.strip())
    decision = next((word for word in allowed if word.lower() == written.lower()), None)
    if decision is None:
        expected = f"one of {', '.join(allowed)}" if allowed else "decisions only for scans, series and masks"
        received = f"{row.decision!r} for the {row.kind} {row.source} in {path}"
        raise ParameterError("decisions", expected, received, "correct the column `decision`")
    return (str(unquoted(row.source)), row.kind), decision


def unused_decisions(decisions: Mapping[tuple[str, str], str], entries: Iterable[Entry]) -> list[Entry]:
    """List decisions that match no entry of an import.

    Parameters
    ----------
    decisions : dict of (str, str) to str
        From :func:`read_decisions`.
    entries : iterable of Entry
        All entries of the import.

    Returns
    -------
    list of Entry
        One for each unused decision.
    """
    seen = {(entry.source, entry.kind) for entry in entries}
    return [
        Entry(source, "file", reason=f"decided as {decision}, but the source no longer has this {kind}")
        for (source, kind), decision in decisions.items()
        if (source, kind) not in seen
    ]


def made_by_older_rules(root: PathLike) -> bool:
    """Check whether a cohort was imported by an older version of the import rules.

    Parameters
    ----------
    root : path
        Folder of the cohort.

    Returns
    -------
    bool
        False for a cohort that was not imported.
    """
    root = Path(root)
    path = root / LEDGER
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as stream:
            return f"(rules {RULES})" not in stream.readline(1000)
    return any((root / name).is_file() for name in _BEFORE)


def warn_of_older_rules(root: PathLike) -> None:
    """Warn if a cohort was imported by an older version of the import rules.

    Parameters
    ----------
    root : path
        Folder of the cohort.
    """
    if made_by_older_rules(root):
        text = (
            f"{root} was imported by an older version, which misread some scans, masks and labels without warning. "
            "Import it again, into a new folder, before you trust its results."
        )
        warnings.warn(text, EpitomeWarning, stacklevel=3)


def summarise_ledger(ledger: pd.DataFrame) -> list[tuple[str, str]]:
    """Summarise a ledger for printing.

    Parameters
    ----------
    ledger : DataFrame
        From :func:`read_ledger`.

    Returns
    -------
    list of (str, str)
        Kind of entry and count. Entries that were left out are counted by reason, the most
        common first, without details of a single file.
    """
    rows = []
    for kind, group in ledger[~ledger.kind.isin(["subject", "note"])].groupby("kind", sort=False):
        taken, left = group[group.taken_as != ""], group[group.taken_as == ""]
        names = ", ".join(f"{name} {n}" for name, n in Counter(taken.taken_as).most_common())
        rows.append((f"{kind}: taken", f"{len(taken)} ({names})" if names else "0"))
        reasons = Counter(reason if reason.startswith(UNDECIDED) else reason.split(":")[0] for reason in left.reason)
        rows += [(f"{kind}: left out", f"{n} ({reason})") for reason, n in reasons.most_common(_MOST_REASONS)]
        if others := reasons.total() - sum(n for _, n in reasons.most_common(_MOST_REASONS)):
            rows.append((f"{kind}: left out", f"{others} (for other reasons)"))
    return rows
