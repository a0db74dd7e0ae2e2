"""What an attacker could try: code in models, pickles, formulas, markup, parameters that are code, names that stay."""

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import nbformat
import nibabel as nib
import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook
from tiny import head, lesion, write_cohort

from epitome_kit.audit import audit_cohort, write_spreadsheet
from epitome_kit.cohort import annotation_path, image_path, open_cohort
from epitome_kit.errors import ParameterError
from epitome_kit.files import read_tsv, write_tsv
from epitome_kit.images import load_image, new_image_like, save_image
from epitome_kit.preprocess.pipeline import preprocess_cohort
from epitome_kit.report.quality_page import write_quality_page
from epitome_kit.run.notebooks import run_notebooks
from epitome_kit.sources.bids import import_bids
from epitome_kit.tumour.network import load_unet

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [*ROOT.glob("epitome_kit/**/*.py"), *ROOT.glob("notebooks/**/*.ipynb")]
NAMED = ("Doe^Jane", "HOSP-77", "19610203", "SN-4711")
SCRIPT = "<script>alert(1)</script>"


def _calls(path):
    """Every call in a module or a notebook: the name of what is called, and its keywords."""
    if path.suffix == ".ipynb":
        cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        text = "\n".join(re.sub(r"(?m)^\s*[%!].*$", "", cell) for cell in cells)
    else:
        text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def _runs_code(name, keywords):
    """Whether a call can run code that stands in what it reads."""
    last = name.rpartition(".")[2]
    return (
        re.fullmatch(r"(pickle|dill|joblib|shelve|marshal|torch)\.loads?|(pd|pandas)\.read_pickle", name)
        or last in ("eval", "exec", "extractall", "extract", "unsafe_load", "enable_unsafe_deserialization")
        or keywords.get("allow_pickle", "False") != "False"
        or "shell" in keywords
        or (last == "load_model" and keywords.get("safe_mode", "True") != "True")
    )


def test_nothing_that_is_read_can_run_code():
    assert len(SOURCES) > 100
    called = [(path.relative_to(ROOT).as_posix(), *call) for path in SOURCES for call in _calls(path)]
    assert not [(path, name) for path, name, keywords in called if _runs_code(name, keywords)]


def test_a_model_that_would_run_code_is_refused(tmp_path):
    layer = keras.layers.Lambda(lambda scans: scans)
    keras.Sequential([keras.Input((4, 4, 4, 4)), layer]).save(tmp_path / "evil.keras")
    with pytest.raises(ParameterError, match=r"evil.keras \(.*[Ll]ambda"):
        load_unet(tmp_path / "evil.keras")
    with pytest.raises(ValueError, match="unsafe"):
        keras.saving.load_model(tmp_path / "evil.keras", compile=False)


FORMULAS = ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''+x", "-", "--1"]


def test_a_table_keeps_formulas_as_text_and_numbers_as_numbers(tmp_path):
    numbers = [-1.5, 2.0, np.nan]
    table = pd.DataFrame({"=id": FORMULAS, "n": (numbers * 3), "word": ["-0.3", "n/a", "sub-01"] * 3})
    write_tsv(tmp_path / "a.tsv", table)
    text = (tmp_path / "a.tsv").read_text()
    assert not re.search(r'(?m)(^|\t)"?[=@]', text.replace("\t=1", ""))
    assert "\t-1.5\t-0.3" in text, "a number stays one"
    found = read_tsv(tmp_path / "a.tsv")
    assert found["=id"].tolist() == FORMULAS and found.n.tolist()[:2] == [-1.5, 2.0]


@given(texts=st.lists(st.text(st.characters(exclude_characters="\r\0", codec="utf-8"), min_size=1), min_size=1))
def test_no_text_is_a_formula_and_every_text_comes_back(tmp_path_factory, texts):
    texts = [f"={text}" for text in texts] + [f"'{text}" for text in texts]
    path = tmp_path_factory.getbasetemp() / "formulas.tsv"
    write_tsv(path, pd.DataFrame({"participant_id": texts}))
    assert read_tsv(path).participant_id.tolist() == texts


def test_a_spreadsheet_holds_no_formula(tmp_path):
    cohort = open_cohort(write_cohort(tmp_path / "cohort", subjects=2))
    cohort.participants["histology"] = ["=HYPERLINK(1)", "@x"]
    write_spreadsheet(cohort, audit_cohort(cohort), tmp_path / "a.xlsx")
    cells = [cell for row in openpyxl.load_workbook(tmp_path / "a.xlsx").active for cell in row]
    assert "=HYPERLINK(1)" in [cell.value for cell in cells] and not [cell for cell in cells if cell.data_type == "f"]


@pytest.mark.parametrize(
    "value", ['"; import os; os._exit(1)  #', "a\nimport os\nos._exit(1)", "{{ 1 }}", "é'\"\\", "$(id)"]
)
def test_a_parameter_reaches_a_notebook_as_data(value, tmp_path):
    cells = ['cohort = "phantom"\nout = "x"\nprofile = "quick"\nname = "a"\n', "from pathlib import Path"]
    cells += ["Path('trace').write_text(name, encoding='utf-8')"]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, tmp_path / "only.ipynb")
    run_notebooks([tmp_path / "only.ipynb"], out=tmp_path / "run", parameters={"name": value})
    assert (tmp_path / "run" / "trace").read_text(encoding="utf-8") == value


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A cohort whose headers, extensions and sidecars name a patient, and whose own name is markup."""
    root = write_cohort(tmp_path_factory.mktemp("planted") / "cohort", subjects=2, contrasts=("T2w",))
    for number, subject in enumerate(open_cohort(root)):
        for path, image in ((subject.images["T2w"], head(number)), (subject.annotation, lesion(head(number)))):
            header = image.header
            header["descrip"], header["aux_file"], header["intent_name"], header["db_name"] = NAMED
            header.extensions.append(nib.nifti1.Nifti1Extension("comment", " ".join(NAMED).encode()))
            nib.save(image, path)
            notes = {"PatientName": NAMED[0], "PatientID": NAMED[1], "AcquisitionDate": NAMED[2], "EchoTime": 0.1}
            sidecar = path.with_suffix("").with_suffix(".json")
            stated = json.loads(sidecar.read_text()) if sidecar.is_file() else {}
            sidecar.write_text(json.dumps({**stated, **notes, "DeviceSerialNumber": NAMED[3]}))
    description = json.loads((root / "dataset_description.json").read_text())
    (root / "dataset_description.json").write_text(json.dumps({**description, "Name": f"heads {SCRIPT}"}))
    return root


def _contents(folder):
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content += nib.load(path).to_bytes()
        yield path.relative_to(folder).as_posix(), content


def test_names_in_headers_and_sidecars_reach_no_output(planted, tmp_path):
    assert NAMED[0].encode() in b"".join(content for _, content in _contents(planted)), "the names are there to find"
    adopted = import_bids(planted, tmp_path / "adopted")
    assert load_image(adopted["sub-01"].images["T2w"]).shape == head().shape
    preprocess_cohort(open_cohort(planted), tmp_path / "ready", steps=("normalise",), spacing_mm=6)
    write_quality_page(open_cohort(planted), tmp_path / "ready")
    copied = load_image(image_path(planted, "sub-01", "T2w"))
    save_image(new_image_like(np.asarray(copied.dataobj), copied), tmp_path / "copied.nii.gz")
    found = [(path, word) for path, content in _contents(tmp_path) for word in NAMED if word.encode() in content]
    assert not found
    assert b"EchoTime" in b"".join(content for path, content in _contents(tmp_path / "adopted")), "physics comes along"
    assert annotation_path(tmp_path / "adopted", "sub-01").is_file()


def test_markup_in_the_name_of_a_cohort_is_shown_and_never_run(planted, tmp_path):
    preprocess_cohort(open_cohort(planted), tmp_path / "ready", steps=("normalise",), spacing_mm=6)
    write_quality_page(open_cohort(planted), tmp_path / "ready")
    page = (tmp_path / "ready" / "qc.html").read_text(encoding="utf-8")
    assert SCRIPT not in page and "heads &lt;script&gt;" in page


def test_every_page_escapes_what_it_is_given():
    for path in ROOT.glob("epitome_kit/**/*.py"):
        for name, keywords in _calls(path):
            if name.endswith("Environment"):
                assert keywords.get("autoescape") == "True" or path.name == "statements.py", path
            assert name not in ("Markup", "markupsafe.Markup"), path
    pages = [path.read_text(encoding="utf-8") for path in ROOT.glob("epitome_kit/report/templates/*.html.j2")]
    safe = {word for page in pages for word in re.findall(r"(\w+)\s*\|\s*safe", page)}
    assert safe <= {"css", "icon", "body"}, "style and icon are files of the kit; the body is escaped before"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-bench.lock"])
def test_every_package_is_locked_with_hashes(name):
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    pinned = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(pinned) > 50
    assert not [line for line in pinned if not re.match(r"[\w.\[\]-]+==\S+.* --hash=sha256:[0-9a-f]{64}", line)]


@pytest.mark.slow
def test_bandit_finds_nothing_that_is_not_explained():
    command = [
        sys.executable,
        "-m",
        "bandit",
        "-q",
        "-c",
        "pyproject.toml",
        "-r",
        "epitome_kit",
        "training",
        "benchmarks",
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    for path in ROOT.glob("epitome_kit/**/*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for above, line in itertools.pairwise(lines):
            assert "# nosec" not in line or above.lstrip().startswith("#"), f"{path}: {line.strip()} needs a reason"
