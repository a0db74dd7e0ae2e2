"""Marking in a container: the command says what it should, and where an engine runs, it marks."""

import shlex
import shutil
import subprocess

import nbformat
import pytest

from epitome_kit.classroom.container import IMAGE, container_command
from epitome_kit.classroom.watched import Limits
from epitome_kit.run.notebooks import kit_notebooks

LIMITS = Limits(step_s=60, memory_bytes=2 * 2**30)


def _command(engine, folder, **options):
    paths = {"points": folder / "out put" / "points.tsv", "workspace": folder / "runs" / "class"}
    return container_command(engine, folder / "returned", limits=LIMITS, **{**paths, **options})


@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_the_command_has_no_network_no_privileges_and_changes_no_submission(engine, tmp_path):
    words = shlex.split(_command(engine, tmp_path, cohort=tmp_path / "my cohort"))
    assert words[:3] == [engine, "run", "--rm"]
    assert {"--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"} < set(words)
    assert {"--memory=6g", "--pids-limit=512"} < set(words)
    volumes = [word.removeprefix("--volume=") for word in words if word.startswith("--volume=")]
    assert volumes == [
        f"{tmp_path}/returned:/returned:ro",
        f"{tmp_path}/out put:/points:rw",
        f"{tmp_path}/runs:/runs:rw",
        f"{tmp_path}/my cohort:/cohort:ro",
    ]
    marking = words[words.index(IMAGE) + 1 :]
    assert marking[:4] == ["epitome", "notebooks", "--grade=/returned", "--out=/points/points.tsv"]
    assert "--cohort=/cohort" in marking and "--limit=60" in marking and "--memory=2" in marking


def _ready(engine):
    """Whether an engine runs and has the image."""
    if shutil.which(engine) is None:
        return False
    return subprocess.run([engine, "image", "inspect", IMAGE], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_a_class_is_marked_in_a_container(engine, tmp_path):
    if not _ready(engine):
        pytest.skip(f"{engine} does not run here, or has no image {IMAGE}: build it as Containerfile says")
    for name in ("returned", "out put", "runs"):
        (tmp_path / name).mkdir()
    source = kit_notebooks()["01_inspect_dataset"]
    notebook = nbformat.read(source, as_version=4)
    nbformat.write(notebook, tmp_path / "returned" / source.name)
    subprocess.run(["bash", "-c", _command(engine, tmp_path, profile="smoke")], check=True)
    assert (tmp_path / "out put" / "points.tsv").read_text().count("blank") == 3
