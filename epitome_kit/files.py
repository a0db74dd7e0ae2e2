"""Files that are either whole or absent: written aside, then renamed."""

import errno
import hashlib
import io
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

from epitome_kit.errors import OutputError
from epitome_kit.system import put_in_place

MOST_TEXT = 64 * 2**20
"""Bytes of the largest text that is read whole: a sidecar, a table."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_FORMULA = re.compile(r"'*[=+\-@\t]")
_PARTIAL = ".partial-"
"""How the name of an unfinished file begins; its process, its machine and the moment (ns) follow."""

_MACHINE = re.sub(r"\W", "", platform.node())
_DAY_S = 24 * 3600


@contextmanager
def whole_file(path):
    """Yield a temporary path beside `path` that takes its place on success.

    Raises
    ------
    OutputError
        The folder cannot be made or written to, or has no room.
    """
    path = Path(path)
    suffix = "".join(path.suffixes[-2:])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f"{_PARTIAL}{os.getpid()}-{_MACHINE}-{time.time_ns()}-"
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=suffix)
    except OSError as error:
        raise OutputError(
            "write",
            "a folder that can be written to",
            f"{path.parent} ({error.strerror})",
            "choose another folder with `--out`, or ask for write permission",
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        put_in_place(temporary, path)
    except OSError as error:
        if error.errno not in _NO_ROOM and not path.is_dir():
            raise
        raise OutputError(
            "write",
            "a file that can be written whole",
            f"{path} ({error.strerror})",
            "make room or choose another folder; the same command goes on from there",
        ) from error
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
    number, machine, moment = (*path.name.removeprefix(_PARTIAL).split("-"), "", "", "")[:3]
    if not (number.isdigit() and moment.isdigit()):
        return True
    begun_s = int(moment) / 1e9
    if machine != _MACHINE:
        return time.time() - begun_s > _DAY_S
    try:
        return psutil.Process(int(number)).create_time() > begun_s
    except psutil.NoSuchProcess:
        return True


def write_text(path, text):
    """Write `text` to `path`, whole or not at all; what is no text in UTF-8 is spelled out."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_matrix(path, matrix):
    """Write a matrix as text, a line a row, eight decimals."""
    write_text(path, "\n".join(" ".join(f"{value:.8f}" for value in row) for row in matrix) + "\n")


def write_json(path, value):
    """Write `value` as JSON; NumPy numbers become plain ones, NaN becomes null."""
    write_text(path, json.dumps(jsonable(value), indent=2, ensure_ascii=False) + "\n")


def read_json(path, *, missing=None):
    """Read a JSON file; where there is none, and `missing` is given, return that.

    Raises
    ------
    ValueError
        No JSON, larger than :data:`MOST_TEXT` or nested without end.
    """
    if missing is not None and not Path(path).is_file():
        return missing
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError("lists in lists without end") from error


def read_text(path):
    """Read a text in UTF-8.

    Raises
    ------
    ValueError
        Another encoding, or larger than :data:`MOST_TEXT`.
    """
    with open(path, "rb") as stream:
        content = stream.read(MOST_TEXT + 1)
    if len(content) > MOST_TEXT:
        raise ValueError(f"more than {MOST_TEXT >> 20} MB of text")
    return content.decode("utf-8-sig")


def write_tsv(path, table):
    """Write a frame as BIDS wants tables: tab-separated, ``n/a`` where empty.

    A text that a spreadsheet would take for a formula gets a ``'`` in front, which
    :func:`read_tsv` takes away; numbers stay as they are, and a carriage return
    becomes a space.
    """
    write_text(path, tsv_text(table))


def tsv_text(table):
    """Give the text that :func:`write_tsv` writes."""
    shown = table.rename(columns=_quoted)
    for name in shown.select_dtypes(exclude=["number", "bool", "datetime"]):
        shown[name] = shown[name].map(_quoted, na_action="ignore")
    return shown.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")


def read_tsv(path):
    """Read a BIDS table; ``n/a`` becomes missing, ``participant_id`` stays text.

    Raises
    ------
    ValueError
        No table in UTF-8, or larger than :data:`MOST_TEXT`.
    """
    return read_tsv_text(read_text(path), dtype={"participant_id": str, "source_id": str})


def read_tsv_text(text, *, dtype=None):
    """Read a table as :func:`read_tsv` does, from its text.

    Parameters
    ----------
    text : str
    dtype : type or dict, default=None
        Of the columns, as for :func:`pandas.read_csv`.
    """
    table = pd.read_csv(io.StringIO(text), sep="\t", na_values=["n/a"], dtype=dtype)
    table = table.rename(columns=unquoted)
    for name in table.select_dtypes(exclude=["number", "bool"]):
        table[name] = table[name].map(unquoted, na_action="ignore")
    return table


def _quoted(value):
    """Put a ``'`` in front of a text that begins as a formula does."""
    if not isinstance(value, str):
        return value
    value = value.replace("\r", " ")  # which ends a row for every reader, in quotes or not
    if not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def unquoted(value):
    """Take away the ``'`` that :func:`write_tsv` put in front of a text."""
    return value[1:] if isinstance(value, str) and value[:1] == "'" and _FORMULA.match(value) else value


def checksum(*paths):
    """SHA-256 over the bytes of one or more files, first 16 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()[:16]


def text_digest(text):
    """SHA-256 over a text, first 16 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def shipped_weights(name):
    """Context that gives the path of weights that come with the package.

    Parameters
    ----------
    name : str
        As in ``weights/<name>.weights.h5``.
    """
    return resources.as_file(resources.files("epitome_kit") / "weights" / f"{name}.weights.h5")


def jsonable(value):
    """Turn a value into plain JSON values, as :func:`write_json` writes it."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [jsonable(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is pd.NA:
        return None
    return value
