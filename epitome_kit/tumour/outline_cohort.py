"""Outlines: the tumour of every subject by the network that is meant for it; what is finished is kept."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from epitome_kit.cohort import Subject
from epitome_kit.files import checksum, shipped_weights
from epitome_kit.learn.arrays import load_scans
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.tumour.classical import outline_by_symmetry
from epitome_kit.tumour.conformal import boundary_uncertainty
from epitome_kit.tumour.network import load_unet, tumour_probability, unet_channels
from epitome_kit.tumour.outline import (
    compare_outline,
    describe_outline,
    mask_path,
    reference_path,
    save_outline,
    to_subject_space,
    voxel_ml,
)


class _Job(NamedTuple):
    """A subject to outline, and the network that does it."""

    subject: Subject
    weights: Any
    record: Record


def outline_path(out, subject_id):
    """Where a workspace keeps the record of the outline of a subject, with its row of ``tumours.tsv``."""
    return mask_path(out, subject_id).with_name(f"{subject_id}_outline.json")


def outline_subjects(subjects, networks, preprocessed, out, workers):
    """Outline each subject with its network, unless its record says that this is done.

    Parameters
    ----------
    subjects : sequence of Subject
    networks : dict of str to path or None
        By subject; None means the shipped one.
    preprocessed, out : Path
        As for :func:`epitome_kit.segment_cohort`.
    workers : int
        Processes.

    Returns
    -------
    list of dict
        One row a subject, in the order of `subjects`.
    """
    found = {weights: _network_checksum(weights) for weights in set(networks.values())}
    jobs = []
    for each in subjects:
        inputs = checksums(Preprocessed(preprocessed, each.id).record, *filter(None, [reference_path(each)]))
        inputs["network"] = found[networks[each.id]]
        outline = Record(outline_path(out, each.id), {}, inputs, [mask_path(out, each.id)])
        jobs.append(_Job(each, networks[each.id], outline))
    missing = [job for job in jobs if not job.record.results()]
    for job in missing[:1]:
        _network(job.weights, found[job.weights])  # refused here rather than by every worker
    report_again("Outlines", [job.record.difference() for job in jobs])
    for_each(partial(_outline, preprocessed=preprocessed, out=out), missing, title="Segmenting", workers=workers)
    return [{name: np.nan if value is None else value for name, value in job.record.results().items()} for job in jobs]


def _network_checksum(weights):
    """Checksum of a network; one that is no file is refused when it is loaded."""
    if weights is None:
        with shipped_weights("tumour_unet") as path:
            return checksum(path)
    return checksum(weights) if Path(weights).is_file() else ""


@lru_cache(maxsize=1)
def _network(weights, _checksum):
    """Load a network once in each process, and again when its file has changed."""
    return load_unet(weights)


def _outline(job, *, preprocessed, out):
    """Outline, save, measure and compare one subject."""
    subject, network = job.subject, _network(job.weights, job.record.inputs["network"])
    channels = unet_channels(network)
    scans = load_scans(Preprocessed(preprocessed, subject.id), channels)
    probability = tumour_probability(network, scans)
    mask = to_subject_space(subject, preprocessed, probability)
    job.record.path.unlink(missing_ok=True)
    save_outline(mask, out, subject.id)
    figures = {"spread": boundary_uncertainty(probability), "voxel_ml": voxel_ml(mask), "dice_classical": np.nan}
    if reference_path(subject) is not None:
        rival = to_subject_space(subject, preprocessed, outline_by_symmetry(scans, channels))
        figures["dice_classical"] = compare_outline(subject, rival)["dice"]
    said = " ".join(Preprocessed(preprocessed, subject.id).warnings) or np.nan
    job.record.finish(participant_id=subject.id, **describe_outline(subject, mask), **figures, warnings=said)
