"""Names planted in every field of what is imported: none of them reaches a file that is written, unpacked or not."""

import gzip
import io
import json
import zipfile

import nibabel as nib
import pandas as pd
import pytest
from made_dicom import FLAIR, T1, multiframe, series, write_series
from made_notebook import write_notebook
from PIL import Image
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from tiny import head, lesion

from epitome_kit.audit import audit_cohort, write_spreadsheet
from epitome_kit.cohort import open_cohort
from epitome_kit.ledger import LEDGER, ORIGINS
from epitome_kit.preprocess.pipeline import preprocess_cohort
from epitome_kit.report.quality_page import write_quality_page
from epitome_kit.report.run_page import write_report
from epitome_kit.run.notebooks import run_notebooks
from epitome_kit.run.rerun import rerun_notebooks
from epitome_kit.run.sweep import read_grid
from epitome_kit.sources.bids import import_bids
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.vocabulary import FIELDS, known_fields, known_histology, known_licence

TOKEN = "Zqxnahme"
"""Part of every planted text, in this or in another case."""

_FREE = {"LO": 60, "SH": 14, "ST": 90, "LT": 90, "UT": 90, "PN": 60, "CS": 14, "AE": 14, "UC": 60}
_NEEDED = {
    *("SOPClassUID", "ImageType", "Modality", "PatientID", "PatientSex", "PhotometricInterpretation", "FrameType"),
    *("ComplexImageComponent", "ScanningSequence", "SpecificCharacterSet", "BodyPartExamined", "AngioFlag"),
    *("ContrastBolusAgent", "ContrastBolusIngredient", "BurnedInAnnotation", "PatientPosition", "InversionRecovery"),
    *("EchoPlanarPulseSequence", "PixelPresentation", "VolumetricProperties", "LossyImageCompression"),
}


def unpacked(folder):
    """Yield the name and the content of every file, of archives and compressed files also what is inside."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        parts = [path.relative_to(folder).as_posix().encode(), content]
        if content[:2] == b"\x1f\x8b":
            parts.append(gzip.decompress(content))
        if content[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                parts += [archive.read(name) for name in archive.namelist()]
        if content[:4] == b"\x89PNG":
            with Image.open(io.BytesIO(content)) as picture:
                parts.append(str(picture.info).encode())
        yield path.relative_to(folder).as_posix(), b"\n".join(parts)


def named(folder, private=(LEDGER, ORIGINS)):
    """List the files of a folder that hold a planted name, but for the private ones."""
    found = [path for path, content in unpacked(folder) if TOKEN.lower().encode() in content.lower()]
    return [path for path in found if not {*path.split("/")} & {*private}]


def _plant(dataset):
    """Fill every element of free text that the dictionary knows, and private blocks; sequences two levels deep."""
    for tag, (kind, _, _, _, keyword) in DicomDictionary.items():
        if kind in _FREE and keyword and keyword not in _NEEDED and keyword not in dataset and tag >> 16 > 2:
            setattr(dataset, keyword, f"{TOKEN}{keyword}"[: _FREE[kind]].upper())
    for group, maker in ((0x29, "SIEMENS CSA HEADER"), (0x43, "GEMS_PARM_01"), (0x2001, "Philips Imaging DD 001")):
        block = dataset.private_block(group, maker, create=True)
        block.add_new(1, "LO", f"{TOKEN}^PRIVATE")
        block.add_new(2, "OB", f"{TOKEN} private bytes ".encode())


@pytest.fixture(scope="module")
def dicom(tmp_path_factory):
    """An exam with planted names in all text of its headers, nested and private ones, in files, folders and a table."""
    source = tmp_path_factory.mktemp("dicom") / "in"
    for number, (header, images) in enumerate({"a": (T1, None), "b": (FLAIR, multiframe)}.values(), start=1):
        planted = images(series(number=number, **header)) if images else series(number=number, **header)
        for image in planted:
            inner, middle = Dataset(), Dataset()
            inner.PatientName, inner.CodeMeaning = f"{TOKEN}^Inner", f"{TOKEN} inner"
            middle.PerformedProtocolCodeSequence, middle.PatientComments = [inner], f"{TOKEN} middle"
            image.RequestAttributesSequence = [middle]
            for keyword in ("Manufacturer", "ManufacturerModelName", "PatientName", "ImageComments"):
                setattr(image, keyword, f"{TOKEN}^{keyword}")
            _plant(image)
        write_series(source / f"{TOKEN}_Jane" / f"{TOKEN}series{number}", planted)
    rows = {"PatientID": ["HOSP-77"], "grade": [f"see Dr {TOKEN}"], "histology": [f"{TOKEN} astrocytoma"]}
    pd.DataFrame({**rows, "source_id": [TOKEN], f"{TOKEN} 1p19q": [TOKEN]}).to_csv(source / f"{TOKEN} labels.csv")
    return source


@pytest.mark.parametrize("options", [{}, {"keep_ids": True}, {"person_folders": True, "keep_ids": True}])
def test_no_text_of_dicom_is_passed_on(dicom, tmp_path, options):
    assert len(named(dicom)) > 10, "the names are there to find"
    cohort = import_dicom(dicom, tmp_path / "out", **options)
    assert {"T1w", "FLAIR"} == set(cohort[next(iter(cohort.subjects))].images)
    assert not named(cohort.root) and any(TOKEN in source for source in cohort.ledger.source)


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    """A BIDS folder with planted names in headers, extensions, sidecars, tables, entities, sessions and links."""
    root = tmp_path_factory.mktemp("bids") / f"{TOKEN} of Jane"
    for number, subject in enumerate(("sub-1", "sub-2")):
        anat = root / subject / f"ses-{TOKEN}" / "anat"
        anat.mkdir(parents=True)
        stem = f"{subject}_ses-{TOKEN}_acq-{TOKEN}"
        for suffix, image in (("FLAIR", head(number)), ("label-lesion_roi", lesion(head(number)))):
            header = image.header
            for field in ("descrip", "aux_file", "intent_name", "db_name"):
                header[field] = f"{TOKEN} {field}"[:16]
            for code in (4, 6, 44):
                header.extensions.append(nib.nifti1.Nifti1Extension(code, f"{TOKEN} {code}".encode()))
            nib.save(image, anat / f"{stem}_{suffix}.nii.gz")
            planted = dict.fromkeys({*FIELDS, "PatientName", "Repairs"} - {"Modality"}, f"{TOKEN}^Doe")
            nested = {"EchoTime": {"PatientName": TOKEN}, "FlipAngle": [90, TOKEN], f"{TOKEN}Key": 1}
            (anat / f"{stem}_{suffix}.json").write_text(json.dumps({**planted, **nested, "RepetitionTime": 9.0}))
    (root / "dataset_description.json").write_text(json.dumps({"Name": f"{TOKEN} scans", "License": f"ask {TOKEN}"}))
    columns = {"participant_id": ["sub-1", "sub-2", f"{TOKEN}^Doe"], "grade": ["2", f"{TOKEN} said 3", "3"]}
    table = pd.DataFrame({**columns, "histology": f"glioma of {TOKEN}", "source_id": f"{TOKEN}-1", TOKEN: TOKEN})
    table.to_csv(root / "participants.tsv", sep="\t", index=False)
    return root


def test_no_text_of_bids_is_passed_on(bids, tmp_path):
    cohort = import_bids(bids, tmp_path / "cohort")
    assert list(cohort.subjects) == ["sub-1", "sub-2"] and cohort["sub-1"].annotation
    sidecar = cohort["sub-1"].images["FLAIR"].with_suffix("").with_suffix(".json")
    assert json.loads(sidecar.read_text()) == {"RepetitionTime": 9.0, "ImportedTogether": ["FLAIR"]}
    readme = (cohort.root / "README.md").read_text(encoding="utf-8")
    assert "1 of grade" in readme and "1 of histology" in readme, "what was not understood is counted"
    preprocess_cohort(cohort, tmp_path / "ready", steps=("normalise",), spacing_mm=6)
    write_quality_page(cohort, tmp_path / "ready")
    write_spreadsheet(cohort, audit_cohort(cohort), tmp_path / "audit.xlsx")
    assert not named(tmp_path)


def test_a_cohort_that_was_never_imported_shows_known_words_alone(bids, tmp_path):
    import_bids(bids, tmp_path / "cohort")
    table = pd.read_csv(bids / "participants.tsv", sep="\t").iloc[:2].assign(source_id=TOKEN, sex="F", age="59")
    table.to_csv(tmp_path / "cohort" / "participants.tsv", sep="\t", index=False)
    cohort = open_cohort(tmp_path / "cohort")
    assert set(cohort.participants) == {"grade", "histology", "source_id", "sex", "age"}
    assert cohort.participants.sex.tolist() == ["F", "F"]
    write_spreadsheet(cohort, audit_cohort(cohort), tmp_path / "out" / "audit.xlsx")
    assert not named(tmp_path / "out")


@pytest.mark.parametrize(
    "text",
    ["Oligoastrocytoma, anaplastic", "Astrocytoma, IDH-mutant", "oligodendroglioma (1p/19q codeleted)", "GBM"],
)
def test_histology_in_known_words_is_kept_as_written(text):
    assert known_histology(text) == text
    assert known_histology(f"{text} Doe") is None


def test_fields_are_kept_by_type_range_and_word():
    sound = {
        "Manufacturer": "SIEMENS",
        "ManufacturersModelName": "MAGNETOM Skyra",
        "EchoTime": 0.1,
        "FlipAngle": [90, 120],
        "SequenceName": "*tfl3d1_16ns",
        "ScanningSequence": ["GR", "IR"],
        "Defaced": True,
    }
    assert known_fields(sound) == sound
    odd = {"EchoTime": 19610203, "FlipAngle": True, "Defaced": "yes", "SequenceName": "*doe3d1", "Manufacturer": "Doe"}
    assert known_fields({**odd, "PatientName": "Doe", "RepetitionTime": "9"}) == {}
    assert [known_licence(text) for text in ("CC BY-NC-SA 4.0", "CC0", "ask Dr House", 4)] == [
        *("CC BY-NC-SA 4.0", "CC0", "n/a", "n/a"),
    ]


CELL = """
from epitome_kit.workspace import find_scan
path = find_scan(scan, out)
print(len(path.read_bytes()), "bytes in", scan)
"""


@pytest.mark.slow
def test_the_name_of_a_scan_stays_in_the_private_file_of_a_run(tmp_path):
    notebook = write_notebook(tmp_path / "one.ipynb", 'scan = ""\nout = "x"\nprofile = "smoke"\n', CELL)
    scan = tmp_path / f"{TOKEN} Jane" / f"{TOKEN}_Jane_FLAIR.nii.gz"
    scan.parent.mkdir()
    scan.write_bytes(b"scan")
    run = {"profile": "smoke", "parameters": {"scan": str(scan)}}
    assert run_notebooks([notebook], out=tmp_path / "run", **run)[0]["status"] == "done"
    write_report(tmp_path / "run")
    assert not named(tmp_path / "run", private=(".private.json",))
    assert "4 bytes in scan.nii.gz" in (tmp_path / "run" / "notebooks" / "one.ipynb").read_text()
    assert run_notebooks([notebook], out=tmp_path / "run", **run)[0]["status"] == "kept"
    assert rerun_notebooks(tmp_path / "run", tmp_path / "again").same.all()
    moved = scan.rename(scan.with_name(f"{TOKEN}_T2w.nii.gz"))
    run["parameters"] = {"scan": str(moved)}
    assert run_notebooks([notebook], out=tmp_path / "run", **run)[0]["status"] == "done", "its name may say another"


def test_a_sweep_numbers_its_scans(tmp_path):
    scans = [f"/data/{TOKEN}/{name}.nii.gz" for name in ("a", "b")]
    (tmp_path / "grid.yaml").write_text(f"grid: {{scan: {json.dumps(scans)}, seed: [0]}}")
    assert list(read_grid(tmp_path / "grid.yaml")["runs"]) == ["scan-1_seed-0", "scan-2_seed-0"]
