"""Identify the persons in a folder of DICOM exams by headers, identifiers and folders."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from epitome_kit.errors import Reason
from epitome_kit.files import PathLike
from epitome_kit.sources.dicom_exams import Exam, Shared, compare_images, gather_exams
from epitome_kit.sources.dicom_files import Header
from epitome_kit.sources.dicom_names import contradictions, is_full_date

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
        PatientID if it identifies one person, otherwise the folder; must never be written
        to a file.
    headers : list of Header
    notes : list of str
        Irregularities; without names.
    reason : str
        Why the person is excluded; empty if there is no reason.
    duplicate_of : str
        Name of the person with the same images; empty if there is none.
    shared : bool
        Whether several persons have this PatientID, so that tables are ambiguous.
    """

    name: str
    headers: list[Header]
    notes: list[str]
    reason: str = ""
    duplicate_of: str = ""
    shared: bool = False


def identify_people(headers: Iterable[Header], source: PathLike, *, by_folder: bool = False) -> list[Person]:
    """Identify the persons in a folder of DICOM files.

    Images with one PatientID belong to one person, unless sex, age or birth date, name,
    or the images themselves contradict it. Two contradictions mean several persons; a
    single one may be a typing error and leaves the identity undetermined.

    Images whose PatientID is a placeholder belong to one person if they are of one study,
    or if name or birth date agree; otherwise each folder directly below `source` is one
    person. Several studies in such a folder are several persons if they contradict each
    other; otherwise the identity is undetermined. An exam under two names is kept under
    the first.

    Parameters
    ----------
    headers : iterable of Header
        From :func:`epitome_kit.sources.dicom_files.find_headers`.
    source : path
        Folder of the files.
    by_folder : bool, default=False
        Treat each folder directly below `source` as one person, whatever its headers
        contain.

    Returns
    -------
    list of Person
        Sorted by name.
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
    """Exams of one person, by their index."""

    name: str
    members: list[int]
    notes: list[str]
    reason: str = ""
    shared: bool = False


def _by_folder(folder: str, members: list[int], exams: Sequence[Exam], shared: Shared) -> _Group:
    """Group all exams of one folder."""
    kinds = {kind for pair in combinations(members, 2) for kind in _apart(pair[0], pair[1], exams, shared, named=False)}
    notes = [f"{_listed(kinds)} in the folder of one person"] if kinds else []
    reason = "" if folder else str(Reason("files in the folder of a person", "files in no folder"))
    return _Group(folder or "files in no folder", members, notes, reason)


def _by_headers(exams: Sequence[Exam], shared: Shared, root: str) -> list[_Group]:
    """Group exams by PatientID, and those with a placeholder by other evidence."""
    named: dict[str, list[int]] = defaultdict(list)
    strangers = []
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


def _linked(members: Sequence[int], exams: Sequence[Exam], shared: Shared) -> list[list[int]]:
    """Link exams without PatientID by study, frame of reference in one folder, images, name or birth date.

    A name or a birth date that all of them share is a placeholder written by software.
    """
    home = {index: index for index in members}

    def find(index: int) -> int:
        while home[index] != index:
            index = home[index]
        return index

    facts = {index: exams[index].facts for index in members}
    use_name = len({fact.words for fact in facts.values() if fact.words}) > 1
    use_birth = len({fact.birth for fact in facts.values() if is_full_date(fact.birth)}) > 1
    buckets: dict[tuple, list[int]] = defaultdict(list)
    for index in members:
        exam, fact = exams[index], facts[index]
        buckets["study", exam.study or index].append(index)
        for frame in exam.frames:
            buckets["frame", frame, exam.folder].append(index)
        if fact.words and use_name:
            buckets["words", fact.words].append(index)
        if is_full_date(fact.birth) and fact.sex and use_birth:
            buckets["birth", fact.birth, fact.sex].append(index)
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


def _two_studies(first: Exam, second: Exam) -> bool:
    """Return whether one identifier is used for two studies: in two folders, on two days or with other series."""
    numbers = [
        {header["physics"]["number"]: header["series"] for header in exam.headers if header["physics"]["number"]}
        for exam in (first, second)
    ]
    again = any(numbers[1].get(number, series) != series for number, series in numbers[0].items())
    days = {exam.facts.day for exam in (first, second)} - {None}
    return first.folder != second.folder and (again or len(days) > 1)


def _owners(group: Sequence[int], exams: Sequence[Exam], shared: Shared) -> set[str]:
    """Return the PatientIDs, without placeholders, that share a study or images with the group."""
    studies, inside = {exams[index].study for index in group} - {None}, {*group}
    near = {index for pair in shared.same if inside & {*pair} for index in pair}
    for index, exam in enumerate(exams):
        if exam.study in studies and not _any_apart([index], group, exams, shared):
            near.add(index)
    return {exams[index].patient for index in near if exams[index].named}


def _apart(first: int, second: int, exams: Sequence[Exam], shared: Shared, *, named: bool) -> list[str]:
    """List the facts by which two exams are of two persons."""
    found = contradictions(exams[first].facts, exams[second].facts, named=named)
    return [*found, "images"] if (min(first, second), max(first, second)) in shared.clash else found


def _settle(patient: str, members: list[int], exams: Sequence[Exam], shared: Shared) -> list[_Group]:
    """Resolve one PatientID: one person, several if two facts contradict each other, or a reason to exclude it."""
    members = sorted(members)
    apart = {(one, other): _apart(one, other, exams, shared, named=True) for one, other in combinations(members, 2)}
    kinds = {kind for found in apart.values() for kind in found}
    if not kinds:
        births = sorted({birth for index in members if is_full_date(birth := exams[index].facts.birth)})
        notes = [f"birth dates {(births[-1] - births[0]).days} days apart"] if len(births) > 1 else []
        return [_Group(patient, members, notes + _note_institutions(members, exams))]
    parts = _parts(members, apart)
    across = [apart[pair] for first, second in combinations(parts, 2) for pair in _pairs(first, second)]
    within = any(apart[pair] for part in parts for pair in combinations(part, 2))
    if len(parts) < 2 or within or min(map(len, across)) < 2:
        reason = str(Reason("one person under one PatientID", f"{_listed(kinds)}: cannot tell who, {_ASK}"))
        return [_Group(patient, members, [], reason, True)]
    note = f"one PatientID for {len(parts)} people: distinguished by {_listed(kinds)}"
    return [_Group(f"{patient} ({n})", part, [note], shared=True) for n, part in enumerate(parts, start=1)]


def _note_institutions(members: Sequence[int], exams: Sequence[Exam]) -> list[str]:
    """Note a PatientID used by two institutions in two folders without evidence that it is one person."""
    places: dict[str, set[str]] = defaultdict(set)
    for index in members:
        for header in exams[index].headers:
            places[header["physics"]["institution"].casefold()].add(exams[index].folder)
    places.pop("", None)
    folders = {folder for found in places.values() for folder in found}
    apart = [pair for pair in combinations(members, 2) if exams[pair[0]].folder != exams[pair[1]].folder]
    confirmed = any(_same_person(exams[first], exams[second]) for first, second in apart)
    if len(places) < 2 or len(folders) < 2 or confirmed:
        return []
    note = f"one PatientID at {len(places)} institutions, with neither name nor birth date in common: may be"
    return [f"{note} two people; if so, import the folder of each institution alone"]


def _same_person(first: Exam, second: Exam) -> bool:
    """Return whether a name or a birth date confirms that two exams are of one person."""
    words = first.facts.words & second.facts.words
    return bool(words) or (is_full_date(first.facts.birth) and first.facts.birth == second.facts.birth)


def _parts(members: Iterable[int], apart: Mapping[tuple[int, int], list[str]]) -> list[list[int]]:
    """Group exams that do not contradict each other."""
    parts: list[list[int]] = []
    for index in members:
        near = [part for part in parts if any(not apart[pair] for pair in _pairs(part, [index]))]
        merged = sorted([index, *(other for part in near for other in part)])
        parts = [*(part for part in parts if part not in near), merged]
    return parts


def _pairs(first: Iterable[int], second: Iterable[int]) -> list[tuple[int, int]]:
    return [(min(one, other), max(one, other)) for one in first for other in second]


def _settle_strangers(
    strangers: Iterable[tuple[list[int], int]],
    named: Mapping[str, list[int]],
    exams: Sequence[Exam],
    shared: Shared,
    root: str,
) -> list[_Group]:
    """Resolve persons without a PatientID by folder."""
    folders: dict[str, list[tuple[list[int], int]]] = defaultdict(list)
    groups = []
    occupied = {exams[index].folder for members in named.values() for index in members}
    for members, owners in strangers:
        folders[exams[members[0]].folder].append((members, owners))
    for folder, found in folders.items():
        parts = [members for members, _ in found]
        title = folder or root
        apart = [_any_apart(one, other, exams, shared) for one, other in combinations(parts, 2)]
        everyone = [index for members in parts for index in members]
        received = ""
        if any(owners for _, owners in found):
            received = "a study of several people"
        elif folder in occupied:
            received = "a folder shared with another person"
        elif all(apart):
            for number, members in enumerate(parts, start=1):
                note = f"no PatientID: distinguished by {_listed(set().union(*apart)) or 'folder'}"
                groups.append(_Group(f"{title} ({number})" if len(parts) > 1 else title, members, [note]))
        else:
            received = f"{len(parts)} studies without PatientID in one folder"
        if received:
            expected = "a PatientID, or a separate folder for each person"
            reason = str(Reason(expected, f"{received}: cannot tell who, {_ASK}"))
            groups.append(_Group(title, everyone, [], reason))
    if len(groups) == 1 and not named:
        groups = [group._replace(notes=[note for note in group.notes if "folder" not in note]) for group in groups]
    return [_keep_name(group, groups, exams) for group in groups]


def _any_apart(first: Iterable[int], second: Iterable[int], exams: Sequence[Exam], shared: Shared) -> set[str]:
    pairs = _pairs(first, second)
    return {kind for one, other in pairs for kind in _apart(one, other, exams, shared, named=False)}


def _keep_name(group: _Group, groups: Sequence[_Group], exams: Sequence[Exam]) -> _Group:
    """Name a person by a placeholder PatientID if no other person has it."""
    patients = {exams[index].patient for index in group.members}
    patient = min(patients)
    alone = sum(patient in {exams[index].patient for index in other.members} for other in groups) == 1
    if len(patients) == 1 and alone and patient.lower() not in _NAMELESS:
        return group._replace(name=patient)
    return group._replace(shared=not alone and group.name.endswith(")"))


def _listed(kinds: Collection[str]) -> str:
    return " and ".join(words for kind, words in _WORDS.items() if kind in kinds)


def _as_people(groups: Iterable[_Group], exams: Sequence[Exam], shared: Shared) -> list[Person]:
    """Turn groups into persons with unique names, and note what they share."""
    groups = sorted(groups, key=lambda group: group.name)
    owner = {index: number for number, group in enumerate(groups) for index in group.members}
    originals: dict[int, int] = {}
    for first, second in shared.same:
        earlier, later = sorted((owner[first], owner[second]))
        if earlier != later:
            originals.setdefault(later, earlier)
    clashing = {owner[index] for pair in shared.clash if len({owner[index] for index in pair}) > 1 for index in pair}
    studies: dict[str | None, set[int]] = defaultdict(set)
    for index, exam in enumerate(exams):
        studies[exam.study].add(owner[index])
    explained = {*originals, *originals.values()} | clashing
    reused = {number for study, numbers in studies.items() if study and len(numbers) > 1 for number in numbers}
    people: list[Person] = []
    taken: set[str] = set()
    for number, group in enumerate(groups):
        name = group.name
        while name in taken:
            name += " (2)"
        taken.add(name)
        notes = list(group.notes)
        if number in clashing:
            notes.append("its images have the identifiers of another subject's, and other pixels: two people")
        if number in reused - explained:
            notes.append("its study has the identifier of another subject's")
        headers = [header for index in group.members for header in exams[index].headers]
        original = people[originals[number]].name if number in originals else ""
        people.append(Person(name, headers, notes, group.reason, original, group.shared))
    return people
