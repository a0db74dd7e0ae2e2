"""One environment, told four times: pyproject, lock, conda and Binder agree."""

import os
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from tiny import ROOT

import epitome_kit

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _by_name(needs):
    return {canonicalize_name(need.name): need for need in map(Requirement, needs)}


CORE = _by_name(PYPROJECT["project"]["dependencies"])
EXTRAS = {extra: _by_name(needs) for extra, needs in PYPROJECT["project"]["optional-dependencies"].items()}
DEVELOPMENT, PEERS = (_by_name(PYPROJECT["dependency-groups"][group]) for group in ("dev", "bench"))


def with_included(extra):
    """Packages of an extra, and of those that it includes."""
    own = dict(EXTRAS[extra])
    included = own.pop("epitome-kit", None)
    return own | {
        name: need for other in (sorted(included.extras) if included else ()) for name, need in EXTRAS[other].items()
    }


RUNTIME = CORE | with_included("all")
RUNTIME.pop("epitome-kit", None)
LOCKS = {
    "requirements-uv.lock": _by_name(["uv"]),
    "requirements.lock": RUNTIME | DEVELOPMENT,
    "requirements-bench.lock": RUNTIME | PEERS,
}
ENVIRONMENT = (ROOT / "environment.yml").read_text(encoding="utf-8")
CONDA_ONLY = {"python", "pip"}


def _conda():
    """Packages of environment.yml and their version ranges."""
    entries = [entry for entry in yaml.safe_load(ENVIRONMENT)["dependencies"] if isinstance(entry, str)]
    pairs = (entry.partition(" ")[::2] for entry in entries)
    return {canonicalize_name(name): SpecifierSet(versions) for name, versions in pairs}


def _locked(lock):
    """Packages of a lock: name to a list of (version, number of hashes)."""
    pins = {}
    for block in re.split(r"\n(?=\S)", (ROOT / lock).read_text(encoding="utf-8")):
        pin = re.match(r"([\w.-]+)==([^\s;\\]+)", block)
        if pin:
            pins.setdefault(canonicalize_name(pin[1]), []).append((pin[2], block.count("--hash=sha256:")))
    return pins


def test_conda_has_the_same_packages():
    assert _conda().keys() == RUNTIME.keys() | CONDA_ONLY


def test_conda_has_the_same_bounds():
    conda = _conda()
    assert not [name for name, need in RUNTIME.items() if conda[name] != need.specifier]


def test_conda_has_the_same_python():
    assert _conda()["python"] == SpecifierSet(PYPROJECT["project"]["requires-python"])


def test_conda_gives_a_reason_for_each_package():
    packages = ENVIRONMENT.partition("dependencies:\n")[2].splitlines()
    silent = [line for line in packages if line.strip() != "- pip:" and not re.search(r" # \w+", line)]
    assert not silent


def test_conda_installs_the_kit_itself():
    assert {"pip": ["-e ."]} in yaml.safe_load(ENVIRONMENT)["dependencies"]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_each_package_within_its_bounds(lock):
    pins = {name: [version for version, _ in pinned] for name, pinned in _locked(lock).items()}
    assert LOCKS[lock].keys() <= pins.keys()
    bounds = {name: need.specifier for name, need in LOCKS[lock].items()}
    assert not [
        name for name in bounds if not all(bounds[name].contains(each, prereleases=True) for each in pins[name])
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_hashes_every_package(lock):
    assert not [name for name, pins in _locked(lock).items() if not all(hashes for _, hashes in pins)]


def test_binder_installs_the_lock_and_the_kit():
    lines = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert [(ROOT / "binder" / line.removeprefix("-r ")).resolve() for line in lines] == [ROOT / "requirements.lock"]
    assert re.search(r"pip install .*--no-deps .*-e \.", (ROOT / "binder" / "postBuild").read_text(encoding="utf-8"))


def test_binder_holds_nothing_that_would_bring_other_packages():
    assert {path.name for path in (ROOT / "binder").iterdir()} == {
        "requirements.txt",
        "runtime.txt",
        "postBuild",
        "start",
    }


def test_binder_has_a_python_that_the_kit_supports():
    runtime = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip()
    supported = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert supported.contains(runtime.removeprefix("python-"))


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_binder_scripts_can_run(name):
    script = ROOT / "binder" / name
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")


def test_binder_hands_over_to_jupyter():
    assert (ROOT / "binder" / "start").read_text(encoding="utf-8").endswith('exec "$@"\n')


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == epitome_kit.__version__
    assert f"## [{epitome_kit.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
