"""`epitome sweep` and `epitome rerun`: run a grid of settings, or repeat a run."""

import os
from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cli.options import FAILED, Json, Scheduler
from epitome_kit.cli.printing import show_rerun, show_sweep

SomeWorkers = Annotated[int | None, typer.Option(help="Number of processes.  [default: as recorded]", min=1)]


def sweep(
    grid: Annotated[Path, typer.Argument(help="YAML file; see the example.")],
    out: Annotated[Path | None, typer.Option(help="Output folder.  [default: runs/GRID_sweep]")] = None,
    workers: SomeWorkers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Run the notebooks once per setting of a grid, and compare the runs on one page.

    Finished runs are kept: repeat the command to continue after an interruption. A
    failed run is listed in OUT/sweep.tsv with its reason, and the others continue.

    Example: `epitome sweep targets.yaml`, with this `targets.yaml`:

    ```yaml
    notebooks: ["02", "03", "04"]   # default: all six
    fixed:                          # the same for every run
      profile: smoke
    grid:                           # every combination is one run
      seed: [0, 1, 2]
      target: [grade, codeletion]
    ```

    Instead of `grid:`, `runs:` lists the settings one by one:
    `[{seed: 0, target: grade}, {seed: 1, subjects: 24}]`.
    """
    from epitome_kit.run.sweep import sweep_notebooks

    out = out or Path("runs") / f"{grid.stem}_sweep"
    table = sweep_notebooks(grid, out, workers=workers)
    show_sweep(table, out / "sweep.html", as_json)
    if (table.status != "done").any():
        raise typer.Exit(FAILED)


def rerun(
    run: Annotated[Path, typer.Argument(help="Workspace of a run.")],
    notebooks: Annotated[list[str] | None, typer.Argument(help="Notebooks to repeat.  [default: all]")] = None,
    out: Annotated[Path | None, typer.Option(help="New workspace.  [default: RUN_rerun]")] = None,
    workers: SomeWorkers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Repeat a run from its recorded settings, and list the differences.

    Parameters, package versions, machine, notebooks and scans (by checksum) and
    every figure of `summary.json` are compared. The exit code is 0 only if all
    figures are the same.

    For example:

    - `epitome rerun runs/latest`
    - `epitome rerun runs/phantom_quick_grade 04 05 --out elsewhere/again --workers 1`
    """
    from epitome_kit.run.rerun import rerun_notebooks

    place = Path(os.path.realpath(run))
    out = out or place.with_name(f"{place.name}_rerun")
    compared = rerun_notebooks(run, out, notebooks=notebooks, workers=workers)
    show_rerun(compared, out, as_json)
    if not compared[compared.part == "figures"].same.all():
        raise typer.Exit(FAILED)
