"""Preprocess every subject of a cohort, resuming finished subjects."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.cohort import Cohort, Subject
from epitome_kit.errors import CohortError, EpitomeError, OutputError, ParameterError
from epitome_kit.files import Json, PathLike, write_json, write_tsv
from epitome_kit.folders import refuse_links
from epitome_kit.io.geometry import SPACE
from epitome_kit.lock import locks
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.derivative import Preprocessed, Steps, describe_derivative
from epitome_kit.preprocess.quality import QUALITY, REMARKS, registration_error_mm
from epitome_kit.preprocess.subject import (
    OPTIONS,
    STEPS,
    assign_nominal_voxel_size,
    describe_steps,
    preprocess_subject,
    registration_reference,
)
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.sidecars import sidecar_path
from epitome_kit.workspace import EXCLUDED_TABLE, QUALITY_TABLE

__all__ = [
    "QUALITY",
    "SPACE",
    "STEPS",
    "Preprocessed",
    "assign_nominal_voxel_size",
    "registration_reference",
    "preprocess_cohort",
    "registration_error_mm",
]


@locks("preprocess")
def preprocess_cohort(
    cohort: Cohort,
    out: PathLike,
    *,
    spacing_mm: float = 3.0,
    steps: Sequence[str] = STEPS,
    method: str = "network",
    resume: bool = True,
    workers: int = 1,
) -> pd.DataFrame:
    """Strip, correct, register and normalise every subject, and write a BIDS derivative.

    The reference contrast, on which the tumour was annotated, is stripped and registered
    to the ICBM152 template; the other contrasts are registered to it rigidly. Subjects
    that fail are listed in ``excluded.tsv`` with the reason. Finished subjects are kept
    on the next call if scans and settings are unchanged.

    Steps can be left out to measure their contribution. Without ``strip``, everything
    but air is kept: the brain of a stripped scan, otherwise the whole head, for which
    registration may fail. Without ``register``, the mask is centred on the grid and the
    contrasts are assumed to be aligned.

    A scan of more than 2**26 voxels is halved along its finest axis until it has at most
    2**24. Its bias field is on that grid, its brain mask on that of the scan.

    ``deform`` is optional: it also writes the displacement field from the brain of the
    reference contrast to the template, for :func:`epitome_kit.resample_deformed`. Scans
    and masks are resampled by the affine alone, so that tumours keep their shape.

    Parameters
    ----------
    cohort : Cohort
        Subjects to preprocess.
    out : path
        Folder of the derivative.
    spacing_mm : float, default=3.0
        Voxel size of the template grid.
    steps : sequence of str, default=("strip", "bias", "register", "normalise")
        Steps to run; ``"deform"`` can be added.
    method : str, default="network"
        Method of skull stripping, see :func:`epitome_kit.skull_strip`.
    resume : bool, default=True
        Keep finished subjects; False: process every subject again.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    DataFrame
        One row for each subject, as written to ``quality.tsv``: ``participant_id`` and
        the columns of :data:`QUALITY`, of which the first three need ground truth;
        ``taken_as`` and ``warnings`` as returned by
        :func:`~epitome_kit.preprocess.subject.preprocess_subject`, missing for subjects
        finished before these were recorded.

    Raises
    ------
    ParameterError
        Unknown step or method, or ``deform`` without ``register``.
    OutputError
        `out` is the folder of the cohort itself.
    CohortError
        No subject could be preprocessed.

    See Also
    --------
    skull_strip, correct_bias, register_affine, normalise_intensity : The steps for one scan.
    learn_features : Train the network on the preprocessed scans.

    Examples
    --------
    >>> import tempfile
    >>> import epitome_kit as ek
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = ek.make_phantom_cohort(f"{folder}/bids", subjects=2, spacing_mm=(8, 8, 8))
    ...     quality = ek.preprocess_cohort(cohort, f"{folder}/out", spacing_mm=8.0, steps=("bias", "normalise"))
    >>> quality["taken_as"].tolist()
    ['not stripped', 'not stripped']
    """
    out = Path(out)
    _check(cohort, out, steps)
    described = describe_steps(steps, method)
    records = {each.id: preprocessing_record(each, out, steps=described, spacing_mm=spacing_mm) for each in cohort}
    if not resume:
        for record in records.values():
            record.path.unlink(missing_ok=True)
    kept: Json = {name: record.results().get("quality") for name, record in records.items()}
    missing = [(cohort[name], records[name]) for name, quality in kept.items() if quality is None]
    report_again("preprocess_cohort", [records[each.id].difference() for each in cohort])
    computed = for_each(partial(_attempt, out=out), missing, title="Preprocessing", workers=workers)
    kept.update({subject.id: result for (subject, _), result in zip(missing, computed, strict=True)})
    results = list(kept.values())
    rows = [result for result in results if "reason" not in result]
    excluded = [result for result in results if "reason" in result]
    write_tsv(out / EXCLUDED_TABLE, pd.DataFrame(excluded, columns=["id", "reason"]))
    if not rows:
        raise CohortError(
            "preprocess_cohort",
            "at least one subject that can be preprocessed",
            f"{len(excluded)} of {len(cohort)} excluded; {excluded[0]['id']}: {excluded[0]['reason']}",
            f"see {out / EXCLUDED_TABLE} for all reasons",
        )
    describe_derivative(out, cohort, described)
    quality = pd.DataFrame([_join_warnings(row) for row in rows])[["participant_id", *QUALITY, *REMARKS]]
    write_tsv(out / QUALITY_TABLE, quality)
    return quality


def _join_warnings(row: Json) -> Json:
    """Join the warnings of a row into one text; missing without warnings."""
    return {**row, "taken_as": row.get("taken_as", np.nan), "warnings": " ".join(row.get("warnings", ())) or np.nan}


def _check(cohort: Cohort, out: Path, steps: Sequence[str]) -> None:
    known = (*STEPS, *OPTIONS)
    unknown = [step for step in steps if step not in known]
    if unknown:
        raise ParameterError("preprocess_cohort", f"steps among {', '.join(known)}", repr(unknown[0]), "leave it out")
    if "deform" in steps and "register" not in steps:
        raise ParameterError("preprocess_cohort", "`register` before `deform`", ", ".join(steps), "do both, or neither")
    refuse_links(out, where="preprocess_cohort")
    if out.resolve() == Path(cohort.root).resolve():
        raise OutputError(
            "preprocess_cohort",
            "a folder other than that of the cohort",
            f"{out}, the folder of the cohort itself",
            f"write to {out / 'derivatives' / 'preprocessed'}",
        )


def preprocessing_record(subject: Subject, out: PathLike, *, steps: Steps, spacing_mm: float) -> Record:
    """Return the record of the preprocessing of one subject, which stores its ``quality``.

    Parameters
    ----------
    subject : Subject
        Subject of a cohort.
    out : path
        Folder of the derivative.
    steps : dict of str to dict or None
        As returned by :func:`epitome_kit.preprocess.subject.describe_steps`.
    spacing_mm : float
        Voxel size of the template grid.

    Returns
    -------
    Record
    """
    files, reference = Preprocessed(Path(out), subject.id), registration_reference(subject)
    scans = [*subject.images.values(), *([subject.annotation] if subject.annotation else [])]
    settings = {"spacing_mm": float(spacing_mm), "steps": steps, "reference": reference}
    masks = [files.mask("desc-brain"), files.mask("desc-brain", space=reference)]
    outputs = [*map(files.scan, subject.images), *map(files.transform, subject.images), *masks]
    return Record(files.record, settings, checksums(*scans, *map(sidecar_path, scans)), outputs)


def preprocess_once(subject: Subject, out: PathLike, record: Record, *, threads: int = 1) -> Json:
    """Preprocess a subject, unless its record is valid.

    Parameters
    ----------
    subject : Subject
        Subject of a cohort.
    out : path
        Folder of the derivative.
    record : Record
        From :func:`preprocessing_record`.
    threads : int, default=1
        As for :func:`epitome_kit.preprocess.subject.preprocess_subject`.

    Returns
    -------
    dict
        As from :func:`epitome_kit.preprocess.subject.preprocess_subject`.

    Raises
    ------
    ImageError
        A scan or mask cannot be used.
    """
    if quality := record.results().get("quality"):
        return quality
    started, files = time.monotonic(), Preprocessed(Path(out), subject.id)
    record.set_aside_changed()
    files.clear()
    steps, spacing_mm = record.settings["steps"], record.settings["spacing_mm"]
    quality = preprocess_subject(subject, files, steps=steps, spacing_mm=spacing_mm, threads=threads)
    write_json(files.timing, {"seconds": round(time.monotonic() - started, 2)})
    written = set(files.record.parent.glob(f"{subject.id}_*")) - {files.record, files.timing}
    replace(record, outputs=sorted(written)).finish(quality=quality)
    return quality


def _attempt(item: tuple[Subject, Record], *, out: Path) -> Json:
    """Preprocess one subject, or return the reason why it cannot be.

    A worker that dies may have finished subjects without reporting them; the worker
    that receives them next keeps them.
    """
    subject, record = item
    try:
        return preprocess_once(subject, out, record)
    except OutputError:
        raise
    except EpitomeError as error:
        return {"id": subject.id, "reason": error.reason}
    except Exception as error:  # an unexpected error in one scan must not stop the cohort
        return {"id": subject.id, "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
