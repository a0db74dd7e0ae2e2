"""What the features of the grading pipeline are worth: the same folds with parts of them left out.

    make ablations
    PYTHONPATH=. .venv/bin/python benchmarks/ablations.py --cohorts 1

The network of notebook 03 estimates traits of tumours that it learned from simulated
tumours with known latent variables, and the label of a phantom depends on the same
variables. So on phantoms the full pipeline has had privileged training. The rows say how
much of its AUC is left without the estimates of traits, with a network that starts from
random weights, and with handcrafted features alone, and what the estimates are worth
without any label of the cohort. Each cohort of 48 phantoms has a seed of its own that no
weights were trained on; finished cohorts are kept in the folder `--out`. The result is
benchmarks/ablations.md.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

import epitome_kit as ek
from epitome_kit import __version__
from epitome_kit.cohort import Cohort
from epitome_kit.files import read_json, write_json
from epitome_kit.grade.evaluate import build_scoreboard, cross_validate
from epitome_kit.learn import add_probes, handcrafted_features, merge_features
from epitome_kit.learn.cnn import TRAITS
from epitome_kit.metrics import auc
from epitome_kit.simulate import cohort_oracle_auc
from epitome_kit.simulate.latents import LATENTS

RESULT = Path(__file__).with_suffix(".md")
PROFILE = "quick"
FULL = "all features: the network of the kit"
_FIRST_SEED = 7000
_NAMES = {
    "logistic": "all features: logistic regression",
    "random_forest": "all features: random forest",
    "perceptron": "all features: multilayer perceptron",
    "volume": "volume alone: logistic regression",
}


def main(
    cohorts: Annotated[int, typer.Option(help="Number of cohorts.")] = 4,
    out: Annotated[Path, typer.Option(help="Folder of cohorts and results.")] = Path("build/ablations"),
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Grade every cohort in all rows, and write the table."""
    found = pd.DataFrame([_run(out / f"seed-{seed}", seed, workers) for seed in _seeds(cohorts)])
    RESULT.write_text(describe(found), encoding="utf-8")
    print(f"Open {RESULT}")


def describe(aucs: pd.DataFrame) -> str:
    """Write the table: one column per row of the ladder, one row per cohort, in Markdown."""
    subjects = ek.profile(PROFILE).subjects
    lines = [
        "# What the features of the grading pipeline are worth on phantoms",
        "",
        f"Written by `make ablations` (epitome-kit {__version__}): mean AUC over {len(aucs)} cohorts of {subjects} "
        "phantoms, out of fold, ± its standard error over cohorts, and the difference to the first row, paired by "
        "cohort. Development data: cohorts of the same simulator as the one that the networks learned from.",
        "",
        "| trained on | AUC | AUC of the first row less this |",
        "|---|---:|---:|",
    ]
    for name, values in aucs.items():
        change = "" if name == FULL else _mean(aucs[FULL] - values)
        lines.append(f"| {name} | {_mean(values)} | {change} |")
    return "\n".join(lines) + "\n"


def _mean(values: pd.Series) -> str:
    error = f" ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{error}"


def _seeds(cohorts: int) -> Iterator[int]:
    yield from range(_FIRST_SEED, _FIRST_SEED + cohorts)


def _run(folder: Path, seed: int, workers: int) -> dict[str, float]:
    """Return the AUC of each row on one cohort, unless it is kept."""
    result = folder / "aucs.json"
    if not result.is_file():
        size = ek.profile(PROFILE)
        cohort = ek.make_phantom_cohort(
            folder / "cohort", subjects=size.subjects, seed=seed, profile=PROFILE, workers=workers
        )
        preprocessed = folder / "preprocessed"
        ek.preprocess_cohort(cohort, preprocessed, spacing_mm=size.template_spacing_mm, workers=workers)
        write_json(result, _grade(cohort, preprocessed, folder, seed, workers))
    return read_json(result)


def _grade(cohort: Cohort, preprocessed: Path, folder: Path, seed: int, workers: int) -> dict[str, float]:
    learned, handcrafted = _learn(cohort, preprocessed, folder / "pretrained", seed)
    fresh, fresh_handcrafted = _learn(cohort, preprocessed, folder / "random", seed, pretrained=False)
    plain = merge_features(learned, handcrafted)
    merged = add_probes(plain, cohort)
    score = partial(_auc, folder=folder, seed=seed, workers=workers)
    results, _ = cross_validate(merged, folder, seed=seed, workers=workers, name="all")
    scores = build_scoreboard(results, merged, seed=seed)
    others = {**scores["baselines"], **scores["probes"]}
    return {
        FULL: scores["auc"],
        **{text: others[name]["auc"] for name, text in _NAMES.items()},
        "without the estimates of traits": score(plain.drop(columns=list(TRAITS)), name="without traits"),
        "a network from random weights, and handcrafted": score(
            merge_features(fresh, fresh_handcrafted), name="random start"
        ),
        "handcrafted features alone": score(handcrafted, name="handcrafted"),
        "traits weighted as in the simulation, no label of the cohort": _zero_shot(learned),
        "oracle on the latent variables of this cohort": cohort_oracle_auc(cohort, "grade") or np.nan,
    }


def _learn(
    cohort: Cohort, preprocessed: Path, out: Path, seed: int, *, pretrained: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    size = ek.profile(PROFILE)
    learned = ek.learn_features(
        cohort, preprocessed, out, folds=size.folds, epochs=size.cnn_epochs, seed=seed, pretrained=pretrained
    )
    return learned, handcrafted_features(cohort, preprocessed, out)


def _auc(table: pd.DataFrame, *, name: str, folder: Path, seed: int, workers: int) -> float:
    results, _ = cross_validate(table, folder, seed=seed, workers=workers, baselines=False, name=name)
    return build_scoreboard(results, table, seed=seed)["auc"]


def _zero_shot(learned: pd.DataFrame) -> float:
    """Score the sum of the estimated traits, each weighted by its shift from grade 2 to grade 3 in the simulation."""
    tested = learned[learned.role == "test"]
    weights = np.array([latent.grade_3 for latent in LATENTS.values()])
    return auc(tested.label.to_numpy(int), tested[list(TRAITS)].to_numpy() @ weights)


if __name__ == "__main__":
    typer.run(main)
