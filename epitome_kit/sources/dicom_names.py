"""What DICOM headers say of a person: whether a name names anybody, and whether two headers can be of one person."""

import re
from datetime import date
from typing import NamedTuple

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
"""A word of a name that names nobody, and several of them written as one."""

_ZEROS = re.compile(r"0*")
_FIRST_YEAR = 1901
_YEAR_DAYS = 365.25
_APART_DAYS = 366
_SLACK_YEARS = 2
_LONGEST_YEARS = 40
_OLDEST_YEARS = 89
_UNITS = {"Y": 1, "M": 12, "W": 52, "D": 365}


class Facts(NamedTuple):
    """What headers say of a person, as far as they say anything.

    Attributes
    ----------
    words : frozenset of str
        Of the name; empty where it names nobody.
    sex : str
        F or M, else empty.
    birth : date or None
        None also where it is that of the study, which some programs write in its place.
    age : float or None
        In years; none of 0, for the same reason.
    day : date or None
        Of the study.
    """

    words: frozenset
    sex: str
    birth: date | None
    age: float | None
    day: date | None


def names_nobody(text, others=()):
    """Tell whether a PatientID or a PatientName is what somebody wrote in the place of one.

    Parameters
    ----------
    text : str
        Such as ``"REMOVED"``, ``"Anon^Anon"``, ``"00000"`` or ``"no name"``.
    others : collection of str, default=()
        PatientIDs of the same origin. A number such as 111 or 1234 names somebody
        where others are numbers of as many digits.

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


def _counts_up(digits):
    return len(digits) > 3 and ("1234567890" * 2).startswith(digits)


def read_facts(header):
    """Read what one header says of its person.

    Parameters
    ----------
    header : dict
        From :func:`epitome_kit.sources.dicom_files.find_headers`.

    Returns
    -------
    Facts
    """
    physics = header["physics"]
    known = "" if names_nobody(header["name"]) else header["name"].casefold()
    sex = physics["sex"].upper()[:1]
    birth, day = _day(physics["birth"]), _day(physics["date"])
    return Facts(
        frozenset(re.findall(r"[^\W_]+", known)),
        sex if sex in ("F", "M") else "",
        birth if birth != day else None,
        age_years(physics["age"]) or None,
        day,
    )


def age_years(text):
    """Read an age such as ``"059Y"`` or ``"030M"``; None where it is none."""
    stated = re.fullmatch(r"(\d{1,3})([YMWD])", text.strip().upper())
    return int(stated[1]) / _UNITS[stated[2]] if stated else None


def _day(text):
    """Read a day; None where it is none, or one of the years before there were patients of today."""
    digits = re.sub(r"\D", "", text)
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None
    return day if day.year >= _FIRST_YEAR else None


def is_whole(day):
    """Tell whether a date is known to the day: 1 January stands for a year alone, or for none."""
    return day is not None and (day.month, day.day) != (1, 1)


def contradictions(first, second, *, named):
    """List what says that two headers are not of one person.

    Parameters
    ----------
    first, second : Facts
    named : bool
        Whether both have one PatientID, which names somebody. Then birth dates within
        a year of one another are a slip of the pen.

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


def _born_together(first, second):
    return is_whole(first.birth) and first.birth == second.birth


def _births_differ(first, second, named):
    if not (first.birth and second.birth):
        return False
    if is_whole(first.birth) and is_whole(second.birth):
        return abs((first.birth - second.birth).days) > (_APART_DAYS if named else 0)
    return abs(first.birth.year - second.birth.year) > _SLACK_YEARS


def _ages_differ(first, second):
    """Whether ages, or an age and a birth date, are those of two people at the dates of their studies."""
    ages = first.age, second.age
    if None not in ages and (max(ages) >= _OLDEST_YEARS or (ages[0] == ages[1] and _born_together(first, second))):
        return False  # ages above that are often written as that, and one age may be copied to every study
    if None not in ages and (first.day is None or second.day is None or first.day == second.day):
        apart = abs(ages[0] - ages[1])
        return apart > (_SLACK_YEARS if first.day and is_whole(first.day) else _LONGEST_YEARS)
    births = [_year_of_birth(facts) for facts in (first, second)]
    return None not in births and abs(births[0] - births[1]) > _SLACK_YEARS


def _year_of_birth(facts):
    """Year of birth with decimals, by the age at the study, else by the birth date."""
    if facts.age is not None and facts.day is not None:
        return facts.day.toordinal() / _YEAR_DAYS - facts.age
    return facts.birth.toordinal() / _YEAR_DAYS if facts.birth else None
