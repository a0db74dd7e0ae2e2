"""A crowd at the case page: twelve visitors with a head each, thirty in line, 1,100 connections that say nothing."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from case_client import Client, case_process, idle_sockets
from made_model import make_model

from epitome_kit.case.phantoms import PHANTOMS
from epitome_kit.files import read_json, write_json
from epitome_kit.simulate.phantom import make_phantom_cohort

pytestmark = [pytest.mark.soak, pytest.mark.skipif(not hasattr(psutil.Process(), "rlimit"), reason="Linux only")]
VISITORS, WAITING, IDLE = 12, 30, 1100


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """Address and process of a server that may open 1,024 files, and the files of a small head."""
    folder = tmp_path_factory.mktemp("crowd")
    make_model(folder / "made")
    cohort = folder / "cohorts" / f"phantom_quick_n{len(PHANTOMS)}_seed2026"
    made = make_phantom_cohort(cohort, subjects=len(PHANTOMS), seed=2026, spacing_mm=(5, 5, 5))
    recipe = cohort / "derivatives" / "truth" / "recipe.json"
    write_json(recipe, {**read_json(recipe), "spacing_mm": [2.0, 2.0, 2.0]})
    head = {path.name: path.read_bytes() for path in made["sub-001"].images.values()}
    with case_process(folder, folder / "made", prefix=("prlimit", "--nofile=1024:1024")) as (address, process):
        _until_quiet(process)
        yield address, process, head, folder


def _family(process):
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]


def _until_quiet(process):
    """Wait until the workers have loaded their networks."""
    deadline, quiet = time.monotonic() + 900, 0
    while quiet < 3:
        assert time.monotonic() < deadline
        before = sum(sum(each.cpu_times()[:2]) for each in _family(process))
        time.sleep(1)
        quiet = quiet + 1 if sum(sum(each.cpu_times()[:2]) for each in _family(process)) - before < 0.1 else 0


def _analyse(client, head):
    """Send a head and have it analysed; returns when it was sent and when it was finished."""
    assert client.upload(**head).ok
    sent = time.monotonic()
    scans = client.received()["scans"]
    answer = client.ask("start", "POST", json={"choice": "own", "contrasts": [scan["contrast"] for scan in scans]})
    assert answer.ok, answer.text
    case = client.finished()
    assert case["state"] == "done" and client.ask("sheet").content.count(b"<img") >= 3, case
    return sent, time.monotonic()


def test_a_crowd_is_served_in_bounded_memory(crowded):
    address, process, head, _ = crowded
    load, clients = os.getloadavg()[0], [Client(address) for _ in range(VISITORS)]
    assert all("in line" not in client.enter().text for client in clients)
    waiting = [Client(address) for _ in range(WAITING)]
    pages = [client.enter().text for client in waiting]
    assert [f"number {place} in line" in page for place, page in enumerate(pages, 1)] == [True] * WAITING
    with ThreadPoolExecutor(VISITORS) as pool:
        running, peak = [pool.submit(_analyse, client, head) for client in clients], 0
        while not all(each.done() for each in running):
            peak = max(peak, sum(each.memory_full_info().pss for each in _family(process)))
            time.sleep(0.5)
        times = [each.result() for each in running]
    last_s = max(finished for _, finished in times) - max(sent for sent, _ in times)
    print(f"\n{VISITORS} visitors: the last after {last_s:.0f} s, {peak / 1e9:.1f} GB in all; load {load:.1f} before")
    assert peak < 6e9 and (last_s < 60 or load > 1)
    for client in clients:
        client.ask("leave", "POST")


def test_idle_connections_lock_nobody_out(crowded):
    address, process, _, folder = crowded
    client = Client(address)
    port = int(client.root.rpartition(":")[2].strip("/"))
    before = sum(each.memory_full_info().pss for each in _family(process))
    connections = idle_sockets(port, IDLE)
    began = time.monotonic()
    assert client.enter().ok
    seconds = time.monotonic() - began
    time.sleep(10)
    assert client.enter().ok
    grown = (sum(each.memory_full_info().pss for each in _family(process)) - before) / 1e6
    said = (folder / "stderr.txt").stat().st_size
    print(f"\n{IDLE} idle connections: served in {seconds:.2f} s, {grown:.0f} MB more, {said} bytes on stderr")
    assert seconds < 3 and grown < 50 and said < 10_000
    for connection in connections:
        connection.close()
