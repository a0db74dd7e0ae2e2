"""The whole of preprocessing, for every subject of a cohort; what is finished is kept."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.errors import CohortError, EpitomeError, OutputError, ParameterError
from epitome_kit.files import checksum, read_json, remove_abandoned, write_json, write_tsv
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
    work = partial(_attempt, out=out, steps=steps, spacing_mm=float(spacing_mm))
    if not resume:
        for each in cohort:
            Preprocessed(out, each.id).record.unlink(missing_ok=True)
    kept = {each.id: _kept(each, Preprocessed(out, each.id), steps, float(spacing_mm)) for each in cohort}
    missing = [subject for subject in cohort if kept[subject.id] is None]
    made = for_each(work, missing, title="Preprocessing", workers=workers)
    kept.update({subject.id: result for subject, result in zip(missing, made, strict=True)})
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


def _settings(subject, steps, spacing_mm):
    """Everything that the result depends on."""
    scans = [*subject.images.values(), *([subject.annotation] if subject.annotation else [])]
    sidecars = [path for path in map(sidecar_path, scans) if path.is_file()]
    return {
        "spacing_mm": spacing_mm,
        "steps": steps,
        "lead": registration_reference(subject),
        "inputs": checksum(*scans, *sidecars),
    }


def _kept(subject, files, steps, spacing_mm):
    """Quality of a subject that was finished with these scans and settings, else None."""
    if not files.record.is_file():
        return None
    try:
        found = read_json(files.record)
        return found["quality"] if found["settings"] == _settings(subject, steps, spacing_mm) else None
    except (OSError, ValueError, TypeError, KeyError):  # a scan or the record cannot be read: the attempt says so
        return None


def _attempt(subject, *, out, steps, spacing_mm):
    """Preprocess one subject, or say why it cannot be.

    A worker that dies may have finished subjects that nobody heard of: another
    one is given them again, and keeps them.
    """
    started = time.monotonic()
    files = Preprocessed(out, subject.id)
    kept = _kept(subject, files, steps, spacing_mm)
    if kept is not None:
        return kept
    try:
        settings = _settings(subject, steps, spacing_mm)
        files.clear()
        quality = preprocess_subject(subject, files, steps=steps, spacing_mm=spacing_mm)
        write_json(files.timing, {"seconds": round(time.monotonic() - started, 2)})
        write_json(files.record, {"settings": settings, "quality": quality})
    except OutputError:
        raise
    except EpitomeError as error:
        return {"id": subject.id, "reason": error.reason}
    except Exception as error:  # one scan must not end a cohort, whatever it raises in a reader or a filter
        return {"id": subject.id, "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    return quality
