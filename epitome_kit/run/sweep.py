"""Run the notebooks once per setting of a grid, and compare the runs."""

import math
import shutil
from itertools import product
from pathlib import Path
from zlib import crc32

import pandas as pd
import yaml

from epitome_kit.errors import EpitomeError, ParameterError, plain
from epitome_kit.escaping import plain_console
from epitome_kit.files import Json, PathLike, read_json, read_text, write_json, write_tsv
from epitome_kit.lock import locks
from epitome_kit.metrics import mean_ci95
from epitome_kit.report.html import embed_picture, write_page
from epitome_kit.report.run_page import write_report
from epitome_kit.run.notebooks import plan_run, run_notebooks
from epitome_kit.system import hard_link_or_copy
from epitome_kit.workspace import Workspace, column, executed_notebooks, table

COLUMNS = (
    *("status", "auc", "auc_low", "auc_high", "n_graded"),
    *("dice", "dice_low", "dice_high", "n_outlined", "seconds", "reason"),
)
"""Columns of ``sweep.tsv`` after the name of the run and the varied parameters."""

_KEYS = ("notebooks", "fixed", "grid", "runs")
_OPTIONS = ("cohort", "profile")
_SHARED = ("preprocessed", "ablation")
_DEFINE_SCANS = ("cohort", "profile", "subjects", "seed")
_MAX_NAME = 80
_MOST_GRID, _MOST_DEPTH, _MOST_RUNS = 2**18, 8, 1000


def read_grid(path: PathLike) -> Json:
    """Read a grid: the notebooks to run and their settings.

    Parameters
    ----------
    path : path
        YAML file, as shown by `epitome sweep --help`: ``notebooks`` (default: all
        six), ``fixed`` (parameters of every run), and ``grid`` (lists of values:
        every combination is a run) or ``runs`` (a list of settings).

    Returns
    -------
    dict
        ``notebooks`` (list of str or None), ``varied`` (names of the varied
        parameters) and ``runs`` (name of each run to its parameters).

    Raises
    ------
    ParameterError
        Not a valid grid, or a setting that occurs twice.
    """
    try:
        text = _read_yaml(path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _invalid(path, "a readable YAML file", " ".join(str(error).split())[:160]) from error
    if not isinstance(text, dict) or set(text) - set(_KEYS) or ("grid" in text) == ("runs" in text):
        keys = ", ".join(map(str, text)) if isinstance(text, dict) else type(text).__name__
        raise _invalid(path, "`grid` or `runs`, optionally with `notebooks` and `fixed`", keys or "nothing")
    notebooks, fixed = text.get("notebooks"), text.get("fixed") or {}
    settings = _combinations(path, text["grid"]) if "grid" in text else text["runs"]
    if not isinstance(fixed, dict) or not isinstance(settings, list) or not all(isinstance(s, dict) for s in settings):
        raise _invalid(path, "`fixed` as a mapping and `runs` as a list of mappings", "something else")
    if not 0 < len(settings) <= _MOST_RUNS:
        raise _invalid(path, f"at least one setting, and at most {_MOST_RUNS:,}", f"{len(settings):,}")
    if notebooks is not None and not isinstance(notebooks, list):
        raise _invalid(path, "`notebooks` as a list", repr(notebooks))
    varied = list(dict.fromkeys(name for setting in settings for name in setting))
    scans = [*dict.fromkeys(str(setting["scan"]) for setting in settings if "scan" in setting)]
    names = [_name(_numbered(setting, scans)) for setting in settings]
    runs: dict[str, Json] = {}
    for name, setting in zip(names, settings, strict=True):
        if len(name) > _MAX_NAME or names.count(name) > 1:
            name = f"{name[:_MAX_NAME]}_{crc32(repr(sorted(setting.items())).encode()):08x}"
        if name in runs:
            raise _invalid(path, "each setting once", f"{setting} twice")
        runs[name] = {**fixed, **setting}
    return {"notebooks": notebooks and list(map(str, notebooks)), "varied": varied, "runs": runs}


def _read_yaml(path: PathLike) -> object:
    """Read YAML within bounds: text of :data:`_MOST_GRID` bytes, without aliases, not nested deeply."""
    text, depth = read_text(path, most=_MOST_GRID), 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > _MOST_DEPTH:
            raise ValueError("aliases" if depth <= _MOST_DEPTH else "lists nested too deeply")
    return yaml.safe_load(text)


@locks("sweep")
def sweep_notebooks(grid: PathLike, out: PathLike, *, workers: int | None = None) -> pd.DataFrame:
    """Run the notebooks once per setting of a grid, and compare the runs.

    Each run has a workspace in `out`, written by
    :func:`epitome_kit.run.notebooks.run_notebooks`. Finished notebooks are kept, so
    an interrupted sweep can be repeated to continue. A failed run is listed with
    its reason, and the other runs continue. Built-in cohorts are simulated once;
    runs with the same cohort, profile and seed share their preprocessing.

    Parameters
    ----------
    grid : path
        As for :func:`read_grid`.
    out : path
        Output folder: one folder per run, ``sweep.tsv``, ``sweep.html`` and
        ``figures/``.
    workers : int, default=None
        Processes of each run; None means the default of the notebooks.

    Returns
    -------
    DataFrame
        One row per run: ``run``, the varied parameters, and :data:`COLUMNS`.

    Raises
    ------
    ParameterError
        The grid is invalid, or has parameters that no notebook declares.
    CohortError
        A cohort of the grid cannot be opened.
    OutputError
        `out` cannot be written to.
    """
    out, plan = Path(out), read_grid(grid)
    if workers is not None:
        plan["runs"] = {name: {**setting, "workers": workers} for name, setting in plan["runs"].items()}
    for name, setting in plan["runs"].items():
        notebooks = list(plan_run(plan["notebooks"], out=out / name, **_as_options(setting))[0])
    write_json(out / "sweep.json", _shown(plan))
    reasons: dict[str, str] = {}
    console = plain_console()
    _write(out, plan, notebooks, reasons)
    for number, (name, setting) in enumerate(plan["runs"].items(), 1):
        console.print(f"Run {number} of {len(plan['runs'])}: {plain(name)}")
        try:
            _share_preprocessing(out, name, plan["runs"], notebooks)
            results = run_notebooks(plan["notebooks"], out=out / name, **_as_options(setting))
            if any(result["status"] == "done" for result in results) or not Workspace(out / name).page.is_file():
                write_report(out / name)
        except EpitomeError as error:
            reasons[name] = error.received
            console.print(str(error))
            if Workspace(out / name).parameters.is_file():
                write_report(out / name)
        rows = _write(out, plan, notebooks, reasons)
    return rows


def _combinations(path: PathLike, grid: object) -> list[Json]:
    """List every combination of the values of a grid."""
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        raise _invalid(path, "`grid` as a mapping of names to lists of values", repr(grid)[:120])
    runs = math.prod(map(len, grid.values()))
    if runs > _MOST_RUNS:
        raise _invalid(path, f"at most {_MOST_RUNS:,} runs", f"a grid of {runs:,}")
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())] if grid else []


def _name(setting: Json) -> str:
    """Return the name of a run, such as ``seed-0_target-grade``."""
    texts = (f"{name}-{Path(value).name if name == 'cohort' else value}" for name, value in setting.items())
    return "_".join("".join(c if c.isalnum() or c in ".-" else "-" for c in text) for text in texts) or "as-it-is"


def _numbered(setting: Json, scans: list[str]) -> Json:
    """Name a scan, whose path may name a person, by its number."""
    return {**setting, "scan": scans.index(str(setting["scan"])) + 1} if "scan" in setting else setting


def _shown(plan: Json) -> Json:
    """Return a grid whose scans are named by number, as the folders of its runs are."""
    scans = [*dict.fromkeys(str(setting["scan"]) for setting in plan["runs"].values() if "scan" in setting)]
    return {**plan, "runs": {name: _numbered(setting, scans) for name, setting in plan["runs"].items()}}


def _as_options(setting: Json) -> Json:
    options = {name: setting[name] for name in _OPTIONS if name in setting}
    return {**options, "parameters": {name: value for name, value in setting.items() if name not in _OPTIONS}}


def _share_preprocessing(out: Path, name: str, runs: dict[str, Json], notebooks: list[str]) -> None:
    """Link the preprocessing of another run on the same scans; results with other settings are computed again.

    Hard links are safe, because files are replaced and never changed in place.
    """
    for other in runs:
        if other != name and _same_scans(runs[other], runs[name]) and _status(out / other, notebooks) == "done":
            for folder in _SHARED:
                if (out / other / folder).is_dir() and not (out / name / folder).exists():
                    shutil.copytree(out / other / folder, out / name / folder, copy_function=hard_link_or_copy)
            return


def _same_scans(one: Json, other: Json) -> bool:
    simulated = one.get("cohort", "phantom") == "phantom"
    return all(one.get(key) == other.get(key) for key in _DEFINE_SCANS if key != "seed" or simulated)


def _status(workspace: Path, notebooks: list[str]) -> str:
    states = {each["name"]: each["status"] for each in executed_notebooks(workspace)}
    return "done" if all(states.get(name) == "done" for name in notebooks) else "waiting"


def _write(out: Path, plan: Json, notebooks: list[str], reasons: dict[str, str]) -> pd.DataFrame:
    """Write table, figure and page with the results so far."""
    from epitome_kit.plotting.style import save_figure
    from epitome_kit.plotting.sweep import sweep_chart

    plan = _shown(plan)
    rows = pd.DataFrame(
        [
            {
                "run": name,
                **{each: setting.get(each) for each in plan["varied"]},
                "status": "failed" if name in reasons else _status(out / name, notebooks),
                **_figures(out / name),
                "reason": reasons.get(name),
            }
            for name, setting in plan["runs"].items()
        ],
        columns=["run", *plan["varied"], *COLUMNS],
    )
    write_tsv(out / "sweep.tsv", rows)
    picture = None
    if rows[["auc", "dice"]].notna().any(axis=None):
        text = f"AUC, Dice and seconds of {len(rows)} runs; the numbers are in the table of this page."
        save_figure(sweep_chart(rows, plan["varied"]), Workspace(out).figures / "sweep.png", text)
        picture = embed_picture(Workspace(out).figures / "sweep.png")
    shown = rows.astype(object).where(rows.notna(), None).to_dict("records")
    for row in shown:
        row["page"] = f"{row['run']}/{Workspace.page.name}" if Workspace(out / row["run"]).page.is_file() else None
    write_page(
        out / "sweep.html",
        "sweep.html.j2",
        name=Path(out).absolute().name,
        plan=plan,
        rows=shown,
        figure=picture,
        fixed={k: v for k, v in next(iter(plan["runs"].values())).items() if k not in plan["varied"]},
        notebooks=notebooks,
        simulated=any(setting.get("cohort", "phantom") == "phantom" for setting in plan["runs"].values()),
    )
    return rows


def _figures(workspace: Path) -> Json:
    """Return the key figures of a run; empty if it has no summary yet."""
    if not Workspace(workspace).summary.is_file():
        return {}
    summary, dice = read_json(Workspace(workspace).summary), column(table(Workspace(workspace).tumours), "dice")
    grading = summary["grading"]
    auc_low, auc_high = grading["auc_ci95"] or (None, None)
    dice_low, dice_high = mean_ci95(dice) or (None, None)
    return {
        **{"auc": grading["auc"], "auc_low": auc_low, "auc_high": auc_high, "n_graded": grading["n"]},
        **{"dice": summary["tumour"]["dice_mean"], "dice_low": dice_low, "dice_high": dice_high},
        "n_outlined": len(dice) or None,
        "seconds": sum(notebook["seconds"] or 0 for notebook in summary["notebooks"]),
    }


def _invalid(path: PathLike, expected: str, received: str) -> ParameterError:
    return ParameterError("sweep", f"{expected}, in {path}", received, "see the example in `epitome sweep --help`")
