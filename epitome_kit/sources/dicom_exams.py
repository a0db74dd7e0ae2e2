"""Group DICOM headers into exams, and compare the images that several exams share."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from epitome_kit.files import PathLike
from epitome_kit.sources.dicom_files import Header, digest_pixels
from epitome_kit.sources.dicom_names import Facts, is_placeholder, read_facts


class Exam(NamedTuple):
    """Headers of one study in one folder that agree about the person.

    Attributes
    ----------
    patient : str
        PatientID.
    named : bool
        Whether the PatientID identifies a person rather than being a placeholder.
    study : str or None
        StudyInstanceUID.
    folder : str
        Folder directly below the source; empty for files in the source itself.
    facts : Facts
        What the headers state about the person.
    headers : list of Header
    frames : set of str
        Frames of reference.
    """

    patient: str
    named: bool
    study: str | None
    folder: str
    facts: Facts
    headers: list[Header]
    frames: set[str]


class Shared(NamedTuple):
    """Images with the same identifier in several exams, counted by pairs of exams.

    Attributes
    ----------
    same : Counter of (int, int)
        Number of images with equal pixels.
    clash : Counter of (int, int)
        Number of images with different pixels.
    """

    same: Counter[tuple[int, int]]
    clash: Counter[tuple[int, int]]


def gather_exams(headers: Iterable[Header], source: PathLike) -> list[Exam]:
    """Group headers into exams.

    Parameters
    ----------
    headers : list of Header
        From :func:`epitome_kit.sources.dicom_files.find_headers`.
    source : path
        Folder of the files.

    Returns
    -------
    list of Exam
    """
    patients = {header["patient"] for header in headers}
    named = {patient: not is_placeholder(patient, patients) for patient in patients}
    exams: dict[tuple, Exam] = {}
    for header in headers:
        parts = header["path"].relative_to(source).parts
        folder = parts[0] if len(parts) > 1 else ""
        facts = read_facts(header)
        key = (header["patient"], header["study"], folder, facts.words, facts.sex, facts.birth)
        if key not in exams:
            exams[key] = Exam(header["patient"], named[header["patient"]], header["study"], folder, facts, [], set())
        exams[key].headers.append(header)
        if header["frame"] is not None:
            exams[key].frames.add(header["frame"])
    return list(exams.values())


def compare_images(exams: Sequence[Exam]) -> Shared:
    """Find images with the same identifier in several exams, and compare their pixels.

    Parameters
    ----------
    exams : sequence of Exam

    Returns
    -------
    Shared
    """
    places: dict[str, list[tuple[int, Header]]] = defaultdict(list)
    for index, exam in enumerate(exams):
        for header in exam.headers:
            if header["instance"]:
                places[header["instance"]].append((index, header))
    shared = Shared(Counter(), Counter())
    for found in places.values():
        if len({index for index, _ in found}) < 2:
            continue
        pairs: dict[tuple[int, int], bool] = {}
        for (first, one), (second, other) in combinations(found, 2):
            if first != second:
                pair = min(first, second), max(first, second)
                pairs[pair] = pairs.get(pair, False) or _same_pixels(one, other)
        for pair, same in pairs.items():
            (shared.same if same else shared.clash)[pair] += 1
    for pair in shared.same:
        shared.clash.pop(pair, None)
    return shared


def drop_copies(headers: Iterable[Header]) -> list[Header]:
    """Remove copies of an image: those with the same identifier and equal or truncated pixels.

    Parameters
    ----------
    headers : list of Header
        Headers of one person.

    Returns
    -------
    list of Header
        Images with the same identifier and different pixels are all kept.
    """
    found: dict[str | int, list[Header]] = defaultdict(list)
    for index, header in enumerate(headers):
        found[header["instance"] or index].append(header)
    kept: list[Header] = []
    for images in found.values():
        if len(images) == 1:
            kept += images
            continue
        pixels: dict[str | None, Header] = {}
        for header in images:
            pixels.setdefault(pixels_of(header), header)
        whole = [header for digest, header in pixels.items() if digest]
        kept += whole or images[:1]
    return kept


def _same_pixels(first: Header, second: Header) -> bool:
    """Return whether two images with one identifier are equal, as far as their pixels can be read."""
    if first["size"] != second["size"]:
        return False
    digests = {pixels_of(first), pixels_of(second)}
    return len(digests) == 1 or None in digests


def pixels_of(header: Header) -> str | None:
    """Compute the digest of an image's pixels; its file is read only once.

    Parameters
    ----------
    header : Header
        The digest is kept in it.

    Returns
    -------
    str or None
        See :func:`epitome_kit.sources.dicom_files.digest_pixels`.
    """
    if "pixels" not in header:
        header["pixels"] = digest_pixels(header["path"])
    return header["pixels"]
