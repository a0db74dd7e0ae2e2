"""Find columns that are not features, by name and values: row numbers, ids and names of persons or files."""

import re
import unicodedata
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

_PEOPLE = (
    *("patient", "patiente", "patienten", "patientin", "pat", "subject", "subj", "participant", "person", "personne"),
    *("individual", "proband", "probandin", "versuchsperson", "vpn", "teilnehmer", "teilnehmerin", "volunteer"),
    *("paziente", "paciente", "soggetto", "sujet", "sujeto", "sujeito", "participante", "partecipante", "animal"),
    *("proefpersoon", "deelnemer", "pasient", "deltager", "deltagare", "deltaker", "potilas", "pacjent", "pacient"),
    *("mrn", "pid", "ptid", "eid", "guid", "empi", "ssn", "subjectkey", "personnummer", "mouse", "rid"),
    *("donor", "pseudonym"),
)
"""Words for a person or another subject of a scan."""

_CASES = ("case", "fall", "caso", "cas", "record", "dossier", "akte", "aktenzeichen", "study", "studien")
_SHORT = ("pt", "pts", "sub", "vp", "nhs", "cpr", "hn")
_NUMBERED = (
    *("id", "ids", "identifier", "identification", "uid", "ident", "kennung", "nr", "no", "num", "number", "numbers"),
    *("nummer", "numero", "n", "name", "code", "key", "label", "hash", "barcode", "index", "idx", "submitter"),
    *("de", "del", "du", "di", "da", "of", "the", "la", "le", "el"),
)
_IDS = {"id", "ids", "uid", "identifier", "kennung"}
_OTHERS = (
    *("site", "sites", "scanner", "center", "centre", "zentrum", "hospital", "krankenhaus", "clinic", "klinik", "coil"),
    *("institution", "institute", "batch", "device", "machine", "manufacturer", "vendor", "station", "protocol", "arm"),
    *("sequence", "reader", "rater", "observer", "radiologist", "operator", "physician", "doctor", "cohort", "dataset"),
    *("project", "country", "city", "region", "class", "category", "type", "software", "version", "trial"),
)
"""Words for what many subjects have in common."""

_FILES = (
    *(
        "name",
        "surname",
        "lastname",
        "nachname",
        "vorname",
        "nom",
        "nombre",
        "image",
        "img",
        "mask",
        "file",
        "filename",
    ),
    *("path", "filepath", "scan", "nifti", "datei", "dateiname", "bild"),
)
"""Names of columns with names of persons or files."""

_UNNAMED = re.compile(
    r"\s*|[#№]|unnamed: ?\d+(_level_\d+)?(\.\d+)*|level_\d+|row[ _.-]?(names?|numbers?|nums?|ids?|index)", re.I
)
_ROWS = (
    *("index", "idx", "row", "rows", "line", "obs", "position", "order", "seq", "serial", "count", "x", "n"),
    *("nr", "no", "num", "number", "nummer", "sno", "slno", "srno", "zeile", "zeilennummer", "lfd", "lfdnr"),
    *("laufendenummer", "numero", "numer"),
)
"""Names of row numbers, if all values differ."""

_CONSTANT_SHARE = 0.9


def is_id(name: str) -> bool:
    """Return whether the name of a column suggests an id.

    Parameters
    ----------
    name : str
        Name of the column.

    Returns
    -------
    bool
        True for names such as ``patient_id`` or ``uid``.
    """
    words = _words(name)
    return bool(words) and (words[-1] in _IDS or bool(_person(words)))


def people_column(frame: pd.DataFrame, *, exclude: Collection[str | None] = ()) -> str | None:
    """Find the column that is named like the id of a person and has repeated values.

    Parameters
    ----------
    frame : DataFrame
        Table to search.
    exclude : collection of str, default=()
        Columns to ignore.

    Returns
    -------
    str or None
        Words such as patient have priority over case, and these over any other id or
        name of a file; columns of sites, scanners and the like are ignored.
    """
    found: dict[int, str] = {}
    files = files_columns(frame, exclude=exclude)
    for name in frame:
        strength = max(_person(_words(name)), int(name in files)) if name not in exclude else 0
        values = frame[name].dropna()
        if strength and values.duplicated().any() and whole_or_text(values):
            fewest = {3: 1, 2: 3, 1: max(10, len(values) / 10)}[strength]
            if values.nunique() >= fewest:
                found.setdefault(strength, name)
    return found[max(found)] if found else None


def files_columns(frame: pd.DataFrame, *, exclude: Collection[str | None] = ()) -> list[str]:
    """Find text columns whose names suggest names of persons or files.

    Parameters
    ----------
    frame : DataFrame
        Table to search.
    exclude : collection of str, default=()
        Columns to ignore.

    Returns
    -------
    list of str
        Columns such as ``filename``, ``Image`` and ``name``.
    """
    named = [name for name in frame if name not in exclude and _words(name) and set(_words(name)) <= set(_FILES)]
    return [name for name in named if frame[name].dropna().astype(str).str.contains("[^\\W\\d]").any()]


def row_numbers(frame: pd.DataFrame) -> tuple[list[str], dict[str, str]]:
    """Find columns that number the rows.

    Parameters
    ----------
    frame : DataFrame of float
        Table in the original order of its rows; NaN where missing.

    Returns
    -------
    certain : list of str
        Columns with a constant step, or whole numbers with the name of a saved index.
    likely : dict of str to str
        Other columns that follow the order of the rows, or are a permutation of row
        numbers, with the reason. If most columns are permutations, they are ranks and
        not listed.
    """
    certain, likely, permuted = list[str](), dict[str, str](), list[str]()
    for name in frame:
        values = frame[name].to_numpy(float)
        values = values[np.isfinite(values)]
        if len(values) < max(3, len(frame) / 2) or (values == values[0]).all():
            continue
        whole, unique = bool((values % 1 == 0).all()), len(np.unique(values)) == len(values)
        steps = np.diff(values)
        usual = steps[np.argmin(np.abs(steps - np.median(steps)))]
        constant = usual != 0 and np.mean(np.isclose(steps, usual, rtol=1e-4, atol=0)) >= _CONSTANT_SHARE
        named = _UNNAMED.fullmatch(str(name)) or unique and "".join(_words(name)) in _ROWS
        if constant or whole and named:
            certain.append(name)
        elif whole and unique and ((steps > 0).all() or (steps < 0).all()):
            likely[name] = "follows the order of the rows"
        elif whole and unique and np.ptp(values) < 1.1 * len(frame):
            permuted.append(name)
    if len(permuted) < max(3, frame.shape[1] / 2):
        likely |= dict.fromkeys(permuted, "is a permutation of row numbers")
    return certain, likely


def whole_or_text(values: pd.Series) -> bool:
    """Return whether all values are text or whole numbers, as names are.

    Parameters
    ----------
    values : Series
        Values of a column.

    Returns
    -------
    bool
        False if there is a number with decimals.
    """
    numbers = pd.to_numeric(values, errors="coerce")
    return bool((numbers.isna() | (numbers % 1 == 0)).all())


def _person(words: Sequence[str]) -> int:
    """Rate how clearly a name is the id of a person: 3 for patient, 2 for case, 1 for any id, else 0."""
    words = [part for word in words for part in _split_compound(word)]
    core = list(words)
    while core and core[-1] in _NUMBERED:
        core.pop()
    numbered, ids = len(core) < len(words), _IDS & set(words)
    while core and core[0] in _NUMBERED:
        numbered = numbered or core[-1] == _singular(core[-1])  # "n_cases" counts them
        core.pop(0)
    if set(words) & set(_OTHERS) or len(core) < len(words) and not numbered:
        return 0
    if not core:
        return 2 if ids else 0
    if len(core) == 1 or numbered and words[-1] in _NUMBERED:
        if _singular(core[-1]) in _PEOPLE or numbered and core[-1] in _SHORT:
            return 3
        if _singular(core[-1]) in _CASES and (numbered or core[-1] in ("case", "record")):
            return 2
    return 1 if words[-1] in ids else 0


def _words(name: str) -> list[str]:
    """Split a name into words in lower case, without accents, digits and symbols."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", str(name).replace("ß", "ss"))
    text = unicodedata.normalize("NFKD", text)
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return [word for word in re.split(r"[^a-z]+", text.casefold()) if word]


def _split_compound(word: str) -> list[str]:
    """Split ``patientid`` into patient and id, and ``fallnummer`` into fall and nummer."""
    for end in sorted(_NUMBERED, key=len, reverse=True):
        start = word.removesuffix(end)
        if len(end) > 1 and start != word and _singular(start) in (*_PEOPLE, *_CASES, *_SHORT):
            return [start, end]
    return [word]


def _singular(word: str) -> str:
    known = (*_PEOPLE, *_CASES)
    return next((word[: len(word) - cut] for cut in (0, 1, 2) if word[: len(word) - cut] in known), word)
