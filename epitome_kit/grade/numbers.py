"""Read numbers from a table of text: missing values, decimal commas, true and false."""

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
"""Missing values as written by pandas and R."""

_ERRORS = frozenset([".", "-", "?", "#DIV/0!", "#VALUE!", "#NUM!", "#REF!", "#NAME?"])
"""Missing numbers as written by SAS, by hand and by Excel."""

_CODES = np.array([-99999, -9999, -999, -99, -9, 999, 9999, 99999], float)
"""Numbers that are used as codes for missing values."""

_BOOLEAN = {"true": 1.0, "false": 0.0}
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")


def mask_missing(frame: pd.DataFrame) -> pd.DataFrame:
    """Replace texts that stand for a missing value by NaN.

    Parameters
    ----------
    frame : DataFrame
        Table of text and numbers.

    Returns
    -------
    DataFrame
        A copy.
    """
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    cells = frame[texts].astype(object)
    cells = cells.mask(cells.isin(_GAPS | _ERRORS))
    return pd.concat([frame.drop(columns=texts), cells], axis=1)[list(frame.columns)]


def as_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert the columns of a table to numbers.

    Parameters
    ----------
    frame : DataFrame
        From :func:`mask_missing`.

    Returns
    -------
    DataFrame of float
        NaN for cells without a number; true and false are 1 and 0.
    """
    return pd.DataFrame({name: _as_number(frame[name]) for name in frame}, index=frame.index)


def as_labels(column: pd.Series) -> pd.Series:
    """Convert a column of labels to numbers if all of them are numbers, else keep the text.

    Parameters
    ----------
    column : Series
        Labels.

    Returns
    -------
    Series
        NaN where the label is missing.
    """
    if pd.api.types.is_numeric_dtype(column):
        return column
    texts = column.mask(column.isin(_GAPS))
    try:
        numbers = pd.to_numeric(texts)
    except (ValueError, TypeError):
        return texts
    return numbers.astype(float)


def is_symbol(text: str) -> bool:
    """Return whether a text is a symbol such as ``-`` or ``?``, which may mean missing or negative.

    Parameters
    ----------
    text : str
        Text of a cell.

    Returns
    -------
    bool
        True for a symbol or an error of Excel.
    """
    return text in _ERRORS


def has_decimal_commas(frame: pd.DataFrame) -> list[str]:
    """Find columns with decimal commas, in a table without decimal points.

    Parameters
    ----------
    frame : DataFrame of str
        Table of text.

    Returns
    -------
    list of str
        Empty if a number has a decimal point, or if all commas could separate thousands.
    """
    found, certain = list[str](), False
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
            certain = certain or not commas.str.fullmatch(_THOUSANDS).all()
    return found if certain else []


def require_one_notation(frame: pd.DataFrame) -> None:
    """Raise an error if points or commas are ambiguous between decimals and thousands.

    Parameters
    ----------
    frame : DataFrame of str
        Table without the columns of names and labels.

    Raises
    ------
    TableError
        Some columns have decimal commas and others points, or a column has separators
        of thousands, as in ``1.527`` next to ``545``.
    """
    commas, points = list[tuple[str, str]](), list[tuple[str, str]]()
    decimal = has_decimal_commas(frame)
    for name in frame:
        texts = frame[name].mask(frame[name].isin(_GAPS | _ERRORS)).dropna().astype(str)
        numbers = pd.to_numeric(texts, errors="coerce")
        with_comma = texts[numbers.isna()]
        if len(with_comma) and with_comma.str.fullmatch(_DECIMAL_COMMA).all():
            certain = not with_comma.str.fullmatch(_THOUSANDS).all()
            commas += [(name, with_comma.iloc[0])] * certain
        elif len(texts) and not len(with_comma) and (texts.str.contains(".", regex=False) & (numbers % 1 > 0)).any():
            points.append((name, texts[numbers % 1 > 0].iloc[0]))
        marked = texts.str.contains("[.,]")
        whole = numbers[~marked].abs()
        thousands = texts[marked].str.replace(".", ",", regex=False).str.fullmatch(_THOUSANDS)
        read = not len(with_comma) or name in decimal
        if read and len(thousands) and thousands.all() and len(whole) and 100 <= whole.max() < 1000:
            received = f"{texts[marked].iloc[0]} and {texts[~marked][whole == whole.max()].iloc[0]} in column {name}"
            hint = f"write thousands without a separator, and decimals as 1.5270; or `--drop {name}`"
            raise TableError("grade", "numbers with unambiguous points and commas", received, hint)
    if commas and points:
        (first, comma), (second, point) = commas[0], points[0]
        received = f"{comma} in column {first} and {point} in column {second}"
        hint = f"use one decimal separator and none for thousands, or `--drop {second}`"
        raise TableError("grade", "either decimal commas or decimal points", received, hint)


def odd_values(frame: pd.DataFrame) -> list[str]:
    """Report numbers that may be codes for missing values, and numbers that are too large.

    Parameters
    ----------
    frame : DataFrame of float
        Features.

    Returns
    -------
    list of str
        One line per column with a number such as -999 in several rows, far from all
        others, or with numbers over 3.4e38, which are treated as missing.
    """
    found = []
    for name in frame:
        values = frame[name].to_numpy(float)
        values = values[np.isfinite(values)]
        large = int((np.abs(values) > np.finfo(np.float32).max).sum())
        if large:
            found.append(f"{large} values of {name} are over 3.4e38, and were treated as missing")
        for code in _CODES[np.isin(_CODES, values)]:
            rest = values[~np.isin(values, _CODES)]
            count = int((values == code).sum())
            if count > 1 and len(rest) and _is_far(code, rest.min(), rest.max()):
                found.append(
                    f"{code:g} in {count} rows of {name}, far from the others: is it a code for a missing value?"
                )
    return found


def _is_far(code: float, low: float, high: float) -> bool:
    below = code < low and (low >= 0 or low - code > 2 * (high - low))
    return bool(below or code > high and code - high > 2 * (high - low))


def _as_number(column: pd.Series) -> pd.Series:
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
