"""Options that several verbs share."""

from typing import Annotated

import typer

from epitome_kit.cluster import SCHEDULER, scheduled_on


def _schedule(context: typer.Context, address: str | None):
    """Send the subjects to a cluster until the verb is done."""
    context.with_resource(scheduled_on(address))
    return address


Json = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]
Deface = Annotated[bool, typer.Option("--deface", help="Take the face off every scan; the brain is found first.")]
Workers = Annotated[int, typer.Option(help="Processes to use.", min=1)]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        envvar=SCHEDULER,
        callback=_schedule,
        help="Dask scheduler, or its `.json` file: subjects go to its workers, not to processes here.",
    ),
]
Method = Annotated[
    str,
    typer.Option(help="`network`; `surface`: BET as a lesson, for T1; or your own `fsl`, `hd-bet`, `synthstrip`."),
]
