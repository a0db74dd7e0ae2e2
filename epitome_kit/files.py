"""Files that are either whole or absent: written aside, then renamed."""

import hashlib
import json
import os
import platform
import re
import tempfile
import time
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from epitome_kit.errors import BadOutput

_PARTIAL = ".partial-"
"""How the name of an unfinished file begins; the number of its process and the name of its machine follow."""

_MACHINE = re.sub(r"\W", "", platform.node())
_DAY_S = 24 * 3600


@contextmanager
def whole_file(path):
    """Yield a temporary path beside `path` that takes its place on success.

    Raises
    ------
    BadOutput
        The folder cannot be made or written to.
    """
    path = Path(path)
    suffix = "".join(path.suffixes[-2:])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{_PARTIAL}{os.getpid()}-{_MACHINE}-", suffix=suffix)
    except OSError as error:
        raise BadOutput(
            "write",
            "a folder that can be written to",
            f"{path.parent} ({error.strerror})",
            "choose another folder with `--out`, or ask for write permission",
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_abandoned(folder):
    """Remove the unfinished files that killed processes left anywhere under `folder`."""
    for path in Path(folder).rglob(f"{_PARTIAL}*"):
        if _abandoned(path):
            path.unlink(missing_ok=True)


def _abandoned(path):
    """Whether the process that began a file is gone, and its number free or taken by a later one.

    The processes of another machine cannot be seen from here: what they began is left for a day.
    """
    number, _, rest = path.name.removeprefix(_PARTIAL).partition("-")
    try:
        if rest.partition("-")[0] != _MACHINE:
            return time.time() - path.stat().st_mtime > _DAY_S
        return not number.isdigit() or psutil.Process(int(number)).create_time() > path.stat().st_mtime
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True


def write_text(path, text):
    """Write `text` to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Write `value` as JSON; NumPy numbers become plain ones, NaN becomes null."""
    write_text(path, json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n")


def read_json(path):
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_tsv(path, table):
    """Write a frame as BIDS wants tables: tab-separated, ``n/a`` where empty."""
    write_text(path, table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n"))


def read_tsv(path):
    """Read a BIDS table; ``n/a`` becomes missing, ``participant_id`` stays text."""
    return pd.read_csv(path, sep="\t", na_values=["n/a"], dtype={"participant_id": str, "source_id": str})


def checksum(*paths):
    """SHA-256 over the bytes of one or more files, first 16 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()[:16]


def shipped_weights(name):
    """Context that gives the path of weights that come with the package.

    Parameters
    ----------
    name : str
        As in ``weights/<name>.weights.h5``.
    """
    return resources.as_file(resources.files("epitome_kit") / "weights" / f"{name}.weights.h5")


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is pd.NA:
        return None
    return value
