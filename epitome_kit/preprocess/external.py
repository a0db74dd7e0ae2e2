"""Skull stripping with external tools: FSL, HD-BET and SynthStrip."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.errors import ToolError
from epitome_kit.images import ImageLike, load_image, load_mask, new_image_like
from epitome_kit.processes import run_program
from epitome_kit.temporary import temporary_folder

_SCAN = "scan.nii.gz"
_TIMEOUT_SECONDS = 3600


@dataclass(frozen=True)
class Tool:
    """Command line of an external tool, and how to install it.

    Attributes
    ----------
    command : tuple of str
        Program and arguments, run in a folder that contains the scan as ``scan.nii.gz``.
    mask : str
        File to which the tool writes the brain mask.
    source : str
        How to install it, starting with a verb.
    """

    command: tuple[str, ...]
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
        "install HD-BET 2 (https://github.com/MIC-DKFZ/HD-BET) with `pip install hd-bet` in a separate environment,"
        " and put its `bin` on the PATH",
    ),
    "synthstrip": Tool(
        ("mri_synthstrip", "-i", _SCAN, "-m", "mask.nii.gz"),
        "mask.nii.gz",
        "install FreeSurfer 7.3 or later (https://surfer.nmr.mgh.harvard.edu) and source its `SetUpFreeSurfer.sh`",
    ),
}
"""External tools by method name."""


def find_tool(method: str) -> str:
    """Find the program of a tool.

    Parameters
    ----------
    method : {"fsl", "hd-bet", "synthstrip"}
        Name of the tool.

    Returns
    -------
    str
        Path of the program.

    Raises
    ------
    ToolError
        The program is not on the PATH.
    """
    tool = TOOLS[method]
    program = shutil.which(tool.command[0])
    if program is None:
        raise ToolError(
            "skull_strip", f"the program `{tool.command[0]}` for `{method}`", "no such program on the PATH", tool.source
        )
    return program


def strip_with_tool(image: ImageLike, method: str) -> nib.Nifti1Image:
    """Find the brain with an external tool.

    The scan is written to a temporary folder, in which the tool runs and writes its mask.

    Parameters
    ----------
    image : image-like
        Shape (i, j, k).
    method : {"fsl", "hd-bet", "synthstrip"}
        Name of the tool.

    Returns
    -------
    Nifti1Image
        Brain mask of uint8 on the grid of the scan.

    Raises
    ------
    ToolError
        The tool is not installed, fails, or writes no mask.
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
    with temporary_folder() as folder:
        nib.save(image, Path(folder, _SCAN))
        output = _call([program, *tool.command[1:]], folder, method)
        if not Path(folder, tool.mask).is_file():
            raise _failed(method, f"a mask from {method}", f"no {tool.mask}; its output: {output}")
        mask = load_mask(Path(folder, tool.mask), like=image, where=f"skull_strip, {method}")
        inside = np.array(mask.dataobj)
    if not inside.any():
        raise _failed(method, "a non-empty brain mask", f"an empty mask from {method}; its output: {output}")
    return new_image_like(inside, image)


def _call(command: Sequence[str], folder: Path, method: str) -> str:
    """Run a tool, and return the last 300 characters of its output."""
    environment = {**os.environ, "FSLOUTPUTTYPE": "NIFTI_GZ"}
    expected = f"{method} to find the brain"
    try:
        ended = run_program(command, cwd=folder, env=environment, timeout_s=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _failed(method, expected, f"no result within {_TIMEOUT_SECONDS // 60} minutes") from error
    except OSError as error:
        raise _failed(method, expected, f"{command[0]}, which cannot be run ({error.strerror})") from error
    output = " ".join((ended.stderr.strip() or ended.stdout.strip() or "nothing").split())[-300:]
    if ended.returncode:
        raise _failed(method, expected, f"exit code {ended.returncode}; its output: {output}")
    return output


def _failed(method: str, expected: str, received: str) -> ToolError:
    command = " ".join(TOOLS[method].command)
    return ToolError("skull_strip", expected, received, f"run `{command}` by hand, or choose `network`")
