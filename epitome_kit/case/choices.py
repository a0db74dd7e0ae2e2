"""Contrasts of the scans of one case: what a name suggests, what is chosen, and what can be analysed."""

from collections.abc import Sequence

from epitome_kit.case.upload import safe_name
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import ImageError
from epitome_kit.files import Json
from epitome_kit.sources.contrasts import judge_scan

OWN = "A scan of my own"
"""The choice of a visitor who uploads."""

IGNORED = "other"
"""Choice for a scan of another contrast, which is ignored."""

OPTIONS: dict[str, str | None] = {
    "Select the contrast": None,
    **{row.label: name for name, row in CONTRASTS.items()},
    "Another contrast: ignore this scan": IGNORED,
}
"""What can be chosen for a scan, by its words on the page."""


def propose_contrast(known: str, name: str) -> Json:
    """Propose the contrast of a received scan, by its DICOM header or its file name if they are clear.

    Parameters
    ----------
    known : str
        Its key in the result of :func:`epitome_kit.case.upload.receive_scan`.
    name : str
        Name of the uploaded file.

    Returns
    -------
    dict
        ``label``, as text; ``contrast``, None if it is unknown; and ``evidence``.
    """
    if known:
        contrast, evidence = known if known in CONTRASTS else None, "the header of its DICOM series"
    else:
        contrast, evidence = judge_scan(name, notes={})
        contrast = contrast if contrast in CONTRASTS else None
    label = f"{safe_name(name)}, {known}" if known and contrast is None else safe_name(name)
    return {"label": label, "contrast": contrast, "evidence": evidence}


def select_scans(scans: Sequence[Json], chosen: Sequence[str | None]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the scans to analyse.

    Parameters
    ----------
    scans : sequence of dict
        ``path``, and what :func:`propose_contrast` returned.
    chosen : sequence of str or None
        Contrast of each, or :data:`IGNORED`.

    Returns
    -------
    images : dict of str to str
        Paths by contrast, in the order of :data:`epitome_kit.contrast_table.CONTRASTS`.
    evidence : dict of str to str
        How each contrast is known.

    Raises
    ------
    ImageError
        No scan is left, one has no contrast, or two have the same.
    """
    used = [(scan, name) for scan, name in zip(scans, chosen, strict=True) if name != IGNORED]
    if not used:
        raise ImageError("upload", "at least one scan", "none, all are ignored", "select the contrast of one")
    found = {name: scan for scan, name in used if name in CONTRASTS}
    if not all(name in CONTRASTS for _, name in used):
        raise ImageError("upload", "the contrast of each scan", "none for one", "select the contrast of each scan")
    if len(found) < len(used):
        raise ImageError("upload", "one scan of each contrast", "two of one", "select the contrast of each scan")
    ordered = {name: found[name] for name in CONTRASTS if name in found}
    evidence = {name: scan["evidence"] if name == scan["contrast"] else "as stated" for name, scan in ordered.items()}
    return {name: scan["path"] for name, scan in ordered.items()}, evidence
