"""The verb that opens a page for visitors."""

from pathlib import Path
from typing import Annotated

import typer


def case_page(
    workspace: Annotated[
        Path | None, typer.Option(help="Run whose networks grade.  [default: runs/latest, if it has some]")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes any that is free.", min=0, max=65535)] = 8866,
    visitors: Annotated[int, typer.Option(help="Visitors at a time; each has a process of about 1 GB.", min=1)] = 4,
    upload_mb: Annotated[int, typer.Option(help="Most that a visitor may send at once, in MB.", min=1)] = 200,
    minutes: Annotated[int, typer.Option(help="Remove what was idle for so long.", min=1)] = 15,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
):
    """Open a page that takes one scan and shows brain, tumour, size, grade and epitome, with a sheet to keep.

    It is served to this machine alone, at an address with a token, until Ctrl-C.
    Each visitor has a process and a folder of their own; both go when the page
    is closed. Only what is NIfTI or a zip of DICOM by its content is taken.

    For example:

    - `epitome app`
    - `epitome app --workspace runs/tcga_quick_grade --no-browser`
    """
    from epitome_kit.case.server import serve_case_page

    limits = {"visitors": visitors, "upload_mb": upload_mb, "minutes": minutes}
    serve_case_page(port=port, workspace=workspace, **limits, browser=browser, tell=typer.echo)
