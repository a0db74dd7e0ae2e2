"""`make audit` fails where it checked nothing, or not everything, unless AUDIT_OFFLINE=1 says so."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from tiny import ROOT

CHECKED = {"name": "numpy", "version": "2.0", "vulns": []}
FAULTY = {"name": "pip", "version": "23.0", "vulns": [{"id": "PYSEC-2023-228", "fix_versions": ["23.3"]}]}
UNKNOWN = {"name": "scipy", "skip_reason": "Dependency not found on PyPI and could not be audited: scipy (1.14)"}


@pytest.fixture
def audit(tmp_path):
    """Run the recipe with a `pip-audit` that prints what is given and ends with a code."""
    if sys.platform == "win32" or not shutil.which("make"):
        pytest.skip("needs make")

    def script(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(printed, code=0, **environment):
        (tmp_path / "printed").write_text(
            printed if isinstance(printed, str) else json.dumps({"dependencies": printed})
        )
        script("bandit", "exit 0")
        script("python", f'exec "{sys.executable}" "$@"')
        script("pip-audit", f'touch "{tmp_path}/called"; cat "{tmp_path}/printed"; echo last words >&2; exit {code}')
        command = ["make", "--no-print-directory", "audit", "--old-file=venv", f"BIN={tmp_path}"]
        bare = {name: value for name, value in os.environ.items() if name not in ("AUDIT_OFFLINE", "MAKEFLAGS")}
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=bare | environment)

    run.called = tmp_path / "called"
    return run


def test_packages_without_a_known_fault_pass(audit):
    done = audit([CHECKED])
    assert done.returncode == 0 and "1 packages checked, 0 known faults" in done.stdout


@pytest.mark.parametrize(
    ("printed", "code", "said"),
    [
        ([CHECKED, FAULTY], 1, "PYSEC-2023-228"),
        ([UNKNOWN], 0, "1 of 1 packages are not checked: scipy"),
        ([CHECKED, UNKNOWN], 0, "1 of 2 packages are not checked: scipy"),
        ([], 0, "0 of 0"),
        ([CHECKED], 3, "ended with 3"),
        ("", 1, "no package was checked; pip-audit ended with 1: last words"),
        ("[1]", 0, "no package was checked"),
    ],
)
def test_a_fault_and_packages_that_were_not_checked_fail(audit, printed, code, said):
    done = audit(printed, code)
    assert done.returncode != 0 and said in done.stdout + done.stderr


def test_offline_is_printed_and_asks_no_service(audit):
    done = audit([UNKNOWN], AUDIT_OFFLINE="1")
    assert done.returncode == 0 and "not audited" in done.stdout and not audit.called.exists()
    assert audit([UNKNOWN], AUDIT_OFFLINE="0").returncode != 0


@pytest.mark.parametrize(("answer", "code"), [('{"vulnerabilities": [1]}', 0), ('{"vulnerabilities": []}', 1), ("", 1)])
def test_the_probe_wants_a_service_that_knows_of_faults(tmp_path, answer, code):
    (tmp_path / "answer.json").write_text(answer)
    probe = (ROOT / "tests" / "helpers" / "audit_packages.py").read_text(encoding="utf-8")
    probe = re.sub(r'^KNOWN = ".*"$', f'KNOWN = "{(tmp_path / "answer.json").as_uri()}"', probe, flags=re.MULTILINE)
    (tmp_path / "probe.py").write_text(probe)
    assert subprocess.run([sys.executable, tmp_path / "probe.py", "--reachable"], check=False).returncode == code


def test_ci_goes_offline_only_after_the_probe():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    (probe,) = [number for number, line in enumerate(lines) if "--reachable" in line]
    (offline,) = [number for number, line in enumerate(lines) if "AUDIT_OFFLINE=1" in line]
    assert lines[probe].startswith("if ") and "! " in lines[probe] and offline == probe + 1


def test_everything_is_installed_by_hash():
    """Each line that installs from an index names the hashes; uv is pinned once."""
    makefile = (
        (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ").replace("$(BY_HASH)", "--require-hashes")
    )
    files = [ROOT / "Containerfile", ROOT / ".ci" / "run", ROOT / "binder" / "postBuild"]
    files += (ROOT / ".github" / "workflows").glob("*.yml")
    lines = [
        *makefile.splitlines(),
        *(line for path in files for line in path.read_text(encoding="utf-8").splitlines()),
    ]
    installing = [line for line in lines if re.search(r"pip install|uv build", line) and not line.startswith("#")]
    loose = [line for line in installing if not re.search("--require-hashes|--no-deps --no-build-isolation", line)]
    assert len(installing) >= 8 and not loose
    assert re.search(r"^UV := (.*)$", makefile, re.MULTILINE)[1] in (ROOT / "requirements-uv.lock").read_text()
