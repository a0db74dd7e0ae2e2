"""What every test shares: a quiet, headless environment, and the folder of real scans."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "agg")

# A shell's background job ignores Ctrl-C; the tests of Ctrl-C must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("kit", deadline=None)
settings.load_profile("kit")

ROOT = Path(__file__).resolve().parent.parent


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
    """Workspace of every notebook at the smallest profile, two workers; shared, so no test may change it."""
    from epitome_kit.run.notebooks import find_notebooks, run_notebooks
    from epitome_kit.run.report import write_report

    folder = tmp_path_factory.mktemp("runs") / "smoke"
    names = [*find_notebooks(), "leakage", "seed_autopsy"]
    run_notebooks(names, out=folder, profile="smoke", parameters={"workers": 2})
    write_report(folder)
    return folder
