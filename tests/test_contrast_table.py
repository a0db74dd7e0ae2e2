"""One table of contrasts: its rules, and that a further contrast takes a row here and one of the simulator."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import ROOT

import epitome_kit
from epitome_kit.contrast_table import CONTRASTS, by_conspicuity, either, reference_contrast
from epitome_kit.simulate.scanner import SIGNAL

EDITS = {
    "contrast_table.py": (
        '    "FLAIR": Contrast(',
        '    "PDw": Contrast("PDw", "Proton density", "PD", reference_rank=5, conspicuity_rank=5),\n',
    ),
    "simulate/scanner.py": (
        '    "FLAIR": (',
        '    "PDw": (0.80, 0.85, 0.65, 0.35, 0.06, 0.90, 0.55, 0.80, 0.85, 0.82, 0.85, 0.15),\n',
    ),
}
"""All that is edited to add a contrast: file, the line before which a row goes, and the row."""


def test_the_reference_is_the_first_listed_and_the_glioma_shows_best_on_flair():
    four = ["T1w", "T1ce", "T2w", "FLAIR"]
    assert [reference_contrast(four[first:]) for first in range(4)] == four
    assert reference_contrast(["FLAIR", "T2w"]) == "T2w", "whatever their order"
    assert by_conspicuity(four) == ["FLAIR", "T2w", "T1ce", "T1w"]
    assert by_conspicuity(["T1w", "T2w"]) == ["T2w", "T1w"]


def test_names_are_joined_as_in_a_sentence():
    assert either(["T1w"]) == "T1w" and either(iter(["T1w", "T2w"])) == "T1w or T2w"
    assert either(["T1w", "T2w", "FLAIR"]) == "T1w, T2w or FLAIR"


@pytest.mark.parametrize("column", ["bids", "label", "reference_rank", "conspicuity_rank"])
def test_no_two_contrasts_share_what_tells_them_apart(column):
    values = [getattr(row, column) for row in CONTRASTS.values()]
    assert len(set(values)) == len(values)


def test_a_judge_can_name_each_and_the_simulator_can_paint_each():
    assert len({(row.kind, row.agent) for row in CONTRASTS.values()}) == len(CONTRASTS)
    assert list(SIGNAL) == list(CONTRASTS)


@pytest.fixture(scope="module")
def further(tmp_path_factory):
    """Answers of a copy of the package with a row for PDw in each file of EDITS."""
    folder = tmp_path_factory.mktemp("further")
    copy = folder / "kit" / "epitome_kit"
    shutil.copytree(Path(epitome_kit.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (line, row) in EDITS.items():
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(line) == 1
        (copy / name).write_text(text.replace(line, row + line), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(copy.parent), str(ROOT / "tests" / "helpers")])}
    script = ROOT / "tests" / "helpers" / "on_new_contrast.py"
    run = subprocess.run([sys.executable, script, folder], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_adding_a_contrast_takes_at_most_three_files():
    assert len(EDITS) <= 3


def test_a_further_contrast_is_simulated_and_imported(further):
    assert further["phantoms"] == ["T2w", "PDw"]
    assert further["bids"] == [["T2w", "PDw"]] * 2
    assert further["dicom"] == [["T2w", "PDw"]]
    assert further["names"] == dict(zip(further["names"], ["PDw", "PDw", "other", "other", "T1w"], strict=True)), (
        "two echoes in one name, and an agent, are neither"
    )


def test_a_further_contrast_stands_in_menus_and_help(further):
    assert further["stated"] == ["PDw", "FLAIR"]
    assert further["decisions"] == ["scan", "series"]
    assert further["menu"] == {"Proton density": "PDw"}
    assert "T2w, PDw" in further["help"]


def test_a_further_contrast_is_preprocessed_and_is_no_channel_of_the_networks(further):
    assert further["preprocessed"].endswith("_PDw.nii.gz")
    assert further["outlined"] == 1 and further["channels"] == ["T2w"]
    assert further["loaded"] == [True, False]


def test_one_scan_with_a_further_contrast_beside_it(further):
    assert further["case"] == ["T2w", ["T2w", "PDw"], ["T2w", "PDw"]]


def test_a_further_contrast_alone_is_three_lines(further):
    expected, received, hint = further["alone"].split("\n")
    assert "T1w, T1ce, T2w or FLAIR" in expected and "PDw" not in expected
    assert "PDw of sub-001" in received and hint.startswith("Try: ")
