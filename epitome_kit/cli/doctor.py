"""Check that this machine can run the kit."""

import os
import platform
import re
import shutil
import sys
import webbrowser
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

import epitome_kit
from epitome_kit.extras import is_installed, needs
from epitome_kit.processes import run_program

EXTRAS = ("train", "lab", "app")
"""Extras of a complete installation."""

MEMORY_GB, DISK_GB, CORES = 2.0, 3.0, 2
"""Requirements of a run with the profile quick: free memory, free disk space, and cores."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "firefox")

Check = dict[str, object]
"""Result of a check, see :func:`check_environment`."""

_KERAS_S = 600
_PRINT_BACKEND = """
import keras
name = keras.backend.backend()
if name == "tensorflow":
    import tensorflow
    found = tensorflow.config.list_physical_devices("GPU")
elif name == "torch":
    import torch
    found = range(torch.cuda.device_count())
else:
    import jax
    found = [device for device in jax.devices() if device.platform == "gpu"]
print(name, len(found))
"""


def check_environment(folder: str | Path = ".") -> list[Check]:
    """Check the machine, the packages, Keras and Jupyter.

    Parameters
    ----------
    folder : path, default="."
        Folder to write runs to.

    Returns
    -------
    list of dict
        what, found, needed, state ("ok", "warn" or "missing") and hint (None
        if ok). Only "missing" prevents a run.
    """
    memory, disk = psutil.virtual_memory().available / 1e9, shutil.disk_usage(folder).free / 1e9
    cores = os.cpu_count() or 1
    return [
        _system(Path(folder).absolute()),
        _check("Python", sys.version.split()[0], "3.11 to 3.13", _python_ok(), "install Python 3.12"),
        _check("free memory", f"{memory:.1f} GB", f"{MEMORY_GB} GB", memory >= MEMORY_GB, "close other programs"),
        _check("free disk", f"{disk:.1f} GB", f"{DISK_GB} GB", disk >= DISK_GB, "free some space, or use `--out`"),
        _check("cores", cores, CORES, cores >= CORES, "nothing, but runs take longer", grave=False),
        *_packages(),
        *_lock(Path(epitome_kit.__file__).parent.parent / "requirements.lock"),
        *(_keras() if is_installed("keras") else []),
        *([_kernel()] if is_installed("jupyter_client") else []),
        _browser(),
    ]


def _check(what: str, found: object, needed: object, passed: bool, hint: str | None, *, grave: bool = True) -> Check:
    state = "ok" if passed else "missing" if grave else "warn"
    return {"what": what, "found": found, "needed": needed, "state": state, "hint": None if passed else hint}


def _system(folder: Path) -> Check:
    """Check the operating system; in WSL, a folder on the disk of Windows is slow."""
    name, wsl = platform.system(), "microsoft" in platform.release().lower()
    far = wsl and folder.as_posix().startswith("/mnt/")
    hint = "move the folder to your home in WSL: below /mnt, files are many times slower"
    found = f"{name} {platform.machine()}{' (WSL)' if wsl else ''}"
    return _check("system", found, "Linux, macOS or Windows", not far, hint, grave=False)


def _python_ok() -> bool:
    return (3, 11) <= sys.version_info[:2] <= (3, 13)


def _packages() -> list[Check]:
    """Compare the requirements of the kit with the installed packages: one by one for the core, counted for extras."""
    try:
        requirements = list(map(Requirement, requires("epitome-kit") or ()))
    except PackageNotFoundError:
        hint = "`pip install -e .` in the folder of the kit, or `make install`"
        return [_check("epitome-kit", None, "installed", False, hint, grave=False)]
    required = [need for need in requirements if need.marker is None]
    lacking = _lacking(required)
    total = f"{len(required) - len(lacking)} of {len(required)}"
    return [
        _check("packages", total, "all", not lacking, "see below, or `make install`"),
        *(_check(need.name, _version(need.name), str(need.specifier), False, _upgrade(need)) for need in lacking),
        *(_extra(extra, requirements) for extra in EXTRAS if any(_belongs(need, extra) for need in requirements)),
    ]


def _belongs(requirement: Requirement, extra: str) -> bool:
    """Return whether a requirement belongs to an extra itself, not to another extra that it includes."""
    marker = requirement.marker
    return marker is not None and requirement.name != "epitome-kit" and marker.evaluate({"extra": extra})


def _extra(extra: str, requirements: list[Requirement]) -> Check:
    """Count the installed packages of an extra; verbs that do not need it work without."""
    required = [need for need in requirements if _belongs(need, extra)]
    lacking = _lacking(required)
    named = f", not {', '.join(need.name for need in lacking[:3])}{' ...' if len(lacking) > 3 else ''}"
    found = f"{len(required) - len(lacking)} of {len(required)}{named if lacking else ''}"
    hint = f"`{Path(sys.executable).parent / 'pip'} install 'epitome-kit[{extra}]'`"
    return _check(f"extra {extra}", found, "all", not lacking, hint, grave=False)


def _lacking(required: list[Requirement]) -> list[Requirement]:
    return [need for need in required if not need.specifier.contains(_version(need.name) or "0", prereleases=True)]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _upgrade(need: Requirement) -> str:
    return f"`{Path(sys.executable).parent / 'pip'} install --upgrade '{need}'`"


def _lock(path: Path) -> list[Check]:
    """Count the packages that differ from the versions pinned in a checkout."""
    if not path.is_file():
        return []
    lines = re.findall(r"^([\w.-]+==[^\\\n]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    pins = [pin for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate()]
    other = [pin for pin in pins if not pin.specifier.contains(_version(pin.name) or "0", prereleases=True)]
    named = f", not {', '.join(pin.name for pin in other[:3])}{' ...' if len(other) > 3 else ''}" if other else ""
    found = f"{len(pins) - len(other)} of {len(pins)}{named}"
    return [_check("as pinned", found, path.name, not other, "`make install` brings the tested versions", grave=False)]


def _keras() -> list[Check]:
    """Load Keras in a separate process, because an incompatible build can crash the process."""
    probe = run_program([sys.executable, "-c", _PRINT_BACKEND], timeout_s=_KERAS_S)
    lines = (probe.stdout if probe.returncode == 0 else probe.stderr).strip().splitlines() or ["no output"]
    if probe.returncode != 0:
        asked = os.environ.get("KERAS_BACKEND")
        unset = f"unset KERAS_BACKEND, which is {asked}, or install that"
        hint = unset if asked not in (None, "", "tensorflow") else "`pip install --force-reinstall tensorflow keras`"
        return [_check("Keras backend", lines[-1][:120], "loads", False, hint)]
    name, gpus = lines[-1].split()
    return [
        _check("Keras backend", name, "loads", True, None),
        _check("GPU", f"{gpus} seen by {name}" if int(gpus) else "none", "not needed", True, None),
    ]


def _kernel() -> Check:
    """Check that Jupyter starts this Python interpreter."""
    with needs("lab"):
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        program = None
    bare = program is not None and Path(program).name == program  # Jupyter takes its own Python for `python`
    here = bare or (program is not None and Path(program).parent == Path(sys.executable).parent)
    hint = f"`{sys.executable} -m ipykernel install --sys-prefix`"
    return _check("Jupyter kernel", program, "this Python", here, hint, grave=False)


def _browser() -> Check:
    """Look for a browser for JupyterLab and the reports."""
    try:
        found = next((name for name in BROWSERS if shutil.which(name)), None) or webbrowser.get().name
    except webbrowser.Error:
        found = None
    hint = "open the address that `epitome lab --no-browser` prints, on any machine that reaches this one"
    return _check("browser", found, "for pages and JupyterLab", bool(found), hint, grave=False)
