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
    visitors: Annotated[int, typer.Option(help="Maximum number of visitors; others wait in line.", min=1)] = 12,
    workers: Annotated[int, typer.Option(help="Cases analysed at a time; each uses 1 GB, or more.", min=1)] = 2,
    upload_mb: Annotated[int, typer.Option(help="Maximum size of an upload in MB.", min=1)] = 200,
    memory_gb: Annotated[float, typer.Option(help="Memory for one case, in GB.", min=0.5)] = 4,
    seconds: Annotated[int, typer.Option(help="Time for one file or case, in seconds.", min=1)] = 300,
    minutes: Annotated[float, typer.Option(help="Idle time until a visitor is removed, in minutes.", min=0.1)] = 15,
    base_url: Annotated[
        str, typer.Option(help="Address of the page behind a proxy: https://example.org/case/, or /case/.")
    ] = "",
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Serve a page that analyses one uploaded scan: brain, tumour, size, grade and epitome, with a sheet to download.

    The page is served on this machine only, at an address with a token, until Ctrl-C.
    Each visitor has a folder of his own, removed when the page is closed. Uploads are
    identified by content: scans, or a zip of DICOM files. A few worker processes, with
    limits of time and memory, analyse one case after the other.

    For example:

    - `epitome app`
    - `epitome app --workspace runs/tcga_quick_grade --no-browser`
    - `epitome app --base-url https://hub.example.org/services/case/`
    """
    from epitome_kit.case.server import serve_case_page
    from epitome_kit.case.visitors import Limits

    serve_case_page(
        port=port,
        workspace=workspace,
        limits=Limits(visitors, upload_mb, minutes, seconds, workers, memory_gb),
        base_url=base_url,
        browser=browser,
        echo=say,
    )
