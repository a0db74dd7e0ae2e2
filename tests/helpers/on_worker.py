"""Jobs that misbehave, for a worker of the case page: run as `python -m on_worker` in place of the real one."""

import os
import sys
import time
from pathlib import Path

from epitome_kit.case import jobs, worker
from epitome_kit.errors import ImageError, OutputError


def misbehave(progress, *, how, path=""):
    progress("begun")
    if how == "fine":
        return [how]
    if how == "sleep":
        while True:
            try:
                time.sleep(60)
            except BaseException:
                continue
    if how == "memory":
        held = []
        while True:
            held.append(bytearray(b"1" * (50 << 20)))
            time.sleep(0.05)
    if how == "disk":
        number = 0
        while True:
            Path(path, str(number)).write_bytes(bytes(10 << 20))
            number += 1
    if how == "file":
        with open(Path(path) / "large", "wb") as stream:
            stream.truncate(3_000_000_000)
    if how == "die":
        os._exit(3)
    if how == "babble":
        os.write(3, b"\xff{not json\n" * 1000)
        print("x" * 2_000_000)
        return [how]
    if how == "refuse":
        raise ImageError("upload", "a scan", f"none in {path}/images/1.dcm", f"look into `{path}`")
    if how == "full":
        raise OutputError("write", "room for the whole file", path, "free some space")
    raise ZeroDivisionError(path)


jobs.JOBS["misbehave"] = misbehave

if __name__ == "__main__":
    worker.main()
    sys.exit(1)
