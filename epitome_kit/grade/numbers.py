"""Numbers in a table that was read as text: gaps, decimal commas, yes and no."""

import re
from datetime import date, datetime

import numpy as np
import pandas as pd

from epitome_kit.errors import TableError

_GAPS = frozenset(
    [
        *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "n/a"),
        *("-NaN", "-nan", "NaN", "nan", "NULL", "null", "None"),
    ]
)
"""How pandas and R write what is missing."""

_ERRORS = frozenset([".", "-", "?", "#DIV/0!", "#VALUE!", "#NUM!", "#REF!", "#NAME?"])
"""How SAS, people and Excel write a number that is missing."""

_CODES = np.array([-99999, -9999, -999, -99, -9, 999, 9999, 99999], float)
"""Numbers that people write for what is missing."""

_BOOLEAN = {"true": 1.0, "false": 0.0}
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")


def without_gaps(frame):
    """Turn into NaN whatever says that a value is missing.

    Parameters
    ----------
    frame : DataFrame

    Returns
    -------
    DataFrame
    """
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    cells = frame[texts].astype(object)
    cells = cells.mask(cells.isin(_GAPS | _ERRORS))
    return pd.concat([frame.drop(columns=texts), cells], axis=1)[list(frame.columns)]


def as_numbers(frame):
    """Read the columns of a table as numbers, as far as they are.

    Parameters
    ----------
    frame : DataFrame
        From :func:`without_gaps`.

    Returns
    -------
    DataFrame of float
        NaN where there is no number; true and false are 1 and 0.
    """
    return pd.DataFrame({name: _as_number(frame[name]) for name in frame}, index=frame.index)


def as_labels(column):
    """Read a column of labels: as numbers where all of them are, else as they are written.

    Parameters
    ----------
    column : Series

    Returns
    -------
    Series
        NaN where there is none.
    """
    if pd.api.types.is_numeric_dtype(column):
        return column
    texts = column.mask(column.isin(_GAPS))
    try:
        numbers = pd.to_numeric(texts)
    except (ValueError, TypeError):
        return texts
    return numbers.astype(float)


def is_no_word(text):
    """Tell whether a text is a sign such as ``-`` or ``?``, which may mean missing or negative.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool
    """
    return text in _ERRORS


def has_decimal_commas(frame):
    """Find columns whose numbers are written with a comma, in a table without any point.

    Parameters
    ----------
    frame : DataFrame of str

    Returns
    -------
    list of str
        None where some number has a point, or all commas could part thousands.
    """
    found, sure = [], False
    for name in frame:
        texts = frame[name].mask(frame[name].isin(_GAPS | _ERRORS)).dropna()
        if not len(texts):
            continue
        numbers = pd.to_numeric(texts, errors="coerce")
        if numbers.notna().all() and (texts.str.contains(".", regex=False) & (numbers % 1 > 0)).any():
            return []
        commas = texts[numbers.isna()]
        if len(commas) and commas.str.fullmatch(_DECIMAL_COMMA).all():
            found.append(name)
            sure = sure or not commas.str.fullmatch(_THOUSANDS).all()
    return found if sure else []


def require_one_notation(frame):
    """Complain of points and commas that could be read a thousand times too small.

    Parameters
    ----------
    frame : DataFrame of str
        Without the columns that are names or labels.

    Raises
    ------
    TableError
        Some columns have decimal commas and others points, or a column has marks that
        part thousands, as in ``1.527`` beside ``545``.
    """
    commas, points, decimal = [], [], has_decimal_commas(frame)
    for name in frame:
        texts = frame[name].mask(frame[name].isin(_GAPS | _ERRORS)).dropna().astype(str)
        numbers = pd.to_numeric(texts, errors="coerce")
        with_comma = texts[numbers.isna()]
        if len(with_comma) and with_comma.str.fullmatch(_DECIMAL_COMMA).all():
            sure = not with_comma.str.fullmatch(_THOUSANDS).all()
            commas += [(name, with_comma.iloc[0])] * sure
        elif len(texts) and not len(with_comma) and (texts.str.contains(".", regex=False) & (numbers % 1 > 0)).any():
            points.append((name, texts[numbers % 1 > 0].iloc[0]))
        marked = texts.str.contains("[.,]")
        whole = numbers[~marked].abs()
        alike = texts[marked].str.replace(".", ",", regex=False).str.fullmatch(_THOUSANDS)
        read = not len(with_comma) or name in decimal
        if read and len(alike) and alike.all() and len(whole) and 100 <= whole.max() < 1000:
            received = f"{texts[marked].iloc[0]} beside {texts[~marked][whole == whole.max()].iloc[0]} in column {name}"
            hint = f"write thousands without a mark, and decimals as 1.5270; or `--drop {name}`"
            raise TableError("grade", "numbers whose marks can be read in one way", received, hint)
    if commas and points:
        (first, comma), (second, point) = commas[0], points[0]
        received = f"{comma} in column {first} and {point} in column {second}"
        hint = f"write all decimals with the same mark and thousands with none, or `--drop {second}`"
        raise TableError("grade", "decimals with commas or with points, not both", received, hint)


def odd_values(frame):
    """Say which numbers may stand for a missing one, and which are too large.

    Parameters
    ----------
    frame : DataFrame of float

    Returns
    -------
    list of str
        One line a column with -999 or the like in several rows, far from all others; or
        with numbers over 3.4e38, which are taken as missing.
    """
    found = []
    for name in frame:
        values = frame[name].to_numpy(float)
        values = values[np.isfinite(values)]
        large = int((np.abs(values) > np.finfo(np.float32).max).sum())
        if large:
            found.append(f"{large} values of {name} are over 3.4e38, and were taken as missing")
        for code in _CODES[np.isin(_CODES, values)]:
            rest = values[~np.isin(values, _CODES)]
            count = int((values == code).sum())
            if count > 1 and len(rest) and _is_far(code, rest.min(), rest.max()):
                found.append(f"{code:g} in {count} rows of {name}, far from the others: was it meant as missing?")
    return found


def _is_far(code, low, high):
    below = code < low and (low >= 0 or low - code > 2 * (high - low))
    return bool(below or code > high and code - high > 2 * (high - low))


def _as_number(column):
    if pd.api.types.is_numeric_dtype(column):
        return column.astype(float)
    values = column.to_numpy(object)
    first = next(iter(column.dropna()), "")
    if isinstance(first, (datetime, date)):
        return pd.Series(np.nan, column.index)
    if str(first).casefold() in _BOOLEAN:
        words = column.dropna().astype(str).str.casefold()
        if words.isin(_BOOLEAN).all():
            return words.map(_BOOLEAN).reindex(column.index).astype(float)
    return pd.Series(pd.to_numeric(values, errors="coerce"), column.index, dtype=float)
