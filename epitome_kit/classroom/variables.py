"""Variables of a notebook of the kit at one exercise, kept so that each answer starts from fresh ones.

They are pickled by the process that ran the kit's cells alone; what a student's process writes is never unpickled.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
from matplotlib.figure import Figure

from epitome_kit.files import whole_file

_OF_THE_SHELL = {"In", "Out", "get_ipython", "exit", "quit", "open", "display"}


class Exercise(NamedTuple):
    """One exercise, and the state of the notebook in which it is answered.

    Attributes
    ----------
    id : str
        Of its cell.
    names : list of str
        Variables that the answer sets.
    check : str
        Code of the kit that checks them.
    state : str
        File of its variables.
    digest : str
        Of that file.
    """

    id: str
    names: list[str]
    check: str
    state: str
    digest: str


def keep_variables(variables: dict[str, Any], path: str) -> None:
    """Write the variables of a notebook to a file.

    Parameters
    ----------
    variables : dict
        As from ``globals()``. Figures, widgets and what cannot be pickled are left
        out, as are names that begin with an underscore.
    path : str
    """
    kept = {
        name: value
        for name, value in variables.items()
        if not name.startswith("_") and name not in _OF_THE_SHELL and not _is_shown(value)
    }
    try:
        content = cloudpickle.dumps(kept)
    except Exception:  # one of them, of whatever kind, cannot be pickled
        content = cloudpickle.dumps({name: value for name, value in kept.items() if _can_be_pickled(value)})
    with whole_file(path) as partial:
        partial.write_bytes(content)


def load_variables(path: Path, digest: str) -> dict[str, Any]:
    """Load variables that :func:`keep_variables` wrote.

    Parameters
    ----------
    path : Path
    digest : str
        From :func:`digest_of`, when they were written.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        The file was altered since.
    """
    content = path.read_bytes()
    if digest_of(content) != digest:
        raise ValueError(f"{path.name} was altered")
    return cloudpickle.loads(content)


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of the content of a file, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _is_shown(value: object) -> bool:
    """Whether it is a figure or a widget; widgets are looked for by module, so that ipywidgets is not imported."""
    modules = {each.__module__.partition(".")[0] for each in type(value).__mro__}
    return isinstance(value, Figure) or "ipywidgets" in modules


def _can_be_pickled(value: object) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:  # as above
        return False
    return True
