"""The whole of preprocessing, for every subject of a cohort; what is finished is kept."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.errors import CohortError, EpitomeError, OutputError, ParameterError
from epitome_kit.files import remove_abandoned, write_json, write_tsv
from epitome_kit.io.geometry import SPACE
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.derivative import Preprocessed, describe_derivative
from epitome_kit.preprocess.quality import QUALITY, SAID, registration_error_mm
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


def preprocess_cohort(cohort, out, *, spacing_mm=3.0, steps=STEPS, method="network", resume=True, workers=1):
    """Strip, correct, register and normalise every subject, and write a BIDS derivative.

    The scan that the tumour was drawn on leads: it is stripped and registered
    to the ICBM152 template, and the other contrasts follow it rigidly. A
    subject that fails is left out by name and reason. Finished subjects are
    kept on the next call as long as their scans and the settings are the same.

    A step can be left out, to see what it is worth. Without ``strip`` all that
    is not air is kept: the brain, where a scan was stripped before, else the
    head, and then registration, which matches brains, may well fail. Without
    ``register`` the mask is moved to the middle of the grid and the contrasts
    are believed to lie where their headers say.

    ``deform`` is done only when asked for: it also writes the displacement
    field that brings the brain of the leading scan closer to the template than
    an affine can, for :func:`epitome_kit.resample_deformed`. Scans and masks
    stay in their affine places, where a tumour keeps its shape.

    Parameters
    ----------
    cohort : Cohort
    out : path
        Folder of the derivative.
    spacing_mm : float, default=3.0
        Voxel size of the template grid.
    steps : sequence of str, default=("strip", "bias", "register", "normalise")
        Steps to do; ``"deform"`` can be added.
    method : str, default="network"
        How the skull is stripped: see :func:`epitome_kit.skull_strip`.
    resume : bool, default=True
        Keep subjects that are finished; False: do every subject again.
    workers : int, default=1
        Processes.

    Returns
    -------
    DataFrame
        One row a subject, as written to ``quality.tsv``: ``participant_id`` and
        the columns of :data:`QUALITY`; the first three are missing where no
        truth is known. ``taken_as`` and ``warnings`` say in words what
        :func:`~epitome_kit.preprocess.subject.preprocess_subject` returns; both
        are missing for a subject that was finished before they were recorded.

    Raises
    ------
    ParameterError
        No such step or method, or ``deform`` without ``register``.
    OutputError
        `out` is the folder of the cohort itself.
    CohortError
        No subject could be preprocessed.
    """
    out = Path(out)
    _check(cohort, out, steps)
    steps = describe_steps(steps, method)
    remove_abandoned(out)
    records = {each.id: preprocessing_record(each, out, steps=steps, spacing_mm=spacing_mm) for each in cohort}
    if not resume:
        for record in records.values():
            record.path.unlink(missing_ok=True)
    kept = {name: record.results().get("quality") for name, record in records.items()}
    missing = [(cohort[name], records[name]) for name, quality in kept.items() if quality is None]
    report_again("preprocess_cohort", [records[each.id].difference() for each in cohort])
    made = for_each(partial(_attempt, out=out), missing, title="Preprocessing", workers=workers)
    kept.update({subject.id: result for (subject, _), result in zip(missing, made, strict=True)})
    results = list(kept.values())
    rows = [result for result in results if "reason" not in result]
    excluded = [result for result in results if "reason" in result]
    write_tsv(out / EXCLUDED_TABLE, pd.DataFrame(excluded, columns=["id", "reason"]))
    if not rows:
        raise CohortError(
            "preprocess_cohort",
            "at least one subject that can be preprocessed",
            f"{len(excluded)} of {len(cohort)} excluded; {excluded[0]['id']}: {excluded[0]['reason']}",
            f"read {out / EXCLUDED_TABLE} for the reason of each",
        )
    describe_derivative(out, cohort, steps)
    quality = pd.DataFrame([_in_words(row) for row in rows])[["participant_id", *QUALITY, *SAID]]
    write_tsv(out / QUALITY_TABLE, quality)
    return quality


def _in_words(row):
    """Join the warnings of a row into one text, missing where there are none."""
    return {**row, "taken_as": row.get("taken_as", np.nan), "warnings": " ".join(row.get("warnings", ())) or np.nan}


def _check(cohort, out, steps):
    known = (*STEPS, *OPTIONS)
    unknown = [step for step in steps if step not in known]
    if unknown:
        raise ParameterError("preprocess_cohort", f"steps out of {', '.join(known)}", repr(unknown[0]), "leave it out")
    if "deform" in steps and "register" not in steps:
        raise ParameterError("preprocess_cohort", "`register` before `deform`", ", ".join(steps), "do both, or neither")
    if out.resolve() == Path(cohort.root).resolve():
        raise OutputError(
            "preprocess_cohort",
            "a folder beside the scans",
            f"{out}, the folder of the cohort itself",
            f"write to {out / 'derivatives' / 'preprocessed'}",
        )


def preprocessing_record(subject, out, *, steps, spacing_mm):
    """Record of the preprocessing of one subject, which holds its ``quality``.

    Parameters
    ----------
    subject : Subject
    out : path
        Folder of the derivative.
    steps : dict of str to dict or None
        As :func:`epitome_kit.preprocess.subject.describe_steps` lists them.
    spacing_mm : float
        Voxel size of the template grid.

    Returns
    -------
    Record
    """
    files, lead = Preprocessed(Path(out), subject.id), registration_reference(subject)
    scans = [*subject.images.values(), *([subject.annotation] if subject.annotation else [])]
    settings = {"spacing_mm": float(spacing_mm), "steps": steps, "lead": lead}
    masks = [files.mask("desc-brain"), files.mask("desc-brain", space=lead)]
    outputs = [*map(files.scan, subject.images), *map(files.transform, subject.images), *masks]
    return Record(files.record, settings, checksums(*scans, *map(sidecar_path, scans)), outputs)


def preprocess_once(subject, out, record, *, threads=1):
    """Preprocess a subject, unless its record says that this is done.

    Parameters
    ----------
    subject : Subject
    out : path
        Folder of the derivative.
    record : Record
        From :func:`preprocessing_record`.
    threads : int, default=1
        As for :func:`epitome_kit.preprocess.subject.preprocess_subject`.

    Returns
    -------
    dict of str to value
        As from :func:`epitome_kit.preprocess.subject.preprocess_subject`.

    Raises
    ------
    ImageError
        A scan or mask cannot be used.
    """
    if quality := record.results().get("quality"):
        return quality
    started, files = time.monotonic(), Preprocessed(Path(out), subject.id)
    files.clear()
    how = {name: record.settings[name] for name in ("steps", "spacing_mm")}
    quality = preprocess_subject(subject, files, **how, threads=threads)
    write_json(files.timing, {"seconds": round(time.monotonic() - started, 2)})
    record.finish(quality=quality)
    return quality


def _attempt(item, *, out):
    """Preprocess one subject, or say why it cannot be.

    A worker that dies may have finished subjects without reporting them:
    another one is given them again, and keeps them.
    """
    subject, record = item
    try:
        return preprocess_once(subject, out, record)
    except OutputError:
        raise
    except EpitomeError as error:
        return {"id": subject.id, "reason": error.reason}
    except Exception as error:  # one scan must not end a cohort, whatever it raises in a reader or a filter
        return {"id": subject.id, "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
