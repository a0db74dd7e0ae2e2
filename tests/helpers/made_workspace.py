"""A workspace with made-up but plausible content, for the tests of the report and of its page."""

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from epitome_kit.cohort import image_path, truth_folder, write_dataset
from epitome_kit.files import write_json, write_text, write_tsv

NOTEBOOKS = ("01_inspect_dataset", "02_preprocess", "03_learn_cnn_features", "04_grade_with_ann", "05_extract_tumour")

SCORES = {
    "target": "grade",
    "n": 46,
    "class_counts": {"2": 30, "3": 16},
    "auc": 0.8125,
    "auc_ci95": [0.68, 0.92],
    "accuracy": 0.7609,
    "accuracy_ci95": [0.62, 0.86],
    "balanced_accuracy": 0.7354,
    "balanced_accuracy_ci95": [0.6, 0.86],
    "sensitivity": 0.6875,
    "specificity": 0.8,
    "majority_accuracy": 0.6522,
    "brier": 0.19,
    "confusion_matrix": [[24, 6], [5, 11]],
    "oracle_auc": 0.9,
    "oracle_auc_cohort": 0.93,
    "folds": 5,
    "repeats": 1,
}


def make_workspace(folder, *, simulated=True, subjects=48, figures=False):
    """Make ``folder/runs/made_quick_grade`` and the cohort it speaks of; return the workspace."""
    cohort = _make_cohort(folder / "cohort", simulated, subjects)
    workspace = folder / "runs" / "made_quick_grade"
    shared = {"cohort": str(cohort), "out": str(workspace), "profile": "quick", "target": "grade"}
    write_json(workspace / "parameters.json", {**shared, "subjects": 0, "seed": 0, "workers": 2})
    versions = {"epitome-kit": "0.1.0", "python": "3.11.7", "numpy": "2.3.1", "keras": "3.11.0"}
    provenance = {"versions": versions, "git_commit": "0" * 40, "platform": "Linux", "cpu_count": 2, "memory_gb": 8.0}
    times = {"started": "2026-03-02T09:00:00+00:00", "ended": "2026-03-02T09:05:12+00:00"}
    write_json(workspace / "provenance.json", {**provenance, "seed": 0, **times})
    write_text(workspace / "log.jsonl", "")
    for number, name in enumerate(NOTEBOOKS):
        _make_notebook(workspace / "notebooks" / f"{name}.ipynb", name, seconds=20.5 + 40 * number)
    _make_tables(workspace, simulated, [f"sub-{number:03d}" for number in range(1, subjects + 1)])
    write_json(
        workspace / "scores.json", SCORES if simulated else {**SCORES, "oracle_auc": None, "oracle_auc_cohort": None}
    )
    if figures:
        _make_figures(workspace / "figures")
    return workspace


def _make_cohort(root, simulated, subjects):
    names = [f"sub-{number:03d}" for number in range(1, subjects + 1)]
    for name in names:
        path = image_path(root, name, "T2w")
        path.parent.mkdir(parents=True)
        path.touch()
        if simulated:
            truth_folder(root, name).mkdir(parents=True)
    grades = [2] * (subjects * 2 // 3) + [3] * (subjects - subjects * 2 // 3)
    people = pd.DataFrame({"participant_id": names, "grade": grades})
    left_out = [("case-17", "expected a 3-D image; received shape (64, 64, 30, 4) from case-17_T2w.nii.gz")]
    write_dataset(root, name="Made-up gliomas", readme="Made up.", participants=people, excluded=left_out)
    return root


def _make_tables(workspace, simulated, names):
    random = np.random.default_rng(0)
    n = len(names) - 2
    quality = pd.DataFrame({"participant_id": names[:n], "seconds": 2.0})
    truth = {
        "brain_mask_dice": random.normal(0.952, 0.01, n),
        "bias_residual_sd": random.normal(0.035, 0.004, n),
        "registration_error_mm": random.normal(1.4, 0.3, n),
    }
    write_tsv(
        workspace / "preprocessed" / "quality.tsv", quality.assign(**(truth if simulated else dict.fromkeys(truth)))
    )
    gone = [(name, "expected a volume with contrast; received every voxel equal to 0") for name in names[n:]]
    write_tsv(workspace / "preprocessed" / "excluded.tsv", pd.DataFrame(gone, columns=["id", "reason"]))
    dice = np.clip(random.normal(0.81, 0.08, n), 0, 1)
    error = random.normal(-3, 14, n)
    write_tsv(
        workspace / "tumours.tsv", pd.DataFrame({"participant_id": names[:n], "dice": dice, "volume_error_pct": error})
    )
    write_tsv(
        workspace / "features.tsv", pd.DataFrame({"participant_id": names[:n], "feature_01": random.normal(size=n)})
    )


def _make_notebook(path, name, seconds):
    cell = new_code_cell("print(1)", execution_count=1, outputs=[new_output("stream", text="1\n")])
    record = {"seconds": seconds, "tree_peak_rss_mb": 710, "peak_rss_mb": 640}
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"epitome_kit": record, "language_info": {"name": "python"}}
    nbformat.write(new_notebook(cells=[new_markdown_cell(f"# {name}"), cell], metadata=metadata), path)


def _make_figures(folder):
    folder.mkdir()
    _draw_slices(folder / "01_montage.png", 4, "Four subjects, one axial slice each; the tumour outline is orange.")
    _draw_bars(folder / "01_classes.png", "Thirty-two subjects of grade II and sixteen of grade III.")
    _draw_slices(folder / "02_before_after.png", 2, "One scan before and after preprocessing: the shading is gone.")
    _draw_bars(folder / "02_quality.png", "Brain-mask Dice of every subject, all above 0.92.")
    _draw_slices(
        folder / "03_saliency.png", 3, "What the network looks at: the brightest spots lie on the tumour's rim."
    )
    _draw_roc(folder / "04_roc.png", "ROC curve over 46 subjects: AUC 0.81, far above the diagonal of chance.")
    _draw_bars(folder / "04_selected.png", "How often each feature was chosen in the five folds.")
    _draw_slices(folder / "05_epitome.png", 3, "Tumour masks: predicted in orange, true in green.")


def _save(figure, path, text):
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Description": text})
    plt.close(figure)


def _draw_slices(path, count, text):
    i, j = np.mgrid[-1:1:96j, -1:1:96j]
    figure, axes = plt.subplots(1, count, figsize=(2.6 * count, 2.6))
    for number, axis in enumerate(axes):
        noise = np.random.default_rng(number).normal(0, 0.04, i.shape)
        brain = (i**2 + (j / 0.8) ** 2 < 0.8) * (0.5 + 0.2 * np.sin(9 * i + number) * np.cos(8 * j))
        tumour = (i - 0.2) ** 2 + (j - 0.3 + 0.1 * number) ** 2 < 0.05
        axis.imshow(brain + noise + 0.4 * tumour, cmap="gray", vmin=0)
        axis.contour(tumour, levels=[0.5], colors="#E69F00")
        axis.set(xticks=[], yticks=[], title=f"sub-{number + 1:03d}")
    _save(figure, path, text)


def _draw_bars(path, text):
    figure, axis = plt.subplots(figsize=(5, 3.2))
    axis.bar(range(12), np.random.default_rng(1).uniform(0.3, 1, 12), color="#0072B2")
    axis.set(xlabel="number", ylabel="share")
    _save(figure, path, text)


def _draw_roc(path, text):
    figure, axis = plt.subplots(figsize=(5, 3.2))
    axis.plot(np.linspace(0, 1, 50), np.linspace(0, 1, 50) ** 0.25, color="#0072B2")
    axis.plot([0, 1], [0, 1], "--", color="#6E6E6E")
    axis.set(xlabel="1 - specificity", ylabel="sensitivity")
    _save(figure, path, text)
