"""Read from the fields of a header or a sidecar whether a contrast agent was given."""

import re
from collections.abc import Mapping

from epitome_kit.sources.contrast_doses import read_agent
from epitome_kit.sources.contrast_fields import as_list, as_number
from epitome_kit.sources.contrast_notes import as_text
from epitome_kit.sources.contrast_words import read_words

_NEGATIONS = (
    "no none non not without wo n nil null nein kein keine ohne sans aucun sin senza zonder nativ native nativo plain "
    "unenhanced noncontrast nocontrast pre precontrast false f saline nacl vor avant before prior never withheld "
    "utan uden uten ilman bez sem off minus free frei"
)
_NO = frozenset(_NEGATIONS.split())
_UNSAID = "unknown unk unspecified undefined default tbd other anonymized anonymised removed na nan xxx"
_UNKNOWN = frozenset(_UNSAID.split())
_YES = {"y", "yes", "ja", "oui", "si", "iv", "c", "w", "with", "true", "t", "post", "1"}
_TRACES = (
    *("ContrastBolusRoute", "ContrastBolusStartTime", "ContrastBolusStopTime", "ContrastFlowRate"),
    *("ContrastFlowDuration", "ContrastBolusIngredientConcentration"),
)
_READ = {*_TRACES, "ContrastBolusAgent", "ContrastBolusIngredient", "ContrastBolusVolume", "ContrastBolusTotalDose"}
_OF_AGENT = re.compile("contrast|kontrast|gad|bolus|injec|enhanced|enhancement|^agent|^(post|pre)?(gd|km)|gbca")
_NOT_OF_AGENT = re.compile(
    "noise|ratio|window|phase|map|multi|acquisition|edge|filter|skull|resolution|level|user|gadget"
)


def agent_by_fields(notes: Mapping[str, object]) -> tuple[str | None, str]:
    """Return whether a contrast agent was given, according to the fields of a header.

    Parameters
    ----------
    notes : dict
        Fields by BIDS name. Agent, ingredient, volume and dose are decisive. A route, a
        time or a non-standard field such as ``ContrastEnhanced`` counts if it is a clear
        yes or no; otherwise the state is unclear.

    Returns
    -------
    state : str or None
        ``"with"``, ``"without"``, or ``"unclear"`` if fields disagree; None if they are
        missing or empty.
    evidence : str
        The agent in words.
    """
    found: list[tuple[str, str]] = []
    for name in ("ContrastBolusAgent", "ContrastBolusIngredient"):
        for value in as_list(notes.get(name)):
            state, words = read_agent(value)
            if state:
                found.append((state, words if state != "unclear" or words else f"not understood in {name}"))
    for name in ("ContrastBolusVolume", "ContrastBolusTotalDose"):
        amount = _amount(notes.get(name))
        if amount is not None:
            found.append(("with", f"{amount:g} ml") if amount > 0 else ("without", "0 ml"))
    found += [reading for key, value in notes.items() if (reading := _other_field(key, value))]
    if not found and any(_is_filled(notes.get(name)) for name in _TRACES):
        return "unclear", "a field of an injection is filled"
    states = {state for state, _ in found}
    agents = ", ".join(dict.fromkeys(words for _, words in found))
    state = None if not found else states.pop() if len(states) == 1 else "unclear"
    return state, f"agent {agents}" if agents else ""


def _amount(value: object) -> float | None:
    """Parse an amount with or without its unit."""
    if as_number(value) is not None:
        return as_number(value)
    match = re.match(r"\s*(\d{1,9}(?:[.,]\d{1,9})?)\s*(?:m|c|$)", as_text(value).lower())
    return float(match[1].replace(",", ".")) if match else None


def _is_filled(value: object) -> bool:
    """Return whether a field holds more than a placeholder."""
    words = set(re.findall("[a-z0-9]+", re.sub(r"\bn\s*/\s*a\b", "none", as_text(value).lower())))
    return bool(words - _NO - _UNKNOWN - {"0", "000000"})


def _other_field(key: str, value: object) -> tuple[str, str] | None:
    """Read a non-standard field whose name refers to an agent: state and evidence; None if it is not informative."""
    name = re.sub(r"[\W_]+", "", str(key)).lower()
    if key in _READ or not _OF_AGENT.search(name) or _NOT_OF_AGENT.search(name):
        return None
    text = as_text(value).strip().lower()
    words = set(re.findall("[a-z0-9]+", re.sub(r"\bn\s*/\s*a\b", "unknown", text)))
    reading = read_words(text)
    if not words or words <= _UNKNOWN or (reading.kind and not reading.agent):
        return None
    denied = bool(re.match("no[nt]?(?=contrast|gad|enh|bolus|kontrast)|without|pre|un", name))
    state = "unclear"
    if reading.agent in ("with", "without"):
        state = reading.agent
    elif words <= _NO | {"0"}:
        state = "without"
    elif words <= _YES | {"given", "administered", "enhanced"}:
        state = "with"
    if denied and state != "unclear":
        state = {"with": "without", "without": "with"}[state]
    return state, {"with": "stated", "without": "NONE"}.get(state, "in a field that is not understood")
