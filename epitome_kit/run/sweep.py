"""A sweep: one run of the notebooks for each setting of a grid, and all of them side by side."""

import shutil
from itertools import product
from pathlib import Path
from zlib import crc32

import pandas as pd
import yaml
from rich.console import Console

from epitome_kit.errors import EpitomeError, ParameterError
from epitome_kit.files import read_json, write_json, write_tsv
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
"""What ``sweep.tsv`` holds beside the name of a run and the parameters that vary."""

_KEYS = ("notebooks", "fixed", "grid", "runs")
_OPTIONS = ("cohort", "profile")
_SHARED = ("preprocessed", "ablation")
_MAKE_SCANS = ("cohort", "profile", "subjects", "seed")
_LONGEST = 80


def read_grid(path):
    """Read a grid: which notebooks are run, and with which settings.

    Parameters
    ----------
    path : path
        YAML as `epitome sweep --help` shows it: ``notebooks`` (all six where
        left out), ``fixed`` (parameters of every run), and ``grid`` (lists of
        values: every combination is a run) or ``runs`` (the settings one by one).

    Returns
    -------
    dict
        ``notebooks`` (list of str or None), ``varied`` (names of the
        parameters that differ) and ``runs`` (name of a run to all of its
        parameters).

    Raises
    ------
    ParameterError
        Not such a file, or one setting twice.
    """
    try:
        text = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _bad(path, "a YAML file that can be read", " ".join(str(error).split())[:160]) from error
    if not isinstance(text, dict) or set(text) - set(_KEYS) or ("grid" in text) == ("runs" in text):
        keys = ", ".join(map(str, text)) if isinstance(text, dict) else type(text).__name__
        raise _bad(path, "`grid` or `runs`, and at most `notebooks` and `fixed` beside it", keys or "nothing")
    notebooks, fixed = text.get("notebooks"), text.get("fixed") or {}
    settings = _combinations(path, text["grid"]) if "grid" in text else text["runs"]
    if not isinstance(fixed, dict) or not isinstance(settings, list) or not all(isinstance(s, dict) for s in settings):
        raise _bad(path, "`fixed` as names with values, and `runs` as a list of such", "something else")
    if not settings:
        raise _bad(path, "at least one setting", "none")
    if notebooks is not None and not isinstance(notebooks, list):
        raise _bad(path, "`notebooks` as a list", repr(notebooks))
    varied = list(dict.fromkeys(name for setting in settings for name in setting))
    names = [_name(setting) for setting in settings]
    runs = {}
    for name, setting in zip(names, settings, strict=True):
        if len(name) > _LONGEST or names.count(name) > 1:
            name = f"{name[:_LONGEST]}_{crc32(repr(sorted(setting.items())).encode()):08x}"
        if name in runs:
            raise _bad(path, "each setting once", f"{setting} twice")
        runs[name] = {**fixed, **setting}
    return {"notebooks": notebooks and list(map(str, notebooks)), "varied": varied, "runs": runs}


def sweep_notebooks(grid, out, *, workers=None):
    """Run the notebooks once for every setting of a grid, and compare the runs.

    Each run is a workspace of its own in `out`, made by
    :func:`epitome_kit.run.notebooks.run_notebooks`: what is finished is kept,
    so a sweep that was stopped goes on. A run that fails stands in the table
    with its reason, and the others go on. Built-in cohorts are made once;
    runs of one cohort, profile and seed share their preprocessing.

    Parameters
    ----------
    grid : path
        As for :func:`read_grid`.
    out : path
        Gets a folder for each run, ``sweep.tsv``, ``sweep.html`` and
        ``figures/``.
    workers : int, default=None
        Processes of each run; None means what the notebooks say.

    Returns
    -------
    DataFrame
        One row a run: ``run``, the parameters that vary, and :data:`COLUMNS`.

    Raises
    ------
    ParameterError
        The grid cannot be read, or names what no notebook knows.
    CohortError
        A cohort of the grid cannot be opened.
    OutputError
        `out` cannot be written to.
    """
    out, plan = Path(out), read_grid(grid)
    if workers is not None:
        plan["runs"] = {name: {**setting, "workers": workers} for name, setting in plan["runs"].items()}
    for name, setting in plan["runs"].items():
        wanted = list(plan_run(plan["notebooks"], out=out / name, **_as_options(setting))[0])
    write_json(out / "sweep.json", plan)
    reasons, console = {}, Console(stderr=True, highlight=False)
    _write(out, plan, wanted, reasons)
    for number, (name, setting) in enumerate(plan["runs"].items(), 1):
        console.print(f"Run {number} of {len(plan['runs'])}: {name}")
        try:
            _share_preprocessing(out, name, plan["runs"], wanted)
            results = run_notebooks(plan["notebooks"], out=out / name, **_as_options(setting))
            if any(result["status"] == "done" for result in results) or not Workspace(out / name).page.is_file():
                write_report(out / name)
        except EpitomeError as error:
            reasons[name] = error.received
            console.print(str(error), markup=False)
            if Workspace(out / name).parameters.is_file():
                write_report(out / name)
        rows = _write(out, plan, wanted, reasons)
    return rows


def _combinations(path, grid):
    """List every combination of the values of a grid."""
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        raise _bad(path, "`grid` as names, each with a list of values", repr(grid)[:120])
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())] if grid else []


def _name(setting):
    """Name a run by its setting, such as ``seed-0_target-grade``."""
    texts = (f"{name}-{Path(value).name if name == 'cohort' else value}" for name, value in setting.items())
    return "_".join("".join(c if c.isalnum() or c in ".-" else "-" for c in text) for text in texts) or "as-it-is"


def _as_options(setting):
    options = {name: setting[name] for name in _OPTIONS if name in setting}
    return {**options, "parameters": {name: value for name, value in setting.items() if name not in _OPTIONS}}


def _share_preprocessing(out, name, runs, wanted):
    """Link what another run of the same scans preprocessed; what does not fit is noticed and done again.

    Links are as good as copies: every file is written whole under another name.
    """
    for other in runs:
        if other != name and _same_scans(runs[other], runs[name]) and _status(out / other, wanted) == "done":
            for folder in _SHARED:
                if (out / other / folder).is_dir() and not (out / name / folder).exists():
                    shutil.copytree(out / other / folder, out / name / folder, copy_function=hard_link_or_copy)
            return


def _same_scans(one, other):
    simulated = one.get("cohort", "phantom") == "phantom"
    return all(one.get(key) == other.get(key) for key in _MAKE_SCANS if key != "seed" or simulated)


def _status(workspace, wanted):
    states = {each["name"]: each["status"] for each in executed_notebooks(workspace)}
    return "done" if all(states.get(name) == "done" for name in wanted) else "waiting"


def _write(out, plan, wanted, reasons):
    """Write table, figure and page as far as the runs are."""
    from epitome_kit.plotting.style import save_figure
    from epitome_kit.plotting.sweep import sweep_chart

    rows = pd.DataFrame(
        [
            {
                "run": name,
                **{each: setting.get(each) for each in plan["varied"]},
                "status": "failed" if name in reasons else _status(out / name, wanted),
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
        told = f"AUC, Dice and seconds of {len(rows)} runs side by side; the numbers are in the table of this page."
        save_figure(sweep_chart(rows, plan["varied"]), Workspace(out).figures / "sweep.png", told)
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
        notebooks=wanted,
        simulated=any(setting.get("cohort", "phantom") == "phantom" for setting in plan["runs"].values()),
    )
    return rows


def _figures(workspace):
    """Key figures of a run that is there, complete or not."""
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


def _bad(path, expected, received):
    return ParameterError("sweep", f"{expected}, in {path}", received, "look at the example of `epitome sweep --help`")
