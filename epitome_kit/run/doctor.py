"""The doctor: looks whether this machine and its packages can run the kit."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version

import psutil

MEMORY_GB, DISK_GB, CORES = 2.0, 3.0, 2
"""What a run at profile quick needs: free memory, free disk, and cores to be quick."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def examine(folder="."):
    """Check the machine, the packages and Keras.

    Parameters
    ----------
    folder : path, default="."
        Where runs would be written.

    Returns
    -------
    list of dict
        what, found, needed, state ("ok", "weak" or "missing") and hint (None
        when ok). Only "missing" stands in the way of a run.
    """
    memory, disk = psutil.virtual_memory().available / 1e9, shutil.disk_usage(folder).free / 1e9
    cores = os.cpu_count() or 1
    browser = next((name for name in BROWSERS if shutil.which(name)), None)
    return [
        _check("Python", sys.version.split()[0], "3.11 to 3.13", _python_ok(), "install Python 3.12"),
        _check("free memory", f"{memory:.1f} GB", f"{MEMORY_GB} GB", memory >= MEMORY_GB, "close other programs"),
        _check("free disk", f"{disk:.1f} GB", f"{DISK_GB} GB", disk >= DISK_GB, "make room, or use `--out`"),
        _check("cores", cores, CORES, cores >= CORES, "nothing is wrong, runs take longer", grave=False),
        *_packages(),
        _keras(),
        _check("Chromium", browser, "for tests of the page", bool(browser), "`apt-get install chromium`", grave=False),
    ]


def _check(what, found, needed, passed, hint, *, grave=True):
    state = "ok" if passed else "missing" if grave else "weak"
    return {"what": what, "found": found, "needed": needed, "state": state, "hint": None if passed else hint}


def _python_ok():
    return (3, 11) <= sys.version_info[:2] <= (3, 13)


def _packages():
    """Compare every package that the kit requires with what is installed."""
    try:
        required = [line for line in requires("epitome-kit") if ";" not in line]
    except PackageNotFoundError:
        hint = "`pip install -e .` in the folder of the kit, or `make install`"
        return [_check("epitome-kit", None, "installed", False, hint, grave=False)]
    return [_package(*re.fullmatch(r"([\w.-]+)(?:>=([\d.]+))?.*", line).groups()) for line in required]


def _package(name, least):
    try:
        found = version(name)
    except PackageNotFoundError:
        found = None
    passed = found is not None and _numbers(found) >= _numbers(least or "0")
    return _check(name, found, f">= {least}" if least else "any", passed, f"`pip install --upgrade {name}`")


def _numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)][:3]


def _keras():
    """Load Keras in a process of its own: a wrong build can bring the whole process down."""
    code = "import keras; print(keras.backend.backend())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = (answer.stdout if answer.returncode == 0 else answer.stderr).strip().splitlines() or ["no answer"]
    hint = "`pip install --force-reinstall tensorflow keras`"
    return _check("Keras backend", lines[-1][:120], "loads", answer.returncode == 0, hint)
