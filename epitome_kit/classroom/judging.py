"""The process that judges answers: ``python -m epitome_kit.classroom.judging TASK``.

It reads data alone, runs no line of a student, and holds the checks. Its variables are those that the cells of the
kit left; see :mod:`epitome_kit.classroom.variables`.
"""

import json
import sys
from pathlib import Path

from epitome_kit.classroom.values import read_answer
from epitome_kit.classroom.variables import Exercise, digest_of, load_variables
from epitome_kit.errors import plain
from epitome_kit.extras import needs
from epitome_kit.files import Json
from epitome_kit.system import end_with_parent

with needs("lab"):
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

_LONGEST = 600
"""Characters of a message, which may quote an answer."""


def main(path: str) -> None:
    """Judge the answers of a task.

    Parameters
    ----------
    path : str
        JSON file, written by :mod:`epitome_kit.classroom.marking`. A line of JSON is
        added to its file ``results`` for each answer; answers that have one are left out.
    """
    end_with_parent()
    task = json.loads(Path(path).read_text(encoding="utf-8"))
    results = Path(task["results"])
    done = len(results.read_text(encoding="utf-8").splitlines())
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    Path(task["ready"]).touch()
    with results.open("a", encoding="utf-8") as stream:
        for entry in task["exercises"]:
            exercise, answers = Exercise(**entry["exercise"]), entry["answers"]
            left, done = answers[done:], max(done - len(answers), 0)
            if left:
                shell.user_ns.update(load_variables(Path(exercise.state), exercise.digest))
            for answer in left:
                stream.write(json.dumps(_judge(shell, exercise, answer)) + "\n")
                stream.flush()


def _judge(shell: InteractiveShell, exercise: Exercise, answer: Json) -> Json:
    """Return state and message of one answer."""
    if "reason" in answer:
        return {"state": "error", "said": answer["reason"]}
    content = Path(answer["file"]).read_bytes()
    try:
        if digest_of(content) != answer["digest"]:
            raise ValueError("it was altered")
        values, error = read_answer(content)
        shell.user_ns.update(zip(exercise.names, values, strict=True))
    except ValueError as unreadable:
        return {"state": "error", "said": f"the answer could not be read: {plain(unreadable)}"}
    result = shell.run_cell(exercise.check, store_history=False)
    failed = result.error_before_exec or result.error_in_exec
    if failed is None and (result.result.state == "right" or not error):
        return {"state": result.result.state, "said": plain(result.result.message)[:_LONGEST]}
    return {"state": "error", "said": error or plain(f"{type(failed).__name__}: {failed}")[:_LONGEST]}


if __name__ == "__main__":
    main(sys.argv[1])
