"""Shared by the benchmarks: phantoms, calls in a new process, timing and the table of results."""

import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

from epitome_kit.cohort import Subject
from epitome_kit.files import PathLike
from epitome_kit.simulate.phantom import make_phantom_cohort

P = ParamSpec("P")
R = TypeVar("R")

RESULTS = Path(__file__).with_name("results.md")
HEADER = """# Benchmarks

Written by `make bench`; every row compares the kit with another tool in one run.

| what | kit | peer | peer / kit | date | cores |
|---|---|---|---|---|---|
"""


def phantoms(folder: PathLike, spacing_mm: float, contrast: str, subjects: int = 2) -> list[Subject]:
    """Simulate subjects with known truth."""
    cohort = make_phantom_cohort(folder, subjects=subjects, spacing_mm=(spacing_mm,) * 3, contrasts=[contrast])
    return list(cohort.subjects.values())


def peak_memory_mb() -> float:
    """Return the peak resident set size of this process; Linux reports KiB, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def in_new_process(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a new process and return its value.

    On Linux peak memory starts from that of the caller, so keep the caller small.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def timed(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> tuple[R, float]:
    """Call a function; return its value and the time in seconds."""
    started = time.perf_counter()
    value = function(*args, **kwargs)
    return value, time.perf_counter() - started


def record(what: str, kit: str, peer: str = "", ratio: float | None = None) -> None:
    """Print one row of the table and save it, replacing an earlier row of the same name."""
    cells = (what, kit, peer, "" if ratio is None else f"{ratio:.1f}", date.today().isoformat(), os.cpu_count())
    row = "| " + " | ".join(map(str, cells)) + " |"
    print(row)
    rows = RESULTS.read_text(encoding="utf-8").splitlines()[6:] if RESULTS.is_file() else []
    rows = [row if line.startswith(f"| {what} |") else line for line in rows]
    RESULTS.write_text(HEADER + "\n".join(rows if row in rows else [*rows, row]) + "\n", encoding="utf-8")
