"""Command line of the kit: each verb calls one function of the package."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cli.classroom import notebooks as class_notebooks
from epitome_kit.cli.cohorts import cohorts
from epitome_kit.cli.contrasts import contrasts
from epitome_kit.cli.grading import show_grading
from epitome_kit.cli.inspection import inspect
from epitome_kit.cli.options import FAILED, Json, Method, Scheduler, Trust, Workers
from epitome_kit.cli.pages import case_page
from epitome_kit.cli.printing import show, show_frame, show_report, show_verified, show_warnings
from epitome_kit.cli.runs import rerun, sweep
from epitome_kit.cli.terminal import say
from epitome_kit.cli.tumours import extract, measure, segment
from epitome_kit.cli.verbs import Verbs
from epitome_kit.errors import ParameterError
from epitome_kit.extras import is_installed, missing_extra
from epitome_kit.processes import become

app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="From brain-tumour MRI to a graded, measured tumour. **For teaching and research, not for diagnosis.**"
    "\n\nStart with `epitome run`, then open `runs/latest/index.html`.",
)
app.add_typer(cohorts, name="cohort")
for verb in (sweep, rerun, segment, measure, extract, contrasts):
    app.command()(verb)
app.command()(inspect)
app.command("notebooks")(class_notebooks)
app.command("app")(case_page)


@app.command()
def run(
    notebooks: Annotated[list[str] | None, typer.Argument(help="Numbers, names or paths.  [default: all six]")] = None,
    cohort: Annotated[str, typer.Option(help="Folder of a cohort, or `phantom`.")] = "phantom",
    profile: Annotated[str, typer.Option(help="`smoke`, `quick` or `full`.")] = "quick",
    target: Annotated[str | None, typer.Option(help="`grade` or `codeletion`.  [default: grade]")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Set a notebook parameter.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Workspace.  [default: runs/COHORT_PROFILE_TARGET]")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of processes.", min=1)] = None,
    scheduler: Scheduler = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove earlier results from the workspace first.")] = False,
    as_json: Json = False,
) -> None:
    """Execute the notebooks and write the report.

    An interrupted run continues where it stopped. The parent folder of the
    workspace gets a link `latest` and the built-in cohorts.

    For example:

    - `epitome run`
    - `epitome run 01 02 --cohort runs/tcga`
    - `epitome run --profile smoke -p subjects=12`
    """
    from epitome_kit.lock import folder_lock
    from epitome_kit.report.run_page import write_report
    from epitome_kit.run.notebooks import run_notebooks

    out = out or Path("runs") / f"{Path(cohort).absolute().name}_{profile}_{target or 'grade'}"
    named = {"target": target, "workers": workers, "seed": seed}
    parameters = {name: value for name, value in named.items() if value is not None} | _assignments(parameter or ())
    with folder_lock(out, "run"):
        run_notebooks(notebooks, out=out, cohort=cohort, profile=profile, parameters=parameters, fresh=fresh)
        page = write_report(out)
    show_report(page, as_json)


@app.command()
def report(workspace: Path, as_json: Json = False) -> None:
    """Write the report of a run, complete or not.

    Example: `epitome report runs/latest`
    """
    from epitome_kit.report.run_page import write_report

    show_report(write_report(workspace), as_json)


@app.command()
def verify(folder: Path, as_json: Json = False) -> None:
    """Compare the files of a run with the checksums that were recorded when they were written.

    The exit status is 1 if a file was changed or is missing. The same `epitome run` makes it again; a changed
    file is kept in a folder `changed` next to it.

    Example: `epitome verify runs/latest`
    """
    from epitome_kit.manifest import verify_products

    if not show_verified(verify_products(folder), as_json):
        raise typer.Exit(FAILED)


@app.command()
def preprocess(
    cohort: Path,
    out: Path,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    spacing_mm: Annotated[float, typer.Option(help="Voxel size of the common grid, in mm.")] = 3.0,
    strip: Annotated[bool, typer.Option(help="Remove non-brain tissue.")] = True,
    bias: Annotated[bool, typer.Option(help="Correct the bias field.")] = True,
    register: Annotated[bool, typer.Option(help="Register the contrasts to each other and to the template.")] = True,
    normalise: Annotated[bool, typer.Option(help="Normalise intensities.")] = True,
    deform: Annotated[bool, typer.Option("--deform", help="Also estimate a deformation field.")] = False,
    method: Method = "network",
    resume: Annotated[bool, typer.Option(help="Keep finished subjects.")] = True,
    as_json: Json = False,
) -> None:
    """Skull-strip, bias-correct, register and normalise every subject, with figures for quality control.

    Finished subjects are kept, unless steps or method changed. Check OUT/qc.html
    afterwards: warnings and outliers come first.

    For example:

    - `epitome preprocess runs/tcga runs/tcga_ready`
    - `epitome preprocess runs/tcga runs/tcga_unbiased --no-bias`
    """
    from epitome_kit.cohort import open_cohort
    from epitome_kit.lock import folder_lock
    from epitome_kit.preprocess.pipeline import preprocess_cohort
    from epitome_kit.report.quality_page import write_quality_page

    chosen = {"strip": strip, "bias": bias, "register": register, "normalise": normalise, "deform": deform}
    steps = tuple(filter(chosen.get, chosen))
    opened = open_cohort(cohort)
    with folder_lock(out, "preprocess"):
        quality = preprocess_cohort(
            opened, out, spacing_mm=spacing_mm, steps=steps, method=method, resume=resume, workers=workers
        )
        page = write_quality_page(opened, out, workers=workers)
    show_frame(quality if as_json else quality.drop(columns="warnings", errors="ignore").round(3), as_json)
    show_warnings(quality)
    say(f"Open {page}", err=as_json)


@app.command()
def strip(
    image: Path,
    mask: Annotated[Path, typer.Option(help="Output file of the brain mask.")],
    brain: Annotated[Path | None, typer.Option(help="Output file of the skull-stripped scan.")] = None,
    method: Method = "network",
    trust: Trust = None,
) -> None:
    """Skull-strip one scan of any contrast.

    For example:

    - `epitome strip head.nii.gz --mask mask.nii.gz --brain brain.nii.gz`
    - `epitome strip t1.nii.gz --mask mask.nii.gz --method fsl`
    """
    from epitome_kit.images import load_image, new_image_like, require_nifti_name, save_image
    from epitome_kit.large import masked_voxels
    from epitome_kit.lock import file_lock
    from epitome_kit.preprocess.skull_stripping import STRIPPED_BEFORE, strip_with_warnings

    for path in filter(None, (mask, brain)):
        require_nifti_name(path, where="strip")
    head = load_image(image, where="strip", trust=trust, check_voxels=False)
    with file_lock(mask, "strip"):
        found, taken_as, remarks = strip_with_warnings(head, method)
        save_image(found, mask)
        if brain:
            save_image(new_image_like(masked_voxels(head, found, where="strip"), head), brain)
    if taken_as == STRIPPED_BEFORE:
        say("The scan seems to be skull-stripped already: everything but air was kept.", err=True)
    for text in remarks:
        say(f"Warning: {text}", err=True)
    say(f"Wrote {mask}{f' and {brain}' if brain else ''}")


@app.command()
def grade(
    table: Annotated[Path, typer.Argument(help="Features, one row per subject: .csv or .tsv, plain or .gz, or .xlsx.")],
    label: Annotated[str, typer.Option(help="Column of the class, with two values (numbers or text).")],
    out: Annotated[Path | None, typer.Option(help="Output folder.  [default: runs/TABLE_LABEL]")] = None,
    id: Annotated[str | None, typer.Option(help="Column that identifies the subject.  [default: row number]")] = None,
    positive: Annotated[
        str | None,
        typer.Option(help="Value of the positive class.  [default: the larger number, or the later word]"),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Repeats of the cross-validation.", min=1)] = 4,
    folds: Annotated[int, typer.Option(help="Folds of each repeat.", min=2)] = 5,
    drop: Annotated[list[str] | None, typer.Option(help="Column to ignore; repeatable.")] = None,
    probe: Annotated[
        list[str] | None, typer.Option(help="Confound column, such as age: scored alone, never a feature; repeatable.")
    ] = None,
    subgroups: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Score in subgroups of this column, such as sex: no feature; repeatable."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column that groups rows, such as the patient: rows of a group stay in one fold.")
    ] = None,
    no_group: Annotated[
        bool, typer.Option("--no-group", help="Treat rows as independent even if an id column repeats.")
    ] = False,
    allow_leak: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Feature to keep although it may give the label away; recorded; repeatable."),
    ] = None,
    shuffle: Annotated[
        bool,
        typer.Option(
            "--shuffle", help="Shuffle the labels first: the interval of the AUC includes 0.5 for 19 of 20 seeds."
        ),
    ] = False,
    permutations: Annotated[
        int, typer.Option(help="Permutations of the labels that train again, at least 99.", min=99)
    ] = 199,
    quick: Annotated[
        bool, typer.Option("--quick", help="No permutations: no p value, and intervals that are too narrow.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Grade any table of features: nested, repeated, stratified cross-validation by subject.

    Feature selection, scaling, the random-feature network and its calibration are
    fitted inside each training fold. The scores are compared with the majority class,
    a logistic regression, a random forest and a multilayer perceptron on the same
    folds. A p value and the intervals are from permutations of the labels, each of
    which trains a simpler pipeline again; `--quick` leaves them out. Missing values
    and constant columns are allowed. Finished folds are kept: repeat the command to
    continue after an interruption.

    IDs and row numbers are never features. Possible leakage is an error: a person
    with several rows, or a feature that alone separates the classes almost
    perfectly (AUC of 0.98 or more, beyond chance).

    For example:

    - `epitome grade features.csv --label grade --id patient`
    - `epitome grade features.csv --label grade --id patient --probe age --drop scanner`
    - `epitome grade features.csv --label grade --id patient --subgroups sex --subgroups site`
    - `epitome grade features.csv --label grade --id scan --group patient`
    - `epitome grade features.csv --label grade --id patient --shuffle --out runs/shuffled`
    """
    from epitome_kit.grade.splits import Resampling
    from epitome_kit.grade.table import TableColumns
    from epitome_kit.report.graded_table import grade_table

    out = out or Path("runs") / f"{table.name.split('.')[0]}_{label}{'_shuffled' if shuffle else ''}"
    columns = TableColumns(
        label=label,
        id=id,
        positive=positive,
        drop=drop or (),
        probes=probe or (),
        subgroups=subgroups or (),
        group=group,
        no_group=no_group,
        allow_leak=allow_leak or (),
    )
    scores = grade_table(
        table,
        out,
        columns,
        resampling=Resampling(repeats=repeats, folds=folds, permutations=0 if quick else permutations),
        shuffle=shuffle,
        seed=seed,
        workers=workers,
    )
    show_grading(scores, out, as_json)


@app.command()
def lab(
    folder: Annotated[Path, typer.Option(help="Folder for your copy of the notebooks of an installed kit.")] = Path(
        "epitome_notebooks"
    ),
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open JupyterLab at the first notebook.

    If the kit is installed or its notebooks are read-only, they are copied once to
    `--folder`. If the port is in use, Jupyter uses the next one.

    Example: `epitome lab`
    """
    from epitome_kit.run.notebooks import find_notebooks, notebooks_to_edit

    if not is_installed("jupyterlab"):
        raise missing_extra("lab", "jupyterlab")
    (first,) = find_notebooks(["01"]).values()
    path = notebooks_to_edit(folder) / first.name
    command = [sys.executable, "-m", "jupyterlab", str(path), *([] if browser else ["--no-browser"])]
    raise typer.Exit(become(command))


@app.command("doctor")
def check(as_json: Json = False) -> None:
    """Check that this machine and its packages can run the kit.

    The exit code is 1 only if a check fails without which nothing runs.

    Example: `epitome doctor`
    """
    from epitome_kit.cli.doctor import check_environment

    checks = check_environment()
    rows = [(check["state"], check["what"], check["found"], check["needed"], check["hint"]) for check in checks]
    show(checks, as_json, rows, ("", "what", "found", "needed", "try"))
    states = {str(check["what"]): check["state"] for check in checks}
    failed = [what for what, state in states.items() if state == "missing"]
    absent = [what for what, state in states.items() if state != "ok" and what.startswith("extra ")]
    ready = f"Ready, without {', '.join(absent)}." if absent else "Ready: epitome run, or epitome lab."
    say(f"Failed checks: {', '.join(failed)}." if failed else ready, err=as_json)
    raise typer.Exit(FAILED if failed else 0)


def _assignments(texts: Iterable[str]) -> dict[str, object]:
    """Parse NAME=VALUE; the value is read as JSON if possible, else as text."""
    values: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ParameterError("run", "`-p NAME=VALUE`", repr(text), "write `-p subjects=24`")
        try:
            values[name] = json.loads(value)
        except json.JSONDecodeError:
            values[name] = value
    return values
