"""What an import takes of one BIDS subject, decided by names and sidecars before any voxel is read."""

import re
from typing import NamedTuple

from epitome_kit.contrast_table import CONTRASTS, SUFFIX_KINDS, either
from epitome_kit.errors import ImageError, Reason
from epitome_kit.images import load_image
from epitome_kit.io.geometry import reorient_like
from epitome_kit.ledger import LEAVE_OUT, UNTOLD, Entry
from epitome_kit.sources.bids_choice import choose_scans, choose_session
from epitome_kit.sources.bids_files import DATATYPES, read_sidecars
from epitome_kit.sources.bids_masks import OTHER, PART, TUMOUR, Role, choose_masks, label_map_role, mask_role
from epitome_kit.sources.contrast_notes import UNREADABLE
from epitome_kit.sources.contrasts import judge_scan

DECIDED = "decided by a person"
"""Evidence of what a ledger was answered with."""


class Plan(NamedTuple):
    """What is taken of one subject.

    Attributes
    ----------
    subject : str
    scans : dict of str to BidsFile
        By contrast, in the order of :data:`epitome_kit.contrast_table.CONTRASTS`.
    masks : list of BidsFile
        Masks that make up the tumour.
    notes : list of str
        What has to be said of the subject.
    entries : list of Entry
        One for each of its files.
    sidecars : dict of BidsFile to dict
        What the sidecars of those files say that are taken.
    fault : str or None
        Why the subject cannot be used.
    """

    subject: str
    scans: dict
    masks: list
    notes: list
    entries: list
    sidecars: dict
    fault: str | None


def plan_subject(subject, files, source, *, dates, decisions, session=None, mask_labels=None):
    """Decide what is taken of one subject.

    Parameters
    ----------
    subject : str
    files : list of BidsFile
        Of this subject, in natural order.
    source : Path
        The BIDS folder.
    dates : dict of str to str
        From :func:`epitome_kit.sources.bids_choice.session_dates`.
    decisions : dict of (str, str) to str
        From :func:`epitome_kit.ledger.read_decisions`.
    session : str, default=None
        The one to take, where the subject has it.
    mask_labels : str, default=None
        Labels of a label map that are the tumour.

    Returns
    -------
    Plan
    """
    decided = {file: decisions[place] for file in files if (place := (file.source, _kind(file))) in decisions}
    notes_on = {file: read_sidecars(file, source) for file in files}
    roles = _judge_masks(files, notes_on, decided, mask_labels)
    judged, evidence, why = _judge_scans([file for file in files if file not in roles], notes_on, decided)
    evidence |= {file: role.evidence for file, role in roles.items()}
    roles, at = _place_masks(roles, judged, notes_on, decided)
    notes, sessions = [], {file.session for file in judged}
    annotated = {at[file] for file, role in roles.items() if role.kind in (TUMOUR, PART)}
    answered = {at.get(file, file.session) for file, answer in decided.items() if answer != LEAVE_OUT} - {None}
    chosen, reason = ("", "")
    if sessions:
        chosen, reason = choose_session(sessions, answered, annotated, dates, wanted=session)
    if len(sessions) > 1 or (session is not None and sessions):
        notes.append(f"{len(sessions)} sessions: took {_named(chosen)}: {reason}")
    for file in {**judged, **roles}:
        if at.get(file, file.session) not in (chosen, None):
            other = (
                f"{_named(chosen)} was taken{f': {reason}' if reason else ''}"
                if chosen is not None
                else "not asked for"
            )
            why[file] = f"of another session: {other}"
    here = {file: judged[file] for file in judged if file not in why}
    masks, left = _tumour({file: role for file, role in roles.items() if file not in why}, here, decided)
    why |= left
    if len(masks) > 1:
        notes.append(f"tumour: joined {' + '.join(file.path.name for file in masks)}")
    scans, left = choose_scans(here, *_preferred(here, masks, notes_on, decided))
    why |= left
    taken_as = {file: contrast for contrast, file in scans.items()} | dict.fromkeys(masks, "tumour")
    for file, answer in decided.items():
        if answer != LEAVE_OUT and file not in taken_as:
            notes.append(f"{file.path.name} was decided as {answer}, and not taken: {why.get(file)}")
    entries = [
        Entry(
            file.source,
            _kind(file),
            subject,
            taken_as.get(file, ""),
            evidence.get(file, "") if file in taken_as else "",
            "" if file in taken_as else why.get(file, ""),
            decided.get(file, ""),
        )
        for file in files
    ]
    sidecars = {file: notes_on[file] for file in taken_as}
    return Plan(subject, scans, masks, notes, entries, sidecars, _fault(subject, scans, files, why, chosen, session))


def _judge_masks(files, notes_on, decided, mask_labels):
    """Role of each mask, and of each file that a person called a tumour."""
    masks = [file for file in files if file.is_mask or decided.get(file) == "tumour"]
    roles = {file: mask_role(file, notes_on[file]) for file in masks}
    maps = [file for file in masks if file.suffix.lower() == "dseg"]
    for file in maps:
        tumours = sum(roles[other].kind == TUMOUR for other in masks if other is not file)
        others = tumours + sum(other is not file and roles[other].kind != OTHER for other in maps)
        roles[file] = label_map_role(file, roles[file], mask_labels, others)
    by_hand = {"tumour": Role(TUMOUR, "", DECIDED), LEAVE_OUT: Role(OTHER, "", DECIDED)}
    return roles | {file: by_hand[decided[file]] for file in masks if file in decided}


def _judge_scans(files, notes_on, decided):
    """Contrast of each scan that is one of the kit, evidence, and why the others are left out."""
    judged, evidence, why = {}, {}, {}
    for file in files:
        contrast, evidence[file] = _contrast(file, notes_on[file], decided.get(file))
        if contrast in CONTRASTS:
            judged[file] = contrast
        else:
            why[file] = evidence[file] if contrast else f"{UNTOLD}: {evidence[file]}"
    return dict(sorted(judged.items(), key=lambda item: _plainness(item[0]))), evidence, why


def _plainness(file):
    """Names with fewer entities come first: ``sub-1_T1w`` before ``sub-1_acq-lowres_T1w``."""
    return len(set(file.entities) - {"sub", "ses", "run"})


def _contrast(file, notes, decision):
    """Contrast of a scan and the evidence; a person's decision comes first."""
    if decision:
        return ("other" if decision == LEAVE_OUT else decision), DECIDED
    if file.derived:
        return "other", "derived: scans are taken from the raw data"
    if file.oddity:
        return None, file.oddity
    if file.folder in DATATYPES - {"anat"}:
        return "other", f"no anatomical scan: it lies in {file.folder}"
    contrast, evidence = judge_scan(file.path, notes={key: value for key, value in notes.items() if key != UNREADABLE})
    if contrast == "T1w" and UNREADABLE in notes:  # an agent may stand there
        return None, f"{evidence}, and {notes[UNREADABLE]} cannot be read"
    return contrast, evidence


def _place_masks(roles, judged, notes_on, decided):
    """Session of each mask: its own, else that of the scan it names; None for any; a question where neither tells."""
    sessions, at, placed = {file.session for file in judged}, {}, {}
    by_name = {file.path.name: file.session for file in judged}
    for file, role in roles.items():
        named = {by_name[name] for name in named_sources(notes_on[file]) if name in by_name}
        at[file], placed[file] = file.session or None, role
        if role.kind not in (TUMOUR, PART) or file in decided:
            at[file] = file.session or next(iter(named), None)
        elif len(named) == 1 and file.session in ("", *named):
            (at[file],) = named
        elif named:
            placed[file] = Role(None, "", f"{UNTOLD}: its name and its sidecar speak of different sessions")
        elif not file.session and len(sessions) > 1:
            placed[file] = Role(None, "", f"{UNTOLD}: of which of {len(sessions)} sessions")
    return placed, at


def _tumour(roles, scans, decided):
    """Choose the masks that make up the tumour, and say why the others do not."""
    stated = [file for file in roles if decided.get(file) == "tumour"]
    whole = [file for file, role in roles.items() if role.kind == TUMOUR]
    if len(whole) > 1:  # those on the grid of a scan come first
        fitting = [file for file in whole if _fits(file.path, [scan.path for scan in scans])]
        far = [file for file in whole if fitting and file not in fitting and file not in stated]
        masks, why = choose_masks({file: role for file, role in roles.items() if file not in far})
        why |= dict.fromkeys(far, "on the grid of no scan, where another is")
    else:
        masks, why = choose_masks(roles)
    masks = stated or masks
    return masks, {file: text for file, text in why.items() if file not in masks}


def _preferred(scans, masks, notes_on, decided):
    """Name the scans that come first, and why: those a person or the mask names, then those on the grid of the mask."""
    named = {name for mask in masks for name in named_sources(notes_on[mask])}
    runs = {mask.entities["run"] for mask in masks if "run" in mask.entities}
    told = {file for file in scans if file in decided or file.path.name in named or file.entities.get("run") in runs}
    if told or not masks:
        return told, "a person or the mask names it"
    return {file for file in scans if _fits(masks[0].path, [file.path])}, "the mask lies on its grid"


def _fits(mask, scans):
    """Whether a mask lies on the grid of a scan, as far as their headers can be read."""
    try:
        mask = load_image(mask, check_voxels=False)
        return any(reorient_like(mask, load_image(scan, check_voxels=False)) is not None for scan in scans)
    except ImageError:
        return False


def _kind(file):
    return "mask" if file.is_mask else "scan"


def named_sources(notes):
    """List the file names that a sidecar gives as the sources of a mask."""
    said = " ".join(str(notes.get(key, "")) for key in ("Sources", "RawSources", "IntendedFor"))
    return [text.rsplit("/", 1)[-1] for text in re.findall(r"[^\s\"'\[\],]+", said)]


def _named(session):
    return session or "the scans outside of sessions"


def _fault(subject, scans, files, why, chosen, session):
    if not re.fullmatch(r"sub-[A-Za-z0-9]+", subject):
        return str(Reason("letters and digits after `sub-`", subject))
    if scans:
        return None
    if chosen is None:
        return str(Reason(f"a session {session}", "none of that name"))
    asked = [file for file in files if why.get(file, "").startswith(UNTOLD)]
    if asked:
        hint = "say it in the column decision of sources.tsv, and import with --decisions"
        return str(Reason("a scan whose contrast can be told", f"{asked[0].source} ({why[asked[0]]}): {hint}"))
    first = next((f"{file.source} ({why[file]})" for file in files if file in why), "none")
    return str(Reason(f"a {either(SUFFIX_KINDS)} scan", first))
