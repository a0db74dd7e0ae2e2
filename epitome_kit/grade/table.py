"""A table of one's own: any features, one row a subject or several, made ready for grading."""

import difflib
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.errors import LeakageError, TableError
from epitome_kit.grade.columns import is_id, people_column, row_numbers, whole_or_text
from epitome_kit.grade.groups import require_apart
from epitome_kit.grade.leaks import require_no_copy, require_no_leaks
from epitome_kit.grade.numbers import (
    as_labels,
    as_numbers,
    has_decimal_commas,
    is_no_word,
    odd_values,
    require_one_notation,
    without_gaps,
)
from epitome_kit.learn.probes import GROUP, NOT_FEATURES, PROBE, add_probe
from epitome_kit.tables import read_text_table

_FEWEST = 10
_MOST_WORDS = 10


def read_features(
    table, *, label, id=None, positive=None, drop=(), probes=(), group=None, no_group=False, allow_leak=()
):
    """Read a table of features.

    Row numbers and ids are never features. A feature that alone gives the label
    away is refused: see :func:`epitome_kit.grade.leaks.find_leaks`.

    Parameters
    ----------
    table : DataFrame or path
        Text with commas, semicolons or tabs, plain or as ``.gz``, or ``.xlsx``: see
        :func:`epitome_kit.tables.read_text_table`.
    label : str
        Column of the class; two values, text or numbers. Subjects without one are
        left out.
    id : str, default=None
        Column that names the subject, or, with `group`, the row, letter by letter; None
        numbers the rows.
    positive : str, default=None
        Value of the positive class; None takes the larger one, or the later in the
        alphabet.
    drop, probes : sequence of str, default=()
        Columns to leave out; and columns that are no features, each tried alone
        as a probe, such as age.
    group : str, default=None
        Column of what several rows have in common, such as the patient of a scan: its
        rows stand in one fold.
    no_group : bool, default=False
        Rows are of different people, though a column is named as if it said otherwise.
    allow_leak : sequence of str, default=()
        Features that may give the label away, or follow the order of the rows.

    Returns
    -------
    features : DataFrame
        ``participant_id``, ``label`` (0 or 1), with `group` also ``group_id``, features as
        numbers and columns of probes, as
        :func:`epitome_kit.learn.probes.add_probe` names them.
    notes : dict
        ``classes`` (names of 0 and 1), and names of what was left out:
        ``without_label``, ``not_numbers``, ``constant``, ``row_numbers``, ``ids``;
        ``missing_values``; ``group``; ``rows_apart``; ``allowed_leaks``; ``reading``.

    Raises
    ------
    TableError
        It cannot be read, a column is not there, the label has not two values, or
        there are fewer than ten subjects of a class.
    Leak
        A subject has two rows; two subjects have the same features; a column names
        people and repeats; a column says the label in other words, or a feature gives it away.
    """
    given = isinstance(table, pd.DataFrame)
    frame, reading = (table.copy(), []) if given else _read(table, {label, id, group} - {None}, drop)
    _require_cells(frame)
    frame.columns = _unique([str(name).strip() for name in frame.columns])
    for name in filter(None, (label, id, group, *drop, *probes, *allow_leak)):
        _require_column(frame, name)
    _require_roles(frame, label, id, group, no_group, drop)
    labels = as_labels(frame[label])
    labelled = labels.notna()
    reading += require_apart(frame[labelled], label, id, group, no_group, drop)
    frame = frame.drop(columns=[name for name in drop if name != group])
    names = _names(frame, id)
    unread = frame[label][~labelled].dropna().astype(str).unique()
    codes, classes = _code(labels[labelled], label, positive, unread)
    others = without_gaps(frame.drop(columns=[name for name in (label, id, group) if name]))
    numbers = as_numbers(others)
    text = [name for name in others if numbers[name].isna().sum() > others[name].isna().sum()]
    kept, set_aside, likely = _set_aside(numbers.drop(columns=[*{*text, *probes}]), allow_leak)
    for part in (others[text], numbers.drop(columns=text)):
        require_no_copy(part[labelled], codes, label, allowed=allow_leak)
    reading += odd_values(kept[labelled])
    reading += [f"{text!r} in column {label} was read as no label" for text in unread]
    with np.errstate(over="ignore"):
        features = kept[labelled].astype(np.float32).replace([np.inf, -np.inf], np.nan)
    constant = features.columns[features.nunique() < 2].tolist()
    features = features.drop(columns=constant)
    if features.empty:
        received = f"{len(text)} columns of text and {len(constant)} constant ones"
        raise TableError("grade", "features in numbers that differ", received, "add columns of numbers")
    groups = frame[group][labelled].astype(str) if group else None
    _require_different(features, names[labelled], groups)
    leaks = require_no_leaks(features, codes, label, groups=groups, allowed=allow_leak)
    notes = {
        "without_label": names[~labelled].tolist(),
        "not_numbers": [name for name in text if name not in probes],
        **set_aside,
        "constant": constant,
        "allowed_leaks": {**likely, **leaks},
        "rows_apart": people_column(frame[labelled], besides=(label, id)) if no_group else None,
        "group": {"column": group, "groups": int(groups.nunique())} if group else {},
        "reading": reading,
        "missing_values": float(features.isna().to_numpy().mean()),
    }
    features = _with_roles(features, names[labelled], codes, groups)
    for name in probes:
        values = others[name] if name in text else numbers[name].replace([np.inf, -np.inf], np.nan)
        values = _columns_of_words(values[labelled]) if name in text else values[labelled]
        features = add_probe(features, name.replace("_", "-"), values.set_axis(names[labelled]).astype(np.float32))
    return features.reset_index(drop=True), {"classes": classes, **notes}


def _read(path, columns, drop):
    frame = read_text_table(Path(path), where="grade", columns=columns)
    if not len(frame.columns) > 1:
        raise TableError("grade", "a table of several columns", f"{path}, with one", "name a .csv, .tsv or .xlsx file")
    notes = frame.attrs.pop("notes")
    frame = frame.astype(object)
    require_one_notation(frame.drop(columns=[*{*columns, *drop}], errors="ignore"))
    commas = has_decimal_commas(frame)
    frame[commas] = frame[commas].apply(lambda texts: texts.str.replace(",", "."))
    return frame, notes


def _require_cells(frame):
    """Complain of a table without any cell, and of cells that hold more than one value."""
    if frame.empty:
        received = f"{len(frame)} rows and {len(frame.columns)} columns"
        raise TableError("grade", "a table with rows", received, "name one with a line a subject")
    for name, column in frame.items():
        cells = column if column.dtype == object else ()
        several = [cell for cell in cells if isinstance(cell, (Collection, np.ndarray)) and not np.isscalar(cell)]
        if several:
            received = f"a {type(several[0]).__name__} in column {name}"
            raise TableError("grade", "one value a cell", received, f"give each value a column, or leave {name} out")


def _unique(names):
    """Let names that stand twice end in ``.1`` and so on."""
    before, found = Counter(), []
    for name in names:
        found.append(f"{name}.{before[name]}" if before[name] else name)
        before[name] += 1
    return found


def _with_roles(features, names, codes, groups):
    """Put in front whose the rows are, their label and their group."""
    reserved = [name for name in features if name in NOT_FEATURES or name.startswith(PROBE)]
    if reserved:
        received, hint = f"a feature {reserved[0]}", f"rename it, or `--drop {reserved[0]}`"
        raise TableError("grade", "features that are not called as columns of the kit are", received, hint)
    roles = {"participant_id": names, "label": codes, **({GROUP: groups} if groups is not None else {})}
    return pd.concat([pd.DataFrame(roles), features], axis=1)


def _require_column(frame, name):
    if name not in frame:
        plain = {str(column).lower(): str(column) for column in frame.columns}
        alike = difflib.get_close_matches(name.lower(), plain, n=3, cutoff=0.4)
        alike += [each for each in plain if name.lower() in each and each not in alike]
        near = [plain[each] for each in alike[:3]] or list(frame.columns[:3])
        received = f"{len(frame.columns)} columns, none called so"
        raise TableError("grade", f"a column {name!r}", received, f"take one that is there, such as {', '.join(near)}")


def _require_roles(frame, label, id, group, no_group, drop):
    """Complain of a column that is asked to be two things, or that stands twice."""
    twice = [name for name in (label, id, group) if f"{name}.1" in frame]
    if twice:
        raise TableError("grade", f"one column {twice[0]!r}", "several of that name", "rename all but one")
    if {label, id} & set(drop):
        received = ", ".join(drop)
        raise TableError("grade", "columns to drop beside label and subject", received, "leave them out of `--drop`")
    if group and no_group:
        raise TableError("grade", "one of `--group` and `--no-group`", "both", "leave one out")
    if group and group in (label, id):
        received, hint = f"{group} for both", f"leave `--id` out beside `--group {group}`, and rows are numbered"
        raise TableError("grade", "a group that is neither the label nor the name of a row", received, hint)


def _names(frame, id):
    """Name of each row, letter by letter; its number where no column has it."""
    if id is None:
        return pd.Series(np.arange(1, len(frame) + 1), frame.index).astype(str)
    return frame[id].astype(str)


def _set_aside(numbers, allowed):
    """Part the features from ids and row numbers; complain of what may be the latter."""
    ids = [name for name in numbers if is_id(name) and whole_or_text(numbers[name])]
    kept = numbers.drop(columns=ids)
    counted, likely = row_numbers(kept)
    refused = [name for name in likely if name not in allowed]
    if refused:
        received = f"column {refused[0]}, which {likely[refused[0]]}"
        hint = f"`--drop {refused[0]}`, or `--allow-leak {refused[0]}` where it was measured"
        raise LeakageError("grade", "features that do not number the rows", received, hint)
    return kept.drop(columns=counted), {"ids": ids, "row_numbers": counted}, likely


def _columns_of_words(words):
    """One column for each word of a column of words: 1 where it stands."""
    columns = pd.get_dummies(words, dtype=np.float32)
    if columns.shape[1] > _MOST_WORDS:
        expected = f"numbers, or at most {_MOST_WORDS} words, in {words.name}"
        raise TableError("grade", expected, f"{columns.shape[1]} different texts", "group the words")
    return columns


def _code(values, label, positive, unread):
    """Classes as 0 and 1, and their names."""
    kinds = sorted(values.unique())
    names = [f"{kind:g}" if isinstance(kind, float) else str(kind) for kind in kinds]
    if len(kinds) != 2:
        received = f"{len(kinds)} values in {label}: {', '.join(names[:5])}"
        received += "".join(f", and {text!r}, which is read as missing" for text in unread[:2])
        hint = "name that class in another word" if len(unread) else "keep the subjects of two classes"
        raise TableError("grade", "a label of two values", received, hint)
    signs = [name for name in names if is_no_word(name)]
    if signs and "+" not in names:
        hint = "write the class as a word, or leave the cell empty where there is no label"
        raise TableError("grade", "a word for each class", f"{signs[0]!r} as a value of {label}", hint)
    if positive is not None and positive not in names:
        raise TableError("grade", f"a positive class out of {' and '.join(names)}", repr(positive), "name one of them")
    if positive == names[0]:
        kinds, names = kinds[::-1], names[::-1]
    codes = (values == kinds[1]).astype(int)
    fewest = int(np.bincount(codes, minlength=2).min())
    if fewest < _FEWEST:
        received = f"{fewest} of {len(codes)} in the smaller class of {label}"
        raise TableError("grade", f"at least {_FEWEST} subjects of each class", received, "add subjects")
    return codes, names


def _require_different(features, names, groups):
    """Complain of two rows with the same features, unless they are of one group, or chance makes such pairs."""
    twins = features.duplicated(keep=False) & features.notna().any(axis=1)
    if not twins.any() or _alike_by_chance(features) >= 0.5:
        return
    first = features[twins].groupby(list(features.columns), dropna=False, sort=False).ngroup()
    if groups is not None:
        spread = groups[twins].groupby(first).nunique()
        first = first[first.isin(spread.index[spread > 1])]
    if len(first):
        pair = names[first.index[first == first.iloc[0]]]
        received = f"the same features for {' and '.join(pair[:2])}, and {len(first)} such rows in all"
        raise LeakageError("grade", "each scan under one name", received, "keep one of them")


def _alike_by_chance(features):
    """Pairs of rows to expect with the same value in every feature, if features knew nothing of each other."""
    pairs = len(features) * (len(features) - 1) / 2
    counts = [features[name].value_counts(dropna=False).to_numpy() for name in features]
    return pairs * float(np.prod([(each * (each - 1) / 2).sum() / pairs for each in counts]))
