"""The command that marks submissions inside a container, where answers meet nothing of this machine."""

import shlex
from pathlib import Path

from epitome_kit.classroom.watched import Limits
from epitome_kit.files import PathLike

IMAGE = "epitome-kit"
"""Name of the image, as in the first lines of ``Containerfile``."""

_SPARE_GB = 4
"""Memory for the kit's own notebooks, in addition to that of an answer."""


def container_command(
    engine: str,
    submissions: PathLike,
    *,
    points: PathLike,
    workspace: PathLike,
    cohort: PathLike = "phantom",
    profile: str = "quick",
    limits: Limits,
) -> str:
    """Return the command, for a shell.

    The container has no network, cannot write to its own files, has no privileges,
    and sees the submissions and the cohort without being able to change them.

    Parameters
    ----------
    engine : str
        ``podman`` or ``docker``.
    submissions : path
        A file or a folder.
    points : path
        Table to write.
    workspace : path
        Of the run of the class; its folder is mounted, since a built-in cohort lies next to it.
    cohort, profile, limits
        As for :func:`epitome_kit.classroom.marking.mark_folder`.

    Returns
    -------
    str
    """
    submissions, points, workspace = (Path(path).absolute() for path in (submissions, points, workspace))
    returned = f"/returned/{submissions.name}" if submissions.is_file() else "/returned"
    folders = [(submissions, returned, "ro"), (points.parent, "/points", "rw"), (workspace.parent, "/runs", "rw")]
    if str(cohort) != "phantom":
        folders.append((Path(cohort).absolute(), "/cohort", "ro"))
    memory_gb = limits.memory_bytes / 2**30
    confined = [
        *(engine, "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL"),
        *("--security-opt=no-new-privileges", f"--pids-limit={8 * limits.processes}"),
        *(f"--memory={memory_gb + _SPARE_GB:.0f}g", "--tmpfs=/tmp:rw,size=2g", "--env=HOME=/tmp"),
    ]
    volumes = [f"--volume={source}:{target}:{mode}" for source, target, mode in folders]
    marking = [
        *("epitome", "notebooks", f"--grade={returned}", f"--out=/points/{points.name}"),
        *(f"--workspace=/runs/{workspace.name}", f"--cohort={'phantom' if str(cohort) == 'phantom' else '/cohort'}"),
        *(f"--profile={profile}", f"--limit={limits.step_s:g}", f"--memory={memory_gb:g}"),
    ]
    user = "--userns=keep-id" if engine == "podman" else '--user="$(id -u):$(id -g)"'
    return " ".join([shlex.join(confined), user, shlex.join(volumes), IMAGE, shlex.join(marking)])
