"""Which of the four contrasts a DICOM volume is, by what its header says of the physics."""

import re

_NOT_A_SCAN = re.compile(
    r"\bloc|scout|survey|3.?plane|calib|\b(dwi|dti|adc|swi|swan|mra|mrv|tof|asl|dsc|dce|mip|stir|sub|bold|fmri)\b|"
    r"diff|trace|perf|angio|t2.?\*|fiesta|ciss|true.?fi|spectro|field.?map|screen|report|subtract"
)
_NOT_AN_IMAGE = {"LOCALIZER", "ADC", "TRACEW", "DIFFUSION", "PROJECTION IMAGE", "MIP", "PHASE MAP", "SCREEN SAVE"}
_AFTER = re.compile(r"\bpost|\bgad|\bgd\b|\bce\b|\bc\+|\+ ?(c|g|gd)\b|contrast|kontrast|\bkm\b|dotarem|magnevist|t1ce")
_BEFORE = re.compile(
    r"\bpre\b(?!.?(op|surg))|\bpre(contrast|gad|gd)|without|\bw/?o\b|\bno.?(contrast|gad)|\bnon.?(c|gad|enh)"
)
_NO_AGENT = {"", "no", "none", "n", "n/a", "without", "0"}
_LONG_ECHO_MS = 60
_LONG_REPETITION_MS = 1500


def contrast_of(volume):
    """Name the contrast of a volume.

    The times of the sequence decide; words of the description only where the
    times are missing, for FLAIR without an inversion time, and for the contrast agent.

    Parameters
    ----------
    volume : epitome_kit.sources.dicom_headers.Volume

    Returns
    -------
    str or None
        ``"T1w"``, ``"T1ce"``, ``"T2w"`` or ``"FLAIR"``; None for anything else, proton
        density included.
    """
    physics = volume.physics
    words = " ".join(physics[name] for name in ("description", "protocol", "sequence")).lower().replace("_", " ")
    if physics["modality"] != "MR" or _NOT_A_SCAN.search(words):
        return None
    if _NOT_AN_IMAGE & set(physics["image_type"].upper().split("\\")):
        return None
    known = volume.echo_ms and physics["repetition_ms"]
    contrast = _by_times(volume.echo_ms, physics, words) if known else _by_words(words)
    return "T1ce" if contrast == "T1w" and _after_agent(physics["agent"].lower(), words) else contrast


def _by_times(echo, physics, words):
    repetition, inversion = physics["repetition_ms"], physics["inversion_ms"] or 0
    kinds = set(physics["scanning_sequence"].upper().split("\\"))
    if "EP" in kinds:
        return None
    gradient = "GR" in kinds and "SE" not in kinds
    if echo >= _LONG_ECHO_MS:
        if gradient or repetition < _LONG_REPETITION_MS:
            return None
        return "FLAIR" if inversion >= 1300 or "flair" in words or "dark fluid" in words else "T2w"
    short = echo < 12 if gradient else echo < 40
    prepared = 400 <= inversion < 1300
    return "T1w" if short and (repetition < _LONG_REPETITION_MS or prepared) else None


def _by_words(words):
    if "flair" in words or "dark fluid" in words:
        return None if "t1" in words else "FLAIR"
    if re.search(r"\bt2", words):
        return None if re.search(r"\bpd\b|proton", words) else "T2w"
    return "T1w" if re.search(r"\bt1|mprage|spgr|bravo", words) else None


def _after_agent(agent, words):
    if _BEFORE.search(words):
        return False
    return agent not in _NO_AGENT or bool(_AFTER.search(words))


def best(volumes):
    """Pick the volume that shows a contrast best.

    Parameters
    ----------
    volumes : sequence of Volume
        Of one contrast, not empty.

    Returns
    -------
    Volume
        Acquired rather than derived, then with the smallest of the longest voxel
        edges, then with more slices, then the first.
    """
    return min(volumes, key=lambda volume: (_derived(volume), round(_longest_edge(volume), 1), -volume.slices))


def _derived(volume):
    return volume.physics["image_type"].upper().startswith("DERIVED")


def _longest_edge(volume):
    return max(volume.step_mm or 0, *(volume.physics["pixel_mm"] or (0, 0)))


def judge_volumes(volumes):
    """Stand-in until the judge is there."""
    return [(contrast_of(volume) or "other", "times") for volume in volumes]
