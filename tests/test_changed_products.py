"""Files of a finished run, changed one at a time: the same command finds each and makes the same figures again."""

import shutil

import pytest
from typer.testing import CliRunner

from epitome_kit.cli import app
from epitome_kit.files import read_json
from epitome_kit.workspace import Workspace

CHANGES = [
    ("audit.tsv", "cut"),
    ("dataset.xlsx", "flipped"),
    ("figures/01_*.png", "cut"),
    ("notebooks/01_*.ipynb", "edited"),
    ("preprocessed/sub-001/anat/*_desc-preproc_T2w.nii.gz", "other"),
    ("preprocessed/sub-002/anat/*_ce-*preproc_T1w.nii.gz", "cut"),
    ("preprocessed/sub-002/anat/*_desc-preproc_*.nii.gz", "flipped"),
    ("preprocessed/sub-003/anat/*desc-brain_mask.nii.gz", "other"),
    ("preprocessed/sub-003/anat/*_xfm.txt", "edited"),
    ("preprocessed/sub-004/anat/*_biasfield.nii.gz", "zeros"),
    ("preprocessed/sub-005/anat/*_quality.json", "edited"),
    ("preprocessed/sub-005/anat/*_quality.json", "cut"),
    ("preprocessed/quality.tsv", "zeros"),
    ("preprocessed/excluded.tsv", "zeros"),
    ("preprocessed/participants.tsv", "edited"),
    ("features.tsv", "cut"),
    ("features.tsv", "edited"),
    ("handcrafted.tsv", "edited"),
    ("cnn.keras", "cut"),
    ("cnn/fold-1.keras", "flipped"),
    ("cnn/fold-2_features.tsv", "edited"),
    ("cnn/settings.json", "cut"),
    ("cnn/history.tsv", "zeros"),
    ("scores.json", "edited"),
    ("scores.json", "cut"),
    ("predictions.tsv", "edited"),
    ("baselines.tsv", "cut"),
    ("selected.tsv", "removed"),
    ("ann.keras", "flipped"),
    ("ann.json", "edited"),
    ("folds/*_fold-1.json", "edited"),
    ("figures/*.png", "cut"),
    ("tumours.tsv", "edited"),
    ("tumours.tsv", "zeros"),
    ("masks/sub-001_*_mask.nii.gz", "other"),
    ("masks/sub-002_outline.json", "edited"),
    ("unet/fold-1.keras", "flipped"),
    ("unet/settings.json", "cut"),
    ("epitomes/grade-2/*_desc-epitome.json", "edited"),
    ("epitomes/grade-2/*usage*.nii.gz", "flipped"),
    ("case/case.json", "cut"),
    ("case/case.html", "edited"),
    ("log.jsonl", "zeros"),
    ("parameters.json", "zeros"),
    ("provenance.json", "cut"),
    ("manifest.json", "edited"),
    ("summary.json", "edited"),
    ("index.html", "cut"),
    ("../cohorts/phantom*/sub-001/anat/*_T2w.nii.gz", "other"),
    ("../cohorts/phantom*/derivatives/truth/sub-002/anat/*_latents.json", "edited"),
]
"""Files, as patterns of which the first match is taken, and what is done to each."""


def change(folder, pattern, how):
    """Change a file of a workspace, and return it."""
    path, *others = sorted(folder.glob(pattern)) or pytest.fail(f"the run wrote no {pattern}")
    content = path.read_bytes()
    half = len(content) // 2
    changed = {
        "cut": content[:half],
        "zeros": bytes(len(content)),
        "flipped": content[:half] + bytes([content[half] ^ 0xFF]) + content[half + 1 :],
        "edited": content.replace(b"1", b"7").replace(b"0.", b"0.9"),
    }
    path.unlink()
    if how == "other":
        other = next(each for each in [*others, *_siblings(path)] if each.read_bytes() != content)
        shutil.copyfile(other, path)
    elif how != "removed":
        path.write_bytes(changed[how])
        assert changed[how] != content
    return path


def _siblings(path):
    """List the same file of the other subjects."""
    rest = path.name.partition("_")[2]
    found = [*path.parent.glob(f"sub-*_{rest}"), *path.parents[2].glob(f"sub-*/{path.parent.name}/sub-*_{rest}")]
    return sorted(each for each in found if each.name != path.name)


@pytest.mark.soak
@pytest.mark.parametrize(("pattern", "how"), CHANGES)
def test_the_run_makes_the_same_figures_again(smoke_run, tmp_path, pattern, how):
    runs = tmp_path / "runs"
    shutil.copytree(smoke_run.parent, runs, symlinks=True)
    workspace = runs / smoke_run.name
    before = read_json(Workspace(workspace).summary)
    path = change(workspace, pattern, how)
    answer = CliRunner().invoke(app, ["run", "--profile", "smoke", "--out", str(workspace)])
    output = answer.output
    assert answer.exit_code == 0 and "Traceback" not in output, output
    assert path.name in output or path.stem in output or "manifest" in output, output
    after = read_json(Workspace(workspace).summary)
    for part in ("cohort", "preprocess", "grading", "tumour", "case"):
        assert after[part] == before[part], (part, before[part], after[part])
