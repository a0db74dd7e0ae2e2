"""Options that several verbs share."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]
Deface = Annotated[bool, typer.Option("--deface", help="Take the face off every scan; the brain is found first.")]
Workers = Annotated[int, typer.Option(help="Processes to use.", min=1)]
Method = Annotated[
    str,
    typer.Option(help="`network`; `surface`: BET as a lesson, for T1; or your own `fsl`, `hd-bet`, `synthstrip`."),
]
