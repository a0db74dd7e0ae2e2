"""The command line: each verb is one function of the package, without the walk."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from epitome_kit.errors import BadParameter, EpitomeError

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]
Workers = Annotated[int, typer.Option(help="Processes to use.", min=1)]
SUCCESS, FAILED, INTERRUPTED = 0, 1, 130
KEY_FIGURES = {
    "preprocess": ("brain_mask_dice",),
    "grading": ("auc", "balanced_accuracy", "accuracy", "majority_accuracy", "oracle_auc"),
    "tumour": ("dice_mean", "volume_error_pct_median"),
}
"""What `epitome run` prints of the summary."""


class Verbs(TyperGroup):
    """The verbs; an error of the kit ends one with its three lines, and Ctrl-C with a word on how to go on."""

    def invoke(self, ctx):
        """Run one verb and turn what stops it into an exit code."""
        try:
            return super().invoke(ctx)
        except EpitomeError as error:
            typer.echo(error, err=True)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as error:
            typer.echo("Stopped. What is done is kept: the same command goes on from there.", err=True)
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="From brain-tumour MRI to a graded, measured tumour. **For teaching and research, not for diagnosis.**"
    "\n\nStart with `epitome run`, then open `runs/latest/index.html`.",
)
cohort_app = typer.Typer(no_args_is_help=True, help="Make a cohort, or import one: `epitome cohort phantom heads`.")
app.add_typer(cohort_app, name="cohort")


@app.command()
def run(
    notebooks: Annotated[list[str] | None, typer.Argument(help="Numbers, names or paths; all five when empty.")] = None,
    cohort: Annotated[str, typer.Option(help="Folder of a cohort, or `phantom`.")] = "phantom",
    profile: Annotated[str, typer.Option(help="`smoke`, `quick` or `full`.")] = "quick",
    target: Annotated[str | None, typer.Option(help="`grade` or `codeletion`.  [default: grade]")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Any notebook parameter.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Workspace.  [default: runs/COHORT_PROFILE_TARGET]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes to use.", min=1)] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove earlier results of this workspace first.")] = False,
    as_json: Json = False,
):
    """Execute the notebooks strictly, and write the report.

    A run that was stopped goes on where it stopped. The folder above the
    workspace gets a link `latest` and the built-in cohorts.

    For example:

    - `epitome run`
    - `epitome run 01 02 --cohort runs/tcga`
    - `epitome run --profile smoke -p subjects=12`
    """
    from epitome_kit.run.notebooks import run_notebooks
    from epitome_kit.run.report import write_report

    out = out or Path("runs") / f"{Path(cohort).absolute().name}_{profile}_{target or 'grade'}"
    named = {"target": target, "workers": workers, "seed": seed}
    parameters = {name: value for name, value in named.items() if value is not None} | _assignments(parameter or ())
    run_notebooks(notebooks, out=out, cohort=cohort, profile=profile, parameters=parameters, fresh=fresh)
    _show_report(write_report(out), as_json)


@app.command()
def report(workspace: Path, as_json: Json = False):
    """Write the page of a run again, complete or not.

    Example: `epitome report runs/latest`
    """
    from epitome_kit.run.report import write_report

    _show_report(write_report(workspace), as_json)


@cohort_app.command()
def phantom(
    out: Path,
    subjects: Annotated[int, typer.Option(help="Number of heads.")] = 48,
    seed: Annotated[int, typer.Option(help="Same seed, same voxels.")] = 0,
    profile: Annotated[str, typer.Option(help="`smoke` 3 mm, `quick` 2 mm, `full` clinical.")] = "quick",
    contrasts: Annotated[str, typer.Option(help="Out of T1w, T1ce, T2w, FLAIR.")] = "T1ce,T2w",
    workers: Workers = 2,
    as_json: Json = False,
):
    """Simulate heads with tumours whose truth is known.

    Example: `epitome cohort phantom heads --subjects 12`
    """
    from epitome_kit.simulate.phantom import make_phantom_cohort

    names = tuple(contrasts.replace(",", " ").split())
    made = make_phantom_cohort(out, subjects=subjects, seed=seed, profile=profile, contrasts=names, workers=workers)
    _show_cohort(made, as_json)


@cohort_app.command("tcga-lgg")
def tcga_lgg(source: Path, out: Path, workers: Workers = 2, as_json: Json = False):
    """Import the TCGA-LGG slices: a folder, the zip as downloaded, or a folder of zips.

    Example: `epitome cohort tcga-lgg archive.zip runs/tcga`
    """
    from epitome_kit.sources.tcga_lgg import import_tcga_lgg

    _show_cohort(import_tcga_lgg(source, out, workers=workers), as_json)


@cohort_app.command()
def bids(source: Path, out: Path, workers: Workers = 2, as_json: Json = False):
    """Check and adopt a BIDS folder.

    Example: `epitome cohort bids my_bids runs/mine`
    """
    from epitome_kit.sources.bids import import_bids

    _show_cohort(import_bids(source, out, workers=workers), as_json)


@app.command()
def inspect(
    cohort: Path,
    xlsx: Annotated[Path | None, typer.Option(help="Also write a spreadsheet, one row an image.")] = None,
    workers: Workers = 2,
    as_json: Json = False,
):
    """List what is in a cohort, scan by scan, and what looks wrong.

    Example: `epitome inspect runs/tcga --xlsx tcga.xlsx`
    """
    from epitome_kit.audit import audit_cohort, write_spreadsheet
    from epitome_kit.cohort import open_cohort

    opened = open_cohort(cohort)
    audit = audit_cohort(opened, workers=workers)
    if xlsx:
        write_spreadsheet(opened, audit, xlsx)
        typer.echo(f"Wrote {xlsx}", err=True)
    columns = ["participant_id", "contrast", "shape_i", "shape_j", "shape_k", "orientation", "findings"]
    _show_frame(audit, as_json, columns)


@app.command()
def preprocess(
    cohort: Path,
    out: Path,
    workers: Workers = 2,
    spacing_mm: Annotated[float, typer.Option(help="Voxel size of the common grid, in mm.")] = 3.0,
    as_json: Json = False,
):
    """Skull-strip, correct, align and normalise every subject of a cohort.

    Example: `epitome preprocess runs/tcga runs/tcga_ready`
    """
    from epitome_kit.cohort import open_cohort
    from epitome_kit.preprocess.pipeline import preprocess_cohort

    quality = preprocess_cohort(open_cohort(cohort), out, spacing_mm=spacing_mm, workers=workers)
    _show_frame(quality, as_json)


@app.command()
def strip(
    image: Path,
    mask: Annotated[Path, typer.Option(help="Where to write the brain mask.")],
    brain: Annotated[Path | None, typer.Option(help="Where to write the scan without what is not brain.")] = None,
):
    """Find the brain in one head scan, of any contrast.

    Example: `epitome strip head.nii.gz --mask mask.nii.gz --brain brain.nii.gz`
    """
    from epitome_kit.images import image_like, load_image, save_image
    from epitome_kit.preprocess.skull_strip import skull_strip

    head = load_image(image, where="strip")
    found = skull_strip(head)
    save_image(found, mask)
    if brain:
        inside = found.get_fdata() > 0
        save_image(image_like((head.get_fdata() * inside).astype("float32"), head), brain)
    typer.echo(f"Wrote {mask}{f' and {brain}' if brain else ''}")


@app.command()
def measure(mask: Path, as_json: Json = False):
    """Measure a tumour mask: volume and diameters.

    Example: `epitome measure tumour.nii.gz --json`
    """
    from epitome_kit.tumour.measure import measure_tumour

    size = asdict(measure_tumour(mask))
    _show(size, as_json, [(name, value) for name, value in size.items()])


@app.command()
def lab(
    folder: Annotated[Path, typer.Option(help="Where an installed kit puts your copy.")] = Path("epitome_notebooks"),
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
):
    """Open JupyterLab at the first notebook.

    Example: `epitome lab`
    """
    from epitome_kit.run.notebooks import find_notebooks, notebooks_to_edit

    (first,) = find_notebooks(["01"]).values()
    path = notebooks_to_edit(folder) / first.name
    command = [sys.executable, "-m", "jupyterlab", str(path), *([] if browser else ["--no-browser"])]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def doctor(as_json: Json = False):
    """Look whether this machine and its packages can run the kit.

    Example: `epitome doctor`
    """
    from epitome_kit.run.doctor import examine

    checks = examine()
    rows = [(check["state"], check["what"], check["found"], check["needed"], check["hint"]) for check in checks]
    _show(checks, as_json, rows, ("", "what", "found", "needed", "try"))
    raise typer.Exit(FAILED if any(check["state"] == "missing" for check in checks) else SUCCESS)


def _assignments(texts):
    """Read NAME=VALUE; the value is JSON where it can be, else text."""
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise BadParameter("run", "`-p NAME=VALUE`", repr(text), "write `-p subjects=24`")
        try:
            values[name] = json.loads(value)
        except json.JSONDecodeError:
            values[name] = value
    return values


def _show(answer, as_json, rows, header=()):
    """Print an answer as JSON or as a table."""
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False, default=str))
        return
    table = Table(*header, show_header=bool(header), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(_plain, row))
    Console().print(table)


def _plain(value):
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _show_frame(frame, as_json, columns=None):
    columns = columns or list(frame.columns)
    rows = frame[columns].astype(object).where(frame[columns].notna(), None).values.tolist()
    _show(json.loads(frame.to_json(orient="records")), as_json, rows, header=columns)


def _show_cohort(cohort, as_json):
    excluded = cohort.excluded[["id", "reason"]].to_dict("records")
    answer = {"name": cohort.name, "path": str(cohort.root), "n_subjects": len(cohort), "excluded": excluded}
    rows = [("subjects", len(cohort)), ("excluded", len(excluded)), *((row["id"], row["reason"]) for row in excluded)]
    _show(answer, as_json, rows)
    typer.echo(f"Next: epitome inspect {cohort.root}, then epitome run --cohort {cohort.root}", err=as_json)


def _show_report(page, as_json):
    """Print the key figures of a run and where its page is."""
    from epitome_kit.files import read_json

    summary = read_json(page.parent / "summary.json")
    asked = [(part, name) for part, names in KEY_FIGURES.items() for name in names]
    rows = [_key_figure(summary, part, name) for part, name in asked if summary[part][name] is not None]
    _show(summary, as_json, rows, header=("step", "figure", "value", "95 % interval", "n"))
    latest = page.absolute().parent.parent / "latest"
    shown = latest / page.name if latest.resolve() == page.absolute().parent else page.absolute()
    typer.echo(f"Open {shown}", err=as_json)


def _key_figure(summary, part, name):
    figures = summary[part]
    value, interval = figures[name], figures.get(f"{name}_ci95")
    spread = f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else None
    return part, name.replace("_", " "), f"{value:.2f}", spread, figures.get("n")
