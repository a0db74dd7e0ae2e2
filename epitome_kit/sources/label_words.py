"""Interpret the column names and values in tables of labels, as written by public glioma collections."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from epitome_kit.vocabulary import LABELS, known_histology

_PEOPLE = r"(?:participant|subject|subj|patient|case|individual)s?"
_IDS = (
    r"participantid",
    rf"{_PEOPLE}(?:id|name|number|no|nr|code|label)?",
    r"ids?|identifier|name|sub|pid|mrn|record|recordid|file|filename|folder",
    rf"\w*(?:id|name|brats\d*|{_PEOPLE}(?:id|name|number|no|nr|code)?)",
)
_AT_SCAN = r"(?:at)?(?:mri?|scan\w*|imag\w*|exam\w*|acquisition|study)"
_AT_OTHER = r"(?:at)?(?:diagn\w*|dx|initialpathologic\w*|surgery|operation|presentation|baseline|entry|visit)"
_YEARS = r"(?:in)?(?:y|yrs?|years?)?(?:old)?"
_FIELD = r"histolog(?:ic|ical|y)|path(?:olog(?:ic|ical|y))?"
_GRADED = rf"who|cns5?|tumou?rs?|gliomas?|lesion|neoplasm|{_FIELD}|final|20(?:07|16|21)"
_COLUMNS = {
    "grade": (rf"(?:{_GRADED})*grad(?:e|ing)?(?:{_GRADED}|status)*",),
    "codeletion": (
        r"(?:chr|chromosomes?|combined)*1p(?:and)?19q(?:codel(?:etion|eted)?|deletion|loss|status|result|fish)*",
        r"(?:is)?codel(?:etion|eted)?(?:1p19q)?(?:status)?",
    ),
    "subtype": (r"idh\w*(?:codel|1p19q)\w*", r"(?:\w*molecular|original|glioma|tumou?r)?sub(?:type|group|class)\w*"),
    "histology": (
        r"histology|(?:histolog(?:ic|ical)|tumou?r|glioma)type",
        r"(?:final|integrated|primary|initial)*(?:patholog\w*d\w*|diagn\w*)",
        r"type",
    ),
    "age": (
        rf"(?:patients?|subject)?age{_YEARS}{_AT_SCAN}{_YEARS}",
        rf"(?:patients?|subject)?age{_YEARS}",
        rf"(?:patients?|subject)?age{_YEARS}{_AT_OTHER}{_YEARS}",
    ),
    "sex": (r"(?:patients?|subject|biological)?(?:sex|gender)(?:atbirth|mf|fm)?",),
    "source_id": (r"sourceid",),
}
"""Patterns of column names reduced to letters and digits, best first. "subtype" combines 1p/19q status with IDH."""

_WORDS = {"grade": r"(?<!up)grade(?!of)|whocns|^who$", "codeletion": r"1p|19q|codel"}
_MISSING = re.compile(
    r"[\s\[\]().?-]*|n/?a|nan|<na>|#n/?a|null|unk|unknown|missing|unavailable|undetermined|indeterminate|"
    r"inconclusive|equivocal|pending|discrepancy|unspecified|nd|no data|-\d+(\.0*)?|"
    r"not[ _-]?(available|reported|applicable|evaluated|evaluable|tested|done|assessed|determined|known|specified)"
)
_GRADE = re.compile(
    rf"(?:{_GRADED}|grade?|g|[\s_.,:()°º-])*(1|i|2|ii|3|iii|4|iv)(?:\.0+)?(?:{_GRADED}|grade?|[\s_.,:()°º-])*"
)
_GRADES = {"2": 2, "ii": 2, "3": 3, "iii": 3}
_CODELETIONS = {
    "codeleted": "1 1.0 yes y true codel codeleted codeletion deleted deletion dd present positive lost loss",
    "intact": "0 0.0 no n false intact retained nn absent negative notpresent",
}
_ARMS = {"lost": "d del deleted deletion loss lost", "kept": "n normal intact retained nodeletion noloss"}
_NEGATED = re.compile(r"(?:non|not|no|un|without)(?:co)?(?:del(?:eted|etion)?|loss|lost)")
_SUBTYPE = re.compile(r"(?:idh\w*?)?mut(?:ant|ated|ation)?(?:1p19q)?(non|no|not|un|without)?(?:1p19q)?codel\w*")
_WILD = re.compile(r"idh\d?w(?:ild)?t(?:ype)?(?:1p19q)?(?:(?:non|no|not)codel\w*|intact)?")
_SEXES = {"F": "f female woman w weiblich", "M": "m male man männlich"}
_AGE = re.compile(r"0*(\d+(?:[.,]\d+)?)(?:y|yrs?|years?|yo)?(?:old)?")
_OLD = re.compile(
    r"(?:[>≥]=?|over|above)(\d{2,3})(?:y|yrs?|years?)?|(\d{2,3})(?:y|yrs?|years?)?(?:\+|andolder|orolder)"
)
_DICOM_AGE = re.compile(r"(\d{3})([mwd])")
_UNITS_PER_YEAR = {"m": 12, "w": 52, "d": 365}
_REPORTED_MAX_AGE, _MAX_AGE = 89, 120
_MAX_LENGTH = 80


def find_columns(names: Sequence[str]) -> dict[str, list[str]]:
    """Find the columns of a table that contain each label.

    Parameters
    ----------
    names : sequence of str
        Column names.

    Returns
    -------
    dict of str to list of str
        Column names, best first, by column of :data:`epitome_kit.cohort.COLUMNS` and
        "subtype"; labels without a column are omitted.
    """
    found = {}
    for label, patterns in _COLUMNS.items():
        ranked = [(rank, name) for name in names if (rank := _rank(name, patterns)) is not None]
        if ranked:
            found[label] = [name for _, name in sorted(ranked, key=lambda pair: pair[0])]
    return found


def id_rank(name: str) -> int | None:
    """Rank a column by how clearly its name denotes subjects: 0 is best; None if it does not."""
    return _rank(name, _IDS)


def _rank(name: str, patterns: Iterable[str]) -> int | None:
    return next((rank for rank, pattern in enumerate(patterns) if re.fullmatch(pattern, _plain(name))), None)


def _plain(name: str) -> str:
    """Reduce a column name to letters and digits, without the number appended to repeated names."""
    name = re.sub(r"\.\d+$", "", unicodedata.normalize("NFKC", str(name)).lower())
    return re.sub(r"[^a-z0-9]", "", name)[:_MAX_LENGTH]


def looks_like(label: str, name: str) -> bool:
    """Return whether a column name contains a word of a label, although it may mean something else."""
    return label in _WORDS and re.search(_WORDS[label], _plain(name)) is not None


def read_value(label: str, text: str) -> tuple[object, str | None]:
    """Interpret one value of a label.

    Parameters
    ----------
    label : str
        A key of :func:`find_columns`.
    text : str
        Value in the table.

    Returns
    -------
    value : object
        Value as used in cohorts; NA if it is missing or not understood.
    problem : str or None
        Why the value was not understood; None if it was, or if it is missing.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    words = text.casefold()
    if _MISSING.fullmatch(words.strip("[]()' ")):
        return pd.NA, None
    reader = _READERS[label]
    found = reader(text if label in _AS_WRITTEN else words) if len(words) <= _MAX_LENGTH else None
    return found if isinstance(found, tuple) else (found, None) if found is not None else (pd.NA, "not understood")


def find_code(label: str, texts: Iterable[str]) -> str | None:
    """Explain why the numbers in a column may be codes with another meaning.

    Parameters
    ----------
    label : str
        Name of the label.
    texts : iterable of str
        All values of the column.

    Returns
    -------
    str or None
        The reason; None if numbers can be used. Grades with 0, or with 1 and neither 3
        nor 4, may be class codes (one public table has 1 for grade II). A 1p/19q status
        must be 0 or 1.
    """
    numbers = {int(float(text)) for text in texts if is_number(text)}
    if label == "grade" and (0 in numbers or 1 in numbers and not numbers & {3, 4}):
        return "a number that may be the code of another grade, as the column contains 0 or 1: write II or III"
    if label == "codeletion" and numbers - {0, 1}:
        return "a number that may be a code of anything, as not all are 0 or 1: write intact or codeleted"
    return None


def is_number(text: str) -> bool:
    """Return whether a value is an integer without unit."""
    return re.fullmatch(r"\s*[0-9]{1,9}(\.0*)?\s*", text) is not None


def _read_grade(words: str) -> object:
    match = _GRADE.fullmatch(words)
    return match and (_GRADES.get(match[1]) or (pd.NA, "outside of 2 and 3"))


def _read_codeletion(words: str) -> object:
    bare = re.sub(r"^(?:chr\w*)?1p/?(?:and|&)?19q", "", re.sub(r"[\s_():=‐–-]", "", words))
    if "relative" in bare:
        return pd.NA, "a relative loss is no plain co-deletion"
    if _NEGATED.fullmatch(bare):
        return "intact"
    arms = [_word(_ARMS, arm) for arm in bare.split("/")]
    if len(arms) == 2 and all(arms):
        return "codeleted" if set(arms) == {"lost"} else "intact"
    return _word(_CODELETIONS, bare) or _read_subtype(words)


def _read_subtype(words: str) -> str | None:
    bare = re.sub(r"[^a-z0-9]", "", words)
    match = _SUBTYPE.fullmatch(bare)
    if match:
        return "intact" if match[1] else "codeleted"
    return "intact" if _WILD.fullmatch(bare) else None


def _read_sex(words: str) -> object:
    if re.fullmatch(r"[0-9](\.0+)?", words):
        return pd.NA, "a number does not say which sex it is"
    return _word(_SEXES, words)


def _read_age(words: str) -> int | float | None:
    bare = re.sub(r"[\s._-]*(?=[a-z])|\s", "", words)
    old, coded, plain = _OLD.fullmatch(bare), _DICOM_AGE.fullmatch(bare), _AGE.fullmatch(bare)
    if coded:
        return int(coded[1]) // _UNITS_PER_YEAR[coded[2]]
    if old:
        limit = int(old[1] or old[2])
        return min(limit, _REPORTED_MAX_AGE) if 80 <= limit <= _MAX_AGE else None
    years = float(plain[1].replace(",", ".")) if plain else math.inf
    if years > _MAX_AGE:
        return None
    return int(years) if years.is_integer() else years


def _word(meaning: Mapping[str, str], text: str) -> str | None:
    return next((value for value, words in meaning.items() if text in words.split()), None)


_AS_WRITTEN = "histology", "source_id"

_READERS: dict[str, Callable[[str], object]] = {
    "grade": _read_grade,
    "codeletion": _read_codeletion,
    "subtype": _read_subtype,
    "sex": _read_sex,
    "age": _read_age,
    "histology": known_histology,
    "source_id": LABELS["source_id"],
}
