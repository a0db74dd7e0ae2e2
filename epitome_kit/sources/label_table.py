"""What one table says of subjects, in the cohort's own terms; whatever finds no place is named."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from epitome_kit.cohort import COLUMNS, TARGETS
from epitome_kit.errors import CohortError, TableError
from epitome_kit.ledger import Entry
from epitome_kit.sources.label_words import find_code, find_columns, id_rank, is_number, looks_like, read_value
from epitome_kit.sources.names import match_names, strictness
from epitome_kit.tables import read_text_table

LABELS = list(COLUMNS)[1:]
"""What is read of a subject."""

AT_ODDS = ("values that contradict each other",)
"""Stands where values differ and nothing says which is right."""

FREE = ("histology", "source_id")
"""Labels in free words: of several columns or tables, the first that has them says it."""

NO_NAMES = "a table with a column of the subjects' names, such as `participant_id`"
"""What was expected where no column names subjects."""

_MOST_NAMED, _MOST_TRIED = 12, 20
_NAMING = 3
"""Ranks of :func:`id_rank` from which a column does not name people for certain."""


class Reading(NamedTuple):
    """What one table says.

    Attributes
    ----------
    name : str
        Of the table.
    values : DataFrame
        By subject, one column a label: a value, a tuple for what cannot be taken, or NA.
    columns : dict of str to list of str
        Columns of each label.
    conflicting, unknown, unmatched, warnings, entries : list
        As in :class:`epitome_kit.sources.labels.Labels`.
    """

    name: str
    values: pd.DataFrame
    columns: dict
    conflicting: list
    unknown: list
    unmatched: list
    warnings: list
    entries: list


def read_one(path, subjects, *, name=None):
    """Read one table of labels.

    Parameters
    ----------
    path, subjects, name
        As for :func:`epitome_kit.sources.labels.read_labels`.

    Returns
    -------
    Reading

    Raises
    ------
    CohortError
        No table, or no column in it names subjects.
    """
    path = Path(path)
    name = name or path.name
    try:
        table = read_text_table(path, where="read_labels", columns=_is_header)
    except TableError as error:
        raise CohortError(error.where, error.expected, error.received, error.hint) from error
    id_column, ids, found = _find_ids(table, subjects, path)
    columns = _find_label_columns(table.drop(columns=id_column))
    unread = [column for column in table if column != id_column and column not in sum(columns.values(), [])]
    rows, unknown = _understand(table, columns, ids.map(lambda written: found.get(written, (None,))[0]).notna())
    values, conflicting = {}, {}
    for written, (subject, _) in found.items():
        if subject:
            mine = rows[(ids == written).to_numpy()].drop_duplicates()
            values[subject] = {label: agreed(mine[label], label) for label in LABELS}
            odd = [label for label in LABELS if values[subject][label] is AT_ODDS]
            if odd and len(mine) > 1:
                conflicting[subject] = odd
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


def agreed(values, label):
    """Join values of one label.

    Parameters
    ----------
    values : iterable
        Values, tuples for what cannot be taken, and NA.
    label : str

    Returns
    -------
    object
        The one value; NA where there is none; :data:`AT_ODDS` where they differ. Ages
        less than a year apart are one, the first.
    """
    stated = {str(value).casefold(): value for value in values if is_stated(value)}
    first, *others = [*stated.values()] or [pd.NA]
    numbers = label == "age" and not any(isinstance(value, tuple) for value in stated.values())
    return AT_ODDS if [other for other in others if not numbers or abs(other - first) >= 1] else first


def is_stated(value):
    """Tell whether anything was said, be it understood or not."""
    return isinstance(value, tuple) or pd.notna(value)


def _is_header(names):
    """Whether a row of a table names a column of subjects, and one of labels."""
    ranks = [rank for rank in map(id_rank, names) if rank is not None]
    return bool(find_columns(names)) and bool(ranks) and len(names) > 1


def _find_ids(table, subjects, path):
    """Find the column that names the subjects: its name, its values, and what they were matched with."""
    columns = []
    for number, column in enumerate(table.columns):
        rank = id_rank(column)
        ids, sure = _plain_ids(table[column]), rank is not None and rank < _NAMING
        if (rank is None and number >= _MOST_TRIED) or not (sure or ids.str.contains(r"[^\W\d_]").any()):
            continue
        found = match_names(ids.dropna().tolist(), subjects)
        if not sure:  # a number may count rows there, or anything else
            found = {name: (None, match[1]) if name.isdigit() else match for name, match in found.items()}
        score = sum(strictness(rule) for subject, rule in found.values() if subject)
        if score or sure:
            columns.append((score, -(_NAMING if rank is None else rank), column, ids, found))
    if not columns:
        received = f"columns {', '.join(map(str, table.columns[:8]))} in {path}"
        raise CohortError("read_labels", NO_NAMES, received, f"call that column `participant_id` in {path.name}")
    strict = [each for each in columns if any(subject and strictness(rule) > 3 for subject, rule in each[4].values())]
    first = next((each for each in strict if each[1] == 0), None)
    best = first or max(columns, key=lambda each: each[:2])
    for _, rank, column, ids, found in [] if first else columns:
        if rank > -2 and _differ(ids, found, *best[3:]):
            received = f"columns {best[2]} and {column} in {path}, which name other subjects in the same rows"
            hint = f"call the right one `participant_id` in {path.name}, and take the other away"
            raise CohortError("read_labels", "one column of the subjects' names", received, hint)
    return best[2:]


def _differ(ids, found, other_ids, other_found):
    """Whether two columns name other subjects in one row."""
    one = ids.map(lambda name: found[name][0], na_action="ignore").dropna()
    other = other_ids.map(lambda name: other_found[name][0], na_action="ignore").dropna()
    both = one.index.intersection(other.index)
    return (one[both] != other[both]).any()


def _plain_ids(written):
    """Names as text; where all are whole numbers saved as ``1.0``, without the point."""
    ids = written.where(~written.str.lower().isin(["n/a", "na", "nan"]))
    return ids.str.replace(r"\.0+$", "", regex=True) if ids.dropna().str.fullmatch(r"\d+\.0+").all() else ids


def _find_label_columns(table):
    """Columns of each label; those of subtypes only where they say anything of 1p/19q."""
    columns = find_columns(list(table.columns))
    subtypes = columns.pop("subtype", [])
    told = [name for name in subtypes if any(pd.notna(read_value("subtype", text)[0]) for text in table[name].dropna())]
    return columns | {"codeletion": [*columns.get("codeletion", []), *told]} if told else columns


def _understand(table, columns, counted):
    """Values of every label, row by row; and what was not understood, with the number of rows and the reason."""
    rows, faults = pd.DataFrame(pd.NA, index=table.index, columns=LABELS, dtype=object), Counter()
    for label, names in columns.items():
        joined, codes = [], [find_code(label, table[name].dropna()) for name in names]
        for counts, *texts in zip(counted, *(table[name] for name in names), strict=True):
            said = []
            for text, code in zip(texts, codes, strict=True):
                if pd.isna(text):
                    continue
                value, fault = (pd.NA, code) if code and is_number(text) else read_value(label, text)
                faults.update([(label, text, fault)] if fault and counts else [])
                said.append((text, fault) if fault else value)
            said = list(filter(is_stated, said))
            joined.append(agreed(said[:1] if label in FREE else said, label))
        rows[label] = pd.Series(joined, index=table.index, dtype=object)
    unknown = [
        f"{label} {text[:60]} ({count} row{'s' * (count > 1)}: {fault})"
        for (label, text, fault), count in sorted(faults.items())
    ]
    return rows, unknown


def _warn(name, columns, unread, values, written, conflicting):
    """Say what a person has to see: a table or a column that was lost, and columns that contradict each other."""
    if values.empty:
        return [f"{name}: none of its {len(written)} names is that of a subject, such as {', '.join(written[:3])}"]
    warnings = [
        f"{name}: column {column} was not read, though it may say {label}; if it does, call it `{label}`"
        for label in TARGETS
        if label not in columns
        for column in unread
        if looks_like(label, column)
    ][:_MOST_NAMED]
    for label in [label for label in columns if label not in FREE]:
        stated = values[label][values[label].map(is_stated)]
        lost = [value[0] for value in stated if isinstance(value, tuple)]
        if label in TARGETS and lost and len(lost) == len(stated):
            held = ", ".join(dict.fromkeys(lost))
            warnings.append(f"{name}: no {label} came through from column {columns[label][0]} ({held[:120]})")
        odd = [subject for subject in stated.index if stated[subject] is AT_ODDS and subject not in conflicting]
        if odd:
            names = " and ".join(columns[label])
            warnings.append(f"{name}: columns {names} contradict each other: no {label} for {', '.join(odd[:3])}")
    return warnings


def _describe(name, id_column, columns, unread, notes):
    """Ledger's entry of the table."""
    where = [f"{label} in {' and '.join(names)}" for label, names in columns.items()]
    more = f" and {len(unread) - _MOST_NAMED} others" if len(unread) > _MOST_NAMED else ""
    return Entry(
        source=name,
        kind="table",
        taken_as="labels",
        evidence="; ".join([f"names in {id_column}", *where, *notes]),
        reason=f"not read: {', '.join(unread[:_MOST_NAMED])}{more}" if unread else "",
    )


def _entry(source, written, found, said, conflicting):
    """Ledger's entry of one row."""
    if pd.isna(written):
        return Entry(source, "label", reason="names no subject")
    subject, rule = found[written]
    if not subject:
        return Entry(source, "label", evidence=written, reason=rule)
    stated = {label: value for label, value in said.items() if is_stated(value)}
    known = {label: value for label, value in stated.items() if not isinstance(value, tuple)}
    lost = [f"{label}: {value[-1]}" for label, value in stated.items() if isinstance(value, tuple)]
    evidence = ", ".join([f"{written} {rule}", *(f"{label} {value}" for label, value in known.items())])
    if subject in conflicting:
        reason = f"rows of one subject that differ in {' and '.join(conflicting[subject])}"
        return Entry(source, "label", subject, evidence=evidence, reason=reason)
    reason = "; ".join(lost) or ("" if known else "no label in it")
    return Entry(source, "label", subject, "labels" if known else "", evidence, reason)
