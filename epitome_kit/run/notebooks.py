"""The runner: notebooks executed strictly, one after the other, into one workspace."""

import os
import shutil
from pathlib import Path

import epitome_kit
from epitome_kit.cohort import TARGETS, open_cohort
from epitome_kit.errors import NotebookError, OutputError, ParameterError
from epitome_kit.files import write_json
from epitome_kit.profiles import profile as look_up_profile
from epitome_kit.provenance import cohort_files, describe_run, now
from epitome_kit.resume import read_record, report_again
from epitome_kit.run.execute import execute_notebook
from epitome_kit.run.inputs import check_unchanged
from epitome_kit.run.lock import workspace_lock
from epitome_kit.run.log import excluded_so_far, log_event
from epitome_kit.run.notebook_record import describe_work, read_earlier
from epitome_kit.run.parameters import declared_parameters, fit_parameters
from epitome_kit.run.progress import ProgressLines
from epitome_kit.workspace import MEASURED, Workspace, point_latest, read_notebook

_DEFINING = ("cohort", "profile", "target", "subjects", "seed")


def run_notebooks(notebooks=None, *, out, cohort="phantom", profile="quick", parameters=None, fresh=False, latest=True):
    """Execute notebooks strictly and keep the results in one workspace.

    A notebook that ran to its end before, with the same source, parameters
    and cohort, is kept as it is; so a run that was stopped goes on.

    Parameters
    ----------
    notebooks : sequence of str, default=None
        Names, prefixes such as ``"04"``, or paths; None means all numbered ones.
    out : path
        Workspace, made when it does not exist. The folder above it gets
        ``cohorts/`` for phantoms, and in the end a link ``latest`` to it.
    cohort : path or "phantom", default="phantom"
    profile : {"smoke", "quick", "full"}, default="quick"
    parameters : dict, default=None
        Further parameters; each must be declared by a selected notebook.
    fresh : bool, default=False
        Remove what an earlier run left in the workspace, and do all again.
    latest : bool, default=True
        Set the link. It stays as it is all the same where a notebook failed,
        and where no notebook knew a cohort, as for one scan alone.

    Returns
    -------
    list of dict
        One for each notebook: name, status ("done" or "kept"), seconds,
        tree_peak_rss_mb, peak_rss_mb.

    Raises
    ------
    ParameterError
        Unknown notebook, parameter, profile or target; or a workspace that was
        made with other ones.
    CohortError
        The cohort cannot be opened, or changed under the run.
    OutputError
        The workspace cannot be written to, or another run is using it.
    NotebookError
        A notebook did not run to its end; it is kept with a red mark.
    """
    workspace = Path(out).absolute()
    sources, fitted = plan_run(notebooks, out=workspace, cohort=cohort, profile=profile, parameters=parameters)
    merged = _merged(fitted)
    with workspace_lock(workspace):
        stated = Workspace(workspace).provenance
        earlier = read_record(stated)
        _prepare(workspace, merged, fresh)
        files, lines, results = cohort_files(cohort), ProgressLines(list(sources)), []
        for name, path in sources.items():
            results.append(_run_one(name, path, workspace, fitted[name], lines))
            check_unchanged(cohort, files)
        nothing_new = earlier and all(result["status"] == "kept" for result in results)
        write_json(stated, earlier if nothing_new else {**read_record(stated), "ended": now()})
        if latest and "cohort" in merged:
            point_latest(workspace)
    return results


def plan_run(notebooks=None, *, out, cohort="phantom", profile="quick", parameters=None):
    """Find the notebooks of a run and the parameters of each, and refuse what would fail minutes later.

    Parameters
    ----------
    notebooks, out, cohort, profile, parameters
        As for :func:`run_notebooks`; nothing is written.

    Returns
    -------
    (dict of str to Path, dict of str to dict)
        By notebook: its file, and all of its parameters.

    Raises
    ------
    ParameterError, CohortError, NotebookError
        As for :func:`run_notebooks`.
    """
    out = str(Path(out).absolute())
    given = {"cohort": _cohort_value(cohort), "out": out, "profile": profile, **_further(parameters or {})}
    if given.get("scan"):
        given["scan"] = _scan_value(given["scan"])
    sources = find_notebooks(notebooks)
    declared = {name: declared_parameters(path) for name, path in sources.items()}
    if given["cohort"] == "phantom" and not any("cohort" in defaults for defaults in declared.values()):
        del given["cohort"]  # one head needs none, and nobody asked for another
    fitted = fit_parameters(declared, given)
    _check_values(_merged(fitted))
    return sources, fitted


def _merged(fitted):
    return {name: value for values in fitted.values() for name, value in values.items()}


def notebooks_folder():
    """Folder of the notebooks: beside the package in a checkout, inside it when installed."""
    package = Path(epitome_kit.__file__).parent
    inside = package / "_notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"


def notebooks_to_edit(copy):
    """Folder of notebooks that a person may change.

    Parameters
    ----------
    copy : path
        Where the copy of an installed kit goes, unless there is one already.

    Returns
    -------
    Path
        The notebooks of the checkout where they can be changed, else the copy.

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
        raise OutputError("lab", "a folder for your copy of the notebooks", reason, "use `--folder`") from error
    return copy


def kit_notebooks():
    """Find every notebook of the kit: the numbered ones in order, then the labs.

    Returns
    -------
    dict of str to Path
        Name, without ending, to file.
    """
    folder = notebooks_folder()
    found = [*sorted(folder.glob("[0-9][0-9]_*.ipynb")), *sorted(folder.glob("labs/*.ipynb"))]
    return {path.stem: path for path in found}


def find_notebooks(names=None):
    """Find notebooks by name, prefix or path.

    Parameters
    ----------
    names : sequence of str, default=None
        Such as ``["04", "05_extract_tumour", "leakage", "mine/extra.ipynb"]``;
        None or empty means the numbered notebooks of the kit, in order, without
        the labs.

    Returns
    -------
    dict of str to Path
        Name, without ending, to file.

    Raises
    ------
    ParameterError
        Not known, or a prefix of several.
    """
    known = kit_notebooks()
    steps = [name for name, path in known.items() if path.parent.name != "labs"]
    found = {}
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
                f"a notebook out of {', '.join(known) or 'none, for none is installed'}",
                f"`{name}`, which fits {len(matches)} of them",
                "give a number such as `04`, a name, or the path of a notebook",
            )
        found[matches[0]] = known[matches[0]]
    return found


def _further(parameters):
    for name in ("cohort", "out", "profile"):
        if name in parameters:
            raise ParameterError(
                "run", f"`{name}` as an option of its own", f"`{name}` among the parameters", f"use `--{name}`"
            )
    return parameters


def _cohort_value(cohort):
    return "phantom" if str(cohort) == "phantom" else str(Path(cohort).absolute())


def _scan_value(scan):
    """Absolute path of one scan: a notebook works in the workspace, not where its name was typed."""
    path = Path(str(scan)).absolute()
    if not path.is_file():
        hint = "look at the path; it may be given from the present folder"
        raise ParameterError("run", "a scan that is there: .nii, .nii.gz, or a .zip of DICOM", f"{path}, no file", hint)
    return str(path)


def _check_values(parameters):
    if "profile" in parameters:
        look_up_profile(parameters["profile"])
    if parameters.get("target", "grade") not in TARGETS:
        raise ParameterError("run", f"a target out of {', '.join(TARGETS)}", repr(parameters["target"]), "use `grade`")
    if parameters.get("cohort", "phantom") != "phantom":
        open_cohort(parameters["cohort"])


def _prepare(workspace, parameters, fresh):
    """Make the workspace, or make sure that it belongs to the same run."""
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
            f"{', '.join(f'{name} {earlier[name]!r}' for name in other)}, as {workspace} was made with",
            ", ".join(f"{name} {parameters[name]!r}" for name in other),
            "choose another folder with `--out`, or remove the old results with `--fresh`",
        )
    write_json(stated, {**earlier, **parameters})
    write_json(Workspace(workspace).provenance, {**describe_run(parameters), "ended": None})
    Workspace(workspace).notebooks.mkdir(exist_ok=True)


def _run_one(name, source, workspace, parameters, lines):
    target = Workspace(workspace).notebooks / f"{name}.ipynb"
    record = describe_work(source, parameters)
    earlier, again = read_earlier(target, record)
    if again is None:
        record, status = earlier, "kept"
    else:
        report_again(name, [again])
        target.unlink(missing_ok=True)
        left_out = excluded_so_far(workspace)
        cells = sum(cell.cell_type == "code" for cell in read_notebook(source).cells) + 1
        try:
            with lines.running(name, cells) as on_cell:
                record = execute_notebook(source, target, parameters, cwd=workspace, record=record, on_cell=on_cell)
        except NotebookError as error:
            lines.ended(name, "failed", None)
            log_event(workspace, "failed", name, reason=error.received)
            raise
        except KeyboardInterrupt:
            log_event(workspace, "interrupted", name)
            raise
        status = "done"
        for row in excluded_so_far(workspace):
            if row not in left_out:
                log_event(workspace, "excluded", name, reason=f"{row['id']}: {row['reason']}")
    lines.ended(name, status, record)
    log_event(workspace, status, name, seconds=record["seconds"], reason=f"computed again: {again}" if again else None)
    return {"name": name, "status": status, **{key: record[key] for key in MEASURED}}
