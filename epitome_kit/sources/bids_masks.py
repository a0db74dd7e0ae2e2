"""Which masks of a BIDS folder outline the tumour: by their label, never by being the only one."""

import re
from typing import NamedTuple

from epitome_kit.ledger import UNTOLD

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
_WHOLE = ({"oedema", "enhancing", "core"}, {"oedema", "tumour core"})
"""Parts that make up a whole tumour, as BraTS has them."""


class Role(NamedTuple):
    """What a mask outlines.

    Attributes
    ----------
    kind : str or None
        :data:`TUMOUR`, :data:`PART` or :data:`OTHER`; None where nothing tells.
    part : str
        Which part of the tumour.
    evidence : str
    """

    kind: str | None
    part: str
    evidence: str


def mask_role(file, notes):
    """Tell what a mask outlines: by its label, its description, its sidecar, then by where it lies.

    Parameters
    ----------
    file : BidsFile
    notes : dict
        Of its sidecar.

    Returns
    -------
    Role
    """
    label, described = file.entities.get("label", ""), file.entities.get("desc", "")
    if label:
        return _by_word(label, f"label-{label}") or Role(OTHER, "", f"label-{label}")
    if role := _by_word(described, f"desc-{described}"):
        return role
    kind = notes.get("Type")
    if isinstance(kind, str) and kind:
        return Role(TUMOUR if kind.lower() == "lesion" else OTHER, "", f"its sidecar says Type {kind[:40]}")
    pipeline = file.source.split("/")[1] if file.derived and file.source.count("/") > 1 else ""
    name = file.path.name.split(".")[0].removeprefix(file.subject)
    words = [re.sub("[^A-Za-z0-9]", "", pipeline), *re.split(r"[^A-Za-z0-9]+", f"{pipeline} {name}")]
    found = [role for word in words if (role := _by_word(word, f"its path says {word}"))]
    if found and (found[0].evidence.endswith(words[0]) or len({role[:2] for role in found}) == 1):
        return found[0]
    told = " and ".join(role.evidence for role in found)
    return Role(None, "", f"{UNTOLD}: {told or 'no label, description or type says what it outlines'}")


def _by_word(word, evidence):
    """Role that one word tells, in any capitals; None where it tells none, or two."""
    if role := _by_piece(word.lower(), evidence):
        return role
    if re.search(r"non|no|free|healthy|contralateral|cavity|periphery", word, re.IGNORECASE):
        return None
    pieces = [_by_piece(piece.lower(), evidence) for piece in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", word)]
    found = {role for role in pieces if role}
    parts = {role for role in found if role.kind == PART}
    (role,) = parts if len(parts) == 1 else found if len(found) == 1 else (None,)
    return role


def _by_piece(text, evidence):
    if _TUMOUR.fullmatch(text):
        return Role(TUMOUR, "", evidence)
    part = next((part for part, pattern in _PARTS.items() if pattern.fullmatch(text)), None)
    if part:
        return Role(PART, part, evidence)
    return Role(OTHER, "", evidence) if _OTHER.fullmatch(text) else None


def choose_masks(roles):
    """Choose the masks that make up the tumour of one subject.

    Parameters
    ----------
    roles : dict of BidsFile to Role
        Masks of the session that was chosen, the better ones first.

    Returns
    -------
    masks : list of BidsFile
        To be joined; one, where there is a mask of the whole tumour.
    why : dict of BidsFile to str
        For each mask that was not taken.
    """
    whole = [file for file, role in roles.items() if role.kind == TUMOUR]
    parts = {}
    for file, role in roles.items():
        if role.kind == PART:
            parts.setdefault(role.part, file)
    taken = whole[:1]
    if not whole:
        taken = next(([parts[part] for part in sorted(scheme)] for scheme in _WHOLE if scheme <= set(parts)), [])
    return taken, {file: _why(role, taken, parts) for file, role in roles.items() if file not in taken}


def _why(role, taken, parts):
    if role.kind == OTHER:
        return f"not the tumour: {role.evidence}"
    if role.kind is None:
        return role.evidence
    if taken:
        return f"another was taken: {' + '.join(file.path.name for file in taken)}"
    return f"only a part of the tumour ({', '.join(parts)}): no mask of the whole, nor parts that make it up"
