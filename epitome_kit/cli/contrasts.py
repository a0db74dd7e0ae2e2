"""The verb that says what scans show, and does nothing else."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column

from epitome_kit.cli.options import Json
from epitome_kit.cli.printing import show
from epitome_kit.contrast_table import CONTRASTS, either


def contrasts(
    paths: Annotated[
        list[Path],
        typer.Argument(help=f"Scans, or folders of scans or of DICOM, at any depth. Contrasts: {either(CONTRASTS)}."),
    ],
    as_json: Json = False,
):
    """Tell which contrast each scan shows, and on which evidence. Nothing is written.

    `other` is another contrast, and `cannot tell` means that evidence is missing or
    disagrees: a person has to say. Names, sidecars and headers are read, voxels are
    not. DICOM comes one line a volume.

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
        typer.echo("No scan was found.", err=as_json)
    elif unclear:
        how = "state it, as in `epitome segment T1w=FILE`, or in BIDS by suffix and `ce-`"
        typer.echo(f"{unclear} of {len(judged)} cannot be told: {how}.", err=as_json)
    else:
        typer.echo(f"All {len(judged)} can be told. Files are below {root}.", err=as_json)
