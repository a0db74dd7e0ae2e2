"""Which session, and which of several scans, are taken: by meaning, and it is said by which rule."""

import pytest

from epitome_kit.sources.bids_choice import choose_session, session_dates


@pytest.mark.parametrize(
    ("sessions", "annotated", "dates", "expected", "word"),
    [
        (["ses-2"], [], {}, "ses-2", ""),
        (["ses-a", "ses-b"], ["ses-b"], {}, "ses-b", "tumour mask"),
        (["ses-postop", "ses-preop"], [], {"ses-postop": "2001", "ses-preop": "2002"}, "ses-preop", "surgery"),
        (["ses-followup1", "ses-scan"], [], {}, "ses-scan", "surgery"),
        (["ses-01postRT", "ses-02baseline"], [], {}, "ses-02baseline", "surgery"),
        (["ses-postop", "ses-preop"], ["ses-postop"], {}, "ses-postop", "tumour mask"),
        (["ses-a", "ses-b"], [], {"ses-a": "2020-05-02", "ses-b": "2019-12-30"}, "ses-b", "date"),
        (["ses-10", "ses-9"], [], {}, "ses-9", "first by name"),
        (["ses-1", "ses-2"], [], {"ses-2": "2019-12-30"}, "ses-1", "first by name"),
        (["", "ses-1"], ["ses-1"], {}, "ses-1", "tumour mask"),
    ],
)
def test_a_session_is_chosen_by_meaning(sessions, annotated, dates, expected, word):
    for order in (sessions, sessions[::-1]):
        chosen, why = choose_session(order, [], annotated, dates)
        assert chosen == expected and word in why and bool(why) == (len(sessions) > 1)


@pytest.mark.parametrize("wanted", ["b", "ses-b"])
def test_the_session_that_is_asked_for_is_taken_or_none(wanted):
    assert choose_session(["ses-a", "ses-b"], [], ["ses-a"], {}, requested=wanted)[0] == "ses-b"
    assert choose_session(["ses-a"], [], [], {}, requested=wanted)[0] is None


def test_dates_come_from_the_tables_of_sessions_and_of_scans(tmp_path):
    folder = tmp_path / "sub-1"
    (folder / "ses-02").mkdir(parents=True)
    (folder / "sub-1_sessions.tsv").write_text("session_id\tacq_time\n01\t2019-03-01T10:00:00\nses-03\tunknown\n")
    scans = "filename\tacq_time\nanat/a.nii.gz\t2018-01-05T08:00:00.5\nanat/b.nii.gz\t2018-01-04T08:00:00\n"
    (folder / "ses-02" / "sub-1_ses-02_scans.tsv").write_text(scans)
    assert session_dates(tmp_path, "sub-1") == {"ses-01": "2019-03-01T10:00:00", "ses-02": "2018-01-04T08:00:00"}
    (folder / "sub-1_sessions.tsv").write_bytes(b"\x00\x01")
    assert list(session_dates(tmp_path, "sub-1")) == ["ses-02"]


def test_a_session_of_which_a_person_decided_comes_first():
    chosen, why = choose_session(["ses-1", "ses-2"], ["ses-2"], ["ses-1"], {})
    assert chosen == "ses-2" and "person" in why
