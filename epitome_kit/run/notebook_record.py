"""The record in an executed notebook: what it was made from, and whether that is still the same."""

from pathlib import Path
from typing import Any

import epitome_kit
from epitome_kit.errors import NotebookError
from epitome_kit.files import checksum
from epitome_kit.provenance import cohort_checksum
from epitome_kit.resume import explain_difference, statement
from epitome_kit.run.inputs import head_checksum
from epitome_kit.workspace import RECORD, read_notebook

_NO_SETTING = "workers", "out"
"""Parameters that change no result."""


def describe_work(source: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Describe what an executed notebook depends on.

    Parameters
    ----------
    source : Path
        The notebook that is executed.
    parameters : dict

    Returns
    -------
    dict
        ``settings`` and ``inputs``, to be kept in the metadata.
    """
    settings = {
        "parameters": {key: value for key, value in parameters.items() if key not in _NO_SETTING},
        "version": epitome_kit.__version__,
    }
    inputs = {
        "notebook": checksum(source),
        "cohort": cohort_checksum(parameters.get("cohort")),
        "scan and networks": head_checksum(parameters),
    }
    return statement(settings, inputs)


def read_earlier(target: Path, record: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Read the record of an executed notebook, and say why it cannot be kept.

    Parameters
    ----------
    target : Path
        The executed notebook, which need not be there.
    record : dict
        From :func:`describe_work`.

    Returns
    -------
    (dict, str or None)
        Its record; and None where it can be kept, an empty text where there is
        none yet, else the difference.
    """
    if not target.is_file():
        return {}, ""
    try:
        earlier = read_notebook(target).metadata.get(RECORD, {})
    except NotebookError:
        return {}, "its record cannot be read"
    return earlier, explain_difference(earlier, record["settings"], record["inputs"]) or None
