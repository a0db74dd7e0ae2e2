"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cluster import SCHEDULER, scheduled_on
from epitome_kit.contrast_table import CONTRASTS

FAILED = 1
"""Exit code of a verb that failed."""


def _schedule(context: typer.Context, address: str | None):
    """Send the subjects to a cluster until the verb is done."""
    context.with_resource(scheduled_on(address))
    return address


Trust = Annotated[
    str | None,
    typer.Option(metavar="sform|qform", help="Which of a NIfTI header's two affines counts, where they disagree."),
]
MaskLabels = Annotated[
    str | None,
    typer.Option(
        metavar="LABELS",
        help="Of a mask with several parts, those that are meant: `1,2,4`; `all` above zero; or SCHEME:PART, such as "
        "`brats21:WT`. Schemes: brats15, brats18, brats21, brats23, brats24, msd. Parts: WT whole, TC core, ET "
        "enhancing, NCR, ED.",
    ),
]
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
Decisions = Annotated[
    Path | None,
    typer.Option(
        help=f"The `sources.tsv` of an earlier import, its column `decision` filled in: {', '.join(CONTRASTS)} or "
        "`leave out` for scans and series, tumour or `leave out` for masks."
    ),
]
Method = Annotated[
    str,
    typer.Option(help="`network`, or your own `fsl`, `hd-bet`, `synthstrip`."),
]
