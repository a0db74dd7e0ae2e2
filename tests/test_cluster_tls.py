"""A Dask cluster over TLS, with the certificates and settings of docs/cluster.md, on the loopback address."""

import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import dask
import pytest
import yaml
from distributed import LocalCluster, Security
from tiny import ROOT, raises_three_lines

from epitome_kit import cluster
from epitome_kit.cluster import use_scheduler
from epitome_kit.errors import EpitomeWarning, ToolError
from epitome_kit.parallel import for_each

DOCUMENT = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
OPENSSL = re.search(r"^\$ (openssl req .*)$", DOCUMENT, re.MULTILINE)[1]
SETTINGS = re.search(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)[1]
PRINTED = re.findall(r"^\$ (dask .*?) *(?:#.*)?$", DOCUMENT, re.MULTILINE)

# Clusters in this process disturb those of other tests, so they have a lane of their own.
pytestmark = [pytest.mark.soak, pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")]


def _settings(folder):
    return yaml.safe_load(SETTINGS.replace("/shared/dask", folder.as_posix()))


def _certificates(folder):
    """What the commands of the document make."""
    folder.mkdir()
    subprocess.run(OPENSSL.replace("3072", "2048").split(), cwd=folder, check=True, capture_output=True)
    (folder / "tls.yaml").write_text(yaml.safe_dump(_settings(folder)))
    return folder


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return _certificates(tmp_path_factory.mktemp("shared") / "dask")


def _configured(settings):
    return dask.config.set(dask.config.merge(dask.config.config, settings))


@pytest.fixture(scope="module")
def address(certificates):
    """Address of a scheduler with one worker, in this process."""
    with (
        _configured(_settings(certificates)),
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tls",
            security=Security(),
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as made,
    ):
        yield made.scheduler_address


def test_the_kit_works_over_tls(address, certificates):
    assert address.startswith("tls://127.0.0.1:")
    with _configured(_settings(certificates)), use_scheduler(address), warnings.catch_warnings():
        warnings.simplefilter("error", EpitomeWarning)
        assert for_each(abs, [-1, -2], title="Work", workers=1) == [1, 2]


@pytest.mark.parametrize("client", ["without a key", "with another key", "without encryption", "with tcp in tls"])
def test_a_client_without_the_key_is_refused_in_three_lines(address, certificates, client, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_TIMEOUT_S", 2)
    settings, wanted = _settings(certificates), address
    if client == "with another key":
        settings = _settings(_certificates(tmp_path / "dask"))
        settings["distributed"]["comm"]["tls"]["ca-file"] = str(certificates / "cert.pem")  # it trusts the cluster
    elif client == "with tcp in tls":
        wanted = address.replace("tls://", "tcp://")
    else:
        settings = {"distributed": {"comm": {"require-encryption": None, "default-scheme": "tcp", "tls": {}}}}
        nothing = dict.fromkeys(("key", "cert"))
        settings["distributed"]["comm"]["tls"] = {
            "ca-file": None,
            **dict.fromkeys(("scheduler", "worker", "client"), nothing),
        }
        wanted = address.replace("tls://", "tcp://") if client == "without encryption" else address
    with _configured(settings), use_scheduler(wanted), raises_three_lines(ToolError, wanted, "certificates"):
        for_each(abs, [-1], title="Work", workers=1)


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("tls://10.0.0.5:8786", True),
        ("tcp://127.0.0.1:8786", True),
        ("tcp://127.9.9.9:8786", True),
        ("tcp://[::1]:8786", True),
        ("tcp://localhost:8786", True),
        ("tcp://10.0.0.5:8786", False),
        ("tcp://0.0.0.0:8786", False),
        ("tcp://localhost.example.org:8786", False),
        ("tcp://127.example.org:8786", False),
    ],
)
def test_only_tls_and_the_loopback_address_are_private(address, private):
    assert cluster._private(address) is private


def test_tcp_to_another_machine_works_and_warns(monkeypatch):
    monkeypatch.setattr(cluster, "_private", lambda address: False)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as made,
        use_scheduler(made.scheduler_address),
        pytest.warns(EpitomeWarning, match="tls://"),
    ):
        assert for_each(abs, [-1], title="Work", workers=1) == [1]


def test_the_first_commands_of_the_document_use_tls_and_keep_the_dashboard_here():
    scheduler, worker = PRINTED[:2]
    assert "tls://" in scheduler and "tls://" in worker
    schedulers = [line for line in PRINTED if line.startswith("dask scheduler")]
    assert all("--dashboard-address 127.0.0.1:8787" in line for line in schedulers)
    plain = [line for line in re.findall(r"tcp://\S+", DOCUMENT) if "127.0.0.1" not in line]
    assert all(line.startswith("tcp://`") for line in plain), "the plain example is for the loopback address only"


@pytest.mark.slow
def test_the_commands_of_the_document_make_a_cluster(certificates, tmp_path):
    """Scheduler and worker as printed, apart from address and ports; a client in a process of its own."""
    environment = {**os.environ, "DASK_CONFIG": str(certificates)}
    dask_command = str(Path(sys.executable).with_name("dask"))
    file = tmp_path / "scheduler.json"
    scheduler, worker = (line.split()[1:] for line in PRINTED[:2])
    scheduler = [
        {"tls://10.0.0.5": "tls://127.0.0.1", "127.0.0.1:8787": "127.0.0.1:0"}.get(each, each) for each in scheduler
    ]
    scheduler += ["--port", "0", "--scheduler-file", str(file)]
    worker[1:2] = ["--scheduler-file", str(file)]
    worker[worker.index("--nworkers") + 1] = "1"
    started = [subprocess.Popen([dask_command, *each], env=environment, cwd=tmp_path) for each in (scheduler, worker)]
    try:
        call = "from epitome_kit.parallel import for_each; print(for_each(abs, [-1, -2], title='Work', workers=1))"
        named = {**environment, "EPITOME_SCHEDULER": str(file)}
        for _ in range(60):
            if file.is_file():
                break
            started[0].poll() is None or pytest.fail("the scheduler ended")
            time.sleep(0.5)
        done = subprocess.run([sys.executable, "-c", call], env=named, capture_output=True, text=True, timeout=120)
        assert done.stdout.split() == ["[1,", "2]"], done.stderr
    finally:
        for each in started:
            each.terminate()
        for each in started:
            each.wait(30)
