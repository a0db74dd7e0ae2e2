"""Import of the package, in a new Python each time, beside that of ANTsPy.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/importing.py

Medians of both, in turns.
"""

import subprocess
import sys
from statistics import median

import typer
from bench import record

CODE = "from time import perf_counter as now; start = now(); import {name}; print(now() - start)"


def import_s(name):
    """Seconds that a new Python takes to import a package."""
    command = [sys.executable, "-c", CODE.format(name=name)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main(n: int = 9):
    """Import both in turn, and compare the medians."""
    pairs = [(import_s("epitome_kit"), import_s("ants")) for _ in range(n + 1)][1:]  # the first reads the disk
    kit, peer = (median(seconds) for seconds in zip(*pairs, strict=True))
    record(f"import, n = {n}: median time", f"{1000 * kit:.0f} ms", f"ANTsPy: {1000 * peer:.0f} ms", peer / kit)


if __name__ == "__main__":
    typer.run(main)
