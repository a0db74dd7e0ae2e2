"""DICOM folders: the right series by header, in the right place, without the patient's name."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from made_dicom import FLAIR, PD, SECRETS, SHAPE, T1, T1CE, T2, lps_affine, multiframe, series, voxels, write_series
from tiny import raises_three_lines

from epitome_kit.errors import CohortError, EpitomeWarning, ImageError, OutputError, ParameterError
from epitome_kit.files import read_json, read_tsv, write_tsv
from epitome_kit.images import load_image, new_image_like
from epitome_kit.report.run_page import write_report
from epitome_kit.run.notebooks import run_notebooks
from epitome_kit.sources.dicom import import_dicom

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def source(tmp_path):
    """Two patients: one with all four contrasts, one with FLAIR alone."""
    for number, header in enumerate((T1, T1CE, T2, FLAIR), start=1):
        write_series(tmp_path / "in" / "a" / str(number), series(number=number, **header))
    write_series(tmp_path / "in" / "b", series(voxels(seed=9), patient="HOSP-99", study="1.2.9.2", **FLAIR))
    return tmp_path / "in"


def _one(tmp_path, *stacks, **options):
    """Import series of one patient."""
    for index, images in enumerate(stacks):
        write_series(tmp_path / "in" / str(index), images)
    return import_dicom(tmp_path / "in", tmp_path / "out", **options)


def _same_place(image, data, affine):
    """Every voxel of an image is the voxel of the data that lies at the same place."""
    index = np.argwhere(np.ones(image.shape, bool))
    place = nib.affines.apply_affine(np.linalg.inv(LPS_TO_RAS @ affine) @ image.affine, index)
    assert np.abs(place - place.round()).max() < 0.01
    return np.array_equal(np.asarray(image.dataobj).ravel(), data[tuple(place.round().astype(int).T)])


def test_each_contrast_is_known_by_its_header(source, tmp_path):
    cohort = import_dicom(source, tmp_path / "out")
    assert [list(subject.images) for subject in cohort] == [["T1w", "T1ce", "T2w", "FLAIR"], ["FLAIR"]]
    assert list(cohort.subjects) == ["sub-001", "sub-002"] and cohort.excluded.empty and cohort.repaired.empty
    assert cohort.participants.age.tolist() == [59, 59] and cohort.participants.sex.tolist() == ["F", "F"]
    notes = read_json(cohort["sub-001"].images["FLAIR"].with_suffix("").with_suffix(".json"))
    assert notes["EchoTime"] == 0.12 and notes["RepetitionTime"] == 9 and notes["InversionTime"] == 2.25


@pytest.mark.parametrize(
    ("header", "contrast"),
    [
        ({"EchoTime": 3.0, "RepetitionTime": 8.0, "ScanningSequence": "GR"}, "T1w"),
        ({"EchoTime": 3.0, "RepetitionTime": 2200.0, "InversionTime": 900, "ScanningSequence": ["GR", "IR"]}, "T1w"),
        ({"EchoTime": 24.0, "RepetitionTime": 2500.0, "InversionTime": 860, "ScanningSequence": ["SE", "IR"]}, "T1w"),
        ({**T1, "SeriesDescription": "AX T1 +C"}, "T1ce"),
        ({**T1, "SeriesDescription": "Pre-op T1 post gad"}, "T1ce"),
        ({**T1, "SeriesDescription": "AX T1 PRE"}, "T1w"),
        ({**T1, "ContrastBolusAgent": "None"}, "T1w"),
        ({**T2, "SeriesDescription": "AX FLAIR"}, "FLAIR"),
        ({"SeriesDescription": "ax_t2_tse"}, "T2w"),
        ({"SeriesDescription": "T1 MPRAGE POST"}, "T1ce"),
    ],
)
def test_sequences_of_many_kinds_are_understood(tmp_path, header, contrast):
    assert list(_one(tmp_path, series(**header))["sub-001"].images) == [contrast]


@pytest.mark.parametrize(
    "header",
    [
        PD,
        {**T2, "ScanningSequence": "EP"},
        {**T2, "SeriesDescription": "DWI b1000"},
        {**T1, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {**T1, "Modality": "CT"},
        {"EchoTime": 20.0, "RepetitionTime": 600.0, "ScanningSequence": "GR"},
        {"SeriesDescription": "AX PD/T2"},
        {},
    ],
)
def test_other_series_are_not_taken_for_one_of_the_four(tmp_path, header):
    cohort = _one(tmp_path, series(**header), series(number=2, **FLAIR))
    assert list(cohort["sub-001"].images) == ["FLAIR"]


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_voxels_lie_where_the_headers_say(tmp_path, tilt):
    affine = lps_affine(tilt=tilt)
    data = voxels(affine=affine)
    image = load_image(_one(tmp_path, series(data, affine=affine, **T2))["sub-001"].images["T2w"])
    assert image.shape == SHAPE and _same_place(image, data, affine)
    assert np.allclose(nib.affines.voxel_sizes(image.affine), (2, 2.5, 4))


def test_many_images_in_one_file_are_one_volume(tmp_path):
    affine = lps_affine(tilt=0.2)
    data = voxels(affine=affine)
    cohort = _one(tmp_path, multiframe(series(data, affine=affine, **T2)), series(number=2, **FLAIR))
    assert list(cohort["sub-001"].images) == ["T2w", "FLAIR"] and cohort.repaired.empty
    assert _same_place(load_image(cohort["sub-001"].images["T2w"]), data, affine)


def test_a_gap_within_one_file_is_noticed(tmp_path):
    broken = [image for image in series(**T2) if image.InstanceNumber != 5]
    cohort = _one(tmp_path, multiframe(broken), series(number=2, **FLAIR))
    assert list(cohort["sub-001"].images) == ["FLAIR"] and "1 of 12 missing" in cohort.repaired.repair[0]


def test_the_finer_volume_is_taken_and_acquired_before_derived(tmp_path):
    thin = lps_affine((2, 2, 2))
    derived = series(affine=thin, number=1, ImageType=["DERIVED", "SECONDARY"], **T1CE)
    coarse, fine = series(number=2, **T1CE), series(affine=thin, number=3, **T1CE)
    image = load_image(_one(tmp_path, derived, coarse, fine)["sub-001"].images["T1ce"])
    assert nib.affines.voxel_sizes(image.affine).tolist() == [2, 2, 2]
    assert _same_place(image, voxels(affine=thin), thin)


def test_two_echoes_of_one_series_are_told_apart(tmp_path):
    density, weighted = voxels(seed=1), voxels(seed=2)
    cohort = _one(tmp_path, [*series(density, **PD), *series(weighted, **T2)])
    assert list(cohort["sub-001"].images) == ["T2w"]
    assert _same_place(load_image(cohort["sub-001"].images["T2w"]), weighted, lps_affine())
    (repair,) = cohort.repaired.repair
    assert "17 and 102 ms" in repair and "series 1" in repair


def test_echo_times_that_differ_by_a_rounding_are_one(tmp_path):
    images = series(**T2)
    for image in images[::2]:
        image.EchoTime = 102.16
    cohort = _one(tmp_path, images)
    assert load_image(cohort["sub-001"].images["T2w"]).shape == SHAPE and cohort.repaired.empty


def test_missing_slices_are_noticed_and_said(tmp_path):
    broken = [image for image in series(number=3, **T2) if image.InstanceNumber not in (5, 6)]
    cohort = _one(tmp_path, broken, series(number=4, **FLAIR))
    assert list(cohort["sub-001"].images) == ["FLAIR"]
    (repair,) = cohort.repaired.repair
    assert "2 of 12 missing in series 3" in repair and "after slice 4: 12.0 mm where 4.0 mm" in repair
    assert cohort.repaired.id.tolist() == ["sub-001"]


def test_another_series_takes_the_place_of_one_with_a_gap(tmp_path):
    broken = [image for image in series(number=3, affine=lps_affine((1, 1, 1)), **T2) if image.InstanceNumber != 5]
    whole = voxels(seed=8)
    cohort = _one(tmp_path, broken, series(whole, number=4, **T2))
    assert _same_place(load_image(cohort["sub-001"].images["T2w"]), whole, lps_affine())


def test_slices_missing_at_the_end_are_said_where_the_header_announces_them(tmp_path):
    cohort = _one(tmp_path, series(**T2, ImagesInAcquisition=12)[:9])
    assert load_image(cohort["sub-001"].images["T2w"]).shape[2] == 9
    assert "9 images and announces 12" in cohort.repaired.repair[0]


def test_a_subject_without_a_usable_volume_is_left_out_by_name_and_reason(source, tmp_path):
    for number in (5, 6):
        next((source / "b").glob(f"*.{number}.dcm")).unlink()
    cohort = import_dicom(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-001"]
    (row,) = cohort.excluded.itertuples()
    assert row.id == "sub-002" and "2 of 12 missing in series 1" in row.reason


@pytest.mark.parametrize("spoil", ["repeated place", "truncated pixels", "localizer"])
def test_a_spoilt_series_leaves_its_subject_out(source, tmp_path, spoil):
    images = series(patient="HOSP-99", study="1.2.9.2", **FLAIR)
    for path in (source / "b").iterdir():
        path.unlink()
    if spoil == "repeated place":
        images[3].ImagePositionPatient = images[4].ImagePositionPatient
    write_series(source / "b", images[:2] if spoil == "localizer" else images)
    if spoil == "truncated pixels":
        for path in (source / "b").iterdir():
            path.write_bytes(path.read_bytes()[:-400])
    cohort = import_dicom(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-001"] and cohort.excluded.id.tolist() == ["sub-002"]
    assert "series 1" in cohort.excluded.reason[0]


@pytest.mark.parametrize("keep_ids", [False, True])
def test_names_dates_and_identifiers_are_left_behind(source, tmp_path, keep_ids):
    out = import_dicom(source, tmp_path / "out", keep_ids=keep_ids).root
    secrets = [word for word in SECRETS if not (keep_ids and word == "HOSP-77")]
    for path in [path for path in out.rglob("*") if path.is_file() and path.name != "sources.tsv"]:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert not [word for word in secrets if word.encode() in content or word in path.name]
        assert b"1.2.9" not in content


@pytest.mark.slow
def test_what_is_left_behind_reaches_no_file_of_a_run(source, tmp_path):
    cohort, out = import_dicom(source, tmp_path / "cohort").root, tmp_path / "runs" / "one"
    write_tsv(cohort / "participants.tsv", read_tsv(cohort / "participants.tsv").assign(grade=[2, 3]))
    run_notebooks(["01"], out=out, cohort=cohort, profile="smoke", parameters={"workers": 1})
    write_report(out)
    written = [path for path in out.rglob("*") if path.is_file()]
    assert {"log.jsonl", "provenance.json", "audit.tsv", "index.html"} <= {path.name for path in written}
    for path in written:
        assert not [word for word in SECRETS if word.encode() in path.read_bytes() or word in path.name], path


def test_pseudonyms_can_be_kept(source, tmp_path):
    cohort = import_dicom(source, tmp_path / "out", keep_ids=True)
    assert list(cohort.subjects) == ["sub-HOSP77", "sub-HOSP99"]
    assert cohort.participants.source_id.tolist() == ["HOSP-77", "HOSP-99"]


def test_labels_come_from_a_table_beside_the_series(source, tmp_path):
    (source / "participants.tsv").write_text("participant_id\tgrade\t1p/19q\tage\nHOSP-99\tIII\td/d\t41\n")
    table = import_dicom(source, tmp_path / "out").participants
    assert table.grade["sub-002"] == 3 and table.codeletion["sub-002"] == "codeleted"
    assert table.age.to_dict() == {"sub-001": 59, "sub-002": 41} and table.source_id.isna().all()


@pytest.mark.parametrize(
    ("stated", "birth", "age"), [("095Y", "", 89), ("030M", "", 2), ("", "19500512", 69), ("", "", None)]
)
def test_ages_are_in_years_and_none_above_89(tmp_path, stated, birth, age):
    cohort = _one(tmp_path, series(**T2, PatientAge=stated, PatientBirthDate=birth))
    found = cohort.participants.age["sub-001"]
    assert found == age if age is not None else np.isnan(found)


def test_of_two_studies_the_first_with_most_contrasts_is_taken(tmp_path):
    early = series(study="1.2.9.7", **T2, StudyDate="20190101")
    whole = [series(study="1.2.9.1", number=number, **header) for number, header in ((1, T1CE), (2, T2))]
    late = [series(study="1.2.9.3", number=n, StudyDate="20210101", **header) for n, header in ((1, T1CE), (2, T2))]
    cohort = _one(tmp_path, early, *late, *whole)
    assert list(cohort["sub-001"].images) == ["T1ce", "T2w"]
    assert cohort.repaired.repair[0].startswith("3 studies: took study 2 by date, with T1ce and T2w")


def test_images_of_nobody_belong_to_their_folder(tmp_path):
    for folder in ("p1", "p2"):
        write_series(tmp_path / "in" / folder, series(patient="", study=f"1.2.{folder[1]}", **T2))
    write_series(tmp_path / "in" / "p3", series(patient="HOSP-98", study="1.2.3", **T2))
    cohort = import_dicom(tmp_path / "in", tmp_path / "out", keep_ids=True)
    assert sorted(cohort.subjects) == ["sub-002", "sub-003", "sub-HOSP98"], "the name of a folder is no pseudonym"
    assert cohort.participants.source_id.dropna().tolist() == ["HOSP-98"]


def test_text_drawn_into_the_picture_is_said(tmp_path):
    with pytest.warns(EpitomeWarning, match="sub-001: BurnedInAnnotation is YES.* series 1"):
        cohort = _one(tmp_path, series(BurnedInAnnotation="YES", **T2))
    assert "BurnedInAnnotation" in cohort.repaired.repair[0]


def test_copies_and_other_files_are_passed_over(source, tmp_path):
    write_series(source / "a" / "copy", series(number=3, **T2))
    (source / "notes.txt").write_text("notes")
    (source / "empty.dcm").write_bytes(b"")
    (source / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0\x10\0UI\xff\xff1.2")
    cohort = import_dicom(source, tmp_path / "out")
    assert len(cohort) == 2 and cohort.repaired.empty


def test_an_import_goes_on_where_it_stopped(source, tmp_path):
    first = import_dicom(source, tmp_path / "out")
    kept = first["sub-002"].images["FLAIR"].stat().st_mtime_ns
    first["sub-001"].images["FLAIR"].unlink()
    cohort = import_dicom(source, tmp_path / "out")
    assert cohort["sub-002"].images["FLAIR"].stat().st_mtime_ns == kept
    assert list(cohort["sub-001"].images) == ["T1w", "T1ce", "T2w", "FLAIR"]


@pytest.mark.parametrize("header", [FLAIR, T2, T1])
def test_another_patient_under_a_number_in_use_is_three_lines(source, tmp_path, header):
    import_dicom(source, tmp_path / "out")
    write_series(source / "new", series(patient="AAA", study="1.2.9.8", **header))
    with raises_three_lines(OutputError, "sub-001", tmp_path / "out"):
        import_dicom(source, tmp_path / "out")


def test_a_scan_can_be_changed_on_its_way_and_its_sidecar_says_so(source, tmp_path):
    def deface(image):
        data = np.asarray(image.dataobj).copy()
        data[:, :5] = 0
        return new_image_like(data, image)

    cohort = import_dicom(source, tmp_path / "out", deface=deface)
    for path in cohort["sub-001"].images.values():
        assert not np.asarray(load_image(path).dataobj)[:, :5].any()
        assert read_json(path.with_suffix("").with_suffix(".json"))["Defaced"] is True
    assert "Faces were removed" in (cohort.root / "README.md").read_text()
    with raises_three_lines(OutputError, "faces"):
        import_dicom(source, tmp_path / "out")


def test_a_scan_that_cannot_be_changed_leaves_its_subject_out(source, tmp_path):
    def deface(image):
        if np.asarray(image.dataobj)[0, 0, 0] == noise[0, -1, 0]:
            raise ImageError("deface", "a head", "no brain", "look at it")
        return image

    noise = voxels(seed=5)
    write_series(source / "c", series(noise, patient="HOSP-98", study="1.2.9.5", **FLAIR))
    cohort = import_dicom(source, tmp_path / "out", deface=deface)
    assert cohort.excluded.to_numpy().tolist() == [["sub-002", "expected a head; received no brain"]]
    assert list(cohort.subjects) == ["sub-001", "sub-003"] and not (cohort.root / "sub-002").exists()


@pytest.mark.parametrize("content", [None, "", "notes.txt"])
def test_a_source_without_dicom_is_three_lines(tmp_path, content):
    if content is not None:
        (tmp_path / "in").mkdir()
    if content:
        (tmp_path / "in" / content).write_text("x" * 200)
    with raises_three_lines(CohortError, tmp_path / "in"):
        import_dicom(tmp_path / "in", tmp_path / "out")


def test_ids_that_become_one_name_are_three_lines(tmp_path):
    for patient in ("A-1", "A.1"):
        write_series(tmp_path / "in" / patient, series(patient=patient, study=f"1.2.{len(patient)}{ord(patient[1])}"))
    with raises_three_lines(CohortError, "2 PatientIDs"):
        import_dicom(tmp_path / "in", tmp_path / "out", keep_ids=True)


def test_output_in_the_source_is_three_lines(source):
    with raises_three_lines(ParameterError, source):
        import_dicom(source, source / "out")
