"""Normalise the fields of a header or a sidecar: one spelling per name, one type per value."""

import re

from epitome_kit.files import Json

UNREADABLE = "__unreadable__"
"""Key that holds the name of a sidecar that cannot be read."""

_TEXTS = ("SeriesDescription", "ProtocolName", "SequenceName", "ImageComments")
_LISTED = ("ImageType", "ScanningSequence", "ContrastBolusAgent", "ContrastBolusIngredient")
_OTHERS = (
    *("Modality", "AngioFlag", "EchoTime", "RepetitionTime", "RepetitionTimePreparation", "InversionTime"),
    *("ContrastBolusVolume", "ContrastBolusTotalDose", "ContrastBolusRoute", "ContrastBolusStartTime"),
    *("ContrastBolusStopTime", "ContrastFlowRate", "ContrastFlowDuration", "ContrastBolusIngredientConcentration"),
)
_ALIASES = {
    "contrastagent": "ContrastBolusAgent",
    "contrastbolusagentsequence": "ContrastBolusAgent",
    "contrastboluscode": "ContrastBolusAgent",
    **dict.fromkeys(
        (
            "seriesname",
            "scandescription",
            "scanname",
            "acquisitiondescription",
            "acquisitionname",
            "sequencedescription",
        ),
        "SeriesDescription",
    ),
    "description": "ImageComments",
    "imagecomment": "ImageComments",
    "seriescomments": "ImageComments",
    "acquisitioncomments": "ImageComments",
    "comments": "ImageComments",
    "comment": "ImageComments",
    "contrastvolume": "ContrastBolusVolume",
    "contrastdose": "ContrastBolusTotalDose",
    "contrastbolusdose": "ContrastBolusTotalDose",
}
_KNOWN = _ALIASES | {name.lower(): name for name in (*_TEXTS, *_LISTED, *_OTHERS)}
_MAX_DEPTH = 6


def tidy_notes(notes: object) -> Json:
    """Rename fields to their BIDS names and convert values to text, numbers or lists.

    Parameters
    ----------
    notes : dict
        Fields as read from JSON. Case, blanks and underscores in names are ignored;
        anything but a dict gives no fields.

    Returns
    -------
    dict
        Unknown fields keep their names.
    """
    tidy: Json = {}
    for key, value in notes.items() if isinstance(notes, dict) else ():
        name = key if key == UNREADABLE else _KNOWN.get(re.sub(r"[\W_]+", "", str(key)).lower(), str(key))
        if name in _TEXTS:
            value = as_text(value)
        elif name in _LISTED:
            value = [as_text(each) for each in value] if isinstance(value, (list, tuple)) else as_text(value)
        if name in tidy and tidy[name] not in (None, "", []):
            value = _both(tidy[name], value, name)
        tidy[name] = value
    return tidy


def _both(first: object, second: object, name: str) -> object:
    """Merge the values of two spellings of one field; of two numbers the first counts."""
    if name not in (*_TEXTS, *_LISTED) or second in (None, "", []) or first == second:
        return first
    parts = [str(part) for each in (first, second) for part in (each if isinstance(each, list) else [each])]
    return " ".join(parts) if name in _TEXTS else parts


def as_text(value: object, depth: int = 0) -> str:
    """Convert any JSON value to text; the parts of lists and objects are joined, empty ones skipped.

    Parameters
    ----------
    value : object
        Any JSON value.
    depth : int, default=0
        Number of lists and objects that enclose the value.

    Returns
    -------
    str
    """
    if value is None or depth > _MAX_DEPTH:
        return ""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return " ".join(filter(None, (as_text(each, depth + 1) for each in value)))
    try:
        return str(value)
    except ValueError:  # a whole number of thousands of digits
        return ""
