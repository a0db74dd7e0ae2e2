"""Repeat a run from its recorded settings, and compare the two."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from epitome_kit.errors import ParameterError
from epitome_kit.files import Json, PathLike, text_digest, write_tsv
from epitome_kit.lock import folder_lock
from epitome_kit.preprocess.derivative import quality_records
from epitome_kit.report.run_page import write_report
from epitome_kit.report.summary import build_summary
from epitome_kit.resume import read_record
from epitome_kit.run.notebooks import find_notebooks, run_notebooks
from epitome_kit.run.parameters import declared_parameters
from epitome_kit.workspace import RECORD, Workspace, executed_notebooks, find_scan, read_notebook, run_parameters

COMPARED = ("cohort", "preprocess", "grading", "tumour")
"""Parts of the summary whose figures are compared."""

_PARTIAL = ("notebooks", "parameters", "case")  # compared where both runs have them: some notebooks may be repeated
_OPTIONS = ("cohort", "out", "profile")
_MACHINE = ("platform", "cpu_count", "memory_gb")


def rerun_notebooks(
    run: PathLike, out: PathLike | None = None, *, notebooks: Sequence[str] | None = None, workers: int | None = None
) -> pd.DataFrame:
    """Repeat a run in a new workspace, and compare the two.

    Parameters, seed and cohort are those recorded by the run. Built-in cohorts are
    looked up next to the new workspace, or simulated again there.

    Parameters
    ----------
    run : path
        Workspace of a run.
    out : path, default=None
        The new workspace; None means ``<run>_rerun`` next to the run. Finished
        notebooks in it are kept.
    notebooks : sequence of str, default=None
        Notebooks to repeat; None means all that the run executed.
    workers : int, default=None
        Processes; None means as many as the run used.

    Returns
    -------
    DataFrame
        One row per compared value, as in ``rerun.tsv`` of the new workspace:
        ``part`` ("parameters", "versions", "machine", "notebooks", "inputs" or
        "figures"), ``name``, ``before``, ``after`` and ``same``. Notebooks and
        inputs are compared by checksum, notebooks and parameters only where both
        runs have them.

    Raises
    ------
    ParameterError
        `run` is not the workspace of a run, has no executed notebook, or its
        parameters are unknown to the notebooks.
    CohortError, OutputError, NotebookError
        As for :func:`epitome_kit.run.notebooks.run_notebooks`.
    """
    run = Path(os.path.realpath(run))
    out = Path(out).absolute() if out else run.with_name(f"{run.name}_rerun")
    stated = run_parameters(run)
    if out == run:
        raise ParameterError(
            "rerun", "a new workspace", f"{out}, the workspace of the run itself", "choose another `--out`"
        )
    chosen = find_notebooks(notebooks) if notebooks else None
    sources = [_source(each) for each in executed_notebooks(run) if chosen is None or each["name"] in chosen]
    if not sources:
        raise ParameterError(
            "rerun", "a run with executed notebooks", f"none in {run / 'notebooks'}", "choose another run"
        )
    if workers is not None:
        stated = {**stated, "workers": workers}
    declared = {name for path in find_notebooks(sources).values() for name in declared_parameters(path)}
    if stated.get("scan"):
        stated = {**stated, "scan": str(find_scan(stated["scan"], run))}
    further = {name: value for name, value in stated.items() if name in declared and name not in _OPTIONS}
    options = {name: stated[name] for name in ("cohort", "profile") if name in stated}
    with folder_lock(out, "rerun"):
        run_notebooks(sources, out=out, parameters=further, **options)
        write_report(out)
        compared = compare_runs(run, out)
        write_tsv(out / "rerun.tsv", compared)
    return compared


def compare_runs(before: PathLike, after: PathLike) -> pd.DataFrame:
    """Compare the settings, inputs and figures of two runs.

    Parameters
    ----------
    before, after : path
        Workspaces.

    Returns
    -------
    DataFrame
        As from :func:`rerun_notebooks`; times and memory are not compared.
    """
    one, other = _describe(Path(before)), _describe(Path(after))
    rows = [
        {"part": part, "name": name, "before": one[part].get(name), "after": other[part].get(name)}
        for part in one
        for name in dict.fromkeys([*one[part], *other[part]])
        if part not in _PARTIAL or (name in one[part] and name in other[part])
    ]
    table = pd.DataFrame(rows, columns=["part", "name", "before", "after"], dtype=object)
    table["part"] = table.part.replace("case", "figures")
    return table.assign(same=[row["before"] == row["after"] for row in rows])


def _source(notebook: Json) -> str:
    """Return the name of a notebook of the kit, or the path of another notebook."""
    try:
        find_notebooks([notebook["name"]])
        return notebook["name"]
    except ParameterError:
        return read_notebook(notebook["path"]).metadata.get("papermill", {}).get("input_path", notebook["name"])


def _describe(workspace: Path) -> dict[str, Json]:
    """Return everything to compare: part to name to value."""
    provenance = read_record(Workspace(workspace).provenance)
    summary = read_record(Workspace(workspace).summary) or build_summary(workspace)
    executed = executed_notebooks(workspace)
    sources = {each["name"]: _notebook_checksum(each["path"]) for each in executed}
    scans = {path.name.split("_")[0]: path for path in quality_records(Workspace(workspace).preprocessed)}
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


def _notebook_checksum(executed: Path) -> str | None:
    """Return the checksum of the notebook; earlier versions stored it as ``source``."""
    record = read_notebook(executed).metadata.get(RECORD, {})
    return record.get("inputs", {}).get("notebook", record.get("source"))


def _inputs(record: Path) -> str:
    """Return one checksum for all scans of a subject; checksums of earlier versions are marked as such."""
    found = read_record(record)
    if "inputs" in found:
        return text_digest(repr(sorted(found["inputs"].items())))
    return f"{found.get('settings', {}).get('inputs')} (earlier version)"


def _flat(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield every leaf of a nested value, named by its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{index}]")
    else:
        yield name, value
