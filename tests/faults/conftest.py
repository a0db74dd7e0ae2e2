"""What the tests of faults share."""

import shutil

import pytest


@pytest.fixture(scope="session")
def bounded():
    """Call a reader in a process with bounds on memory and time."""
    from in_bounds import Bounded

    call = Bounded()
    yield call
    call.close()


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """A cohort of three sound subjects; shared, so no test may change it."""
    from tiny import write_cohort

    return write_cohort(tmp_path_factory.mktemp("sound") / "cohort", subjects=3, contrasts=("T2w",))


@pytest.fixture
def cohort(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "cohort")
