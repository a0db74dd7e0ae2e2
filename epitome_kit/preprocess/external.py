"""Skull stripping by a tool that the user has installed, called as its manual says."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.errors import ToolError
from epitome_kit.images import image_like, load_image, load_mask

_SCAN = "scan.nii.gz"
_LONGEST_SECONDS = 3600


@dataclass(frozen=True)
class Tool:
    """How a tool is called, and how to get it.

    Attributes
    ----------
    command : tuple of str
        Program and arguments; it runs in a folder with the scan in ``scan.nii.gz``.
    mask : str
        File that the brain mask is then found in.
    source : str
        How to install it, as a clause that begins with a verb.
    """

    command: tuple
    mask: str
    source: str


TOOLS = {
    "fsl": Tool(
        ("bet", _SCAN, "brain.nii.gz", "-R", "-m"),
        "brain_mask.nii.gz",
        "install FSL (https://fsl.fmrib.ox.ac.uk/fsl/docs) and open a new terminal, so that `bet` is found",
    ),
    "hd-bet": Tool(
        ("hd-bet", "-i", _SCAN, "-o", "brain.nii.gz", "-device", "cpu", "--disable_tta", "--save_bet_mask"),
        "brain_bet.nii.gz",
        "install HD-BET 2 (https://github.com/MIC-DKFZ/HD-BET) with `pip install hd-bet` in an environment of its own,"
        " and put its `bin` on the PATH",
    ),
    "synthstrip": Tool(
        ("mri_synthstrip", "-i", _SCAN, "-m", "mask.nii.gz"),
        "mask.nii.gz",
        "install FreeSurfer 7.3 or later (https://surfer.nmr.mgh.harvard.edu) and source its `SetUpFreeSurfer.sh`",
    ),
}
"""Tools by the name of their method."""


def find_tool(method):
    """Find the program of a tool.

    Parameters
    ----------
    method : {"fsl", "hd-bet", "synthstrip"}

    Returns
    -------
    str
        Path of the program.

    Raises
    ------
    ToolError
        It is not on the PATH.
    """
    tool = TOOLS[method]
    program = shutil.which(tool.command[0])
    if program is None:
        raise ToolError(
            "skull_strip", f"the program `{tool.command[0]}` for `{method}`", "no such program on the PATH", tool.source
        )
    return program


def strip_with_tool(image, method):
    """Find the brain with a tool of the user's own.

    The scan is written to a temporary folder, where the tool is run and leaves
    its mask.

    Parameters
    ----------
    image : Nifti1Image or path
        Shape (i, j, k).
    method : {"fsl", "hd-bet", "synthstrip"}

    Returns
    -------
    Nifti1Image
        Brain mask of uint8 on the grid of the scan.

    Raises
    ------
    ToolError
        The tool is not installed, ends with an error or without a mask.
    ImageError
        The scan cannot be read, or the mask is on another grid.

    References
    ----------
    BET: Smith, Hum Brain Mapp 2002, doi:10.1002/hbm.10062
    HD-BET: Isensee et al., Hum Brain Mapp 2019, doi:10.1002/hbm.24750
    SynthStrip: Hoopes et al., NeuroImage 2022, doi:10.1016/j.neuroimage.2022.119474
    """
    image = load_image(image, where="skull_strip")
    tool, program = TOOLS[method], find_tool(method)
    with tempfile.TemporaryDirectory(prefix="epitome-strip-") as folder:
        nib.save(image, Path(folder, _SCAN))
        said = _call([program, *tool.command[1:]], folder, method)
        if not Path(folder, tool.mask).is_file():
            raise _failed(method, f"a mask from {method}", f"none in {tool.mask}; it said: {said}")
        mask = load_mask(Path(folder, tool.mask), like=image, where=f"skull_strip, {method}")
        inside = np.array(mask.dataobj)
    if not inside.any():
        raise _failed(method, "some brain in the mask", f"an empty mask from {method}; it said: {said}")
    return image_like(inside, image)


def _call(command, folder, method):
    """Run a tool to its end; return the end of what it said."""
    environment = {**os.environ, "FSLOUTPUTTYPE": "NIFTI_GZ"}
    options = {"cwd": folder, "env": environment, "stdin": subprocess.DEVNULL, "timeout": _LONGEST_SECONDS}
    expected = f"{method} to find the brain"
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, **options)
    except subprocess.TimeoutExpired as error:
        raise _failed(method, expected, f"no answer within {_LONGEST_SECONDS // 60} minutes") from error
    except OSError as error:
        raise _failed(method, expected, f"{command[0]}, which cannot be run ({error.strerror})") from error
    said = " ".join((ended.stderr.strip() or ended.stdout.strip() or "nothing").split())[-300:]
    if ended.returncode:
        raise _failed(method, expected, f"exit code {ended.returncode}; it said: {said}")
    return said


def _failed(method, expected, received):
    command = " ".join(TOOLS[method].command)
    return ToolError("skull_strip", expected, received, f"run `{command}` by hand, or choose `network`")
