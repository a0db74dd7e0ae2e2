"""DICOM files by their content: without the usual start, beside litter, damaged; each is read or counted."""

import io
import warnings

import numpy as np
import pydicom
import pytest
from made_dicom import FLAIR, SHAPE, T1, T2, multiframe, series, voxels, write_series
from tiny import raises_three_lines

from epitome_kit.case.upload import receive_scan
from epitome_kit.errors import CohortError, ImageError
from epitome_kit.images import load_image
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.sources.dicom_choice import name_sources
from epitome_kit.sources.dicom_files import find_headers, looks_like_dicom
from epitome_kit.sources.dicom_headers import read_volumes


def _bare(path, *, explicit=False, meta=False):
    """Write a DICOM file again without its first 132 bytes; without its file meta information as well."""
    if meta:
        path.write_bytes(path.read_bytes()[132:])
        return path
    dataset, stream = pydicom.dcmread(path), pydicom.filebase.DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, not explicit
    pydicom.filewriter.write_dataset(stream, dataset)
    path.write_bytes(stream.getvalue())
    return path


@pytest.fixture(params=["implicit", "explicit", "with its meta information"])
def bare(request, tmp_path):
    """A series of a second patient, without the usual start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = write_series(tmp_path / "in" / "old", series(patient="K-2", study="1.2.8.2", **FLAIR))
        for path in sorted(folder.iterdir()):
            _bare(path, explicit=request.param == "explicit", meta=request.param.startswith("with"))
    return folder


def test_files_without_the_usual_start_are_read(bare, tmp_path):
    write_series(tmp_path / "in" / "new", series(patient="K-1", study="1.2.8.1", **FLAIR))
    cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    first, second = (np.asarray(load_image(subject.images["FLAIR"]).dataobj) for subject in cohort)
    assert first.shape == SHAPE and np.array_equal(first, second) and cohort.excluded.empty


def test_files_without_the_usual_start_are_read_in_an_archive(bare, tmp_path):
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, path in enumerate(sorted(bare.iterdir())):
            archive.writestr(f"IM{number}", path.read_bytes())
            archive.writestr(f"__MACOSX/._IM{number}", b"\0\5\26\7" + bytes(200))
    assert list(receive_scan(stream.getvalue(), tmp_path / "upload")) == ["FLAIR"]


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\x08\x00",
        b"\x89PNG\r\n" + bytes(200),
        b"\0\5\26\7" + bytes(200),
        bytes(200),
        b"\x02\x00 text that begins so" + bytes(200),
        b"\x08\x00\x05\x00\xff\xff\xff\xff" + bytes(200),
        b"participant_id\tgrade\n" + b"x" * 200,
    ],
)
def test_other_files_do_not_look_like_dicom(start):
    assert not looks_like_dicom(start[:132])


def test_every_file_that_is_passed_over_is_counted(tmp_path):
    source = write_series(tmp_path / "in", series(**T2))
    (source / "._1.dcm").write_bytes(b"\0\5\26\7" + bytes(100))
    (source / ".DS_Store").write_bytes(b"x")
    (source / "notes.txt").write_text("notes")
    (source / "list.pdf").write_bytes(b"%PDF" + bytes(300))
    (source / "cut.dcm").write_bytes((next(source.glob("1.2*.dcm"))).read_bytes()[:140])
    (source / "gone.dcm").symlink_to(tmp_path / "nowhere")
    directory = pydicom.Dataset()
    directory.file_meta = pydicom.dataset.FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.8.9"
    directory.save_as(source / "DICOMDIR", enforce_file_format=True)
    ledger = import_dicom(source, tmp_path / "out").ledger
    files = ledger[ledger.kind == "file"]
    assert files.source.tolist().count("cut.dcm") == 1 and (files.taken_as == "").all()
    said = " | ".join(files.reason)
    for words in ("damaged", "2 x litter", "1 x broken link", "1 x DICOMDIR", "1 x not DICOM, .txt", ".pdf"):
        assert words in said, said


def test_links_to_folders_are_followed(tmp_path):
    write_series(tmp_path / "store" / "k1", series(patient="K-1", **T2))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "k1").symlink_to(tmp_path / "store" / "k1")
    assert len(import_dicom(tmp_path / "in", tmp_path / "out")) == 1


def test_a_folder_of_other_files_is_said_by_kind(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.zip").write_bytes(b"PK" + bytes(300))
    (tmp_path / "in" / "._a.dcm").write_bytes(bytes(300))
    with raises_three_lines(CohortError, "1 x litter", "1 x not DICOM, .zip"):
        import_dicom(tmp_path / "in", tmp_path / "out")


def test_images_without_identifiers_of_their_own_are_all_kept(tmp_path):
    images = series(**T2)
    for image in images:
        image.SOPInstanceUID = "1.2.8.1"
    folder = tmp_path / "in"
    folder.mkdir()
    for number, image in enumerate(images):
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    assert load_image(import_dicom(folder, tmp_path / "out")["sub-001"].images["T2w"]).shape == SHAPE


def test_objects_without_images_are_listed_and_harm_nobody(tmp_path):
    source = write_series(tmp_path / "in", series(**T2))
    report = series(number=9, Modality="SR")[0]
    for keyword in ("PixelData", "Rows", "Columns", "ImagePositionPatient", "PixelSpacing"):
        delattr(report, keyword)
    report.save_as(source / "report.dcm", enforce_file_format=True)
    ledger = import_dicom(source, tmp_path / "out").ledger
    (row,) = ledger[ledger.source == "report.dcm"].itertuples()
    assert row.kind == "series" and not row.taken_as and "other" in row.reason


def test_two_volumes_of_one_file_have_names_of_their_own(tmp_path):
    whole = multiframe([*series(voxels(seed=1), **T1), *series(voxels(seed=2), **T2)])
    volumes, _ = read_volumes(write_series(tmp_path / "in", whole))
    (first, second) = name_sources(volumes, tmp_path).values()
    assert first.startswith("in/1.2.9") and second == f"{first} #2"


def test_an_archive_of_studies_that_nothing_joins_is_refused(tmp_path):
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in (1, 2):
            folder = write_series(tmp_path / str(number), series(patient="ANON", study=f"1.2.8.{number}", **T2))
            for path in folder.iterdir():
                archive.writestr(f"{number}/{path.name}", path.read_bytes())
    with raises_three_lines(ImageError, "one person"):
        receive_scan(stream.getvalue(), tmp_path / "upload", name="exams.zip")


def test_headers_are_read_in_natural_order(tmp_path):
    images = series(**T2)
    for number, image in enumerate(images):
        (tmp_path / "in").mkdir(exist_ok=True)
        image.save_as(tmp_path / "in" / f"IM{number}.dcm", enforce_file_format=True)
    names = [header["path"].name for header in find_headers(tmp_path / "in").headers]
    assert names == [f"IM{number}.dcm" for number in range(12)]


def _two_series(folder):
    write_series(folder / "t1", series(number=1, **T1))
    return write_series(folder / "t2", series(voxels(seed=2), number=2, **T2))


@pytest.mark.parametrize("how", ["cut short", "inverted"])
def test_a_series_without_sound_pixels_does_not_take_its_subject_with_it(tmp_path, how):
    files = sorted(_two_series(tmp_path / "in").iterdir())
    for path in files if how == "inverted" else files[4:6]:
        if how == "inverted":
            image = pydicom.dcmread(path)
            image.PhotometricInterpretation = "MONOCHROME1"
            image.save_as(path)
        else:
            path.write_bytes(path.read_bytes()[:-500])
    cohort = import_dicom(tmp_path / "in", tmp_path / "out")
    assert list(cohort["sub-001"].images) == ["T1w"]
    (entry,) = [row for row in cohort.ledger.itertuples() if row.source.startswith("t2/") and row.kind == "series"]
    assert not entry.taken_as and entry.reason and cohort.repaired.repair.str.startswith("T2w ").any()


def test_copies_are_counted_in_the_ledger(tmp_path):
    _two_series(tmp_path / "in")
    write_series(tmp_path / "in" / "z", series(number=1, **T1))
    ledger = import_dicom(tmp_path / "in", tmp_path / "out").ledger
    (entry,) = [row for row in ledger.itertuples() if "copies" in row.reason]
    assert entry.source.startswith("z/") and entry.reason == "skipped: 12 copies of images of series 1"


def test_images_without_an_identifier_of_their_series_are_said(tmp_path):
    images = series(number=1, **T1)
    for image in images:
        image.SeriesInstanceUID = ""
    with raises_three_lines(CohortError, "without a SeriesInstanceUID"):
        import_dicom(write_series(tmp_path / "in", images), tmp_path / "out")
