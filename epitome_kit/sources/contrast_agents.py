"""What the fields of a header or a sidecar say of an agent."""

import re

from epitome_kit.sources.contrast_doses import read_agent
from epitome_kit.sources.contrast_fields import as_list, number
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


def agent_of(notes):
    """Tell whether the fields of a header say that an agent was given.

    Parameters
    ----------
    notes : dict
        BIDS names. Agent, ingredient, volume and dose state it; a route, a time or a
        field that nobody standardised, such as ``ContrastEnhanced``, count where they
        say yes or no, and leave it open otherwise.

    Returns
    -------
    (str or None, str)
        ``"with"``, ``"without"``, or ``"unclear"`` where fields disagree; None where
        they are missing or say nothing. And the agent in words.
    """
    found = []
    for name in ("ContrastBolusAgent", "ContrastBolusIngredient"):
        for value in as_list(notes.get(name)):
            state, said = read_agent(value)
            said = said if state != "unclear" or said else f"not understood in {name}"
            found += [(state, said)] if state else []
    for name in ("ContrastBolusVolume", "ContrastBolusTotalDose"):
        amount = _amount(notes.get(name))
        if amount is not None:
            found.append(("with", f"{amount:g} ml") if amount > 0 else ("without", "0 ml"))
    found += [told for key, value in notes.items() if (told := _other_field(key, value))]
    if not found and any(_filled(notes.get(name)) for name in _TRACES):
        return "unclear", "a field of an injection is filled"
    states = {state for state, _ in found}
    said = ", ".join(dict.fromkeys(said for _, said in found))
    return (None if not found else states.pop() if len(states) == 1 else "unclear"), f"agent {said}" if said else ""


def _amount(value):
    """Read an amount with or without its unit."""
    if number(value) is not None:
        return number(value)
    match = re.match(r"\s*(\d{1,9}(?:[.,]\d{1,9})?)\s*(?:m|c|$)", as_text(value).lower())
    return float(match[1].replace(",", ".")) if match else None


def _filled(value):
    """Whether a field holds more than a word for nothing."""
    words = set(re.findall("[a-z0-9]+", re.sub(r"\bn\s*/\s*a\b", "none", as_text(value).lower())))
    return bool(words - _NO - _UNKNOWN - {"0", "000000"})


def _other_field(key, value):
    """State of a field that no standard knows but whose name is of an agent; None where it says nothing."""
    name = re.sub(r"[\W_]+", "", str(key)).lower()
    if key in _READ or not _OF_AGENT.search(name) or _NOT_OF_AGENT.search(name):
        return None
    text = as_text(value).strip().lower()
    words = set(re.findall("[a-z0-9]+", re.sub(r"\bn\s*/\s*a\b", "unknown", text)))
    told = read_words(text)
    if not words or words <= _UNKNOWN or (told.kind and not told.agent):
        return None
    denied = bool(re.match("no[nt]?(?=contrast|gad|enh|bolus|kontrast)|without|pre|un", name))
    state = "unclear"
    if told.agent in ("with", "without"):
        state = told.agent
    elif words <= _NO | {"0"}:
        state = "without"
    elif words <= _YES | {"given", "administered", "enhanced"}:
        state = "with"
    if denied and state != "unclear":
        state = {"with": "without", "without": "with"}[state]
    return state, {"with": "stated", "without": "NONE"}.get(state, "in a field that is not understood")
