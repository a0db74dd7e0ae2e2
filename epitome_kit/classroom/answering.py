"""The process that runs the answers of one student: ``python -m epitome_kit.classroom.answering TASK``.

It gives up its rights before anything of the student is run, and holds neither checks nor solutions. What it
leaves are files of data; whatever an answer changes in it ends with it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from epitome_kit.confinement import give_up_rights
from epitome_kit.extras import needs
from epitome_kit.limits import limit_process
from epitome_kit.system import end_with_parent


def main(path: str) -> None:
    """Run the answers of a task.

    Parameters
    ----------
    path : str
        JSON file, written by :mod:`epitome_kit.classroom.answers`.
    """
    task = json.loads(Path(path).read_text(encoding="utf-8"))
    end_with_parent()
    limit_process(**task["limits"])
    give_up_rights(**{name: list(map(Path, paths)) for name, paths in task["rights"].items()})
    _run(task["answers"], Path(task["values"]))


def _run(answers: list[dict[str, Any]], values: Path) -> None:
    with needs("lab"):
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

    from epitome_kit.classroom.values import write_answer
    from epitome_kit.classroom.variables import load_variables

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    fresh = [load_variables(Path(answers[0]["state"]), answers[0]["digest"])]
    (values / "ready").touch()
    for number, answer in enumerate(answers):
        shell.user_ns.update(fresh.pop() if fresh else load_variables(Path(answer["state"]), answer["digest"]))
        write_answer(values / "partial", _run_one(shell, answer["code"], answer["names"]))
        (values / "partial").replace(values / str(number))


def _run_one(shell: Any, code: str, names: list[str]) -> Any:
    """Run one answer, as a cell of a notebook; the kit's own variables were set anew before."""
    from epitome_kit.classroom.values import Answer

    for name in names:
        shell.user_ns.pop(name, None)
    result = shell.run_cell(code, store_history=False)
    raised = result.error_before_exec or result.error_in_exec
    error = f"{type(raised).__name__}: {' '.join(str(raised).split())[:200]}" if raised else ""
    missing = [name for name in names if name not in shell.user_ns]
    if missing and not error:
        error = f"NameError: name '{missing[0]}' is not defined"
    return Answer([shell.user_ns.get(name) for name in names], error)


if __name__ == "__main__":
    main(sys.argv[1])
