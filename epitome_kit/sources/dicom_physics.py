"""Read how a scan was acquired from the header of a classic or an enhanced DICOM object."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pydicom

from epitome_kit.files import Json
from epitome_kit.sources.contrast_fields import as_number, exclude_by_type

if TYPE_CHECKING:
    from epitome_kit.sources.dicom_headers import Volume

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
    "burned_in": "BurnedInAnnotation",
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
"""Fields by which a contrast is judged."""

_HEAD = re.compile("HEAD|BRAIN|SKULL|NEURO|CRANI|CEREBR|ENCEPHAL|KOPF|SCHAEDEL|SCHADEL|GEHIRN|TETE|CABEZA|WHOLE ?BODY")
_OTHER_PARTS = re.compile(
    r"\b(?:[CTLS]+ ?SPINE|(?:CERVICAL|THORACIC|LUMBAR|SACRAL|WHOLE|TOTAL|FULL)? ?SPINE|[A-Z]*SPINE|NECK|ORBITS?|EYES?|"
    r"KNEES?|ABDOMEN|CHEST|THORAX|PELVIS|BREASTS?|PROSTATE|HEART|CARDIAC|LIVER|KIDNEYS?|SHOULDERS?|HIPS?|ANKLES?|"
    r"F(?:OO|EE)T|HANDS?|WRISTS?|ELBOWS?|[A-Z]*EXTREMITY|ARMS?|LEGS?|THIGHS?|CALF|FEMUR|TIBIA|HUMERUS|JAW|TMJ|FACE|"
    r"MAXILLA|MANDIBLE|SINUSE?S?|EARS?|IAC|LARYNX|PHARYNX|THYROID|PAROTID|TONGUE|UTERUS|CERVIX|BLADDER|RECTUM|"
    r"PANCREAS|LUNGS?|AORTA|SACRUM|COCCYX|CLAVICLE|STERNUM|RIBS?|FINGERS?|TOES?|HEEL|FOREARM|HWS|BWS|LWS|KNIE|"
    r"HALS|BECKEN|WIRBELSAEULE|SCHULTER|HUEFTE|FUSS|PHANTOM)\b"
)
_MISSING = ("", None)
_MAX_MISSING = 0.1
_MAX_VALUES = 12
_NESTED = ("ContrastBolusAgentSequence", "ContrastBolusUsageSequence", "ComplexImageComponent", "InversionTimes")
PHYSICS_TAGS = [*_PHYSICS.values(), *_NESTED]
"""Elements to read from a file."""

_NUMBERS = {name for name in _PHYSICS if name.endswith(("_ms", "_deg", "_t", "_mm", "_ml"))} | {"announced", "number"}


def read_physics(sources: Sequence[pydicom.Dataset]) -> Json:
    """Read how a scan was acquired.

    Parameters
    ----------
    sources : sequence of Dataset
        A header, and the data sets inside its functional groups.

    Returns
    -------
    dict
        Texts, ``""`` if missing, and numbers, None if missing.
    """
    physics: Json = {name: _plain(name, first_value(sources, keyword)) for name, keyword in _PHYSICS.items()}
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


def kind_of_frame(sources: Sequence[pydicom.Dataset]) -> str:
    """Return the words of an image type that an ordinary magnitude image does not have.

    Parameters
    ----------
    sources : sequence of Dataset
        Functional groups of the image first, then the header.

    Returns
    -------
    str
        Such as ``"PHASE"``, separated by backslashes; empty for a magnitude image.
    """
    types: list[object] = []
    for keyword in ("FrameType", "ComplexImageComponent"):
        value = first_value(sources, keyword)
        types += list(value) if isinstance(value, pydicom.multival.MultiValue) else [value] if value else []
    types = types or [*str(_plain("image_type", first_value(sources, "ImageType"))).split("\\")]
    words = {str(kind).strip().upper() for kind in types}
    return "\\".join(sorted(word for word in words if exclude_by_type({"ImageType": [word]})))


def _agent_text(item: pydicom.Dataset) -> str:
    """Return the name of a coded agent; ``yes`` if the code has no meaning in words."""
    name = item.get("CodeMeaning") or item.get("ContrastBolusAgent")
    return str(name).strip().replace("\\", " ") if name else "yes"


def _usage(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    """List the data sets that state whether an agent was given."""
    if "ContrastBolusAgentAdministered" in dataset:
        return [dataset]
    return list(dataset.get("ContrastBolusUsageSequence") or [])


def _says_yes(sources: Sequence[pydicom.Dataset], keyword: str) -> bool:
    return str(first_value(sources, keyword) or "").strip().upper() == "YES"


def inner_sets(groups: Iterable[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """List the data sets of the sequences inside functional groups.

    Parameters
    ----------
    groups : iterable of Dataset
        Functional groups.

    Returns
    -------
    list of Dataset
    """
    return [item for group in groups for element in group if element.VR == "SQ" for item in element.value]


def first_value(datasets: Iterable[pydicom.Dataset], keyword: str) -> Any:
    """Return an element from the first data set in which it is not empty.

    Parameters
    ----------
    datasets : iterable of Dataset
    keyword : str
        DICOM keyword of the element.

    Returns
    -------
    object
        Its value; None if there is none.
    """
    for dataset in datasets:
        value = dataset.get(keyword)
        if value is not None and value != "":
            return value
    return None


def _plain(name: str, value: Any) -> object:
    if name == "pixel_mm":
        return as_numbers(value, 2)
    if name in _NUMBERS:
        return as_number(value)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, pydicom.multival.MultiValue) else str(value).strip()


def as_numbers(values: Iterable[object] | None, length: int) -> tuple[float, ...] | None:
    """Convert values to finite numbers.

    Parameters
    ----------
    values : iterable or None
        The values.
    length : int
        Required number of values.

    Returns
    -------
    tuple of float or None
        None if a value is missing or not a number.
    """
    numbers = [as_number(value) for value in values or ()]
    finite = tuple(number for number in numbers if number is not None)
    return finite if len(finite) == len(numbers) == length else None


def find_variation(headers: Sequence[Json]) -> dict[str, list[Json]]:
    """Find the fields in which the images of one volume disagree about its contrast.

    Parameters
    ----------
    headers : sequence of dict
        Fields of each image, as returned by :func:`read_physics`.

    Returns
    -------
    dict of str to list
        Alternative fields to judge by, one dict per value, by DICOM keyword. A value that
        fewer than one image in ten lacks counts as present in all; of numbers, the
        smallest and the largest are listed.
    """
    varied = {}
    for name in _JUDGED:
        counts = Counter(header[name] for header in headers)
        missing = sum(count for value, count in counts.items() if value in _MISSING)
        values = [value for value in counts if value not in _MISSING]
        if missing > _MAX_MISSING * len(headers) and values:
            values.append("" if isinstance(values[0], str) else None)
        if name in _NUMBERS:
            numbers = sorted(value for value in values if value is not None)
            values = [*dict.fromkeys(numbers[:1] + numbers[-1:]), *([None] if None in values else [])]
        if len(values) > 1 or values and values[0] != headers[0][name]:
            varied[_PHYSICS[name]] = [{name: value} for value in values[:_MAX_VALUES]]
    return varied


def overrule(volume: "Volume", contrast: str, evidence: str) -> tuple[str | None, str]:
    """Check the judgement of a volume against the body part and the inversion pulse.

    Parameters
    ----------
    volume : Volume
    contrast : str
        One of :data:`epitome_kit.contrast_table.CONTRASTS`.
    evidence : str
        What the contrast rests on.

    Returns
    -------
    contrast : str or None
        Unchanged, ``"other"`` for another body part, or None if undetermined.
    evidence : str
        Unchanged, or the reason for the change.
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
