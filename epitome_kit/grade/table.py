"""A table of one's own: any features, one row a subject, made ready for grading."""

import csv
import difflib
import gzip
import io
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.errors import BadTable, Leak
from epitome_kit.files import MOST_TEXT
from epitome_kit.folds import assign_folds
from epitome_kit.learn.probes import add_probe

_FEWEST = 10
_MOST_WORDS = 10
_NAMES = re.compile(
    r"(patient|participant|subject|case|study|record)s?[_ .-]?(id|name|number|nr|no)?|(.*[_ .-])?id", re.IGNORECASE
)
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)


def read_features(table, *, label, id=None, positive=None, drop=(), probes=()):
    """Read a table of features, one row a subject.

    Parameters
    ----------
    table : DataFrame or path
        Text with commas, semicolons or tabs, plain or as ``.gz``; the first line
        names the columns.
    label : str
        Column of the class; two values, text or numbers. Subjects without one are
        left out.
    id : str, default=None
        Column that names the subject; None numbers the rows.
    positive : str, default=None
        Value of the positive class; None takes the larger one, or the later in the
        alphabet.
    drop, probes : sequence of str, default=()
        Columns to leave out; and columns that are no features, each tried alone
        as a probe, such as age.

    Returns
    -------
    features : DataFrame
        ``participant_id``, ``label`` (0 or 1), features as numbers and columns of
        probes, as :func:`epitome_kit.learn.probes.add_probe` names them.
    notes : dict
        ``classes`` (names of 0 and 1), and names of what was left out:
        ``without_label``, ``not_numbers``, ``constant``; ``missing_values``.

    Raises
    ------
    BadTable
        It cannot be read, a column is not there, the label has not two values, or
        there are fewer than ten subjects of a class.
    Leak
        A subject has two rows; two subjects have the same features; or a column
        says the label in other words.
    """
    frame = table.copy() if isinstance(table, pd.DataFrame) else _read(table)
    for name in filter(None, (label, id, *drop, *probes)):
        _require_column(frame, name)
    twice = [name for name in (label, id) if f"{name}.1" in frame]
    if twice:
        raise BadTable("grade", f"one column {twice[0]!r}", "several of that name", "rename all but one")
    if {label, id} & set(drop):
        raise BadTable(
            "grade", "columns to drop beside label and subject", ", ".join(drop), "leave them out of `--drop`"
        )
    _require_named(frame.drop(columns=[*drop, label]), id)
    frame = frame.drop(columns=list(drop))
    names = (frame[id] if id else pd.Series(np.arange(1, len(frame) + 1), frame.index)).astype(str)
    twice = names[names.duplicated()].unique()
    if len(twice):
        received = f"{len(twice)} names twice in column {id}, such as {twice[0]}"
        raise Leak("grade", "one row a subject", received, "average the rows of a subject, or keep one of them")
    labelled = frame[label].notna()
    left_out = names[~labelled].tolist()
    frame, names = frame[labelled], names[labelled]
    codes, classes = _code(frame[label], label, positive)
    others = frame.drop(columns=[name for name in (label, id) if name])
    _require_no_copy(others, codes, label)
    numbers = others.apply(pd.to_numeric, errors="coerce").astype(np.float32)
    words = [name for name in others if numbers[name].isna().sum() > others[name].isna().sum()]
    text = [name for name in words if name not in probes]
    numbers = numbers.replace([np.inf, -np.inf], np.nan)
    features = numbers.drop(columns=[*text, *probes])
    constant = features.columns[features.nunique() < 2].tolist()
    features = features.drop(columns=constant)
    _require_different(features, names)
    if features.empty:
        received = f"{len(text)} columns of text and {len(constant)} constant ones"
        raise BadTable("grade", "features in numbers that differ", received, "add columns of numbers")
    share = float(features.isna().to_numpy().mean())
    features.insert(0, "participant_id", names)
    features.insert(1, "label", codes)
    for name in probes:
        values = _as_numbers(others[name]) if name in words else numbers[name]
        features = add_probe(features, name.replace("_", "-"), values.set_axis(names))
    notes = {"without_label": left_out, "not_numbers": text, "constant": constant}
    return features.reset_index(drop=True), {"classes": classes, **notes, "missing_values": share}


def deal_folds(features, *, repeats=4, folds=5, seed=0):
    """Deal subjects into folds, several times, stratified by class.

    Parameters
    ----------
    features : DataFrame
        From :func:`read_features`.
    repeats : int, default=4
        Deals.
    folds : int, default=5
    seed : int, default=0
        Of the first deal; the next one takes the next seed.

    Returns
    -------
    DataFrame
        Every subject once in every fold of every deal, with ``repeat``, ``fold``
        and ``role`` ("train" or "test").

    Raises
    ------
    BadCohort
        The smaller class has fewer subjects than folds.
    """
    labels = features.set_index("participant_id").label
    parts = []
    for repeat in range(repeats):
        dealt = assign_folds(labels, folds=folds, seed=seed + repeat).loc[features.participant_id].to_numpy()
        for fold in range(folds):
            role = np.where(dealt == fold, "test", "train")
            told = pd.DataFrame({"repeat": repeat + 1, "fold": fold + 1, "role": role}, index=features.index)
            parts.append(pd.concat([told, features], axis=1))
    return pd.concat(parts, ignore_index=True)


def _read(path):
    path = Path(path)
    separator = "\t" if ".tsv" in path.name else None
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            content = stream.read(MOST_TEXT + 1)
        if len(content) > MOST_TEXT:
            raise ValueError(f"more than {MOST_TEXT >> 20} MB of text")
        frame = _parse(content, sep=separator)
        if not _has_decimal_commas(frame):
            return frame
        commas = _parse(content, sep=separator or ";", decimal=",")
        return commas if list(commas.columns) == list(frame.columns) else frame  # commas part the columns
    except (OSError, ValueError, EOFError, zlib.error, csv.Error) as error:
        reason = " ".join(str(error).split())[:160]
        hint = "name a .csv or .tsv file, plain or as .gz"
        raise BadTable("grade", "a table as text with one line a subject", f"{path} ({reason})", hint) from error


def _parse(content, **how):
    return pd.read_csv(io.BytesIO(content), engine="python", encoding="utf-8-sig", **how)


def _has_decimal_commas(frame):
    """Whether numbers are written with a comma, and none with a point: then it parts thousands."""
    numbers = frame.select_dtypes("number")
    texts = frame.drop(columns=numbers.columns).astype(str)
    return not (numbers % 1 > 0).any(axis=None) and any(
        texts[name].str.fullmatch(_DECIMAL_COMMA).any() for name in texts
    )


def _require_column(frame, name):
    if name not in frame:
        plain = {str(column).lower(): str(column) for column in frame.columns}
        alike = difflib.get_close_matches(name.lower(), plain, n=3, cutoff=0.4)
        alike += [each for each in plain if name.lower() in each and each not in alike]
        near = [plain[each] for each in alike[:3]] or list(frame.columns[:3])
        received = f"{len(frame.columns)} columns, none called so"
        raise BadTable("grade", f"a column {name!r}", received, f"take one that is there, such as {', '.join(near)}")


def _require_named(frame, id):
    """Complain where nobody says which column names the subject, and one looks as if it did."""
    likely = [name for name in frame if _NAMES.fullmatch(str(name)) and frame[name].nunique() > 0.9 * len(frame)]
    if id is None and likely:
        received = f"no `--id`, and a column {likely[0]} that looks like it"
        hint = f"`--id {likely[0]}`, or `--drop {likely[0]}` where rows are subjects and it is no feature"
        raise BadTable("grade", "the column that names the subject", received, hint)


def _as_numbers(words):
    """One column for each word of a column of words: 1 where it stands."""
    columns = pd.get_dummies(words, dtype=np.float32)
    if columns.shape[1] > _MOST_WORDS:
        expected = f"numbers, or at most {_MOST_WORDS} words, in {words.name}"
        raise BadTable("grade", expected, f"{columns.shape[1]} different texts", "group the words")
    return columns


def _code(values, label, positive):
    """Classes as 0 and 1, and their names."""
    kinds = sorted(values.unique())
    names = [f"{kind:g}" if isinstance(kind, float) else str(kind) for kind in kinds]
    if len(kinds) != 2:
        received = f"{len(kinds)} values in {label}: {', '.join(names[:5])}"
        raise BadTable("grade", "a label of two values", received, "keep the subjects of two classes")
    if positive is not None and positive not in names:
        raise BadTable("grade", f"a positive class out of {' and '.join(names)}", repr(positive), "name one of them")
    if positive == names[0]:
        kinds, names = kinds[::-1], names[::-1]
    codes = (values == kinds[1]).astype(int)
    fewest = int(np.bincount(codes, minlength=2).min())
    if fewest < _FEWEST:
        received = f"{fewest} of {len(codes)} in the smaller class of {label}"
        raise BadTable("grade", f"at least {_FEWEST} subjects of each class", received, "add subjects")
    return codes, names


def _require_no_copy(others, codes, label):
    """Complain of a column that has two values, one for each class."""
    for name in others:
        pairs = pd.DataFrame({"value": others[name], "code": codes}).drop_duplicates()
        if len(pairs) == 2 and pairs.value.nunique() == 2 and pairs.code.nunique() == 2:
            received = f"column {name}, which says it in other words"
            raise Leak("grade", f"features that do not give {label} away", received, f"leave it out: `--drop {name}`")


def _require_different(features, names):
    twins = features.duplicated(keep=False) & features.notna().any(axis=1)
    if twins.any():
        first = features[twins].groupby(list(features.columns), dropna=False, sort=False).ngroup()
        pair = names[twins][first == first.iloc[0]]
        received = f"the same features for {' and '.join(pair[:2])}, and {int(twins.sum())} such rows in all"
        raise Leak("grade", "each scan under one name", received, "keep one of them")
