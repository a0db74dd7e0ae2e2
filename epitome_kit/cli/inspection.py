"""`epitome inspect`: list the contents and problems of a cohort."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from epitome_kit.cli.options import Json, Scheduler, Workers
from epitome_kit.cli.printing import show, show_frame
from epitome_kit.cli.terminal import say

if TYPE_CHECKING:
    import pandas as pd

_MAX_LEFT_OUT = 40
"""Maximum number of left-out entries of the ledger to print."""


def inspect(
    cohort: Path,
    xlsx: Annotated[Path | None, typer.Option(help="Also write a spreadsheet, one row per image.")] = None,
    ledger: Annotated[bool, typer.Option("--ledger", help="Print the ledger of the import instead.")] = False,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """List the scans of a cohort, their problems, and what the import left out.

    Unused images in the folder are listed below the scans, followed by a summary of
    the ledger of the import: what was taken, and each scan, mask and table row that
    was left out, with the reason. `--ledger` prints all of it.

    For example:

    - `epitome inspect runs/tcga --xlsx tcga.xlsx`
    - `epitome inspect runs/tcga --ledger --json`
    """
    from epitome_kit.audit import audit_cohort, write_spreadsheet
    from epitome_kit.cohort import open_cohort

    opened = open_cohort(cohort)
    if ledger and not xlsx:
        show_frame(opened.ledger.replace("", None), as_json)
        return
    audit = audit_cohort(opened, workers=workers)
    if xlsx:
        write_spreadsheet(opened, audit, xlsx)
        say(f"Wrote {xlsx}", err=True)
    unread = audit.contrast.isna() & audit.file.notna()
    columns = ["participant_id", "contrast", "shape_i", "shape_j", "shape_k", "orientation", "findings"]
    show_frame(audit if as_json else audit[~unread], as_json, columns)
    if unread.any() and not as_json:
        say(f"\nNot read: {unread.sum()}")
        show_frame(audit[unread], False, ["file", "findings"])
    if len(opened.ledger) and not as_json:
        _show_ledger(opened.ledger)


def _show_ledger(ledger: "pd.DataFrame") -> None:
    """Summarise the ledger of an import, and list the first left-out entries."""
    from epitome_kit.ledger import LEDGER, summarise_ledger

    say("\nThe import")
    show(None, False, summarise_ledger(ledger))
    left_out = ledger[(ledger.taken_as == "") & (ledger.kind != "note")]
    if len(left_out):
        say("\nLeft out")
        show_frame(left_out.head(_MAX_LEFT_OUT).replace("", None), False, ["kind", "subject", "source", "reason"])
    if len(left_out) > _MAX_LEFT_OUT:
        say(f"and {len(left_out) - _MAX_LEFT_OUT} more in {LEDGER}, or with --ledger")
