"""Killed at any moment and started again: every command goes on to the results of an undisturbed one."""

import random
import signal
from zipfile import ZipFile

import pytest
from killable import Killable
from made_derivative import make_derivative
from made_notebook import write_notebook
from tiny import write_cohort

from epitome_kit.files import write_json
from epitome_kit.simulate.phantom import make_phantom_cohort

pytestmark = pytest.mark.slow
CELL = """
import json, pathlib
scores = {"auc": 0.5 + seed / 10, "auc_ci95": [0.4, 0.9], "n": 12}
pathlib.Path(f"{name}.json").write_text(json.dumps(scores))
"""
DECLARED = 'cohort = "phantom"\nout = "x"\nprofile = "smoke"\ntarget = "grade"\nseed = 0\nname = "scores"\n'


@pytest.fixture(scope="module")
def do(tmp_path_factory):
    """Do a job into a folder, killed at a moment or not at all."""
    place = tmp_path_factory.mktemp("killed")
    make_derivative(place, subjects=12)
    make_phantom_cohort(place / "heads", subjects=2, spacing_mm=(6, 6, 6), contrasts=("T2w",))
    write_cohort(place / "tiny")
    for name in ("first", "second"):
        write_notebook(place / f"{name}.ipynb", DECLARED.replace("scores", name), CELL)
    fixed = {"cohort": str(place / "tiny"), "name": "scores"}
    write_json(
        place / "grid.yaml", {"notebooks": [str(place / "first.ipynb")], "fixed": fixed, "grid": {"seed": [1, 2]}}
    )
    jobs = Killable(place)
    yield jobs
    jobs.close()


RESULTS = {
    "simulate": "**/*",
    "preprocess": "**/*",
    "train": "**/*.[tk]*",
    "run": "one/*.json",
    "sweep": "*/scores.json",
}
"""Files of each job."""

DATED = {"parameters.json", "provenance.json", "summary.json", "manifest.json"}
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
            out = tmp_path_factory.mktemp("undisturbed") / "out"
            ended = do(job, out)
            assert ended.code == 0
            known[job] = ended.writes, _results(job, out)
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
    (writes, wanted), out = undisturbed(job), tmp_path / "out"
    assert writes > 3 and len(wanted) > 1
    moments = random.Random(f"{job} {seed}")
    assert do(job, out, moments.randint(1, writes)).code == -signal.SIGKILL
    whole = {path: content for path, content in _results(job, out).items() if path in wanted}
    assert job in ("run", "sweep") or all(wanted[path] == content for path, content in whole.items()), "whole or absent"
    if seed % 2:
        assert do(job, out, 1).code == -signal.SIGKILL, "and again, at once"
    assert do(job, out).code == 0
    assert _results(job, out) == wanted
