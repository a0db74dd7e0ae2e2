"""Segment the tumour of every subject with its network, resuming finished subjects."""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitome_kit.backend import keras
from epitome_kit.cohort import Subject
from epitome_kit.files import Json, checksum, shipped_weights
from epitome_kit.folders import refuse_links
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
    """A subject to segment, and the network to use."""

    subject: Subject
    weights: str | Path | None
    record: Record


def outline_path(out: str | Path, subject_id: str) -> Path:
    """Return the path of the record of a subject's outline, which stores its row of ``tumours.tsv``."""
    return mask_path(out, subject_id).with_name(f"{subject_id}_outline.json")


def outline_subjects(
    subjects: Sequence[Subject], networks: Mapping[str, str | Path | None], preprocessed: Path, out: Path, workers: int
) -> list[Json]:
    """Segment each subject with its network, unless its record is valid.

    Parameters
    ----------
    subjects : sequence of Subject
        Subjects of a cohort.
    networks : dict of str to path or None
        Network of each subject; None for the shipped one.
    preprocessed, out : Path
        As for :func:`epitome_kit.segment_cohort`.
    workers : int
        Number of processes.

    Returns
    -------
    list of dict
        One row for each subject, in the order of `subjects`.
    """
    refuse_links(out, where="segment")
    digests = {weights: _network_checksum(weights) for weights in set(networks.values())}
    jobs = []
    for each in subjects:
        inputs = checksums(Preprocessed(preprocessed, each.id).record, *filter(None, [reference_path(each)]))
        inputs["network"] = digests[networks[each.id]]
        outline = Record(outline_path(out, each.id), {}, inputs, [mask_path(out, each.id)])
        jobs.append(_Job(each, networks[each.id], outline))
    missing = [job for job in jobs if not job.record.results()]
    for job in missing[:1]:
        _network(job.weights, digests[job.weights])  # fail here rather than in every worker
    report_again("Outlines", [job.record.difference() for job in jobs])
    for_each(partial(_outline, preprocessed=preprocessed, out=out), missing, title="Segmenting", workers=workers)
    return [{name: np.nan if value is None else value for name, value in job.record.results().items()} for job in jobs]


def _network_checksum(weights: str | Path | None) -> str:
    """Return the checksum of a network; a missing file is reported when the network is loaded."""
    if weights is None:
        with shipped_weights("tumour_unet") as path:
            return checksum(path)
    return checksum(weights) if Path(weights).is_file() else ""


@lru_cache(maxsize=1)
def _network(weights: str | Path | None, _checksum: str) -> keras.Model:
    """Load a network once in each process, and again if its file has changed."""
    return load_unet(weights)


def _outline(job: _Job, *, preprocessed: Path, out: Path) -> None:
    """Segment, save, measure and compare one subject."""
    subject, network = job.subject, _network(job.weights, job.record.inputs["network"])
    channels = unet_channels(network)
    scans = load_scans(Preprocessed(preprocessed, subject.id), channels)
    probability = tumour_probability(network, scans)
    mask = to_subject_space(subject, preprocessed, probability)
    job.record.set_aside_changed()
    job.record.path.unlink(missing_ok=True)
    save_outline(mask, out, subject.id)
    figures = {"spread": boundary_uncertainty(probability), "voxel_ml": voxel_ml(mask), "dice_classical": np.nan}
    if reference_path(subject) is not None:
        baseline = to_subject_space(subject, preprocessed, outline_by_symmetry(scans, channels))
        figures["dice_classical"] = compare_outline(subject, baseline)["dice"]
    warnings = " ".join(Preprocessed(preprocessed, subject.id).warnings) or np.nan
    job.record.finish(participant_id=subject.id, **describe_outline(subject, mask), **figures, warnings=warnings)
