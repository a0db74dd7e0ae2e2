"""Judge the contrast of a scan, with the evidence, or report that it cannot be determined."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from epitome_kit.contrast_table import CONTRASTS, SUFFIX_KINDS
from epitome_kit.files import Json, PathLike
from epitome_kit.sources.contrast_agents import agent_by_fields
from epitome_kit.sources.contrast_fields import exclude_by_type, kind_by_times
from epitome_kit.sources.contrast_names import (
    agent_by_entity,
    exclude_by_name,
    find_sidecar,
    read_name,
    read_other_entities,
    read_other_sidecars,
    read_sidecar,
)
from epitome_kit.sources.contrast_notes import UNREADABLE, as_text, tidy_notes
from epitome_kit.sources.contrast_words import Words, names_agent, read_words

_SHOWN = {"signplus": "C+", "signminus": "C-", "nkm": "n. KM", "okm": "o. KM", "vkm": "v. KM", "mkm": "m. KM"}
_KINDS = frozenset(SUFFIX_KINDS.values())
_OTHER_TIMES = tuple(kind for kind in ("PD", "T2*", "EPI", "STIR") if kind not in _KINDS)
_NAMES: dict[tuple[str | None, str], str] = {(row.kind, row.agent): name for name, row in CONTRASTS.items()}

_Text = tuple[str, Words]
"""Where a text stands, and its words."""


class Judgement(NamedTuple):
    """Contrast of a scan, and the evidence for it.

    Attributes
    ----------
    contrast : str or None
        A key of :data:`epitome_kit.contrast_table.CONTRASTS`, ``"other"``, or None if it
        cannot be determined.
    evidence : str
        Composed of words from the kit's own lists, never copied from a header, so that it
        cannot contain the name of a person.
    """

    contrast: str | None
    evidence: str


class Series(NamedTuple):
    """One series or scan before it is judged.

    Attributes
    ----------
    notes : dict
        Fields by BIDS name, times in seconds.
    name : str, default=""
        File name; empty if it carries no information.
    shorter_echo : bool, default=False
        The series contains a shorter echo.
    """

    notes: Json
    name: str = ""
    shorter_echo: bool = False


def judge_scan(path: PathLike, *, notes: Json | None = None, name: str | None = None) -> Judgement:
    """Judge the contrast of an image file.

    Evidence is considered in this order: BIDS entities and suffix, sidecar fields,
    series description, file name. If they disagree, the contrast is undetermined.

    Parameters
    ----------
    path : path
        Need not exist; the name of its folder is ignored.
    notes : dict, default=None
        Fields of the sidecar. None reads the ``.json`` next to the file, if there is one.
    name : str, default=None
        File name to judge by instead of that of `path`.

    Returns
    -------
    Judgement
    """
    path = Path(path)
    notes = tidy_notes(read_sidecar(find_sidecar(path)) if notes is None else notes)
    series = Series(notes, path.name if name is None else str(name))
    compare = notes.get("ProtocolName") or agent_by_fields(notes)[0]
    others = [Series(fields, stem) for stem, fields in read_other_sidecars(path)] if compare else []
    return judge_series(series, others)


def judge_series(series: Series, others: Iterable[Series] = (), *, after_agent: bool = False) -> Judgement:
    """Judge one series of an exam; files, DICOM and uploads are all judged by this function.

    Parameters
    ----------
    series : Series
        The series to judge.
    others : sequence of Series, default=()
        The other series of the exam; a protocol name shared by several series is ignored.
    after_agent : bool, default=False
        Every T1 of the collection is known to be post-contrast.

    Returns
    -------
    Judgement
    """
    series = series._replace(notes=tidy_notes(series.notes))
    others = [other._replace(notes=tidy_notes(other.notes)) for other in others]
    suffix, entities, texts = _texts(series, others)
    kind, why = _kind(series, suffix, entities, texts)
    if kind != "T1w":
        given, entity = agent_by_entity(entities)
        after = kind in _KINDS and given == "with"
        return Judgement("other", f"{why}, {entity}: after an agent") if after else _named(kind, "", why)
    if after_agent:
        return _named(kind, "with", f"{why}, as every T1 of the collection after an agent")
    given, reason = _agent(series, suffix, entities, texts, others)
    return _named(kind, given, _and(why, reason))


def _named(kind: str | None, agent: str, evidence: str) -> Judgement:
    """Return the contrast of a kind and a state of the agent; "other" is kept, any other kind is undetermined."""
    return Judgement(_NAMES.get((kind, agent), kind if kind == "other" else None), evidence)


def _texts(series: Series, others: Sequence[Series]) -> tuple[str | None, dict[str, str], list[_Text]]:
    """Read suffix, entities and the words of each text."""
    suffix, entities, words = read_name(series.name)
    notes = series.notes
    described = read_words(notes.get("SeriesDescription") or "")
    texts = [("description", described)]
    protocol = notes.get("ProtocolName") or ""
    if protocol and not any(_same(protocol, other.notes.get("ProtocolName")) for other in others):
        words_of_protocol = read_words(protocol)
        kind = words_of_protocol.kind
        if described.kind is None and kind or (described.agent is None and kind not in (None, "other")):
            words_of_protocol = words_of_protocol._replace(kind=kind if described.kind is None else None)
            texts.append(("protocol", words_of_protocol if kind != "other" else words_of_protocol._replace(agent=None)))
    comment = read_words(notes.get("ImageComments") or "")
    if names_agent(comment):
        texts.append(("comment", comment._replace(kind=None, kind_words="")))
    texts += [("entity", side) for side in read_other_entities(series.name)]
    return suffix, entities, [*texts, ("label" if suffix else "file name", words)]


def _kind(
    series: Series, suffix: str | None, entities: Mapping[str, str], texts: Sequence[_Text]
) -> tuple[str | None, str]:
    """Decide between the kinds of contrast and "other", with the evidence; None if undetermined."""
    other = exclude_by_type(series.notes) or exclude_by_name(suffix, entities)
    if other:
        return "other", other
    sequence = read_words(series.notes.get("SequenceName") or "")
    for where, words in [*texts, ("sequence", sequence if sequence.kind == "other" else Words(None, None))]:
        if words.kind == "other" or (words.kind == "MP2RAGE" and not suffix):
            return "other", f"{where} says {_shown(words.kind_words)}"
    timed, times = kind_by_times(series.notes)
    claims = [(f"suffix {suffix}", SUFFIX_KINDS[suffix])] if suffix else []
    claims += [
        (f"{where} says {_shown(words.kind_words)}", words.kind)
        for where, words in texts
        if words.kind and words.kind != "MP2RAGE"
    ]
    return _weigh_kinds(claims, timed, times, series.shorter_echo)


def _weigh_kinds(
    claims: list[tuple[str, str]], timed: str | None, times: str, shorter_echo: bool
) -> tuple[str | None, str]:
    """Weigh the claims of texts, as (evidence, kind), against the times of the sequence."""
    named = {kind for _, kind in claims}
    if timed in _OTHER_TIMES and (timed == "EPI" or not named & {"T1w", "FLAIR"}):
        stated = [why for why, kind in claims if why.startswith("suffix")]
        return (None, _disagree(*stated, times)) if stated and timed != "EPI" else ("other", f"{times}: {timed}")
    if timed == "T2w" and "PD" in named:
        dual = shorter_echo or any("t2" in why.lower() for why, _ in claims)
        claims = [(why, "T2w" if kind == "PD" and dual else kind) for why, kind in claims]
    elif named == {"PD"} and not timed and ("PD" in _OTHER_TIMES or "t2" in claims[0][0].lower()):
        return "other", f"{claims[0][0]}: proton density"
    elif named == {"PD", "T2w"} and not timed and any("t2" in why.lower() for why, kind in claims if kind == "PD"):
        claims = [(why, "T2w") for why, _ in claims]
    if timed == "FLAIR":
        claims = [(why, "FLAIR" if kind == "T2w" and not why.startswith("suffix") else kind) for why, kind in claims]
    structured = timed if timed not in _OTHER_TIMES else f"{timed} by its times"
    if structured == "T2w" and "FLAIR" in named:
        structured = None
    if structured or any(why.startswith("suffix") for why, _ in claims):
        claims = [(why, kind) for why, kind in claims if kind != "unclear"]
    claims += [(times, structured)] if structured else []
    kinds = {kind for _, kind in claims}
    if len(kinds) == 1 and kinds <= _KINDS:
        return kinds.pop(), ", ".join(why for why, _ in claims)
    if not claims:
        return None, f"no word of a contrast{f', {times} are those of none' if times else ''}"
    return None, _disagree(*(why for why, _ in claims))


def _agent(
    series: Series, suffix: str | None, entities: Mapping[str, str], texts: Sequence[_Text], others: Sequence[Series]
) -> tuple[str, str]:
    """Decide whether an agent was given, with the evidence; "unclear" if undetermined."""
    state, why = agent_by_fields(series.notes)
    stated = [(state, why)] if state in ("with", "without") else []
    entity, entity_evidence = agent_by_entity(entities)
    stated = [(entity, entity_evidence), *stated] if entity else stated
    worded = [(words.agent, f"{where} says {_shown(words.agent_words)}") for where, words in texts if words.agent]
    clear = [(state, why) for state, why in worded if state != "unclear"]
    if len({state for state, _ in stated}) > 1 or (state == "unclear" and not clear and not entity):
        return "unclear", _disagree(*(why for _, why in stated)) if stated else f"{why}: cannot tell"
    if not stated and not worded:
        doubt = _doubt(series, others)
        return ("unclear", f"cannot tell: {doubt}") if doubt else ("without", "no word of an agent")
    if not stated and len(clear) < len(worded):
        return "unclear", f"{_joined(worded)}: cannot tell"
    if stated and not worded and not entity and _in_every_header(others):
        return "unclear", f"cannot tell: {why}, but it stands in headers of T1 before and after it alike"
    states = {state for state, _ in [*stated, *clear]}
    if len(states) == 1:
        return states.pop(), _joined([*stated, *clear])
    plain = {state for state, _ in clear} == {"without"}
    if plain and not entity and any(_after_agent(other) for other in others):
        return "without", f"{_joined(clear)}, and another T1 of the exam is after the agent"
    return "unclear", _disagree(*(why for _, why in [*stated, *clear]))


def _doubt(series: Series, others: Sequence[Series]) -> str:
    """Explain why an agent may have been given although no field or text mentions one; empty if there is no doubt.

    A protocol name that no other series shares is a hint for a file, since other
    series of its exam may be missing.
    """
    if series.notes.get(UNREADABLE):
        name = as_text(series.notes[UNREADABLE]).rpartition("/")[2]
        return f"cannot read {name}" if name.startswith("sub-") else "its sidecar cannot be read"
    protocol = series.notes.get("ProtocolName") or ""
    shared = any(_same(protocol, other.notes.get("ProtocolName")) for other in others)
    words = read_words(protocol)
    if series.name and not shared and words.agent != "without" and names_agent(words):
        return f"protocol says {_shown(words.agent_words)}"
    return ""


def _in_every_header(others: Sequence[Series]) -> bool:
    """Return whether the agent field has one value throughout an exam whose T1 series differ in words."""
    carrying = [other for other in others if agent_by_fields(other.notes)[0] == "with"]
    states = [_agent_by_words(other)[1] for other in carrying]
    return "without" in states or ("with" in states and len(carrying) == len(others))


def _agent_by_words(series: Series) -> tuple[bool, str | None]:
    """Return whether a series is a T1, and the state of the agent by its own words; None if they are silent."""
    suffix, entities, texts = _texts(series, [])
    if _kind(series, suffix, entities, texts)[0] != "T1w":
        return False, None
    states = {words.agent for where, words in texts if where != "protocol" and words.agent}
    return True, states.pop() if len(states) == 1 else None


def _after_agent(series: Series) -> bool:
    """Return whether a series is a post-contrast T1, by its fields or its words."""
    is_t1, state = _agent_by_words(series)
    return is_t1 and (state == "with" or (state is None and agent_by_fields(series.notes)[0] == "with"))


def _same(one: object, other: object) -> bool:
    return other is not None and " ".join(str(one).lower().split()) == " ".join(str(other).lower().split())


def _shown(words: str) -> str:
    """Write words of the lexicon as people do."""
    return " ".join(
        _SHOWN.get(word, re.sub("^(t[12]|pd|flair)", lambda kind: kind[0].upper(), word)) for word in words.split()
    )


def _and(why: str, reason: str) -> str:
    """Join the evidence for the kind and for the agent; a place common to both is named once."""
    place, says, word = reason.partition(" says ")
    if says and why.rsplit(", ", 1)[-1].startswith(f"{place} says "):
        before, _, kinds = why.rpartition(f"{place} says ")
        return f"{before}{place} says {' and '.join(dict.fromkeys([*kinds.split(' and '), *word.split(' and ')]))}"
    return f"{why}, {reason}"


def _joined(found: Iterable[tuple[str | None, str]]) -> str:
    return ", ".join(dict.fromkeys(why for _, why in found))


def _disagree(*sides: str) -> str:
    return f"cannot tell: {', but '.join(dict.fromkeys(sides))}"
