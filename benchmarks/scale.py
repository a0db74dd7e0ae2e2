"""Many subjects: a Dask cluster of two workers, one of them killed half-way, against two processes.

    make bench
    PYTHONPATH=. .venv-bench/bin/python benchmarks/scale.py --sizes 20,40

Simulated heads of 6 mm in one contrast, each under many names, stripped and
normalised at 6 mm: a subject costs half a second, so that what the cluster adds
is seen; `--steps strip,bias,register,normalise` costs seven times that. The
aims: every subject is finished once, whoever dies; the memory of the scheduler
stays flat; the cluster is within 15 % of the processes; and cost grows with the
number of subjects to the power of 0.95 to 1.05, fitted to the runs of the
cluster in which nobody dies. What a worker loads once does not count: each is
given a few subjects beforehand. Workers run without Dask's profiler, which stops
them every 10 ms, as docs/cluster.md advises.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import typer
from bench import record, timed
from distributed import Client

from epitome_kit.cluster import scheduled_on
from epitome_kit.preprocess.pipeline import preprocess_cohort
from epitome_kit.simulate.phantom import make_phantom_cohort

WORKERS = 2


@contextmanager
def local_cluster(port):
    """Start a scheduler and two workers, each a process; yield the address and the process of the scheduler."""
    address, quiet = f"tcp://127.0.0.1:{port}", {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    unprofiled = {**os.environ, "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
    scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    worker = ["dask_worker", address, "--nthreads", "1", "--nworkers", str(WORKERS), "--no-dashboard"]
    started = [
        subprocess.Popen([sys.executable, "-m", f"distributed.cli.{name}", *options], env=unprofiled, **quiet)
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
    """Look at the finished subjects and at the scheduler, and kill a worker when half is done."""

    def __init__(self, out, scheduler, kill_at=None, victim=None):
        super().__init__(daemon=True)
        self.out, self.scheduler, self.kill_at, self.victim = out, scheduler, kill_at, victim
        self.finished, self.memory_mb, self.killed_at, self.over = {}, [], None, threading.Event()

    def run(self):
        """Look twice a second."""
        while not self.over.wait(0.5):
            self.memory_mb.append(self.scheduler.memory_info().rss / 1e6)
            self.finished = {**written(self.out), **self.finished}  # the first time counts
            if self.victim and len(self.finished) >= self.kill_at:
                os.kill(self.victim, signal.SIGKILL)
                self.killed_at, self.victim = len(self.finished), None


def written(out):
    """When the record of each finished subject was written: a subject that is done again has a newer one."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("sub-*/anat/*_quality.json")}


def many(cohort, number):
    """Give the heads of a cohort as many names as are asked for."""
    heads = list(cohort)
    names = [f"sub-{index:05d}" for index in range(number)]
    subjects = {name: replace(heads[index % len(heads)], id=name, truth=None) for index, name in enumerate(names)}
    return replace(cohort, subjects=subjects)


def main(sizes: str = "100,300,1000", steps: str = "strip,normalise", heads: int = 20, port: int = 8790, seed: int = 0):
    """Preprocess cohorts of several sizes both ways, and the largest once more with a worker killed."""
    sizes, how = sorted(map(int, sizes.split(","))), {"steps": steps.split(","), "spacing_mm": 6.0, "workers": WORKERS}
    done = f"{' and '.join(how['steps'])} at 6 mm"
    with tempfile.TemporaryDirectory() as folder, local_cluster(port) as (address, scheduler):
        made = {"subjects": heads, "seed": seed, "spacing_mm": (6.0, 6.0, 6.0), "contrasts": ("T2w",)}
        cohort = make_phantom_cohort(f"{folder}/heads", workers=WORKERS, **made)

        def preprocess(number, name, where):
            with scheduled_on(where):
                preprocess_cohort(many(cohort, 2 * WORKERS), f"{folder}/warm-{name}", **how)
                return timed(lambda: preprocess_cohort(many(cohort, number), f"{folder}/{name}", **how))[1]

        on_cluster = []
        for number in sizes:
            here = preprocess(number, f"here-{number}", None)
            on_cluster.append(preprocess(number, f"cluster-{number}", address))
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
        seconds = preprocess(number, "killed", address)
        watch.over.set()
        watch.join()
        last = written(out)
    once = sum(watch.finished.get(name, last[name]) == last[name] for name in last)
    record(
        f"the same, a worker killed at half of n = {number}: finished once; scheduler's memory at first and at most",
        f"{once} of {number}, killed at {watch.killed_at}; {watch.memory_mb[0]:.0f} MB, {max(watch.memory_mb):.0f} MB; "
        f"{1000 * seconds / number:.0f} ms per subject",
    )
    if len(sizes) > 1:
        exponent = np.polyfit(np.log(sizes), np.log(on_cluster), 1)[0]
        what = f"{done}, two Dask workers, n = {', '.join(map(str, sizes))}: cost grows as n to the power of"
        record(what, f"{exponent:.3f}")


if __name__ == "__main__":
    typer.run(main)
