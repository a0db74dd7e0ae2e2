"""Preprocessing that is killed at any moment and started again ends with the bytes of an undisturbed run."""

import signal

import pytest
from killable import Killable

from epitome_kit.simulate.phantom import make_phantom_cohort

pytestmark = pytest.mark.soak
RECORD, TABLES, SUBJECTS = 11, 5, ["sub-001", "sub-002"]
"""The record is the 11th and last file of a subject; then come five tables, pictures with records, and the page."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the command into a folder; returns its exit code and the subjects that were begun so far."""
    place = tmp_path_factory.mktemp("killed")
    make_phantom_cohort(place / "heads", subjects=2, spacing_mm=(6, 6, 6), contrasts=("T2w",))
    jobs = Killable(place)

    def command(folder, moment=0):
        code, log = jobs("preprocess", folder / "out", moment).code, folder / "subjects.log"
        return code, log.read_text().split() if log.is_file() else []

    yield command
    jobs.close()


def _bytes(folder):
    """Everything but how long each subject took."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files if "_timing" not in path.name}


def _records(folder):
    return [path.name[:7] for path in folder.glob("sub-*/anat/*_quality.json")]


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(folder) == (0, SUBJECTS)
    return _bytes(folder / "out")


def test_an_undisturbed_run_writes_the_files_that_the_moments_below_count(undisturbed):
    of_one = [path for path in undisturbed if path.name.startswith("sub-002")]
    assert len(of_one) == RECORD + 1, "a picture and its record more, and the time that it took left out"
    tables = {"quality.tsv", "excluded.tsv", "participants.tsv", "dataset_description.json", ".bidsignore"}
    assert {path.name for path in undisturbed if len(path.parts) == 1} == tables | {"qc.html"}


@pytest.mark.parametrize(
    "moments",
    [(RECORD,), (RECORD + 4, 3, 1), (2 * RECORD + TABLES + 3, TABLES + 3)],
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
