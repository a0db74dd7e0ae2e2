"""Coverage and width of the intervals of tumour volumes, on simulated cohorts whose truth is known.

    make volume-coverage
    python benchmarks/volume_coverage.py --workers 2

Eight cohorts of 48 phantoms, none of them the built-in one, are preprocessed and
segmented at the quick profile. Each phantom is annotated on three slices, from which
the networks are trained. Its interval is calibrated once with the whole tumour of the
other subjects, and once with their annotated slices alone; it is compared with the
true volume in both cases. Interrupted work is resumed. Writes
`benchmarks/volume_coverage.md`; takes about two hours on two cores.
"""

import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from scipy.stats import t

from epitome_kit.cohort import Cohort
from epitome_kit.confidence import interval_quantiles
from epitome_kit.files import PathLike, read_tsv, write_text, write_tsv
from epitome_kit.images import load_mask
from epitome_kit.preprocess.pipeline import preprocess_cohort
from epitome_kit.profiles import profile
from epitome_kit.simulate.phantom import make_phantom_cohort
from epitome_kit.tumour.coverage import coverage_by, interval_ratio, shuffle_volumes, size_groups
from epitome_kit.tumour.fit import UNetSettings
from epitome_kit.tumour.intervals import VOLUME_LEVEL, add_intervals, pool_scores, score_volumes
from epitome_kit.tumour.measure import measure_tumour
from epitome_kit.tumour.outline import compare_outline, mask_path
from epitome_kit.tumour.segment import predict_tumours, read_card, segment_cohort

QUICK = profile("quick")
SUBJECTS = 48
SEEDS = range(100, 108)
BUILD = Path("build/volume-coverage")
RESULTS = Path(__file__).with_name("volume_coverage.md")
WHOLE, SLICES = "whole tumour", "three slices"
HEADS = """| calibrated on | reference | intervals given | coverage | coverage of each cohort | median high / low |
|---|---|---|---|---|---|"""


def outline_cohort(seed: int, *, trained: bool, workers: int) -> pd.DataFrame:
    """Segment a simulated cohort; return its table, with what three annotated slices show of each tumour."""
    name = f"seed-{seed}_{'trained' if trained else 'shipped'}"
    kept = BUILD / f"{name}.tsv"
    if kept.is_file():
        return read_tsv(kept)
    bids, preprocessed, out = (BUILD / f"seed-{seed}" / part for part in ("bids", "preprocessed", name))
    cohort = make_phantom_cohort(bids, subjects=SUBJECTS, seed=seed, workers=workers)
    preprocess_cohort(cohort, preprocessed, spacing_mm=QUICK.template_spacing_mm, workers=workers)
    settings = UNetSettings(epochs=QUICK.unet_epochs)
    if trained:
        tumours = segment_cohort(cohort, preprocessed, out, folds=QUICK.folds, settings=settings, workers=workers)
    else:
        tumours = predict_tumours(cohort, preprocessed, out, workers=workers)
    tumours = tumours.merge(_on_slices(cohort, out), on="participant_id")
    write_tsv(kept, tumours)
    return tumours


def _on_slices(cohort: Cohort, out: PathLike) -> pd.DataFrame:
    """Compare the outlines with the annotation of three slices, and estimate the whole from these as an ellipsoid."""
    rows = []
    for each in cohort:
        compared = compare_outline(replace(each, truth=None), load_mask(mask_path(out, each.id)))
        size = measure_tumour(each.annotation, annotated_slices=each.annotated_slices)
        rows.append(
            {
                "participant_id": each.id,
                "slices_compared": compared["compared_volume_voxels"],
                "slices_reference": compared["reference_volume_voxels"],
                "ellipsoid_low_ml": size.ellipsoid_volume_low_ml,
                "ellipsoid_high_ml": size.ellipsoid_volume_high_ml,
            }
        )
    return pd.DataFrame(rows)


def as_known(tumours: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return a table without its intervals, as if the reference were the whole tumour, or three slices of it."""
    bare = tumours.drop(columns=[name for name in tumours if "_low_" in name or "_high_" in name])
    if reference == WHOLE:
        return bare
    seen = {"compared_volume_voxels": bare.slices_compared, "reference_volume_voxels": bare.slices_reference}
    return bare.assign(reference="annotated slices", **seen)


def tested(intervals: pd.DataFrame, tumours: pd.DataFrame) -> pd.DataFrame:
    """Compare intervals with the true whole volumes, whatever they were calibrated with."""
    true = tumours.reference_volume_voxels
    held = (intervals.volume_low_voxels <= true) & (true <= intervals.volume_high_voxels)
    known = held.astype(object).where(intervals.volume_high_voxels.notna())
    return intervals.assign(covered=known, reference_volume_voxels=true)


def calibrated_within(tumours: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Calibrate each subject on the other folds of its cohort."""
    return tested(add_intervals(as_known(tumours, reference), unseen=read_card()["unseen"]), tumours)


def calibrated_elsewhere(tumours: pd.DataFrame, other: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Calibrate all subjects on those of another cohort."""
    scores = pool_scores(score_volumes(as_known(other, reference), read_card()["unseen"]))
    return tested(add_intervals(as_known(tumours, reference), scores), tumours)


def guessed(tumours: pd.DataFrame, reference: str, seed: int) -> pd.DataFrame:
    """Calibrate outlines that were dealt to the wrong subjects."""
    wrong = shuffle_volumes(as_known(tumours, reference), seed=seed)
    return tested(add_intervals(wrong, unseen=read_card()["unseen"]), tumours)


def describe(what: str, reference: str, tables: list[pd.DataFrame], cohorts: int) -> str:
    """Write one row: pooled coverage, its interval and range over cohorts, and the median width."""
    pooled = pd.concat(tables, ignore_index=True)
    given = pooled.covered.notna()
    each = np.array([table.covered.dropna().astype(bool).mean() for table in tables])
    half = t.ppf(interval_quantiles()[1], cohorts - 1) * each.std(ddof=1) / np.sqrt(cohorts)
    mean = pooled.covered[given].astype(bool).mean()
    cells = (
        *(what, reference, f"{given.sum()} of {len(pooled)}"),
        f"{mean:.3f} ({mean - half:.3f} to {min(mean + half, 1):.3f})",
        f"{each.min():.2f} to {each.max():.2f}, sd {each.std(ddof=1):.3f}",
        f"{interval_ratio(pooled).median():.2f}",
    )
    return "| " + " | ".join(cells) + " |"


def report(trained: list[pd.DataFrame], shipped: list[pd.DataFrame]) -> str:
    """Write the tables of coverage and width."""
    n, rows, sizes = len(trained), [], []
    for reference in (WHOLE, SLICES):
        within = [calibrated_within(each, reference) for each in trained]
        pairs = [calibrated_elsewhere(*pair, reference) for pair in permutations(trained, 2)]
        guesses = [guessed(each, reference, seed) for seed, each in enumerate(trained)]
        rows += [
            describe("other folds of the cohort", reference, within, n),
            describe("another cohort", reference, pairs, n),
            describe("other folds, outlines of the wrong subjects", reference, guesses, n),
        ]
        pooled = pd.concat(within, ignore_index=True)
        for part in coverage_by(pooled, size_groups(pooled)).itertuples():
            bounds = f"{part.coverage:.3f} ({part.coverage_low:.3f} to {part.coverage_high:.3f})"
            sizes.append(f"| {part.group} | {reference} | {part.n} | {bounds} | {part.ratio:.2f} |")
    scores = read_card()["misfits"]
    own = [tested(add_intervals(as_known(each, WHOLE), scores), each) for each in shipped]
    rows.append(describe("64 patients of its training, for the shipped network as it is", "whole tumour", own, n))
    ellipsoid = pd.concat(trained, ignore_index=True)
    held = ellipsoid.reference_volume_ml.between(ellipsoid.ellipsoid_low_ml, ellipsoid.ellipsoid_high_ml).mean()
    ratio = (ellipsoid.ellipsoid_high_ml / ellipsoid.ellipsoid_low_ml).median()
    return f"""# Coverage and width of the intervals of volumes

Written by `make volume-coverage`: {n} simulated cohorts of {SUBJECTS}, seeds {SEEDS[0]} to {SEEDS[-1]}, 2 mm; U-Nets of
{QUICK.folds} folds, fine-tuned for {QUICK.unet_epochs} epochs on three annotated slices. Nominal level {VOLUME_LEVEL:.0%}. Each
interval is compared with the true volume of the whole tumour, in subjects that did not calibrate it. In brackets: 95 %
interval, by Student's t over the cohorts. high / low is the ratio of the limits of an interval.

{HEADS}
{chr(10).join(rows)}

Coverage is as good for outlines of the wrong subjects: calibration sees to that. Only the width shows that they are wrong.

By size, calibrated on the other folds (in brackets: Clopper-Pearson):

| size | reference | n | coverage | median high / low |
|---|---|---|---|---|
{chr(10).join(sizes)}

The estimate of the whole from three annotated slices as an ellipsoid (`epitome measure`), nominal level 95 %, contained
{held:.3f} of {len(ellipsoid)} volumes; median high / low {ratio:.2f}.
"""


def main(workers: int = 1) -> None:
    """Segment all cohorts, and write coverage and width of their intervals."""
    trained, shipped = [], []
    for seed in SEEDS:
        shipped.append(outline_cohort(seed, trained=False, workers=workers))
        trained.append(outline_cohort(seed, trained=True, workers=workers))
        shutil.rmtree(BUILD / f"seed-{seed}", ignore_errors=True)
    text = report(trained, shipped)
    write_text(RESULTS, text)
    print(text)


if __name__ == "__main__":
    typer.run(main)
