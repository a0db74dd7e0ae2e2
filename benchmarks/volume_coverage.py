"""Coverage and width of the intervals of tumour volumes, on simulated cohorts whose truth is known.

    make volume-coverage
    make volume-coverage ARGS=--train
    python benchmarks/volume_coverage.py --workers 2

Eight cohorts of 48 phantoms, none of them the built-in one, are preprocessed at the quick
profile and segmented by the shipped network, which has seen none of them; with `--train`
also by networks that are fine-tuned out of fold on three annotated slices. The intervals
are calibrated once with the whole tumours of some subjects, and once with three annotated
slices of them; others are tested, against the true volume of the whole tumour in both
cases. Interrupted work is resumed. Writes `benchmarks/volume_coverage.md` after each
cohort; takes about an hour on two free cores, and half an hour more with `--train`.
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
from epitome_kit.folds import make_equal_folds
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
    known = as_known(tumours, reference)
    return tested(add_intervals(known, unseen=read_card()["unseen"], apart=_folds(known)), tumours)


def _folds(tumours: pd.DataFrame) -> pd.Series:
    """Return the fold of each subject; without one, the fold that it would have."""
    folds = make_equal_folds(list(tumours.participant_id), folds=QUICK.folds, seed=0)
    return tumours.get("fold", pd.Series(folds, tumours.index))


def calibrated_elsewhere(tumours: pd.DataFrame, other: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Calibrate all subjects on those of another cohort."""
    scores = pool_scores(score_volumes(as_known(other, reference), read_card()["unseen"]))
    return tested(add_intervals(as_known(tumours, reference), scores), tumours)


def guessed(tumours: pd.DataFrame, reference: str, seed: int) -> pd.DataFrame:
    """Calibrate outlines that were dealt to the wrong subjects."""
    wrong = shuffle_volumes(as_known(tumours, reference), seed=seed)
    return tested(add_intervals(wrong, unseen=read_card()["unseen"], apart=_folds(wrong)), tumours)


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


def coverage_tables(cohorts: list[pd.DataFrame]) -> str:
    """Write coverage and width by what calibrated the intervals, and by size."""
    n, rows, sizes = len(cohorts), [], []
    for reference in (WHOLE, SLICES):
        within = [calibrated_within(each, reference) for each in cohorts]
        pairs = [calibrated_elsewhere(*pair, reference) for pair in permutations(cohorts, 2)]
        guesses = [guessed(each, reference, seed) for seed, each in enumerate(cohorts)]
        rows += [
            describe("other folds of the cohort", reference, within, n),
            describe("another cohort, all pairs", reference, pairs, n),
            describe("other folds, volumes of the wrong subjects", reference, guesses, n),
        ]
        pooled = pd.concat(within, ignore_index=True)
        for part in coverage_by(pooled, size_groups(pooled)).itertuples():
            bounds = f"{part.coverage:.3f} ({part.coverage_low:.3f} to {part.coverage_high:.3f})"
            sizes.append(f"| {part.group} | {reference} | {part.n} | {bounds} | {part.ratio:.2f} |")
    if "fold" not in cohorts[0]:
        own = [tested(add_intervals(as_known(each, WHOLE), read_card()["misfits"]), each) for each in cohorts]
        rows.append(describe("the 64 patients of its card", WHOLE, own, n))
    return "\n".join([HEADS, *rows, "", SIZES, *sizes, ""])


HEADS = """| calibrated on | reference | intervals given | coverage | coverage of each cohort | median high / low |
|---|---|---|---|---|---|"""
SIZES = """| size, other folds | reference | n | coverage (Clopper-Pearson) | median high / low |
|---|---|---|---|---|"""


def report(shipped: list[pd.DataFrame], trained: list[pd.DataFrame]) -> str:
    """Write the whole page."""
    everybody = pd.concat(shipped, ignore_index=True)
    held = everybody.reference_volume_ml.between(everybody.ellipsoid_low_ml, everybody.ellipsoid_high_ml).mean()
    ratio = (everybody.ellipsoid_high_ml / everybody.ellipsoid_low_ml).median()
    parts = [
        f"""# Coverage and width of the intervals of volumes

Written by `make volume-coverage`: {len(shipped)} simulated cohorts of {SUBJECTS}, seeds from {SEEDS[0]}, voxels of
2 mm, nominal level {VOLUME_LEVEL:.0%}. Each interval is compared with the true volume of the whole tumour, in
subjects that did not calibrate it, whether whole tumours or three slices of each calibrated it. In brackets: 95 %
interval of the mean coverage, by Student's t over the cohorts. high / low is the ratio of the limits.

Volumes of the wrong subjects stand for a network that guesses. Calibration with whole tumours gives them the same
coverage, and only the width shows that they are wrong. With three slices their coverage is lower: how much lies
outside the slices is read off the outline.

The estimate of the whole from three annotated slices as an ellipsoid (`epitome measure`, nominal level 95 %) held
{held:.3f} of {len(everybody)} volumes; median high / low {ratio:.2f}.

## The shipped network, which was trained on none of these cohorts
""",
        coverage_tables(shipped),
    ]
    if len(trained) > 1:
        settings = f"{QUICK.folds} folds, {QUICK.unet_epochs} epochs on three slices, {len(trained)} cohorts"
        parts += [f"## Networks fine-tuned out of fold ({settings})\n", coverage_tables(trained)]
    return "\n".join(parts)


def main(workers: int = 1, train: bool = False) -> None:
    """Segment all cohorts, and write coverage and width of their intervals."""
    shipped: list[pd.DataFrame] = []
    trained: list[pd.DataFrame] = []
    for seed in SEEDS:
        shipped.append(outline_cohort(seed, trained=False, workers=workers))
        if train:
            trained.append(outline_cohort(seed, trained=True, workers=workers))
        shutil.rmtree(BUILD / f"seed-{seed}", ignore_errors=True)
        if len(shipped) > 1:
            write_text(RESULTS, report(shipped, trained))
    print(RESULTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    typer.run(main)
