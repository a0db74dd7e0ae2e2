"""Subjects of a DICOM import that may be one person under two PatientIDs."""

import re
from collections import defaultdict
from itertools import combinations

import numpy as np

from epitome_kit.sources.dicom_exams import pixels_of
from epitome_kit.sources.dicom_names import contradictions, is_whole, read_facts

_PLACE_DECIMALS = 2
_SHOWN = 5


def find_possible_duplicates(people):
    """Find people that may be one, by what their headers or their voxels share.

    Parameters
    ----------
    people : dict of str to list of dict
        Name in the cohort to headers, see
        :func:`epitome_kit.sources.dicom_files.find_headers`.

    Returns
    -------
    list of (list of str, str)
        Names, and what they share in words that name nobody: name, birth date and
        sex where all of them are stated; the voxels of a series; or a PatientID that
        is written in two ways where nothing else contradicts it.
    """
    facts = {name: {read_facts(header) for header in headers} for name, headers in people.items()}
    found = {}
    for name, stated in facts.items():
        for of in stated:
            if of.words and of.sex and is_whole(of.birth):
                found.setdefault(("birth date, sex and name", of.words, of.sex, of.birth), []).append(name)
        for patient in {header["patient"] for header in people[name]}:
            plain = re.sub(r"[\W_]+", "", patient.casefold())
            found.setdefault(("PatientID but for capitals and signs", plain), []).append(name)
    for key, names in _by_voxels(people).items():
        found[("voxels", key)] = names
    alike = defaultdict(list)
    for (what, *_), names in found.items():
        names = list(dict.fromkeys(names))
        if len(names) > 1 and not (what.startswith("PatientID") and _contradict(names, facts)):
            alike[tuple(names)].append(what)
    return [(list(names), " and same ".join(dict.fromkeys(what))) for names, what in alike.items()]


def describe_duplicates(people):
    """Say of each subject with whom it may be one person.

    Parameters
    ----------
    people : dict of str to list of dict
        As for :func:`find_possible_duplicates`.

    Returns
    -------
    notes : dict of str to list of str
        By name in the cohort.
    sentences : list of str
        The same, each once.
    """
    notes, sentences = defaultdict(list), []
    for names, what in find_possible_duplicates(people):
        shown = names if len(names) <= _SHOWN else [*names[: _SHOWN - 1], f"{len(names) - _SHOWN + 1} more"]
        sentences.append(f"{', '.join(shown[:-1])} and {shown[-1]} may be one person: same {what}")
        for name in names:
            notes[name].append(sentences[-1])
    return dict(notes), sentences


def _contradict(names, facts):
    return any(
        contradictions(one, other, named=False)
        for first, second in combinations(names, 2)
        for one in facts[first]
        for other in facts[second]
    )


def _by_voxels(people):
    """Names by the pixels of two slices of a series, read only where slices of two people lie at one place."""
    places = defaultdict(list)
    for name, headers in people.items():
        series = defaultdict(list)
        for header in headers:
            if 0 not in header["size"]:
                series[header["series"], header["size"]].append(header)
        for (_, size), images in series.items():
            images = sorted(images, key=_key)
            picked = [images[len(images) // 2], images[len(images) // 3]] if len(images) > 2 else images[:1]
            places[size, len(images), *map(_key, picked)].append((name, picked))
    found = defaultdict(list)
    for same_place in places.values():
        if len({name for name, _ in same_place}) < 2:
            continue
        for name, picked in same_place:
            digests = [pixels_of(header) for header in picked]
            if None not in digests and len({*digests}) == len(digests):
                found[tuple(digests)].append(name)
    return found


def _key(header):
    """Echo and place of the first slice of a file, to sort by."""
    echo, _, _, places = header["stacks"][0]
    place = places[0]
    return (echo or 0, *(np.round(place, _PLACE_DECIMALS).tolist() if place else ()))
