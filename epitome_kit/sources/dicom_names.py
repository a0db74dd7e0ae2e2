"""Compare what DICOM headers state about a person, and recognise placeholder names."""

import re
from collections.abc import Collection
from datetime import date
from typing import NamedTuple, TypeGuard

from epitome_kit.sources.dicom_files import Header

_LONG = (
    r"anon(y(m(e|o|os|us|ous|i[sz]e[drt]?|i[sz]ation|isiert|is|isee|izado|i[sz]er)?)?)?|pseudonym(i[sz]ed)?|"
    r"deid(ent|entif(y|ied|ication))?|ident(ified|ity|ification)|unidentified|redact(ed)?|removed?|deleted?|erased?|"
    r"cleared|blank(ed)?|empty|hidden|mask(ed)?|scrub(bed)?|stripped|confidential|private|secret|withheld|restricted|"
    r"undefined|unspecified|unassigned|unknown|unkn|unnamed|nameless|nobody|none|null|without|missing|available|"
    r"applicable|provided|given|specified|patients?|subject|person|case|name|number|data|info|information|research|"
    r"default|dummy|sample|example|demo|test|testing|placeholder|john|jane|johndoe|janedoe|doejohn|doejane|"
    r"unbekannt|ohne|inconnu|sans|desconocido|nombre|sconosciuto|senza|nome|geloscht|geloescht|gelöscht|supprimé?e?"
)
_SHORT = r"|de|id|pid|mrn|no|not|non|nil|nul|nan|na|nn|unk|the|for|of|set|tbd|todo|tmp|temp|doe|nom|sin|0+|x+|(z|q){2,}"
_WORD, _WORDS = re.compile(_LONG + _SHORT), re.compile(f"({_LONG}|no|id)+|na")
"""One word of a placeholder name, and several words written as one."""

_ZEROS = re.compile(r"0*")
_FIRST_YEAR = 1901
_YEAR_DAYS = 365.25
_MAX_TYPING_ERROR_DAYS = 366
_TOLERANCE_YEARS = 2
_MAX_FOLLOW_UP_YEARS = 40
_MAX_AGE_YEARS = 89
_UNITS = {"Y": 1, "M": 12, "W": 52, "D": 365}


class Facts(NamedTuple):
    """What a header states about a person.

    Attributes
    ----------
    words : frozenset of str
        Words of the name; empty for a placeholder.
    sex : str
        F or M, otherwise empty.
    birth : date or None
        Date of birth; None if it equals the study date, a common placeholder.
    age : float or None
        Age in years; None for 0, a common placeholder.
    day : date or None
        Date of the study.
    """

    words: frozenset[str]
    sex: str
    birth: date | None
    age: float | None
    day: date | None


def is_placeholder(text: str, others: Collection[str] = ()) -> bool:
    """Return whether a PatientID or a PatientName is a placeholder.

    Parameters
    ----------
    text : str
        Such as ``"REMOVED"``, ``"Anon^Anon"``, ``"00000"`` or ``"no name"``.
    others : collection of str, default=()
        PatientIDs of the same source. A number such as 111 or 1234 is not a placeholder
        if others are numbers with the same number of digits.

    Returns
    -------
    bool
    """
    parts = re.findall(r"[^\W_]+", text.casefold())
    if len(parts) == 1 and parts[0].isdecimal():
        digits = parts[0]
        if digits == "0":
            return True
        if not (_ZEROS.fullmatch(digits) or len(digits) > 2 and len(set(digits)) == 1 or _counts_up(digits)):
            return False
        alike = (other for other in others if other != text and other.isdecimal() and len(other) == len(digits))
        return not any(len(set(other)) > 1 for other in alike)
    return all(map(_WORD.fullmatch, parts)) or _WORDS.fullmatch("".join(parts)) is not None


def _counts_up(digits: str) -> bool:
    return len(digits) > 3 and ("1234567890" * 2).startswith(digits)


def read_facts(header: Header) -> Facts:
    """Read what one header states about the person.

    Parameters
    ----------
    header : Header
        From :func:`epitome_kit.sources.dicom_files.find_headers`.

    Returns
    -------
    Facts
    """
    physics = header["physics"]
    known = "" if is_placeholder(header["name"]) else header["name"].casefold()
    sex = physics["sex"].upper()[:1]
    birth, day = _day(physics["birth"]), _day(physics["date"])
    return Facts(
        frozenset(re.findall(r"[^\W_]+", known)),
        sex if sex in ("F", "M") else "",
        birth if birth != day else None,
        age_years(physics["age"]) or None,
        day,
    )


def age_years(text: str) -> float | None:
    """Parse an age such as ``"059Y"`` or ``"030M"``; None if it is not valid."""
    stated = re.fullmatch(r"(\d{1,3})([YMWD])", text.strip().upper())
    return int(stated[1]) / _UNITS[stated[2]] if stated else None


def _day(text: str) -> date | None:
    """Parse a date; None if it is not valid, or before 1901."""
    digits = re.sub(r"\D", "", text)
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None
    return day if day.year >= _FIRST_YEAR else None


def is_full_date(day: date | None) -> TypeGuard[date]:
    """Return whether a date is known to the day; 1 January usually stands for an unknown day."""
    return day is not None and (day.month, day.day) != (1, 1)


def contradictions(first: Facts, second: Facts, *, named: bool) -> list[str]:
    """List the facts in which two headers contradict each other.

    Parameters
    ----------
    first, second : Facts
        What the two headers state.
    named : bool
        Whether both have the same PatientID, which is not a placeholder. Then birth dates
        within a year of each other count as a typing error.

    Returns
    -------
    list of str
        Such as ``["sex", "age"]``.
    """
    found = []
    if first.sex and second.sex and first.sex != second.sex:
        found.append("sex")
    if _births_differ(first, second, named) or _ages_differ(first, second):
        found.append("age")
    if first.words and second.words and not (first.words & second.words or _born_together(first, second)):
        found.append("name")
    return found


def _born_together(first: Facts, second: Facts) -> bool:
    return is_full_date(first.birth) and first.birth == second.birth


def _births_differ(first: Facts, second: Facts, named: bool) -> bool:
    if not (first.birth and second.birth):
        return False
    if is_full_date(first.birth) and is_full_date(second.birth):
        return abs((first.birth - second.birth).days) > (_MAX_TYPING_ERROR_DAYS if named else 0)
    return abs(first.birth.year - second.birth.year) > _TOLERANCE_YEARS


def _ages_differ(first: Facts, second: Facts) -> bool:
    """Return whether ages, or an age and a birth date, differ by more than the dates of the studies explain."""
    if first.age is not None and second.age is not None:
        oldest = max(first.age, second.age)
        if oldest >= _MAX_AGE_YEARS or (first.age == second.age and _born_together(first, second)):
            return False  # ages above the limit are often replaced by it, and one age may be copied to every study
        if first.day is None or second.day is None or first.day == second.day:
            difference = abs(first.age - second.age)
            return difference > (_TOLERANCE_YEARS if is_full_date(first.day) else _MAX_FOLLOW_UP_YEARS)
    one, other = _year_of_birth(first), _year_of_birth(second)
    return one is not None and other is not None and abs(one - other) > _TOLERANCE_YEARS


def _year_of_birth(facts: Facts) -> float | None:
    """Return the year of birth with decimals, by age and date of the study, or else by date of birth."""
    if facts.age is not None and facts.day is not None:
        return facts.day.toordinal() / _YEAR_DAYS - facts.age
    return facts.birth.toordinal() / _YEAR_DAYS if facts.birth else None
