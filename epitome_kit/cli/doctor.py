"""The doctor: looks whether this machine and its packages can run the kit, and says what to do where they cannot."""

import os
import platform
import re
import shutil
import subprocess
import sys
import webbrowser
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

import epitome_kit
from epitome_kit.extras import is_installed, needs

EXTRAS = ("train", "lab", "app")
"""Extras that a whole installation has."""

MEMORY_GB, DISK_GB, CORES = 2.0, 3.0, 2
"""What a run at profile quick needs: free memory, free disk, and cores to be quick."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "firefox")

_LOOK_AT_KERAS = """
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


def check_environment(folder="."):
    """Check the machine, the packages, Keras and Jupyter.

    Parameters
    ----------
    folder : path, default="."
        Where runs would be written.

    Returns
    -------
    list of dict
        what, found, needed, state ("ok", "warn" or "missing") and hint (None
        when ok). Only "missing" stands in the way of a run.
    """
    memory, disk = psutil.virtual_memory().available / 1e9, shutil.disk_usage(folder).free / 1e9
    cores = os.cpu_count() or 1
    return [
        _system(Path(folder).absolute()),
        _check("Python", sys.version.split()[0], "3.11 to 3.13", _python_ok(), "install Python 3.12"),
        _check("free memory", f"{memory:.1f} GB", f"{MEMORY_GB} GB", memory >= MEMORY_GB, "close other programs"),
        _check("free disk", f"{disk:.1f} GB", f"{DISK_GB} GB", disk >= DISK_GB, "make room, or use `--out`"),
        _check("cores", cores, CORES, cores >= CORES, "nothing is wrong, runs take longer", grave=False),
        *_packages(),
        *_lock(Path(epitome_kit.__file__).parent.parent / "requirements.lock"),
        *(_keras() if is_installed("keras") else []),
        *([_kernel()] if is_installed("jupyter_client") else []),
        _browser(),
    ]


def _check(what, found, needed, passed, hint, *, grave=True):
    state = "ok" if passed else "missing" if grave else "warn"
    return {"what": what, "found": found, "needed": needed, "state": state, "hint": None if passed else hint}


def _system(folder):
    """Say which system this is; on Windows the kit lives in WSL, and there not on the disk of Windows."""
    name, wsl = platform.system(), "microsoft" in platform.release().lower()
    far = wsl and folder.as_posix().startswith("/mnt/")
    hint = "move the folder to your home in WSL: below /mnt, files are many times slower"
    found = f"{name} {platform.machine()}{' (WSL)' if wsl else ''}"
    return _check("system", found, "Linux, macOS or Windows", not far, hint, grave=False)


def _python_ok():
    return (3, 11) <= sys.version_info[:2] <= (3, 13)


def _packages():
    """Compare every package that the kit requires with what is installed: those of the core one by one."""
    try:
        needed = list(map(Requirement, requires("epitome-kit")))
    except PackageNotFoundError:
        hint = "`pip install -e .` in the folder of the kit, or `make install`"
        return [_check("epitome-kit", None, "installed", False, hint, grave=False)]
    required = [need for need in needed if need.marker is None]
    lacking = _lacking(required)
    total = f"{len(required) - len(lacking)} of {len(required)}"
    return [
        _check("packages", total, "all", not lacking, "see below, or `make install`"),
        *(_check(need.name, _version(need.name), str(need.specifier), False, _upgrade(need)) for need in lacking),
        *(_extra(extra, needed) for extra in EXTRAS if any(_belongs(need, extra) for need in needed)),
    ]


def _belongs(need, extra):
    """Whether a requirement is of an extra itself, not of another one that it includes."""
    return need.marker is not None and need.name != "epitome-kit" and need.marker.evaluate({"extra": extra})


def _extra(extra, needed):
    """Count the packages of an extra that are installed; without them, all other verbs work."""
    required = [need for need in needed if _belongs(need, extra)]
    lacking = _lacking(required)
    named = f", not {', '.join(need.name for need in lacking[:3])}{' ...' if len(lacking) > 3 else ''}"
    found = f"{len(required) - len(lacking)} of {len(required)}{named if lacking else ''}"
    hint = f"`{Path(sys.executable).parent / 'pip'} install 'epitome-kit[{extra}]'`"
    return _check(f"extra {extra}", found, "all", not lacking, hint, grave=False)


def _lacking(required):
    return [need for need in required if not need.specifier.contains(_version(need.name) or "0", prereleases=True)]


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _upgrade(need):
    return f"`{Path(sys.executable).parent / 'pip'} install --upgrade '{need}'`"


def _lock(path):
    """Count the packages that are not the very ones that the kit was tested with, in a checkout that pins them."""
    if not path.is_file():
        return []
    lines = re.findall(r"^([\w.-]+==[^\\\n]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    pins = [pin for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate()]
    other = [pin for pin in pins if not pin.specifier.contains(_version(pin.name) or "0", prereleases=True)]
    named = f", not {', '.join(pin.name for pin in other[:3])}{' ...' if len(other) > 3 else ''}" if other else ""
    found = f"{len(pins) - len(other)} of {len(pins)}{named}"
    return [_check("as pinned", found, path.name, not other, "`make install` brings the tested versions", grave=False)]


def _keras():
    """Load Keras in a process of its own: a wrong build can bring the whole process down."""
    answer = subprocess.run([sys.executable, "-c", _LOOK_AT_KERAS], capture_output=True, text=True)
    lines = (answer.stdout if answer.returncode == 0 else answer.stderr).strip().splitlines() or ["no answer"]
    if answer.returncode != 0:
        asked = os.environ.get("KERAS_BACKEND")
        unset = f"unset KERAS_BACKEND, which is {asked}, or install that"
        hint = unset if asked not in (None, "", "tensorflow") else "`pip install --force-reinstall tensorflow keras`"
        return [_check("Keras backend", lines[-1][:120], "loads", False, hint)]
    name, gpus = lines[-1].split()
    return [
        _check("Keras backend", name, "loads", True, None),
        _check("GPU", f"{gpus} seen by {name}" if int(gpus) else "none", "not needed", True, None),
    ]


def _kernel():
    """Look whether Jupyter would start this very Python."""
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


def _browser():
    """Look for a browser to open JupyterLab and the pages in."""
    try:
        found = next((name for name in BROWSERS if shutil.which(name)), None) or webbrowser.get().name
    except webbrowser.Error:
        found = None
    hint = "open the address that `epitome lab --no-browser` prints, on any machine that reaches this one"
    return _check("browser", found, "to read and to learn", bool(found), hint, grave=False)
