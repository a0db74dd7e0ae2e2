"""Labels as people write them, turned into the cohort's own columns."""

import io
import re

import pandas as pd

from epitome_kit.cohort import COLUMNS
from epitome_kit.errors import BadCohort
from epitome_kit.files import read_text

_ALIASES = {
    "grade": "grade whograde tumorgrade tumourgrade histologicgrade neoplasmhistologicgrade",
    "codeletion": "codeletion codel 1p19q 1p19qstatus 1p19qcodeletion 1p19qcodeletionstatus",
    "histology": "histology histologicaltype histologictype tumortype tumourtype type",
    "age": "age ageatscan ageyears",
    "sex": "sex gender",
    "source_id": "sourceid",
}
_GRADE = re.compile(r"(?:cns|who|grade|g|[\s_-])*(2|ii|3|iii)(?:\.0)?")
_GRADES = {"2": 2, "ii": 2, "3": 3, "iii": 3}
_CODELETIONS = {
    "codeleted": "1 1.0 yes true codel codeleted codeletion deleted d/d dd",
    "intact": "0 0.0 no false intact noncodel noncodeleted notcodeleted nondeleted n/n nn d/n n/d",
}
_SEXES = {"F": "f female woman", "M": "m male man"}


def read_labels(path):
    """Read a ``participants.tsv`` written by somebody else.

    Columns are known by any usual name (``1p/19q``, ``who_grade``, ``gender``),
    values by any usual spelling (``WHO II``, ``d/d``, ``female``). Rows that say
    the same twice are merged.

    Parameters
    ----------
    path : path

    Returns
    -------
    labels : DataFrame
        Indexed by participant_id, with every column of
        :data:`epitome_kit.cohort.COLUMNS`; values not understood are missing.
    conflicting : list of str
        Subjects listed twice with different values; not in `labels`.
    unknown : list of str
        Values that were not understood, such as ``"grade IV"``.

    Raises
    ------
    BadCohort
        Not a tab-separated table with a column ``participant_id``.
    """
    try:
        table = pd.read_csv(io.StringIO(read_text(path)), sep="\t", dtype=str, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise _no_table(path, f"{path} ({error})") from error
    table.columns = [str(column).strip() for column in table.columns]
    if "participant_id" not in table:
        raise _no_table(path, f"columns {list(table.columns)} in {path}")
    return understand_labels(table)


def understand_labels(table):
    """Turn a table of text into the cohort's own columns and values.

    Parameters
    ----------
    table : DataFrame of str
        With a column ``participant_id``.

    Returns
    -------
    labels, conflicting, unknown
        As :func:`read_labels`.
    """
    table = table.copy()
    names = table["participant_id"].str.strip()
    table["participant_id"] = names.where(names.str.startswith("sub-"), "sub-" + names)
    table = table[names.notna()].drop_duplicates()
    conflicting = sorted(set(table.loc[table["participant_id"].duplicated(), "participant_id"]))
    table = table[~table["participant_id"].isin(conflicting)].set_index("participant_id")
    labels = pd.DataFrame(index=table.index)
    unknown = []
    for column in list(COLUMNS)[1:]:
        written = _column(table, column).str.strip()
        labels[column] = written.map(_READERS.get(column, str), na_action="ignore").astype(object)
        lost = written[written.notna() & labels[column].isna()]
        unknown += [f"{column} {value}" for value in sorted(set(lost))]
    return labels, conflicting, unknown


def _no_table(path, received):
    return BadCohort(
        "read_labels", "a tab-separated table with a column `participant_id`", received, f"repair {path.name}"
    )


def _column(table, column):
    """Pick the column that goes by any name of `column`; all missing where there is none."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(table.columns)}
    found = [plain[alias] for alias in _ALIASES[column].split() if alias in plain]
    return table[found[0]] if found else pd.Series(pd.NA, index=table.index, dtype="str")


def _grade(text):
    match = _GRADE.fullmatch(text.lower())
    return _GRADES[match[1]] if match else pd.NA


def _one_of(words):
    """Reader of a column with few values, each with its spellings."""
    meaning = {spelling: value for value, spellings in words.items() for spelling in spellings.split()}
    return lambda text: meaning.get(re.sub(r"[\s_-]", "", text.lower()), pd.NA)


_READERS = {
    "grade": _grade,
    "codeletion": _one_of(_CODELETIONS),
    "sex": _one_of(_SEXES),
    "age": lambda text: pd.to_numeric(text, errors="coerce"),
}
