"""Execute notebooks, one after the other, into one workspace."""

import os
import shutil
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import epitome_kit
from epitome_kit.cohort import TARGETS, open_cohort
from epitome_kit.errors import EpitomeWarning, NotebookError, OutputError, ParameterError
from epitome_kit.files import Json, PathLike, write_json
from epitome_kit.folders import refuse_links
from epitome_kit.lock import folder_lock
from epitome_kit.manifest import REPORT, RUN, Manifest
from epitome_kit.profiles import profile as look_up_profile
from epitome_kit.provenance import cohort_files, describe_run, now
from epitome_kit.resume import read_record, report_again
from epitome_kit.run.execute import execute_notebook
from epitome_kit.run.inputs import check_unchanged, remake_phantoms
from epitome_kit.run.log import excluded_so_far, log_event
from epitome_kit.run.notebook_record import describe_work, read_earlier
from epitome_kit.run.parameters import cohort_value, declared_parameters, fit_parameters, scan_value, without_scan
from epitome_kit.run.progress import ProgressLines
from epitome_kit.workspace import LOG, MEASURED, Workspace, point_latest, read_notebook

_DEFINING = ("cohort", "profile", "target", "subjects", "seed")


def run_notebooks(
    notebooks: Sequence[str] | None = None,
    *,
    out: PathLike,
    cohort: PathLike = "phantom",
    profile: str = "quick",
    parameters: Json | None = None,
    fresh: bool = False,
    latest: bool = True,
) -> list[Json]:
    """Execute notebooks and keep their results in one workspace.

    A notebook that was executed before with the same source, parameters and
    cohort is kept, so an interrupted run can be repeated to continue.

    Parameters
    ----------
    notebooks : sequence of str, default=None
        Names, prefixes such as ``"04"``, or paths; None means all numbered notebooks.
    out : path
        Workspace, created if needed. Its parent folder gets ``cohorts/`` for
        phantoms, and finally a link ``latest`` to the workspace.
    cohort : path or "phantom", default="phantom"
        Folder of a cohort, or the built-in phantom.
    profile : {"smoke", "quick", "full"}, default="quick"
        Size of the run; see :func:`epitome_kit.profile`.
    parameters : dict, default=None
        Further parameters; each must be declared by a selected notebook.
    fresh : bool, default=False
        Remove the results of an earlier run from the workspace first.
    latest : bool, default=True
        Update the link ``latest``, unless a notebook fails or none takes a cohort.

    Returns
    -------
    list of dict
        One per notebook: name, status ("done" or "kept"), seconds,
        tree_peak_rss_mb, peak_rss_mb.

    Raises
    ------
    ParameterError
        Unknown notebook, parameter, profile or target, or a workspace of a run
        with other settings.
    CohortError
        The cohort cannot be opened, or changed during the run.
    OutputError
        The workspace cannot be written to, or another run is using it.
    NotebookError
        A notebook failed; it is kept with a red mark.

    See Also
    --------
    profile : The sizes of a run.
    grade_table : Grade a table of features without notebooks.

    Examples
    --------
    >>> import epitome_kit as ek
    >>> results = ek.run_notebooks(["01"], out="runs/first", profile="smoke")  # doctest: +SKIP
    >>> [(each["name"], each["status"]) for each in results]  # doctest: +SKIP
    [('01_inspect_cohort', 'done')]
    """
    workspace = Path(out).absolute()
    sources, fitted = plan_run(notebooks, out=workspace, cohort=cohort, profile=profile, parameters=parameters)
    scan = _merged(fitted).get("scan")
    fitted = {name: without_scan(values) for name, values in fitted.items()}
    merged = _merged(fitted)
    refuse_links(workspace, where="run")
    with folder_lock(workspace, "run"):
        stated = Workspace(workspace).provenance
        earlier = read_record(stated)
        _warn_of_changes(workspace)
        _prepare(workspace, merged, fresh)
        remake_phantoms(workspace, merged)
        if scan is not None:
            write_json(Workspace(workspace).private, {"scan": scan})
        files, lines, results = cohort_files(cohort), ProgressLines(list(sources)), []
        manifest = Manifest.read(workspace)
        manifest.record(RUN, [])  # until the end, so that nobody takes an interrupted run for a changed one
        for name, path in sources.items():
            results.append(_run_one(name, path, manifest, fitted[name], lines))
            check_unchanged(cohort, files)
        nothing_new = earlier and all(result["status"] == "kept" for result in results)
        write_json(stated, earlier if nothing_new else {**read_record(stated), "ended": now()})
        manifest.record(RUN, [Workspace(workspace).parameters, stated, workspace / LOG])
        if latest and "cohort" in merged:
            point_latest(workspace)
    return results


def plan_run(
    notebooks: Sequence[str] | None = None,
    *,
    out: PathLike,
    cohort: PathLike = "phantom",
    profile: str = "quick",
    parameters: Json | None = None,
) -> tuple[dict[str, Path], dict[str, Json]]:
    """Find the notebooks of a run and their parameters, and check them before anything is executed.

    Parameters
    ----------
    notebooks, out, cohort, profile, parameters
        As for :func:`run_notebooks`; nothing is written.

    Returns
    -------
    sources : dict of str to Path
        Name of each notebook to its file.
    fitted : dict of str to dict
        Name of each notebook to all of its parameters.

    Raises
    ------
    ParameterError, CohortError, NotebookError
        As for :func:`run_notebooks`.
    """
    out = str(Path(out).absolute())
    given = {"cohort": cohort_value(cohort), "out": out, "profile": profile, **_further(parameters or {})}
    if given.get("scan"):
        given["scan"] = scan_value(given["scan"])
    sources = find_notebooks(notebooks)
    declared = {name: declared_parameters(path) for name, path in sources.items()}
    if given["cohort"] == "phantom" and not any("cohort" in defaults for defaults in declared.values()):
        del given["cohort"]  # notebooks about one scan take no cohort, and none was given
    fitted = fit_parameters(declared, given)
    _check_values(_merged(fitted))
    return sources, fitted


def _merged(fitted: dict[str, Json]) -> Json:
    return {name: value for values in fitted.values() for name, value in values.items()}


def notebooks_folder() -> Path:
    """Return the folder of the notebooks: next to the package in a checkout, inside it if installed."""
    package = Path(epitome_kit.__file__).parent
    inside = package / "_notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def notebooks_to_edit(copy: PathLike) -> Path:
    """Return a folder of notebooks that the user can edit.

    Parameters
    ----------
    copy : path
        Folder for the copy of an installed kit; an existing one is kept.

    Returns
    -------
    Path
        The notebooks of a writable checkout, else the copy.

    Raises
    ------
    OutputError
        The copy cannot be written.
    """
    source, copy = notebooks_folder(), Path(copy)
    if source.name != "_notebooks" and os.access(source, os.W_OK):
        return source
    if copy.exists():
        return copy
    try:
        for path in sorted(source.rglob("*.ipynb")):
            target = copy / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)  # without the mode: an installation may be read-only, a copy may not
    except OSError as error:
        reason = f"{error.strerror} ({copy.absolute()})"
        raise OutputError("lab", "a writable folder for a copy of the notebooks", reason, "use `--folder`") from error
    return copy


def kit_notebooks() -> dict[str, Path]:
    """List all notebooks of the kit: the numbered ones in order, then the labs.

    Returns
    -------
    dict of str to Path
        Name, without extension, to file.
    """
    folder = notebooks_folder()
    found = [*sorted(folder.glob("[0-9][0-9]_*.ipynb")), *sorted(folder.glob("labs/*.ipynb"))]
    return {path.stem: path for path in found}


def find_notebooks(names: Iterable[PathLike] | None = None) -> dict[str, Path]:
    """Find notebooks by name, prefix or path.

    Parameters
    ----------
    names : sequence of str, default=None
        Such as ``["04", "05_extract_tumour", "leakage", "mine/extra.ipynb"]``;
        None or empty means the numbered notebooks of the kit, in order.

    Returns
    -------
    dict of str to Path
        Name, without extension, to file.

    Raises
    ------
    ParameterError
        Unknown name, or a prefix of several.
    """
    known = kit_notebooks()
    steps = [name for name, path in known.items() if path.parent.name != "labs"]
    found: dict[str, Path] = {}
    for name in map(str, names or steps):
        path = Path(name)
        if path.suffix == ".ipynb" and path.is_file():
            found[path.stem] = path.absolute()
            continue
        stem = path.name.removesuffix(".ipynb")
        matches = [stem] if stem in known else [full for full in known if full.startswith(stem)]
        if len(matches) != 1:
            raise ParameterError(
                "run",
                f"one of the notebooks {', '.join(known) or '(none is installed)'}",
                f"`{name}`, which matches {len(matches)} of them",
                "give a number such as `04`, a name, or the path of a notebook",
            )
        found[matches[0]] = known[matches[0]]
    return found


def _further(parameters: Json) -> Json:
    for name in ("cohort", "out", "profile"):
        if name in parameters:
            raise ParameterError(
                "run", f"`{name}` as a separate option", f"`{name}` among the parameters", f"use `--{name}`"
            )
    return parameters


def _check_values(parameters: Json) -> None:
    if "profile" in parameters:
        look_up_profile(parameters["profile"])
    if parameters.get("target", "grade") not in TARGETS:
        raise ParameterError(
            "run", f"one of the targets {', '.join(TARGETS)}", repr(parameters["target"]), "use `grade`"
        )
    if parameters.get("cohort", "phantom") != "phantom":
        open_cohort(parameters["cohort"])


def _prepare(workspace: Path, parameters: Json, fresh: bool) -> None:
    """Create the workspace, or check that it belongs to the same run."""
    stated = Workspace(workspace).parameters
    earlier = read_record(stated)
    if fresh and earlier:
        for path in Workspace(workspace).products():
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        earlier = {}
    other = [name for name in _DEFINING if name in parameters and earlier.get(name) not in (None, parameters[name])]
    if other:
        raise ParameterError(
            "run",
            f"{', '.join(f'{name} {earlier[name]!r}' for name in other)}, the settings of {workspace}",
            ", ".join(f"{name} {parameters[name]!r}" for name in other),
            "choose another folder with `--out`, or remove the old results with `--fresh`",
        )
    write_json(stated, {**earlier, **parameters})
    write_json(Workspace(workspace).provenance, {**describe_run(parameters), "ended": None})
    Workspace(workspace).notebooks.mkdir(exist_ok=True)


def _warn_of_changes(workspace: Path) -> None:
    """Report files of the run and its report that were changed since; those of notebooks are reported one by one."""
    for name, state in Manifest.read(workspace).changes(RUN, REPORT).items():
        warnings.warn(f"{name} {state} since the last run", EpitomeWarning, stacklevel=3)


def _run_one(name: str, source: Path, manifest: Manifest, parameters: Json, lines: ProgressLines) -> Json:
    workspace = manifest.folder
    target = Workspace(workspace).notebooks / f"{name}.ipynb"
    record = describe_work(source, parameters)
    earlier, again = read_earlier(target, record)
    if again is None or (not again and name in manifest.started_from):
        again = manifest.difference(name)
    if again is None:
        record, status = earlier, "kept"
    else:
        report_again(name, [again])
        manifest.begin(name)
        target.unlink(missing_ok=True)
        left_out = excluded_so_far(workspace)
        cells = sum(cell.cell_type == "code" for cell in read_notebook(source).cells) + 1
        try:
            with lines.running(name, cells) as on_cell:
                record = execute_notebook(source, target, parameters, cwd=workspace, record=record, on_cell=on_cell)
            manifest.finish(name, done=True)
        except NotebookError as error:
            manifest.finish(name, done=False)
            lines.ended(name, "failed", None)
            log_event(workspace, "failed", name, reason=error.received)
            raise
        except KeyboardInterrupt:
            manifest.finish(name, done=False)
            log_event(workspace, "interrupted", name)
            raise
        status = "done"
        for row in excluded_so_far(workspace):
            if row not in left_out:
                log_event(workspace, "excluded", name, reason=f"{row['id']}: {row['reason']}")
    lines.ended(name, status, record)
    log_event(workspace, status, name, seconds=record["seconds"], reason=f"computed again: {again}" if again else None)
    return {"name": name, "status": status, **{key: record[key] for key in MEASURED}}
