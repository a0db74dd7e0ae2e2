"""The LGG-1p19q collection: labels and masks in place, each known fault found by rule, said and repaired."""

import gzip
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from made_dicom import SECRETS, T2, lps_affine, series, voxels, write_series
from made_lgg import (
    ROWS,
    SLICES,
    TABLE,
    segmentation,
    stored,
    t2_voxels,
    tumour,
    write_collection,
    write_dicom,
    write_nifti,
    write_segmentation,
    write_spreadsheet,
)
from tiny import raises_three_lines

from epitome_kit.errors import CohortError, EpitomeWarning, OutputError, ParameterError
from epitome_kit.files import read_json
from epitome_kit.images import load_image, load_mask, new_image_like, same_grid
from epitome_kit.sources.lgg_1p19q import import_lgg_1p19q
from epitome_kit.sources.lgg_masks import fit_mask, place_segmentation


@pytest.fixture
def source(tmp_path):
    return write_collection(tmp_path / "in")


@pytest.fixture
def empty(tmp_path):
    """A collection with its spreadsheet alone."""
    return write_spreadsheet(tmp_path / "in", ROWS[:1])


def _repairs(cohort, name="sub-LGG104"):
    return cohort.repaired.repair[cohort.repaired.id == name].tolist()


def _in_dicom_order(image):
    """Voxels of an imported image in the order of the DICOM columns, rows and slices."""
    return np.asarray(nib.as_closest_canonical(image).dataobj)[::-1, ::-1]


def _assert_right(subject, mask=None):
    """The scans and the mask lie where the series and the annotator put them."""
    scan = load_image(subject.images["T2w"])
    assert np.array_equal(_in_dicom_order(scan), t2_voxels("LGG-" + subject.id[7:]))
    found = load_mask(subject.annotation, like=scan)
    assert np.array_equal(_in_dicom_order(found), tumour() if mask is None else mask)
    assert subject.annotated_on == "T2w" and subject.annotated_slices == SLICES


def test_the_collection_is_imported_whole(source, tmp_path):
    cohort = import_lgg_1p19q(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-LGG104", "sub-LGG210", "sub-LGG223"]
    assert cohort.excluded.empty and cohort.repaired.empty and cohort.contrasts == ("T1ce", "T2w")
    for subject in cohort:
        _assert_right(subject)
    table = cohort.participants
    assert table.grade.tolist() == [2, 3, 3] and table.source_id.tolist() == list(TABLE)
    assert table.codeletion.tolist() == ["codeleted", "intact", "codeleted"]
    assert table.histology.tolist() == ["oligodendroglioma", "astrocytoma", "oligoastrocytoma"]
    assert table.age.tolist() == [59, 59, 59] and set(table.sex) == {"F"}
    notes = read_json(cohort["sub-LGG104"].annotation.with_suffix("").with_suffix(".json"))
    assert notes["AnnotatedSlices"] == [5, 6, 7]
    assert cohort.labels("codeletion").tolist() == [1, 0, 1]


def test_swapped_files_are_put_right(empty, tmp_path):
    write_dicom(empty, "LGG-104")
    write_nifti(empty, "LGG-104", swapped=True)
    cohort = import_lgg_1p19q(empty, tmp_path / "out")
    _assert_right(cohort["sub-LGG104"])
    (repair,) = _repairs(cohort)
    assert repair.startswith("swapped files") and "LGG-104_T2.nii.gz is the mask" in repair


def test_swapped_files_are_put_right_without_dicom(empty, tmp_path):
    write_nifti(empty, "LGG-104", swapped=True)
    cohort = import_lgg_1p19q(empty, tmp_path / "out")
    _assert_right(cohort["sub-LGG104"])
    notes = read_json(cohort["sub-LGG104"].images["T1ce"].with_suffix("").with_suffix(".json"))
    assert notes["CoregisteredAtOrigin"] is True and _repairs(cohort)[0].startswith("swapped files")


@pytest.mark.parametrize("turn", [1, 2, (1, 2), (0, 1)])
def test_flipped_masks_are_turned_by_the_voxels_of_their_scan(empty, tmp_path, turn):
    write_dicom(empty, "LGG-104")
    write_nifti(empty, "LGG-104", turn=turn)
    cohort = import_lgg_1p19q(empty, tmp_path / "out")
    _assert_right(cohort["sub-LGG104"])
    (repair,) = _repairs(cohort)
    assert repair.startswith("flipped: the header of the mask says LAS")


def test_another_order_of_the_voxels_that_the_header_knows_is_no_fault(empty, tmp_path):
    write_dicom(empty, "LGG-104")
    write_nifti(empty, "LGG-104")
    for path in (empty / "NiFTiSegmentationsEdited" / "LGG-104").iterdir():
        nib.save(nib.as_closest_canonical(nib.load(path)), path)
    cohort = import_lgg_1p19q(empty, tmp_path / "out")
    _assert_right(cohort["sub-LGG104"])
    assert _repairs(cohort) == []


def test_a_mask_of_another_scan_brings_its_own(empty, tmp_path):
    write_dicom(empty, "LGG-104")
    other = voxels(seed=500)[::-1] // 2 + voxels(seed=501)
    write_nifti(empty, "LGG-104", scan=np.roll(other, 5, axis=0))
    cohort = import_lgg_1p19q(empty, tmp_path / "out")
    assert np.array_equal(_in_dicom_order(load_image(cohort["sub-LGG104"].images["T2w"])), np.roll(other, 5, axis=0))
    assert _repairs(cohort) == ["no series matches the T2 of the mask: took the NIfTI scans"]


@pytest.mark.parametrize("drawn_on", [1, 2])
def test_of_two_studies_the_one_with_the_mask_is_taken(empty, tmp_path, drawn_on):
    """The mask was drawn on one of two studies with both contrasts."""
    for number in (1, 2):
        images = write_dicom(empty, "LGG-104", study=f"1.4.{number}", StudyDate=f"2019010{number}")
        if number != drawn_on:
            folder = empty / "LGG-1p19qDeletion" / "LGG-104" / f"1.4.{number}" / "2"
            shutil.rmtree(folder)
            away = lps_affine(origin=(-20, -30, 57))
            of = {"patient": "LGG-104", "study": f"1.4.{number}", "StudyDate": f"2019010{number}"}
            write_series(folder, series(np.roll(t2_voxels("LGG-104"), 6, 1), affine=away, number=2, **of, **T2))
        else:
            write_segmentation(empty, images, tumour())
    cohort = import_lgg_1p19q(empty, tmp_path / "out")
    _assert_right(cohort["sub-LGG104"])
    assert _repairs(cohort) == [f"2 studies: took study {drawn_on} by date, with T1ce and T2w"]


def test_proton_density_is_told_from_t2(empty, tmp_path):
    write_dicom(empty, "LGG-104", density=True)
    write_nifti(empty, "LGG-104")
    cohort = import_lgg_1p19q(empty, tmp_path / "out")
    _assert_right(cohort["sub-LGG104"])
    assert _repairs(cohort) == ["series 2 holds echoes of 17 and 102 ms: T2w is the one of 102 ms"]


def test_masks_come_as_dicom_segmentations_too(empty, tmp_path):
    write_segmentation(empty, write_dicom(empty, "LGG-104"), tumour())
    cohort = import_lgg_1p19q(empty, tmp_path / "out")
    _assert_right(cohort["sub-LGG104"])
    assert _repairs(cohort) == []


def test_a_segmentation_lies_on_an_oblique_scan(tmp_path):
    affine = lps_affine(tilt=0.4)
    images = series(affine=affine, study="1.5", **T2)
    (path,) = write_series(tmp_path / "seg", [segmentation(images, tumour())]).iterdir()
    scan = stored(voxels(affine=affine), affine)
    mask, contrast = place_segmentation(path, {"T1ce": stored(voxels()), "T2w": scan})
    assert contrast == "T2w" and same_grid(mask, scan)
    assert np.array_equal(np.asarray(mask.dataobj)[:, ::-1], tumour())


@pytest.mark.parametrize("slices", [(5, 6), (5, 7, 8)])
def test_masks_on_other_than_three_neighbours_are_said(empty, tmp_path, slices):
    write_dicom(empty, "LGG-104")
    write_nifti(empty, "LGG-104", mask=tumour(slices))
    cohort = import_lgg_1p19q(empty, tmp_path / "out")
    assert cohort["sub-LGG104"].annotated_slices == slices
    assert "expected 3 neighbours" in _repairs(cohort)[0]


def test_a_subject_without_a_mask_or_a_row_is_kept_and_said(source, tmp_path):
    shutil.rmtree(source / "NiFTiSegmentationsEdited" / "LGG-104")
    write_dicom(source, "LGG-999")
    cohort = import_lgg_1p19q(source, tmp_path / "out")
    assert cohort["sub-LGG104"].annotation is None and _repairs(cohort) == ["no mask"]
    assert _repairs(cohort, "sub-LGG999") == ["no mask", "no row in the spreadsheet: no labels"]
    assert cohort.participants.grade.isna().tolist() == [False, False, False, True]


SPOILT = {
    "an empty mask": {"mask": np.zeros_like(tumour())},
    "3 values in LGG-104-Segmentation.nii.gz": {"mask": tumour() + tumour((6,))},
}


@pytest.mark.parametrize("word", SPOILT)
def test_a_spoilt_mask_leaves_its_subject_out(source, tmp_path, word):
    write_nifti(source, "LGG-104", **SPOILT[word])
    cohort = import_lgg_1p19q(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-LGG210", "sub-LGG223"]
    assert cohort.excluded.id.tolist() == ["LGG-104"] and word in cohort.excluded.reason[0]


@pytest.mark.parametrize("spoil", ["torn NIfTI", "torn segmentation", "empty segmentation", "missing slices"])
def test_a_damaged_file_leaves_its_subject_out(source, tmp_path, spoil):
    shutil.rmtree(source / "LGG-1p19qDeletion" / "LGG-104")
    copies = source / "NiFTiSegmentationsEdited" / "LGG-104"
    images = write_dicom(source, "LGG-104")
    if spoil == "torn NIfTI":
        path = copies / "LGG-104_T2.nii.gz"
        path.write_bytes(path.read_bytes()[:600])
    elif spoil == "torn segmentation":
        (path,) = write_segmentation(source, images, tumour()).iterdir()
        path.write_bytes(path.read_bytes()[:-20])
    elif spoil == "empty segmentation":
        (path,) = write_segmentation(source, images, tumour()).iterdir()
        import pydicom

        dataset = pydicom.dcmread(path)
        dataset.PixelData = bytes(len(dataset.PixelData))
        dataset.save_as(path)
    else:
        shutil.rmtree(copies)
        for series_folder in (source / "LGG-1p19qDeletion" / "LGG-104" / "1.3.104").iterdir():
            next(series_folder.glob("*.6.dcm")).unlink()
    cohort = import_lgg_1p19q(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-LGG210", "sub-LGG223"]
    assert cohort.excluded.id.tolist() == ["LGG-104"]
    assert spoil != "missing slices" or "1 of 12 missing" in cohort.excluded.reason[0]


def test_rows_without_scans_and_rows_that_differ_are_left_out(source, tmp_path):
    write_spreadsheet(source, [*ROWS, {**ROWS[0], "Grade": "3"}, {**ROWS[0], "Filename": "LGG-555"}])
    cohort = import_lgg_1p19q(source, tmp_path / "out")
    left_out = dict(cohort.excluded.to_numpy().tolist())
    assert "row of the spreadsheet alone" in left_out["sub-LGG555"] and "rows that differ" in left_out["LGG-104"]
    assert list(cohort.subjects) == ["sub-LGG210", "sub-LGG223"]


def test_without_a_spreadsheet_there_are_no_labels(source, tmp_path):
    (source / "TCIA_LGG_cases_159.xlsx").unlink()
    with pytest.warns(EpitomeWarning, match="no labels"):
        cohort = import_lgg_1p19q(source, tmp_path / "out")
    assert len(cohort) == 3 and cohort.repaired.empty and "grade" not in cohort.participants
    assert "No spreadsheet" in (cohort.root / "README.md").read_text()


def _as_excel(path, *, sheets=(), **how):
    with pd.ExcelWriter(path, engine="openpyxl") as book:
        for name in sheets:
            pd.DataFrame({"note": [name]}).to_excel(book, sheet_name=name, index=False)
        pd.DataFrame(ROWS).rename(columns=how.pop("rename", {})).to_excel(book, sheet_name="all", index=False, **how)


SAVED = {
    "as text": lambda folder: pd.DataFrame(ROWS).to_csv(folder / "cases.csv", index=False),
    "with semicolons": lambda folder: pd.DataFrame(ROWS).to_csv(folder / "cases.CSV", index=False, sep=";"),
    "in capitals": lambda folder: _as_excel(folder / "CASES.XLSX"),
    "on the third sheet": lambda folder: _as_excel(folder / "cases.xlsx", sheets=("legend", "methods")),
    "below three lines": lambda folder: _as_excel(folder / "cases.xlsx", startrow=3, startcol=1),
    "with other columns": lambda folder: _as_excel(
        folder / "cases.xlsx", rename={"Filename": "Patient ID", "1p/19q": "1p/19q co-deletion", "Grade": "WHO grade"}
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", SAVED)
def test_the_spreadsheet_is_read_however_it_was_saved(source, tmp_path, how):
    wanted = import_lgg_1p19q(source, tmp_path / "first").participants
    (source / "TCIA_LGG_cases_159.xlsx").unlink()
    SAVED[how](source)
    cohort = import_lgg_1p19q(source, tmp_path / "out")
    pd.testing.assert_frame_equal(cohort.participants, wanted)
    rows = cohort.ledger[cohort.ledger.kind == "label"]
    assert rows.subject.tolist() == list(cohort.subjects) and set(rows.taken_as) == {"labels"}


def test_an_old_spreadsheet_asks_to_be_saved_again(source, tmp_path):
    (source / "TCIA_LGG_cases_159.xlsx").rename(source / "cases.xls")
    (source / "cases.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))
    with raises_three_lines(CohortError, "cases.xls", "save it as .xlsx"):
        import_lgg_1p19q(source, tmp_path / "out")
    write_spreadsheet(source)
    assert import_lgg_1p19q(source, tmp_path / "out").participants.grade.notna().all()


def test_tables_that_contradict_each_other_give_no_label(source, tmp_path):
    pd.DataFrame([{**row, "Grade": "2"} for row in ROWS]).to_csv(source / "edited.csv", index=False)
    with pytest.warns(EpitomeWarning, match="contradict each other about the grade of 2"):
        cohort = import_lgg_1p19q(source, tmp_path / "out")
    assert cohort.participants.grade.notna().tolist() == [True, False, False]
    assert cohort.participants.codeletion.notna().all()


def test_a_grade_that_is_lost_is_said(source, tmp_path):
    write_spreadsheet(source, [*ROWS[:2], {**ROWS[2], "Grade": "high"}])
    with pytest.warns(EpitomeWarning, match="grade high"):
        import_lgg_1p19q(source, tmp_path / "out")


def test_every_series_scan_and_mask_is_in_the_ledger(source, tmp_path):
    write_dicom(source, "LGG-104", study="1.4.9", StudyDate="20300101")
    write_nifti(source, "LGG-210", swapped=True)
    shutil.rmtree(source / "LGG-1p19qDeletion" / "LGG-210")
    shutil.copy(source / "NiFTiSegmentationsEdited/LGG-223/LGG-223_T2.nii.gz", source / "LGG-223_T2_copy.nii.gz")
    shutil.copy(source / "NiFTiSegmentationsEdited/LGG-223/LGG-223_T2.nii.gz", source / "atlas.nii.gz")
    write_nifti(source, "LGG-300", mask=np.zeros_like(tumour()))
    cohort = import_lgg_1p19q(source, tmp_path / "out")
    ledger = cohort.ledger[cohort.ledger.kind.isin(["series", "scan", "mask", "file"])]
    fates = {row.source: row.taken_as or row.reason for row in ledger.itertuples()}
    files = [path.relative_to(source).as_posix() for path in source.rglob("*.nii.gz")]
    assert set(files) <= set(fates) and len(fates) == len(ledger) == len(files) + 6
    copies = "NiFTiSegmentationsEdited/LGG-"
    assert fates[f"{copies}104/LGG-104-Segmentation.nii.gz"] == "tumour"
    assert fates[f"{copies}104/LGG-104_T2.nii.gz"] == "a copy: the series was taken"
    assert fates[f"{copies}210/LGG-210_T2.nii.gz"] == "tumour"
    assert fates[f"{copies}210/LGG-210-Segmentation.nii.gz"] == "T2w"
    assert fates[f"{copies}300/LGG-300_T1.nii.gz"] == "its subject was left out"
    assert "another T2w" in fates["LGG-223_T2_copy.nii.gz"] or "another T2w" in fates[f"{copies}223/LGG-223_T2.nii.gz"]
    assert "its name contains no subject" in fates["atlas.nii.gz"]
    taken = ledger[(ledger.kind == "series") & (ledger.taken_as != "")]
    assert sorted(taken.subject) == ["sub-LGG104"] * 2 + ["sub-LGG223"] * 2
    assert not taken.source.str.contains("1.4.9").any()


def test_names_and_dates_are_left_behind(source, tmp_path):
    out = import_lgg_1p19q(source, tmp_path / "out").root
    for path in [path for path in out.rglob("*") if path.is_file()]:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert not [word for word in SECRETS if word.encode() in content]


def test_an_import_goes_on_where_it_stopped(source, tmp_path):
    first = import_lgg_1p19q(source, tmp_path / "out")
    kept = first["sub-LGG210"].images["T2w"].stat().st_mtime_ns
    first["sub-LGG104"].images["T2w"].unlink()
    cohort = import_lgg_1p19q(source, tmp_path / "out")
    assert cohort["sub-LGG210"].images["T2w"].stat().st_mtime_ns == kept
    _assert_right(cohort["sub-LGG104"])


def test_other_files_under_a_name_in_use_are_three_lines(source, tmp_path):
    import_lgg_1p19q(source, tmp_path / "out")
    with raises_three_lines(OutputError, "sub-LGG104"):
        import_lgg_1p19q(source, tmp_path / "out", deface=lambda image: image)


def test_scans_can_be_changed_on_their_way(source, tmp_path):
    cohort = import_lgg_1p19q(
        source, tmp_path / "out", deface=lambda image: new_image_like(np.asarray(image.dataobj) // 2, image)
    )
    scan = load_image(cohort["sub-LGG104"].images["T2w"])
    assert np.array_equal(_in_dicom_order(scan), t2_voxels("LGG-104") // 2)


@pytest.mark.parametrize("content", [None, "", "TCIA_LGG_cases_159.xlsx"])
def test_a_source_without_scans_is_three_lines(tmp_path, content):
    if content is not None:
        (tmp_path / "in").mkdir()
    if content:
        write_spreadsheet(tmp_path / "in")
    with raises_three_lines(CohortError, tmp_path / "in"):
        import_lgg_1p19q(tmp_path / "in", tmp_path / "out")


def test_a_damaged_spreadsheet_is_three_lines(source, tmp_path):
    (source / "TCIA_LGG_cases_159.xlsx").write_bytes(b"PK\x03\x04torn")
    with raises_three_lines(CohortError, "TCIA_LGG_cases_159.xlsx"):
        import_lgg_1p19q(source, tmp_path / "out")


def test_output_in_the_source_is_three_lines(source):
    with raises_three_lines(ParameterError, source):
        import_lgg_1p19q(source, source / "out")


def test_a_turn_that_is_not_clear_is_not_made():
    """A scan that looks the same upside down cannot say how its mask lies."""
    half = voxels(seed=3)
    even = half // 2 + half[:, ::-1] // 2
    assert fit_mask(stored(tumour()), stored(even), stored(even)) == (None, [])
