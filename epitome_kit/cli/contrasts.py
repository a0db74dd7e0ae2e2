"""`epitome contrasts`: determine the contrast of scans."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column

from epitome_kit.cli.options import Json
from epitome_kit.cli.printing import show
from epitome_kit.cli.terminal import say
from epitome_kit.contrast_table import CONTRASTS, either


def contrasts(
    paths: Annotated[
        list[Path],
        typer.Argument(help=f"Scans, or folders of scans or of DICOM, at any depth. Contrasts: {either(CONTRASTS)}."),
    ],
    as_json: Json = False,
) -> None:
    """Print the contrast of each scan and the evidence for it. Nothing is written.

    `other` is another contrast; `cannot tell` means that the evidence is missing or
    contradictory, and you have to state it. Names, sidecars and headers are read,
    voxels are not. DICOM is listed with one line per volume.

    For example:

    - `epitome contrasts scans/*.nii.gz`
    - `epitome contrasts exam_of_dicom --json`
    """
    from epitome_kit.sources.contrast_listing import list_contrasts

    judged = list_contrasts(paths)
    root = os.path.commonpath([Path(row["file"]).absolute().parent for row in judged]) if judged else ""
    rows = [(os.path.relpath(row["file"], root), row["contrast"] or "cannot tell", row["evidence"]) for row in judged]
    show(judged, as_json, rows, (Column("file", overflow="fold"), "contrast", "evidence"))
    unclear = sum(row["contrast"] is None for row in judged)
    if not judged:
        say("No scan was found.", err=as_json)
    elif unclear:
        hint = "state it, as in `epitome segment T1w=FILE`, or in BIDS by suffix and `ce-`"
        say(f"{unclear} of {len(judged)} could not be identified: {hint}.", err=as_json)
    else:
        say(f"All {len(judged)} were identified. Files are below {root}.", err=as_json)
