"""What an import takes of one BIDS subject, decided by names and sidecars before any voxel is read."""

import re
from typing import NamedTuple

from epitome_kit.cohort import CONTRASTS
from epitome_kit.errors import BadImage
from epitome_kit.images import load_image, same_grid
from epitome_kit.ledger import LEAVE_OUT, UNTOLD, Entry
from epitome_kit.sources.bids_choice import choose_scans, choose_session
from epitome_kit.sources.bids_files import read_sidecars
from epitome_kit.sources.bids_masks import OTHER, PART, TUMOUR, Role, choose_masks, mask_role
from epitome_kit.sources.contrasts import judge_scan

_NOT_ANATOMY = {"func", "dwi", "perf", "fmap", "pet", "meg", "eeg", "ieeg", "micr", "nirs", "beh", "mrs", "motion"}


class Plan(NamedTuple):
    """What is taken of one subject.

    Attributes
    ----------
    subject : str
    scans : dict of str to BidsFile
        By contrast, in the order of :data:`epitome_kit.cohort.CONTRASTS`.
    masks : list of BidsFile
        Masks that make up the tumour.
    notes : list of str
        What has to be said of the subject.
    entries : list of Entry
        One for each of its files.
    fault : str or None
        Why the subject cannot be used.
    """

    subject: str
    scans: dict
    masks: list
    notes: list
    entries: list
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
    why, taken_as, evidence, judged, roles = {}, {}, {}, {}, {}
    for file in files:
        if file.is_mask:
            roles[file] = _role(file, read_sidecars(file, source), decided.get(file), mask_labels)
            evidence[file] = roles[file].evidence
        elif file.derived:
            why[file] = "derived: scans are taken from the raw data"
        else:
            contrast, evidence[file] = _contrast(file, source, decided.get(file))
            if contrast in CONTRASTS:
                judged[file] = contrast
            else:
                why[file] = evidence[file] if contrast else f"{UNTOLD}: {evidence[file]}"
    notes, sessions = [], {file.session for file in judged}
    annotated = {file.session for file, role in roles.items() if role.kind in (TUMOUR, PART)}
    chosen, reason = choose_session(sessions, annotated, dates, wanted=session) if sessions else ("", "")
    if len(sessions) > 1 or (session is not None and sessions):
        notes.append(f"{len(sessions)} sessions: took {_named(chosen)}: {reason}")
    for file in {**judged, **roles}:
        if file.session != chosen and not (file.is_mask and not file.session):
            why[file] = (
                f"of another session: {_named(chosen)} was taken: {reason}" if chosen is not None else "not asked for"
            )
    here = {file: role for file, role in roles.items() if file not in why}
    whole = [file for file, role in here.items() if role.kind == TUMOUR]
    if len(whole) > 1:  # those on the grid of a scan come first
        grids = [file.path for file in judged if file not in why]
        here = dict(sorted(here.items(), key=lambda item: item[0] in whole and not _fits(item[0].path, grids)))
    masks, left = choose_masks(here)
    stated = [file for file, role in roles.items() if decided.get(file) == "tumour" and file not in why]
    masks = stated or masks
    why |= {file: text for file, text in left.items() if file not in masks}
    if len(masks) > 1:
        notes.append(f"tumour: joined {' + '.join(file.path.name for file in masks)}")
    drawn_on = {name for mask in masks for name in named_sources(read_sidecars(mask, source))}
    first = {file for file in judged if file in decided or file.path.name in drawn_on}
    scans, left = choose_scans({file: judged[file] for file in judged if file not in why}, first)
    why |= left
    taken_as |= {file: contrast for contrast, file in scans.items()} | dict.fromkeys(masks, "tumour")
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
    return Plan(subject, scans, masks, notes, entries, _fault(subject, scans, files, why, chosen, session))


def _fits(mask, scans):
    """Whether a mask lies on the grid of a scan, as far as their headers can be read."""
    try:
        mask = load_image(mask, check_voxels=False)
        return any(same_grid(mask, load_image(scan, check_voxels=False)) for scan in scans)
    except BadImage:
        return False


def _kind(file):
    return "mask" if file.is_mask else "scan"


def _contrast(file, source, decision):
    """Contrast of a scan and the evidence; a person's decision comes first."""
    if decision:
        return ("other" if decision == LEAVE_OUT else decision), "decided by a person"
    if file.folder in _NOT_ANATOMY:
        return "other", f"no anatomical scan: it lies in {file.folder}"
    return judge_scan(file.path, notes=read_sidecars(file, source))


def _role(file, notes, decision, mask_labels):
    if decision:
        return Role(TUMOUR if decision == "tumour" else OTHER, "", "decided by a person")
    role = mask_role(file, notes)
    if file.suffix.lower() == "dseg" and role.kind != OTHER:
        if mask_labels is None:
            return Role(None, "", f"{UNTOLD}: a label map; name the labels of the tumour with --mask-labels")
        return Role(TUMOUR, "", f"label map, its labels {mask_labels} were asked for")
    return role


def named_sources(notes):
    """List the file names that a sidecar gives as the sources of a mask."""
    return [text.rsplit("/", 1)[-1] for text in re.findall(r"[^\s\"'\[\],]+", str(notes.get("Sources", "")))]


def _named(session):
    return session or "the scans outside of sessions"


def _fault(subject, scans, files, why, chosen, session):
    if not re.fullmatch(r"sub-[A-Za-z0-9]+", subject):
        return f"expected letters and digits after `sub-`; received {subject}"
    if scans:
        return None
    if chosen is None:
        return f"expected a session {session}; received none of that name"
    asked = [file for file in files if why.get(file, "").startswith(UNTOLD)]
    if asked:
        return (
            f"expected a scan whose contrast can be told; received {asked[0].source} ({why[asked[0]]}): say it in the "
            "column decision of sources.tsv, and import with --decisions"
        )
    first = next((f"{file.source} ({why[file]})" for file in files if file in why), "none")
    return f"expected a T1w, T2w or FLAIR scan; received {first}"
