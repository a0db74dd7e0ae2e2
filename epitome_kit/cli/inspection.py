"""The verb that looks into a cohort."""

from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cli.options import Json, Scheduler, Workers
from epitome_kit.cli.printing import show, show_frame

_MOST_LEFT_OUT = 40
"""Rows of the ledger that are printed of what was left out."""


def inspect(
    cohort: Path,
    xlsx: Annotated[Path | None, typer.Option(help="Also write a spreadsheet, one row an image.")] = None,
    ledger: Annotated[bool, typer.Option("--ledger", help="Show what the import saw instead, row by row.")] = False,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
):
    """List what is in a cohort, scan by scan, what looks wrong, and what its import left out.

    Images in the folder that are not read have a line each, below the scans. Below them,
    the ledger of the import is summed up: what it took, and each scan, mask and row of a
    table that it left out, with the reason. `--ledger` shows all of it.

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
        typer.echo(f"Wrote {xlsx}", err=True)
    unread = audit.contrast.isna() & audit.file.notna()
    columns = ["participant_id", "contrast", "shape_i", "shape_j", "shape_k", "orientation", "findings"]
    show_frame(audit if as_json else audit[~unread], as_json, columns)
    if unread.any() and not as_json:
        typer.echo(f"\nNot read: {unread.sum()}")
        show_frame(audit[unread], False, ["file", "findings"])
    if len(opened.ledger) and not as_json:
        _show_ledger(opened.ledger)


def _show_ledger(ledger):
    """Sum up what an import took and left out, and name the first of what it left out."""
    from epitome_kit.ledger import LEDGER, sum_up

    typer.echo("\nThe import")
    show(None, False, sum_up(ledger))
    left_out = ledger[(ledger.taken_as == "") & (ledger.kind != "note")]
    if len(left_out):
        typer.echo("\nLeft out")
        show_frame(left_out.head(_MOST_LEFT_OUT).replace("", None), False, ["kind", "subject", "source", "reason"])
    if len(left_out) > _MOST_LEFT_OUT:
        typer.echo(f"and {len(left_out) - _MOST_LEFT_OUT} more in {LEDGER}, or with --ledger")
