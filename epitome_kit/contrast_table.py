"""The contrasts that the kit knows, one row each: lists, menus, help texts and messages derive from these rows."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Contrast:
    """One contrast.

    Attributes
    ----------
    bids : str
        Entities and suffix of its files in BIDS, such as ``"ce-gadolinium_T1w"``.
    label : str
        Name in menus.
    kind : str
        What :mod:`epitome_kit.sources.contrast_words` and
        :mod:`epitome_kit.sources.contrast_fields` call it: ``"T1w"``, ``"T2w"``,
        ``"FLAIR"`` or ``"PD"``.
    reference_rank : int
        Of the scans of a subject without a tumour mask, the one with the lowest rank
        is the reference: stripped and registered first, and the others follow it.
    conspicuity_rank : int
        How well a glioma shows, the best first: the scan with the lowest rank is the
        one that the outline of one head lies on.
    agent : str
        ``"with"`` or ``"without"``, where scans of one kind differ by a contrast agent.
    """

    bids: str
    label: str
    kind: str
    reference_rank: int
    conspicuity_rank: int
    agent: str = ""


CONTRASTS = {
    "T1w": Contrast("T1w", "T1", "T1w", reference_rank=1, conspicuity_rank=4, agent="without"),
    "T1ce": Contrast(
        "ce-gadolinium_T1w", "T1 after contrast agent", "T1w", reference_rank=2, conspicuity_rank=3, agent="with"
    ),
    "T2w": Contrast("T2w", "T2", "T2w", reference_rank=3, conspicuity_rank=2),
    "FLAIR": Contrast("FLAIR", "FLAIR", "FLAIR", reference_rank=4, conspicuity_rank=1),
}
"""Every contrast by its short name, in the order of lists.

A new one needs a row here; a row of tissue signals in
:data:`epitome_kit.simulate.scanner.SIGNAL` to be simulated; and words in
:mod:`epitome_kit.sources.contrast_lexicon` where its `kind` is a new one. It is no
channel of the networks: those keep their channels with their weights.
"""

SUFFIX_KINDS = {row.bids.rsplit("_", 1)[-1]: row.kind for row in CONTRASTS.values()}
"""BIDS suffix to kind."""


def reference_contrast(names: Iterable[str]) -> str:
    """Choose the reference of a subject without a tumour mask.

    Parameters
    ----------
    names : iterable of str
        Contrasts of the subject, at least one.

    Returns
    -------
    str
    """
    return min(names, key=lambda name: CONTRASTS[name].reference_rank)


def by_conspicuity(names: Iterable[str]) -> list[str]:
    """Sort contrasts by how well they show a glioma, the best first.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    list of str
    """
    return sorted(names, key=lambda name: CONTRASTS[name].conspicuity_rank)


def either(names: Iterable[str]) -> str:
    """Join names as in ``T1w, T2w or FLAIR``.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    str
    """
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
