"""Commands of the kit that die at a chosen moment, each in a fork of one process that has loaded everything."""

import json
import os
import subprocess
import sys
from typing import NamedTuple

from tiny import ROOT

_DRIVER = """
import json, os, signal, sys, traceback
from pathlib import Path
import tensorflow
from epitome_kit.cli import app
from epitome_kit.cohort import open_cohort
from epitome_kit.images import load_mask
from epitome_kit.preprocess import pipeline, subject
from epitome_kit.preprocess.skull_stripping import SkullStripResult
from epitome_kit.report import quality_page as quality
from epitome_kit.run.notebooks import run_notebooks
from epitome_kit.run.sweep import sweep_notebooks
from epitome_kit.simulate.phantom import make_phantom_cohort
from epitome_kit.plotting import quality as quality_picture

place, answers, writes, moment = Path(sys.argv[1]), os.dup(1), 0, 0
replace, preprocess_subject = Path.replace, pipeline.preprocess_subject
os.dup2(2, 1)


def replace_or_die(temporary, path):
    global writes
    writes += 1
    if writes == moment:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(temporary, path)


def known_brain(image, method):
    name = Path(image.get_filename()).name[:7]
    mask = next(place.glob(f"heads/derivatives/truth/{name}/anat/*T2w_desc-brain_mask.nii.gz"))
    return SkullStripResult(load_mask(mask), "head", ())


def logged(each, files, **options):
    with open(files.folder.parent / "subjects.log", "a") as log:
        log.write(each.id + "\\n")
    return preprocess_subject(each, files, **options)


def simulate(out):
    make_phantom_cohort(out, subjects=3, spacing_mm=(6, 6, 6), contrasts=("T2w",))


def preprocess(out):
    command = ["preprocess", str(place / "heads"), str(out), "--workers", "1", "--spacing-mm", "6"]
    app(command, standalone_mode=False)


def train(out):
    from epitome_kit.learn.train import learn_features

    learn_features(open_cohort(place / "cohort"), place / "ready", out, folds=2, epochs=2)


def run(out):
    run_notebooks([place / f"{name}.ipynb" for name in ("first", "second")], out=out / "one", cohort=place / "tiny")


def sweep(out):
    sweep_notebooks(place / "grid.yaml", out)


def answer(*ended):
    os.write(answers, (json.dumps(ended) + "\\n").encode())


pipeline.preprocess_subject, subject.strip_with_warnings, Path.replace = logged, known_brain, replace_or_die
jobs = {each.__name__: each for each in (simulate, preprocess, train, run, sweep)}
for line in sys.stdin:
    job, out, number = json.loads(line)
    child = os.fork()
    if not child:
        moment = number
        try:
            jobs[job](Path(out))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        answer(0, writes)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        answer(code, None)
"""
"""For every line, does a job in a new process, which dies when it is about to finish its n-th file.

Brains are known beforehand, so that no network has to be loaded for them. TensorFlow
survives a fork as long as it has not computed anything: it is loaded, and no more.
"""


class Ended(NamedTuple):
    """Exit code of a job, and how many files it wrote where it ended well."""

    code: int
    writes: int | None


class Killable:
    """Does jobs on what a folder holds: ``heads`` (phantoms), ``cohort`` and ``ready``, ``tiny``, notebooks, a grid."""

    def __init__(self, place):
        self.process = subprocess.Popen(
            [sys.executable, "-c", _DRIVER, str(place)],
            env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, job, out, moment=0):
        """Do a job into a folder; it is killed at a moment, or with 0 never."""
        self.process.stdin.write(json.dumps([job, str(out), moment]) + "\n")
        self.process.stdin.flush()
        return Ended(*json.loads(self.process.stdout.readline()))

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
