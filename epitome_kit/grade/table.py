"""Read and check a table of features, with one or several rows per subject, for grading."""

import difflib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.errors import LeakageError, TableError
from epitome_kit.files import Json, PathLike
from epitome_kit.grade.columns import is_id, people_column, row_numbers, whole_or_text
from epitome_kit.grade.groups import require_disjoint
from epitome_kit.grade.leaks import require_no_copy, require_no_leaks
from epitome_kit.grade.numbers import (
    as_labels,
    as_numbers,
    has_decimal_commas,
    is_symbol,
    mask_missing,
    odd_values,
    require_one_notation,
)
from epitome_kit.learn.probes import GROUP, NOT_FEATURES, PROBE, add_probe
from epitome_kit.tables import read_text_table

_MIN_SUBJECTS = 10  # of each class
_MAX_CATEGORIES = 10


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """Roles of the columns of a table of features.

    All other columns with numbers are features, except row numbers and ids.

    Parameters
    ----------
    label : str
        Column of the class, with two values, text or numbers. Subjects without a
        label are left out.
    id : str, default=None
        Column that names the subject, or, with `group`, the row; names are compared
        as text. None numbers the rows.
    positive : str, default=None
        Value of the positive class; None uses the larger number, or the later text
        in alphabetical order.
    drop : sequence of str, default=()
        Columns to leave out.
    probes : sequence of str, default=()
        Confounders, such as age: scored alone, never used as features.
    subgroups : sequence of str, default=()
        Columns, such as sex or site, in whose subgroups the model is scored; never used
        as features.
    group : str, default=None
        Column that groups rows, such as the patient of a scan: the rows of a group
        are in one fold.
    no_group : bool, default=False
        States that rows are of different persons, although a column suggests
        otherwise.
    allow_leak : sequence of str, default=()
        Features that may reveal the label, or follow the order of the rows; recorded
        in the scores.

    See Also
    --------
    grade_table : Grade a table of features.
    epitome_kit.grade.read_features : Read a table of features.

    Examples
    --------
    >>> import epitome_kit as ek
    >>> columns = ek.TableColumns(label="grade", id="patient", probes=["age"])
    >>> columns.label, columns.probes
    ('grade', ['age'])
    """

    label: str
    id: str | None = None
    positive: str | None = None
    drop: Sequence[str] = ()
    probes: Sequence[str] = ()
    subgroups: Sequence[str] = ()
    group: str | None = None
    no_group: bool = False
    allow_leak: Sequence[str] = ()


def read_features(table: pd.DataFrame | PathLike, columns: TableColumns) -> tuple[pd.DataFrame, Json]:
    """Read a table of features.

    Row numbers and ids are never features. A feature that alone reveals the label is
    rejected: see :func:`epitome_kit.grade.leaks.find_leaks`.

    Parameters
    ----------
    table : DataFrame or path
        Text with commas, semicolons or tabs, plain or as ``.gz``, or ``.xlsx``: see
        :func:`epitome_kit.tables.read_text_table`.
    columns : TableColumns
        Roles of its columns; only the label is required.

    Returns
    -------
    features : DataFrame
        ``participant_id``, ``label`` (0 or 1), with a group also ``group_id``, features as
        numbers and columns of probes, as
        :func:`epitome_kit.learn.probes.add_probe` names them.
    notes : dict
        ``classes`` (names of 0 and 1), and names of what was left out:
        ``without_label``, ``not_numbers``, ``constant``, ``row_numbers``, ``ids``;
        ``missing_values``; ``group``; ``rows_apart``; ``allowed_leaks``; ``reading``;
        ``subgroups``, a DataFrame of the columns of subgroups, indexed by participant_id.

    Raises
    ------
    TableError
        The table cannot be read, a column does not exist, the label does not have two
        values, or a class has fewer than ten subjects.
    LeakageError
        A subject has two rows; two subjects have the same features; a column names
        persons and has repeated values; a column is a copy of the label, or a feature
        reveals it.
    """
    label, id, group = columns.label, columns.id, columns.group
    if isinstance(table, pd.DataFrame):
        frame, reading = table.copy(), list[str]()
    else:
        frame, reading = _read(table, {name for name in (label, id, group) if name is not None}, columns.drop)
    _require_cells(frame)
    frame.columns = _unique([str(name).strip() for name in frame.columns])
    named = (*columns.drop, *columns.probes, *columns.subgroups, *columns.allow_leak)
    for name in filter(None, (label, id, group, *named)):
        _require_column(frame, name)
    _require_roles(frame, columns)
    labels = as_labels(frame[label])
    labelled = labels.notna()
    if not labelled.any():
        received, hint = f"{len(frame)} rows, none with a label", "check the column, or use another one for `--label`"
        raise TableError("grade", f"a label of two values in {label}", received, hint)
    reading += require_disjoint(frame[labelled], label, id, group, columns.no_group, columns.drop)
    frame = frame.drop(columns=[name for name in columns.drop if name not in (group, *columns.subgroups)])
    names = _names(frame, id)
    variables = _variables(frame[labelled], columns).set_axis(names[labelled])
    frame = frame.drop(columns=[name for name in columns.subgroups if name not in (group, *columns.probes)])
    unread = frame[label][~labelled].dropna().astype(str).unique()
    codes, classes = _code(labels[labelled], label, columns.positive, unread)
    others = mask_missing(frame.drop(columns=[name for name in (label, id, group) if name]))
    numbers = as_numbers(others)
    text = [name for name in others if numbers[name].isna().sum() > others[name].isna().sum()]
    kept, excluded, likely = _without_ids(numbers.drop(columns=[*{*text, *columns.probes}]), columns.allow_leak)
    for part in (others[text], numbers.drop(columns=text)):
        require_no_copy(part[labelled], codes, label, allowed=columns.allow_leak)
    reading += odd_values(kept[labelled])
    reading += [f"{text!r} in column {label} was read as no label" for text in unread]
    with np.errstate(over="ignore"):
        features = kept[labelled].astype(np.float32).replace([np.inf, -np.inf], np.nan)
    constant = features.columns[features.nunique() < 2].tolist()
    features = features.drop(columns=constant)
    if features.empty:
        received = f"{len(text)} columns of text and {len(constant)} constant ones"
        raise TableError("grade", "numeric features that are not constant", received, "add columns of numbers")
    groups = frame[group][labelled].astype(str) if group else None
    _require_different(features, names[labelled], groups)
    leaks = require_no_leaks(features, codes, label, groups=groups, allowed=columns.allow_leak)
    notes = {
        "without_label": names[~labelled].tolist(),
        "not_numbers": [name for name in text if name not in columns.probes],
        **excluded,
        "constant": constant,
        "allowed_leaks": {**likely, **leaks},
        "rows_apart": people_column(frame[labelled], exclude=(label, id)) if columns.no_group else None,
        "group": {"column": group, "groups": int(groups.nunique())} if groups is not None else {},
        "reading": reading,
        "missing_values": float(features.isna().to_numpy().mean()),
    }
    features = _with_roles(features, names[labelled], codes, groups)
    for name in columns.probes:
        values = others[name] if name in text else numbers[name].replace([np.inf, -np.inf], np.nan)
        values = _indicator_columns(values[labelled]) if name in text else values[labelled]
        features = add_probe(features, name.replace("_", "-"), values.set_axis(names[labelled]).astype(np.float32))
    return features.reset_index(drop=True), {"classes": classes, "subgroups": variables, **notes}


def _read(path: PathLike, columns: set[str], drop: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    frame = read_text_table(Path(path), where="grade", columns=columns)
    if not len(frame.columns) > 1:
        raise TableError("grade", "a table of several columns", f"{path}, with one", "name a .csv, .tsv or .xlsx file")
    notes = frame.attrs.pop("notes")
    frame = frame.astype(object)
    require_one_notation(frame.drop(columns=[*{*columns, *drop}], errors="ignore"))
    commas = has_decimal_commas(frame)
    frame[commas] = frame[commas].apply(lambda texts: texts.str.replace(",", "."))
    return frame, notes


def _require_cells(frame: pd.DataFrame) -> None:
    """Raise an error if the table is empty, or a cell has more than one value."""
    if frame.empty:
        received = f"{len(frame)} rows and {len(frame.columns)} columns"
        raise TableError("grade", "a table with rows", received, "pass a table with one row per subject")
    for name, column in frame.items():
        cells = column if column.dtype == object else ()
        several = [cell for cell in cells if isinstance(cell, (Collection, np.ndarray)) and not np.isscalar(cell)]
        if several:
            received = f"a {type(several[0]).__name__} in column {name}"
            raise TableError("grade", "one value per cell", received, f"give each value a column, or drop {name}")


def _unique(names: Sequence[str]) -> list[str]:
    """Append ``.1`` and so on to repeated names."""
    before, found = Counter[str](), list[str]()
    for name in names:
        found.append(f"{name}.{before[name]}" if before[name] else name)
        before[name] += 1
    return found


def _with_roles(features: pd.DataFrame, names: pd.Series, codes: pd.Series, groups: pd.Series | None) -> pd.DataFrame:
    """Prepend columns of subject, label and group."""
    reserved = [name for name in features if name in NOT_FEATURES or name.startswith(PROBE)]
    if reserved:
        received, hint = f"a feature {reserved[0]}", f"rename it, or `--drop {reserved[0]}`"
        raise TableError("grade", "no feature with a reserved name", received, hint)
    roles = {"participant_id": names, "label": codes, **({GROUP: groups} if groups is not None else {})}
    return pd.concat([pd.DataFrame(roles), features], axis=1)


def _require_column(frame: pd.DataFrame, name: str) -> None:
    if name not in frame:
        plain = {str(column).lower(): str(column) for column in frame.columns}
        similar = difflib.get_close_matches(name.lower(), plain, n=3, cutoff=0.4)
        similar += [each for each in plain if name.lower() in each and each not in similar]
        near = [plain[each] for each in similar[:3]] or list(frame.columns[:3])
        received = f"{len(frame.columns)} columns, none with this name"
        raise TableError("grade", f"a column {name!r}", received, f"use one of the table, such as {', '.join(near)}")


def _require_roles(frame: pd.DataFrame, columns: TableColumns) -> None:
    """Raise an error if a column has two roles, or occurs twice."""
    label, id, group, drop = columns.label, columns.id, columns.group, columns.drop
    if {label, id} & set(columns.subgroups):
        received = ", ".join(columns.subgroups)
        expected, hint = "subgroups by columns other than label and subject", "remove them from `--subgroups`"
        raise TableError("grade", expected, received, hint)
    repeated = [name for name in (label, id, group) if f"{name}.1" in frame]
    if repeated:
        raise TableError("grade", f"one column {repeated[0]!r}", "several of that name", "rename all but one")
    if {label, id} & set(drop):
        received = ", ".join(drop)
        expected, hint = "columns to drop other than label and subject", "remove them from `--drop`"
        raise TableError("grade", expected, received, hint)
    if group and columns.no_group:
        raise TableError("grade", "one of `--group` and `--no-group`", "both", "remove one of them")
    if group and group in (label, id):
        received, hint = f"{group} for both", f"use `--group {group}` without `--id`, which numbers the rows"
        raise TableError("grade", "a group that is neither the label nor the name of a row", received, hint)


def _names(frame: pd.DataFrame, id: str | None) -> pd.Series:
    """Return the name of each row as text; its number without a column of names."""
    if id is None:
        return pd.Series(np.arange(1, len(frame) + 1), frame.index).astype(str)
    return frame[id].astype(str)


def _without_ids(
    numbers: pd.DataFrame, allowed: Collection[str]
) -> tuple[pd.DataFrame, dict[str, list[str]], dict[str, str]]:
    """Drop ids and row numbers; raise an error if another column may be row numbers."""
    ids = [name for name in numbers if is_id(name) and whole_or_text(numbers[name])]
    kept = numbers.drop(columns=ids)
    counted, likely = row_numbers(kept)
    refused = [name for name in likely if name not in allowed]
    if refused:
        received = f"column {refused[0]}, which {likely[refused[0]]}"
        hint = f"`--drop {refused[0]}`, or `--allow-leak {refused[0]}` if it was measured"
        raise LeakageError("grade", "features that are not row numbers", received, hint)
    return kept.drop(columns=counted), {"ids": ids, "row_numbers": counted}, likely


def _variables(frame: pd.DataFrame, columns: TableColumns) -> pd.DataFrame:
    """Return the columns of subgroups: numbers if all of their values are, else text."""
    found = mask_missing(frame[list(dict.fromkeys(columns.subgroups))])
    numbers = as_numbers(found)
    for name in found:
        if numbers[name].notna().sum() == found[name].notna().sum():
            found[name] = numbers[name]
        elif found[name].nunique() > 2 * _MAX_CATEGORIES:
            expected = f"numbers, or at most {2 * _MAX_CATEGORIES} subgroups, in {name}"
            raise TableError("grade", expected, f"{found[name].nunique()} different texts", "merge subgroups")
    return found


def _indicator_columns(words: pd.Series) -> pd.DataFrame:
    """Return one indicator column for each category of a text column."""
    columns = pd.get_dummies(words, dtype=np.float32)
    if columns.shape[1] > _MAX_CATEGORIES:
        expected = f"numbers, or at most {_MAX_CATEGORIES} categories, in {words.name}"
        raise TableError("grade", expected, f"{columns.shape[1]} different texts", "merge categories")
    return columns


def _code(values: pd.Series, label: str, positive: str | None, unread: Sequence[str]) -> tuple[pd.Series, list[str]]:
    """Return the classes as 0 and 1, and their names."""
    kinds = sorted(values.unique())
    names = [f"{kind:g}" if isinstance(kind, float) else str(kind) for kind in kinds]
    if len(kinds) != 2:
        received = f"{len(kinds)} values in {label}: {', '.join(names[:5])}"
        received += "".join(f", and {text!r}, which is read as missing" for text in unread[:2])
        hint = "use another word for that class" if len(unread) else "keep the subjects of two classes"
        raise TableError("grade", "a label of two values", received, hint)
    symbols = [name for name in names if is_symbol(name)]
    if symbols and "+" not in names:
        hint = "write the class as a word, or leave the cell empty if there is no label"
        raise TableError("grade", "a word for each class", f"{symbols[0]!r} as a value of {label}", hint)
    if positive is not None and positive not in names:
        raise TableError("grade", f"a positive class out of {' and '.join(names)}", repr(positive), "use one of them")
    if positive == names[0]:
        kinds, names = kinds[::-1], names[::-1]
    codes = (values == kinds[1]).astype(int)
    fewest = int(np.bincount(codes, minlength=2).min())
    if fewest < _MIN_SUBJECTS:
        received = f"{fewest} of {len(codes)} in the smaller class of {label}"
        raise TableError("grade", f"at least {_MIN_SUBJECTS} subjects of each class", received, "add subjects")
    return codes, names


def _require_different(features: pd.DataFrame, names: pd.Series, groups: pd.Series | None) -> None:
    """Raise an error if two rows have the same features, unless they are of one group or equal by chance."""
    duplicates = features.duplicated(keep=False) & features.notna().any(axis=1)
    if not duplicates.any() or _expected_duplicates(features) >= 0.5:
        return
    first = features[duplicates].groupby(list(features.columns), dropna=False, sort=False).ngroup()
    if groups is not None:
        spread = groups[duplicates].groupby(first).nunique()
        first = first[first.isin(spread.index[spread > 1])]
    if len(first):
        pair = names[first.index[first == first.iloc[0]]]
        received = f"the same features for {' and '.join(pair[:2])}, and {len(first)} such rows in all"
        raise LeakageError("grade", "each scan under one name", received, "keep one of them")


def _expected_duplicates(features: pd.DataFrame) -> float:
    """Return the expected number of pairs of equal rows if features were independent."""
    pairs = len(features) * (len(features) - 1) / 2
    counts = [features[name].value_counts(dropna=False).to_numpy() for name in features]
    return pairs * float(np.prod([(each * (each - 1) / 2).sum() / pairs for each in counts]))
