"""The names of image files: suffix, entities and free words, and the sidecars that lie beside them."""

import re

from epitome_kit.contrast_table import SUFFIX_KINDS
from epitome_kit.files import read_json
from epitome_kit.sources.contrast_agents import agent_of
from epitome_kit.sources.contrast_lexicon import LEXICON
from epitome_kit.sources.contrast_notes import UNREADABLE
from epitome_kit.sources.contrast_tokens import is_glued
from epitome_kit.sources.contrast_words import Words, names_agent, read_words

ENDINGS = (".nii.gz", ".nii", ".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd", ".img", ".hdr", ".gipl", ".mnc")
"""How the names of image files end."""

_OTHER_SUFFIXES = re.compile(
    "PDw|PDT2|T2starw?|T2\\*|inplaneT[12]|angio|MP2RAGE|UNIT1|[A-Za-z0-9]+map|MTsat|MTS|MTR|MPM|MEGRE|MESE|VFA|"
    "IRT1|TB1[A-Z]+|RB1[A-Z]+|[a-z]*mask|dseg|probseg|dwi|sbref|bold|cbv|asl|m0scan|epi|phase[12]?|phasediff|fieldmap|"
    "magnitude[12]?|svs|mrsi|unloc|mrsref|pet|ct|swi|SWI|xfm|blood|physio"
)
_BIDS = re.compile(r"sub-[^_]+((?:_[A-Za-z]+-[^_]+)*)_([A-Za-z0-9*]+)")
_SILENT = re.compile(r"(?:^|(?<=_))(?:sub|ses|run|space|res|dir|task|hemi|split|chunk|trc)-[A-Za-z0-9]+(?=_|$)")
_FREE_ENTITIES = ("acq", "desc", "rec", "label", "mod")
_OF_OTHERS = ("sub", "ce", "space", "from", "to", "res", "den", "atlas")
_SILENT_KEYS = {"ses", "run", "task", "dir", "hemi", "split", "chunk", "trc"}
_TIMES = {"ses", "task", "visit", "tp", "time", "timepoint", "wave", "date", "day", "stage", "cohort", "group", "scan"}
_SPM = re.compile(r"(?:s\d*)?(?:m0?w[cp]|[rw]c)[1-6](?![0-9])|u_r?c[1-6]|iy_")
_PERHAPS_SPM = re.compile(r"[rw]?p[1-6](?=[Tt][12]|sub-)|c[1-6](?=_|[Tt][12]|sub-)|[uyj]_|wj_")
_MOST_BESIDE = 500


def read_name(name):
    """Read the name of a file.

    Parameters
    ----------
    name : str

    Returns
    -------
    suffix : str or None
        Of a BIDS name; None for any other.
    entities : dict of str to str
        Of a BIDS name.
    words : Words
        What its free words say: all but labels of people, visits and grids.
    """
    lower = name.lower()
    ending = next((ending for ending in ENDINGS if lower.endswith(ending)), "")
    stem = name[: len(name) - len(ending)]
    match = _BIDS.fullmatch(stem)
    if match and (match[2] in SUFFIX_KINDS or _OTHER_SUFFIXES.fullmatch(match[2])):
        entities = {}
        for key, value in (part.split("-", 1) for part in match[1].split("_") if part):
            entities[key.lower()] = f"{entities[key.lower()]} {value}" if key.lower() in entities else value
        free = " ".join(entities[name] for name in _FREE_ENTITIES if name in entities)
        words, alone = (read_words(f"{match[2]} {free}"), read_words(free)) if free else 2 * (Words(None, None),)
        told = None if alone.kind == "other" != words.kind else alone.kind
        if words.agent is None and is_glued(free):
            words = words._replace(agent="unclear", agent_said="a word that is not understood")
        return match[2], entities, words._replace(kind=told, said=alone.said)
    words = read_words(_SILENT.sub("", stem))
    if _SPM.match(stem) or _PERHAPS_SPM.match(stem):
        kind = "other" if _SPM.match(stem) else "unclear"
        return None, {}, words._replace(kind=kind, said="a prefix of SPM")
    part = re.search(r"(?:^|[^A-Za-z])([A-Za-z]+)$", stem)
    if part and LEXICON.get(part[1].lower()) == "mass" and words.kind in SUFFIX_KINDS.values():
        words = words._replace(kind="unclear", said=f"{words.said} {part[1].lower()}")
    return None, {}, words


def side_words(name):
    """Read what the other entities of a name say of an agent, those of a visit or of an own kind.

    Parameters
    ----------
    name : str

    Returns
    -------
    list of Words
        Of those alone that say something; words of a time, such as `ses-post`, do not.
    """
    found, bids = [], read_name(name)[0] is not None
    for key, value in re.findall(r"(?:^|(?<=_))([A-Za-z]+)-([^_.]+)", name):
        key = key.lower()
        if key in (*_OF_OTHERS, *_FREE_ENTITIES) or not (bids or key in _SILENT_KEYS):
            continue
        state, _ = agent_of({key: value})
        words = read_words(f"T1w {value}" if key in _SILENT_KEYS else f"T1w {key} {value}")
        if state:
            words = Words(None, state, "", words.agent_said or "an agent")
        if words.agent and (key not in _TIMES or names_agent(words)):
            found.append(words._replace(kind=None, said=""))
    return found


def other_name(suffix, entities):
    """Tell in words why an image is no contrast of the kit by its BIDS name; None where it may be one."""
    if suffix and suffix not in SUFFIX_KINDS:
        return f"suffix {suffix}"
    if entities.get("part", "mag") != "mag":
        return "entity part-: no magnitude"
    if "inv" in entities:
        return "entity inv-: a part of MP2RAGE"
    return "entity echo-: a later echo" if entities.get("echo", "1").lstrip("0") not in ("1", "") else None


def entity_agent(entities):
    """Tell the state of the entity `ce-`: any name counts as an agent but a negation or a word that leaves it open."""
    if "ce" not in entities:
        return None, ""
    value = entities["ce"]
    state, why = agent_of({"ContrastBolusAgent": value})
    state = "with" if "not understood" in why else state
    told = read_words(f"T1w {value}").agent
    state = told if state == "with" and told in ("without", "unclear") and value.lower() not in LEXICON else state
    said = value if value.lower() in {*LEXICON, "0"} else " with a negation" if state == "without" else ""
    return state or "unclear", f"ce-{said}"


def sidecar_beside(path):
    """Where the notes on an image file are, whatever its ending."""
    lower = path.name.lower()
    ending = next((ending for ending in ENDINGS if lower.endswith(ending)), path.suffix)
    return path.with_name(path.name[: len(path.name) - len(ending)] + ".json")


def read_sidecar(path):
    """Read a sidecar; one that is missing says nothing, of one that is damaged its name stands under a key of its own.

    An empty file beside a scan that is not named as in BIDS may be the output of a
    command that is running, and says nothing.
    """
    try:
        if not path.exists() or (not path.stat().st_size and not path.name.startswith("sub-")):
            return {}
        notes = read_json(path)
    except (OSError, ValueError, RecursionError):
        return {UNREADABLE: path.name}
    return notes if isinstance(notes, dict) else {UNREADABLE: path.name}


def read_beside(path):
    """Read the sidecars of the other scans in the folder of one: (name without ending, notes)."""
    own = sidecar_beside(path).name
    try:
        found = sorted(
            each for each in path.parent.glob("*.json") if each.name != own and not each.name.startswith(".")
        )
    except OSError:
        return []
    return [(each.name.removesuffix(".json"), read_sidecar(each)) for each in found[:_MOST_BESIDE]]
