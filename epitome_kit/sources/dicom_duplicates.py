"""Find subjects of a DICOM import that may be one person under two PatientIDs."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from epitome_kit.sources.dicom_exams import pixels_of
from epitome_kit.sources.dicom_files import Header
from epitome_kit.sources.dicom_names import Facts, contradictions, is_full_date, read_facts

_PLACE_DECIMALS = 2
_MAX_SHOWN = 5


def find_possible_duplicates(people: Mapping[str, Sequence[Header]]) -> list[tuple[list[str], str]]:
    """Find subjects that may be the same person because their headers or their voxels agree.

    Parameters
    ----------
    people : dict of str to list of Header
        Headers by name in the cohort.

    Returns
    -------
    list of (list of str, str)
        Names, and what they share: name, birth date and sex, if all are stated; the
        voxels of a series; or a PatientID in two spellings, if nothing contradicts it.
    """
    facts = {name: {read_facts(header) for header in headers} for name, headers in people.items()}
    found: dict[tuple, list[str]] = {}
    for name, stated in facts.items():
        for fact in stated:
            if fact.words and fact.sex and is_full_date(fact.birth):
                found.setdefault(("birth date, sex and name", fact.words, fact.sex, fact.birth), []).append(name)
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


def describe_duplicates(people: Mapping[str, Sequence[Header]]) -> tuple[dict[str, list[str]], list[str]]:
    """Describe for each subject with which others it may be the same person.

    Parameters
    ----------
    people : dict of str to list of Header
        See :func:`find_possible_duplicates`.

    Returns
    -------
    notes : dict of str to list of str
        By name in the cohort.
    sentences : list of str
        The same notes, each once.
    """
    notes: dict[str, list[str]] = defaultdict(list)
    sentences: list[str] = []
    for names, what in find_possible_duplicates(people):
        more = len(names) - _MAX_SHOWN + 1
        shown = names if len(names) <= _MAX_SHOWN else [*names[: _MAX_SHOWN - 1], f"{more} more"]
        sentences.append(f"{', '.join(shown[:-1])} and {shown[-1]} may be one person: same {what}")
        for name in names:
            notes[name].append(sentences[-1])
    return dict(notes), sentences


def _contradict(names: Iterable[str], facts: Mapping[str, Iterable[Facts]]) -> bool:
    return any(
        contradictions(one, other, named=False)
        for first, second in combinations(names, 2)
        for one in facts[first]
        for other in facts[second]
    )


def _by_voxels(people: Mapping[str, Sequence[Header]]) -> dict[tuple[str, ...], list[str]]:
    """Group names by the pixels of two slices of a series; read only if slices of two people lie at one position."""
    places: dict[tuple, list[tuple[str, list[Header]]]] = defaultdict(list)
    for name, headers in people.items():
        series = defaultdict(list)
        for header in headers:
            if 0 not in header["size"]:
                series[header["series"], header["size"]].append(header)
        for (_, size), images in series.items():
            images = sorted(images, key=_key)
            picked = [images[len(images) // 2], images[len(images) // 3]] if len(images) > 2 else images[:1]
            places[size, len(images), *map(_key, picked)].append((name, picked))
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for same_place in places.values():
        if len({name for name, _ in same_place}) < 2:
            continue
        for name, picked in same_place:
            digests = tuple(digest for header in picked if (digest := pixels_of(header)))
            if len(digests) == len({*digests}) == len(picked):
                found[digests].append(name)
    return found


def _key(header: Header) -> tuple[float, ...]:
    """Return echo time and position of the first slice of a file, as a sort key."""
    echo, _, _, places = header["stacks"][0]
    place = places[0]
    return (echo or 0, *(np.round(place, _PLACE_DECIMALS).tolist() if place else ()))
