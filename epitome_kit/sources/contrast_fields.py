"""Judge the contrast by the fields of a header or a sidecar: sequence times and image type."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import SupportsFloat

from epitome_kit.sources.contrast_notes import as_text

LONG_ECHO_MS = 60
LONG_REPETITION_MS = 1500
_VERY_LONG_REPETITION_MS = 3000
_FLAIR_REPETITION_MS = 6000
_LATE_INVERSION_MS, _EARLY_INVERSION_MS = 1300, 400
_IMPOSSIBLE_ECHO_S = 2
_COMPLEX_PARTS = ("PHASE", "REAL", "IMAGINARY")
_OTHER_TYPES = {
    **dict.fromkeys(("P", "PHASE", "PHASE MAP", "PHASE_MAP", "PHASEMAP"), "phase"),
    **dict.fromkeys(("R", "REAL", "I", "IMAGINARY", "R_IR", "R_SE", "R_FFE"), "real or imaginary part"),
    **dict.fromkeys(("MIP", "MINIP", "MIN IP", "MNIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE"), "projection"),
    **dict.fromkeys(("LOCALIZER", "SCOUT"), "localiser"),
    **dict.fromkeys(
        ("W", "WATER", "F", "FAT", "IP", "OP", "IN_PHASE", "OUT_PHASE", "OPP_PHASE", "DIXON"), "Dixon part"
    ),
    **dict.fromkeys(("ADC", "EADC", "TRACEW", "DIFFUSION", "FA", "DWI", "TENSOR"), "diffusion"),
    **dict.fromkeys(("SUB", "SUBTRACT", "SUBTRACTION", "SUBTRACTED"), "subtraction"),
    **dict.fromkeys(("SWI", "VENO", "T2_STAR", "T2STAR"), "susceptibility"),
    **dict.fromkeys(("CBF", "CBV", "MTT", "TTP", "RCBV", "RCBF", "RELCBF", "RELCBV", "ASL", "PERFUSION"), "perfusion"),
    **dict.fromkeys(("T1 MAP", "T2 MAP", "T1_MAP", "T2_MAP", "T2_STAR_MAP", "R2_MAP", "B0 MAP", "B1 MAP"), "map"),
    **dict.fromkeys(("UNI", "INV1", "INV2"), "part of MP2RAGE"),
    **dict.fromkeys(("SCREEN SAVE", "SCREENSHOT", "FMRI", "MOSAIC", "SPECTROSCOPY"), "no anatomical scan"),
}

_MAGNETIC = {
    "MR",
    "MRI",
    "MRT",
    "NMR",
    "IRM",
    "RM",
    "RMN",
    "MAGNETIC",
    "T1",
    "T1W",
    "T1CE",
    "T2",
    "T2W",
    "FLAIR",
    "ANAT",
}
_NOT_MAGNETIC = {"CT", "PT", "PET", "NM", "US", "SPECT", "SEG", "RTSTRUCT", "SR", "OT", "MG", "CR", "DX"}


def kind_by_times(notes: Mapping[str, object]) -> tuple[str | None, str]:
    """Classify a sequence by its echo, repetition and inversion times.

    Parameters
    ----------
    notes : dict
        Fields by BIDS name, times in seconds.

    Returns
    -------
    kind : str or None
        ``"T1w"``, ``"T2w"``, ``"FLAIR"``, ``"PD"``, ``"T2*"``, ``"EPI"`` or ``"STIR"``;
        None if times are missing or ambiguous.
    evidence : str
        The times in words.
    """
    echo, repetition = as_number(notes.get("EchoTime")), as_number(notes.get("RepetitionTime"))
    repetition = repetition or as_number(notes.get("RepetitionTimePreparation"))
    kinds = set(as_list(notes.get("ScanningSequence")))
    if "EP" in kinds:
        return "EPI", "an echo-planar sequence"
    if not echo or not repetition or echo >= _IMPOSSIBLE_ECHO_S:
        return None, ""
    echo, repetition = 1000 * echo, 1000 * repetition
    inversion = 1000 * (as_number(notes.get("InversionTime")) or 0)
    times = f"TE {echo:.4g} ms, TR {repetition:.5g} ms" + (f", TI {inversion:.5g} ms" if inversion else "")
    kind = _classify_times(echo, repetition, inversion, kinds)
    if kind is None and "IR" in kinds and not inversion:
        times += ", an inversion recovery without its time"
    return kind, times


def _classify_times(echo: float, repetition: float, inversion: float, kinds: Collection[str]) -> str | None:
    gradient = "GR" in kinds and "SE" not in kinds
    if echo >= LONG_ECHO_MS:
        if gradient or repetition < LONG_REPETITION_MS:
            return "T2*" if gradient else None
        if inversion >= _LATE_INVERSION_MS:
            return "FLAIR"
        if not inversion:
            return None if "IR" in kinds and repetition >= _FLAIR_REPETITION_MS else "T2w"
        return "STIR" if inversion < _EARLY_INVERSION_MS else None
    short = echo < 12 if gradient else echo < 40
    if not short:
        return "T2*" if gradient else None
    if repetition < LONG_REPETITION_MS or _EARLY_INVERSION_MS <= inversion < _LATE_INVERSION_MS:
        return "T1w"
    return (
        "PD" if repetition >= _VERY_LONG_REPETITION_MS and not (gradient or inversion) and (kinds or echo > 8) else None
    )


def exclude_by_type(notes: Mapping[str, object]) -> str | None:
    """Explain why an image has no contrast of the kit, judging by its type.

    Parameters
    ----------
    notes : dict
        Fields by BIDS name: Modality, ImageType, ComplexImageComponent and AngioFlag are used.

    Returns
    -------
    str or None
        The reason; None if the image may have one of them.
    """
    modality = as_text(notes.get("Modality")).strip().upper() or "MR"
    words = set(re.findall("[A-Z0-9]+", modality))
    if not words & _MAGNETIC or words & _NOT_MAGNETIC:
        return f"modality {modality}" if re.fullmatch("[A-Z]{2,9}", modality) else "another modality"
    if as_text(notes.get("AngioFlag")).strip().upper() in ("Y", "YES", "TRUE"):
        return "an angiography"
    parts = [part for part in as_list(notes.get("ComplexImageComponent")) if part in _COMPLEX_PARTS]
    if parts:
        return f"complex image component {parts[0]}"
    types = as_list(notes.get("ImageType"))
    return next((f"image type {kind}: {_OTHER_TYPES[kind]}" for kind in types if kind in _OTHER_TYPES), None)


def as_number(value: object) -> float | None:
    """Convert a value, or the first of a sequence, to a finite number; None if that is impossible."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and value:
        value = value[0]
    if not isinstance(value, (str, bytes, SupportsFloat)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_list(value: object) -> list[str]:
    """Split a field of one or more values into upper-case words."""
    values = value if isinstance(value, (list, tuple)) else re.split(r"[\\]", as_text(value))
    texts = [as_text(each).strip().upper() for each in values]
    return [text for text in texts if text]
