"""Read and write files; a file is written whole or not at all."""

import errno
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitome_kit.errors import OutputError
from epitome_kit.folders import open_file, refuse_links
from epitome_kit.system import put_in_place
from epitome_kit.temporary import PARTIAL, owned_name

PathLike = str | os.PathLike[str]
"""Path to a file or folder."""

Json = dict[str, Any]
"""JSON object: names and values."""

MOST_TEXT = 64 * 2**20
"""Maximum size of a text file, such as a sidecar or a table, in bytes."""

MOST_NOTES = 4 * 2**20
"""Maximum size of a sidecar, in bytes."""

MOST_COLUMNS = 20_000
"""Maximum number of columns of a table."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_FORMULA = re.compile(r"'*[=+\-@\t]")


@contextmanager
def whole_file(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success the file is renamed to `path`.

    Parameters
    ----------
    path : path
        File to write; its folder is created if needed.

    Yields
    ------
    Path
        Temporary file, removed on failure.

    Raises
    ------
    OutputError
        The folder cannot be created or written to, or the disk is full.
    """
    path = Path(path)
    suffix = "".join(path.suffixes[-2:])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=owned_name(PARTIAL), suffix=suffix)
    except OSError as error:
        raise OutputError(
            "write",
            "a writable folder",
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
            "room for the whole file",
            f"{path} ({error.strerror})",
            "free some space or choose another folder, then run the same command again to continue",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_output(out: PathLike, *, where: str) -> None:
    """Create a folder; raise an error if it cannot be written to, or holds links that lead out of it."""
    with whole_file(Path(out) / ".writable"):
        pass
    (Path(out) / ".writable").unlink(missing_ok=True)
    refuse_links(out, where=where)


def write_text(path: PathLike, text: str) -> None:
    """Write text as UTF-8, whole or not at all; characters that UTF-8 cannot encode are escaped."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_matrix(path: PathLike, matrix: np.ndarray) -> None:
    """Write a matrix as text: one line per row, eight decimals."""
    write_text(path, "\n".join(" ".join(f"{value:.8f}" for value in row) for row in matrix) + "\n")


def write_json(path: PathLike, value: object) -> None:
    """Write `value` as JSON; NumPy numbers become plain numbers, NaN becomes null."""
    write_text(path, json.dumps(jsonable(value), indent=2, ensure_ascii=False) + "\n")


def read_json(path: PathLike, *, missing: Json | None = None, most: int = MOST_TEXT) -> Json:
    """Read a JSON file, or return `missing`, if given, where the file does not exist.

    Parameters
    ----------
    path : path
        File to read.
    missing : dict, default=None
        Returned where there is no file; None raises instead.
    most : int, default=MOST_TEXT
        Maximum size in bytes.

    Returns
    -------
    dict
        Other JSON values are returned unchecked.

    Raises
    ------
    ValueError
        Invalid JSON, larger than `most`, or nested too deeply.
    """
    if missing is not None and not Path(path).is_file():
        return missing
    try:
        return json.loads(read_text(path, most=most))
    except RecursionError as error:
        raise ValueError("lists nested too deeply") from error


def read_text(path: PathLike, *, most: int = MOST_TEXT) -> str:
    """Read a text file in UTF-8.

    Parameters
    ----------
    path : path
        File to read.
    most : int, default=MOST_TEXT
        Maximum size in bytes.

    Returns
    -------
    str
        Without a byte order mark.

    Raises
    ------
    ValueError
        Another encoding, or larger than `most`.
    OSError
        See :func:`epitome_kit.folders.open_file`.
    """
    with open_file(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most / 2**20:.3g} MB of text")
    return content.decode("utf-8-sig")


def write_tsv(path: PathLike, table: pd.DataFrame) -> None:
    """Write a table as BIDS requires: tab-separated, ``n/a`` for missing values.

    Text that a spreadsheet would read as a formula gets a ``'`` in front, which
    :func:`read_tsv` removes. Numbers are not changed, and a carriage return becomes
    a space.

    Parameters
    ----------
    path : path
        File to write.
    table : DataFrame
        Its index is not written.
    """
    write_text(path, tsv_text(table))


def tsv_text(table: pd.DataFrame) -> str:
    """Return the text that :func:`write_tsv` writes."""
    shown = table.rename(columns=_quoted)
    for name in shown.select_dtypes(exclude=["number", "bool", "datetime"]):
        shown[name] = shown[name].map(_quoted, na_action="ignore")
    return shown.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")


def read_tsv(path: PathLike) -> pd.DataFrame:
    """Read a BIDS table; ``n/a`` becomes missing, ``participant_id`` is read as text.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    DataFrame
        One row per line.

    Raises
    ------
    ValueError
        Not a table in UTF-8, or larger than :data:`MOST_TEXT`.
    """
    return read_tsv_text(read_text(path), dtype={"participant_id": str, "source_id": str})


def read_tsv_text(text: str, *, dtype: type | dict[str, type] | None = None) -> pd.DataFrame:
    """Read a table from text, as :func:`read_tsv` does from a file.

    Parameters
    ----------
    text : str
        Lines of cells separated by tabs; the first line holds the names.
    dtype : type or dict, default=None
        Type of the columns, as for :func:`pandas.read_csv`.

    Returns
    -------
    DataFrame
        One row per line.
    """
    columns = text.partition("\n")[0].count("\t") + 1
    if columns > MOST_COLUMNS:
        raise ValueError(f"{columns:,} columns, where at most {MOST_COLUMNS:,} are read")
    table = pd.read_csv(io.StringIO(text), sep="\t", na_values=["n/a"], dtype=dtype)
    table = table.rename(columns=unquoted)
    for name in table.select_dtypes(exclude=["number", "bool"]):
        table[name] = table[name].map(unquoted, na_action="ignore")
    return table


def _quoted(value: object) -> object:
    """Put a ``'`` in front of text that starts like a formula."""
    if not isinstance(value, str):
        return value
    value = value.replace("\r", " ")  # every reader takes it for the end of a row, even in quotes
    if not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def unquoted(value: object) -> object:
    """Remove the ``'`` that :func:`write_tsv` put in front of text."""
    return value[1:] if isinstance(value, str) and value[:1] == "'" and _FORMULA.match(value) else value


def checksum(*paths: PathLike) -> str:
    """Return the first 16 hex digits of the SHA-256 of one or more files."""
    digest = hashlib.sha256()
    for path in paths:
        with open_file(path) as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()[:16]


def text_digest(text: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def shipped_weights(name: str) -> AbstractContextManager[Path]:
    """Return a context with the path of weights that are part of the package.

    Parameters
    ----------
    name : str
        As in ``weights/<name>.weights.h5``.

    Returns
    -------
    context manager of Path
        The path is valid inside the context.
    """
    return resources.as_file(resources.files("epitome_kit") / "weights" / f"{name}.weights.h5")


def jsonable(value: object) -> Any:
    """Convert a value to plain JSON values, as :func:`write_json` writes them."""
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
