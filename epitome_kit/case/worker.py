"""Process that does one job of the case page after the other, asked and answering by lines of JSON.

Its memory and the size of its files are limited, and it ends when its parent ends. What it is asked comes by
standard input; what it answers goes to standard output, and what libraries print, to standard error.
"""

import errno
import json
import os
import queue
import re
import sys
import tempfile
import threading
import traceback

from epitome_kit.case.jobs import JOBS, Progress
from epitome_kit.case.upload import MOST_BYTES
from epitome_kit.errors import EpitomeError, OutputError
from epitome_kit.files import Json
from epitome_kit.limits import limit_memory_and_files
from epitome_kit.system import ignore_ctrl_c

NO_ROOM = ["There is no room for your files at the moment.", "Please try again later."]
BROKEN = ["Internal error. Nothing was kept; please try again."]
TOO_LARGE = ["Expected a case that fits into memory.", "Received: a larger one.", "Try: upload smaller or fewer scans."]

_BY_ERRNO = {errno.ENOSPC: NO_ROOM, errno.EDQUOT: NO_ROOM, errno.EFBIG: TOO_LARGE}


def main() -> None:
    """Read the settings, then do jobs until standard input ends.

    The settings are ``loaded`` (whether to load Keras) and ``memory_bytes``.
    """
    ignore_ctrl_c()
    settings = json.loads(sys.stdin.readline())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**words: object) -> None:
        answers.write(json.dumps(words) + "\n")
        answers.flush()

    asked: queue.SimpleQueue[Json] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=[asked], daemon=True).start()
    if settings["loaded"]:
        import epitome_kit.case.report  # noqa: F401  # loads Keras
    limit_memory_and_files(settings["memory_bytes"], MOST_BYTES)
    answer(ready=True)
    while True:
        answer(**_do(asked.get(), lambda step: answer(step=step)))


def _listen(asked: "queue.SimpleQueue[Json]") -> None:
    """Pass on what the parent asks; end this process, busy or not, when the parent has ended."""
    for line in sys.stdin:
        asked.put(json.loads(line))
    os._exit(0)


def _do(job: Json, progress: Progress) -> Json:
    """Return what the server has to know: a result, or lines for the visitor. Temporary files go into his folder."""
    tempfile.tempdir = os.environ["TMPDIR"] = job["folder"]
    try:
        return {"state": "done", "result": JOBS[job["call"]](progress, **job["arguments"])}
    except OutputError:
        traceback.print_exc()
        return {"state": "failed", "lines": NO_ROOM}
    except EpitomeError as error:
        return {"state": "failed", "lines": _words(error, job["folder"])}
    except MemoryError:
        return {"state": "failed", "lines": TOO_LARGE}
    except Exception as error:
        traceback.print_exc()
        return {"state": "failed", "lines": _BY_ERRNO.get(getattr(error, "errno", None) or 0, BROKEN)}


def _words(error: EpitomeError, folder: str) -> list[str]:
    """Return the three lines of an error, without paths of this machine."""
    lines = [f"Expected {error.expected}.", f"Received: {error.received}.", f"Try: {error.hint.replace('`', '')}."]
    return [re.sub(re.escape(folder) + r"[\w./\\-]*", "the file", line) for line in lines]


if __name__ == "__main__":
    main()
