"""What the comparisons share: a subject to work on, a fresh process to work in, and the table of results."""

import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path

from epitome_kit.simulate.phantom import make_phantom_cohort

RESULTS = Path(__file__).with_name("results.md")
HEADER = """# Benchmarks

Written by `make bench`; every row compares the kit with another tool in one run.

| what | kit | peer | peer / kit | date | cores |
|---|---|---|---|---|---|
"""


def phantoms(folder, spacing_mm, contrast, subjects=2):
    """Simulate heads whose truth is known."""
    cohort = make_phantom_cohort(folder, subjects=subjects, spacing_mm=(spacing_mm,) * 3, contrasts=[contrast])
    return list(cohort.subjects.values())


def peak_memory_mb():
    """Largest resident set of this process so far; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def in_a_fresh_process(function, *arguments):
    """Call a function where nothing was loaded before; return its value.

    Peak memory starts from that of the caller on Linux, so keep the caller small.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def timed(function, *arguments):
    """Return what a function returns, and the seconds that it took."""
    started = time.perf_counter()
    value = function(*arguments)
    return value, time.perf_counter() - started


def record(what, kit, peer="", ratio=None):
    """Print one comparison and put it into the table, in place of an earlier one."""
    cells = (what, kit, peer, "" if ratio is None else f"{ratio:.1f}", date.today().isoformat(), os.cpu_count())
    row = "| " + " | ".join(map(str, cells)) + " |"
    print(row)
    rows = RESULTS.read_text(encoding="utf-8").splitlines()[6:] if RESULTS.is_file() else []
    rows = [row if line.startswith(f"| {what} |") else line for line in rows]
    RESULTS.write_text(HEADER + "\n".join(rows if row in rows else [*rows, row]) + "\n", encoding="utf-8")
