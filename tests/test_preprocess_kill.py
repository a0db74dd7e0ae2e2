"""Preprocessing that is killed at any moment and started again ends with the bytes of an undisturbed run."""

import os
import signal
import subprocess
import sys

import pytest

from epitome_kit.simulate.phantom import make_phantom_cohort

DRIVER = """
import os, signal, sys
from pathlib import Path
from epitome_kit.cli import app
from epitome_kit.images import load_mask
from epitome_kit.preprocess import pipeline, subject
from epitome_kit.run import quality
from epitome_kit.teach import quality_picture

cohort, moment, replace, preprocess_subject = Path(sys.argv[1]), 0, Path.replace, pipeline.preprocess_subject


def replace_or_die(temporary, path):
    global moment
    moment -= 1
    if moment == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(temporary, path)


def known_brain(image, method):
    name = Path(image.get_filename()).name[:7]
    return load_mask(next(cohort.glob(f"derivatives/truth/{name}/anat/*T2w_desc-brain_mask.nii.gz")))


def logged(each, files, **options):
    with open(files.folder.parent / "subjects.log", "a") as log:
        log.write(each.id + "\\n")
    return preprocess_subject(each, files, **options)


pipeline.preprocess_subject, subject.skull_strip, Path.replace = logged, known_brain, replace_or_die
for line in sys.stdin:
    out, _, number = line.strip().partition("|")
    child = os.fork()
    if not child:
        os.dup2(2, 1)
        moment = int(number)
        app(["preprocess", str(cohort), out, "--workers", "1", "--spacing-mm", "6"])
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""For every line, runs the command in a new process, which dies when it is about to finish its n-th file.

The brains are known beforehand, so that no network has to be loaded.
"""

RECORD, TABLES, SUBJECTS = 11, 5, ["sub-001", "sub-002"]
"""The record is the 11th and last file of a subject; five tables follow, then pictures, then the page."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the command into a folder; returns its exit code and the subjects that were begun so far."""
    cohort = make_phantom_cohort(
        tmp_path_factory.mktemp("killed") / "cohort", subjects=2, spacing_mm=(6, 6, 6), contrasts=("T2w",)
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(cohort.root)],
        env={**os.environ, "MPLBACKEND": "agg"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def command(folder, moment=0):
        driver.stdin.write(f"{folder / 'out'}|{moment}\n")
        driver.stdin.flush()
        code, log = int(driver.stdout.readline()), folder / "subjects.log"
        return code, log.read_text().split() if log.is_file() else []

    yield command
    driver.stdin.close()
    driver.wait()


def _bytes(folder):
    """Everything but how long each subject took."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files if "_timing" not in path.name}


def _records(folder):
    return [path.name[:7] for path in folder.rglob("*_quality.json")]


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(folder) == (0, SUBJECTS)
    return _bytes(folder / "out")


def test_an_undisturbed_run_writes_the_files_that_the_moments_below_count(undisturbed):
    of_one = [path for path in undisturbed if path.name.startswith("sub-002")]
    assert len(of_one) == RECORD, "a picture more, and the time that it took left out"
    tables = {"quality.tsv", "excluded.tsv", "participants.tsv", "dataset_description.json", ".bidsignore"}
    assert {path.name for path in undisturbed if len(path.parts) == 1} == tables | {"qc.html"}


@pytest.mark.parametrize(
    "moments",
    [(RECORD,), (RECORD + 4, 3, 1), (2 * RECORD + TABLES + 2, TABLES + 2)],
    ids=["at the first record", "three times", "at the second picture, then at the page"],
)
def test_killed_and_started_again(moments, run, undisturbed, tmp_path):
    for moment in moments:
        before = _records(tmp_path / "out")
        code, log = run(tmp_path, moment)
        assert code == -signal.SIGKILL
    finished = _records(tmp_path / "out")
    assert set(before) <= set(finished)
    code, log_after = run(tmp_path)
    assert code == 0
    redone = log_after[len(log) :]
    assert sorted([*finished, *redone]) == SUBJECTS, "no subject twice"
    assert _bytes(tmp_path / "out") == undisturbed
