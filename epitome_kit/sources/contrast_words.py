"""Read the contrast and the agent from a line of text, by whole words."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from epitome_kit.sources.contrast_doses import is_conditional
from epitome_kit.sources.contrast_lexicon import AGENT_STEM, KINDS, LEXICON
from epitome_kit.sources.contrast_tokens import Token, split_words

_RELATIONS = {"with", "without", "after", "before"}
_NAMES = {"agent", "short", "given", "plain", "both"}
_LESS = {"minus", "moins", "menos", "meno"}
_SKIPPED = {"joint", "hint"}
_SEQUENCE_OPTIONS = {"fatsat", "fs", "sat", "gap", "mt", "mtc"}
_NEGATING_POSTPOSITIONS = {"oncesi", "olmadan", "nelkul"}
_AMBIGUOUS_ALONE = {"po", "na", "fore", "voor", "pred", "once", "utani"}
_PREPOSITIONS = {"to", "onto", "in", "on", "into", "zu", "auf", "vers"}


class Words(NamedTuple):
    """Contrast and agent according to a text.

    Attributes
    ----------
    kind : str or None
        ``"T1w"``, ``"T2w"``, ``"FLAIR"``, ``"PD"``, ``"MP2RAGE"``, ``"other"``, or
        ``"unclear"`` for words that contradict each other; None if the text names none.
    agent : str or None
        ``"with"``, ``"without"``, or ``"unclear"`` for both or for words that are not
        understood; None if the text does not mention an agent.
    kind_words : str
        The words that the kind rests on, all of them from the lexicon.
    agent_words : str
        The words that the state of the agent rests on.
    """

    kind: str | None
    agent: str | None
    kind_words: str = ""
    agent_words: str = ""


@lru_cache(maxsize=4096)
def read_words(text: str) -> Words:
    """Read the contrast and the state of the agent from a text.

    Parameters
    ----------
    text : str
        A description or a file name without its extension, in English, German,
        French, Spanish, Italian or in the shorthand of scanners.

    Returns
    -------
    Words
    """
    tokens = split_words(text)
    foreign = _drop_targets(tokens)
    kind, kind_words = ("unclear", "a scan that another one was brought to") if foreign is None else _kind(tokens)
    agent, agent_words = _agent(tokens)
    if foreign and agent:
        agent = "unclear"
    if kind == "T1w" and agent is None and _has_other_script(text):
        agent, agent_words = "unclear", "letters that are not Latin"
    return Words(kind, agent, kind_words, agent_words)


def names_agent(words: Words) -> bool:
    """Return whether words name an agent, not only a time before or after something.

    Parameters
    ----------
    words : Words
        From :func:`read_words`.

    Returns
    -------
    bool
    """
    groups = {group for word in words.agent_words.split() for group in LEXICON.get(word, "").split()}
    by_stem = any(AGENT_STEM.search(word) for word in words.agent_words.split())
    by_phrase = any(phrase in words.agent_words for phrase in ("an agent", "with and without"))
    return by_phrase or by_stem or bool(groups & _NAMES)


def _has_other_script(text: str) -> bool:
    return any(letter.isalpha() and "LATIN" not in unicodedata.name(letter, "LATIN") for letter in str(text))


def _drop_targets(tokens: list[Token]) -> bool | None:
    """Neutralise the name of a registration target, as in `flair_to_t1`.

    Returns
    -------
    bool or None
        Whether words for an agent may belong to the target; None if only the target is named.
    """
    foreign, seen, strange = False, False, False
    for index, (word, group) in enumerate(tokens):
        after = index + 1
        while after < len(tokens) and tokens[after][1] in ("toward", "joint", "neutral"):
            after += 1
        target = tokens[after] if after < len(tokens) else ("", None)
        if group == "toward" and target[1] in KINDS:
            if not seen and (strange or word in _PREPOSITIONS):
                return None
            for place in range(after, len(tokens)) if seen else ():
                if tokens[place][0] == target[0]:
                    tokens[place] = (target[0], "neutral")
                elif tokens[place][1] in ("given", "plain", "agent", "short"):
                    foreign = True
        seen = seen or group in KINDS
        strange = strange or group in (None, "time", "other")
    return foreign


def _kind(tokens: Sequence[Token]) -> tuple[str | None, str]:
    """Return the kind and the words that it rests on."""
    places: dict[str | None, int] = {}
    for index, (word, group) in enumerate(tokens):
        places.setdefault(group, index)
        if word in _LESS and index and tokens[index + 1 : index + 2] and _is_scan(tokens[index + 1][1]):
            return "other", word
        if group == "other" and not _is_harmless(tokens, index):
            return "other", word
    found = {group for group in places if group in KINDS}
    words = " and ".join(dict.fromkeys(word for word, group in tokens if group in KINDS or group == "gradient"))
    ends = [index for index, (_, group) in enumerate(tokens) if group in KINDS]
    between = {group for _, group in tokens[ends[0] : ends[-1]]} if ends else set()
    separators = {"joint"} if "t2" in found else {"joint", "number", None}
    t1s = {word for word, group in tokens if group == "t1"}
    if t1s & {"t1", "t1w"} and any(re.match("t1w?[cgkn]|[cgk][a-z]*t1", word) for word in t1s):
        return "unclear", words
    if len(found) > 1 and found & {"flair", "tirm"} and separators & between:
        return "unclear", words
    if "mp2rage" in found and found <= {"mp2rage", "t1"}:
        return "MP2RAGE", words
    if found == {"t1"} or found in ({"t1", "flair"}, {"t1", "tirm"}, {"t1", "tirm", "flair"}):
        first = places["t1"] < min(places.get(name, len(tokens)) for name in ("flair", "tirm"))
        return ("T1w" if first else "unclear"), words
    if found == {"t2"}:
        if "gradient" in places:
            return "other", words
        fluid = places.get("fluid", -1) > places["t2"] or tokens[places.get("fluid", 0)][0] in ("fl", "fluid")
        return ("unclear" if fluid or {"inversion", "echoes"} & set(places) or _echo(tokens) else "T2w"), words
    if found in ({"flair"}, {"t2", "flair"}, {"tirm", "flair"}, {"t2", "tirm", "flair"}):
        return "FLAIR", words
    if found in ({"pd"}, {"pd", "t2"}):
        return "PD", words
    if not found:
        return ("other", words) if "gradient" in places and tokens[places["gradient"]][0] == "gre" else (None, "")
    return "unclear", words


def _is_scan(group: str | None) -> bool:
    return bool({*KINDS, "before", "after", "plain", "given"} & set((group or "").split()))


def _echo(tokens: Sequence[Token]) -> bool:
    """Return whether one of several echoes is named: the first echo of a T2 is proton density."""
    pairs = zip(tokens, tokens[1:], strict=False)
    return any(
        (word in ("echo", "echoes") and after[1] == "number") or (group == "t2" and after[0] == "de")
        for (word, group), after in pairs
    )


def _is_harmless(tokens: Sequence[Token], index: int) -> bool:
    """Return whether a word for another kind of image has a different meaning here: a subject, a flip angle."""
    word = tokens[index][0]
    later = tokens[index + 1][1] if index + 1 < len(tokens) else None
    last = index + 1 == len(tokens)
    if word in ("sub", "subs"):
        return not last and later in (None, "number") and not any(group in KINDS for _, group in tokens[:index])
    return word == "fa" and later == "number"


def _agent(tokens: Sequence[Token]) -> tuple[str | None, str]:
    """Return the state of the agent and the words that it rests on."""
    states: list[tuple[str, str]] = []
    used: set[int] = set()
    for index, (word, group) in enumerate(tokens):
        if group in ("given", "plain"):
            doubtful = group == "given" and _may_be_denied(tokens, index, index - 1, given=True)
            states.append(("unclear" if doubtful else "with" if group == "given" else "without", word))
        elif group == "both":
            states.append(("unclear", "with and without"))
        elif group in ("agent", "short") or (word in ("c", "kl") and index and tokens[index - 1][1] in _RELATIONS):
            states.append(_agent_in_context(tokens, index, used))
        elif word == "?" or (group is None and AGENT_STEM.search(word)):
            states.append(("unclear", "a word of an agent" if word != "?" else "+"))
    sure = bool(states)
    for index, (word, group) in enumerate(tokens):
        if index not in used:
            states += _relation_alone(tokens, index, word, group, sure)
    if not states:
        return None, ""
    found = {state for state, _ in states} - {"hint"} or {"unclear"}
    words = " and ".join(dict.fromkeys(word for _, word in states))
    return (found.pop() if len(found) == 1 else "unclear"), words


def _agent_in_context(tokens: Sequence[Token], index: int, used: set[int]) -> tuple[str, str]:
    """Return the state of the agent by one word for it and by the words before and after it."""
    word, _ = tokens[index]
    words, before, place = [word], set(), index - 1
    while place >= 0 and tokens[place][1] in _RELATIONS | _SKIPPED:
        if tokens[place][1] not in _SKIPPED:
            before.add("without" if tokens[place][1] in ("without", "before") else "with")
            words.insert(0, tokens[place][0])
        used.add(place)
        place -= 1
    later = tokens[index + 1] if index + 1 < len(tokens) else ("", "")
    ends = index + 2 == len(tokens)
    if not before and (later[1] == "frei" or later[0] in _NEGATING_POSTPOSITIONS or (later[1] == "without" and ends)):
        used.add(index + 1)
        return "without", f"{word} {later[0]}"
    kinds = [place for place, (_, group) in enumerate(tokens) if group in KINDS]
    if (
        len(before) == 2
        or re.fullmatch("0+(ml|cc|mmol)?", later[0])
        or later[1] == "undo"
        or (word == "cm" and not before)
    ):
        return "unclear", " ".join(words)
    if not before and kinds and index < kinds[0]:
        between = [group for _, group in tokens[index + 1 : kinds[0]]]
        if None in between or "number" in between:
            return "unclear", word
    state = before.pop() if before else "with"
    doubtful = state == "with" and _may_be_denied(tokens, index, place, related=len(words) > 1)
    return ("unclear" if doubtful else state), " ".join(words)


def _may_be_denied(
    tokens: Sequence[Token], index: int, place: int, *, given: bool = False, related: bool = False
) -> bool:
    """Return whether a word for an agent may be negated by its neighbours, or by a word of refusal anywhere."""
    glued = given and index and tokens[index - 1][0] == tokens[index][0]
    end: Token = ("", "end")
    left = tokens[place] if place >= 0 else ("", "start")
    (right, group), later, *_ = [*(token for token in tokens[index + 1 :] if token[1] not in _SKIPPED), end, end]
    if any(is_conditional(word) for word, _ in tokens) or group == "undo":
        return True
    if group == "without" and later[0] not in _SEQUENCE_OPTIONS:
        return True
    if (group == "before" and later[1] != "time") or (group is None and not glued and _is_word(right)):
        return True
    if given or related:
        return given and left[1] == "without"
    after_kind = any(kind in KINDS for _, kind in tokens[:index])
    return left[0] in ("s", "ss", "u", "o", "k") or (after_kind and left[1] is None and _is_word(left[0]))


def _is_word(word: str) -> bool:
    return word.isalpha() and len(word) > 1


def _relation_alone(
    tokens: Sequence[Token], index: int, word: str, group: str | None, sure: bool
) -> list[tuple[str, str]]:
    """List the states by a preposition without an agent, as in `T1 post` or `T1 WO`, but not `post op`."""
    later = tokens[index + 1] if index + 1 < len(tokens) else ("", "end")
    earlier = tokens[index - 1][1] if index else "start"
    if word in ("gluedpost", "gluedpre"):
        return [] if sure else [("unclear", word.removeprefix("glued"))]
    if word in ("post", "pre", "prae"):
        if _next_group(tokens, index, "joint", "after", "before") == "time":
            return []
        state = "with" if word == "post" else "without"
        odd = later[1] is None or earlier == "time" or (later[1] == "number" and index + 2 < len(tokens))
        return ([] if sure else [("unclear", word)]) if odd else [(state, word)]
    if (
        group in ("after", "before")
        and not sure
        and word not in _AMBIGUOUS_ALONE
        and _next_group(tokens, index, "joint") != "time"
    ):
        return [("unclear", word)]
    if word in ("wo", "without", "ohne", "sans", "senza", "zonder", "bez", "sem"):
        return [("without" if later[1] == "end" else "unclear", word)] if later[0] not in ("fatsat", "fs") else []
    if word in ("with", "mit", "avec") and later[1] == "end":
        return [("with", word)]
    if group == "with" and _next_group(tokens, index, "joint") == "without":
        return [("unclear", word)]
    if group in ("hint", "frei") or (word == "w" and later[1] == "end"):
        return [("hint", word)]
    if word in ("plus", "con", "cont", "contr") and later[1] == "end" and not sure:
        return [("unclear", word)]
    if word in ("c", "kl") and not sure and any(group in KINDS for _, group in tokens[:index]):
        return [("unclear", word)]
    return []


def _next_group(tokens: Sequence[Token], index: int, *skipped: str) -> str | None:
    """Return the group of the next word that is in none of the skipped groups."""
    return next((group for _, group in tokens[index + 1 :] if group not in skipped), "end")
