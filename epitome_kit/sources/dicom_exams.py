"""Exams: DICOM headers of one study that say the same of a person; and images that are in several of them."""

from collections import Counter, defaultdict
from itertools import combinations
from typing import NamedTuple

from epitome_kit.sources.dicom_files import digest_pixels
from epitome_kit.sources.dicom_names import Facts, names_nobody, read_facts


class Exam(NamedTuple):
    """Headers of one study in one folder that say the same of a person.

    Attributes
    ----------
    patient : str
        PatientID.
    named : bool
        Whether the PatientID names anybody.
    study : str or None
    folder : str
        The folder directly below the origin; empty for files in the origin itself.
    facts : Facts
    headers : list of dict
    frames : set of str
        Frames of reference.
    """

    patient: str
    named: bool
    study: str | None
    folder: str
    facts: Facts
    headers: list
    frames: set


class Shared(NamedTuple):
    """Images of several exams that have one identifier.

    Attributes
    ----------
    same : Counter of (int, int)
        Pairs of exams to the number of images whose pixels are equal as well.
    clash : Counter of (int, int)
        Pairs of exams to the number of images whose pixels differ.
    """

    same: Counter
    clash: Counter


def gather_exams(headers, source):
    """Gather headers into exams.

    Parameters
    ----------
    headers : list of dict
        From :func:`epitome_kit.sources.dicom_files.find_headers`.
    source : path
        The folder that they come from.

    Returns
    -------
    list of Exam
    """
    patients = {header["patient"] for header in headers}
    named = {patient: not names_nobody(patient, patients) for patient in patients}
    exams = {}
    for header in headers:
        parts = header["path"].relative_to(source).parts
        folder = parts[0] if len(parts) > 1 else ""
        facts = read_facts(header)
        key = (header["patient"], header["study"], folder, facts.words, facts.sex, facts.birth)
        if key not in exams:
            exams[key] = Exam(header["patient"], named[header["patient"]], header["study"], folder, facts, [], set())
        exams[key].headers.append(header)
        exams[key].frames.update({header["frame"]} - {None})
    return list(exams.values())


def compare_images(exams):
    """Find the images that have one identifier in several exams, and compare their pixels.

    Parameters
    ----------
    exams : list of Exam

    Returns
    -------
    Shared
    """
    places = defaultdict(list)
    for index, exam in enumerate(exams):
        for header in exam.headers:
            if header["instance"]:
                places[header["instance"]].append((index, header))
    shared = Shared(Counter(), Counter())
    for found in places.values():
        if len({index for index, _ in found}) < 2:
            continue
        pairs = {}
        for (first, one), (second, other) in combinations(found, 2):
            if first != second:
                pair = min(first, second), max(first, second)
                pairs[pair] = pairs.get(pair, False) or _same_pixels(one, other)
        for pair, same in pairs.items():
            (shared.same if same else shared.clash)[pair] += 1
    for pair in shared.same:
        shared.clash.pop(pair, None)
    return shared


def drop_copies(headers):
    """Leave out copies of an image: one identifier and equal pixels, or pixels that are not whole.

    Parameters
    ----------
    headers : list of dict
        Of one person.

    Returns
    -------
    list of dict
        Images of one identifier whose pixels differ are all kept.
    """
    found = defaultdict(list)
    for index, header in enumerate(headers):
        found[header["instance"] or index].append(header)
    kept = []
    for images in found.values():
        if len(images) == 1:
            kept += images
            continue
        pixels = {}
        for header in images:
            pixels.setdefault(pixels_of(header), header)
        whole = [header for digest, header in pixels.items() if digest]
        kept += whole or images[:1]
    return kept


def _same_pixels(first, second):
    """Whether two images of one identifier are equal, as far as their pixels can be read."""
    if first["size"] != second["size"]:
        return False
    digests = {pixels_of(first), pixels_of(second)}
    return len(digests) == 1 or None in digests


def pixels_of(header):
    """Tell the pixels of an image from any others, reading its file once.

    Parameters
    ----------
    header : dict
        From :func:`epitome_kit.sources.dicom_files.find_headers`.

    Returns
    -------
    str or None
        See :func:`epitome_kit.sources.dicom_files.digest_pixels`.
    """
    if "pixels" not in header:
        header["pixels"] = digest_pixels(header["path"])
    return header["pixels"]
