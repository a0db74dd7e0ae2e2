"""Killed at any moment and started again: every command goes on to the results of an undisturbed one."""

import json
import os
import random
import signal
import subprocess
import sys
from zipfile import ZipFile

import nbformat
import pytest
from made_derivative import make_derivative
from nbformat.v4 import new_code_cell, new_notebook
from tiny import ROOT, write_cohort

from epitome_kit.files import write_json
from epitome_kit.simulate.phantom import make_phantom_cohort

DRIVER = """
import json, os, signal, sys, traceback
from pathlib import Path
from epitome_kit.images import load_mask
from epitome_kit.preprocess import pipeline, subject
from epitome_kit.run.notebooks import run_notebooks
from epitome_kit.run.sweep import sweep_notebooks
from epitome_kit.simulate.phantom import make_phantom_cohort
from epitome_kit.cohort import open_cohort

place, answers, writes, moment, replace = Path(sys.argv[1]), os.dup(1), 0, 0, Path.replace
os.dup2(2, 1)


def replace_or_die(temporary, path):
    global writes
    writes += 1
    if writes == moment:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(temporary, path)


def known_brain(image, method):
    name = Path(image.get_filename()).name[:7]
    return load_mask(next(place.glob(f"heads/derivatives/truth/{name}/anat/*T2w_desc-brain_mask.nii.gz")))


def simulate(out):
    make_phantom_cohort(out, subjects=3, spacing_mm=(6, 6, 6), contrasts=("T2w",))


def preprocess(out):
    pipeline.preprocess_cohort(open_cohort(place / "heads"), out, spacing_mm=6.0)


def train(out):
    from epitome_kit.learn.train import learn_features

    learn_features(open_cohort(place / "cohort"), place / "ready", out, folds=2, epochs=2)


def run(out):
    run_notebooks([place / f"{name}.ipynb" for name in ("first", "second")], out=out / "one", cohort=place / "tiny")


def sweep(out):
    sweep_notebooks(place / "grid.yaml", out)


subject.skull_strip, Path.replace = known_brain, replace_or_die
jobs = {each.__name__: each for each in (simulate, preprocess, train, run, sweep)}
for line in sys.stdin:
    job, out, number = json.loads(line)
    child = os.fork()
    if not child:
        moment, code = number, 0
        try:
            jobs[job](Path(out))
            os.write(answers, f"{writes}\\n".encode())
        except BaseException:
            traceback.print_exc()
            code = 1
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        os.write(answers, f"{code}\\n".encode())
"""
"""For every line, does a job in a new process, which dies when it is about to finish its n-th file.

Answers with the number of files that were written, or with the exit code. Brains are known
beforehand, so that no network has to be loaded for them.
"""

CELL = """
import json, pathlib
scores = {"auc": 0.5 + seed / 10, "auc_ci95": [0.4, 0.9], "n": 12}
pathlib.Path(f"{name}.json").write_text(json.dumps(scores))
"""
DECLARED = 'cohort = "phantom"\nout = "x"\nprofile = "smoke"\ntarget = "grade"\nseed = 0\nname = "scores"\n'


@pytest.fixture(scope="module")
def do(tmp_path_factory):
    """Do a job into a folder, killed at a moment or not at all; returns the files it finished, or its exit code."""
    place = tmp_path_factory.mktemp("killed")
    make_derivative(place, subjects=12)
    make_phantom_cohort(place / "heads", subjects=2, spacing_mm=(6, 6, 6), contrasts=("T2w",))
    write_cohort(place / "tiny")
    for name in ("first", "second"):
        declared = new_code_cell(DECLARED.replace("scores", name), metadata={"tags": ["parameters"]})
        nbformat.write(new_notebook(cells=[declared, new_code_cell(CELL)]), place / f"{name}.ipynb")
    fixed = {"cohort": str(place / "tiny"), "name": "scores"}
    write_json(
        place / "grid.yaml", {"notebooks": [str(place / "first.ipynb")], "fixed": fixed, "grid": {"seed": [1, 2]}}
    )

    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(place)],
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def do(job, out, moment=0):
        driver.stdin.write(json.dumps([job, str(out), moment]) + "\n")
        driver.stdin.flush()
        return int(driver.stdout.readline())

    yield do
    driver.stdin.close()
    driver.wait()


RESULTS = {
    "simulate": "**/*",
    "preprocess": "**/*",
    "train": "**/*.[tk]*",
    "run": "one/*.json",
    "sweep": "*/scores.json",
}
"""Files of each job."""

DATED = {"parameters.json", "provenance.json", "summary.json"}
"""Files that say where, when or how long, beside those of each subject's time."""


def _results(job, folder):
    files = [path for path in folder.glob(RESULTS[job]) if path.is_file() and path.name[0] != "."]
    files = [path for path in files if path.name not in DATED and "_timing" not in path.name]
    return {path.relative_to(folder): _content(path) for path in files}


def _content(path):
    if path.suffix != ".keras":
        return path.read_bytes()
    with ZipFile(path) as archive:
        return archive.read("model.weights.h5")  # beside it stands the date


@pytest.fixture(scope="module")
def undisturbed(do, tmp_path_factory):
    """Number of files that a job writes, and its results; each job is done once."""
    known = {}

    def look(job):
        if job not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            known[job] = do(job, folder), _results(job, folder)
        return known[job]

    return look


def _long(job, seed):
    """Whether a case is left to the soak; what is killed in preprocessing is chosen in test_preprocess_kill.py."""
    return seed > 0 or job == "preprocess"


CASES = [(job, seed) for job in RESULTS for seed in range(20)]


@pytest.mark.parametrize(
    ("job", "seed"), [pytest.param(*case, marks=[pytest.mark.soak] * _long(*case)) for case in CASES]
)
def test_killed_at_any_moment_and_started_again(job, seed, do, undisturbed, tmp_path):
    writes, wanted = undisturbed(job)
    assert writes > 3 and len(wanted) > 1
    moments = random.Random(f"{job} {seed}")
    assert do(job, tmp_path, moments.randint(1, writes)) == -signal.SIGKILL
    whole = {path: content for path, content in _results(job, tmp_path).items() if path in wanted}
    assert job in ("run", "sweep") or all(wanted[path] == content for path, content in whole.items()), "whole or absent"
    if seed % 2:
        assert do(job, tmp_path, 1) == -signal.SIGKILL, "and again, at once"
    assert do(job, tmp_path) > 0
    assert _results(job, tmp_path) == wanted
