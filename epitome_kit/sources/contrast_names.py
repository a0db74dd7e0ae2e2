"""Read the names of image files (suffix, entities, free words) and the sidecars next to them."""

import re
from collections.abc import Mapping
from pathlib import Path

from epitome_kit.contrast_table import SUFFIX_KINDS
from epitome_kit.files import Json, read_json
from epitome_kit.sources.contrast_agents import agent_by_fields
from epitome_kit.sources.contrast_lexicon import LEXICON
from epitome_kit.sources.contrast_notes import UNREADABLE
from epitome_kit.sources.contrast_tokens import has_joined_agent
from epitome_kit.sources.contrast_words import Words, names_agent, read_words

ENDINGS = (".nii.gz", ".nii", ".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd", ".img", ".hdr", ".gipl", ".mnc")
"""Extensions of image files."""

_OTHER_SUFFIXES = re.compile(
    "PDw|PDT2|T2starw?|T2\\*|inplaneT[12]|angio|MP2RAGE|UNIT1|[A-Za-z0-9]+map|MTsat|MTS|MTR|MPM|MEGRE|MESE|VFA|"
    "IRT1|TB1[A-Z]+|RB1[A-Z]+|[a-z]*mask|dseg|probseg|dwi|sbref|bold|cbv|asl|m0scan|epi|phase[12]?|phasediff|fieldmap|"
    "magnitude[12]?|svs|mrsi|unloc|mrsref|pet|ct|swi|SWI|xfm|blood|physio"
)
_BIDS = re.compile(r"sub-[^_]+((?:_[A-Za-z]+-[^_]+)*)_([A-Za-z0-9*]+)")
_UNINFORMATIVE = re.compile(r"(?:^|(?<=_))(?:sub|ses|run|space|res|dir|task|hemi|split|chunk|trc)-[A-Za-z0-9]+(?=_|$)")
_FREE_ENTITIES = ("acq", "desc", "rec", "label", "mod")
_IGNORED_ENTITIES = ("sub", "ce", "space", "from", "to", "res", "den", "atlas")
_LABEL_KEYS = {"ses", "run", "task", "dir", "hemi", "split", "chunk", "trc"}
_VISIT_KEYS = {
    "ses",
    "task",
    "visit",
    "tp",
    "time",
    "timepoint",
    "wave",
    "date",
    "day",
    "stage",
    "cohort",
    "group",
    "scan",
}
_SPM = re.compile(r"(?:s\d*)?(?:m0?w[cp]|[rw]c)[1-6](?![0-9])|u_r?c[1-6]|iy_")
_POSSIBLY_SPM = re.compile(r"[rw]?p[1-6](?=[Tt][12]|sub-)|c[1-6](?=_|[Tt][12]|sub-)|[uyj]_|wj_")
_MAX_SIDECARS = 500


def _extension(name: str) -> str:
    """Return the extension of an image file; empty for any other file."""
    return next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")


def read_name(name: str) -> tuple[str | None, dict[str, str], Words]:
    """Parse the name of an image file.

    Parameters
    ----------
    name : str
        Such as ``"sub-01_ce-gd_T1w.nii.gz"``.

    Returns
    -------
    suffix : str or None
        Suffix of a BIDS name; None for any other name.
    entities : dict of str to str
        Entities of a BIDS name.
    words : Words
        Contrast and agent by the free words: everything but labels of subjects, visits
        and spaces.
    """
    stem = name[: len(name) - len(_extension(name))]
    match = _BIDS.fullmatch(stem)
    if match and (match[2] in SUFFIX_KINDS or _OTHER_SUFFIXES.fullmatch(match[2])):
        entities: dict[str, str] = {}
        for key, value in (part.split("-", 1) for part in match[1].split("_") if part):
            entities[key.lower()] = f"{entities[key.lower()]} {value}" if key.lower() in entities else value
        free = " ".join(entities[name] for name in _FREE_ENTITIES if name in entities)
        words, alone = (read_words(f"{match[2]} {free}"), read_words(free)) if free else 2 * (Words(None, None),)
        kind = None if alone.kind == "other" != words.kind else alone.kind
        if words.agent is None and has_joined_agent(free):
            words = words._replace(agent="unclear", agent_words="a word that is not understood")
        return match[2], entities, words._replace(kind=kind, kind_words=alone.kind_words)
    words = read_words(_UNINFORMATIVE.sub("", stem))
    if _SPM.match(stem) or _POSSIBLY_SPM.match(stem):
        kind = "other" if _SPM.match(stem) else "unclear"
        return None, {}, words._replace(kind=kind, kind_words="a prefix of SPM")
    part = re.search(r"(?:^|[^A-Za-z])([A-Za-z]+)$", stem)
    if part and LEXICON.get(part[1].lower()) == "mass" and words.kind in SUFFIX_KINDS.values():
        words = words._replace(kind="unclear", kind_words=f"{words.kind_words} {part[1].lower()}")
    return None, {}, words


def read_other_entities(name: str) -> list[Words]:
    """Read the state of the agent from the other entities of a name: visits and non-standard entities.

    Parameters
    ----------
    name : str
        Of an image file.

    Returns
    -------
    list of Words
        One for each entity that mentions an agent; a mere time, such as `ses-post`, does not count.
    """
    found, bids = [], read_name(name)[0] is not None
    for key, value in re.findall(r"(?:^|(?<=_))([A-Za-z]+)-([^_.]+)", name):
        key = key.lower()
        if key in (*_IGNORED_ENTITIES, *_FREE_ENTITIES) or not (bids or key in _LABEL_KEYS):
            continue
        state, _ = agent_by_fields({key: value})
        words = read_words(f"T1w {value}" if key in _LABEL_KEYS else f"T1w {key} {value}")
        if state:
            words = Words(None, state, "", words.agent_words or "an agent")
        if words.agent and (key not in _VISIT_KEYS or names_agent(words)):
            found.append(words._replace(kind=None, kind_words=""))
    return found


def exclude_by_name(suffix: str | None, entities: Mapping[str, str]) -> str | None:
    """Explain why an image has no contrast of the kit, judging by its BIDS name; None if it may have one."""
    if suffix and suffix not in SUFFIX_KINDS:
        return f"suffix {suffix}"
    if entities.get("part", "mag") != "mag":
        return "entity part-: no magnitude"
    if "inv" in entities:
        return "entity inv-: a part of MP2RAGE"
    return "entity echo-: a later echo" if entities.get("echo", "1").lstrip("0") not in ("1", "") else None


def agent_by_entity(entities: Mapping[str, str]) -> tuple[str | None, str]:
    """Read the entity `ce-`: state of the agent and evidence; any value is an agent unless it negates or is unclear."""
    if "ce" not in entities:
        return None, ""
    value = entities["ce"]
    state, why = agent_by_fields({"ContrastBolusAgent": value})
    state = "with" if "not understood" in why else state
    by_words = read_words(f"T1w {value}").agent
    if state == "with" and by_words in ("without", "unclear") and value.lower() not in LEXICON:
        state = by_words
    shown = value if value.lower() in {*LEXICON, "0"} else " with a negation" if state == "without" else ""
    return state or "unclear", f"ce-{shown}"


def find_sidecar(path: Path) -> Path:
    """Return the path of the sidecar of an image file, whatever its extension."""
    extension = _extension(path.name) or path.suffix
    return path.with_name(path.name[: len(path.name) - len(extension)] + ".json")


def read_sidecar(path: Path) -> Json:
    """Read a sidecar: empty if it is missing; if it is damaged, its name under :data:`UNREADABLE`.

    An empty file next to a scan without a BIDS name may be the output of a running
    command and counts as missing.
    """
    try:
        if not path.exists() or (not path.stat().st_size and not path.name.startswith("sub-")):
            return {}
        notes = read_json(path)
    except (OSError, ValueError, RecursionError):
        return {UNREADABLE: path.name}
    return notes if isinstance(notes, dict) else {UNREADABLE: path.name}


def read_other_sidecars(path: Path) -> list[tuple[str, Json]]:
    """Read the sidecars of the other scans in a scan's folder: (name without extension, fields)."""
    own = find_sidecar(path).name
    try:
        found = sorted(
            each for each in path.parent.glob("*.json") if each.name != own and not each.name.startswith(".")
        )
    except OSError:
        return []
    return [(each.name.removesuffix(".json"), read_sidecar(each)) for each in found[:_MAX_SIDECARS]]
