"""Preprocess a few subjects with each step left out in turn, to measure its contribution."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from epitome_kit.cohort import Cohort
from epitome_kit.errors import CohortError, ParameterError
from epitome_kit.files import PathLike
from epitome_kit.images import load_image, load_mask, resample
from epitome_kit.lock import locks
from epitome_kit.metrics import dice
from epitome_kit.preprocess.derivative import Preprocessed
from epitome_kit.preprocess.pipeline import preprocess_cohort
from epitome_kit.preprocess.quality import TRUTH_MEASURES
from epitome_kit.preprocess.registration import load_template
from epitome_kit.preprocess.subject import STEPS, registration_reference

COHORT_MEASURES = ("template_dice", "asymmetry", "agreement", "brightness_offset")
"""Measures that compare each subject with the template and the other subjects, without ground truth."""

_SMOOTHING_MM = 20.0


@locks("preprocess")
def leave_out_each_step(
    cohort: Cohort, out: PathLike, *, subjects: int = 4, spacing_mm: float = 3.0, workers: int = 1
) -> pd.DataFrame:
    """Preprocess the first subjects with all steps, then with each step left out in turn.

    Only the reference contrast is processed. Finished subjects are kept, as by
    :func:`~epitome_kit.preprocess.pipeline.preprocess_cohort`.

    Parameters
    ----------
    cohort : Cohort
        Subjects with scans of whole heads.
    out : path
        Folder of the derivatives, one for each variant: ``without-none``,
        ``without-strip`` and so on.
    subjects : int, default=4
        Maximum number of subjects.
    spacing_mm : float, default=3.0
        Voxel size of the template grid.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    DataFrame
        One row for each variant and subject: ``left_out`` (``none`` or a step),
        ``participant_id``, the measures that need ground truth (missing without it)
        and those of :data:`COHORT_MEASURES`, computed inside the template's brain on
        the template grid: overlap of the mask with the template's brain; smoothed
        difference between left and right, and distance of the median from that of
        all subjects, both in robust standard deviations; correlation with the mean
        of the other subjects. All measures are missing for a subject that failed.

    Raises
    ------
    ParameterError
        Fewer than two subjects.
    """
    few = _first(cohort, subjects)
    tables = [
        _measure(few, Path(out) / f"without-{left_out}", left_out, spacing_mm=spacing_mm, workers=workers)
        for left_out in ("none", *STEPS)
    ]
    return pd.concat(tables, ignore_index=True)


def _first(cohort: Cohort, subjects: int) -> Cohort:
    """Return the first subjects of a cohort, with their reference contrast alone."""
    chosen = list(islice(cohort, subjects))
    if len(chosen) < 2:
        raise ParameterError("ablation", "at least two subjects to compare", f"{len(chosen)}", "use `subjects=4`")
    references = {each.id: registration_reference(each) for each in chosen}
    kept = {each.id: replace(each, images={references[each.id]: each.images[references[each.id]]}) for each in chosen}
    return replace(cohort, subjects=kept, participants=cohort.participants.loc[list(kept)])


def _measure(cohort: Cohort, folder: Path, left_out: str, *, spacing_mm: float, workers: int) -> pd.DataFrame:
    """Compute one variant and measure it; one row for each subject."""
    steps = [step for step in STEPS if step != left_out]
    columns = ["left_out", "participant_id", *TRUTH_MEASURES, *COHORT_MEASURES]
    try:
        table = preprocess_cohort(cohort, folder, spacing_mm=spacing_mm, steps=steps, workers=workers)
        quality = table.set_index("participant_id")[[*TRUTH_MEASURES]]
    except CohortError:  # every subject failed without this step: all measures are missing
        quality = pd.DataFrame(columns=TRUTH_MEASURES)
    done = [Preprocessed(folder, subject) for subject in quality.index]
    measured = pd.DataFrame(_compare(done, cohort), index=quality.index, columns=COHORT_MEASURES)
    table = quality.join(measured).reindex(list(cohort.subjects)).astype(float)
    return table.rename_axis("participant_id").reset_index().assign(left_out=left_out)[columns]


def _compare(done: Sequence[Preprocessed], cohort: Cohort) -> list[dict[str, float]]:
    """Compute the measures that need no ground truth; one row for each subject."""
    if not done:
        return []
    scans = [load_image(files.scan(registration_reference(cohort[files.id])), check_voxels=False) for files in done]
    template = np.asarray(resample(load_template()[1], scans[0].affine, scans[0].shape).dataobj) > 0.5
    scaled, middles, spreads = zip(*[_robust(np.asarray(scan.dataobj), template) for scan in scans], strict=True)
    offsets = np.abs(np.array(middles) - np.median(middles)) / np.median(spreads)
    width = float(_SMOOTHING_MM / np.linalg.norm(scans[0].affine[0, :3]))
    return [
        {
            "template_dice": dice(template, np.asarray(load_mask(files.mask("desc-brain")).dataobj) > 0),
            "asymmetry": _asymmetry(scaled[place], width),
            "agreement": _agreement(scaled[place], [*scaled[:place], *scaled[place + 1 :]]),
            "brightness_offset": offsets[place],
        }
        for place, files in enumerate(done)
    ]


def _robust(data: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return a scan in robust standard deviations (NaN outside), its median and its spread."""
    seen = np.where(inside & (data != 0), data, np.nan).astype(np.float32)
    low, middle, high = np.nanquantile(seen, (0.25, 0.5, 0.75))
    spread = max((high - low) / 1.349, 1e-6)
    return np.clip((seen - middle) / spread, -6, 6), middle, spread


def _asymmetry(scaled: np.ndarray, width: float) -> float:
    """Return half the RMS of the smoothed difference between left and right; the template grid is symmetric."""
    seen = np.isfinite(scaled)
    weight = ndimage.gaussian_filter(seen.astype(np.float32), width)
    smooth = ndimage.gaussian_filter(np.nan_to_num(scaled), width) / np.maximum(weight, 1e-3)
    both = seen & seen[::-1]
    return float(np.sqrt(np.mean((smooth - smooth[::-1])[both] ** 2)) / 2)


def _agreement(scaled: np.ndarray, others: Sequence[np.ndarray]) -> float:
    """Return the correlation with the mean of the others, where all have values."""
    if not others:
        return np.nan
    mean = np.mean(others, axis=0)
    both = np.isfinite(scaled) & np.isfinite(mean)
    return float(np.corrcoef(scaled[both], mean[both])[0, 1])
