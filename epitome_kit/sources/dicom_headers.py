"""Group DICOM images into volumes by person, series, echo time, orientation and image type."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from epitome_kit.files import Json, PathLike
from epitome_kit.sources.dicom_exams import drop_copies
from epitome_kit.sources.dicom_files import Header, Place, find_headers
from epitome_kit.sources.dicom_geometry import find_defect
from epitome_kit.sources.dicom_names import is_placeholder
from epitome_kit.sources.dicom_physics import find_variation

_Value = TypeVar("_Value", float, tuple[float, ...])
_Key = tuple[str | None, str | None, float | None, tuple[float, ...] | None, str, tuple[int, int]]
"""Study, series, echo time in ms, orientation, type and size of the images of one volume."""

_MAX_ECHO_DIFFERENCE = 0.02
_MAX_DIRECTION_DIFFERENCE = 0.01


@dataclass(frozen=True, eq=False)
class Volume:
    """Images of one series with one echo time, one orientation and one type.

    Attributes
    ----------
    patient : str
        Name of the person in the source; must never be written to a file.
    study, series : str or None
        Identifiers from the header; must never be written to a file.
    echo_ms : float or None
        Echo time.
    files : tuple of Path
    instances : tuple of str
        Identifier of each image.
    orientation : tuple of float or None
        Directions of rows and columns in the header of the first image.
    places_mm : tuple of (float, float, float) or None
        Position of each slice, sorted along the slice normal; None if any is missing.
    pixels_mm : tuple of (float, float) or None
        Each pixel size in the headers, rows first; None stands for a missing one.
    slices : int
        Number of slices.
    physics : dict
        Fields of the first header, see :func:`epitome_kit.sources.dicom_physics.read_physics`.
    size : tuple of int
        Rows and columns.
    varied : dict of str to list
        Fields in which its images disagree, see
        :func:`epitome_kit.sources.dicom_physics.find_variation`.
    """

    patient: str
    study: str | None
    series: str | None
    echo_ms: float | None
    files: tuple[Path, ...]
    instances: tuple[str, ...]
    orientation: tuple[float, ...] | None
    places_mm: tuple[Place, ...] | None
    pixels_mm: tuple[tuple[float, float] | None, ...]
    slices: int
    physics: Json
    size: tuple[int, int]
    varied: dict[str, list[Json]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name for reports, such as ``"series 4"``; descriptions may contain names of persons."""
        return series_title(self.physics)

    @cached_property
    def positions_mm(self) -> tuple[float, ...] | None:
        """Position of each slice along the slice normal, in mm; None if unknown."""
        if self.places_mm is None or self.orientation is None:
            return None
        return tuple(np.array(self.places_mm) @ _normal(self.orientation))

    @cached_property
    def step_mm(self) -> float | None:
        """Median distance between neighbouring slices, in mm; None if unknown."""
        if self.positions_mm and len(self.positions_mm) > 1:
            return float(np.median(np.diff(self.positions_mm)))
        return self.physics["between_mm"] or self.physics["thickness_mm"]

    @cached_property
    def defect(self) -> tuple[str, str] | None:
        """Why the volume cannot be converted: what was expected and what was received; None if it can."""
        return find_defect(self)


def burned_in(volumes: Iterable[Volume]) -> str:
    """State that text may be drawn into the pixels of volumes, by ``BurnedInAnnotation``.

    Parameters
    ----------
    volumes : iterable of Volume

    Returns
    -------
    str
        One clause that names the series by number; empty if no header says so.
    """
    marked = [volume.title for volume in volumes if volume.physics["burned_in"].strip().upper() == "YES"]
    says = "BurnedInAnnotation is YES: text, such as a name, may be drawn into the picture"
    return f"{says} of {' and '.join(dict.fromkeys(marked))}" if marked else ""


def series_title(physics: Json) -> str:
    """Name a series for reports by its number."""
    number = physics["number"]
    return "a series without number" if number is None else f"series {number:.0f}"


def digest_volumes(volumes: Iterable[Volume], *names: str) -> str:
    """Compute a digest of volumes, which identifies them without naming them.

    Parameters
    ----------
    volumes : iterable of Volume
        Their image identifiers and echo times are hashed.
    *names : str
        Further text to hash.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    known = sorted(f"{instance} {volume.echo_ms}" for volume in volumes for instance in volume.instances)
    return hashlib.sha256("\n".join((*known, *names)).encode()).hexdigest()[:16]


def read_volumes(source: PathLike, *, workers: int = 1) -> tuple[list[Volume], int]:
    """Read every header below a folder and group the images into volumes.

    Other files are skipped, and so are copies of an image. An image without a PatientID is
    assigned to the folder directly below `source`.

    Parameters
    ----------
    source : path
        Folder of DICOM files.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    volumes : list of Volume
        Sorted by patient, study date, series number and echo time.
    damaged : int
        Number of DICOM files whose header could not be read.
    """
    source = Path(source)
    found = find_headers(source, workers=workers)
    people = defaultdict(list)
    for header in found.headers:
        anonymous = is_placeholder(header["patient"])
        people[header["path"].relative_to(source).parts[0] if anonymous else header["patient"]].append(header)
    volumes = [volume for name, headers in people.items() for volume in gather(name, drop_copies(headers))]
    return sorted(volumes, key=_order), len(found.damaged)


def gather(name: str, headers: Sequence[Header]) -> list[Volume]:
    """Group the images of one person into volumes.

    Parameters
    ----------
    name : str
        Name of the person.
    headers : sequence of Header
        From :func:`epitome_kit.sources.dicom_files.find_headers`, without copies.

    Returns
    -------
    list of Volume
        Sorted by study date, series number and echo time.
    """
    echoes: dict[str | None, set[float]] = defaultdict(set)
    directions: dict[str | None, set[tuple[float, ...]]] = defaultdict(set)
    for header in headers:
        echoes[header["series"]] |= {echo for echo, *_ in header["stacks"] if echo}
        directions[header["series"]] |= {direction for _, direction, *_ in header["stacks"] if direction}
    same_echo = {series: _merge_rounded(values, _is_same_echo) for series, values in echoes.items()}
    same_direction = {series: _merge_rounded(values, _is_same_direction) for series, values in directions.items()}
    groups: dict[_Key, list[tuple[Header, list[Place | None]]]] = defaultdict(list)
    for header in headers:
        series = header["series"]
        for echo, direction, kind, places in header["stacks"]:
            echo = same_echo[series][echo] if echo else None
            direction = same_direction[series][direction] if direction else None
            groups[header["study"], series, echo, direction, kind, header["size"]].append((header, places))
    return sorted((_volume(name, key, images) for key, images in groups.items()), key=_order)


def _is_same_echo(one: float, other: float) -> bool:
    return abs(one - other) <= _MAX_ECHO_DIFFERENCE * min(one, other)


def _is_same_direction(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return bool(np.abs(np.subtract(one, other)).max() <= _MAX_DIRECTION_DIFFERENCE)


def _merge_rounded(values: Iterable[_Value], is_same: Callable[[_Value, _Value], bool]) -> dict[_Value, _Value]:
    """Map each value to the smallest one that differs by rounding only."""
    merged: dict[_Value, _Value] = {}
    for value in sorted(values):
        merged[value] = next((other for other in merged.values() if is_same(other, value)), value)
    return merged


def _normal(orientation: Sequence[float]) -> np.ndarray:
    return np.cross(orientation[:3], orientation[3:])


def _volume(name: str, key: _Key, images: Sequence[tuple[Header, list[Place | None]]]) -> Volume:
    study, series, echo, orientation, kind, size = key
    stated = [place for _, places in images for place in places]
    places = None if None in stated else [place for place in stated if place is not None]
    if places is not None and orientation is not None:
        normal = _normal(orientation)
        places.sort(key=lambda place: (float(normal @ np.array(place)), place))
    headers = [_with_type(header["physics"], kind) for header, _ in images]
    varied = find_variation(headers)
    return Volume(
        name,
        study,
        series,
        echo,
        tuple(sorted({header["path"] for header, _ in images}, key=str)),
        tuple(sorted(header["instance"] or "" for header, _ in images)),
        orientation,
        tuple(places) if places is not None and orientation is not None else None,
        tuple(dict.fromkeys(header["physics"]["pixel_mm"] for header, _ in images)),
        len(stated),
        {**headers[0], **{name: value for few in varied.values() for name, value in few[0].items()}},
        size,
        varied,
    )


def _with_type(physics: Json, kind: str) -> Json:
    """Add the type of a frame of an enhanced object to the image type of its header."""
    stated = physics["image_type"].upper().split("\\")
    more = [word for word in kind.split("\\") if word and word not in stated]
    return {**physics, "image_type": "\\".join([*filter(None, [physics["image_type"]]), *more])} if more else physics


def _order(volume: Volume) -> tuple[str, str, str, float, str, float, int]:
    number = volume.physics["number"]
    return (
        volume.patient,
        volume.physics["date"],
        volume.study or "",
        math.inf if number is None else number,
        volume.series or "",
        volume.echo_ms or 0,
        -volume.slices,
    )
