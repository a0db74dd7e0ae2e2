"""A reader in a process of its own, which may take no more memory and time than it is given."""

import json
import subprocess
import sys
from pathlib import Path

MEMORY_MB, SECONDS = 2000, 10

_DRIVER = """
import json, os, resource, sys
from pathlib import Path
import numpy as np
from epitome_kit.audit import audit_cohort
from epitome_kit.cohort import open_cohort
from epitome_kit.errors import EpitomeError
from epitome_kit.grade.table import TableColumns, read_features
from epitome_kit.images import load_image
from epitome_kit.sources.bids import import_bids
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.sources.lgg_1p19q import import_lgg_1p19q
from epitome_kit.sources.tcga_lgg import import_tcga_lgg

def scan(path):
    image = load_image(path)
    return [list(image.shape), float(np.asarray(image.dataobj, float).sum()), np.round(image.affine, 3).tolist()]

def inspect(path):
    return audit_cohort(open_cohort(path))[["participant_id", "findings"]].values.tolist()

def imported(reader):
    def call(source, out):
        cohort = reader(source, out)
        return [list(cohort.subjects), dict(cohort.excluded.to_numpy().tolist())]
    return call

COLUMNS = TableColumns(label="label", id="name")
CALLS = {
    "scan": scan, "inspect": inspect, "table": lambda path: list(read_features(path, COLUMNS)[0]),
    "bids": imported(import_bids), "dicom": imported(import_dicom), "tcga": imported(import_tcga_lgg),
    "lgg": imported(import_lgg_1p19q),
}

def answer(call, paths, memory_mb, seconds):
    held = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (held + memory_mb * 2**20,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        return {"value": CALLS[call](*map(Path, paths))}
    except EpitomeError as error:
        return {"error": str(error)}
    except BaseException as error:
        return {"crash": f"{type(error).__name__}: {error}"}

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        answers.write(json.dumps(answer(*asked)) + "\\n")
        answers.flush()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        answers.write(json.dumps({"crash": f"ended with {code}"}) + "\\n")
        answers.flush()
"""


class Bounded:
    """Calls readers one after the other, each in a fork of one process that has loaded them."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", _DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, call, *paths, memory_mb=MEMORY_MB, seconds=SECONDS):
        """Return {"value": ...}, {"error": three lines} or {"crash": anything else}."""
        asked = json.dumps([call, [str(Path(path)) for path in paths], memory_mb, seconds])
        self.process.stdin.write(asked + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def three_lines(answer, *words):
    """Whether an answer is an error as the kit writes them, and says all of `words`."""
    assert "error" in answer, answer
    expected, received, hint = answer["error"].split("\n")
    assert ": expected " in expected and received.startswith("Received: ") and hint.startswith("Try: ")
    assert not [word for word in words if word not in answer["error"]], answer["error"]
