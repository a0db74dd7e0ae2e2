"""Check the file of a network before Keras reads it: what it unpacks to, and what it would allocate."""

import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

from epitome_kit.errors import ParameterError
from epitome_kit.files import Json, PathLike
from epitome_kit.folders import open_file

MOST_BYTES = 512 * 2**20
"""Maximum size of a network once it is unpacked."""

MOST_CONFIG = 4 * 2**20
"""Maximum size of the description of its layers."""

_MOST_UNITS = 4096
_MOST_VALUES = 200_000_000
_WIDTHS = {"units", "filters", "output_dim", "input_dim", "num_heads", "key_dim", "target_shape", "size"}
_HINT = "make the network again with the command that wrote it, or leave it out"


def bad_model(path: PathLike, found: str, *, where: str, expected: str = "a network of the kit") -> ParameterError:
    """Make the error for a network that cannot be used; `found` says why."""
    received = f"{path} ({' '.join(found.split())[:160] or 'unreadable'})"
    return ParameterError(where, expected, received, _HINT)


def read_config(path: PathLike, *, where: str, expected: str = "a network of the kit") -> Json:
    """Read the description of a network's layers, once the sizes in its file were checked.

    Parameters
    ----------
    path : path
        File ``.keras``.
    where : str
        The step to name in an error.
    expected : str, default="a network of the kit"
        What to expect in an error.

    Returns
    -------
    dict
        Content of ``config.json``.

    Raises
    ------
    ParameterError
        Not such a file; larger than :data:`MOST_BYTES` or :data:`MOST_CONFIG` once it is
        unpacked; or with layers or inputs larger than any network of the kit.
    """
    path = Path(path)
    if path.suffix != ".keras" or not path.is_file():  # other formats have no safe mode
        raise bad_model(path, "not a `.keras` file", where=where, expected=expected)
    try:
        with open_file(path) as stream, zipfile.ZipFile(stream) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            if sum(sizes.values()) > MOST_BYTES or sizes["config.json"] > MOST_CONFIG:
                found = f"{sum(sizes.values()) >> 20} MB unpacked, {sizes['config.json'] >> 20} of them about layers"
                raise bad_model(path, found, where=where, expected=expected)
            config = json.loads(archive.read("config.json"))
        large = next(_too_large(config), None)
    except ParameterError:
        raise
    except Exception as error:  # a damaged archive can raise anything in its reader
        raise bad_model(path, f"{type(error).__name__}: {error}", where=where, expected=expected) from error
    if large:
        raise bad_model(path, large, where=where, expected=expected)
    return config


def _too_large(value: object, name: str = "") -> Iterator[str]:
    """Yield what in a configuration would allocate more than any network of the kit does."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _too_large(item, key)
    elif isinstance(value, list):
        whole = [each for each in value if isinstance(each, int) and not isinstance(each, bool)]
        if "shape" in name and math.prod(abs(each) or 1 for each in whole) > _MOST_VALUES:
            yield f"{name} of {' x '.join(map(str, whole[:6]))}"
        for each in value:
            if not isinstance(each, int):
                yield from _too_large(each, name)
    elif name in _WIDTHS and isinstance(value, (int, float)) and value > _MOST_UNITS:
        yield f"{name} of {value:,}"
