"""Many subjects: a Dask cluster of two workers, one of them killed half-way, compared with two processes.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/scale.py --sizes 20,40

Simulated heads of 6 mm in one contrast, each under many names, are stripped and
normalised at 6 mm. A subject takes half a second, so that the overhead of the cluster
is visible; `--steps strip,bias,register,normalise` takes seven times as long. Targets:
every subject is finished once, even if a worker is killed; the memory of the
scheduler stays constant; the cluster is within 15 % of the processes; and time grows
with the number of subjects to the power of 0.95 to 1.05, fitted to the runs of the
cluster without a killed worker. Start-up does not count: each worker gets a few
subjects beforehand. Workers run without the profiler of Dask, which interrupts them
every 10 ms, as docs/cluster.md recommends.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import typer
from bench import record, timed
from distributed import Client

from epitome_kit.cluster import use_scheduler
from epitome_kit.cohort import Cohort
from epitome_kit.preprocess.pipeline import preprocess_cohort
from epitome_kit.simulate.phantom import make_phantom_cohort

WORKERS = 2


@contextmanager
def local_cluster(port: int) -> Iterator[tuple[str, psutil.Process]]:
    """Start a scheduler and two workers as processes; yield address and process of the scheduler."""
    address = f"tcp://127.0.0.1:{port}"
    unprofiled = {**os.environ, "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
    scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    worker = ["dask_worker", address, "--nthreads", "1", "--nworkers", str(WORKERS), "--no-dashboard"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *options],
            env=unprofiled,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for name, *options in (scheduler, worker)
    ]
    try:
        with Client(address, timeout=120) as client:
            client.wait_for_workers(WORKERS, timeout=120)
            yield address, psutil.Process(started[0].pid)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


class Watch(threading.Thread):
    """Monitor the finished subjects and the scheduler, and kill a worker when half of them are finished."""

    def __init__(self, out: Path, scheduler: psutil.Process, kill_at: int, victim: int) -> None:
        super().__init__(daemon=True)
        self.out, self.scheduler, self.kill_at = out, scheduler, kill_at
        self.victim: int | None = victim
        self.killed_at: int | None = None
        self.finished: dict[str, int] = {}
        self.memory_mb: list[float] = []
        self.over = threading.Event()

    def run(self) -> None:
        """Check twice a second."""
        while not self.over.wait(0.5):
            self.memory_mb.append(self.scheduler.memory_info().rss / 1e6)
            self.finished = {**written(self.out), **self.finished}  # keeps the first time of each subject
            if self.victim and len(self.finished) >= self.kill_at:
                os.kill(self.victim, signal.SIGKILL)
                self.killed_at, self.victim = len(self.finished), None


def written(out: Path) -> dict[str, int]:
    """Return the time at which the record of each finished subject was written, to detect recomputation."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("sub-*/anat/*_quality.json")}


def many(cohort: Cohort, number: int) -> Cohort:
    """Repeat the subjects of a cohort under different names."""
    heads = list(cohort)
    names = [f"sub-{index:05d}" for index in range(number)]
    subjects = {name: replace(heads[index % len(heads)], id=name, truth=None) for index, name in enumerate(names)}
    return replace(cohort, subjects=subjects)


def main(
    sizes: str = "100,300,1000", steps: str = "strip,normalise", heads: int = 20, port: int = 8790, seed: int = 0
) -> None:
    """Preprocess cohorts of several sizes both ways, and the largest again with a killed worker."""
    numbers, names = sorted(map(int, sizes.split(","))), steps.split(",")
    done = f"{' and '.join(names)} at 6 mm"
    preprocess = partial(preprocess_cohort, steps=names, spacing_mm=6.0, workers=WORKERS)
    with tempfile.TemporaryDirectory() as folder, local_cluster(port) as (address, scheduler):
        cohort = make_phantom_cohort(
            f"{folder}/heads",
            subjects=heads,
            seed=seed,
            spacing_mm=(6.0, 6.0, 6.0),
            contrasts=("T2w",),
            workers=WORKERS,
        )

        def seconds_for(number: int, name: str, scheduler_address: str | None) -> float:
            with use_scheduler(scheduler_address):
                preprocess(many(cohort, 2 * WORKERS), f"{folder}/warm-{name}")
                return timed(preprocess, many(cohort, number), f"{folder}/{name}")[1]

        on_cluster = []
        for number in numbers:
            here = seconds_for(number, f"here-{number}", None)
            on_cluster.append(seconds_for(number, f"cluster-{number}", address))
            record(
                f"{done}, two Dask workers, n = {number}: ms per subject",
                f"{1000 * on_cluster[-1] / number:.0f} ms",
                f"two processes by joblib: {1000 * here / number:.0f} ms",
                here / on_cluster[-1],
            )
        with Client(address) as client:
            victim = sorted(client.run(os.getpid).values())[0]
        out = Path(folder, "killed")
        watch = Watch(out, scheduler, kill_at=number // 2, victim=victim)
        watch.start()
        seconds = seconds_for(number, "killed", address)
        watch.over.set()
        watch.join()
        last = written(out)
    once = sum(watch.finished.get(name, last[name]) == last[name] for name in last)
    record(
        f"the same, a worker killed at half of n = {number}: finished once; scheduler's memory at first and at most",
        f"{once} of {number}, killed at {watch.killed_at}; {watch.memory_mb[0]:.0f} MB, {max(watch.memory_mb):.0f} MB; "
        f"{1000 * seconds / number:.0f} ms per subject",
    )
    if len(numbers) > 1:
        exponent = np.polyfit(np.log(numbers), np.log(on_cluster), 1)[0]
        what = f"{done}, two Dask workers, n = {', '.join(map(str, numbers))}: cost grows as n to the power of"
        record(what, f"{exponent:.3f}")


if __name__ == "__main__":
    typer.run(main)
