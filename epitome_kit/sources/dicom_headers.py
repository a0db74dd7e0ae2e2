"""DICOM headers: every file of a folder, gathered into volumes of one echo and one orientation."""

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from epitome_kit.claims import MOST_VOXELS
from epitome_kit.progress import for_each

FEWEST_SLICES = 4
"""A volume with fewer is no scan of a head."""

_MOST_SLICES = 100_000
_GAP = 1.5
_SAME_PLACE_MM = 0.01
_SAME_ECHO = 1.02
_NAMELESS = {"", "anon", "anonymous", "anonymized", "anonymised", "none", "unknown", "0"}
_PHYSICS = {
    "modality": "Modality",
    "image_type": "ImageType",
    "description": "SeriesDescription",
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
    "angio": "AngioFlag",
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
_PLACE = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
    "rows": "Rows",
    "columns": "Columns",
    "frames": "NumberOfFrames",
    "echo": "EchoTime",
    "orientation": "ImageOrientationPatient",
    "position": "ImagePositionPatient",
}
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_TAGS = [*_PHYSICS.values(), *_PLACE.values(), *_GROUPS]
_NUMBERS = {name for name in _PHYSICS if name.endswith(("_ms", "_deg", "_t", "_mm", "_ml"))} | {"announced", "number"}


@dataclass(frozen=True)
class Volume:
    """Images of one series with one echo time and one orientation.

    Attributes
    ----------
    patient, study, series : str
        As the header has them: never to be written anywhere.
    echo_ms : float or None
    files : tuple of Path
    instances : tuple of str
        Identifier of each image.
    positions_mm : tuple of float or None
        Places of the slices along their normal, sorted; None where the header
        does not give each of them.
    slices : int
    physics : dict
        What the first header says of the scan, by the names of this module.
    size : tuple of int
        Rows and columns.
    """

    patient: str
    study: str
    series: str
    echo_ms: float | None
    files: tuple
    instances: tuple
    positions_mm: tuple | None
    slices: int
    physics: dict
    size: tuple

    @property
    def title(self):
        """Name for reports, such as ``"series 4"``; descriptions can hold names of people."""
        number = self.physics["number"]
        return "a series without number" if number is None else f"series {number:.0f}"

    @cached_property
    def step_mm(self):
        """Distance between neighbouring slices, in mm; None where unknown."""
        if self.positions_mm and len(self.positions_mm) > 1:
            return float(np.median(np.diff(self.positions_mm)))
        return self.physics["between_mm"] or self.physics["thickness_mm"]

    @cached_property
    def fault(self):
        """Why no sound image can be made of the volume: what was expected and what came; None where one can."""
        if self.slices < FEWEST_SLICES:
            return f"at least {FEWEST_SLICES} slices", f"{self.slices} in {self.title}"
        if math.prod((*self.size, self.slices)) > MOST_VOXELS:
            return f"at most {MOST_VOXELS} voxels", f"{self.slices} slices of {self.size} in {self.title}"
        if self.positions_mm is None:
            return None
        steps = np.diff(self.positions_mm)
        again = np.count_nonzero(steps < _SAME_PLACE_MM)
        if again:
            return "one image a place", f"{again} more in {self.title}"
        gaps = np.flatnonzero(steps > _GAP * self.step_mm)
        if len(gaps) == 0:
            return None
        missing = sum(max(1, round(steps[gap] / self.step_mm) - 1) for gap in gaps)
        return (
            "slices without a gap",
            f"{missing} of {self.slices + missing} missing in {self.title}, the first after slice {gaps[0] + 1}: "
            f"{steps[gaps[0]]:.1f} mm where {self.step_mm:.1f} mm is usual",
        )


def read_volumes(source, *, workers=1):
    """Read every header below a folder and gather the images into volumes.

    Files that are no DICOM are passed over, and so are copies of an image. An
    image whose header names nobody belongs to the folder directly below `source`.

    Parameters
    ----------
    source : path
    workers : int, default=1
        Number of processes.

    Returns
    -------
    volumes : list of Volume
        In the order of patient, study date, series number and echo time.
    damaged : int
        Number of DICOM files whose header could not be read.
    """
    source = Path(source)
    files = sorted(path for path in source.rglob("*") if path.is_file() and _looks_like_dicom(path))
    headers = for_each(_read_header, files, title="Reading headers", workers=workers)
    echoes = _same_echoes(filter(None, headers))
    groups, seen = defaultdict(list), set()
    for path, header in zip(files, headers, strict=True):
        if header is None or header["series"] is None or header["instance"] in seen:
            continue
        seen.add(header["instance"])
        named = header["patient"] not in _NAMELESS and header["patient"].lower() not in _NAMELESS
        patient = header["patient"] if named else path.relative_to(source).parts[0]
        for echo, orientation, places in header["stacks"]:
            echo = echoes[header["series"]].get(echo)
            key = (patient, header["study"], header["series"], echo, orientation, header["size"])
            groups[key].append((path, header, places))
    volumes = [_volume(key, images) for key, images in groups.items()]
    return sorted(volumes, key=_order), sum(header is None for header in headers)


def _same_echoes(headers):
    """Map the echo times of each series to one another where they differ by a rounding alone."""
    times = defaultdict(set)
    for header in headers:
        times[header["series"]] |= {echo for echo, _, _ in header["stacks"] if echo}
    same = defaultdict(dict)
    for series, found in times.items():
        for echo in sorted(found):
            close = [other for other in same[series].values() if echo <= other * _SAME_ECHO]
            same[series][echo] = close[0] if close else echo
    return same


def _looks_like_dicom(path):
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _read_header(path):
    """Take what one file says of itself, in plain values; None where it cannot be read."""
    try:
        if pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return None  # nobody writes it, dcm2niix reads none, and a few bytes of it can become gigabytes
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        shared, frames = (dataset.get(name) or [] for name in _GROUPS)
        sources = [dataset, *_inner(shared[:1]), *_inner(frames[:1])]
        physics = {name: _plain(name, _first(sources, keyword)) for name, keyword in _PHYSICS.items()}
        header = {name: _first(sources, keyword) for name, keyword in _PLACE.items()}
        stacks = defaultdict(list)
        for frame in [_inner([frame]) for frame in frames] or [[]]:
            values = [*frame, *sources]
            echo = _number(_first(values, "EffectiveEchoTime") or _first(values, "EchoTime"))
            orientation = _numbers(_first(values, "ImageOrientationPatient"), 6)
            place = _numbers(_first(values, "ImagePositionPatient"), 3)
            stacks[echo, _rounded(orientation)].append(_along(orientation, place))
        if not frames and int(header["frames"] or 1) > 1:
            stacks = {key: [None] * min(int(header["frames"]), _MOST_SLICES) for key in stacks}
        size = int(header["rows"] or 0), int(header["columns"] or 0)
    except Exception:  # a damaged file can raise anything in its reader
        return None
    return {
        **{name: None if header[name] is None else str(header[name]) for name in ("study", "series", "instance")},
        "patient": str(header["patient"] or "").strip(),
        "physics": physics,
        "size": size,
        "stacks": [(*key, places) for key, places in stacks.items()],
    }


def _inner(groups):
    """List the data sets of the sequences inside functional groups."""
    return [item for group in groups for element in group if element.VR == "SQ" for item in element.value]


def _first(datasets, keyword):
    for dataset in datasets:
        value = dataset.get(keyword)
        if value is not None and value != "":
            return value
    return None


def _plain(name, value):
    if name == "pixel_mm":
        return _numbers(value, 2)
    if name in _NUMBERS:
        return _number(value)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, pydicom.multival.MultiValue) else str(value).strip()


def _number(value):
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _numbers(values, length):
    numbers = tuple(map(_number, values or ()))
    return numbers if len(numbers) == length and None not in numbers else None


def _rounded(orientation):
    return orientation and tuple(round(value, 2) + 0.0 for value in orientation)


def _along(orientation, place):
    """Place of a slice along its normal, in mm."""
    if orientation is None or place is None:
        return None
    return float(np.cross(orientation[:3], orientation[3:]) @ np.array(place))


def _volume(key, images):
    patient, study, series, echo, _, size = key
    places = [place for _, _, found in images for place in found]
    files = sorted((path for path, _, _ in images), key=str)
    return Volume(
        patient,
        study,
        series,
        echo,
        tuple(files),
        tuple(sorted(header["instance"] for _, header, _ in images)),
        None if None in places else tuple(sorted(places)),
        len(places),
        images[0][1]["physics"],
        size,
    )


def _order(volume):
    number = volume.physics["number"]
    return (
        volume.patient,
        volume.physics["date"],
        volume.study or "",
        math.inf if number is None else number,
        volume.series,
        volume.echo_ms or 0,
        -volume.slices,
    )
