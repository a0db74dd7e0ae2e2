"""`epitome notebooks`: hand out notebooks to a class, and mark submissions."""

from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cli.options import Json
from epitome_kit.cli.points import show_points
from epitome_kit.cli.terminal import say
from epitome_kit.errors import ParameterError


def notebooks(
    student: Annotated[Path | None, typer.Option(help="New folder for the notebooks without solutions.")] = None,
    instructor: Annotated[Path | None, typer.Option(help="New folder for the notebooks with solutions.")] = None,
    grade: Annotated[
        Path | None, typer.Option(metavar="FILE|FOLDER", help="Mark a submitted file, or all files below a folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With `--grade`: also write the points to a .tsv table.")] = None,
    cohort: Annotated[str, typer.Option(help="With `--grade`: cohort used by the class.")] = "phantom",
    profile: Annotated[str, typer.Option(help="With `--grade`: profile used by the class.")] = "quick",
    workspace: Annotated[
        Path | None, typer.Option(help="With `--grade`: workspace of your run.  [default: runs/COHORT_PROFILE_grade]")
    ] = None,
    limit: Annotated[float, typer.Option(help="With `--grade`: time limit of one answer in seconds.", min=1)] = 300,
    memory: Annotated[float, typer.Option(help="With `--grade`: memory of one answer in GB.", min=0.5)] = 4,
    container: Annotated[
        str | None,
        typer.Option(metavar="podman|docker", help="With `--grade`: only print the command that marks in a container."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hand out notebooks to a class, and mark submissions with one point per exercise.

    Students get notebooks without solutions, which still run to the end: the check
    of a blank exercise reports that there is nothing to check yet. Marking takes
    only the answers from a submission; checks and all other cells are those of the
    kit. The first submission of each notebook takes as long as `epitome run`; later
    ones reuse its results.

    Every file below the folder gets a row. Notebooks are recognised by content,
    also as `.ipynb.txt` or inside a `.zip`; other files are refused with a reason.
    Several copies of one notebook are all marked, with a note.

    Each answer starts from the variables that the kit's cells left, in a process of
    the student; only its value leaves that process, and is judged in another. Points
    depend on nothing else. `alike` names files with nearly the same code.

    **A submitted notebook is a program that runs on your machine.** On Linux answers
    cannot read your files, write outside a copy of the workspace or open TCP
    connections; on other systems they can. Mark notebooks of people you do not know
    in a container. A right value is a right answer, wherever the student has it from.

    For example:

    - `epitome notebooks --student handout`
    - `epitome notebooks --instructor solved`
    - `epitome notebooks --grade submissions/ --out points.tsv`
    - `epitome notebooks --grade submissions/ --container podman`
    """
    if not (student or instructor or grade):
        raise ParameterError("notebooks", "`--student`, `--instructor` or `--grade`", "none of them", "choose one")
    if not grade and (out or as_json or container):
        expected = "`--out`, `--json` and `--container` with `--grade`"
        raise ParameterError("notebooks", expected, "no `--grade`", "add `--grade`, or omit them")
    if container not in (None, "podman", "docker"):
        raise ParameterError("notebooks", "`podman` or `docker`", repr(container), "name the engine that you have")
    for folder, solutions in ((student, False), (instructor, True)):
        if folder:
            from epitome_kit.classroom.handouts import write_notebooks

            written = write_notebooks(folder, solutions=solutions)
            say(f"Wrote {len(written)} notebooks to {folder}", err=as_json)
    if grade:
        from epitome_kit.classroom.container import container_command
        from epitome_kit.classroom.marking import mark_folder
        from epitome_kit.classroom.watched import Limits
        from epitome_kit.files import write_tsv

        limits = Limits(step_s=limit, memory_bytes=int(memory * 2**30))
        workspace = workspace or Path("runs") / f"{Path(cohort).absolute().name}_{profile}_grade"
        if container:
            command = container_command(
                container,
                grade,
                points=out or "points.tsv",
                workspace=workspace,
                cohort=cohort,
                profile=profile,
                limits=limits,
            )
            say(command)
            return
        marks = mark_folder(grade, workspace=workspace, cohort=cohort, profile=profile, limits=limits)
        if out:
            write_tsv(out, marks)
        show_points(marks, as_json)
