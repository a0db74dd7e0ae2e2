"""Find and read the tables of labels that come with scans."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from epitome_kit.errors import CohortError, EpitomeWarning, Reason
from epitome_kit.files import PathLike
from epitome_kit.folders import is_litter, natural_key
from epitome_kit.ledger import Entry
from epitome_kit.sources.label_table import (
    CONTRADICTORY,
    FREE_TEXT,
    LABELS,
    NO_NAMES,
    Reading,
    is_stated,
    merge_values,
    read_table,
)
from epitome_kit.tables import is_unfetched

_TABLE = re.compile(r"(.+?)\.(tsv|csv|txt|xlsx|xlsm|xls)(?:\.gz)?", re.IGNORECASE)
_USUAL = re.compile(
    r".*(?:participant|patient|subject|case|clinic|label|mapping|genetic|molecular|demograph|metadata|pheno|grade).*",
    re.IGNORECASE,
)
_PARTICIPANTS = re.compile(r"participants\.", re.IGNORECASE)
_OTHERS = re.compile(r"sources|excluded|repaired|(?:.*_)?(?:scans|sessions|samples|events)", re.IGNORECASE)
_WITHOUT_TABLES = re.compile(r"sub-.*|derivatives|code|stimuli", re.IGNORECASE)
_NONE = "no column of labels, or none of subjects"
_MAX_LISTED = 6
_MAX_BYTES = 4 * 2**20
"""Size of the largest table that is read although its name does not suggest labels."""


class Labels(NamedTuple):
    """Labels of subjects, and what could not be used.

    Attributes
    ----------
    table : DataFrame
        Labels by subject, with every column of :data:`epitome_kit.cohort.COLUMNS` but the
        first; without subjects that have no row.
    conflicting : list of str
        Subjects with rows that differ in a label; not in `table`.
    unknown : list of str
        Values that were not understood: value, number of rows and reason.
    unmatched : list of (str, str)
        Names in the tables that match no subject, with the reason.
    unlabelled : list of str
        Subjects without a row.
    warnings : list of str
        Lost labels, about which users are warned.
    entries : list of Entry
        Ledger entries, one per table and one per row; subjects have the names that were
        passed.
    tables : list of str
        Names of the tables in use.
    """

    table: pd.DataFrame
    conflicting: list[str]
    unknown: list[str]
    unmatched: list[tuple[str, str]]
    unlabelled: list[str]
    warnings: list[str]
    entries: list[Entry]
    tables: list[str]

    def without_scans(self) -> list[tuple[str, str]]:
        """List the names in the table of participants that match no subject, with the reason."""
        if not self.tables or not _PARTICIPANTS.match(self.tables[0]):
            return []  # such a table may describe a whole collection
        alone = f"a row of {self.tables[0]} alone"
        return [(name, str(Reason("scans", f"{alone}: {reason}"))) for name, reason in self.unmatched]

    @property
    def summary(self) -> str:
        """Sentences on labels for the README of a cohort, without a word of the tables."""
        if not self.tables:
            return f"No table of labels was {'read' if self.warnings else 'found'}: no labels."
        count = Counter(text.partition(" ")[0] for text in self.unknown)
        lost = ", ".join(f"{n} of {label}" for label, n in count.items())
        unknown = f" Values that were not understood, and are missing: {lost}." if lost else ""
        return f"Labels come from {_counted(len(self.tables), 'table')}, which sources.tsv names.{unknown}"


def read_labels(path: PathLike, subjects: Iterable[str], *, name: str | None = None) -> Labels:
    """Read the labels of subjects from a table in any usual notation.

    Columns are recognised by their usual names (``1p/19q``, ``WHO CNS Grade``, ``gender``)
    and values by their usual spellings (``WHO II``, ``d/d``, ``female``). Subjects are
    matched by :func:`epitome_kit.sources.names.match_names` in the column that names most
    of them. Rows of one subject are merged unless they contradict each other; a label is
    missing if several columns contradict each other about it.

    Parameters
    ----------
    path : path
        A table that :func:`epitome_kit.tables.read_text_table` can read.
    subjects : iterable of str
        Names of the subjects in the source, with or without ``sub-``.
    name : str, default=None
        Name of the table in the ledger; None takes the file name.

    Returns
    -------
    Labels

    Raises
    ------
    CohortError
        The file is not a table, or none of its columns names subjects.
    """
    subjects = list(subjects)
    return join_readings([read_table(path, subjects, name=name)], subjects)


def find_labels(source: PathLike, subjects: Iterable[str]) -> Labels:
    """Find the tables of labels in a folder and read them.

    ``participants.tsv`` takes precedence, as text or Excel and in any case. Other tables,
    in the folder or one level below, are used if they name subjects and contain labels:
    they complete ``participants.tsv``; without it all are equal, and a label about which
    they contradict each other is missing.

    Parameters
    ----------
    source : path
        Folder to search.
    subjects : iterable of str
        Names of the subjects in the source, with or without ``sub-``.

    Returns
    -------
    Labels
        If there is no table, empty except for `unlabelled`.

    Raises
    ------
    CohortError
        The table of participants cannot be read.

    Warns
    -----
    EpitomeWarning
        A table, a column or a contradictory label is not used.
    """
    source, subjects = Path(source), list(subjects)
    readings: list[Reading] = []
    foreign: list[Reading] = []
    lost: list[str] = []
    entries: list[Entry] = []
    leads = False
    for path, rank in _find_tables(source):
        name = path.relative_to(source).as_posix()
        reading, reason = _try_to_read(path, subjects, name, rank=rank, strict=rank == 0 and not readings)
        if reading is None:
            entries.append(Entry(name, "table", reason=reason))
            lost += [f"{name} was not read, and its labels are lost: {reason}"] if rank < 2 and reason != _NONE else []
        elif rank == 0 or not reading.values.empty:
            leads = leads or rank == 0 and not readings
            readings.append(reading)
        else:
            foreign.append(reading)
    if readings:
        entries += [Entry(each.name, "table", reason="none of its names is that of a subject") for each in foreign]
    found = join_readings(readings or foreign, subjects, first_leads=leads)
    if found.tables:
        reason = f"no row in {' or '.join(found.tables)}"
        entries += [Entry(subject, "label", subject, reason=reason) for subject in found.unlabelled]
    found = found._replace(warnings=[*lost, *found.warnings], entries=[*found.entries, *entries])
    for text in found.warnings:
        warnings.warn(text, EpitomeWarning, stacklevel=2)
    return found


def _try_to_read(
    path: Path, subjects: Sequence[str], name: str, *, rank: int, strict: bool
) -> tuple[Reading | None, str]:
    """Read a table, or return None and the reason; if `strict`, a damaged table raises an error."""
    if is_unfetched(path):
        return None, "a link to content that was not fetched, as DataLad leaves it: `datalad get`, then import again"
    if rank == 2 and path.stat().st_size > _MAX_BYTES:
        return None, "larger than 4 MB, and its name does not suggest labels"
    try:
        reading = read_table(path, subjects, name=name)
    except CohortError as error:
        if strict:
            raise
        return None, _NONE if error.expected == NO_NAMES else error.reason
    return (reading, "") if reading.columns or rank == 0 else (None, _NONE)


def _find_tables(source: Path) -> list[tuple[Path, int]]:
    """Find tables in a folder and one level below, ranked by how clearly their names denote labels: 0 is best."""
    folders = [path for path in _list(source) if path.is_dir() and not _WITHOUT_TABLES.fullmatch(path.name)]
    found = []
    for path in [path for folder in (source, *folders) for path in _list(folder) if not path.is_dir()]:
        match, top = _TABLE.fullmatch(path.name), path.parent == source
        if not match or _OTHERS.fullmatch(match[1]):
            continue
        rank = 0 if top and match[1].lower() == "participants" else 1 if _USUAL.fullmatch(match[1]) else 2
        if rank < 2 or top and match[2].lower() != "txt":
            found.append(((rank, not top, match[2].lower() != "tsv", natural_key(path.name)), path))
    return [(path, order[0]) for order, path in sorted(found)]


def _list(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not is_litter(path.name)]
    except OSError:
        return []


def join_readings(readings: Sequence[Reading], subjects: Iterable[str], *, first_leads: bool = True) -> Labels:
    """Join the content of several tables.

    Parameters
    ----------
    readings : sequence of Reading
        Content of the tables.
    subjects : iterable of str
        Names of the subjects.
    first_leads : bool, default=True
        Take a label from the first table if it contains a value; otherwise all tables are
        equal, and a label about which they contradict each other is missing.

    Returns
    -------
    Labels
    """
    subjects, leading = list(subjects), readings[: 1 if first_leads or len(readings) == 1 else 0]
    table = pd.DataFrame(pd.NA, index=subjects, columns=LABELS, dtype=object)
    odds: Counter[str] = Counter()
    for subject in subjects:
        rows = [reading.values.loc[subject] for reading in readings if subject in reading.values.index]
        leading_rows = [reading.values.loc[subject] for reading in leading if subject in reading.values.index]
        for label in LABELS:
            stated = [row[label] for row in rows if is_stated(row[label])]
            joined = stated[0] if stated and label in FREE_TEXT else merge_values(stated, label)
            odds[label] += joined is CONTRADICTORY and CONTRADICTORY not in stated
            joined = next((row[label] for row in leading_rows if is_stated(row[label])), joined)
            table.at[subject, label] = pd.NA if isinstance(joined, tuple) else joined
    known = [subject for subject in subjects if any(subject in reading.values.index for reading in readings)]
    conflicting = [subject for reading in leading for subject in reading.conflicting]
    names = " and ".join(reading.name for reading in readings)
    taken = f"taken from {readings[0].name}" if leading else "left missing"
    warned = [text for reading in readings for text in reading.warnings]
    warned += [f"{names} contradict each other about the {label} of {n}: {taken}" for label, n in odds.items() if n]
    for reading in readings:
        if not leading and reading.conflicting:
            some = ", ".join(reading.conflicting[:3])
            warned.append(f"{reading.name}: rows of {some} contradict each other, and what they differ in is missing")
    unmatched = [match for reading in leading or readings for match in reading.unmatched]
    unlabelled = [subject for subject in subjects if subject not in known]
    unknown = [text for reading in readings for text in reading.unknown]
    if known:
        warned += _enumerate(f"{names}: left missing:", unknown, "values")
        warned += _enumerate(f"{names}: no subject is called", [name for name, _ in unmatched], "names")
        warned += _enumerate(f"{names}: no row for", unlabelled, "subjects")
    return Labels(
        table=table.loc[[subject for subject in known if subject not in conflicting]],
        conflicting=conflicting,
        unknown=unknown,
        unmatched=unmatched,
        unlabelled=unlabelled,
        warnings=warned,
        entries=[entry for reading in readings for entry in reading.entries],
        tables=[reading.name for reading in readings],
    )


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _enumerate(what: str, items: Sequence[str], kind: str) -> list[str]:
    """Write a sentence that lists the first items; none if there are no items."""
    more = f" and {len(items) - _MAX_LISTED} other {kind}" if len(items) > _MAX_LISTED else ""
    return [f"{what} {', '.join(items[:_MAX_LISTED])}{more}"] if items else []
