"""Ablation: a few subjects preprocessed with each step left out in turn, to see what it is worth."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from epitome_kit.errors import CohortError, ParameterError
from epitome_kit.images import load_image, load_mask, resample
from epitome_kit.metrics import dice
from epitome_kit.preprocess.derivative import Preprocessed
from epitome_kit.preprocess.pipeline import preprocess_cohort
from epitome_kit.preprocess.quality import OF_TRUTH
from epitome_kit.preprocess.registration import load_template
from epitome_kit.preprocess.subject import STEPS, registration_reference

WITHOUT_TRUTH = ("template_dice", "asymmetry", "agreement", "brightness_offset")
"""Measured of every subject, whether a truth is known or not."""

_SLOW_MM = 20.0


def leave_out_each_step(cohort, out, *, subjects=4, spacing_mm=3.0, workers=1):
    """Preprocess the first subjects with all steps, then with each left out in turn, and measure each result.

    Only the contrast that leads is done. What is finished is kept, as by
    :func:`~epitome_kit.preprocess.pipeline.preprocess_cohort`.

    Parameters
    ----------
    cohort : Cohort
    out : path
        Folder of the derivatives, one for each variant: ``without-none``,
        ``without-strip`` and so on.
    subjects : int, default=4
        At most how many.
    spacing_mm : float, default=3.0
        Voxel size of the template grid.
    workers : int, default=1
        Processes.

    Returns
    -------
    DataFrame
        One row for each variant and subject: ``left_out`` (``none`` or a step),
        ``participant_id``, the measures of the pipeline that need a truth
        (missing where none is known) and those of :data:`WITHOUT_TRUTH`, taken
        inside the template's brain on the template grid: overlap of the mask
        with the template's brain; difference of left and right, blurred, and
        distance of the median from that of all subjects, both in robust
        standard deviations; correlation with the mean of the other subjects. A
        subject that failed has a row without numbers.

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


def _first(cohort, subjects):
    """Part of a cohort: its first subjects, with the contrast that leads."""
    chosen = list(islice(cohort, subjects))
    if len(chosen) < 2:
        raise ParameterError("ablation", "at least two subjects to compare", f"{len(chosen)}", "use `subjects=4`")
    leads = {each.id: registration_reference(each) for each in chosen}
    leading = {each.id: replace(each, images={leads[each.id]: each.images[leads[each.id]]}) for each in chosen}
    return replace(cohort, subjects=leading, participants=cohort.participants.loc[list(leading)])


def _measure(cohort, folder, left_out, **options):
    """Make one variant and measure it, one row a subject."""
    steps = [step for step in STEPS if step != left_out]
    columns = ["left_out", "participant_id", *OF_TRUTH, *WITHOUT_TRUTH]
    try:
        quality = preprocess_cohort(cohort, folder, steps=steps, **options).set_index("participant_id")[[*OF_TRUTH]]
    except CohortError:  # nobody could be done without this step: rows without numbers say so
        quality = pd.DataFrame(columns=OF_TRUTH)
    done = [Preprocessed(folder, subject) for subject in quality.index]
    measured = pd.DataFrame(_compare(done, cohort), index=quality.index, columns=WITHOUT_TRUTH)
    table = quality.join(measured).reindex(list(cohort.subjects)).astype(float)
    return table.rename_axis("participant_id").reset_index().assign(left_out=left_out)[columns]


def _compare(done, cohort):
    """Measures that need no truth, one row a subject."""
    if not done:
        return []
    scans = [load_image(files.scan(registration_reference(cohort[files.id])), check_voxels=False) for files in done]
    template = np.asarray(resample(load_template()[1], scans[0].affine, scans[0].shape).dataobj) > 0.5
    scaled, middles, spreads = zip(*[_robust(np.asarray(scan.dataobj), template) for scan in scans], strict=True)
    offsets = np.abs(np.array(middles) - np.median(middles)) / np.median(spreads)
    width = _SLOW_MM / np.linalg.norm(scans[0].affine[0, :3])
    return [
        {
            "template_dice": dice(template, np.asarray(load_mask(files.mask("desc-brain")).dataobj) > 0),
            "asymmetry": _asymmetry(scaled[place], width),
            "agreement": _agreement(scaled[place], [*scaled[:place], *scaled[place + 1 :]]),
            "brightness_offset": offsets[place],
        }
        for place, files in enumerate(done)
    ]


def _robust(data, inside):
    """Scan in robust standard deviations, NaN where there is none; its median and its spread."""
    seen = np.where(inside & (data != 0), data, np.nan).astype(np.float32)
    low, middle, high = np.nanquantile(seen, (0.25, 0.5, 0.75))
    spread = max((high - low) / 1.349, 1e-6)
    return np.clip((seen - middle) / spread, -6, 6), middle, spread


def _asymmetry(scaled, width):
    """Root mean square of half the slow difference between left and right; the template grid is symmetric."""
    seen = np.isfinite(scaled)
    weight = ndimage.gaussian_filter(seen.astype(np.float32), width)
    slow = ndimage.gaussian_filter(np.nan_to_num(scaled), width) / np.maximum(weight, 1e-3)
    both = seen & seen[::-1]
    return float(np.sqrt(np.mean((slow - slow[::-1])[both] ** 2)) / 2)


def _agreement(scaled, others):
    """Correlation with the mean of the others, where everybody has a value."""
    if not others:
        return np.nan
    mean = np.mean(others, axis=0)
    both = np.isfinite(scaled) & np.isfinite(mean)
    return float(np.corrcoef(scaled[both], mean[both])[0, 1])
