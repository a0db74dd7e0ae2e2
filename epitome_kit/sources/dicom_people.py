"""Who is who among DICOM exams: people told apart by all that headers, identifiers and folders say."""

from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from epitome_kit.errors import Reason
from epitome_kit.sources.dicom_exams import compare_images, gather_exams
from epitome_kit.sources.dicom_names import contradictions, is_whole

_NAMELESS = {"", "anon", "anonymous", "anonymized", "anonymised", "none", "unknown", "0"}
_WORDS = {
    "sex": "two sexes",
    "age": "birth dates or ages of two people",
    "name": "names of two people",
    "images": "different images with equal identifiers",
}
_ASK = "give each person a folder directly below SOURCE and import with --person-folders"


class Person(NamedTuple):
    """Images of one person.

    Attributes
    ----------
    name : str
        PatientID where it names one person, else the folder: never to be written anywhere.
    headers : list of dict
    notes : list of str
        What was noticed; names nobody.
    reason : str
        Why the person has to be left out; empty where all is well.
    twin : str
        Name of the person who has the same images; empty where there is none.
    shared : bool
        Whether the PatientID is that of several people, so that no table knows who is meant.
    """

    name: str
    headers: list
    notes: list
    reason: str = ""
    twin: str = ""
    shared: bool = False


def identify_people(headers, source, *, by_folder=False):
    """Tell the people of a folder of DICOM files apart.

    One PatientID that names somebody is one person, unless sex, age or birth date,
    name or the images themselves contradict it: then, where two of these agree, it is
    several people; where it is one, which may be an error of writing, nobody can tell.
    Images without such a PatientID are one person where they are of one study, or
    where name or birth date say so; else each folder directly below `source` is one
    person. Several studies in one such folder are several people where they
    contradict one another, else nobody can tell. One exam under two names is kept
    under the first.

    Parameters
    ----------
    headers : list of dict
        From :func:`epitome_kit.sources.dicom_files.find_headers`.
    source : path
        The folder that they come from.
    by_folder : bool, default=False
        Each folder directly below `source` is one person, whatever its headers say.

    Returns
    -------
    list of Person
        In the order of their names.
    """
    exams = gather_exams(headers, source)
    shared = compare_images(exams)
    if by_folder:
        groups = defaultdict(list)
        for index, exam in enumerate(exams):
            groups[exam.folder].append(index)
        people = [_by_folder(folder, group, exams, shared) for folder, group in groups.items()]
    else:
        people = _by_headers(exams, shared, Path(source).resolve().name)
    return _as_people(people, exams, shared)


class _Group(NamedTuple):
    name: str
    members: list
    notes: list
    reason: str = ""
    shared: bool = False


def _by_folder(folder, members, exams, shared):
    """All exams of one folder, as was stated."""
    kinds = {kind for pair in combinations(members, 2) for kind in _apart(*pair, exams, shared, named=False)}
    notes = [f"{_listed(kinds)} in the folder of one person"] if kinds else []
    reason = "" if folder else str(Reason("files in the folder of a person", "files in no folder"))
    return _Group(folder or "files in no folder", members, notes, reason)


def _by_headers(exams, shared, root):
    """Exams of each PatientID that names somebody, and the others by what else there is."""
    named, strangers = defaultdict(list), []
    for index, exam in enumerate(exams):
        if exam.named:
            named[exam.patient].append(index)
    for group in _linked([index for index, exam in enumerate(exams) if not exam.named], exams, shared):
        owners = _owners(group, exams, shared)
        if len(owners) == 1:
            named[owners.pop()] += group
        else:
            strangers.append((group, len(owners)))
    groups = [group for patient, members in named.items() for group in _settle(patient, members, exams, shared)]
    folders = {exam.folder for exam in exams}
    if len(groups) == 1 and not strangers and 1 < len(folders) <= len({exam.study for exam in exams}):
        note = f"one PatientID in all {len(folders)} folders, taken as one person: if each is one, --person-folders"
        groups = [groups[0]._replace(notes=[*groups[0].notes, note])]
    return groups + _settle_strangers(strangers, named, exams, shared, root)


def _linked(members, exams, shared):
    """Join exams of nobody that are of one person: by study, frame in one folder, images, or name or birth date.

    A name or a birth date that all of them share is one that a program wrote.
    """
    home = {index: index for index in members}

    def find(index):
        while home[index] != index:
            index = home[index]
        return index

    facts = {index: exams[index].facts for index in members}
    tells_words = len({of.words for of in facts.values() if of.words}) > 1
    tells_birth = len({of.birth for of in facts.values() if is_whole(of.birth)}) > 1
    buckets = defaultdict(list)
    for index in members:
        exam, of = exams[index], facts[index]
        buckets["study", exam.study or index].append(index)
        for frame in exam.frames:
            buckets["frame", frame, exam.folder].append(index)
        if of.words and tells_words:
            buckets["words", of.words].append(index)
        if is_whole(of.birth) and of.sex and tells_birth:
            buckets["birth", of.birth, of.sex].append(index)
    for (kind, *_), found in buckets.items():
        for first, second in combinations(found, 2):
            doubtful = kind == "study" and _two_studies(exams[first], exams[second])
            if not (doubtful or _apart(first, second, exams, shared, named=False)):
                home[find(second)] = find(first)
    for first, second in shared.same:
        if first in home and second in home:
            home[find(second)] = find(first)
    groups = defaultdict(list)
    for index in members:
        groups[find(index)].append(index)
    return list(groups.values())


def _two_studies(first, second):
    """Tell whether one identifier stands for two studies: in two folders, of two days or with other series."""
    numbers = [
        {header["physics"]["number"]: header["series"] for header in exam.headers if header["physics"]["number"]}
        for exam in (first, second)
    ]
    again = any(numbers[1].get(number, series) != series for number, series in numbers[0].items())
    days = {exam.facts.day for exam in (first, second)} - {None}
    return first.folder != second.folder and (again or len(days) > 1)


def _owners(group, exams, shared):
    """PatientIDs that name somebody and have a study or images of the group."""
    studies, inside = {exams[index].study for index in group} - {None}, {*group}
    near = {index for pair in shared.same if inside & {*pair} for index in pair}
    for index, exam in enumerate(exams):
        if exam.study in studies and not _any_apart([index], group, exams, shared):
            near.add(index)
    return {exams[index].patient for index in near if exams[index].named}


def _apart(first, second, exams, shared, *, named):
    """List what says that two exams are of two people."""
    found = contradictions(exams[first].facts, exams[second].facts, named=named)
    return [*found, "images"] if (min(first, second), max(first, second)) in shared.clash else found


def _settle(patient, members, exams, shared):
    """One person of one PatientID; several where two facts contradict one another; else a reason."""
    members = sorted(members)
    apart = {pair: _apart(*pair, exams, shared, named=True) for pair in combinations(members, 2)}
    kinds = {kind for found in apart.values() for kind in found}
    if not kinds:
        births = sorted({exams[index].facts.birth for index in members if is_whole(exams[index].facts.birth)})
        slip = [f"birth dates {(births[-1] - births[0]).days} days apart"] if len(births) > 1 else []
        return [_Group(patient, members, slip + _of_two_places(members, exams))]
    parts = _parts(members, apart)
    across = [apart[pair] for first, second in combinations(parts, 2) for pair in _pairs(first, second)]
    within = any(apart[pair] for part in parts for pair in combinations(part, 2))
    if len(parts) < 2 or within or min(map(len, across)) < 2:
        reason = str(Reason("one person under one PatientID", f"{_listed(kinds)}: cannot tell who, {_ASK}"))
        return [_Group(patient, members, [], reason, True)]
    note = f"one PatientID for {len(parts)} people: told apart by {_listed(kinds)}"
    return [_Group(f"{patient} ({n})", part, [note], shared=True) for n, part in enumerate(parts, start=1)]


def _of_two_places(members, exams):
    """Note one PatientID of two institutions, in two folders, where nothing says that it is one person."""
    places = defaultdict(set)
    for index in members:
        for header in exams[index].headers:
            places[header["physics"]["institution"].casefold()].add(exams[index].folder)
    places.pop("", None)
    folders = set().union(*places.values()) if places else set()
    apart = [pair for pair in combinations(members, 2) if exams[pair[0]].folder != exams[pair[1]].folder]
    told = any(_same_person(exams[first], exams[second]) for first, second in apart)
    if len(places) < 2 or len(folders) < 2 or told:
        return []
    note = f"one PatientID at {len(places)} institutions, with neither name nor birth date in common: may be"
    return [f"{note} two people; if so, import the folder of each institution alone"]


def _same_person(first, second):
    """Whether a name or a birth date says that two exams are of one person."""
    words = first.facts.words & second.facts.words
    return bool(words) or (is_whole(first.facts.birth) and first.facts.birth == second.facts.birth)


def _parts(members, apart):
    """Gather exams that nothing tells apart."""
    parts = []
    for index in members:
        near = [part for part in parts if any(not apart[pair] for pair in _pairs(part, [index]))]
        parts = [part for part in parts if part not in near] + [sorted([*sum(near, []), index])]
    return parts


def _pairs(first, second):
    return [(min(one, other), max(one, other)) for one in first for other in second]


def _settle_strangers(strangers, named, exams, shared, root):
    """People without a PatientID that names them, by folder."""
    folders, groups = defaultdict(list), []
    theirs = {exams[index].folder for members in named.values() for index in members}
    for members, owners in strangers:
        folders[exams[members[0]].folder].append((members, owners))
    for folder, found in folders.items():
        parts = [members for members, _ in found]
        title = folder or root
        apart = [_any_apart(*pair, exams, shared) for pair in combinations(parts, 2)]
        everyone = sum(parts, [])
        received = ""
        if any(owners for _, owners in found):
            received = "a study of several people"
        elif folder in theirs:
            received = "a folder with somebody else"
        elif all(apart):
            for number, members in enumerate(parts, start=1):
                note = f"no PatientID that names anybody: told apart by {_listed(set().union(*apart)) or 'folder'}"
                groups.append(_Group(f"{title} ({number})" if len(parts) > 1 else title, members, [note]))
        else:
            received = f"{len(parts)} studies of nobody in one folder"
        if received:
            expected = "a PatientID that names somebody, or a folder of each person alone"
            reason = str(Reason(expected, f"{received}: cannot tell who, {_ASK}"))
            groups.append(_Group(title, everyone, [], reason))
    if len(groups) == 1 and not named:
        groups = [group._replace(notes=[note for note in group.notes if "folder" not in note]) for group in groups]
    return [_keep_name(group, groups, exams) for group in groups]


def _any_apart(first, second, exams, shared):
    return {kind for pair in _pairs(first, second) for kind in _apart(*pair, exams, shared, named=False)}


def _keep_name(group, groups, exams):
    """Call a person by a PatientID that names nobody where it is the only one of that name."""
    patients = {exams[index].patient for index in group.members}
    patient = min(patients)
    alone = sum(patient in {exams[index].patient for index in other.members} for other in groups) == 1
    if len(patients) == 1 and alone and patient.lower() not in _NAMELESS:
        return group._replace(name=patient)
    return group._replace(shared=not alone and group.name.endswith(")"))


def _listed(kinds):
    return " and ".join(words for kind, words in _WORDS.items() if kind in kinds)


def _as_people(groups, exams, shared):
    """Turn groups into people with names of their own; what they share is noted."""
    groups = sorted(groups, key=lambda group: group.name)
    owner = {index: number for number, group in enumerate(groups) for index in group.members}
    twins, notes, taken, people = {}, defaultdict(dict), set(), []
    for (first, second), images in shared.same.items():
        pair = sorted((owner[first], owner[second]))
        if pair[0] != pair[1]:
            twins.setdefault(pair[1], (pair[0], images))
    for first, second in shared.clash:
        for number in {owner[first], owner[second]} if owner[first] != owner[second] else ():
            notes[number]["its images have the identifiers of another subject's, and other pixels: two people"] = None
    studies = defaultdict(set)
    for index, exam in enumerate(exams):
        studies[exam.study].add(owner[index])
    alike = {number for number, _ in twins.values()} | {*twins, *notes}
    for study, numbers in studies.items():
        for number in numbers - alike if study and len(numbers) > 1 else ():
            notes[number]["its study has the identifier of another subject's"] = None
    for number, group in enumerate(groups):
        name = group.name
        while name in taken:
            name += " (2)"
        taken.add(name)
        headers = [header for index in group.members for header in exams[index].headers]
        twin = people[twins[number][0]].name if number in twins else ""
        people.append(
            Person(name, headers, [*group.notes, *notes[number]], group.reason, twin=twin, shared=group.shared)
        )
    return people
