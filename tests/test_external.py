"""Tools of the user's own: called as documented, and a failure says what the tool said."""

import sys

import nibabel as nib
import numpy as np
import pytest
from tiny import head, raises_three_lines

from epitome_kit.errors import ImageError, ParameterError, ToolError
from epitome_kit.preprocess.external import TOOLS, strip_with_tool
from epitome_kit.preprocess.skull_stripping import describe_method, skull_strip

SCAN = head()

FAKE = """#!{python}
import sys
from pathlib import Path
import nibabel as nib
import numpy as np
Path({log!r}).write_text(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))
{body}
"""
BRIGHT = """
scan = nib.load("scan.nii.gz")
nib.save(nib.Nifti1Image((scan.get_fdata() > 400).astype(np.float32), scan.affine), {mask!r})
"""
COMMANDS = {
    "fsl": "bet scan.nii.gz brain.nii.gz -R -m",
    "hd-bet": "hd-bet -i scan.nii.gz -o brain.nii.gz -device cpu --disable_tta --save_bet_mask",
    "synthstrip": "mri_synthstrip -i scan.nii.gz -m mask.nii.gz",
}
MASKS = {"fsl": "brain_mask.nii.gz", "hd-bet": "brain_bet.nii.gz", "synthstrip": "mask.nii.gz"}
"""Where each manual says that the mask is written."""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a small program in the place of a tool; returns where it notes how it was called."""

    def put(method, body):
        log, program = tmp_path / "called.txt", tmp_path / "bin" / TOOLS[method].command[0]
        program.parent.mkdir(exist_ok=True)
        program.write_text(FAKE.format(python=sys.executable, log=str(log), body=body))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")
        return log

    return put


@pytest.mark.parametrize("method", TOOLS)
def test_a_tool_is_called_as_its_manual_says(method, install):
    log = install(method, BRIGHT.format(mask=MASKS[method]))
    found = skull_strip(SCAN, method)
    assert log.read_text() == COMMANDS[method]
    assert np.array_equal(found.get_fdata(), SCAN.get_fdata() > 400) and found.get_data_dtype() == np.uint8
    assert np.array_equal(found.affine, SCAN.affine)
    assert describe_method(method) == {"method": method, "command": COMMANDS[method]}


def test_bet_is_told_to_write_nifti(install):
    install("fsl", BRIGHT.format(mask=MASKS["fsl"]) + "import os; assert os.environ['FSLOUTPUTTYPE'] == 'NIFTI_GZ'")
    assert strip_with_tool(SCAN, "fsl").get_fdata().any()


@pytest.mark.parametrize("method", TOOLS)
def test_a_tool_that_is_not_there_is_named_and_how_to_get_it(method, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with raises_three_lines(ToolError, COMMANDS[method].split()[0], "no such program on the PATH", "install"):
        skull_strip(SCAN, method)


def test_a_tool_that_fails_says_why(install):
    install("hd-bet", "print('loading'); sys.exit('CUDA is\\nmissing: no kernel')")
    with raises_three_lines(ToolError, "exit code 1", "CUDA is missing: no kernel", COMMANDS["hd-bet"]):
        strip_with_tool(SCAN, "hd-bet")


def test_a_tool_that_leaves_no_mask_says_what_it_said(install):
    install("synthstrip", "print('nothing to do')")
    with raises_three_lines(ToolError, "no mask.nii.gz", "nothing to do"):
        strip_with_tool(SCAN, "synthstrip")


def test_an_empty_mask_is_a_failure(install):
    install("fsl", BRIGHT.format(mask=MASKS["fsl"]).replace("> 400", "> 9e9"))
    with raises_three_lines(ToolError, "an empty mask from fsl"):
        strip_with_tool(SCAN, "fsl")


def test_a_mask_on_another_grid_is_a_failure(install):
    install("fsl", BRIGHT.format(mask=MASKS["fsl"]).replace("400).", "400)[1:]."))
    with raises_three_lines(ImageError, "skull_strip, fsl", "a mask on the grid of its scan"):
        strip_with_tool(SCAN, "fsl")


def test_a_tool_that_hangs_is_stopped(install, monkeypatch):
    monkeypatch.setattr("epitome_kit.preprocess.external._TIMEOUT_SECONDS", 0.5)
    install("fsl", "import time; time.sleep(60)")
    with raises_three_lines(ToolError, "no result within"):
        strip_with_tool(SCAN, "fsl")


def test_a_program_that_cannot_be_run_is_three_lines(install, tmp_path):
    install("fsl", "")
    (tmp_path / "bin" / "bet").write_text("#!/no/such/interpreter\n")
    with raises_three_lines(ToolError, "cannot be run"):
        strip_with_tool(SCAN, "fsl")


def test_nothing_is_left_behind(install, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    install("synthstrip", BRIGHT.format(mask=MASKS["synthstrip"]))
    strip_with_tool(nib.Nifti1Image(SCAN.get_fdata(), SCAN.affine), "synthstrip")
    assert not list((tmp_path / "temporary").iterdir())


def test_an_unknown_method_is_three_lines():
    with raises_three_lines(ParameterError, "network, fsl, hd-bet, synthstrip", "'afni'"):
        skull_strip(SCAN, "afni")
