"""A workspace that can grade a head, made in seconds: networks that learned nothing from tables that mean nothing."""

import numpy as np
import pandas as pd
from made_workspace import SCORES

from epitome_kit.files import write_json, write_tsv
from epitome_kit.grade.grader import Grader, join
from epitome_kit.learn.cnn import build_cnn, feature_names
from epitome_kit.learn.handcrafted import describe_region
from epitome_kit.learn.pretrained import start_from_simulation
from epitome_kit.learn.train import fold_model_path
from epitome_kit.preprocess.registration import template_grid

CONTRASTS = ("T1ce", "T2w")
SUBJECTS = 30


def make_model(workspace):
    """Write what `grade_head` reads; features of the cohort are random. Returns the workspace."""
    shape = template_grid(3.0)[1]
    model = build_cnn(CONTRASTS, tuple(shape))
    start_from_simulation(model)
    fold_model_path(workspace, 0).parent.mkdir(parents=True)
    model.save(fold_model_path(workspace, 0))
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"participant_id": [f"sub-{number:02d}" for number in range(SUBJECTS)], "fold": 1})
    rows["role"], rows["label"] = ["train"] * 24 + ["test"] * 6, np.arange(SUBJECTS) % 2
    measured = describe_region(np.zeros((9, 9, 9, 2)), np.zeros((9, 9, 9)), 3.0, CONTRASTS)
    tables = {}
    for name, columns in (("features", feature_names(CONTRASTS)), ("handcrafted", list(measured))):
        values = pd.DataFrame(1000 * rng.standard_normal((SUBJECTS, len(columns))), columns=columns)
        tables[name] = pd.concat([rows, values], axis=1)
        write_tsv(workspace / f"{name}.tsv", tables[name])
    chosen = feature_names(CONTRASTS)[:4] + list(measured)[:4]
    x = tables["features"].merge(tables["handcrafted"], on=list(rows))[chosen].to_numpy(np.float32)
    grader = Grader(epochs=2).fit(x, rows.label.to_numpy())
    join([grader], [np.arange(8)], 8).save(workspace / "ann.keras")
    write_json(workspace / "ann.json", {"features": chosen, "subjects": 24})
    found = pd.DataFrame({"participant_id": rows.participant_id, "repeat": 1, "fold": 1, "label": rows.label})
    found["probability"] = np.clip(0.5 + 0.1 * (found.label - 0.5) + 0.1 * rng.standard_normal(SUBJECTS), 0.05, 0.95)
    write_tsv(workspace / "predictions.tsv", found.assign(calibrated=found.probability))
    write_json(workspace / "scores.json", {**SCORES, "positive": "3"})
    write_json(workspace / "parameters.json", {"cohort": "phantom", "profile": "quick"})
    return workspace
