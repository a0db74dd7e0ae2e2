"""Plan what to import of one BIDS subject, by names and sidecars, before any voxel is read."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from epitome_kit.contrast_table import CONTRASTS, SUFFIX_KINDS, either
from epitome_kit.errors import ImageError, Reason
from epitome_kit.files import Json
from epitome_kit.images import load_image
from epitome_kit.io.geometry import reorient_like
from epitome_kit.ledger import LEAVE_OUT, UNDECIDED, Decisions, Entry
from epitome_kit.sources.bids_choice import choose_scans, choose_session
from epitome_kit.sources.bids_files import DATATYPES, BidsFile, read_sidecars
from epitome_kit.sources.bids_masks import OTHER, PART, TUMOUR, Role, choose_masks, label_map_role, mask_role
from epitome_kit.sources.contrast_notes import UNREADABLE
from epitome_kit.sources.contrasts import judge_scan

DECIDED = "decided by a person"
"""Evidence for a manual decision."""


class Plan(NamedTuple):
    """What to import of one subject.

    Attributes
    ----------
    subject : str
    scans : dict of str to BidsFile
        By contrast, in the order of :data:`epitome_kit.contrast_table.CONTRASTS`.
    masks : list of BidsFile
        Masks that make up the tumour.
    notes : list of str
        Irregularities.
    entries : list of Entry
        One for each of its files.
    sidecars : dict of BidsFile to dict
        Fields of the sidecars of `scans` and `masks`.
    problem : str or None
        Why the subject cannot be used.
    """

    subject: str
    scans: dict[str, BidsFile]
    masks: list[BidsFile]
    notes: list[str]
    entries: list[Entry]
    sidecars: dict[BidsFile, Json]
    problem: str | None


def plan_subject(
    subject: str,
    files: Sequence[BidsFile],
    source: Path,
    *,
    dates: Mapping[str, str],
    decisions: Decisions,
    session: str | None = None,
    mask_labels: str | None = None,
) -> Plan:
    """Decide what to import of one subject.

    Parameters
    ----------
    subject : str
        Name of the subject.
    files : sequence of BidsFile
        Files of this subject, in natural order.
    source : Path
        The BIDS folder.
    dates : dict of str to str
        From :func:`epitome_kit.sources.bids_choice.session_dates`.
    decisions : dict of (str, str) to str
        From :func:`epitome_kit.ledger.read_decisions`.
    session : str, default=None
        Requested session.
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
    roles, session_of = _assign_sessions(roles, judged, notes_on, decided)
    notes: list[str] = []
    sessions = {file.session for file in judged}
    masked = {session_of[file] for file, role in roles.items() if role.kind in (TUMOUR, PART)}
    stated = {session_of.get(file, file.session) for file, decision in decided.items() if decision != LEAVE_OUT}
    chosen, reason = choose_session(sessions, stated, masked, dates, requested=session) if sessions else ("", "")
    if len(sessions) > 1 or (session is not None and sessions):
        notes.append(f"{len(sessions)} sessions: took {_named(chosen)}: {reason}")
    for file in {**judged, **roles}:
        if session_of.get(file, file.session) not in (chosen, None):
            other = f"{_named(chosen)} was taken{f': {reason}' if reason else ''}"
            why[file] = f"of another session: {'not asked for' if chosen is None else other}"
    here = {file: judged[file] for file in judged if file not in why}
    masks, unused = _choose_tumour({file: role for file, role in roles.items() if file not in why}, here, decided)
    why |= unused
    if len(masks) > 1:
        notes.append(f"tumour: joined {' + '.join(file.path.name for file in masks)}")
    scans, unused = choose_scans(here, *_preferred(here, masks, notes_on, decided))
    why |= unused
    taken_as = {file: contrast for contrast, file in scans.items()} | dict.fromkeys(masks, "tumour")
    for file, decision in decided.items():
        if decision != LEAVE_OUT and file not in taken_as:
            notes.append(f"{file.path.name} was decided as {decision}, and not taken: {why.get(file)}")
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
    problem = _find_problem(subject, scans, files, why, chosen, session)
    return Plan(subject, scans, masks, notes, entries, sidecars, problem)


def _judge_masks(
    files: Iterable[BidsFile],
    notes_on: Mapping[BidsFile, Json],
    decided: Mapping[BidsFile, str],
    mask_labels: str | None,
) -> dict[BidsFile, Role]:
    """Return the role of each mask, and of each file decided to be the tumour."""
    masks = [file for file in files if file.is_mask or decided.get(file) == "tumour"]
    roles = {file: mask_role(file, notes_on[file]) for file in masks}
    maps = [file for file in masks if file.suffix.lower() == "dseg"]
    for file in maps:
        tumours = sum(roles[other].kind == TUMOUR for other in masks if other is not file)
        others = tumours + sum(other is not file and roles[other].kind != OTHER for other in maps)
        roles[file] = label_map_role(file, roles[file], mask_labels, others)
    by_hand = {"tumour": Role(TUMOUR, "", DECIDED), LEAVE_OUT: Role(OTHER, "", DECIDED)}
    return roles | {file: by_hand[decided[file]] for file in masks if file in decided}


def _judge_scans(
    files: Iterable[BidsFile], notes_on: Mapping[BidsFile, Json], decided: Mapping[BidsFile, str]
) -> tuple[dict[BidsFile, str], dict[BidsFile, str], dict[BidsFile, str]]:
    """Return the contrast of each usable scan, the evidence, and the reason for excluding the others."""
    judged: dict[BidsFile, str] = {}
    evidence, why = {}, {}
    for file in files:
        contrast, evidence[file] = _judge_scan(file, notes_on[file], decided.get(file))
        if contrast in CONTRASTS:
            judged[file] = contrast
        else:
            why[file] = evidence[file] if contrast else f"{UNDECIDED}: {evidence[file]}"
    return dict(sorted(judged.items(), key=lambda item: _count_entities(item[0]))), evidence, why


def _count_entities(file: BidsFile) -> int:
    """Count entities, so that ``sub-1_T1w`` is sorted before ``sub-1_acq-lowres_T1w``."""
    return len(set(file.entities) - {"sub", "ses", "run"})


def _judge_scan(file: BidsFile, notes: Json, decision: str | None) -> tuple[str | None, str]:
    """Return the contrast of a scan and the evidence; a manual decision takes precedence."""
    if decision:
        return ("other" if decision == LEAVE_OUT else decision), DECIDED
    if file.derived:
        return "other", "derived: scans are taken from the raw data"
    if file.violation:
        return None, file.violation
    if file.folder in DATATYPES - {"anat"}:
        return "other", f"no anatomical scan: it lies in {file.folder}"
    contrast, evidence = judge_scan(file.path, notes={key: value for key, value in notes.items() if key != UNREADABLE})
    if contrast == "T1w" and UNREADABLE in notes:  # that sidecar may state an agent
        return None, f"{evidence}, and {notes[UNREADABLE]} cannot be read"
    return contrast, evidence


def _assign_sessions(
    roles: Mapping[BidsFile, Role],
    judged: Iterable[BidsFile],
    notes_on: Mapping[BidsFile, Json],
    decided: Collection[BidsFile],
) -> tuple[dict[BidsFile, Role], dict[BidsFile, str | None]]:
    """Return roles, and the session of each mask: its own, or that of the scan it names; None for any session."""
    sessions = {file.session for file in judged}
    session_of: dict[BidsFile, str | None] = {}
    checked = dict(roles)
    by_name = {file.path.name: file.session for file in judged}
    for file, role in roles.items():
        named = {by_name[name] for name in named_sources(notes_on[file]) if name in by_name}
        session_of[file] = file.session or None
        if role.kind not in (TUMOUR, PART) or file in decided:
            session_of[file] = file.session or next(iter(named), None)
        elif len(named) == 1 and file.session in ("", *named):
            (session_of[file],) = named
        elif named:
            checked[file] = Role(None, "", f"{UNDECIDED}: its name and its sidecar speak of different sessions")
        elif not file.session and len(sessions) > 1:
            checked[file] = Role(None, "", f"{UNDECIDED}: of which of {len(sessions)} sessions")
    return checked, session_of


def _choose_tumour(
    roles: Mapping[BidsFile, Role], scans: Collection[BidsFile], decided: Mapping[BidsFile, str]
) -> tuple[list[BidsFile], dict[BidsFile, str]]:
    """Choose the masks that make up the tumour, and explain why the others are not taken."""
    stated = [file for file in roles if decided.get(file) == "tumour"]
    whole = [file for file, role in roles.items() if role.kind == TUMOUR]
    if len(whole) > 1:  # masks on the grid of a scan take precedence
        fitting = [file for file in whole if _fits(file.path, [scan.path for scan in scans])]
        far = [file for file in whole if fitting and file not in fitting and file not in stated]
        masks, why = choose_masks({file: role for file, role in roles.items() if file not in far})
        why |= dict.fromkeys(far, "on the grid of no scan, where another is")
    else:
        masks, why = choose_masks(roles)
    masks = stated or masks
    return masks, {file: text for file, text in why.items() if file not in masks}


def _preferred(
    scans: Collection[BidsFile],
    masks: Sequence[BidsFile],
    notes_on: Mapping[BidsFile, Json],
    decided: Collection[BidsFile],
) -> tuple[set[BidsFile], str]:
    """Return the preferred scans and why: named by a decision or by the mask, or else on the grid of the mask."""
    named = {name for mask in masks for name in named_sources(notes_on[mask])}
    runs = {mask.entities["run"] for mask in masks if "run" in mask.entities}
    chosen = {file for file in scans if file in decided or file.path.name in named or file.entities.get("run") in runs}
    if chosen or not masks:
        return chosen, "a person or the mask names it"
    return {file for file in scans if _fits(masks[0].path, [file.path])}, "the mask lies on its grid"


def _fits(mask: Path, scans: Iterable[Path]) -> bool:
    """Return whether a mask lies on the grid of a scan, as far as their headers can be read."""
    try:
        image = load_image(mask, check_voxels=False)
        return any(reorient_like(image, load_image(scan, check_voxels=False)) is not None for scan in scans)
    except ImageError:
        return False


def _kind(file: BidsFile) -> str:
    return "mask" if file.is_mask else "scan"


def named_sources(notes: Json) -> list[str]:
    """List the file names that a sidecar states as the sources of a mask."""
    sources = " ".join(str(notes.get(key, "")) for key in ("Sources", "RawSources", "IntendedFor"))
    return [path.rsplit("/", 1)[-1] for path in re.findall(r"[^\s\"'\[\],]+", sources)]


def _named(session: str | None) -> str:
    return session or "the scans outside of sessions"


def _find_problem(
    subject: str,
    scans: Mapping[str, BidsFile],
    files: Sequence[BidsFile],
    why: Mapping[BidsFile, str],
    chosen: str | None,
    session: str | None,
) -> str | None:
    if not re.fullmatch(r"sub-[A-Za-z0-9]+", subject):
        return str(Reason("letters and digits after `sub-`", subject))
    if scans:
        return None
    if chosen is None:
        return str(Reason(f"a session {session}", "none of that name"))
    asked = [file for file in files if why.get(file, "").startswith(UNDECIDED)]
    if asked:
        hint = "enter it in the column decision of sources.tsv, and import with --decisions"
        return str(Reason("a scan of known contrast", f"{asked[0].source} ({why[asked[0]]}): {hint}"))
    first = next((f"{file.source} ({why[file]})" for file in files if file in why), "none")
    return str(Reason(f"a {either(SUFFIX_KINDS)} scan", first))
