"""The downloader, against a server on loopback: whole series or none, and on where it stopped."""

import socket

import pytest
from made_archive import Archive, serve
from made_lgg import ROWS, tumour, write_dicom, write_segmentation, write_spreadsheet
from tiny import raises_three_lines

from epitome_kit.errors import CohortError, OutputError
from epitome_kit.sources import tcia
from epitome_kit.sources.lgg_1p19q import import_lgg_1p19q
from epitome_kit.sources.tcia import download_collection

NAME = "LGG-1p19qDeletion"


@pytest.fixture
def archive(tmp_path):
    """Two subjects, each with T1, T2 and a segmentation."""
    made = Archive()
    for name in ("LGG-104", "LGG-210"):
        write_segmentation(tmp_path / "origin", write_dicom(tmp_path / "origin", name), tumour())
    made.add_folder(tmp_path / "origin")
    return made


@pytest.fixture
def get(archive, tmp_path):
    """Download the archive; returns what failed."""
    with serve(archive) as api:
        yield lambda: download_collection(NAME, tmp_path / "in", api=api, pause_s=0)


def _images(tmp_path):
    return {path.read_bytes() for path in (tmp_path / "in" / NAME).rglob("*.dcm")}


def _given(archive):
    return {content for files in archive.files.values() for content in files.values()}


def test_a_collection_arrives_whole_by_patient_study_and_series(get, archive, tmp_path):
    assert get() == {}
    assert _images(tmp_path) == _given(archive) and len(archive.series) == 6
    places = {path.parent.relative_to(tmp_path / "in").parts for path in (tmp_path / "in").rglob("*.dcm")}
    wanted = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    assert places == {(NAME, *(series[name] for name in wanted)) for series in archive.series.values()}


def test_nothing_is_written_outside_its_series(get, tmp_path):
    get()
    assert not list(tmp_path.rglob("escaped.txt")) and not list(tmp_path.rglob(".partial-*"))


@pytest.mark.parametrize(
    "fault",
    ["broken connection", "server error", "truncated", "file missing", "wrong size", "wrong content"],
)
def test_a_transfer_that_breaks_is_tried_again(get, archive, tmp_path, fault):
    uid = next(iter(archive.series))
    archive.faults[uid] = [fault, fault]
    assert get() == {}
    assert archive.asked.count(uid) == 3 and _images(tmp_path) == _given(archive)


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("broken connection", "ConnectionError"),
        ("server error", "503"),
        ("truncated", "ChunkedEncodingError"),
        ("file missing", "11 of 12 images"),
        ("wrong size", "another checksum for 1 of 12"),
    ],
)
def test_a_series_that_never_arrives_is_left_out_by_patient_and_reason(get, archive, tmp_path, fault, word):
    uid = next(uid for uid, series in archive.series.items() if series["PatientID"] == "LGG-210")
    archive.faults[uid] = [fault] * 9
    failed = get()
    assert list(failed) == ["LGG-210"] and word in failed["LGG-210"] and "4 times" in failed["LGG-210"]
    assert _images(tmp_path) == _given(archive) - set(archive.files[uid].values())
    assert not list(tmp_path.rglob(".partial-*"))


@pytest.mark.parametrize("fault", [None, "wrong size"])
def test_without_checksums_the_size_is_what_was_announced(get, archive, fault):
    archive.checksums = False
    uid = next(iter(archive.series))
    archive.faults[uid] = [fault] * 9
    failed = get()
    assert bool(failed) == bool(fault)
    if fault:
        assert f"where {archive.series[uid]['FileSize']} were announced" in failed["LGG-104"]


def test_a_download_goes_on_where_it_stopped(get, archive, tmp_path):
    first, second = list(archive.series)[:2]
    archive.faults[second] = ["truncated"] * 4
    assert get()
    archive.asked.clear()
    assert get() == {}
    assert archive.asked == ["getSeries", second] and first not in archive.asked
    assert _images(tmp_path) == _given(archive)


@pytest.mark.parametrize("spoil", ["shorter", "gone", "ledger"])
def test_a_series_that_changed_on_disk_is_downloaded_again(get, archive, tmp_path, spoil):
    get()
    image = next((tmp_path / "in").rglob("1-03.dcm"))
    if spoil == "shorter":
        image.write_bytes(image.read_bytes()[:-1])
    else:
        (image if spoil == "gone" else image.with_name("series.json")).unlink()
    archive.asked.clear()
    assert get() == {} and archive.asked == ["getSeries", image.parent.name]
    assert _images(tmp_path) == _given(archive)


def test_a_list_that_breaks_is_asked_for_again(get, archive):
    archive.faults["getSeries"] = ["broken connection", "server error", "no JSON"]
    assert get() == {} and archive.asked.count("getSeries") == 4


def test_an_archive_that_gives_nothing_is_three_lines(get, archive):
    archive.faults["getSeries"] = ["nothing"]
    with raises_three_lines(CohortError, NAME, "request access", "Data Retriever"):
        get()


def test_entries_that_would_leave_the_folder_are_passed_over(get, archive, tmp_path):
    uid = next(iter(archive.series))
    archive.series[uid]["PatientID"] = "../../out"
    assert get() == {} and uid not in archive.asked and not (tmp_path / "out").exists()


def test_no_answer_is_three_lines(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        api = f"http://127.0.0.1:{free.getsockname()[1]}"
    with raises_three_lines(CohortError, api, "4 times"):
        download_collection(NAME, tmp_path / "in", api=api, pause_s=0)


def test_a_folder_that_cannot_be_written_is_three_lines(archive, tmp_path):
    (tmp_path / "in").write_text("")
    with serve(archive) as api, raises_three_lines(OutputError, tmp_path / "in"):
        download_collection(NAME, tmp_path / "in", api=api, pause_s=0)


def test_the_collection_is_downloaded_and_imported_in_one(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(tcia.time, "sleep", lambda seconds: None)
    write_spreadsheet(tmp_path / "in", ROWS)
    uid = next(uid for uid, series in archive.series.items() if series["PatientID"] == "LGG-210")
    archive.faults[uid] = ["truncated"] * 4
    with serve(archive) as api:
        cohort = import_lgg_1p19q(tmp_path / "in", tmp_path / "out", archive=api)
        left_out = dict(cohort.excluded.to_numpy().tolist())
        assert list(cohort.subjects) == ["sub-LGG104"] and set(left_out) == {"LGG-210", "sub-LGG223"}
        assert "whole series" in left_out["LGG-210"]
        cohort = import_lgg_1p19q(tmp_path / "in", tmp_path / "out", archive=api)
    assert list(cohort.subjects) == ["sub-LGG104", "sub-LGG210"]
    assert all(subject.annotated_slices == (5, 6, 7) for subject in cohort)
    assert cohort.participants.codeletion.tolist() == ["codeleted", "intact"]
