"""The command line: each verb is one function of the package, without the walk."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from epitome_kit.answers import show, show_cohort, show_frame, show_report
from epitome_kit.errors import BadParameter, EpitomeError

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]
Deface = Annotated[bool, typer.Option("--deface", help="Take the face off every scan; the brain is found first.")]
Workers = Annotated[int, typer.Option(help="Processes to use.", min=1)]
Method = Annotated[
    str,
    typer.Option(help="`network`; `surface`: BET as a lesson, for T1; or your own `fsl`, `hd-bet`, `synthstrip`."),
]
SUCCESS, FAILED, INTERRUPTED = 0, 1, 130


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
    show_report(write_report(out), as_json)


@app.command()
def report(workspace: Path, as_json: Json = False):
    """Write the page of a run again, complete or not.

    Example: `epitome report runs/latest`
    """
    from epitome_kit.run.report import write_report

    show_report(write_report(workspace), as_json)


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
    show_cohort(made, as_json)


@cohort_app.command("tcga-lgg")
def tcga_lgg(source: Path, out: Path, workers: Workers = 2, as_json: Json = False):
    """Import the TCGA-LGG slices: a folder, the zip as downloaded, or a folder of zips.

    Example: `epitome cohort tcga-lgg archive.zip runs/tcga`
    """
    from epitome_kit.sources.tcga_lgg import import_tcga_lgg

    show_cohort(import_tcga_lgg(source, out, workers=workers), as_json)


@cohort_app.command()
def bids(source: Path, out: Path, workers: Workers = 2, as_json: Json = False):
    """Check and adopt a BIDS folder.

    Example: `epitome cohort bids my_bids runs/mine`
    """
    from epitome_kit.sources.bids import import_bids

    show_cohort(import_bids(source, out, workers=workers), as_json)


@cohort_app.command()
def dicom(
    source: Path,
    out: Path,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Call subjects by their PatientID, which must be a pseudonym.")
    ] = False,
    deface: Deface = False,
    workers: Workers = 2,
    as_json: Json = False,
):
    """Import DICOM files in any folders: T1, T1 after contrast, T2 and FLAIR, chosen by header.

    Names, dates and identifiers stay behind: subjects are numbered in the order of
    their PatientID. Missing slices, several echoes and several studies are noticed
    and listed. For labels, put a `participants.tsv` into SOURCE, with the PatientID
    as `participant_id` and columns such as `grade` and `codeletion`.

    Example: `epitome cohort dicom exams runs/exams`
    """
    from epitome_kit.sources.dicom import import_dicom

    remover = _face_remover(deface)
    show_cohort(import_dicom(source, out, keep_ids=keep_ids, deface=remover, workers=workers), as_json)


@cohort_app.command("lgg-1p19q")
def lgg_1p19q(
    source: Path,
    out: Path,
    download: Annotated[bool, typer.Option("--download", help="First download missing series into SOURCE.")] = False,
    deface: Deface = False,
    workers: Workers = 2,
    as_json: Json = False,
):
    """Import LGG-1p19qDeletion: DICOM series, masks of three slices and the spreadsheet, in any folders of SOURCE.

    The known faults of the collection are found by rule, repaired and listed: swapped
    files, two studies, proton density beside T2, flipped masks, missing slices. The
    spreadsheet of labels comes from the page of the collection, by hand. A download
    that was stopped goes on where it stopped.

    For example:

    - `epitome cohort lgg-1p19q data/lgg runs/lgg`
    - `epitome cohort lgg-1p19q data/lgg runs/lgg --download`
    """
    from epitome_kit.sources.lgg_1p19q import import_lgg_1p19q
    from epitome_kit.sources.tcia import API

    archive, remover = API if download else None, _face_remover(deface)
    show_cohort(import_lgg_1p19q(source, out, archive=archive, deface=remover, workers=workers), as_json)


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
    show_frame(audit, as_json, columns)


@app.command()
def preprocess(
    cohort: Path,
    out: Path,
    workers: Workers = 2,
    spacing_mm: Annotated[float, typer.Option(help="Voxel size of the common grid, in mm.")] = 3.0,
    strip: Annotated[bool, typer.Option(help="Take away what is not brain.")] = True,
    bias: Annotated[bool, typer.Option(help="Even out the brightness.")] = True,
    register: Annotated[bool, typer.Option(help="Align with the template, and the contrasts with each other.")] = True,
    normalise: Annotated[bool, typer.Option(help="Put grey values on one scale.")] = True,
    deform: Annotated[bool, typer.Option("--deform", help="Also write a field that deforms further.")] = False,
    method: Method = "network",
    resume: Annotated[bool, typer.Option(help="Keep the subjects that are finished.")] = True,
    as_json: Json = False,
):
    """Skull-strip, correct, align and normalise every subject of a cohort, and picture each for quality control.

    Finished subjects are kept; another switch or method does them again. Look
    at OUT/qc.html afterwards: the outliers come first.

    For example:

    - `epitome preprocess runs/tcga runs/tcga_ready`
    - `epitome preprocess runs/tcga runs/tcga_unbiased --no-bias --method surface`
    """
    from epitome_kit.cohort import open_cohort
    from epitome_kit.preprocess.pipeline import preprocess_cohort
    from epitome_kit.run.quality import write_quality_page

    chosen = {"strip": strip, "bias": bias, "register": register, "normalise": normalise, "deform": deform}
    settings = {"spacing_mm": spacing_mm, "steps": tuple(filter(chosen.get, chosen)), "method": method}
    opened = open_cohort(cohort)
    quality = preprocess_cohort(opened, out, **settings, resume=resume, workers=workers)
    page = write_quality_page(opened, out, workers=workers)
    show_frame(quality if as_json else quality.round(3), as_json)
    typer.echo(f"Open {page}", err=as_json)


@app.command()
def strip(
    image: Path,
    mask: Annotated[Path, typer.Option(help="Where to write the brain mask.")],
    brain: Annotated[Path | None, typer.Option(help="Where to write the scan without what is not brain.")] = None,
    method: Method = "network",
):
    """Find the brain in one head scan, of any contrast.

    For example:

    - `epitome strip head.nii.gz --mask mask.nii.gz --brain brain.nii.gz`
    - `epitome strip t1.nii.gz --mask mask.nii.gz --method surface`
    """
    from epitome_kit.images import image_like, load_image, require_nifti_name, save_image
    from epitome_kit.preprocess.skull_strip import skull_strip

    for path in filter(None, (mask, brain)):
        require_nifti_name(path, where="strip")
    head = load_image(image, where="strip")
    found = skull_strip(head, method)
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
    show(size, as_json, [(name, value) for name, value in size.items()])


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
    show(checks, as_json, rows, ("", "what", "found", "needed", "try"))
    raise typer.Exit(FAILED if any(check["state"] == "missing" for check in checks) else SUCCESS)


def _face_remover(wanted):
    """Return the function that takes a face off, where it is wanted."""
    if not wanted:
        return None
    from epitome_kit.preprocess.deface import deface

    return deface


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
