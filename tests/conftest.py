"""What every test shares: a quiet, headless environment, and the folder of real scans."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from kept import kept
from tiny import ROOT

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "agg")

# A shell's background job ignores Ctrl-C, and `nohup` a closed terminal; the tests of both must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The same examples every time: a change is judged by what it changed. `--hypothesis-profile explore` draws others.
settings.register_profile("kit", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("kit")


SLOW = {
    "smoke_run",
    "tried",
    "book",
    "real_data",
    "visitors",
    "further",
    "learned_features",
    "alarm_outcomes",
    "case_server",
}
"""Fixtures that take long to make; their tests are left to `make test-all`."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what is slow by its fixtures; begin with the longest, so that no process is left alone with it."""
    for item in items:
        if SLOW & set(item.fixturenames):
            item.add_marker("slow")
    items.sort(key=lambda item: "smoke_run" not in item.fixturenames)


@pytest.fixture(autouse=True)
def figures_are_readable(monkeypatch):
    """Hold every figure that a test draws in the kit's style to letters of 9 pt and to the palette."""
    style = sys.modules.get("epitome_kit.plotting.style")
    if style is None:
        yield
        return
    from readable import odd_colours, small_letters

    drawn, make = [], style.DescribedFigure.__init__

    def remember(self, *args, **kwargs):
        drawn.append(self)
        make(self, *args, **kwargs)

    monkeypatch.setattr(style.DescribedFigure, "__init__", remember)
    yield
    for figure in drawn:
        assert not small_letters(figure)
        assert not odd_colours(figure)


@pytest.fixture(scope="session")
def real_data():
    """Folder of real scans, outside the repository; a test is skipped only where there is none."""
    folder = Path(os.environ.get("EPITOME_REAL_DATA", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"no real scans in {folder}: name their folder in EPITOME_REAL_DATA")
    return folder


@pytest.fixture(scope="session")
def phantom():
    """Eight simulated heads at 4 mm, T1ce and T2w; shared, so no test may change it."""
    from epitome_kit.cohort import open_cohort
    from epitome_kit.simulate.phantom import make_phantom_cohort

    with kept("phantom", partial(make_phantom_cohort, subjects=8, spacing_mm=(4, 4, 4))) as folder:
        yield open_cohort(folder)


@pytest.fixture(scope="session")
def preprocessed(phantom):
    """Folder of the phantom preprocessed at 4 mm; shared, so no test may change it."""
    from epitome_kit.preprocess.pipeline import preprocess_cohort

    with kept("preprocessed", partial(preprocess_cohort, phantom, spacing_mm=4.0)) as folder:
        yield folder


@pytest.fixture(scope="session")
def book():
    """First page of the book of a made-up run; built in a process of its own, as Sphinx changes the one it runs in."""
    from made_executed import make_executed

    def build(folder):
        folder.mkdir()
        command = [sys.executable, ROOT / "book" / "build.py", make_executed(folder / "run"), folder / "site"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)

    with kept("book", build) as folder:
        yield folder / "site" / "index.html"


@pytest.fixture(scope="session")
def learned_features():
    """Tiny cohort with an easy task, its derivative, a workspace and the features that the CNN learned there."""
    from made_derivative import make_derivative

    from epitome_kit.cohort import open_cohort
    from epitome_kit.files import read_tsv
    from epitome_kit.learn.train import learn_features

    def learn(folder):
        learn_features(*make_derivative(folder, subjects=13, unlabelled=[12]), folder / "out", folds=2, epochs=15)

    with kept("learned", learn) as folder:
        yield (
            open_cohort(folder / "cohort"),
            folder / "ready",
            folder / "out",
            read_tsv(folder / "out" / "features.tsv"),
        )


@pytest.fixture(scope="session")
def smoke_run():
    """Workspace in which every notebook ran at the smallest profile, with its cohort beside it."""
    from epitome_kit.report.run_page import write_report
    from epitome_kit.run.notebooks import kit_notebooks, run_notebooks

    def run(folder):
        options = {"profile": "smoke", "parameters": {"workers": 2}}
        run_notebooks(list(kit_notebooks()), out=folder / "smoke", **options)
        write_report(folder / "smoke")

    with kept("runs", run) as folder:
        yield folder / "smoke"
