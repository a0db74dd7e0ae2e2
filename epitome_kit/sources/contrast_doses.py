"""Read the text of a contrast agent field: given, not given or not understood, in many languages."""

import re
from collections.abc import Sequence

from epitome_kit.sources.contrast_lexicon import LEXICON, without_accents

_LISTS = {
    "no": "no none non not without wo n nil null nein kein keine keines keins keinen keiner ohne nicht sans "
    "aucun aucune pas sin sem senza zonder geen niet nessun nessuno nessuna ningun ninguno ninguna nenhum "
    "nenhuma nada nao niente nulla ingen inget intet inte ikke uten utan uden bez brak nie zadny zadna "
    "zadne nema yok hayir ilman ei nem nincs fara nici nativ native nativo nativa plain unenhanced "
    "noncontrast nocontrast noncon pre precontrast false f vor avant before prior never zero smdc blanco "
    "basale",
    "not stated": "unknown unk unspecified undefined default tbd other anonymized anonymised removed unbekannt inconnu "
    "desconocido sconosciuto onbekend okand ukendt ukjent nieznany redacted deidentified anon anonymous",
    "given": "y yes ja oui si sim ano tak evet kylla da iv c w with mit avec con com med met true t given applied "
    "administered done gegeben verabreicht appliziert injected positive signplus post postcontrast after "
    "nach apres dopo despues",
    "units": "ml mls cc ccs cm mmol mol kg mg g l dose vol volume total x per of m iv",
}
_NO, _NOT_STATED, _GIVEN, _UNITS = (frozenset(words.split()) for words in _LISTS.values())
_REFUSED = re.compile(
    "refus|declin|cancel|withh|omit|abgelehn|ablehn|verweiger|storn|abgesagt|entfall|geweiger|afgezegd|annul|suspend|"
    "rifiut|rechaz|recus|negad|odmow|odmaw|odmit|nepod|niepod|avboj|nekad|afvist|avvist|avlyst|installt|reddett|iptal|"
    "kieltay|skipped|missed|aborted|notgiven|notadmin|undone|visszautas"
)
_OPEN = re.compile(
    "allerg|contraind|kontraind|defer(?!ox)|postpon|verschob|^(neg|negativ[aeo]?|baseline|if|maybe|possibl[ey]|perhaps|ggf|ggfs|gegebenenfalls|evtl|"
    "eventuell|eventueel|eventuellt|falls|bedarf|optional|need|needed|necessary|required|pending|planned|geplant|"
    "scheduled|ordered|requested|consider|unless|stopped|failed|fail|extravasation|extravasated|"
    "paravasat|premed|premedication|risk|eventualmente|besoin|necesario|eventuel)$"
)
_WITH = {"with", "w", "mit", "avec", "con", "com", "med", "met"}
_AFTER = {"post", "after", "nach", "apres", "dopo", "despues", "po", "efter", "etter", "na"}
_BOTH = {"wwo"}
_FLUSH = {"saline", "nacl", "kochsalz", "nss", "flush"}
_AGENT = re.compile(
    r"gad[a-z]*|gd[a-z0-9]*|kontrast(mittel|medel|middel|vloeistof|stof|stoff|ni|ne|nie|om|em|u|a|y|ia|ein|ti|li)?|"
    r"contrast(e|o|ed|mittel|medium|media|middel|vloeistof|stof|stoff|agent)?|(varjo|tehoste)[a-z]*|[a-z]+vist|km|mdc|gbca|"
    r"sredek|srodek|ferumoxytol|kl|kontrastli"
)
_GLUED_NO = re.compile(
    "(?:non|not|no|without|wo|ohne|keine|kein|sans|sin|sem|senza|zonder|utan|uden|uten|bez|pre|prae|vor|avant|before|"
    "minus|zero|null|nil|un)(.{2,})|(.{2,}?)(?:free|frei|fri|fritt|less|los|minus|none|siz|suz|vrij|loze|ton)"
)
_MOST_ML = 1000


def read_agent(text: str) -> tuple[str | None, str]:
    """Return whether an agent was given, according to the text of one field.

    Parameters
    ----------
    text : str
        Such as ``"10 ml Gadovist"``.

    Returns
    -------
    state : str or None
        ``"with"``, ``"without"``, ``"unclear"`` if the text is not understood, or None if it
        is empty.
    evidence : str
        The part of the text that may be shown: known words only.
    """
    text = without_accents(str(text).lower())
    text = text.translate(str.maketrans("øłıđ", "olid")).replace("ß", "ss")
    text = re.sub(r"w\s*/\s*o(?![a-z])", " wo ", re.sub(r"n\s*/\s*a|\bna\b", " none ", text))
    text = re.sub(r"(?<![a-z0-9])i\.\s?v\.?(?![a-z0-9])", " iv ", text)
    words = re.findall(r"\d+(?:[.,]\d+)?|[^\W\d_][^\W_]*", text)
    amounts = [float(word.replace(",", ".")) for word in words if word[0].isdigit()]
    letters = [word for word in words if not word[0].isdigit()]
    names = [word for word in letters if _is_agent(word)]
    no = [word for word in letters if word in _NO or _REFUSED.search(word) or _denies(word)]
    if not names:
        no += [word for word in letters if word in _FLUSH]
    if (_WITH | _AFTER) & set(letters) and no or _BOTH & set(letters):
        return "unclear", "with and without"
    if "?" in text or any(_OPEN.search(word) for word in letters):
        return "unclear", "in words that leave it open"
    shown = [word for word in names if word in LEXICON]
    if no or (amounts and not any(amounts)):
        shown = [*(word for word in no if word in _NO), *shown]
        return "without", " ".join(dict.fromkeys(shown)).upper() or "not given"
    if names:
        return "with", " ".join(dict.fromkeys(shown)).upper() or "by name"
    return _without_name(text, letters, amounts)


def is_conditional(word: str) -> bool:
    """Return whether a word expresses a refusal or a condition, such as `declined` or `evtl`.

    Parameters
    ----------
    word : str
        In lower case.

    Returns
    -------
    bool
    """
    return bool(_REFUSED.search(word) or _OPEN.search(word))


def _without_name(text: str, letters: Sequence[str], amounts: Sequence[float]) -> tuple[str | None, str]:
    """Read a text that contains neither an agent nor a negation."""
    known = _NOT_STATED | _GIVEN | _UNITS
    if not letters and not amounts:
        strange = any(letter.isalnum() for letter in text)
        return ("unclear", "") if strange else (None, "")
    if set(letters) & _NOT_STATED and not any(amounts):
        return None, ""
    if not set(letters) <= known or any(amount > _MOST_ML for amount in amounts):
        return "unclear", ""
    if any(amounts):
        return "with", "stated by its amount"
    return ("with", "stated") if set(letters) & _GIVEN else ("unclear", "")


def _denies(word: str) -> bool:
    """Return whether a word joins an agent and a negation, such as `nogad` or `kontrastfri`."""
    match = None if _is_agent(word) else _GLUED_NO.fullmatch(word)
    parts = match.groups() if match else ()
    return LEXICON.get(word) == "plain" or any(part and _is_agent(part) for part in parts)


def _is_agent(word: str) -> bool:
    """Return whether a word stands for an agent."""
    if word in _NO or (_GLUED_NO.fullmatch(word) and word not in LEXICON):
        return False
    return LEXICON.get(word) in ("agent", "short", "given") or bool(_AGENT.fullmatch(word))
