"""DICOM images gathered into volumes: one person, one series, one echo, one orientation and one type each."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from epitome_kit.sources.dicom_exams import drop_copies
from epitome_kit.sources.dicom_files import find_headers
from epitome_kit.sources.dicom_geometry import find_fault
from epitome_kit.sources.dicom_names import names_nobody
from epitome_kit.sources.dicom_physics import vary

_SAME_ECHO = 1.02
_SAME_DIRECTION = 0.01


@dataclass(frozen=True, eq=False)
class Volume:
    """Images of one series with one echo time, one orientation and one type.

    Attributes
    ----------
    patient : str
        Name of the person in the origin: never to be written anywhere.
    study, series : str
        As the header has them: never to be written anywhere.
    echo_ms : float or None
    files : tuple of Path
    instances : tuple of str
        Identifier of each image.
    orientation : tuple of float or None
        Directions of rows and columns, as the header of the first image has them.
    places_mm : tuple of (float, float, float) or None
        Where each slice begins, sorted along their normal; None where the header
        does not give each of them.
    pixels_mm : tuple
        Each size of pixels that the headers give, rows first; None among them where
        one gives none.
    slices : int
    physics : dict
        What the first header says of the scan, by the names of this module.
    size : tuple of int
        Rows and columns.
    varied : dict of str to list
        What its images say differently, see :func:`epitome_kit.sources.dicom_physics.vary`.
    """

    patient: str
    study: str
    series: str
    echo_ms: float | None
    files: tuple
    instances: tuple
    orientation: tuple | None
    places_mm: tuple | None
    pixels_mm: tuple
    slices: int
    physics: dict
    size: tuple
    varied: dict = field(default_factory=dict)

    @property
    def title(self):
        """Name for reports, such as ``"series 4"``; descriptions can hold names of people."""
        number = self.physics["number"]
        return "a series without number" if number is None else f"series {number:.0f}"

    @cached_property
    def positions_mm(self):
        """Places of the slices along their normal, in mm; None where unknown."""
        if self.places_mm is None:
            return None
        return tuple(np.array(self.places_mm) @ _normal(self.orientation))

    @cached_property
    def step_mm(self):
        """Distance between neighbouring slices, in mm; None where unknown."""
        if self.positions_mm and len(self.positions_mm) > 1:
            return float(np.median(np.diff(self.positions_mm)))
        return self.physics["between_mm"] or self.physics["thickness_mm"]

    @cached_property
    def fault(self):
        """Why no sound image can be made of the volume: what was expected and what came; None where one can."""
        return find_fault(self)


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
    found = find_headers(source, workers=workers)
    people = defaultdict(list)
    for header in found.headers:
        nobody = names_nobody(header["patient"])
        people[header["path"].relative_to(source).parts[0] if nobody else header["patient"]].append(header)
    volumes = [volume for name, headers in people.items() for volume in gather(name, drop_copies(headers))]
    return sorted(volumes, key=_order), len(found.damaged)


def gather(name, headers):
    """Gather the images of one person into volumes.

    Parameters
    ----------
    name : str
        Of the person.
    headers : list of dict
        From :func:`epitome_kit.sources.dicom_files.find_headers`, without copies.

    Returns
    -------
    list of Volume
        In the order of study date, series number and echo time.
    """
    echoes = _alike(headers, 0, lambda first, second: abs(first - second) <= (_SAME_ECHO - 1) * min(first, second))
    directions = _alike(headers, 1, lambda *both: np.abs(np.subtract(*both)).max() <= _SAME_DIRECTION)
    groups = defaultdict(list)
    for header in headers:
        for echo, orientation, kind, places in header["stacks"]:
            same = echoes[header["series"]].get(echo), directions[header["series"]].get(orientation), kind
            groups[header["study"], header["series"], *same, header["size"]].append((header, places))
    return sorted((_volume(name, key, images) for key, images in groups.items()), key=_order)


def _alike(headers, place, same):
    """Map the values of each series to the first that is the same but for a rounding."""
    values = defaultdict(dict)
    for header in headers:
        values[header["series"]] |= {stack[place]: None for stack in header["stacks"] if stack[place]}
    alike = {}
    for series, found in values.items():
        first = alike[series] = {}
        for value in sorted(found):
            close = [other for other in dict.fromkeys(first.values()) if same(other, value)]
            first[value] = close[0] if close else value
    return alike


def _normal(orientation):
    return np.cross(orientation[:3], orientation[3:])


def _volume(name, key, images):
    study, series, echo, orientation, kind, size = key
    places = [place for _, found in images for place in found]
    whole = orientation is not None and None not in places
    if whole:
        normal = _normal(orientation)
        places = sorted(places, key=lambda place: (float(normal @ np.array(place)), place))
    headers = [_with_type(header["physics"], kind) for header, _ in images]
    varied = vary(headers)
    return Volume(
        name,
        study,
        series,
        echo,
        tuple(sorted({header["path"] for header, _ in images}, key=str)),
        tuple(sorted(header["instance"] or "" for header, _ in images)),
        orientation,
        tuple(places) if whole else None,
        tuple(dict.fromkeys(header["physics"]["pixel_mm"] for header, _ in images)),
        len(places),
        {**headers[0], **{name: value for few in varied.values() for name, value in few[0].items()}},
        size,
        varied,
    )


def _with_type(physics, kind):
    """Add the type of an image of an enhanced object to what its header says."""
    said = physics["image_type"].upper().split("\\")
    more = [word for word in kind.split("\\") if word and word not in said]
    return {**physics, "image_type": "\\".join([*filter(None, [physics["image_type"]]), *more])} if more else physics


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
