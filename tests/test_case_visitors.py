"""Visitors of the case page: one place each, kept on reload; what they sent goes with them."""

import time

import pytest
from tiny import raises_three_lines

from epitome_kit.case.choices import OWN, propose_contrast, select_scans
from epitome_kit.case.jobs import FINDINGS, SLICES
from epitome_kit.case.visitors import Limits, Visitors
from epitome_kit.errors import ImageError, ParameterError
from epitome_kit.workspace import CASE_SHEET

SCAN = {"label": "x", "contrast": "T2w", "evidence": "file name says T2"}


@pytest.fixture
def present(tmp_path):
    return Visitors(tmp_path, Limits(visitors=2, upload_mb=1, minutes=1, case_s=60), {"workspace": "w", "cohorts": "c"})


def sent(present, visitor, name="flair.nii"):
    path = present.place_for_upload(visitor)
    path.write_bytes(b"scan")
    present.receive(visitor, path, name)
    return path, visitor.sent[-1]


def do(job, state="done", **how):
    job.state = "running"
    job.end(state, **how)


def test_a_visitor_has_one_place_and_others_wait_in_line(present):
    first, second = present.admit("a"), present.admit("b")
    assert present.admit("a") is first and first.folder != second.folder
    assert first.folder.stat().st_mode & 0o077 == 0
    assert [present.admit(name) for name in "cdec"] == [1, 2, 3, 1]
    present.remove(first)
    assert present.admit("d") == 2 and present.admit("c").id == "c" and present.admit("d") == 1
    assert not first.folder.exists()


def test_a_page_that_is_closed_gives_its_place_up_and_one_that_is_reloaded_keeps_it(present):
    closed, reloaded = present.admit("a"), present.admit("b")
    closed.leaving = reloaded.leaving = time.monotonic() - 6
    assert present.admit("b") is reloaded
    present.remove_gone()
    assert not closed.folder.exists() and reloaded.folder.is_dir() and present.admit("b") is reloaded


@pytest.mark.parametrize(("what", "seconds", "gone"), [("seen", 100, True), ("acted", 70, True), ("acted", 50, False)])
def test_a_page_that_is_silent_or_idle_goes(present, what, seconds, gone):
    visitor = present.admit("a")
    setattr(visitor, what, time.monotonic() - seconds)
    present.remove_gone()
    assert visitor.folder.exists() != gone


def test_nobody_goes_while_his_case_waits(present):
    visitor = present.admit("a")
    present.analyse(visitor, "Simulated head A", [])
    visitor.acted -= 1000
    present.remove_gone()
    assert visitor.folder.exists()


def test_who_waits_and_looks_no_more_is_forgotten(present, monkeypatch):
    for name in "abcd":
        present.admit(name)
    present._waiting["c"] -= 60
    present.remove_gone()
    assert present.admit("d") == 1


def test_the_line_is_bounded(present, monkeypatch):
    monkeypatch.setattr("epitome_kit.case.visitors._MOST_WAITING", 1)
    assert [present.admit(name) for name in "abcdc"][2:] == [1, 0, 1]


def test_a_new_upload_replaces_the_last_and_late_results_of_that_are_removed(present):
    visitor = present.admit("a")
    path, job = sent(present, visitor)
    assert present.uploads.take(0) is job
    present.drop_scans(visitor)
    assert not path.parent.exists() and visitor.sent == [] and job.state == "dropped"
    late = path.with_suffix("")
    late.mkdir(parents=True)
    job.end("done", result=[SCAN])
    assert not late.exists() and visitor.scans == []


def test_one_bad_file_refuses_the_whole_upload(present):
    visitor = present.admit("a")
    (path, good), (_, bad) = sent(present, visitor), sent(present, visitor, "b.nii")
    do(good, result=[{**SCAN, "path": str(path)}])
    assert visitor.scans == [], "the second is not there yet"
    do(bad, "failed", lines=["Expected a scan."])
    assert visitor.lines == ["b.nii:", "Expected a scan."] and visitor.scans == [] and not path.parent.exists()


def test_a_case_takes_what_was_chosen_and_one_at_a_time(present):
    visitor = present.admit("a")
    path, job = sent(present, visitor)
    do(job, result=[{**SCAN, "path": str(path)}])
    with raises_three_lines(ParameterError, "2", "choose files again"):
        present.analyse(visitor, OWN, ["T2w", "FLAIR"])
    present.analyse(visitor, OWN, ["FLAIR"])
    assert visitor.case.arguments["images"] == {"FLAIR": str(path)}
    assert visitor.case.arguments["evidence"] == {"FLAIR": "as stated"}
    with raises_three_lines(ParameterError, "one case at a time"):
        present.analyse(visitor, OWN, ["FLAIR"])


@pytest.mark.parametrize("state", ["done", "failed"])
def test_of_a_case_only_what_the_page_shows_is_kept(present, state):
    visitor = present.admit("a")
    present.analyse(visitor, "Simulated head A", [])
    out = visitor.folder / "made"
    visitor.case.arguments["out"] = str(out)
    (out / "preprocessed").mkdir(parents=True)
    for name in (CASE_SHEET, FINDINGS, SLICES, "record.json"):
        (out / name).touch()
    do(visitor.case, state)
    left = {path.name for path in out.iterdir()} if out.exists() else set()
    assert left == ({CASE_SHEET, FINDINGS, SLICES} if state == "done" else set())


def test_what_a_worker_writes_after_its_visitor_left_is_removed(present):
    visitor = present.admit("a")
    present.analyse(visitor, "Simulated head A", [])
    job = present.cases.take(0)
    present.remove(visitor)
    assert job.state == "dropped"
    visitor.folder.mkdir()
    job.end("done")
    assert not visitor.folder.exists()


@pytest.mark.parametrize(
    ("chosen", "words"),
    [(["other", "other"], "all are ignored"), (["T2w", "T2w"], "two of one"), (["T2w", None], "none for one")],
)
def test_scans_that_cannot_be_analysed_as_they_are_named(chosen, words):
    with raises_three_lines(ImageError, words):
        select_scans([{**SCAN, "path": "1"}, {**SCAN, "path": "2"}], chosen)
    assert select_scans([{**SCAN, "path": "1"}], ["T2w"]) == ({"T2w": "1"}, {"T2w": "file name says T2"})


def test_a_name_from_outside_is_no_contrast():
    with raises_three_lines(ImageError, "none for one"):
        select_scans([{**SCAN, "path": "1"}], ["../../etc"])
    assert propose_contrast("series 4", "exam.zip")["label"] == "exam.zip, series 4"
    assert propose_contrast("", "patient_flair.nii")["contrast"] == "FLAIR"
