"""Pipes, devices, sockets and links where files should be; and files that grow once they are read."""

import io
import json
import os
import re
import zipfile

import keras
import openpyxl
import pytest
from made_dicom import T2, series, write_series
from tiny import raises_three_lines

from epitome_kit.audit import audit_cohort
from epitome_kit.backend import load_model
from epitome_kit.cohort import open_cohort
from epitome_kit.errors import CohortError, EpitomeError, OutputError, ParameterError, TableError
from epitome_kit.files import checksum, read_json, read_text, read_tsv
from epitome_kit.folders import open_file
from epitome_kit.grade.grader import load_grader
from epitome_kit.grade.table import TableColumns
from epitome_kit.images import load_image
from epitome_kit.io import model_files
from epitome_kit.preprocess.pipeline import preprocess_cohort
from epitome_kit.report.graded_table import grade_table
from epitome_kit.run.sweep import read_grid
from epitome_kit.sources.bids import import_bids
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.tables import read_text_table
from epitome_kit.tumour.network import load_unet

pytestmark = pytest.mark.timeout(60)  # what waits for a pipe waits for ever


def _special(place):
    """Make one of each kind; returns them by kind."""
    place.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place / "pipe")
    (place / "device").symlink_to("/dev/zero")
    (place / "loop").symlink_to("loop")
    (place / "to a pipe").symlink_to("pipe")
    return [place / name for name in ("pipe", "device", "loop", "to a pipe")]


def test_nothing_but_a_file_is_opened(tmp_path):
    for path in _special(tmp_path / "odd"):
        for read in (open_file, read_text, checksum, read_json, read_tsv):
            with pytest.raises(OSError):
                read(path)
        for read in (load_image, load_unet, load_grader, read_grid, lambda path: read_text_table(path, where="x")):
            with pytest.raises(EpitomeError) as caught:
                read(path)
            assert len(str(caught.value).split("\n")) == 3


@pytest.mark.parametrize("kind", ["pipe", "device", "loop"])
@pytest.mark.parametrize(
    "place",
    [
        "participants.tsv",
        "dataset_description.json",
        "README.md",
        "sub-01/anat/sub-01_T2w.json",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/annotations/sub-01/anat/sub-01_label-tumour_mask.json",
        "labels.csv",
    ],
)
def test_a_cohort_with_something_else_in_the_place_of_a_file_never_hangs(kind, place, cohort, tmp_path):
    (cohort / place).unlink(missing_ok=True)
    odd = {path.name: path for path in _special(tmp_path / "odd")}[kind]
    (cohort / place).symlink_to(odd)
    for call in (lambda: import_bids(cohort, tmp_path / "out"), lambda: audit_cohort(open_cohort(cohort))):
        try:
            call()
        except CohortError as error:
            assert (cohort / place).name in str(error)


def test_links_that_lead_out_of_a_source_are_followed_and_said(cohort, tmp_path):
    store = tmp_path / "store"
    (cohort / "sub-02").rename(tmp_path / "store")
    (cohort / "sub-02").symlink_to(store, target_is_directory=True)
    scan = cohort / "sub-01" / "anat" / "sub-01_T2w.nii.gz"
    (tmp_path / "elsewhere.nii.gz").write_bytes(scan.read_bytes())
    scan.unlink()
    scan.symlink_to(tmp_path / "elsewhere.nii.gz")
    (cohort / "sub-03" / "anat" / "again").symlink_to("sub-03_T2w.nii.gz")
    ledger = import_bids(cohort, tmp_path / "out").ledger
    links = ledger[ledger.kind == "link"]
    assert links.source.tolist() == ["sub-01/anat/sub-01_T2w.nii.gz", "sub-02"]
    write_series(tmp_path / "exam", series(**T2))
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "patient").symlink_to(tmp_path / "exam", target_is_directory=True)
    ledger = import_dicom(tmp_path / "dicom", tmp_path / "other").ledger
    assert ledger[ledger.kind == "link"].source.tolist() == ["patient"]


@pytest.mark.parametrize("link", ["sub-01", "derivatives", "preprocessed/deep/sub-01"])
def test_nothing_is_written_through_a_link(link, cohort, tmp_path):
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.mkdir()
    (out / link).parent.mkdir(parents=True, exist_ok=True)
    (out / link).symlink_to(victim, target_is_directory=True)
    table = tmp_path / "table.csv"
    table.write_text("id,label,x\n" + "".join(f"s{n},{n // 2 % 2},{n * 7 % 5}.5\n" for n in range(40)))
    for write in (
        lambda: import_bids(cohort, out),
        lambda: preprocess_cohort(open_cohort(cohort), out, steps=("normalise",), spacing_mm=6),
        lambda: grade_table(table, out, TableColumns(label="label", id="id")),
    ):
        with raises_three_lines(OutputError, out / link, "link"):
            write()
    assert not list(victim.iterdir())


def test_an_output_may_be_a_link_itself_and_hold_links_of_its_own(cohort, tmp_path):
    (tmp_path / "big disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "big disk", target_is_directory=True)
    assert len(import_bids(cohort, tmp_path / "out")) == 3
    (tmp_path / "big disk" / "again").symlink_to("sub-01", target_is_directory=True)
    assert len(import_bids(cohort, tmp_path / "out")) == 3


def _book(*changes):
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    for row in (["id", "label"], ["a", 1]):
        book.active.append(row)
    book.save(stream)
    changed = io.BytesIO()
    with zipfile.ZipFile(stream) as source, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            for part, old, new in changes:
                content = content.replace(old, new) if name == part else content
            target.writestr(name, content)
    return changed.getvalue()


SHEET, END = "xl/worksheets/sheet1.xml", b"</sheetData>"
BOOKS = {
    "a row that no sheet has": [(SHEET, END, b'<row r="999999999"><c r="A999999999"><v>1</v></c></row>' + END)],
    "a column that no sheet has": [(SHEET, END, b'<row r="3"><c r="ZZZZZZ3"><v>1</v></c></row>' + END)],
    "merged cells without end": [
        (SHEET, b"</row>", b'<c r="XFD1" t="inlineStr"><is><t>x</t></is></c></row>'),
        (SHEET, END, b'<row r="20000"/>' + END + b'<mergeCells><mergeCell ref="XFD1:XFD20000"/></mergeCells>'),
    ],
    "styles without end": [("xl/styles.xml", b"</styleSheet>", b"<!--" + b" " * 9_000_000 + b"--></styleSheet>")],
}


@pytest.mark.parametrize("kind", BOOKS)
def test_a_spreadsheet_is_bounded_before_it_is_read(kind, tmp_path):
    (tmp_path / "t.xlsx").write_bytes(_book(*BOOKS[kind]))
    with raises_three_lines(TableError, "t.xlsx"):
        read_text_table(tmp_path / "t.xlsx", where="x")


def test_a_table_of_any_width_is_refused(cohort, tmp_path):
    (tmp_path / "wide.csv").write_text(",".join(f"c{n}" for n in range(30_000)) + "\n" + ",".join("1" * 30_000) + "\n")
    with raises_three_lines(TableError, "30,000 columns"):
        read_text_table(tmp_path / "wide.csv", where="x")
    (cohort / "participants.tsv").write_text("participant_id\t" + "\t".join(f"c{n}" for n in range(10**6)) + "\n")
    with raises_three_lines(CohortError, "1,000,001 columns"):
        open_cohort(cohort)


GRIDS = {
    "aliases": "a: &a [1, 2]\ngrid: {seed: [*a, *a]}",
    "deep": "grid: " + "[" * 5000,
    "long": "runs:\n" + "- {seed: 1}\n" * 40_000,
    "many": "grid: {" + ", ".join(f"p{n}: [1, 2, 3, 4]" for n in range(12)) + "}",
}


@pytest.mark.parametrize("kind", GRIDS)
def test_a_grid_is_bounded_before_it_is_read(kind, tmp_path):
    (tmp_path / "grid.yaml").write_text(GRIDS[kind])
    with raises_three_lines(ParameterError, "grid.yaml"):
        read_grid(tmp_path / "grid.yaml")


def test_a_network_is_bounded_before_it_is_read(tmp_path, monkeypatch):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(31)]).save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = parts["config.json"].decode()
    odd = {
        "wide": re.sub(r"\b31\b", "9999999", config),
        "deep": "[" * 100_000,
        "long": json.dumps({"a": "x" * 5_000_000}),
        "none": "{}",
        "text": "text",
        "an input of any size": re.sub(r"\b4\b", "900000000", config),
    }
    for name, changed in odd.items():
        with zipfile.ZipFile(tmp_path / "b.keras", "w", zipfile.ZIP_DEFLATED) as archive:
            for part, content in parts.items():
                archive.writestr(part, changed if part == "config.json" else content)
        for load in (load_unet, load_grader, lambda path: load_model(path, where="x")):
            with raises_three_lines(ParameterError, "b.keras"):
                load(tmp_path / "b.keras")
        assert name
    with zipfile.ZipFile(tmp_path / "b.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", bytes(9 * 2**20))
    monkeypatch.setattr(model_files, "MOST_BYTES", 2**20)
    with raises_three_lines(ParameterError, "9 MB"):
        load_model(tmp_path / "b.keras", where="x")
    (tmp_path / "b.keras").write_bytes(b"PK\x03\x04 no zip")
    with raises_three_lines(ParameterError, "b.keras"):
        load_grader(tmp_path / "b.keras")


def test_only_one_function_opens_the_files_of_others():
    from epitome_kit.folders import __file__ as folders

    package = os.path.dirname(folders)
    found = []
    for folder, _, names in os.walk(package):
        for name in names:
            place = os.path.relpath(os.path.join(folder, name), package)
            if name.endswith(".py") and place.split(os.sep)[0] not in ("case", "classroom"):
                with open(os.path.join(package, place), encoding="utf-8") as stream:
                    found += [place for line in stream if re.search(r'(?<!_)\bopen\([^)]*"rb"\)|\.open\("rb"\)', line)]
    assert found == ["folders.py"]
