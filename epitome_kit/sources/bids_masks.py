"""Recognise the masks of a BIDS folder that outline the tumour, by their label."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from epitome_kit.files import Json
from epitome_kit.ledger import UNDECIDED
from epitome_kit.sources.bids_files import BidsFile

TUMOUR, PART, OTHER = "tumour", "part", "other"
"""Roles of a mask: the whole tumour, a part of it, something else."""

_TUMOUR = re.compile(
    r"(brain|whole|gross|primary|manual)?(tumou?r|lesion|glioma|gbm|lgg|hgg|abnormality|neoplasm)"
    r"(s|al|seg|segmentation|mask|roi|volume)?|wt|gtv|wholetumou?r"
)
_PARTS = {
    "oedema": re.compile(r"ed|o?edema|peritumou?ral(o?edema)?|snfh"),
    "enhancing": re.compile(r"et|enhancing|enhancement|enh|activetumou?r"),
    "core": re.compile(r"ncr|net|netc|ncrnet|necrosis|necrotic|nonenhancing|nec"),
    "tumour core": re.compile(r"tc|core|tumou?rcore"),
}
_OTHER = re.compile(
    r"brain(mask|stem)?|head(mask)?|skull|scalp|eyes?|vessels?|csf|gm|wm|wmh|ribbon|synthstrip|synthseg|bet|hdbet|"
    r"deface(d|mask)?|cavity|resection|electrodes?|aseg|aparc\w*|thalamus|hippocampus|cortex|ventricles?|cerebellum|"
    r"white|grey|gray|background|healthy|fov|face|ears?|carveme|tissue|aroi|noise|valid|coverage"
)
_NEUTRAL = re.compile(
    r"seg(mentation|mented)?|mask|manual|final|whole|gross|brain|roi|labels?|outline|expert|corrected|edited|reviewed|"
    r"rater|reader|annotation|drawn|auto(matic)?|pred(icted|iction)?|nnunet|unet|v|r|all|full|union|consensus|staple|left|right"
)
_SEGMENTED = re.compile(r"seg|mask|annot|label|outline|contour|delineat|roi|drawn", re.IGNORECASE)
_HINTED = re.compile(r"tumou?r|lesion|glioma|gbm|gtv", re.IGNORECASE)
_BY_HAND = re.compile(
    r"manual|expert|rater|reader|corrected|edited|gold|truth|annotation|consensus|drawn", re.IGNORECASE
)
_BY_NETWORK = re.compile(r"pred|auto|unet|deep|hdglio|model|algorithm|network|synth", re.IGNORECASE)
_ANATOMY = re.compile(
    r"[fsn]mriprep|freesurfer|fastsurfer|synthseg|fsl|fast|spm|cat12|ants|recon|tissue", re.IGNORECASE
)
"""Pipelines that write label maps of tissues."""

_WHOLE = ({"oedema", "enhancing", "core"}, {"oedema", "tumour core"})
"""Parts that make up a whole tumour in BraTS."""


class Role(NamedTuple):
    """What a mask outlines.

    Attributes
    ----------
    kind : str or None
        :data:`TUMOUR`, :data:`PART` or :data:`OTHER`; None if undetermined.
    part : str
        Part of the tumour.
    evidence : str
        What the role rests on.
    """

    kind: str | None
    part: str
    evidence: str


def mask_role(file: BidsFile, notes: Json) -> Role:
    """Determine what a mask outlines by its label, description, sidecar and pipeline, in this order.

    Parameters
    ----------
    file : BidsFile
        The mask.
    notes : dict
        Fields of its sidecar.

    Returns
    -------
    Role
    """
    if file.violation:
        return Role(None, "", f"{UNDECIDED}: {file.violation}")
    for entity in ("label", "desc"):
        word = file.entities.get(entity, "")
        role = _by_word(word, f"{entity}-{word}")
        if role:
            return role
        if _HINTED.search(word):
            return Role(None, "", f"{UNDECIDED}: {entity}-{word} may be the tumour or something about it")
        if word and entity == "label":
            return Role(OTHER, "", f"label-{word}")
    kind = notes.get("Type")
    if isinstance(kind, str) and kind:
        return Role(TUMOUR if kind.lower() == "lesion" else OTHER, "", f"its sidecar says Type {kind[:40]}")
    words = [*file.extras, file.suffix]
    found = [role for word in words if (role := _by_word(word, f"its name says {word}"))]
    pipeline = file.source.split("/")[1] if file.derived and file.source.count("/") > 1 else ""
    if not found and _HINTED.search(pipeline) and _SEGMENTED.search(pipeline):
        found = [Role(TUMOUR, "", f"its pipeline is {pipeline}")]
    if len({role[:2] for role in found}) == 1:
        return found[0]
    evidence = " and ".join(role.evidence for role in found)
    return Role(None, "", f"{UNDECIDED}: {evidence or 'no label, description or type says what it outlines'}")


def _by_word(word: str, evidence: str) -> Role | None:
    """Return the role that one word stands for; None if it stands for none or several, or has other parts."""
    if role := _by_piece(re.sub(r"[0-9]+$", "", word.lower()), evidence):
        return role
    pieces = [piece.lower() for piece in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", word)]
    roles = [_by_piece(piece, evidence) for piece in pieces]
    parts = {role for role in roles if role and role.kind == PART}
    others = [role for role, piece in zip(roles, pieces, strict=True) if not _NEUTRAL.fullmatch(piece)]
    if len(parts) == 1 and all(role and role.kind in (PART, TUMOUR) for role in others):
        return parts.pop()
    return others[0] if len(others) > 0 and len(set(others)) == 1 else None


def _by_piece(text: str, evidence: str) -> Role | None:
    if _TUMOUR.fullmatch(text):
        return Role(TUMOUR, "", evidence)
    part = next((part for part, pattern in _PARTS.items() if pattern.fullmatch(text)), None)
    if part:
        return Role(PART, part, evidence)
    return Role(OTHER, "", evidence) if _OTHER.fullmatch(text) else None


def label_map_role(file: BidsFile, role: Role, mask_labels: str | None, others: int) -> Role:
    """Determine whether the requested labels of a label map (``_dseg``) are the tumour.

    Parameters
    ----------
    file : BidsFile
        The label map.
    role : Role
        Role by name and sidecar.
    mask_labels : str or None
        Requested labels.
    others : int
        Number of tumour masks and further label maps of this subject.

    Returns
    -------
    Role
    """
    if role.kind == OTHER:
        return role
    if mask_labels is None:
        return Role(None, "", f"{UNDECIDED}: a label map; name the labels of the tumour with --mask-labels")
    if role.kind == TUMOUR:
        return Role(TUMOUR, "", f"label map that says tumour, its labels {mask_labels} were asked for")
    if others or _ANATOMY.search(file.source):
        return Role(None, "", f"{UNDECIDED}: a label map that does not say tumour")
    return Role(TUMOUR, "", f"the only label map, its labels {mask_labels} were asked for")


def choose_masks(roles: Mapping[BidsFile, Role]) -> tuple[list[BidsFile], dict[BidsFile, str]]:
    """Choose the masks that make up the tumour of one subject.

    Masks of the whole tumour that were drawn or corrected manually precede automatic ones;
    of several runs, the first is taken. Numbered pieces and pieces of two hemispheres are
    joined; if several masks remain, a manual decision is needed.

    Parameters
    ----------
    roles : dict of BidsFile to Role
        Masks of the chosen session, preferred ones first.

    Returns
    -------
    masks : list of BidsFile
        Masks to join; a single one if there is a mask of the whole tumour.
    why : dict of BidsFile to str
        Reason for each mask that is not taken.
    """
    whole = [file for file, role in roles.items() if role.kind == TUMOUR]
    parts: dict[str, list[BidsFile]] = {}
    for file, role in roles.items():
        if role.kind == PART:
            parts.setdefault(role.part, []).append(file)
    taken, unclear = _choose_whole(whole)
    if not whole:
        scheme = next((scheme for scheme in _WHOLE if scheme <= set(parts)), set())
        taken = [file for part in sorted(scheme) for file in parts[part]]
        if len({file.entities.get("label", file.entities.get("desc")) for file in taken}) < len(taken):
            taken, unclear = [], taken
    return taken, {file: _why(file, role, taken, unclear, parts) for file, role in roles.items() if file not in taken}


def _choose_whole(files: Sequence[BidsFile]) -> tuple[list[BidsFile], list[BidsFile]]:
    """Choose among masks of the whole tumour: those to take, and those that need a manual decision."""
    rank = [_rank(file) for file in files]
    best = [file for file, place in zip(files, rank, strict=True) if place == min(rank)]
    if len(best) < 2 or len({_without_entity(file, "run") for file in best}) == 1:
        return best[:1], []
    pieces = {_without_entity(file, "hemi", numbered=True) for file in best}
    if len(pieces) == 1:
        return best, []
    return [], best


def _rank(file: BidsFile) -> int:
    """Return 0 for a manual mask, 2 for an automatic one and 1 if unknown."""
    if not file.derived or _BY_HAND.search(file.source):
        return 0
    return 2 if _BY_NETWORK.search(file.source) else 1


def _without_entity(file: BidsFile, entity: str, *, numbered: bool = False) -> str:
    """Return the path of a mask without one entity, and if `numbered` without the number that ends its label."""
    source = re.sub(rf"_{entity}-[^_.]+", "", file.source)
    return re.sub(r"(_(?:label|desc)-[^_.]*?)[0-9]+(?=[_.])", r"\1", source) if numbered else source


def _why(
    file: BidsFile, role: Role, taken: Sequence[BidsFile], unclear: Collection[BidsFile], parts: Iterable[str]
) -> str:
    if role.kind == OTHER:
        return f"not the tumour: {role.evidence}"
    if role.kind is None:
        return role.evidence
    if file in unclear:
        return f"{UNDECIDED}: one of several: {', '.join(each.source for each in unclear)}"
    if taken:
        return f"another was taken: {' + '.join(each.source for each in taken)}"
    return f"only a part of the tumour ({', '.join(parts)}): no mask of the whole, nor parts that make it up"
