"""Read one table of labels into the columns of a cohort, and report what cannot be used."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from epitome_kit.cohort import TARGETS
from epitome_kit.errors import CohortError, TableError
from epitome_kit.files import PathLike
from epitome_kit.ledger import Entry
from epitome_kit.sources.label_words import find_code, find_columns, id_rank, is_number, looks_like, read_value
from epitome_kit.sources.names import Match, match_names, strictness
from epitome_kit.tables import read_text_table

LABELS = [*TARGETS, "histology", "age", "sex", "source_id"]
"""Labels that are read for each subject."""

CONTRADICTORY = ("values that contradict each other",)
"""Value of a label whose sources contradict each other."""

FREE_TEXT = ("histology", "source_id")
"""Labels in free text: the first of several columns or tables counts."""

NO_NAMES = "a table with a column of the subjects' names, such as `participant_id`"
"""Expectation that is reported if no column names subjects."""

_MAX_LISTED, _MAX_TRIED = 12, 20
_UNCERTAIN_RANK = 3
"""Rank of :func:`id_rank` from which a column does not certainly name subjects."""


class Reading(NamedTuple):
    """Content of one table.

    Attributes
    ----------
    name : str
        Name of the table.
    values : DataFrame
        Labels by subject: a value, a tuple for one that cannot be used, or NA.
    columns : dict of str to list of str
        Columns of each label.
    conflicting, unknown, unmatched, warnings, entries : list
        See :class:`epitome_kit.sources.labels.Labels`.
    """

    name: str
    values: pd.DataFrame
    columns: dict[str, list[str]]
    conflicting: list[str]
    unknown: list[str]
    unmatched: list[tuple[str, str]]
    warnings: list[str]
    entries: list[Entry]


class _IdColumn(NamedTuple):
    """A column that may name the subjects."""

    score: int
    rank: int
    name: str
    ids: pd.Series
    found: dict[str, Match]


def read_table(path: PathLike, subjects: Iterable[str], *, name: str | None = None) -> Reading:
    """Read one table of labels.

    Parameters
    ----------
    path : path
        The table.
    subjects : iterable of str
        Names of the subjects.
    name : str, default=None
        Name of the table in the ledger; None takes the file name.

    Returns
    -------
    Reading

    Raises
    ------
    CohortError
        The file is not a table, or none of its columns names subjects.

    See Also
    --------
    epitome_kit.sources.labels.read_labels : The rules by which columns are read.
    """
    path = Path(path)
    name = name or path.name
    try:
        table = read_text_table(path, where="read_labels", columns=_is_header)
    except TableError as error:
        raise CohortError(error.where, error.expected, error.received, error.hint) from error
    id_column, ids, found = _find_ids(table, list(subjects), path)
    columns = _find_label_columns(table.drop(columns=id_column))
    read = {id_column}.union(*columns.values())
    unread = [column for column in table if column not in read]
    rows, unknown = _understand(table, columns, ids.map(lambda written: found.get(written, (None,))[0]).notna())
    values, conflicting = {}, {}
    for written, (subject, _) in found.items():
        if subject:
            own_rows = rows[(ids == written).to_numpy()].drop_duplicates()
            values[subject] = {label: merge_values(own_rows[label], label) for label in LABELS}
            differing = [label for label in LABELS if values[subject][label] is CONTRADICTORY]
            if differing and len(own_rows) > 1:
                conflicting[subject] = differing
    frame = pd.DataFrame([*values.values()], index=list(values), columns=LABELS, dtype=object)
    frame = frame.where(frame.notna(), pd.NA)
    return Reading(
        name=name,
        values=frame,
        columns=columns,
        conflicting=sorted(conflicting),
        unknown=unknown,
        unmatched=[(written, rule) for written, (subject, rule) in found.items() if not subject],
        warnings=_warn(name, columns, unread, frame, list(found), conflicting),
        entries=[
            _describe(name, id_column, columns, unread, table.attrs["notes"]),
            *(
                _entry(f"{name} row {number}", written, found, rows.iloc[number - 1], conflicting)
                for number, written in enumerate(ids, start=1)
            ),
        ],
    )


def merge_values(values: Iterable[object], label: str) -> object:
    """Merge the values of one label.

    Parameters
    ----------
    values : iterable
        Values, tuples for those that cannot be used, and NA.
    label : str
        Name of the label.

    Returns
    -------
    object
        The common value; NA if there is none; :data:`CONTRADICTORY` if values differ. Ages
        less than a year apart count as equal, and the first is taken.
    """
    stated = {str(value).casefold(): value for value in values if is_stated(value)}
    first, *others = [*stated.values()] or [pd.NA]
    if label == "age" and isinstance(first, (int, float)):
        others = [other for other in others if not isinstance(other, (int, float)) or abs(other - first) >= 1]
    return CONTRADICTORY if others else first


def is_stated(value: object) -> bool:
    """Return whether a value is present, understood or not."""
    return isinstance(value, tuple) or bool(pd.notna(value))


def _is_header(names: Sequence[str]) -> bool:
    """Return whether a row of a table names a column of subjects and one of labels."""
    ranks = [rank for rank in map(id_rank, names) if rank is not None]
    return bool(find_columns(names)) and bool(ranks) and len(names) > 1


def _find_ids(table: pd.DataFrame, subjects: Sequence[str], path: Path) -> tuple[str, pd.Series, dict[str, Match]]:
    """Find the column that names the subjects: its name, its values and the subjects that match them."""
    columns = []
    for number, column in enumerate(table.columns):
        rank = id_rank(column)
        ids, sure = _plain_ids(table[column]), rank is not None and rank < _UNCERTAIN_RANK
        if (rank is None and number >= _MAX_TRIED) or not (sure or ids.str.contains(r"[^\W\d_]").any()):
            continue
        found = match_names(ids.dropna().tolist(), subjects)
        if not sure:  # a number may be a row count, or anything else
            found = {name: (None, match[1]) if name.isdigit() else match for name, match in found.items()}
        score = sum(strictness(rule) for subject, rule in found.values() if subject)
        if score or sure:
            columns.append(_IdColumn(score, -(_UNCERTAIN_RANK if rank is None else rank), column, ids, found))
    if not columns:
        received = f"columns {', '.join(map(str, table.columns[:8]))} in {path}"
        raise CohortError("read_labels", NO_NAMES, received, f"rename that column to `participant_id` in {path.name}")
    strict = [
        each for each in columns if any(subject and strictness(rule) > 3 for subject, rule in each.found.values())
    ]
    first = next((each for each in strict if each.rank == 0), None)
    best = first or max(columns, key=lambda each: (each.score, each.rank))
    for each in [] if first else columns:
        if each.rank > -2 and _differ(each.ids, each.found, best.ids, best.found):
            received = f"columns {best.name} and {each.name} in {path}, which name other subjects in the same rows"
            hint = f"rename the right one to `participant_id` in {path.name}, and remove the other"
            raise CohortError("read_labels", "one column of the subjects' names", received, hint)
    return best.name, best.ids, best.found


def _differ(ids: pd.Series, found: Mapping[str, Match], other_ids: pd.Series, other_found: Mapping[str, Match]) -> bool:
    """Return whether two columns name different subjects in one row."""
    one = ids.map(lambda name: found[name][0], na_action="ignore").dropna()
    other = other_ids.map(lambda name: other_found[name][0], na_action="ignore").dropna()
    both = one.index.intersection(other.index)
    return bool((one[both] != other[both]).any())


def _plain_ids(written: pd.Series) -> pd.Series:
    """Return names as text; if all are integers saved as ``1.0``, without the decimal."""
    ids = written.where(~written.str.lower().isin(["n/a", "na", "nan"]))
    return ids.str.replace(r"\.0+$", "", regex=True) if ids.dropna().str.fullmatch(r"\d+\.0+").all() else ids


def _find_label_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """Find the columns of each label; columns of subtypes only if they contain a 1p/19q status."""
    columns = find_columns(list(table.columns))
    subtypes = columns.pop("subtype", [])
    used = [
        name for name in subtypes if any(is_stated(read_value("subtype", text)[0]) for text in table[name].dropna())
    ]
    return columns | {"codeletion": [*columns.get("codeletion", []), *used]} if used else columns


def _understand(
    table: pd.DataFrame, columns: Mapping[str, Sequence[str]], counted: pd.Series
) -> tuple[pd.DataFrame, list[str]]:
    """Read every label row by row; list values that were not understood, with the number of rows and the reason."""
    rows = pd.DataFrame(pd.NA, index=table.index, columns=LABELS, dtype=object)
    failed: Counter[tuple[str, str, str]] = Counter()
    for label, names in columns.items():
        joined, codes = [], [find_code(label, table[name].dropna()) for name in names]
        for counts, *texts in zip(counted, *(table[name] for name in names), strict=True):
            values: list[object] = []
            for text, code in zip(texts, codes, strict=True):
                if pd.isna(text):
                    continue
                value, problem = (pd.NA, code) if code and is_number(text) else read_value(label, text)
                if problem and counts:
                    failed[label, text, problem] += 1
                values.append((text, problem) if problem else value)
            values = list(filter(is_stated, values))
            joined.append(merge_values(values[:1] if label in FREE_TEXT else values, label))
        rows[label] = pd.Series(joined, index=table.index, dtype=object)
    unknown = [
        f"{label} {text[:60]} ({count} row{'s' * (count > 1)}: {problem})"
        for (label, text, problem), count in sorted(failed.items())
    ]
    return rows, unknown


def _warn(
    name: str,
    columns: Mapping[str, Sequence[str]],
    unread: Sequence[str],
    values: pd.DataFrame,
    written: Sequence[str],
    conflicting: Collection[str],
) -> list[str]:
    """List what users must know: unused tables and columns, and columns that contradict each other."""
    if values.empty:
        return [f"{name}: none of its {len(written)} names is that of a subject, such as {', '.join(written[:3])}"]
    warnings = [
        f"{name}: column {column} was not read, though it may say {label}; if it does, rename it to `{label}`"
        for label in TARGETS
        if label not in columns
        for column in unread
        if looks_like(label, column)
    ][:_MAX_LISTED]
    for label in [label for label in columns if label not in FREE_TEXT]:
        stated = values[label][values[label].map(is_stated)]
        lost = [value[0] for value in stated if isinstance(value, tuple)]
        if label in TARGETS and lost and len(lost) == len(stated):
            held = ", ".join(dict.fromkeys(lost))
            warnings.append(f"{name}: no usable {label} in column {columns[label][0]} ({held[:120]})")
        odd = [subject for subject in stated.index if stated[subject] is CONTRADICTORY and subject not in conflicting]
        if odd:
            names = " and ".join(columns[label])
            warnings.append(f"{name}: columns {names} contradict each other: no {label} for {', '.join(odd[:3])}")
    return warnings


def _describe(
    name: str, id_column: str, columns: Mapping[str, Sequence[str]], unread: Sequence[str], notes: Iterable[str]
) -> Entry:
    """Make the ledger entry of a table."""
    where = [f"{label} in {' and '.join(names)}" for label, names in columns.items()]
    more = f" and {len(unread) - _MAX_LISTED} others" if len(unread) > _MAX_LISTED else ""
    return Entry(
        source=name,
        kind="table",
        taken_as="labels",
        evidence="; ".join([f"names in {id_column}", *where, *notes]),
        reason=f"not read: {', '.join(unread[:_MAX_LISTED])}{more}" if unread else "",
    )


def _entry(
    source: str, written: str, found: Mapping[str, Match], values: pd.Series, conflicting: Mapping[str, list[str]]
) -> Entry:
    """Make the ledger entry of one row."""
    if pd.isna(written):
        return Entry(source, "label", reason="names no subject")
    subject, rule = found[written]
    if not subject:
        return Entry(source, "label", evidence=written, reason=rule)
    stated = {str(label): value for label, value in values.items() if is_stated(value)}
    known = {label: value for label, value in stated.items() if not isinstance(value, tuple)}
    lost = [f"{label}: {value[-1]}" for label, value in stated.items() if isinstance(value, tuple)]
    evidence = ", ".join([f"{written} {rule}", *(f"{label} {value}" for label, value in known.items())])
    if subject in conflicting:
        reason = f"rows of one subject that differ in {' and '.join(conflicting[subject])}"
        return Entry(source, "label", subject, evidence=evidence, reason=reason)
    reason = "; ".join(lost) or ("" if known else "no label in it")
    return Entry(source, "label", subject, "labels" if known else "", evidence, reason)
