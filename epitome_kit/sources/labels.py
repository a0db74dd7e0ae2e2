"""Labels of subjects, found in the tables that came with their scans."""

import re
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from epitome_kit.errors import CohortError, EpitomeWarning, Reason
from epitome_kit.folders import is_litter, natural_key
from epitome_kit.ledger import Entry
from epitome_kit.sources.label_table import AT_ODDS, FREE, LABELS, NO_NAMES, agreed, is_stated, read_one
from epitome_kit.tables import is_unfetched

_TABLE = re.compile(r"(.+?)\.(tsv|csv|txt|xlsx|xlsm|xls)(?:\.gz)?", re.IGNORECASE)
_USUAL = re.compile(
    r".*(?:participant|patient|subject|case|clinic|label|mapping|genetic|molecular|demograph|metadata|pheno|grade).*",
    re.IGNORECASE,
)
_PARTICIPANTS = re.compile(r"participants\.", re.IGNORECASE)
_OTHERS = re.compile(r"sources|excluded|repaired|(?:.*_)?(?:scans|sessions|samples|events)", re.IGNORECASE)
_NO_TABLES = re.compile(r"sub-.*|derivatives|code|stimuli", re.IGNORECASE)
_NONE = "no column of labels, or none of subjects"
_MOST_LISTED = 6
_LARGEST = 4 * 2**20
"""Bytes of the largest table that is looked into though its name says nothing of labels."""


class Labels(NamedTuple):
    """Labels of subjects, and all that was noticed on the way.

    Attributes
    ----------
    table : DataFrame
        Indexed by subject, as it was given; with every column of
        :data:`epitome_kit.cohort.COLUMNS` but the first. Subjects without a row are not in it.
    conflicting : list of str
        Subjects with rows that differ in a label; not in `table`.
    unknown : list of str
        Values that were not understood: which, in how many rows, and why.
    unmatched : list of (str, str)
        Names in the table that found no subject, and why.
    unlabelled : list of str
        Subjects without a row.
    warnings : list of str
        Labels that are lost: what a person has to see.
    entries : list of Entry
        One a table, and one a row of it, for the ledger of an import; a subject is
        called as it was given.
    tables : list of str
        Names of the tables that labels were taken from.
    """

    table: pd.DataFrame
    conflicting: list
    unknown: list
    unmatched: list
    unlabelled: list
    warnings: list
    entries: list
    tables: list

    def without_scans(self):
        """Names in a table of participants that are not those of a subject, each with the reason to leave it out."""
        if not self.tables or not _PARTICIPANTS.match(self.tables[0]):
            return []  # a table of a whole collection, of which only some subjects are here
        alone = f"a row of {self.tables[0]} alone"
        return [(name, str(Reason("scans", f"{alone}: {reason}"))) for name, reason in self.unmatched]

    @property
    def summary(self):
        """What the README of a cohort says of labels."""
        if not self.tables:
            return f"{'; '.join(self.warnings) or 'No table of labels was found'}: no labels."
        lost = f" Labels that were not understood: {', '.join(self.unknown[:20])}." if self.unknown else ""
        return f"Labels come from {' and '.join(self.tables)}.{lost}"


def read_labels(path, subjects, *, name=None):
    """Read the labels of subjects from a table that somebody else wrote.

    Columns are known by any usual name (``1p/19q``, ``WHO CNS Grade``, ``gender``),
    values by any usual spelling (``WHO II``, ``d/d``, ``female``), and subjects as
    :func:`epitome_kit.sources.names.match_names` has it, in the column that names most of
    them. Rows of a subject are merged unless they contradict each other; where
    several columns for one label do, it is missing.

    Parameters
    ----------
    path : path
        As :func:`epitome_kit.tables.read_text_table` reads it.
    subjects : sequence of str
        Names of the subjects in the origin, with or without ``sub-``.
    name : str, default=None
        What the ledger calls the table; None takes the name of the file.

    Returns
    -------
    Labels

    Raises
    ------
    CohortError
        No table, or no column in it names subjects.
    """
    return join_readings([read_one(path, subjects, name=name)], subjects)


def find_labels(source, subjects):
    """Find the tables of labels in a folder and read them.

    ``participants.tsv`` leads, in text or Excel, whatever the case of its name. Other
    tables, in the folder or one below, are taken where they name subjects and hold labels: beside
    ``participants.tsv`` for what it does not say; without it all count alike, and a
    label in which they contradict each other is missing.

    Parameters
    ----------
    source : path
    subjects : sequence of str
        As for :func:`read_labels`.

    Returns
    -------
    Labels
        Without any table, all of it is empty but `unlabelled`.

    Raises
    ------
    CohortError
        The table of participants cannot be read.

    Warns
    -----
    EpitomeWarning
        Labels are lost: a table, or a column of it, or a label that columns contradict
        each other about.
    """
    source, subjects = Path(source), list(subjects)
    readings, strange, lost, entries, leads = [], [], [], [], False
    for path, rank in _find_tables(source):
        name = path.relative_to(source).as_posix()
        reading, reason = _try(path, subjects, name, rank=rank, strict=rank == 0 and not readings)
        if reason:
            entries.append(Entry(name, "table", reason=reason))
            lost += [f"{name} was not read, and its labels are lost: {reason}"] if rank < 2 and reason != _NONE else []
        elif rank == 0 or not reading.values.empty:
            leads = leads or rank == 0 and not readings
            readings.append(reading)
        else:
            strange.append(reading)
    if readings:
        entries += [Entry(each.name, "table", reason="none of its names is that of a subject") for each in strange]
    found = join_readings(readings or strange, subjects, first_leads=leads)
    if found.tables:
        reason = f"no row in {' or '.join(found.tables)}"
        entries += [Entry(subject, "label", subject, reason=reason) for subject in found.unlabelled]
    found = found._replace(warnings=[*lost, *found.warnings], entries=[*found.entries, *entries])
    for text in found.warnings:
        warnings.warn(text, EpitomeWarning, stacklevel=2)
    return found


def _try(path, subjects, name, *, rank, strict):
    """Read a table: a reading, or None and the reason; `strict` raises where it is damaged."""
    if is_unfetched(path):
        return None, "a link to content that was not fetched, as DataLad leaves it: `datalad get`, then import again"
    if rank == 2 and path.stat().st_size > _LARGEST:
        return None, "larger than 4 MB, and its name says nothing of labels"
    try:
        reading = read_one(path, subjects, name=name)
    except CohortError as error:
        if strict:
            raise
        return None, _NONE if error.expected == NO_NAMES else error.reason
    return (reading, "") if reading.columns or rank == 0 else (None, _NONE)


def _find_tables(source):
    """Find tables in a folder and one below, each with how well its name says that it holds labels: 0 is best."""
    folders = [path for path in _list(source) if path.is_dir() and not _NO_TABLES.fullmatch(path.name)]
    found = []
    for path in [path for folder in (source, *folders) for path in _list(folder) if not path.is_dir()]:
        match, top = _TABLE.fullmatch(path.name), path.parent == source
        if not match or _OTHERS.fullmatch(match[1]):
            continue
        rank = 0 if top and match[1].lower() == "participants" else 1 if _USUAL.fullmatch(match[1]) else 2
        if rank < 2 or top and match[2].lower() != "txt":
            found.append(((rank, not top, match[2].lower() != "tsv", natural_key(path.name)), path))
    return [(path, order[0]) for order, path in sorted(found)]


def _list(folder):
    try:
        return [path for path in folder.iterdir() if not is_litter(path.name)]
    except OSError:
        return []


def join_readings(readings, subjects, *, first_leads=True):
    """Join what tables say.

    Parameters
    ----------
    readings : sequence of Reading
    subjects : sequence of str
    first_leads : bool, default=True
        Take a label from the first table wherever that says anything of it; else
        all count alike, and where they contradict each other it is missing.

    Returns
    -------
    Labels
    """
    subjects, leading = list(subjects), readings[: 1 if first_leads or len(readings) == 1 else 0]
    table, odds = pd.DataFrame(pd.NA, index=subjects, columns=LABELS, dtype=object), Counter()
    for subject in subjects:
        mine = [reading.values.loc[subject] for reading in readings if subject in reading.values.index]
        own = [reading.values.loc[subject] for reading in leading if subject in reading.values.index]
        for label in LABELS:
            said = [values[label] for values in mine if is_stated(values[label])]
            joined = said[0] if said and label in FREE else agreed(said, label)
            odds[label] += joined is AT_ODDS and AT_ODDS not in said
            joined = next((values[label] for values in own if is_stated(values[label])), joined)
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
        warned += _listed(f"{names}: left missing:", unknown, "values")
        warned += _listed(f"{names}: no subject is called", [name for name, _ in unmatched], "names")
        warned += _listed(f"{names}: no row for", unlabelled, "subjects")
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


def _listed(what, items, kind):
    """Sentence that names the first few; none where there are none."""
    more = f" and {len(items) - _MOST_LISTED} other {kind}" if len(items) > _MOST_LISTED else ""
    return [f"{what} {', '.join(items[:_MOST_LISTED])}{more}"] if items else []
