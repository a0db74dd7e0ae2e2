"""The built wheel in clean environments: what the core does without extras, and all six notebooks with them."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig

import nbformat
import numpy as np
import pandas as pd
import pytest
from tiny import ROOT, head, lesion, write_cohort

from epitome_kit.images import save_image

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(3600)]

UV = shutil.which("uv", path=sysconfig.get_path("scripts")) or "uv"
SCRIPTS, SUFFIX = ("Scripts", ".exe") if sys.platform == "win32" else ("bin", "")
HEAVY = {"tensorflow", "keras", "h5py", "jupyterlab", "papermill", "ipykernel", "ipywidgets", "ipython"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the sources as they are."""
    folder = tmp_path_factory.mktemp("dist")
    by_hash = ["--require-hashes", "--build-constraints", ROOT / "requirements.lock"]
    subprocess.run([UV, "build", "--wheel", "--quiet", *by_hash, "--out-dir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


def _install(folder, wheel, extras=""):
    """Install the wheel in a new environment, with whatever versions the index has; returns `epitome` to call."""
    subprocess.run([UV, "venv", "--quiet", "--seed", "--python", sys.executable, folder], check=True)
    python = folder / SCRIPTS / f"python{SUFFIX}"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, f"{wheel}{extras}"], check=True)
    bare = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KERAS_BACKEND")}
    bare["PATH"] = os.pathsep.join([str(folder / SCRIPTS), bare["PATH"]])

    def epitome(*words, code=0, script="epitome"):
        command = [folder / SCRIPTS / f"{script}{SUFFIX}", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder.parent, env=bare)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return epitome


@pytest.fixture(scope="module")
def core(wheel, tmp_path_factory):
    """`epitome` of the wheel without any extra."""
    return _install(tmp_path_factory.mktemp("core") / "env", wheel)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Sixty subjects, two features that tell of the label and six that do not."""
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    features = pd.DataFrame(rng.normal(size=(60, 8))).add_prefix("f")
    features.f0, features.f1 = features.f0 + 1.5 * label, features.f1 - label
    path = tmp_path_factory.mktemp("table") / "features.csv"
    features.assign(patient=[f"p{number}" for number in range(60)], grade=label + 2).to_csv(path, index=False)
    return path


def test_the_core_is_light(core):
    listed = core("-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))", script="python")
    installed = {name.lower() for name in listed.stdout.split()}
    assert "epitome-kit" in installed or "epitome_kit" in installed
    assert not installed & HEAVY


def test_the_core_imports_and_inspects_a_cohort(core, tmp_path):
    source, adopted = write_cohort(tmp_path / "bids"), tmp_path / "adopted"
    assert "cohort" in core("--help").stdout
    core("cohort", "bids", source, adopted)
    assert (adopted / "participants.tsv").is_file()
    assert "FLAIR" in core("inspect", adopted).stdout
    scan = next(source.rglob("*FLAIR.nii.gz"))
    assert "FLAIR" in core("contrasts", scan).stdout


def test_the_core_measures_a_mask(core, tmp_path):
    save_image(lesion(head()), tmp_path / "mask.nii.gz")
    size = json.loads(core("measure", tmp_path / "mask.nii.gz", "--json").stdout)
    assert size["volume_ml"] == pytest.approx(27 * 2 * 2 * 3 / 1000)


def test_the_core_grades_a_table_by_its_baselines(core, table, tmp_path):
    out = tmp_path / "graded"
    done = core("grade", table, "--label", "grade", "--id", "patient", "--repeats", 2, "--out", out, "--json")
    scores = json.loads(done.stdout)
    assert (scores["model"], set(scores["baselines"])) == ("logistic", {"majority", "random_forest", "perceptron"})
    assert (scores["folds"], scores["repeats"], scores["n"]) == (5, 2, 60)
    for model in (scores, scores["baselines"]["random_forest"]):
        low, high = model["auc_ci95"]
        assert 0.6 < low < model["auc"] < high <= 1
    assert re.search(r"network is left out.*epitome-kit\[train\]", done.stderr, re.DOTALL)
    assert (out / "scoreboard.png").is_file() and not (out / "ann.keras").exists()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("train", ("strip", "head.nii.gz", "--mask", "mask.nii.gz")),
        ("train", ("segment", "head_FLAIR.nii.gz")),
        ("lab", ("run",)),
        ("lab", ("lab",)),
        ("lab", ("notebooks", "--student", "handout")),
        ("app", ("app", "--no-browser")),
    ],
)
def test_a_verb_beyond_the_core_names_its_extra(core, extra, words, tmp_path):
    save_image(head(), tmp_path / words[1] if words[1:] and words[1].endswith(".gz") else tmp_path / "head.nii.gz")
    words = [tmp_path / word if word.endswith(".gz") else word for word in words]
    lines = core(*words, code=1).stderr.strip().splitlines()[-3:]
    assert lines[0].startswith(f"epitome-kit[{extra}]: expected the package ")
    assert lines[1].startswith("Received: ")
    assert lines[2].startswith(f"Try: `pip install 'epitome-kit[{extra}]'`")


def test_a_verb_of_python_names_its_extra(core):
    code = "import epitome_kit as ek\ntry: ek.run_notebooks\nexcept Exception as e: print(type(e).__name__, e)"
    assert core("-c", code, script="python").stdout.startswith("MissingExtraError epitome-kit[lab]: expected ")


def test_all_six_notebooks_run_from_the_wheel_and_so_does_that_for_colab(wheel, tmp_path):
    epitome = _install(tmp_path / "env", wheel, "[all]")
    epitome("run", "--profile", "smoke", "--out", "runs/colab")
    summary = json.loads((tmp_path / "runs" / "colab" / "summary.json").read_text(encoding="utf-8"))
    assert [(each["name"][:2], each["status"]) for each in summary["notebooks"]] == [
        (f"0{number}", "done") for number in range(1, 7)
    ]
    states = {check["what"]: check["state"] for check in json.loads(epitome("doctor", "--json").stdout)}
    assert states["packages"] == states["extra train"] == states["extra lab"] == states["extra app"] == "ok"
    colab = ROOT / "docs" / "colab.ipynb"  # goes on with the run that is there
    epitome(colab, "colab.ipynb", "-p", "source", wheel.as_uri(), "--cwd", ".", script="papermill")
    written = nbformat.read(tmp_path / "colab.ipynb", as_version=4)
    shown = [output for cell in written.cells[-2:] for output in cell.get("outputs", ()) if "data" in output]
    assert "Epitome" in shown[0]["data"]["text/html"]
