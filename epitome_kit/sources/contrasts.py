"""The judge of contrasts: what a scan shows, on which evidence, or that nobody can tell."""

import re
from pathlib import Path
from typing import NamedTuple

from epitome_kit.contrast_table import CONTRASTS, SUFFIX_KINDS
from epitome_kit.sources.contrast_agents import agent_of
from epitome_kit.sources.contrast_fields import by_times, other_type
from epitome_kit.sources.contrast_names import (
    entity_agent,
    other_name,
    read_beside,
    read_name,
    read_sidecar,
    side_words,
    sidecar_beside,
)
from epitome_kit.sources.contrast_notes import UNREADABLE, as_text, tidy_notes
from epitome_kit.sources.contrast_words import Words, names_agent, read_words

_SHOWN = {"signplus": "C+", "signminus": "C-", "nkm": "n. KM", "okm": "o. KM", "vkm": "v. KM", "mkm": "m. KM"}
_KINDS = frozenset(SUFFIX_KINDS.values())
_OTHER_TIMES = tuple(kind for kind in ("PD", "T2*", "EPI", "STIR") if kind not in _KINDS)
_NAMES = {(row.kind, row.agent): name for name, row in CONTRASTS.items()}


class Judgement(NamedTuple):
    """What a scan shows, and why.

    Attributes
    ----------
    contrast : str or None
        A key of :data:`epitome_kit.contrast_table.CONTRASTS`, ``"other"``, or None
        where it cannot be told.
    evidence : str
        In words that stand in no header but in lists of the kit: names of people
        can be in none of them.
    """

    contrast: str | None
    evidence: str


class Series(NamedTuple):
    """What is known of one series or scan before it is judged.

    Attributes
    ----------
    notes : dict
        Fields by their BIDS names, times in seconds.
    name : str, default=""
        Of its file; "" where that says nothing.
    shorter_echo : bool, default=False
        The series holds an echo before this one.
    """

    notes: dict
    name: str = ""
    shorter_echo: bool = False


def judge_scan(path, *, notes=None, name=None):
    """Judge what an image file shows.

    Evidence comes in this order: entities and suffix of BIDS, the fields of the
    sidecar, the description of the series, the name of the file. Where they
    disagree, nobody can tell.

    Parameters
    ----------
    path : path
        Need not be there; its folder's name says nothing.
    notes : dict, default=None
        The sidecar. None: the ``.json`` beside the file, if there is one.
    name : str, default=None
        To judge by in place of the file's own.

    Returns
    -------
    Judgement
    """
    path = Path(path)
    notes = tidy_notes(read_sidecar(sidecar_beside(path)) if notes is None else notes)
    series = Series(notes, path.name if name is None else str(name))
    asked = notes.get("ProtocolName") or agent_of(notes)[0]
    beside = [Series(fields, stem) for stem, fields in read_beside(path)] if asked else []
    return judge_series(series, beside)


def judge_series(series, others=(), *, after_agent=False):
    """Judge one series of an exam: the one judge behind files, DICOM and uploads.

    Parameters
    ----------
    series : Series
    others : sequence of Series, default=()
        The other series of the exam: words that two of them share say nothing.
    after_agent : bool, default=False
        Every T1 of the collection is known to be after an agent.

    Returns
    -------
    Judgement
    """
    series = series._replace(notes=tidy_notes(series.notes))
    others = [other._replace(notes=tidy_notes(other.notes)) for other in others]
    suffix, entities, texts = _texts(series, others)
    kind, why = _kind(series, suffix, entities, texts)
    if kind != "T1w":
        given, entity = entity_agent(entities)
        after = kind in _KINDS and given == "with"
        return Judgement("other", f"{why}, {entity}: after an agent") if after else _named(kind, "", why)
    if after_agent:
        return _named(kind, "with", f"{why}, as every T1 of the collection after an agent")
    given, reason = _agent(series, suffix, entities, texts, others)
    return _named(kind, given, _and(why, reason))


def _named(kind, agent, evidence):
    """Name a contrast by its kind and the agent; "other" stays, and what is unclear is None."""
    return Judgement(_NAMES.get((kind, agent), kind if kind == "other" else None), evidence)


def _texts(series, others):
    """Read suffix and entities, and what each text says: (where, words)."""
    suffix, entities, words = read_name(series.name)
    notes = series.notes
    described = read_words(notes.get("SeriesDescription") or "")
    texts = [("description", described)]
    protocol = notes.get("ProtocolName") or ""
    if protocol and not any(_same(protocol, other.notes.get("ProtocolName")) for other in others):
        told = read_words(protocol)
        if described.kind is None and told.kind or (described.agent is None and told.kind not in (None, "other")):
            own = told if described.kind is None else told._replace(kind=None)
            texts.append(("protocol", own if told.kind != "other" else own._replace(agent=None)))
    comment = read_words(notes.get("ImageComments") or "")
    if names_agent(comment):
        texts.append(("comment", comment._replace(kind=None, said="")))
    texts += [("entity", side) for side in side_words(series.name)]
    return suffix, entities, [*texts, ("label" if suffix else "file name", words)]


def _kind(series, suffix, entities, texts):
    """Settle the kind or "other", with the evidence; None where it cannot be told."""
    other = other_type(series.notes) or other_name(suffix, entities)
    if other:
        return "other", other
    sequence = read_words(series.notes.get("SequenceName") or "")
    for where, words in [*texts, ("sequence", sequence if sequence.kind == "other" else Words(None, None))]:
        if words.kind == "other" or (words.kind == "MP2RAGE" and not suffix):
            return "other", f"{where} says {_shown(words.said)}"
    timed, times = by_times(series.notes)
    claims = [(f"suffix {suffix}", SUFFIX_KINDS[suffix])] if suffix else []
    claims += [(f"{where} says {_shown(words.said)}", words.kind) for where, words in texts if words.kind != "MP2RAGE"]
    claims = [(why, kind) for why, kind in claims if kind]
    return _weigh_kinds(claims, timed, times, series.shorter_echo)


def _weigh_kinds(claims, timed, times, shorter_echo):
    """Weigh what texts claim against the times of the sequence."""
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


def _agent(series, suffix, entities, texts, others):
    """Settle whether an agent was given, with the evidence; "unclear" where it cannot be told."""
    state, why = agent_of(series.notes)
    stated = [(state, why)] if state in ("with", "without") else []
    entity, entity_said = entity_agent(entities)
    stated = [(entity, entity_said), *stated] if entity else stated
    told = [(words.agent, f"{where} says {_shown(words.agent_said)}") for where, words in texts if words.agent]
    clear = [(state, why) for state, why in told if state != "unclear"]
    if len({state for state, _ in stated}) > 1 or (state == "unclear" and not clear and not entity):
        return "unclear", _disagree(*(why for _, why in stated)) if stated else f"{why}: cannot tell"
    if not stated and not told:
        doubt = _doubt(series, others)
        return ("unclear", f"cannot tell: {doubt}") if doubt else ("without", "no word of an agent")
    if not stated and len(clear) < len(told):
        return "unclear", f"{_joined(told)}: cannot tell"
    if stated and not told and not entity and _in_every_header(others):
        return "unclear", f"cannot tell: {why}, but it stands in headers of T1 before and after it alike"
    states = {state for state, _ in [*stated, *clear]}
    if len(states) == 1:
        return states.pop(), _joined([*stated, *clear])
    plain = {state for state, _ in clear} == {"without"}
    if plain and not entity and any(_after_agent(other) for other in others):
        return "without", f"{_joined(clear)}, and another T1 of the exam is after the agent"
    return "unclear", _disagree(*(why for _, why in [*stated, *clear]))


def _doubt(series, others):
    """Say why no word of an agent does not mean that none was given; empty where it does.

    A protocol of its own is a hint for a file, of whose exam others may be missing.
    """
    if series.notes.get(UNREADABLE):
        name = as_text(series.notes[UNREADABLE]).rpartition("/")[2]
        return f"cannot read {name}" if name.startswith("sub-") else "its sidecar cannot be read"
    protocol = series.notes.get("ProtocolName") or ""
    shared = any(_same(protocol, other.notes.get("ProtocolName")) for other in others)
    words = read_words(protocol)
    if series.name and not shared and words.agent != "without" and names_agent(words):
        return f"protocol says {_shown(words.agent_said)}"
    return ""


def _in_every_header(others):
    """Whether the field for the agent is the same all through an exam whose T1 differ by their words."""
    carrying = [other for other in others if agent_of(other.notes)[0] == "with"]
    words = [_agent_words(other) for other in carrying]
    return "without" in words or ("with" in words and len(carrying) == len(others))


def _agent_words(series):
    """Tell what a T1 itself says of an agent in words; None where it says nothing, or is no T1."""
    suffix, entities, texts = _texts(series, [])
    if _kind(series, suffix, entities, texts)[0] != "T1w":
        return None
    words = {words.agent for where, words in texts if where != "protocol" and words.agent}
    return words.pop() if len(words) == 1 else None


def _after_agent(series):
    """Whether a series is a T1 after an agent, by its fields or its words."""
    suffix, entities, texts = _texts(series, [])
    if _kind(series, suffix, entities, texts)[0] != "T1w":
        return False
    return _agent_words(series) in ("with", None) and "with" in (_agent_words(series), agent_of(series.notes)[0])


def _same(one, other):
    return other is not None and " ".join(str(one).lower().split()) == " ".join(str(other).lower().split())


def _shown(said):
    return " ".join(
        _SHOWN.get(word, re.sub("^(t[12]|pd|flair)", lambda kind: kind[0].upper(), word)) for word in said.split()
    )


def _and(why, reason):
    """Join what was found of the kind and of the agent; what stands in one place is said once."""
    place, says, word = reason.partition(" says ")
    if says and why.rsplit(", ", 1)[-1].startswith(f"{place} says "):
        before, _, kinds = why.rpartition(f"{place} says ")
        return f"{before}{place} says {' and '.join(dict.fromkeys([*kinds.split(' and '), *word.split(' and ')]))}"
    return f"{why}, {reason}"


def _joined(found):
    return ", ".join(dict.fromkeys(why for _, why in found))


def _disagree(*sides):
    return f"cannot tell: {', but '.join(dict.fromkeys(sides))}"
