"""Numbers in a table that was read as text: gaps, decimal commas, yes and no."""

import re
from datetime import date, datetime

import numpy as np
import pandas as pd

_GAPS = frozenset(
    [
        *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "n/a"),
        *("-NaN", "-nan", "NaN", "nan", "NULL", "null", "None"),
    ]
)
"""How pandas and R write what is missing."""

_ERRORS = frozenset([".", "-", "?", "#DIV/0!", "#VALUE!", "#NUM!", "#REF!", "#NAME?"])
"""How SAS, people and Excel write a number that is missing."""

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
