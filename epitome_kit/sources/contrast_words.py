"""What a line of text says of a contrast and of an agent: words as tokens, never as parts of other words."""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from epitome_kit.sources.contrast_doses import is_doubtful
from epitome_kit.sources.contrast_lexicon import AGENT_STEM, KINDS, LEXICON
from epitome_kit.sources.contrast_tokens import cut_words

_RELATIONS = {"with", "without", "after", "before"}
_NAMES = {"agent", "short", "given", "plain", "both"}
_LESS = {"minus", "moins", "menos", "meno"}
_SKIPPED = {"joint", "hint"}
_SAYS_NOT_FAT = {"fatsat", "fs", "sat", "gap", "mt", "mtc"}
_DENYING_AFTER = {"oncesi", "olmadan", "nelkul"}
_ONLY_BESIDE = {"po", "na", "fore", "voor", "pred", "once", "utani"}
_PREPOSITIONS = {"to", "onto", "in", "on", "into", "zu", "auf", "vers"}


class Words(NamedTuple):
    """What a text says.

    Attributes
    ----------
    kind : str or None
        ``"T1w"``, ``"T2w"``, ``"FLAIR"``, ``"PD"``, ``"MP2RAGE"``, ``"other"``, or
        ``"unclear"`` for words that do not go together; None where it says nothing.
    agent : str or None
        ``"with"``, ``"without"``, or ``"unclear"`` for both or for what is not
        understood; None where it says nothing.
    said : str
        The words behind the kind, all of them from the lexicon.
    agent_said : str
        The words behind the agent.
    """

    kind: str | None
    agent: str | None
    said: str = ""
    agent_said: str = ""


@lru_cache(maxsize=4096)
def read_words(text):
    """Read what a text says of the contrast of a scan and of an agent.

    Parameters
    ----------
    text : str
        A description or a file name without its ending, in English, German,
        French, Spanish, Italian or in the shorthand of scanners.

    Returns
    -------
    Words
    """
    tokens = cut_words(text)
    foreign = _drop_targets(tokens)
    kind, said = ("unclear", "a scan that another one was brought to") if foreign is None else _kind(tokens)
    agent, agent_said = _agent(tokens)
    if foreign and agent:
        agent = "unclear"
    if kind == "T1w" and agent is None and _strange(text):
        agent, agent_said = "unclear", "letters that are not Latin"
    return Words(kind, agent, said, agent_said)


def names_agent(words):
    """Tell whether words speak of an agent by its name, not only of a time before or after something.

    Parameters
    ----------
    words : Words

    Returns
    -------
    bool
    """
    groups = {group for word in words.agent_said.split() for group in LEXICON.get(word, "").split()}
    by_stem = any(AGENT_STEM.search(word) for word in words.agent_said.split())
    whole = any(said in words.agent_said for said in ("an agent", "with and without"))
    return whole or by_stem or bool(groups & _NAMES)


def _strange(text):
    return any(letter.isalpha() and "LATIN" not in unicodedata.name(letter, "LATIN") for letter in str(text))


def _drop_targets(tokens):
    """Take away the scan that another one was brought to, as in `flair_to_t1`.

    Returns
    -------
    bool or None
        Whether words of an agent may be of that other scan; None where it is the only one that is named.
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
            for token in tokens[after:] if seen else ():
                foreign = foreign or (token[0] != target[0] and token[1] in ("given", "plain", "agent", "short"))
                if token[0] == target[0]:
                    token[1] = "neutral"
        seen = seen or group in KINDS
        strange = strange or group in (None, "time", "other")
    return foreign


def _kind(tokens):
    """Name the kind, with the words behind it."""
    places = {}
    for index, (word, group) in enumerate(tokens):
        places.setdefault(group, index)
        if word in _LESS and index and tokens[index + 1 : index + 2] and _is_scan(tokens[index + 1][1]):
            return "other", word
        if group == "other" and not _no_other(tokens, index):
            return "other", word
    found = {group for group in places if group in KINDS}
    words = " and ".join(dict.fromkeys(word for word, group in tokens if group in KINDS or group == "gradient"))
    ends = [index for index, (_, group) in enumerate(tokens) if group in KINDS]
    between = {group for _, group in tokens[ends[0] : ends[-1]]} if ends else set()
    apart = {"joint"} if "t2" in found else {"joint", "number", None}
    t1s = {word for word, group in tokens if group == "t1"}
    if t1s & {"t1", "t1w"} and any(re.match("t1w?[cgkn]|[cgk][a-z]*t1", word) for word in t1s):
        return "unclear", words
    if len(found) > 1 and found & {"flair", "tirm"} and apart & between:
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


def _is_scan(group):
    return bool(group) and bool({*KINDS, "before", "after", "plain", "given"} & set(group.split()))


def _echo(tokens):
    """Whether one of several echoes is named: the first of a T2 is proton density."""
    pairs = zip(tokens, tokens[1:], strict=False)
    return any(
        (word in ("echo", "echoes") and after[1] == "number") or (group == "t2" and after[0] == "de")
        for (word, group), after in pairs
    )


def _no_other(tokens, index):
    """Whether a word that often names another kind of image does not do so here: a subject, a flip angle."""
    word = tokens[index][0]
    later = tokens[index + 1][1] if index + 1 < len(tokens) else None
    last = index + 1 == len(tokens)
    if word in ("sub", "subs"):
        return not last and later in (None, "number") and not any(group in KINDS for _, group in tokens[:index])
    return word == "fa" and later == "number"


def _agent(tokens):
    """Tell whether an agent was given, with the words behind the answer."""
    states, used = [], set()
    for index, (word, group) in enumerate(tokens):
        if group in ("given", "plain"):
            doubted = group == "given" and _doubted(tokens, index, index - 1, given=True)
            states.append(("unclear" if doubted else "with" if group == "given" else "without", word))
        elif group == "both":
            states.append(("unclear", "with and without"))
        elif group in ("agent", "short") or (word in ("c", "kl") and index and tokens[index - 1][1] in _RELATIONS):
            states.append(_around(tokens, index, used))
        elif word == "?" or (group is None and AGENT_STEM.search(word)):
            states.append(("unclear", "a word of an agent" if word != "?" else "+"))
    sure = bool(states)
    for index, (word, group) in enumerate(tokens):
        if index not in used:
            states += _alone(tokens, index, word, group, sure)
    found = {state for state, _ in states}
    found = found - {"hint"} or {"unclear" for _ in found}
    said = " and ".join(dict.fromkeys(word for _, word in states))
    if not found:
        return None, ""
    return (found.pop() if len(found) == 1 else "unclear"), said


def _around(tokens, index, used):
    """State of one word for an agent, by the words before and after it."""
    word, group = tokens[index]
    said, before, place = [word], set(), index - 1
    while place >= 0 and tokens[place][1] in _RELATIONS | _SKIPPED:
        if tokens[place][1] not in _SKIPPED:
            before.add("without" if tokens[place][1] in ("without", "before") else "with")
            said.insert(0, tokens[place][0])
        used.add(place)
        place -= 1
    later = tokens[index + 1] if index + 1 < len(tokens) else ("", "")
    ends = index + 2 == len(tokens)
    if not before and (later[1] == "frei" or later[0] in _DENYING_AFTER or (later[1] == "without" and ends)):
        used.add(index + 1)
        return "without", f"{word} {later[0]}"
    kinds = [place for place, (_, group) in enumerate(tokens) if group in KINDS]
    if (
        len(before) == 2
        or re.fullmatch("0+(ml|cc|mmol)?", later[0])
        or later[1] == "undo"
        or (word == "cm" and not before)
    ):
        return "unclear", " ".join(said)
    if not before and kinds and index < kinds[0]:
        between = [group for _, group in tokens[index + 1 : kinds[0]]]
        if None in between or "number" in between:
            return "unclear", word
    state = before.pop() if before else "with"
    doubted = state == "with" and _doubted(tokens, index, place, related=state == "with" and len(said) > 1)
    return ("unclear" if doubted else state), " ".join(said)


def _doubted(tokens, index, place, *, given=False, related=False):
    """Whether what stands beside a word of an agent, or a word of refusal anywhere, may deny it."""
    glued = given and index and tokens[index - 1][0] == tokens[index][0]
    left = tokens[place] if place >= 0 else ("", "start")
    rest = [token for token in tokens[index + 1 :] if token[1] not in _SKIPPED] + 2 * [("", "end")]
    (right, group), later = rest[0], rest[1]
    if any(is_doubtful(word) for word, _ in tokens) or group == "undo":
        return True
    if group == "without" and later[0] not in _SAYS_NOT_FAT:
        return True
    if (group == "before" and later[1] != "time") or (group is None and not glued and _is_strange(right)):
        return True
    if given or related:
        return given and left[1] == "without"
    told = any(kind in KINDS for _, kind in tokens[:index])
    return left[0] in ("s", "ss", "u", "o", "k") or (told and left[1] is None and _is_strange(left[0]))


def _is_strange(word):
    return word.isalpha() and len(word) > 1


def _alone(tokens, index, word, group, sure):
    """States by words for a relation that stand without an agent: `T1 post`, `T1 WO`, but not `post op`."""
    later = tokens[index + 1] if index + 1 < len(tokens) else ("", "end")
    earlier = tokens[index - 1][1] if index else "start"
    if word in ("gluedpost", "gluedpre"):
        return [] if sure else [("unclear", word.removeprefix("glued"))]
    if word in ("post", "pre", "prae"):
        if _next(tokens, index, "joint", "after", "before") == "time":
            return []
        state = "with" if word == "post" else "without"
        odd = later[1] is None or earlier == "time" or (later[1] == "number" and index + 2 < len(tokens))
        return ([] if sure else [("unclear", word)]) if odd else [(state, word)]
    if (
        group in ("after", "before")
        and not sure
        and word not in _ONLY_BESIDE
        and _next(tokens, index, "joint") != "time"
    ):
        return [("unclear", word)]
    if word in ("wo", "without", "ohne", "sans", "senza", "zonder", "bez", "sem"):
        return [("without" if later[1] == "end" else "unclear", word)] if later[0] not in ("fatsat", "fs") else []
    if word in ("with", "mit", "avec") and later[1] == "end":
        return [("with", word)]
    if group == "with" and _next(tokens, index, "joint") == "without":
        return [("unclear", word)]
    if group in ("hint", "frei") or (word == "w" and later[1] == "end"):
        return [("hint", word)]
    if word in ("plus", "con", "cont", "contr") and later[1] == "end" and not sure:
        return [("unclear", word)]
    if word in ("c", "kl") and not sure and any(group in KINDS for _, group in tokens[:index]):
        return [("unclear", word)]
    return []


def _next(tokens, index, *skipped):
    """Group of the next word, some groups skipped."""
    return next((group for _, group in tokens[index + 1 :] if group not in skipped), "end")
