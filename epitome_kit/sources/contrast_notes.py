"""The fields of a header or a sidecar under one spelling each, whatever JSON holds in them."""

import re

UNREADABLE = "__unreadable__"
"""Key under which the name of a sidecar that cannot be read stands."""

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
_DEEPEST = 6


def tidy_notes(notes):
    """Bring fields under their names in BIDS and their values into text, numbers or lists.

    Parameters
    ----------
    notes : dict
        As JSON holds them. Capitals, blanks and underscores of the names do not count;
        anything else than a dict says nothing.

    Returns
    -------
    dict
        Fields that are not known keep their names.
    """
    tidy = {}
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


def _both(first, second, name):
    """Join what two spellings of one field say; of numbers the first counts."""
    if name not in (*_TEXTS, *_LISTED) or second in (None, "", []) or first == second:
        return first
    parts = [part for each in (first, second) for part in (each if isinstance(each, list) else [each])]
    return " ".join(parts) if name in _TEXTS else parts


def as_text(value, depth=0):
    """Read any value of JSON as text: parts of lists and objects joined, what is nothing left out.

    Parameters
    ----------
    value : object
    depth : int, default=0
        Lists around this value.

    Returns
    -------
    str
    """
    if value is None or depth > _DEEPEST:
        return ""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return " ".join(filter(None, (as_text(each, depth + 1) for each in value)))
    try:
        return str(value)
    except ValueError:  # a whole number of thousands of digits
        return ""
