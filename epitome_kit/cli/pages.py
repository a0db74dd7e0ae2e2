"""`epitome app`: serve the case page."""

from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cli.terminal import say


def case_page(
    workspace: Annotated[
        Path | None, typer.Option(help="Run whose networks grade the scan.  [default: runs/latest]")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 means any free port.", min=0, max=65535)] = 8866,
    visitors: Annotated[int, typer.Option(help="Maximum number of visitors; each uses about 1 GB.", min=1)] = 4,
    upload_mb: Annotated[int, typer.Option(help="Maximum size of an upload in MB.", min=1)] = 200,
    minutes: Annotated[int, typer.Option(help="Idle time after which a visitor is removed, in minutes.", min=1)] = 15,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Serve a page that analyses one uploaded scan: brain, tumour, size, grade and epitome, with a sheet to download.

    The page is served on this machine only, at an address with a token, until Ctrl-C.
    Each visitor has a separate process and folder, removed when the page is closed.
    Uploads are identified by content: scans, or a zip of DICOM files.

    For example:

    - `epitome app`
    - `epitome app --workspace runs/tcga_quick_grade --no-browser`
    """
    from epitome_kit.case.server import serve_case_page

    serve_case_page(
        port=port,
        workspace=workspace,
        visitors=visitors,
        upload_mb=upload_mb,
        minutes=minutes,
        browser=browser,
        echo=say,
    )
