"""Which series of an exam, and which exam of a person, are taken; and why the others are not."""

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import Reason
from epitome_kit.ledger import Entry
from epitome_kit.sources.contrasts import Judgement
from epitome_kit.sources.dicom_contrast import judge_volumes
from epitome_kit.sources.dicom_geometry import find_remarks
from epitome_kit.sources.dicom_headers import Volume
from epitome_kit.sources.dicom_physics import overrule

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


class Seen(NamedTuple):
    """One volume, and what becomes of it.

    Attributes
    ----------
    volume : Volume
    contrast : str or None
        What it is judged to be; None where nobody can tell.
    evidence : str
    reason : str
        Why it is left out; empty where it is taken.
    decision : str
        What a person decided; empty where nobody did.
    """

    volume: Volume
    contrast: str | None
    evidence: str
    reason: str = ""
    decision: str = ""


class Choice(NamedTuple):
    """What is taken of one study.

    Attributes
    ----------
    scans : dict of str to Volume
        In the order of :data:`epitome_kit.contrast_table.CONTRASTS`.
    repairs : list of str
        What was noticed on the way; names nobody.
    seen : list of Seen
        Every volume of the study.
    """

    scans: dict
    repairs: list
    seen: list


def choose(volumes, *, judge=judge_volumes, decisions=None):
    """Choose a person's scans by their headers.

    Of several volumes of one contrast, the one that a person decided on is taken; else
    one whose voxel size is known, acquired rather than derived, with the shortest of
    the longest voxel edges, with more slices, or the first by series number. A volume
    with a fault is never taken, nor one whose contrast nobody can tell. Of several
    studies, one with a segmentation goes before others, one that does not say that it
    came after surgery before one that does, one with more contrasts before one with
    fewer, and an earlier one before a later.

    Parameters
    ----------
    volumes : sequence of Volume
        Of one person.
    judge : callable, default=judge_volumes
        Takes the volumes of one study and returns a judgement for each: contrast and
        evidence.
    decisions : dict of Volume to str, default=None
        A contrast; anything else leaves the volume out.

    Returns
    -------
    list of Choice
        One a study, the one to take first.
    """
    studies = {}
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


def _rank(choice):
    """Key by which studies are taken: the least first."""
    segmented = any(seen.volume.physics["modality"] == "SEG" for seen in choice.seen)
    return not choice.scans, not segmented, _time_of([seen.volume for seen in choice.seen]), -len(choice.scans)


def _time_of(volumes):
    """Before surgery, after it, or 1 where the words of a study say nothing, or both."""
    words = {volume.physics[name] for volume in volumes for name in ("study_description", "description", "protocol")}
    text = " | ".join(words).lower().replace("_", " ")
    found = [time for time, pattern in _TIMES.items() if pattern.search(text)]
    return found[0] if len(found) == 1 else 1


def _left_for(choice, reason):
    seen = [each if each.reason else each._replace(reason=reason) for each in choice.seen]
    return choice._replace(seen=seen)


def _choose_in_study(volumes, judge, decisions):
    seen = []
    for volume, judged in zip(volumes, judge_exam(volumes, judge), strict=True):
        decision = decisions.get(volume, "")
        contrast, evidence = judged
        if decision:
            contrast = decision if decision in CONTRASTS else None
            evidence = f"decided, where the headers say: {evidence}"
        seen.append(_look(volume, contrast, evidence, decision))
    whole = [each for each in seen if not each.reason]
    sized = any(each.volume.physics["pixel_mm"] for each in whole)
    scans = {}
    for contrast in CONTRASTS:
        candidates = [each for each in whole if each.contrast == contrast]
        candidates = [each for each in candidates if each.volume.physics["pixel_mm"] or not sized]
        if candidates:
            scans[contrast] = min(candidates, key=_preference)
    taken = {contrast: each.volume for contrast, each in scans.items()}
    return Choice(taken, _notice(taken, seen), [_compare(each, scans) for each in seen])


def judge_exam(volumes, judge=judge_volumes):
    """Judge each volume by all of its images, and by the part of the body.

    Parameters
    ----------
    volumes : sequence of Volume
        Of one study.
    judge : callable, default=judge_volumes
        As for :func:`choose`.

    Returns
    -------
    list of epitome_kit.sources.contrasts.Judgement
    """
    judged = [Judgement(contrast, evidence) for contrast, evidence in judge(volumes)]
    for index, volume in enumerate(volumes):
        fields = [name for name, values in volume.varied.items() if not _agree(index, volumes, judge, values)]
        if fields:
            judged[index] = Judgement(None, f"its images disagree on {' and '.join(fields)}")
        elif judged[index][0] in CONTRASTS:
            judged[index] = Judgement(*overrule(volume, *judged[index]))
    return judged


def _agree(index, volumes, judge, values):
    """Whether a volume is judged alike by each of several values of a field."""
    found = set()
    for value in values:
        other = replace(volumes[index], physics={**volumes[index].physics, **value})
        contrast = judge([*volumes[:index], other, *volumes[index + 1 :]])[index][0]
        found.add(overrule(other, contrast, "")[0] if contrast in CONTRASTS else contrast)
    return len(found) < 2


def _look(volume, contrast, evidence, decision):
    """Leave a volume out for what it is, for a fault, or for want of evidence."""
    if contrast in CONTRASTS and volume.fault:
        return Seen(volume, contrast, evidence, str(Reason(*volume.fault)), decision)
    if contrast in CONTRASTS:
        return Seen(volume, contrast, evidence, "", decision)
    reason = f"decided: {decision}" if decision else "other" if contrast else "cannot tell"
    return Seen(volume, contrast, evidence, reason if decision else f"{reason}: {evidence}", decision)


def _preference(each):
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


def _compare(each, scans):
    """Say why another volume of the contrast was taken."""
    best = scans.get(each.contrast)
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
    pairs = zip(_preference(best), _preference(each), strict=True)
    place = next((index for index, (one, other) in enumerate(pairs) if one != other), len(why))
    reason = why[place] if place < len(why) else "the first of equals"
    return each._replace(reason=f"another {each.contrast} was taken, {best.volume.title}: {reason}")


def _notice(scans, seen):
    """Say what was noticed of the volumes that are taken, and of those with a fault."""
    volumes = [each.volume for each in seen]
    repairs = [
        f"{each.contrast} not taken: {each.reason}" for each in seen if each.contrast in CONTRASTS and each.volume.fault
    ]
    unsure = Counter(each.volume.title for each in seen if each.contrast is None and not each.decision)
    repairs += [f"{title} not taken: cannot tell its contrast" for title in unsure]
    for contrast, volume in scans.items():
        together = [other for other in volumes if other.series == volume.series]
        echoes = sorted({other.echo_ms for other in together if other.echo_ms})
        if len(echoes) > 1:
            times = " and ".join(f"{echo:g}" for echo in echoes)
            repairs.append(f"{volume.title} holds echoes of {times} ms: {contrast} is the one of {volume.echo_ms:g} ms")
        announced, came = volume.physics["announced"], sum(other.slices for other in together)
        if announced and came < announced:
            repairs.append(f"{contrast}: {volume.title} has {came} images and announces {announced:.0f}")
        repairs += [f"{contrast}: {remark}" for remark in find_remarks(volume)]
    return repairs


def _derived(volume):
    return volume.physics["image_type"].upper().startswith("DERIVED")


def _longest_edge(volume):
    return max(volume.step_mm or 0, *(volume.physics["pixel_mm"] or (0, 0)))


def name_sources(volumes, source):
    """Name volumes for the ledger: the first file of each, relative to the origin.

    Parameters
    ----------
    volumes : sequence of Volume
    source : path

    Returns
    -------
    dict of Volume to str
        Where one file holds several volumes, those after the first with a number.
    """
    names, count = {}, Counter()
    for volume in volumes:
        path = Path(volume.files[0]).relative_to(source).as_posix()
        count[path] += 1
        names[volume] = path if count[path] == 1 else f"{path} #{count[path]}"
    return names


def list_series(choices, names, subject):
    """List every volume of a person for the ledger.

    Parameters
    ----------
    choices : list of Choice
    names : dict of Volume to str
        From :func:`name_sources`.
    subject : str
        Name in the cohort.

    Returns
    -------
    list of Entry
    """
    entries = []
    for each in (each for choice in choices for each in choice.seen):
        evidence = f"{each.volume.title}: {each.evidence}"
        if each.reason and each.contrast in CONTRASTS:
            evidence = f"{each.volume.title}: {each.contrast}, {each.evidence}"
        entry = Entry(names[each.volume], "series", subject, evidence=evidence, decision=each.decision)
        entries.append(entry._replace(reason=each.reason) if each.reason else entry._replace(taken_as=each.contrast))
    return entries
