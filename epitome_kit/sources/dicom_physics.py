"""What one DICOM header says of how a scan was acquired, wherever classic and enhanced objects put it."""

import math
import re
from collections import Counter

import pydicom

from epitome_kit.sources.contrast_fields import other_type

_PHYSICS = {
    "modality": "Modality",
    "image_type": "ImageType",
    "description": "SeriesDescription",
    "study_description": "StudyDescription",
    "protocol": "ProtocolName",
    "sequence": "SequenceName",
    "scanning_sequence": "ScanningSequence",
    "sequence_variant": "SequenceVariant",
    "acquisition": "MRAcquisitionType",
    "repetition_ms": "RepetitionTime",
    "inversion_ms": "InversionTime",
    "flip_deg": "FlipAngle",
    "field_t": "MagneticFieldStrength",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "agent": "ContrastBolusAgent",
    "ingredient": "ContrastBolusIngredient",
    "agent_ml": "ContrastBolusVolume",
    "dose_ml": "ContrastBolusTotalDose",
    "route": "ContrastBolusRoute",
    "angio": "AngioFlag",
    "body_part": "BodyPartExamined",
    "polarity": "PhotometricInterpretation",
    "institution": "InstitutionName",
    "thickness_mm": "SliceThickness",
    "between_mm": "SpacingBetweenSlices",
    "pixel_mm": "PixelSpacing",
    "announced": "ImagesInAcquisition",
    "number": "SeriesNumber",
    "age": "PatientAge",
    "sex": "PatientSex",
    "birth": "PatientBirthDate",
    "date": "StudyDate",
}
_JUDGED = (
    *("modality", "image_type", "description", "protocol", "sequence", "scanning_sequence", "repetition_ms"),
    *("inversion_ms", "agent", "ingredient", "agent_ml", "angio", "body_part"),
)
"""What tells a contrast."""

_HEAD = re.compile("HEAD|BRAIN|SKULL|NEURO|CRANI|CEREBR|ENCEPHAL|KOPF|SCHAEDEL|SCHADEL|GEHIRN|TETE|CABEZA|WHOLE ?BODY")
_OTHER_PARTS = re.compile(
    r"\b(?:[CTLS]+ ?SPINE|(?:CERVICAL|THORACIC|LUMBAR|SACRAL|WHOLE|TOTAL|FULL)? ?SPINE|[A-Z]*SPINE|NECK|ORBITS?|EYES?|"
    r"KNEES?|ABDOMEN|CHEST|THORAX|PELVIS|BREASTS?|PROSTATE|HEART|CARDIAC|LIVER|KIDNEYS?|SHOULDERS?|HIPS?|ANKLES?|"
    r"F(?:OO|EE)T|HANDS?|WRISTS?|ELBOWS?|[A-Z]*EXTREMITY|ARMS?|LEGS?|THIGHS?|CALF|FEMUR|TIBIA|HUMERUS|JAW|TMJ|FACE|"
    r"MAXILLA|MANDIBLE|SINUSE?S?|EARS?|IAC|LARYNX|PHARYNX|THYROID|PAROTID|TONGUE|UTERUS|CERVIX|BLADDER|RECTUM|"
    r"PANCREAS|LUNGS?|AORTA|SACRUM|COCCYX|CLAVICLE|STERNUM|RIBS?|FINGERS?|TOES?|HEEL|FOREARM|HWS|BWS|LWS|KNIE|"
    r"HALS|BECKEN|WIRBELSAEULE|SCHULTER|HUEFTE|FUSS|PHANTOM)\b"
)
_LACKING = ("", None)
_FEW = 0.1
_MOST_VALUES = 12
_NESTED = ("ContrastBolusAgentSequence", "ContrastBolusUsageSequence", "ComplexImageComponent", "InversionTimes")
PHYSICS_TAGS = [*_PHYSICS.values(), *_NESTED]
"""Elements to read from a file."""

_NUMBERS = {name for name in _PHYSICS if name.endswith(("_ms", "_deg", "_t", "_mm", "_ml"))} | {"announced", "number"}


def read_physics(sources):
    """Read how a scan was acquired.

    Parameters
    ----------
    sources : list of Dataset
        A header, and the data sets inside its functional groups.

    Returns
    -------
    dict
        Texts, ``""`` where there is none, and numbers, None where there is none.
    """
    physics = {name: _plain(name, first_value(sources, keyword)) for name, keyword in _PHYSICS.items()}
    agents = [item for item in first_value(sources, "ContrastBolusAgentSequence") or [] if len(item)]
    texts = [physics["agent"], *(_agent_text(item) for item in agents)]
    usage = [item for dataset in sources for item in _usage(dataset)]
    given = {str(item.get("ContrastBolusAgentAdministered") or "").strip().upper() for item in usage}
    if usage and given == {"NO"}:
        texts.append("none")
    elif "YES" in given and not any(texts):
        texts.append("yes")
    physics["agent"] = "\\".join(dict.fromkeys(text for text in texts if text))
    if physics["agent_ml"] is None:
        volumes = [as_number(item.get("ContrastBolusVolume")) for item in agents]
        physics["agent_ml"] = next((volume for volume in volumes if volume is not None), physics["dose_ml"])
    if physics["inversion_ms"] is None:
        physics["inversion_ms"] = as_number(first_value(sources, "InversionTimes"))
    sequences = [physics["scanning_sequence"]]
    if _says_yes(sources, "InversionRecovery") and "IR" not in physics["scanning_sequence"].split("\\"):
        sequences.append("IR")
    if _says_yes(sources, "EchoPlanarPulseSequence") and "EP" not in physics["scanning_sequence"].split("\\"):
        sequences.append("EP")
    physics["scanning_sequence"] = "\\".join(filter(None, sequences))
    return physics


def kind_of_frame(sources):
    """Tell magnitude from phase and other types of image that one series may hold.

    Parameters
    ----------
    sources : list of Dataset
        What is said of the image first, and its header after.

    Returns
    -------
    str
        The words of the type that are none of an ordinary scan, separated as in a
        header; empty for such a scan.
    """
    types = []
    for keyword in ("FrameType", "ComplexImageComponent"):
        value = first_value(sources, keyword)
        types += list(value) if isinstance(value, pydicom.multival.MultiValue) else [value] if value else []
    types = types or list(_plain("image_type", first_value(sources, "ImageType")).split("\\"))
    types = [str(kind).strip().upper() for kind in types]
    return "\\".join(sorted({kind for kind in types if other_type({"ImageType": [kind]})}))


def _agent_text(item):
    """Name of an agent by its code; ``yes`` where a code has no meaning in words."""
    said = item.get("CodeMeaning") or item.get("ContrastBolusAgent")
    return str(said).strip().replace("\\", " ") if said else "yes"


def _usage(dataset):
    """Whether agents were given, as functional groups say it."""
    if "ContrastBolusAgentAdministered" in dataset:
        return [dataset]
    return list(dataset.get("ContrastBolusUsageSequence") or [])


def _says_yes(sources, keyword):
    return str(first_value(sources, keyword) or "").strip().upper() == "YES"


def inner_sets(groups):
    """List the data sets of the sequences inside functional groups.

    Parameters
    ----------
    groups : iterable of Dataset

    Returns
    -------
    list of Dataset
    """
    return [item for group in groups for element in group if element.VR == "SQ" for item in element.value]


def first_value(datasets, keyword):
    """Take an element of the first data set that holds it and is not empty.

    Parameters
    ----------
    datasets : iterable of Dataset
    keyword : str

    Returns
    -------
    object
        None where none does.
    """
    for dataset in datasets:
        value = dataset.get(keyword)
        if value is not None and value != "":
            return value
    return None


def _plain(name, value):
    if name == "pixel_mm":
        return as_numbers(value, 2)
    if name in _NUMBERS:
        return as_number(value)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, pydicom.multival.MultiValue) else str(value).strip()


def as_number(value):
    """Read a finite number, or the first of several.

    Parameters
    ----------
    value : object

    Returns
    -------
    float or None
    """
    if isinstance(value, pydicom.multival.MultiValue) and value:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def as_numbers(values, length):
    """Read several finite numbers.

    Parameters
    ----------
    values : sequence or None
    length : int
        How many there have to be.

    Returns
    -------
    tuple of float or None
    """
    numbers = tuple(map(as_number, values or ()))
    return numbers if len(numbers) == length and None not in numbers else None


def vary(headers):
    """List what the images of one volume say of its contrast, where they do not all say the same.

    Parameters
    ----------
    headers : list of dict
        What each image says, as from :func:`read_physics`.

    Returns
    -------
    dict of str to list
        Keyword of DICOM to the fields to judge by in place of those of the first
        image, one dict a value. What fewer than one image in ten leaves out counts
        as said; of numbers, the least and the greatest count.
    """
    varied = {}
    for name in _JUDGED:
        counts = Counter(header[name] for header in headers)
        lacking = sum(count for value, count in counts.items() if value in _LACKING)
        said = [value for value in counts if value not in _LACKING]
        if lacking > _FEW * len(headers) and said:
            said.append("" if isinstance(said[0], str) else None)
        if name in _NUMBERS:
            numbers = sorted(value for value in said if value is not None)
            said = [*dict.fromkeys(numbers[:1] + numbers[-1:]), *([None] if None in said else [])]
        if len(said) > 1 or said and said[0] != headers[0][name]:
            varied[_PHYSICS[name]] = [{name: value} for value in said[:_MOST_VALUES]]
    return varied


def overrule(volume, contrast, evidence):
    """Hold what a volume is judged to be against the part of the body and the preparation of its signal.

    Parameters
    ----------
    volume : epitome_kit.sources.dicom_headers.Volume
    contrast : str
        One of :data:`epitome_kit.contrast_table.CONTRASTS`.
    evidence : str

    Returns
    -------
    (str or None, str)
        As they came, or what speaks against them.
    """
    physics = volume.physics
    words = " ".join(re.findall("[A-Z]+", physics["body_part"].upper()))
    part = _OTHER_PARTS.search(words)
    if part and not _HEAD.search(words):
        return "other", f"of another part of the body: {part[0]}"
    inverted = "IR" in physics["scanning_sequence"].upper().split("\\")
    if contrast == "T2w" and inverted and not physics["inversion_ms"]:
        return None, f"{evidence}, an inversion recovery without an inversion time"
    return contrast, evidence
