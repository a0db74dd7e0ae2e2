"""Record in an executed notebook its inputs and settings, and compare them with the present ones."""

from pathlib import Path
from typing import Any

import epitome_kit
from epitome_kit.errors import NotebookError
from epitome_kit.files import checksum
from epitome_kit.provenance import cohort_checksum
from epitome_kit.resume import explain_difference, statement
from epitome_kit.run.inputs import scan_checksum
from epitome_kit.workspace import RECORD, read_notebook

_IGNORED = "workers", "out"
"""Parameters that do not change the results."""


def describe_work(source: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Describe the settings and inputs of a notebook.

    Parameters
    ----------
    source : Path
        The notebook to execute.
    parameters : dict
        All parameters of the notebook.

    Returns
    -------
    dict
        ``settings`` and ``inputs``, to be stored in the metadata.
    """
    settings = {
        "parameters": {key: value for key, value in parameters.items() if key not in _IGNORED},
        "version": epitome_kit.__version__,
    }
    inputs = {
        "notebook": checksum(source),
        "cohort": cohort_checksum(parameters.get("cohort")),
        "scan and networks": scan_checksum(parameters),
    }
    return statement(settings, inputs)


def read_earlier(target: Path, record: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Read the record of an executed notebook, and explain why the notebook is executed again.

    Parameters
    ----------
    target : Path
        The executed notebook; may be missing.
    record : dict
        From :func:`describe_work`.

    Returns
    -------
    record : dict
        Empty if there is none.
    difference : str or None
        None if the executed notebook is kept, an empty text if there is none yet.
    """
    if not target.is_file():
        return {}, ""
    try:
        earlier = read_notebook(target).metadata.get(RECORD, {})
    except NotebookError:
        return {}, "its record cannot be read"
    return earlier, explain_difference(earlier, record["settings"], record["inputs"]) or None
