"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cluster import SCHEDULER, use_scheduler
from epitome_kit.contrast_table import CONTRASTS

FAILED = 1
"""Exit code of a verb that failed."""


def _schedule(context: typer.Context, address: str | None) -> str | None:
    """Process the subjects on a cluster until the verb ends."""
    context.with_resource(use_scheduler(address))
    return address


Trust = Annotated[
    str | None,
    typer.Option(metavar="sform|qform", help="Affine to use if the two of a NIfTI header disagree."),
]
MaskLabels = Annotated[
    str | None,
    typer.Option(
        metavar="LABELS",
        help="Labels of a multi-label mask to use: `1,2,4`; `all` above zero; or SCHEME:PART, such as "
        "`brats21:WT`. Schemes: brats15, brats18, brats21, brats23, brats24, msd. Parts: WT whole, TC core, ET "
        "enhancing, NCR, ED.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Deface = Annotated[bool, typer.Option("--deface", help="Remove the face from every scan, outside the brain mask.")]
Workers = Annotated[int, typer.Option(help="Number of processes.", min=1)]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        envvar=SCHEDULER,
        callback=_schedule,
        help="Dask scheduler, or its `.json` file: process subjects on its workers instead of local processes.",
    ),
]
Decisions = Annotated[
    Path | None,
    typer.Option(
        help=f"`sources.tsv` of an earlier import with the column `decision` filled in: {', '.join(CONTRASTS)} or "
        "`leave out` for scans and series, tumour or `leave out` for masks."
    ),
]
Method = Annotated[
    str,
    typer.Option(help="`network`, or an installed `fsl`, `hd-bet` or `synthstrip`."),
]
