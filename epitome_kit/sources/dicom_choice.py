"""Choose the series of an exam, and the exam of a person, and explain why the others are not taken."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import Reason
from epitome_kit.files import Json, PathLike
from epitome_kit.ledger import UNDECIDED, Entry
from epitome_kit.sources.contrasts import Judgement
from epitome_kit.sources.dicom_contrast import judge_volumes
from epitome_kit.sources.dicom_geometry import find_remarks
from epitome_kit.sources.dicom_headers import Volume
from epitome_kit.sources.dicom_physics import overrule

Judge = Callable[[Sequence[Volume]], Sequence[tuple[str | None, str]]]
"""Takes the volumes of one study and returns contrast and evidence for each."""

_BEFORE, _AFTER = 0, 2
_TIMES = {
    _BEFORE: re.compile(
        r"\bpr[ae]{1,2}\W?(op\b|oper|surg|chir)|\bvor (op|operation|resektion)\b|"
        r"\bbefore (the )?(surgery|operation|resection)"
    ),
    _AFTER: re.compile(
        r"\bpost\W?(op\b|op day|oper|surg|resect|cranio|crani|chir)|"
        r"\b(after|s/p|s\.p\.|status post|nach|z\W{0,2}n\W|zustand nach|apres|st\W{0,2}p\W|état après)"
        r"\W{0,2}((?!km|[ck]ontrast|gad|gd|inj)\w+ ){0,2}"
        r"(surg|op\b|oper|(tumor|teil)?rese[ck]t|[ck]rani|trepan|exstirp|chir)|"
        r"\b(s/p|status post)\W*$|\b(s/p|status post)\b(?! (fall|trauma|mva|biopsy|stroke))|"
        r"\bday \d+ post\b(?! ([ck]ontrast|gad|inj))|\bpod\W?#?\d|\bpost\W?op\w* day|\bintra\W?op"
    ),
}


class JudgedVolume(NamedTuple):
    """One volume with its judgement.

    Attributes
    ----------
    volume : Volume
    contrast : str or None
        None if it cannot be determined.
    evidence : str
        What the contrast rests on.
    reason : str
        Why the volume is left out; empty if it is taken.
    decision : str
        Manual decision; empty if there is none.
    """

    volume: Volume
    contrast: str | None
    evidence: str
    reason: str = ""
    decision: str = ""


class Choice(NamedTuple):
    """Scans chosen from one study.

    Attributes
    ----------
    scans : dict of str to Volume
        In the order of :data:`epitome_kit.contrast_table.CONTRASTS`.
    repairs : list of str
        Irregularities; without names of persons.
    judged : list of JudgedVolume
        Every volume of the study.
    """

    scans: dict[str, Volume]
    repairs: list[str]
    judged: list[JudgedVolume]


def choose(
    volumes: Iterable[Volume], *, judge: Judge = judge_volumes, decisions: Mapping[Volume, str] | None = None
) -> list[Choice]:
    """Choose the scans of a person by their headers.

    Of several volumes of one contrast, the preferred one has a manual decision; then a
    known voxel size; is acquired rather than derived; has the smallest longest voxel edge;
    has more slices; or comes first by series number. A volume with a defect or with an
    undetermined contrast is never taken. Of several studies, the preferred one has a
    segmentation; is not described as postoperative; has more contrasts; or is earlier.

    Parameters
    ----------
    volumes : iterable of Volume
        Volumes of one person.
    judge : callable, default=judge_volumes
        Takes the volumes of one study and returns contrast and evidence for each.
    decisions : dict of Volume to str, default=None
        Manual decisions: a contrast; anything else leaves the volume out.

    Returns
    -------
    list of Choice
        One per study, the preferred study first.
    """
    studies: dict[str | None, list[Volume]] = {}
    for volume in volumes:
        studies.setdefault(volume.study, []).append(volume)
    choices = [_choose_in_study(study, judge, decisions or {}) for study in studies.values()]
    if len(choices) < 2:
        return choices
    dated = all(re.search(r"\d", study[0].physics["date"]) for study in studies.values())
    order = "by date" if dated else "of unknown order, for not all of their dates are known"
    ranks = [(*_rank(choice), number) for number, choice in enumerate(choices, start=1)]
    for choice, rank in zip(choices, ranks, strict=True):
        which = f"{len(choices)} studies: took study {rank[-1]} {order}, with {' and '.join(choice.scans) or 'nothing'}"
        after = [str(other[-1]) for other in ranks if other[2] == _AFTER and other != rank]
        choice.repairs.insert(0, which + (f"; after surgery by its words: study {', '.join(after)}" if after else ""))
    first, *rest = (choice for _, choice in sorted(zip(ranks, choices, strict=True), key=lambda pair: pair[0]))
    reason = f"study {min(ranks)[-1]} of {len(choices)} {order} was taken"
    return [first, *(_left_for(choice, reason) for choice in rest)]


def _rank(choice: Choice) -> tuple[bool, bool, int, int]:
    """Return the sort key of a study; the smallest is preferred."""
    volumes = [each.volume for each in choice.judged]
    segmented = any(volume.physics["modality"] == "SEG" for volume in volumes)
    return not choice.scans, not segmented, _time_of(volumes), -len(choice.scans)


def _time_of(volumes: Iterable[Volume]) -> int:
    """Return whether the texts of a study place it before or after surgery; 1 if neither or both."""
    words = {volume.physics[name] for volume in volumes for name in ("study_description", "description", "protocol")}
    text = " | ".join(words).lower().replace("_", " ")
    found = [time for time, pattern in _TIMES.items() if pattern.search(text)]
    return found[0] if len(found) == 1 else 1


def _left_for(choice: Choice, reason: str) -> Choice:
    return choice._replace(judged=[each._replace(reason=each.reason or reason) for each in choice.judged])


def _choose_in_study(volumes: Sequence[Volume], judge: Judge, decisions: Mapping[Volume, str]) -> Choice:
    judged = []
    for volume, (contrast, evidence) in zip(volumes, judge_exam(volumes, judge), strict=True):
        decision = decisions.get(volume, "")
        if decision:
            contrast = decision if decision in CONTRASTS else None
            evidence = f"decided, where the headers say: {evidence}"
        judged.append(_screen(volume, contrast, evidence, decision))
    usable = [each for each in judged if not each.reason]
    sized = any(each.volume.physics["pixel_mm"] for each in usable)
    scans = {}
    for contrast in CONTRASTS:
        candidates = [each for each in usable if each.contrast == contrast]
        candidates = [each for each in candidates if each.volume.physics["pixel_mm"] or not sized]
        if candidates:
            scans[contrast] = min(candidates, key=_preference)
    taken = {contrast: each.volume for contrast, each in scans.items()}
    return Choice(taken, _list_irregularities(taken, judged), [_compare(each, scans) for each in judged])


def judge_exam(volumes: Sequence[Volume], judge: Judge = judge_volumes) -> list[Judgement]:
    """Judge each volume by all of its images and by the examined body part.

    Parameters
    ----------
    volumes : sequence of Volume
        Volumes of one study.
    judge : callable, default=judge_volumes
        See :func:`choose`.

    Returns
    -------
    list of epitome_kit.sources.contrasts.Judgement
    """
    judged = [Judgement(contrast, evidence) for contrast, evidence in judge(volumes)]
    for index, volume in enumerate(volumes):
        fields = [name for name, values in volume.varied.items() if not _agree(index, volumes, judge, values)]
        if fields:
            judged[index] = Judgement(None, f"its images disagree on {' and '.join(fields)}")
        elif (contrast := judged[index].contrast) in CONTRASTS:
            judged[index] = Judgement(*overrule(volume, contrast, judged[index].evidence))
    return judged


def _agree(index: int, volumes: Sequence[Volume], judge: Judge, values: Iterable[Json]) -> bool:
    """Return whether a volume is judged the same by each of several values of a field."""
    found = set()
    for value in values:
        other = replace(volumes[index], physics={**volumes[index].physics, **value})
        contrast = judge([*volumes[:index], other, *volumes[index + 1 :]])[index][0]
        found.add(overrule(other, contrast, "")[0] if contrast in CONTRASTS else contrast)
    return len(found) < 2


def _screen(volume: Volume, contrast: str | None, evidence: str, decision: str) -> JudgedVolume:
    """Exclude a volume with another contrast, a defect or insufficient evidence."""
    if contrast in CONTRASTS:
        reason = str(Reason(*volume.defect)) if volume.defect else ""
    elif decision:
        reason = f"decided: {decision}"
    else:
        reason = f"{'other' if contrast else UNDECIDED}: {evidence}"
    return JudgedVolume(volume, contrast, evidence, reason, decision)


def _preference(each: JudgedVolume) -> tuple[float, ...]:
    volume = each.volume
    number = volume.physics["number"]
    return (
        not each.decision,
        volume.physics["pixel_mm"] is None,
        _derived(volume),
        round(_longest_edge(volume), 1),
        -volume.slices,
        math.inf if number is None else number,
    )


def _compare(each: JudgedVolume, scans: Mapping[str, JudgedVolume]) -> JudgedVolume:
    """Explain why another volume of the contrast was taken."""
    best = scans.get(each.contrast or "")
    if each.reason or (best and best.volume is each.volume):
        return each
    if best is None:
        return each._replace(reason="voxel size unknown, where that of other scans is known")
    why = (
        "as was decided",
        "its voxel size is known",
        "acquired, where this is derived",
        f"longest voxel edge {_longest_edge(best.volume):.1f} mm, where this has {_longest_edge(each.volume):.1f} mm",
        f"{best.volume.slices} slices, where this has {each.volume.slices}",
    )
    keys = zip((*why, "the first of equals"), _preference(best), _preference(each), strict=True)
    reason = next((reason for reason, one, other in keys if one != other), "the first of equals")
    return each._replace(reason=f"another {each.contrast} was taken, {best.volume.title}: {reason}")


def _list_irregularities(scans: Mapping[str, Volume], judged: Sequence[JudgedVolume]) -> list[str]:
    """List irregularities of the volumes that are taken, and of those with a defect."""
    volumes = [each.volume for each in judged]
    repairs = [
        f"{each.contrast} not taken: {each.reason}"
        for each in judged
        if each.contrast in CONTRASTS and each.volume.defect
    ]
    undetermined = dict.fromkeys(each.volume.title for each in judged if each.contrast is None and not each.decision)
    repairs += [f"{title} not taken: cannot tell its contrast" for title in undetermined]
    for contrast, volume in scans.items():
        together = [other for other in volumes if other.series == volume.series]
        echoes = sorted({other.echo_ms for other in together if other.echo_ms})
        if len(echoes) > 1:
            times = " and ".join(f"{echo:g}" for echo in echoes)
            repairs.append(f"{volume.title} holds echoes of {times} ms: {contrast} is the one of {volume.echo_ms:g} ms")
        announced, found = volume.physics["announced"], sum(other.slices for other in together)
        if announced and found < announced:
            repairs.append(f"{contrast}: {volume.title} has {found} images and announces {announced:.0f}")
        repairs += [f"{contrast}: {remark}" for remark in find_remarks(volume)]
    return repairs


def _derived(volume: Volume) -> bool:
    return volume.physics["image_type"].upper().startswith("DERIVED")


def _longest_edge(volume: Volume) -> float:
    return max(volume.step_mm or 0, *(volume.physics["pixel_mm"] or (0, 0)))


def name_sources(volumes: Iterable[Volume], source: PathLike) -> dict[Volume, str]:
    """Name volumes for the ledger by the path of their first file.

    Parameters
    ----------
    volumes : iterable of Volume
    source : path
        Folder that paths are relative to.

    Returns
    -------
    dict of Volume to str
        If one file contains several volumes, those after the first are numbered.
    """
    names: dict[Volume, str] = {}
    count: Counter[str] = Counter()
    for volume in volumes:
        path = Path(volume.files[0]).relative_to(source).as_posix()
        count[path] += 1
        names[volume] = path if count[path] == 1 else f"{path} #{count[path]}"
    return names


def list_series(choices: Iterable[Choice], names: Mapping[Volume, str], subject: str) -> list[Entry]:
    """List every volume of a person for the ledger.

    Parameters
    ----------
    choices : iterable of Choice
    names : dict of Volume to str
        As returned by :func:`name_sources`.
    subject : str
        Name in the cohort.

    Returns
    -------
    list of Entry
    """
    entries = []
    for volume, contrast, evidence, reason, decision in (each for choice in choices for each in choice.judged):
        evidence = f"{contrast}, {evidence}" if reason and contrast in CONTRASTS else evidence
        taken_as = "" if reason or contrast is None else contrast
        evidence = f"{volume.title}: {evidence}"
        entries.append(Entry(names[volume], "series", subject, taken_as, evidence, reason, decision))
    return entries
