"""A run done again from what it says of itself, and whatever came out differently."""

import os
from pathlib import Path

import pandas as pd

from epitome_kit.errors import ParameterError
from epitome_kit.files import text_digest, write_tsv
from epitome_kit.report.run_page import write_report
from epitome_kit.report.summary import build_summary
from epitome_kit.resume import read_record
from epitome_kit.run.notebooks import find_notebooks, run_notebooks
from epitome_kit.run.parameters import declared_parameters
from epitome_kit.workspace import RECORD, Workspace, executed_notebooks, read_notebook, run_parameters

COMPARED = ("cohort", "preprocess", "grading", "tumour")
"""Parts of the summary whose figures are compared."""

_OF_NOTEBOOKS = ("notebooks", "parameters", "case")  # a part of them may be done again
_OWN = ("cohort", "out", "profile")
_MACHINE = ("platform", "cpu_count", "memory_gb")


def rerun_notebooks(run, out=None, *, notebooks=None, workers=None):
    """Do a run again into a new workspace, and compare the two.

    Parameters, seed and cohort are those that the run stated. Cohorts that are
    built in are found beside the new workspace, or simulated again there.

    Parameters
    ----------
    run : path
        Workspace of a run.
    out : path, default=None
        The new workspace; None means ``<run>_rerun`` beside it. What is
        finished there is kept.
    notebooks : sequence of str, default=None
        Some of those that the run holds; None means all of them.
    workers : int, default=None
        Processes; None means as many as the run had.

    Returns
    -------
    DataFrame
        One row for each thing compared, as in ``rerun.tsv`` of the new
        workspace: ``part`` ("parameters", "versions", "machine", "notebooks",
        "inputs" or "figures"), ``name``, ``before``, ``after`` and ``same``.
        Notebooks and inputs are compared by checksum, notebooks and parameters
        only where both runs have them.

    Raises
    ------
    ParameterError
        `run` is not the workspace of a run, holds no executed notebook, or its
        parameters are not known any more.
    CohortError, OutputError, NotebookError
        As for :func:`epitome_kit.run.notebooks.run_notebooks`.
    """
    run = Path(os.path.realpath(run))
    out = Path(out).absolute() if out else run.with_name(f"{run.name}_rerun")
    stated = run_parameters(run)
    if out == run:
        raise ParameterError("rerun", "a new workspace", f"{out}, that of the run itself", "choose another `--out`")
    chosen = find_notebooks(notebooks) if notebooks else None
    sources = [_source(each) for each in executed_notebooks(run) if chosen is None or each["name"] in chosen]
    if not sources:
        raise ParameterError(
            "rerun", "a run with executed notebooks", f"none in {run / 'notebooks'}", "name another run"
        )
    if workers is not None:
        stated = {**stated, "workers": workers}
    declared = {name for path in find_notebooks(sources).values() for name in declared_parameters(path)}
    further = {name: value for name, value in stated.items() if name in declared and name not in _OWN}
    options = {name: stated[name] for name in ("cohort", "profile") if name in stated}
    run_notebooks(sources, out=out, parameters=further, **options)
    write_report(out)
    compared = compare_runs(run, out)
    write_tsv(out / "rerun.tsv", compared)
    return compared


def compare_runs(before, after):
    """Compare what two runs were made with, and every figure of their summaries.

    Parameters
    ----------
    before, after : path
        Workspaces.

    Returns
    -------
    DataFrame
        As from :func:`rerun_notebooks`; seconds and memory are left out.
    """
    one, other = _describe(Path(before)), _describe(Path(after))
    rows = [
        {"part": part, "name": name, "before": one[part].get(name), "after": other[part].get(name)}
        for part in one
        for name in dict.fromkeys([*one[part], *other[part]])
        if part not in _OF_NOTEBOOKS or (name in one[part] and name in other[part])
    ]
    table = pd.DataFrame(rows, columns=["part", "name", "before", "after"], dtype=object)
    table["part"] = table.part.replace("case", "figures")
    return table.assign(same=[row["before"] == row["after"] for row in rows])


def _source(notebook):
    """Name of a notebook of the kit, else the file that was executed."""
    try:
        find_notebooks([notebook["name"]])
        return notebook["name"]
    except ParameterError:
        return read_notebook(notebook["path"]).metadata.get("papermill", {}).get("input_path", notebook["name"])


def _describe(workspace):
    """Everything of a run that is compared: part to name to value."""
    provenance = read_record(Workspace(workspace).provenance)
    summary = read_record(Workspace(workspace).summary) or build_summary(workspace)
    executed = executed_notebooks(workspace)
    sources = {each["name"]: _notebook_checksum(each["path"]) for each in executed}
    records = sorted(workspace.glob("preprocessed/sub-*/anat/[!.]*_quality.json"))
    scans = {path.name.split("_")[0]: path for path in records}
    return {
        "parameters": {name: value for name, value in run_parameters(workspace).items() if name != "out"},
        "versions": {**provenance.get("versions", {}), "git commit": provenance.get("git_commit")},
        "machine": {name: provenance.get(name) for name in _MACHINE},
        "notebooks": sources,
        "inputs": {
            "cohort": provenance.get("cohort_checksum"),
            **{name: _inputs(path) for name, path in scans.items()},
        },
        "figures": dict(_flat({part: summary.get(part) for part in COMPARED})),
        "case": dict(_flat({"case": summary.get("case")})) if Workspace(workspace).case_facts.is_file() else {},
    }


def _notebook_checksum(executed):
    """Checksum of the notebook that was executed; an earlier version called it its source."""
    record = read_notebook(executed).metadata.get(RECORD, {})
    return record.get("inputs", {}).get("notebook", record.get("source"))


def _inputs(record):
    """One checksum of all scans of a subject; that of an earlier version is marked, as it is made otherwise."""
    found = read_record(record)
    if "inputs" in found:
        return text_digest(repr(sorted(found["inputs"].items())))
    return f"{found.get('settings', {}).get('inputs')} (earlier version)"


def _flat(value, name=""):
    """Yield every leaf of a nested value, named by the way to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{index}]")
    else:
        yield name, value
