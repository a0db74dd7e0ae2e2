"""Which series and which study of DICOM are taken, why the others are not, and what a person decides instead."""

import numpy as np
import pytest
from made_dicom import FLAIR, T1, T1CE, T2, lps_affine, series, voxels, write_series
from tiny import raises_three_lines

from epitome_kit.cli import app
from epitome_kit.errors import CohortError
from epitome_kit.images import load_image
from epitome_kit.ledger import read_decisions
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.sources.dicom_choice import choose
from epitome_kit.sources.dicom_headers import read_volumes

SMALL = (6, 5, 4)


def _read(folder, *stacks):
    for index, images in enumerate(stacks):
        write_series(folder / str(index), images)
    return read_volumes(folder)[0]


def _seen(choices):
    """Reason of every volume by its series number."""
    return {each.volume.title: each.reason for choice in choices for each in choice.judged}


def _small(number=1, *, affine=None, **header):
    return series(voxels(SMALL, affine=affine), affine=affine, number=number, **header)


@pytest.mark.parametrize(
    ("better", "worse", "words"),
    [
        ({}, {"ImageType": ["DERIVED", "PRIMARY", "M"]}, "acquired, where this is derived"),
        ({"affine": lps_affine((1, 1, 1))}, {}, "longest voxel edge 1.0 mm, where this has 4.0 mm"),
        ({"number": 2}, {"number": 10}, "the first of equals"),
    ],
)
def test_the_better_series_is_taken_and_the_other_says_why(tmp_path, better, worse, words):
    stacks = [
        series(voxels((6, 5, 12), affine=how.get("affine")), **{"number": k, **how, **T2})
        for k, how in ((7, better), (4, worse))
    ]
    ((scans, repairs, seen),) = choose(_read(tmp_path, *stacks))
    wanted = better.get("number", 7)
    assert scans["T2w"].physics["number"] == wanted and repairs == []
    (reason,) = [each.reason for each in seen if each.reason]
    assert reason == f"another T2w was taken, series {wanted}: {words}"


def test_more_slices_go_before_fewer(tmp_path):
    short, long = series(voxels((6, 5, 8)), number=1, **T2), series(voxels((6, 5, 12)), number=2, **T2)
    reasons = _seen(choose(_read(tmp_path, short, long)))
    assert reasons == {"series 1": "another T2w was taken, series 2: 12 slices, where this has 8", "series 2": ""}


def _study(number, date="20200511", words="", kinds=(T2, FLAIR), **header):
    study = f"1.2.6.{number}"
    return [
        image
        for k, kind in enumerate(kinds, start=1)
        for image in _small(k, study=study, StudyDate=date, StudyDescription=words, **header, **kind)
    ]


STUDIES = {
    "before goes before after": ([("20200301", "Brain POST-OP", 3), ("20210301", "Brain pre-op", 1)], 2),
    "unsaid goes before after": ([("20200301", "s/p resection", 3), ("20210301", "MRI brain", 2)], 2),
    "after surgery though earlier": ([("20200301", "Postoperative control", 2), ("20210301", "", 2)], 2),
    "most contrasts": ([("20200301", "", 1), ("20210301", "", 3)], 2),
    "earlier": ([("20210301", "", 2), ("20200301", "", 2)], 1),
    "posterior is no time": ([("20200301", "post fossa", 2), ("20210301", "", 2)], 1),
    "post contrast is no time": ([("20200301", "brain post gad", 2), ("20210301", "", 2)], 1),
    "both words say nothing": ([("20200301", "pre-op and post-op", 2), ("20210301", "", 2)], 1),
}


@pytest.mark.parametrize(("studies", "taken"), STUDIES.values(), ids=STUDIES)
def test_of_several_studies_one_is_taken_by_meaning(tmp_path, studies, taken):
    kinds = (T2, FLAIR, T1)
    stacks = [_study(n, date, words, kinds[:count]) for n, (date, words, count) in enumerate(studies, start=1)]
    first, second = choose(_read(tmp_path, *stacks))
    assert first.repairs[0].startswith(f"2 studies: took study {taken} by date")
    assert not any(each.reason for each in first.judged)
    assert {each.reason for each in second.judged} == {f"study {taken} of 2 by date was taken"}


def test_a_study_with_a_segmentation_goes_before_others(tmp_path):
    marked = _study(2, "20210301", kinds=(T2,))
    segmentation = _small(9, study="1.2.6.2", Modality="SEG", StudyDate="20210301")
    first, _ = choose(_read(tmp_path, _study(1, "20200301", kinds=(T2, FLAIR, T1)), marked, segmentation))
    assert first.repairs[0].startswith("2 studies: took study 2 by date, with T2w")


@pytest.fixture
def source(tmp_path):
    """One exam: two T1 after an agent, a T1 of which two fields disagree, a localiser, and a FLAIR with a gap."""
    folder = tmp_path / "in"
    for number, (words, kind) in enumerate((("Ax T1 +C", T1CE), ("Sag T1 +C", T1CE), ("T1 T2", {})), start=1):
        write_series(folder / "exam", series(voxels(seed=number), number=number, SeriesDescription=words, **kind))
    write_series(folder / "exam", series(number=4, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **T2))
    write_series(folder / "exam", [image for image in series(number=5, **FLAIR) if image.InstanceNumber != 6])
    return folder


def test_the_ledger_has_a_row_for_every_series(source, tmp_path):
    ledger = import_dicom(source, tmp_path / "out").ledger
    rows = ledger[ledger.kind == "series"].set_index("source")
    assert len(rows) == 5 and set(rows.subject) == {"sub-001"} and all(name.startswith("exam/") for name in rows.index)
    assert rows.taken_as.tolist() == ["T1ce", "", "", "", ""]
    assert "GADAVIST" in rows.evidence.iloc[0] and rows.evidence.iloc[1].startswith("series 2: T1ce, ")
    for reason, words in zip(
        rows.reason,
        ("", "another T1ce was taken, series 1", "cannot tell", "other: ", "slices without a gap"),
        strict=True,
    ):
        assert words in reason and bool(words) == bool(reason)


def _decide(tmp_path, answers):
    """Fill in the column of decisions of the ledger that an import wrote."""
    path = tmp_path / "edited.tsv"
    title, header, *rows = (tmp_path / "out" / "sources.tsv").read_text().splitlines()
    for words, decision in answers.items():
        rows = [row.removesuffix("n/a") + decision if f"\t{words} " in row else row for row in rows]
    path.write_text("\n".join([title, header, *rows, "exam/gone.dcm\tseries" + "\tn/a" * 4 + "\tT2w"]) + "\n")
    return path


def test_a_person_decides_what_nobody_could_tell(source, tmp_path):
    import_dicom(source, tmp_path / "out")
    answers = {"series 1:": "leave out", "series 3:": "T1w", "series 4:": "T2w", "series 5:": "FLAIR"}
    decisions = read_decisions(_decide(tmp_path, answers))
    cohort = import_dicom(source, tmp_path / "again", decisions=decisions)
    assert list(cohort["sub-001"].images) == ["T1w", "T1ce", "T2w"]
    third = np.asarray(load_image(cohort["sub-001"].images["T1w"]).dataobj)
    assert sorted(third.ravel()) == sorted(voxels(seed=3).ravel())
    rows = cohort.ledger[cohort.ledger.kind == "series"]
    assert rows.decision.tolist() == ["leave out", "", "T1w", "T2w", "FLAIR"]
    assert rows.taken_as.tolist() == ["", "T1ce", "T1w", "T2w", ""] and "without a gap" in rows.reason.iloc[4]
    (unused,) = cohort.ledger[cohort.ledger.source == "exam/gone.dcm"].reason
    assert "no longer has this series" in unused


def test_a_decision_goes_before_every_other_preference(source, tmp_path):
    import_dicom(source, tmp_path / "out")
    decisions = read_decisions(_decide(tmp_path, {"series 2:": "T1ce"}))
    cohort = import_dicom(source, tmp_path / "again", decisions=decisions)
    second = np.asarray(load_image(cohort["sub-001"].images["T1ce"]).dataobj)
    assert sorted(second.ravel()) == sorted(voxels(seed=2).ravel())
    rows = cohort.ledger[cohort.ledger.kind == "series"]
    assert rows.reason.iloc[0] == "another T1ce was taken, series 2: as was decided"


def test_a_series_of_another_contrast_by_decision_is_imported_anew(tmp_path):
    folder = write_series(tmp_path / "in", series(**T1))
    import_dicom(folder, tmp_path / "out")
    decisions = {("1.2.9.1.1.14.1.dcm", "series"): "T1ce"}
    assert list(import_dicom(folder, tmp_path / "again", decisions=decisions)["sub-001"].images) == ["T1ce"]


def test_an_exam_of_which_nothing_can_be_told_leaves_its_ledger_to_be_answered(tmp_path):
    folder = write_series(tmp_path / "in", series(SeriesDescription="T1 T2"))
    with raises_three_lines(CohortError, "cannot tell its contrast", tmp_path / "out" / "sources.tsv"):
        import_dicom(folder, tmp_path / "out")
    decisions = read_decisions(_decide(tmp_path, {"series 1:": "T2w"}))
    assert list(import_dicom(folder, tmp_path / "out", decisions=decisions)["sub-001"].images) == ["T2w"]


def test_the_command_line_takes_decisions_and_says_what_was_left_out(source, tmp_path, capsys):
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, ["cohort", "dicom", str(source), str(tmp_path / "out"), "--workers", "1"])
    assert done.exit_code == 0 and "cannot tell" in done.stdout and "another T1ce was taken" in done.stdout
    edited = _decide(tmp_path, {"series 3:": "T2w"})
    how = ["cohort", "dicom", str(source), str(tmp_path / "again"), "--decisions", str(edited), "--workers", "1"]
    done = CliRunner().invoke(app, how)
    assert done.exit_code == 0 and "T2w 1" in done.stdout


def test_nothing_of_a_person_stands_beside_the_scans(source, tmp_path):
    cohort = import_dicom(source, tmp_path / "out")
    said = [*cohort.excluded.reason, *cohort.repaired.repair]
    assert said and not [text for text in said if "exam" in text or "HOSP" in text or "1.2.9" in text]


@pytest.mark.parametrize(
    "words",
    [
        *(
            "Z.n. Resektion links",
            "BRAIN POST CRANIOTOMY",
            "status post",
            "MRI s/p tumour",
            "day 1 post",
            "POSTOP DAY 2",
        ),
        *(
            "POSTOP DAY 2",
            "Zustand nach OP",
            "nach Teilresektion",
            "POD 3",
            "after left craniotomy",
            "Kontrolle postoperativ",
        ),
    ],
)
def test_words_of_surgery_send_a_study_to_the_end(tmp_path, words):
    stacks = [_study(1, "20190101", words, (T2,)), _study(2, "20200101", "MRT", (T2,))]
    choices = choose(_read(tmp_path, *stacks))
    assert choices[0].judged[0].volume.study == "1.2.6.2"
    assert any("after surgery by its words: study 1" in repair for choice in choices for repair in choice.repairs)


@pytest.mark.parametrize("words", ["nach KM", "s/p fall", "post gad", "after contrast", "day 1 post contrast"])
def test_other_words_of_after_are_none_of_surgery(tmp_path, words):
    stacks = [_study(1, "20190101", words, (T2,)), _study(2, "20200101", "MRT", (T2,))]
    assert choose(_read(tmp_path, *stacks))[0].judged[0].volume.study == "1.2.6.1"


def test_studies_without_dates_are_not_called_ordered_by_date(tmp_path):
    stacks = [_study(1, "20190101", "", (T2,)), _study(2, "", "", (T2,))]
    repairs = [repair for choice in choose(_read(tmp_path, *stacks)) for repair in choice.repairs]
    assert any("not all of their dates are known" in repair for repair in repairs) and "by date" not in str(repairs)
