"""What every test shares: a quiet, headless environment, and the folder of real scans."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from tiny import ROOT
from xdist.scheduler import LoadFileScheduling

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "agg")

# A shell's background job ignores Ctrl-C; the tests of Ctrl-C must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time: a change is judged by what it changed. `--hypothesis-profile explore` draws others.
settings.register_profile("kit", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("kit")

TOGETHER = {
    "smoke_run": ("test_notebooks.py", "test_exercises.py", "test_rerun.py"),
    "book": ("test_book.py", "test_book_page.py"),
}
"""Files that share what takes long to make: one process of several takes them all."""


class Scheduling(LoadFileScheduling):
    """Deal tests to processes file by file."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        return next((made for made, files in TOGETHER.items() if file.endswith(files)), file)


def pytest_collection_modifyitems(items):
    """Begin with the longest, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name not in TOGETHER["smoke_run"])


def pytest_xdist_make_scheduler(config, log):
    """Say how the tests are dealt where there are several processes."""
    return Scheduling(config, log)


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
def phantom(tmp_path_factory):
    """Eight simulated heads at 4 mm, T1ce and T2w; shared, so no test may change it."""
    from epitome_kit.simulate.phantom import make_phantom_cohort

    return make_phantom_cohort(tmp_path_factory.mktemp("phantom") / "cohort", subjects=8, spacing_mm=(4, 4, 4))


@pytest.fixture(scope="session")
def preprocessed(phantom, tmp_path_factory):
    """Folder of the phantom preprocessed at 4 mm; shared, so no test may change it."""
    from epitome_kit.preprocess.pipeline import preprocess_cohort

    folder = tmp_path_factory.mktemp("preprocessed") / "derivative"
    preprocess_cohort(phantom, folder, spacing_mm=4.0)
    return folder


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """First page of the book of a made-up run; built in a process of its own, as Sphinx changes the one it runs in."""
    from made_executed import make_executed

    folder = tmp_path_factory.mktemp("book")
    command = [sys.executable, ROOT / "book" / "build.py", make_executed(folder / "run"), folder / "site"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return folder / "site" / "index.html"


@pytest.fixture(scope="session")
def learned(tmp_path_factory):
    """Tiny cohort with an easy task, its derivative, a workspace and the features that the CNN learned there."""
    from made_derivative import make_derivative

    from epitome_kit.learn.train import learn_features

    folder = tmp_path_factory.mktemp("learned")
    cohort, ready = make_derivative(folder, subjects=13, unlabelled=[12])
    features = learn_features(cohort, ready, folder / "out", folds=2, epochs=15)
    return cohort, ready, folder / "out", features


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """Workspace in which every notebook ran at the smallest profile; what tests write there, others see."""
    from epitome_kit.report.run_page import write_report
    from epitome_kit.run.notebooks import kit_notebooks, run_notebooks

    folder = tmp_path_factory.mktemp("runs") / "smoke"
    run_notebooks(list(kit_notebooks()), out=folder, profile="smoke", parameters={"workers": 2})
    write_report(folder)
    return folder
