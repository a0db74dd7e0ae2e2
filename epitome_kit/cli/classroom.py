"""The verb of a class: hand notebooks out, and mark what comes back."""

from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cli.options import Json
from epitome_kit.cli.printing import show_points
from epitome_kit.errors import ParameterError


def notebooks(
    student: Annotated[Path | None, typer.Option(help="New folder: every notebook, without its solutions.")] = None,
    instructor: Annotated[Path | None, typer.Option(help="New folder: every notebook, solutions filled in.")] = None,
    grade: Annotated[
        Path | None, typer.Option(metavar="FILE|FOLDER", help="Mark a file that came back, or all below a folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With `--grade`: also write the points as a table, .tsv.")] = None,
    cohort: Annotated[str, typer.Option(help="With `--grade`: cohort of the class.")] = "phantom",
    profile: Annotated[str, typer.Option(help="With `--grade`: the profile that the class used.")] = "quick",
    workspace: Annotated[
        Path | None, typer.Option(help="With `--grade`: of your own run.  [default: runs/COHORT_PROFILE_grade]")
    ] = None,
    limit: Annotated[float, typer.Option(help="With `--grade`: seconds that one answer may take.", min=1)] = 300,
    as_json: Json = False,
):
    """Hand out notebooks to a class, and mark what comes back, a point an exercise.

    Students get notebooks without solutions, which run to the end all the same:
    the check of a blank exercise says that there is nothing to check yet. To mark,
    only the answers are taken from a student's file; checks and all other cells
    are the kit's own. The first file of each notebook takes as long as
    `epitome run`; the others go on from what it made.

    Every file below the folder gets a row: a notebook is known by its content, as
    `.ipynb.txt` and in a `.zip` as well, and what cannot be marked is refused by name
    and reason. Two copies of one notebook are both marked, and said so.

    **A student's notebook is a program that runs on your machine, with your
    rights.** Mark work of people you do not know in a container, or under
    another account. Code that sets out to fool the checks can do so: read the
    answers of whom you doubt.

    For example:

    - `epitome notebooks --student handout`
    - `epitome notebooks --instructor solved`
    - `epitome notebooks --grade returned/ --out points.tsv`
    """
    if not (student or instructor or grade):
        raise ParameterError("notebooks", "`--student`, `--instructor` or `--grade`", "none of them", "choose one")
    if not grade and (out or as_json):
        raise ParameterError(
            "notebooks", "`--out` and `--json` with `--grade`", "no `--grade`", "add it, or leave them out"
        )
    for folder, solutions in ((student, False), (instructor, True)):
        if folder:
            from epitome_kit.classroom.handouts import write_notebooks

            written = write_notebooks(folder, solutions=solutions)
            typer.echo(f"Wrote {len(written)} notebooks to {folder}", err=as_json)
    if grade:
        from epitome_kit.classroom.marking import mark_folder
        from epitome_kit.files import write_tsv

        workspace = workspace or Path("runs") / f"{Path(cohort).absolute().name}_{profile}_grade"
        marks = mark_folder(grade, workspace=workspace, cohort=cohort, profile=profile, limit_s=limit)
        if out:
            write_tsv(out, marks)
        show_points(marks, as_json)
