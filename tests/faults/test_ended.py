"""Every command ended in three ways: none of its processes lives on, and the next start clears what it left."""

import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from commands import Command
from made_dicom import FLAIR, series, write_series
from made_notebook import write_notebook

from epitome_kit.files import write_json, write_tsv
from epitome_kit.run.notebooks import run_notebooks
from epitome_kit.system import shared_memory

pytestmark = pytest.mark.soak
SECONDS = 5
CODE = "import sys; from epitome_kit.cli import app; app(sys.argv[1:])"
SLOW_TOOL = "import dcm2niix, sys; dcm2niix.bin = sys.argv.pop(1); from epitome_kit.cli import app; app(sys.argv[1:])"
NEXT = "import sys; from epitome_kit.lock import folder_lock; from epitome_kit.temporary import clear_temporary\n"
NEXT += "clear_temporary()\nwith folder_lock(sys.argv[1], 'next'): pass"
DECLARED = 'cohort = "phantom"\nout = "x"\nprofile = "smoke"\nwait = 0\n'
CELL = "import time\nfrom epitome_kit.parallel import for_each\n"
CELL += "seconds = 100 if wait or out.endswith('_rerun') else 0\n"
CELL += "_ = for_each(time.sleep, [seconds] * 3, title='Sleeping', workers=2)"
WORKERS = ("LokyProcess-1", "LokyProcess-2")


@pytest.fixture(scope="module")
def given(tmp_path_factory, phantom):
    """Inputs of the commands."""
    place = tmp_path_factory.mktemp("given")
    write_notebook(place / "sleep.ipynb", DECLARED, CELL)
    run_notebooks([place / "sleep.ipynb"], out=place / "run", profile="smoke", latest=False)
    write_json(place / "grid.yaml", {"notebooks": [str(place / "sleep.ipynb")], "runs": [{"wait": 1}]})
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(80, 60)), columns=[f"f{number}" for number in range(60)])
    write_tsv(place / "table.tsv", table.assign(label=np.arange(80) % 2))
    write_series(place / "dicom", series(**FLAIR))
    (place / "tool").write_text("#!/bin/sh\nsleep 100 &\nsleep 101\n")
    (place / "tool").chmod(0o755)
    return place


def _commands(given, phantom, out):
    """Code, arguments and the processes to wait for, of each command."""
    heads, two = phantom.root, ("--workers", "2")
    return {
        "run": (CODE, ["run", "02", "--profile", "smoke", "--out", out / "run", *two], ("kernel.py", *WORKERS)),
        "sweep": (CODE, ["sweep", given / "grid.yaml", "--out", out], ("kernel.py", *WORKERS)),
        "rerun": (CODE, ["rerun", given / "run", "--out", out / "a_rerun"], ("kernel.py", *WORKERS)),
        "preprocess": (CODE, ["preprocess", heads, out, *two], WORKERS),
        "segment": (CODE, ["segment", heads, "--out", out, *two], WORKERS),
        "train": (CODE, ["segment", heads, "--out", out, "--train", out / "w.keras", "--workers", "1"], ()),
        "extract": (CODE, ["extract", heads, out, *two], WORKERS),
        "grade": (CODE, ["grade", given / "table.tsv", "--label", "label", "--out", out, *two], WORKERS),
        "phantom": (CODE, ["cohort", "phantom", out, "--profile", "full", *two], WORKERS),
        "dicom": (
            SLOW_TOOL,
            [given / "tool", "cohort", "dicom", given / "dicom", out, "--workers", "1"],
            ("sleep 100", "sleep 101"),
        ),
        "strip": (
            CODE,
            ["strip", next(heads.glob("sub-001/anat/*_T2w.nii.gz")), "--mask", out / "mask.nii.gz"],
            (),
        ),
    }


VERBS = ("run", "sweep", "rerun", "preprocess", "segment", "train", "extract", "grade", "phantom", "dicom", "strip")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda each: each.name)
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_outlives_a_command(verb, number, given, phantom, tmp_path):
    temporary, out = tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    code, arguments, parts = _commands(given, phantom, out)[verb]
    command = Command(code, *arguments, tmp=temporary, cwd=tmp_path)
    try:
        command.wait_for(*parts) if parts else time.sleep(10)
        time.sleep(1)
        assert command.running(), command.end()
        command.process.send_signal(number)
        assert command.left_after(SECONDS) == []
    finally:
        text = command.end()
    if number != signal.SIGKILL:
        assert command.process.returncode == 128 + number, text
        assert text.count(number.name) == 1 and "Traceback" not in text, text
    subprocess.run([sys.executable, "-c", NEXT, out], check=True, env=command.environment)
    shared = [path.name for path in shared_memory().iterdir()] if shared_memory() else []
    left = [name for name in shared for pid in command.numbers if f"-{pid}-" in name or f"_{pid}_" in name]
    assert (left, list(temporary.iterdir()), list(tmp_path.rglob(".partial-*"))) == ([], [], [])
