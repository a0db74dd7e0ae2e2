"""The command line: verbs, answers for people and for programs, exit codes and errors."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from made_dicom import FLAIR, series, write_series
from made_notebook import write_notebook
from made_workspace import make_workspace
from nbformat.v4 import new_notebook
from tiny import write_cohort
from typer.testing import CliRunner

from epitome_kit import cli
from epitome_kit.cli import doctor
from epitome_kit.cohort import open_cohort, write_dataset
from epitome_kit.errors import ParameterError
from epitome_kit.files import read_tsv, write_text
from epitome_kit.images import mark_voxel_size_unknown
from epitome_kit.ledger import Entry, write_ledger
from epitome_kit.tumour import single_case as one_head
from epitome_kit.tumour.fit import UNetSettings

VERBS = (
    "run",
    "report",
    "inspect",
    "preprocess",
    "strip",
    "segment",
    "measure",
    "extract",
    "contrasts",
    "app",
    "lab",
    "doctor",
    "notebooks",
)
COHORTS = ("phantom", "tcga-lgg", "bids", "dicom", "lgg-1p19q")


@pytest.fixture
def epitome(monkeypatch):
    """Run a verb; on a wide screen, so that no line is folded."""
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture
def ball(tmp_path):
    """A ball of 10 mm radius, in voxels of 1 x 1 x 2 mm."""
    i, j, k = np.mgrid[-15:16, -15:16, -8:9]
    inside = (i**2 + j**2 + (2 * k) ** 2 <= 100).astype(np.uint8)
    path = tmp_path / "ball.nii.gz"
    nib.save(nib.Nifti1Image(inside, np.diag([1, 1, 2, 1])), path)
    return path


def _stand_in(monkeypatch, module, **functions):
    """Put functions in place of a module that takes long."""
    monkeypatch.setitem(sys.modules, f"epitome_kit.{module}", SimpleNamespace(**functions))


@pytest.mark.parametrize("verb", [(verb,) for verb in VERBS] + [("cohort", name) for name in COHORTS])
def test_help_teaches_with_an_example(verb, epitome):
    answer = epitome(*verb, "--help")
    assert answer.exit_code == 0
    assert f"epitome {' '.join(verb)}" in answer.stdout


def test_without_a_verb_the_help_is_shown(epitome):
    for answer in (epitome(), epitome("cohort")):
        assert "Usage" in answer.output
    assert all(verb in epitome("--help").stdout for verb in VERBS)


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "no/such/folder"),
        ("report", "no/such/folder"),
        ("cohort", "phantom", "out", "--subjects", "1"),
        ("run", "07_missing"),
        ("run", "-p", "7=1"),
        ("run", "-p", "novalue"),
        ("measure", "no/such/mask.nii.gz"),
        ("strip", "no/such/head.nii.gz", "--mask", "mask.nii.gz"),
        ("segment", "no/such/cohort"),
        ("segment", "T1_w_wo.nii.gz"),
        ("contrasts", "no/such/folder"),
        ("segment", "flair.nii.gz", "--train", "net.keras"),
        ("segment", "flair.nii.gz", "FLAIR=other.nii.gz"),
        ("segment", ".", "--train", "net.keras", "--weights", "other.keras"),
        ("notebooks",),
        ("notebooks", "--student", "new", "--out", "points.tsv"),
        ("notebooks", "--grade", "missing.ipynb"),
    ],
)
def test_an_error_of_the_kit_is_three_lines_and_exit_code_1(words, epitome, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = epitome(*words)
    assert answer.exit_code == 1
    first, second, third = answer.stderr.splitlines()
    assert ": expected " in first and second.startswith("Received: ") and third.startswith("Try: ")
    assert answer.stdout == ""


def test_an_error_nobody_foresaw_keeps_its_traceback(epitome, monkeypatch):
    def broken():
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(doctor, "check_environment", broken)
    answer = epitome("doctor")
    assert answer.exit_code == 1
    assert isinstance(answer.exception, ZeroDivisionError)


def test_ctrl_c_says_how_to_go_on(epitome, monkeypatch):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "check_environment", stopped)
    answer = epitome("doctor")
    assert answer.exit_code == 130
    assert "repeat the command" in answer.stderr


def test_measure_prints_what_the_package_measures(epitome, ball):
    size = json.loads(epitome("measure", ball, "--json").stdout)
    assert size["volume_ml"] == pytest.approx(4 / 3 * np.pi * 10**3 / 1000, rel=0.05)
    assert size["rano_long_mm"] == pytest.approx(20, abs=2)
    table = epitome("measure", ball).stdout
    for label, value, unit in (
        ("volume", f"{size['volume_ml']:.2f}", "mL"),
        ("volume", size["volume_voxels"], "voxels"),
        ("surface", f"{size['surface_mm2']:.0f}", "mm²"),
        ("  measurable", "yes", ""),
    ):
        assert re.search(rf"^{label} +{value} +{unit}", table, re.MULTILINE), table
    assert "slab" not in table and "ellipsoid" not in table


def test_measure_names_the_criteria_of_rano_and_measures_the_enhancing_part_apart(epitome, ball):
    table = epitome("measure", ball).stdout
    assert "van den Bent 2011; RANO 2.0" in " ".join(table.split()) and "enhancing part" not in table
    size = json.loads(epitome("measure", ball, "--enhancing", ball, "--json").stdout)
    for name in ("volume_ml", "long_mm", "product_mm2", "slice", "measurable"):
        whole = name if name in ("volume_ml", "measurable") else f"rano_{name}"
        assert size[f"enhancing_{name}"] == size[whole], name
    assert re.search(r"^enhancing part: volume +\d", epitome("measure", ball, "--enhancing", ball).stdout, re.MULTILINE)
    for wrong in (("--enhancing", ball, "--voxels"), ("--enhancing-labels", "1")):
        answer = epitome("measure", ball, *wrong)
        assert answer.exit_code == 1 and "enhancing" in answer.stderr and not answer.stdout


def test_measure_reads_the_annotated_slices_from_the_sidecar_or_the_option(epitome, ball):
    ball.with_name("ball.json").write_text('{"AnnotatedSlices": [7, 8, 9]}', encoding="utf-8")
    answer = epitome("measure", ball, "--json")
    size = json.loads(answer.stdout)
    assert "annotated on slices 7, 8, 9" in answer.stderr
    assert size["annotated_slices"] == [7, 8, 9] and size["volume_ml"] is None
    assert size["ellipsoid_volume_low_ml"] < 4 / 3 * np.pi < size["ellipsoid_volume_high_ml"]
    named, whole = (epitome("measure", ball, "--json", "--slices", slices) for slices in ("9,8", "all"))
    assert json.loads(named.stdout)["annotated_slices"] == [8, 9] and not named.stderr
    assert json.loads(whole.stdout)["annotated_slices"] is None and json.loads(whole.stdout)["volume_ml"]
    wrong = epitome("measure", ball, "--slices", "8-9")
    assert wrong.exit_code == 1 and wrong.stderr.splitlines()[1] == "Received: '8-9'."


def test_measure_counts_voxels_where_their_size_is_unknown(epitome, ball):
    lost = mark_voxel_size_unknown(nib.load(ball))
    nib.save(lost, ball.with_name("lost.nii.gz"))
    refused = epitome("measure", ball.with_name("lost.nii.gz"))
    assert refused.exit_code == 1 and refused.stdout == ""
    assert "lost.nii.gz" in refused.stderr and "--voxels" in refused.stderr.splitlines()[2]
    counted = json.loads(epitome("measure", ball.with_name("lost.nii.gz"), "--voxels", "--json").stdout)
    assert counted["volume_voxels"] == np.count_nonzero(lost.dataobj) and counted["largest_slice"] == 8
    assert not [name for name in counted if name.endswith(("_mm", "_ml", "_mm2"))]


def test_contrasts_tells_files_sidecars_and_dicom_in_one_list(epitome, tmp_path):
    odd = tmp_path / "Größe 1" / "T1 mit KM.nii.gz"
    odd.parent.mkdir()
    for path in (odd, tmp_path / "scan.nii", tmp_path / "._scan.nii"):
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), path)
    (tmp_path / "notes.txt").write_bytes(b"")
    (tmp_path / "T2_seg.nrrd").write_bytes(b"NRRD0004\n")
    (tmp_path / "empty").mkdir()
    write_series(tmp_path / "dicom", series(**FLAIR)[:5])
    answer = epitome("contrasts", tmp_path, odd, "--json")
    assert answer.exit_code == 0
    rows = json.loads(answer.stdout)
    assert [list(row) for row in rows] == [["file", "contrast", "evidence"]] * 4
    assert {Path(row["file"]).name: row["contrast"] for row in rows} == {
        "T1 mit KM.nii.gz": "T1ce",
        "scan.nii": None,
        "T2_seg.nrrd": "other",
        "1.2.9.1.1.120.1.dcm": "FLAIR",
    }
    shown = epitome("contrasts", tmp_path)
    assert "cannot tell" in shown.stdout and "1 of 4" in shown.stdout.splitlines()[-1]
    assert "T1w=FILE" in shown.stdout and "._scan" not in shown.stdout
    one = next((tmp_path / "dicom").iterdir())
    assert json.loads(epitome("contrasts", one, "--json").stdout)[0]["contrast"] == "FLAIR"
    nothing = epitome("contrasts", tmp_path / "empty", "--json")
    assert json.loads(nothing.stdout) == [] and "No scan was found" in nothing.stderr


def test_segment_says_what_each_scan_was_taken_for_and_keeps_it(epitome, tmp_path, monkeypatch):
    tumours = pd.DataFrame({"participant_id": ["sub-1"], "volume_ml": [1.0], "volume_voxels": [9]})
    known = {"segment_head": lambda images, out, weights: tumours}
    _stand_in(monkeypatch, "tumour.single_case", predict_scan=one_head.predict_scan, **known)
    _stand_in(monkeypatch, "plotting.scans", show_planes=lambda *args, **how: None)
    opened = {"load_image": lambda path, **how: None, "load_mask": lambda path: None}
    _stand_in(monkeypatch, "images", **opened)
    _stand_in(monkeypatch, "large", working_image=lambda image, where: image, working_mask=lambda mask: mask)
    drawn = {"save_figure": lambda figure, path, text: write_text(path, ""), "is_drawn_as_now": lambda path: True}
    _stand_in(monkeypatch, "plotting.style", **drawn)
    answer = epitome("segment", "patient2_t1.nii.gz", "T2w=b.nii", "--out", tmp_path, "--json")
    assert answer.exit_code == 0, answer.output
    assert "patient2_t1.nii.gz: T1w (file name says T1, no word of an agent)" in answer.stderr
    kept = pd.read_csv(tmp_path / "contrasts.tsv", sep="\t")
    assert kept.contrast.tolist() == ["T1w", "T2w"] and kept.evidence.tolist()[1] == "as stated"
    scans = pd.DataFrame(json.loads(answer.stdout)["scans"])
    assert scans.file.tolist() == ["patient2_t1.nii.gz", "b.nii"] and scans[list(kept)].equals(kept)


def test_strip_writes_the_mask_and_the_brain(epitome, ball, tmp_path, monkeypatch):
    head = nib.load(ball)
    half = np.zeros(head.shape, np.uint8)
    half[:15] = 1
    mask, methods = nib.Nifti1Image(half, head.affine), []
    said = {"network": ("head", ("The brain ends in a straight cut.",)), "fsl": ("stripped before", ())}
    _stand_in(
        monkeypatch,
        "preprocess.skull_stripping",
        STRIPPED_BEFORE="stripped before",
        strip_with_warnings=lambda image, method: methods.append(method) or (mask, *said[method]),
    )
    where = ("--mask", tmp_path / "mask.nii.gz", "--brain", tmp_path / "brain.nii.gz")
    for options in ((), ("--method", "fsl")):
        answer = epitome("strip", ball, *where, *options)
        assert answer.exit_code == 0, answer.output
        assert ("Warning: The brain ends in a straight cut." in answer.stderr) == (not options)
        assert ("skull-stripped already" in answer.stderr) == bool(options)
    assert methods == ["network", "fsl"]
    assert np.array_equal(nib.load(tmp_path / "mask.nii.gz").get_fdata(), half)
    assert np.array_equal(nib.load(tmp_path / "brain.nii.gz").get_fdata(), half * head.get_fdata())


def test_cohort_says_what_was_taken_and_left_out_and_why(epitome, tmp_path, monkeypatch):
    root = write_cohort(tmp_path / "made", subjects=7)
    excluded = [("case-3", "expected a 3-D image; received 4-D")]
    entries = [
        Entry("a/one.nii.gz", "scan", "sub-01", "T1w", "suffix T1w"),
        Entry("a/two.nii.gz", "scan", "sub-01", reason="cannot tell: no word of a contrast"),
    ]
    described = {"name": "Mine", "readme": "", "participants": read_tsv(root / "participants.tsv")}
    write_dataset(root, **described, excluded=excluded, repaired=[("sub-05", "two studies: took 1")], entries=entries)
    _stand_in(monkeypatch, "sources.bids", import_bids=lambda source, out, **options: open_cohort(root))
    answer = epitome("cohort", "bids", tmp_path, tmp_path / "out")
    assert "subjects" in answer.stdout and "case-3" in answer.stdout and "received 4-D" in answer.stdout
    for words in ("two studies: took 1", "1 (T1w 1)", "1 (cannot tell: no word of a contrast)", "7 of 7"):
        assert words in answer.stdout
    answer = json.loads(epitome("cohort", "bids", tmp_path, tmp_path / "out", "--json").stdout)
    assert answer["n_subjects"] == 7 and answer["excluded"][0]["id"] == "case-3"
    assert answer["repaired"] == [{"id": "sub-05", "repair": "two studies: took 1"}]
    assert answer["labels"] == {"grade": 7, "codeletion": 7} and answer["ledger"]["scan: taken"] == "1 (T1w 1)"


def test_a_cohort_of_an_older_version_asks_to_be_imported_again(epitome, tmp_path):
    root = write_cohort(tmp_path / "old")
    (root / "sources.tsv").rename(root / "excluded.tsv")
    answer = epitome("inspect", root)
    assert answer.exit_code == 0 and "Import it again" in answer.stderr and str(root) in answer.stderr


def test_phantom_passes_on_what_was_asked_for(epitome, tmp_path, monkeypatch):
    asked = {}

    def make_phantom_cohort(out, **options):
        asked.update(options)
        raise ParameterError("phantom", "a", "b", "c")

    _stand_in(monkeypatch, "simulate.phantom", make_phantom_cohort=make_phantom_cohort)
    epitome("cohort", "phantom", tmp_path, "--subjects", 9, "--seed", 4, "--contrasts", "T1w,FLAIR", "--workers", 1)
    assert asked == {"subjects": 9, "seed": 4, "profile": "quick", "contrasts": ("T1w", "FLAIR"), "workers": 1}


def test_preprocess_lists_the_quality_of_every_subject_and_where_the_page_is(epitome, tmp_path, monkeypatch):
    workspace = make_workspace(tmp_path)
    row = {"participant_id": "sub-001", "brain_mask_dice": None, "template_dice": 0.94444, "warnings": "Look at it."}
    quality = pd.DataFrame([row]).astype({"brain_mask_dice": float})
    asked, pages = [], []
    _stand_in(
        monkeypatch,
        "preprocess.pipeline",
        preprocess_cohort=lambda cohort, out, **options: asked.append(options) or quality,
    )
    _stand_in(
        monkeypatch,
        "report.quality_page",
        write_quality_page=lambda cohort, out, **options: pages.append(out) or out / "qc.html",
    )
    answer = epitome("preprocess", tmp_path / "cohort", workspace / "ready", "--json")
    assert json.loads(answer.stdout) == [row] and f"Open {workspace / 'ready' / 'qc.html'}" in answer.stderr
    told = epitome("preprocess", tmp_path / "cohort", workspace / "ready", "--no-bias", "--no-register")
    assert "Warning: sub-001: Look at it." in told.stderr and "Look at it" not in told.stdout
    assert "0.944" in told.stdout and f"Open {workspace / 'ready' / 'qc.html'}" in told.stdout
    epitome("preprocess", tmp_path / "cohort", "x", "--no-strip", "--no-normalise", "--method", "fsl")
    assert [options["steps"] for options in asked] == [
        ("strip", "bias", "register", "normalise"),
        ("strip", "normalise"),
        ("bias", "register"),
    ]
    assert [options["method"] for options in asked] == ["network", "network", "fsl"] and len(pages) == 3


def test_inspect_names_what_is_not_read_and_what_the_import_left_out(epitome, tmp_path):
    root = write_cohort(tmp_path / "cohort")
    answer = epitome("inspect", root, "--workers", 1)
    assert "The import" not in answer.stdout, "nobody imported it"
    (root / "sub-01" / "anat" / "sub-01_acq-[x]_T1w.nii").write_bytes(b"no scan")
    taken = Entry("a/flair.nii", "scan", "sub-01", "FLAIR", "suffix FLAIR")
    entries = [taken, *(Entry(f"b/{number}.nii", "scan", reason="cannot tell") for number in range(45))]
    write_ledger(root, [*entries, Entry("sub-01", "note", "sub-01", reason="a note")])
    answer = epitome("inspect", root, "--workers", 1)
    assert answer.exit_code == 0 and "sub-01/anat/sub-01_acq-[x]_T1w.nii" in answer.stdout
    assert "1 (FLAIR 1)" in answer.stdout and "45 (cannot tell)" in answer.stdout
    assert (
        "b/39.nii" in answer.stdout and "b/40.nii" not in answer.stdout and "and 5 more in sources.tsv" in answer.stdout
    )
    rows = json.loads(epitome("inspect", root, "--ledger", "--json").stdout)
    assert rows[0] == taken._asdict() | {"reason": None, "decision": None} and len(rows) == 47
    assert "suffix FLAIR" in epitome("inspect", root, "--ledger").stdout
    rows = json.loads(epitome("inspect", root, "--workers", 1, "--json").stdout)
    assert [row["file"] for row in rows if row["contrast"] is None] == ["sub-01/anat/sub-01_acq-[x]_T1w.nii"]


def test_inspect_audits_a_cohort_and_writes_the_spreadsheet(epitome, tmp_path):
    make_workspace(tmp_path, subjects=2)
    answer = epitome("inspect", tmp_path / "cohort", "--xlsx", tmp_path / "made.xlsx", "--workers", 1, "--json")
    rows = json.loads(answer.stdout)
    assert [row["participant_id"] for row in rows] == ["sub-001", "sub-002"]
    assert all(row["findings"] for row in rows), "empty files are a finding"
    assert (tmp_path / "made.xlsx").stat().st_size > 1000


def test_report_prints_the_key_figures_and_where_the_page_is(epitome, tmp_path):
    workspace = make_workspace(tmp_path)
    answer = epitome("report", workspace)
    assert answer.exit_code == 0
    row = next(line for line in answer.stdout.splitlines() if " auc " in line)
    assert row.split() == ["grading", "auc", "0.81", "0.68", "to", "0.92", "46"]
    assert f"Open {workspace / 'index.html'}" in answer.stdout
    assert json.loads(epitome("report", workspace, "--json").stdout)["grading"]["auc"] == 0.8125


def test_run_executes_and_reports(epitome, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    declared = 'cohort = "phantom"\nout = ""\nprofile = "quick"\nseed = 0\ntext = "a"\nitems = [1]\n'
    write_notebook(tmp_path / "only.ipynb", declared, "f'{text} {items} {seed}'")
    options = ("--profile", "smoke", "--seed", 3, "-p", "text=b c", "-p", "items=[1, 2]")
    answer = epitome("run", "only.ipynb", *options)
    assert answer.exit_code == 0, answer.output
    workspace = tmp_path / "runs" / "phantom_smoke_grade"
    executed = nbformat.read(workspace / "notebooks" / "only.ipynb", 4)
    assert executed.cells[-1].outputs[0].data["text/plain"] == "'b c [1, 2] 3'"
    assert f"Open {tmp_path / 'runs' / 'latest' / 'index.html'}" in answer.stdout
    assert "done" in answer.stderr and "only" in answer.stderr
    again = epitome("run", "only.ipynb", *options, "--json")
    assert "kept" in again.stderr
    assert json.loads(again.stdout)["notebooks"][0]["name"] == "only"


@pytest.mark.parametrize(("installed", "opened"), [(False, "notebooks"), (True, "mine")])
def test_lab_opens_the_first_notebook_or_a_copy_of_it(installed, opened, epitome, tmp_path, monkeypatch):
    source = tmp_path / ("_notebooks" if installed else "notebooks")
    source.mkdir()
    nbformat.write(new_notebook(), source / "01_inspect_dataset.ipynb")
    monkeypatch.setattr("epitome_kit.run.notebooks.notebooks_folder", lambda: source)
    commands = []
    monkeypatch.setattr(cli, "become", lambda command: commands.append(command) or 0)
    answer = epitome("lab", "--no-browser", "--folder", tmp_path / "mine")
    assert answer.exit_code == 0, answer.output
    assert commands[0][1:] == ["-m", "jupyterlab", str(tmp_path / opened / "01_inspect_dataset.ipynb"), "--no-browser"]
    assert (tmp_path / opened / "01_inspect_dataset.ipynb").is_file()


def test_lab_copies_a_read_only_installation_so_that_it_can_be_changed(epitome, tmp_path, monkeypatch):
    source = tmp_path / "_notebooks"
    (source / "labs").mkdir(parents=True)
    for name in ("01_inspect_dataset", "labs/leakage"):
        nbformat.write(new_notebook(), source / f"{name}.ipynb")
    for path in (*source.rglob("*.ipynb"), source / "labs", source):
        path.chmod(path.stat().st_mode & ~0o222)
    monkeypatch.setattr("epitome_kit.run.notebooks.notebooks_folder", lambda: source)
    monkeypatch.setattr(cli, "become", lambda command: 0)
    assert epitome("lab", "--folder", tmp_path / "mine").exit_code == 0
    copied = [tmp_path / "mine", *(tmp_path / "mine").rglob("*")]
    assert len(copied) == 4 and all(path.stat().st_mode & 0o200 for path in copied)
    (tmp_path / "file").touch()
    refused = epitome("lab", "--folder", tmp_path / "file" / "mine")
    assert refused.exit_code == 1 and len(refused.output.splitlines()) == 3


def _healthy(monkeypatch, **changes):
    """A machine on which nothing is wrong, but for the changes."""
    machine = {
        "requires": lambda name: ["rich>=1"],
        "_lock": lambda path: [],
        "_keras": lambda: [doctor._check("Keras backend", "torch", "loads", True, "")],
        "_kernel": lambda: doctor._check("Jupyter kernel", "python", "this Python", True, ""),
    }
    for name, function in {**machine, **changes}.items():
        monkeypatch.setattr(doctor, name, function)
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: SimpleNamespace(available=8e9))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: SimpleNamespace(free=9e9))


def _states(answer):
    return {check["what"]: check["state"] for check in json.loads(answer.stdout)}


def test_doctor_finds_what_is_missing(epitome, monkeypatch):
    _healthy(monkeypatch, requires=lambda name: ["numpy>=99", "nosuchpackage>=1.0", "rich>=1"])
    checks = {check["what"]: check for check in json.loads(epitome("doctor", "--json").stdout)}
    assert checks["numpy"]["state"] == checks["nosuchpackage"]["state"] == checks["packages"]["state"] == "missing"
    assert checks["nosuchpackage"]["hint"].endswith("install --upgrade 'nosuchpackage>=1.0'`")
    assert checks["packages"]["found"] == "1 of 3" and "rich" not in checks
    answer = epitome("doctor")
    assert answer.exit_code == 1
    assert "Failed checks: packages, numpy, nosuchpackage." in answer.stdout


def test_doctor_lets_pass_a_core_without_its_extras(epitome, monkeypatch):
    needed = ["rich>=1", "pandas>=99; extra == 'train'", "numpy>=1; extra == 'train'", "numpy>=1; extra == 'lab'"]
    _healthy(monkeypatch, requires=lambda name: [*needed, "epitome-kit[lab]; extra == 'app'"])
    checks = {check["what"]: check for check in json.loads(epitome("doctor", "--json").stdout)}
    assert (checks["packages"]["found"], checks["packages"]["state"]) == ("1 of 1", "ok")
    assert (checks["extra train"]["found"], checks["extra train"]["state"]) == ("1 of 2, not pandas", "warn")
    assert "epitome-kit[train]" in checks["extra train"]["hint"]
    assert checks["extra lab"]["state"] == "ok" and "extra app" not in checks
    answer = epitome("doctor")
    assert answer.exit_code == 0 and "Ready, without extra train." in answer.stdout


def test_doctor_lets_pass_what_only_makes_runs_slow(epitome, monkeypatch):
    _healthy(monkeypatch)
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: 1)
    answer = epitome("doctor")
    assert answer.exit_code == 0
    assert re.search(r"^warn +cores +1 ", answer.stdout, re.MULTILINE)
    assert "Ready" in answer.stdout


def test_doctor_compares_with_the_lock(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        f"rich=={doctor.version('rich')} \\\n    --hash=sha256:0\nnumpy==0.1 ; sys_platform != 'nowhere' \\\n"
        "winonly==1.0 ; sys_platform == 'nowhere' \\\n",
        encoding="utf-8",
    )
    (check,) = doctor._lock(lock)
    assert (check["found"], check["state"]) == ("1 of 2, not numpy", "warn")
    assert doctor._lock(tmp_path / "none.lock") == []


@pytest.mark.parametrize(
    ("system", "release", "folder", "state"),
    [
        ("Linux", "6.1", "/mnt/data/kit", "ok"),
        ("Linux", "5.15-microsoft-WSL2", "/home/me/kit", "ok"),
        ("Linux", "5.15-microsoft-WSL2", "/mnt/c/kit", "warn"),
        ("Windows", "11", "C:/kit", "ok"),
    ],
)
def test_doctor_knows_windows_and_its_linux(system, release, folder, state, monkeypatch):
    monkeypatch.setattr(doctor.platform, "system", lambda: system)
    monkeypatch.setattr(doctor.platform, "release", lambda: release)
    assert doctor._system(Path(folder))["state"] == state


def test_doctor_survives_a_keras_that_does_not_load(monkeypatch):
    failed = subprocess.CompletedProcess([], -4, stdout="", stderr="Illegal instruction\n")
    monkeypatch.setattr(doctor, "run_program", lambda *args, **options: failed)
    (check,) = doctor._keras()
    assert (check["state"], check["found"]) == ("missing", "Illegal instruction")


def test_doctor_counts_the_gpus(monkeypatch):
    seen = subprocess.CompletedProcess([], 0, stdout="chatter\ntensorflow 2\n", stderr="")
    monkeypatch.setattr(doctor, "run_program", lambda *args, **options: seen)
    assert [check["found"] for check in doctor._keras()] == ["tensorflow", "2 seen by tensorflow"]


def test_doctor_tells_the_kernel_of_another_python(monkeypatch):
    for program, state in ((sys.executable, "ok"), ("python", "ok"), ("/elsewhere/bin/python", "warn")):
        spec = SimpleNamespace(get_kernel_spec=lambda name, program=program: SimpleNamespace(argv=[program]))
        monkeypatch.setattr("jupyter_client.kernelspec.KernelSpecManager", lambda spec=spec: spec)
        assert doctor._kernel()["state"] == state


@pytest.mark.parametrize("download", [False, True])
def test_the_collection_is_downloaded_only_when_asked_for(epitome, tmp_path, monkeypatch, download):
    asked = []

    def import_lgg_1p19q(source, out, **options):
        asked.append(options)
        raise ParameterError("import", "a", "b", "c")

    _stand_in(monkeypatch, "sources.lgg_1p19q", import_lgg_1p19q=import_lgg_1p19q)
    answer = epitome("cohort", "lgg-1p19q", tmp_path, tmp_path / "out", *["--download"] * download)
    assert answer.exit_code == 1 and len(answer.output.splitlines()) == 3
    assert (asked[0]["archive"] or "").startswith("https://nbia") == download


@pytest.mark.parametrize("compared", [True, False])
def test_extract_compares_the_epitome_with_its_baselines(epitome, tmp_path, monkeypatch, compared):
    workspace = make_workspace(tmp_path)
    rows = {"participant_id": ["sub-001", "sub-002"], "mse_epitome": [0.5, np.nan], "note": [None, "too small"]}
    mse = {"epitome": 0.512, "kmeans": 0.75, "random": 1.25}
    classes = {"auc": 0.77, "auc_ci95": [0.6, 0.9], "accuracy": 0.7, "majority_accuracy": 0.65, "n": 48, "mse": mse}
    scores = {
        "subjects": {"n": 47, "mse": mse},
        "target": "grade",
        "classes": classes if compared else {"reason": "one class"},
    }
    asked = []

    def extract_cohort(cohort, out, **options):
        asked.append((out, options))
        return pd.DataFrame(rows), scores

    _stand_in(monkeypatch, "report.epitomes_page", extract_cohort=extract_cohort)
    answer = epitome("extract", tmp_path / "cohort", workspace, "--seed", 4, "--workers", 1)
    assert answer.exit_code == 0, answer.output
    assert asked == [(workspace, {"target": "grade", "folds": 5, "seed": 4, "workers": 1})]
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert ["0.512", "0.75", "1.25", "47"] in [line[-4:] for line in lines]
    assert "sub-002: no learned epitome; too small" in answer.stdout
    assert f"Open {workspace / 'epitomes.html'}" in answer.stdout
    scored = "AUC 0.77 (0.60 to 0.90, subjects alone), accuracy 0.70, majority 0.65, n = 48"
    said = scored if compared else "No epitomes by grade: one"
    assert said in answer.stdout
    found = json.loads(epitome("extract", tmp_path / "cohort", workspace, "--json").stdout)
    assert found["rows"][1]["note"] == "too small" and found["subjects"]["n"] == 47


def _tumours(**columns):
    """Table of three subjects, the last without a reference."""
    table = {
        **{"participant_id": ["sub-001", "sub-002", "sub-003"], "volume_voxels": [100, 200, 300]},
        **{"volume_ml": [1.25, 2.5, 3.75], "volume_low_ml": [1.0, 2.0, 3.0], "volume_high_ml": [1.5, 3.0, 4.5]},
        **{"volume_low_voxels": [79, 159, 239], "volume_high_voxels": [119, 239, 359]},
        **{"reference_volume_voxels": [90, 250, np.nan]},
        **{"dice": [0.8, 0.6, np.nan], "dice_classical": [0.4, 0.5, np.nan], "reference": ["truth", "truth", None]},
        **{
            "volume_error_pct": [10.0, -20.0, np.nan],
            "covered": [True, False, np.nan],
            "rano_long_mm": [9.0, 11.0, 13.0],
        },
    }
    return pd.DataFrame({**table, **columns})


@pytest.fixture
def segmenting(monkeypatch):
    """Stand-ins for preprocessing, training and predicting; what each was asked for."""
    asked = []

    def answers(name, answer):
        def function(*where, **options):
            asked.append((name, where[1:], options))
            return answer

        return function

    for name in ("segment_cohort", "predict_tumours"):
        monkeypatch.setattr(f"epitome_kit.tumour.segment.{name}", answers(name, _tumours()))
    _stand_in(monkeypatch, "preprocess.pipeline", preprocess_cohort=answers("preprocess", None))
    return asked


def test_segment_trains_on_a_cohort_or_predicts(epitome, segmenting, tmp_path):
    make_workspace(tmp_path, subjects=3)
    cohort, out = tmp_path / "cohort", tmp_path / "out"
    training = ("--train", tmp_path / "net.keras", "--folds", 3, "--epochs", 4, "--seed", 7)
    training = (*training, "--learn-from", "truth")
    answer = epitome("segment", cohort, "--out", out, *training, "--workers", 1)
    assert answer.exit_code == 0, answer.output
    epitome("segment", cohort, "--out", out, "--weights", tmp_path / "other.keras", "--workers", 1)
    epitome("segment", cohort, "--out", out, "--workers", 1)
    ready, where = ("preprocess", (out / "preprocessed",), {"workers": 1}), (out / "preprocessed", out)
    settings = UNetSettings(epochs=4, learn_from="truth")
    options = {"folds": 3, "settings": settings, "seed": 7, "weights": tmp_path / "net.keras"}
    alone = {"workers": 1}
    assert segmenting == [
        *(ready, ("segment_cohort", where, options | alone)),
        *(ready, ("predict_tumours", where, {"weights": tmp_path / "other.keras"} | alone)),
        *(ready, ("predict_tumours", where, {"weights": None} | alone)),
    ]


def test_segment_answers_with_sizes_and_how_well_they_fit(epitome, segmenting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_workspace(tmp_path, subjects=3)
    told = epitome("segment", "cohort").stdout
    row = next(line for line in told.splitlines() if "sub-002" in line)
    assert row.split() == ["sub-002", "2.5", "2", "3", "11", "0.6", "0.5"]
    assert "Dice 0.700 on average, median 0.700, n = 2, against truth" in told and "95 %" not in told
    assert "symmetry alone 0.450; volume error 15.0 %; coverage of the 90 % interval 50%, on 2 subjects" in told
    assert "median high / low of the 90 % interval 1.50" in told
    assert next(line.split() for line in told.splitlines() if "small" in line)[:3] == ["small", "1", "1"]
    assert "Masks: runs/cohort_segment/masks" in told
    answer = epitome("segment", "cohort", "--json")
    found = json.loads(answer.stdout)
    assert found["summary"]["n"] == 2 and found["summary"]["coverage"] == 0.5
    assert [each["coverage"] for each in found["intervals_of_parts"] if each["n"]] == [0.5, 1, 0]
    assert found["tumours"][2]["participant_id"] == "sub-003" and found["tumours"][2]["dice"] is None
    assert "Dice 0.700" in answer.stderr and "Masks: " in answer.stderr


def test_segment_says_nothing_of_what_it_cannot_know(epitome, segmenting, tmp_path, monkeypatch):
    """Voxels of unknown size, no reference, and a network whose intervals nobody calibrated."""
    monkeypatch.chdir(tmp_path)
    make_workspace(tmp_path, subjects=3)
    blank = dict.fromkeys(["volume_ml", "volume_low_ml", "volume_high_ml", "dice_classical", "rano_long_mm"], np.nan)
    bare = _tumours(**blank, volume_low_voxels=np.nan, volume_high_voxels=np.nan).drop(columns=["dice", "reference"])
    monkeypatch.setattr("epitome_kit.tumour.segment.predict_tumours", lambda *where, **options: bare)
    answer = epitome("segment", "cohort")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.split() == [
        *("participant_id", "volume_voxels", "sub-001", "100", "sub-002", "200", "sub-003", "300"),
        *("Masks:", "runs/cohort_segment/masks"),
    ]
    assert json.loads(epitome("segment", "cohort", "--json").stdout)["summary"] is None


def test_segment_pictures_the_outline_of_one_head(epitome, tmp_path, monkeypatch, ball):
    head = nib.load(ball)
    asked = []

    def segment_head(images, out, *, weights):
        asked.append((images, weights))
        (out / "masks").mkdir(parents=True)
        nib.save(head, out / "masks" / "sub-007_label-tumour_mask.nii.gz")
        return pd.DataFrame({"participant_id": ["sub-007"], "volume_voxels": [9], "volume_ml": [0.5]})

    monkeypatch.setattr("epitome_kit.tumour.single_case.segment_head", segment_head)
    monkeypatch.chdir(tmp_path)
    scans = [tmp_path / name for name in ("flair.nii.gz", "post.nii.gz")]
    for scan in scans:
        nib.save(nib.Nifti1Image(head.get_fdata(dtype=np.float32) + np.eye(31)[..., None], head.affine), scan)
    answer = epitome("segment", scans[0], f"T1ce={scans[1]}", "--weights", "net.keras")
    assert answer.exit_code == 0, answer.output
    assert asked[0][0] == {"T1ce": scans[1], "FLAIR": scans[0]} and asked[0][1].name == "net.keras"
    out = tmp_path / "runs" / "flair_segment"
    assert "sub-007" in answer.stdout and (out / "figures" / "sub-007_tumour.png").stat().st_size > 5000


@pytest.fixture
def marked(monkeypatch):
    """Points of three files, one of which was refused."""
    said = ["All right.", "5 times too large.", "Blank.", "not a notebook"]
    columns = {"file": ["a", "a", "b", "c"], "notebook": ["01", "01", "01", None], "exercise": [1, 2, 1, pd.NA]}
    columns |= {"points": [1, 0, 0, 0], "state": ["right", "not yet", "blank", "refused"], "said": said}
    columns |= {"note": [None, None, "one of 2", None]}
    marks = pd.DataFrame(columns).astype({"exercise": "Int64"})
    asked = []

    def mark_folder(path, **options):
        asked.append(options)
        return marks[marks.file == path.name] if path.name == "a" else marks

    states = {"✓": "right", "✗": "not yet", "○": "blank"}
    _stand_in(monkeypatch, "classroom.marking", mark_folder=mark_folder, STATES=states)
    return asked


def test_notebooks_prints_the_points_of_a_class_and_of_one_student(epitome, marked, tmp_path):
    answer = epitome("notebooks", "--grade", "returned", "--profile", "smoke", "--out", tmp_path / "points.tsv")
    assert answer.exit_code == 0
    assert re.search(r"^a +01 +1/2 +✓ ✗", answer.stdout, re.MULTILINE)
    assert re.search(r"^b +01 +0/1 +○ +one of 2", answer.stdout, re.MULTILINE)
    assert re.search(r"^c +0 +not a notebook", answer.stdout, re.MULTILINE)
    assert "1 of 3 points" in answer.stdout and "3 files: 2 marked, 1 refused" in answer.stdout
    assert (tmp_path / "points.tsv").read_text(encoding="utf-8").splitlines()[
        2
    ] == "a\t01\t2\t0\tnot yet\t5 times too large.\tn/a"
    assert marked[0]["workspace"].as_posix() == "runs/phantom_smoke_grade" and marked[0]["limits"].step_s == 300
    answer = epitome("notebooks", "--grade", "a")
    assert re.search(r"^2 +0 +not yet +5 times too large.", answer.stdout, re.MULTILINE)
    rows = json.loads(epitome("notebooks", "--grade", "returned", "--json").stdout)
    assert [row["points"] for row in rows] == [1, 0, 0, 0] and rows[3]["exercise"] is None


def test_notebooks_prints_the_command_that_marks_in_a_container(epitome, marked):
    answer = epitome("notebooks", "--grade", "returned", "--limit", 60, "--memory", 2, "--container", "podman")
    assert answer.exit_code == 0 and not marked
    assert answer.stdout.startswith("podman run ") and "--limit=60 --memory=2" in answer.stdout
    assert epitome("notebooks", "--grade", "returned", "--container", "lxc").exit_code == 1


def test_notebooks_writes_for_students_and_for_whoever_teaches(epitome, tmp_path):
    answer = epitome("notebooks", "--student", tmp_path / "student", "--instructor", tmp_path / "instructor")
    assert answer.exit_code == 0 and answer.stdout.count("Wrote ") == 2
    first, second = ((tmp_path / name / "01_inspect_dataset.ipynb").read_text() for name in ("student", "instructor"))
    assert "my_liar = None" in first and 'my_liar = \\"C\\"' not in first and 'my_liar = \\"C\\"' in second
