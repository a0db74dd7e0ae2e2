"""Read the parameters that a notebook declares, and check the values given for them."""

import ast
from difflib import get_close_matches
from pathlib import Path

from epitome_kit.errors import NotebookError, ParameterError
from epitome_kit.files import Json, PathLike
from epitome_kit.workspace import read_notebook, stand_in

TAG = "parameters"
"""Tag of the cell that declares the parameters."""


def declared_parameters(path: Path) -> Json:
    """Read the parameters that a notebook declares, with their defaults.

    Parameters
    ----------
    path : Path
        A notebook with one code cell tagged ``parameters`` that holds literals
        only: a derived value would not be updated when papermill injects another
        one below it.

    Returns
    -------
    dict
        Name to default value, in the order of the cell.

    Raises
    ------
    NotebookError
        No such cell, or other code in it.
    """
    cells = [cell for cell in read_notebook(path).cells if TAG in cell.metadata.get("tags", [])]
    if len(cells) != 1 or cells[0].cell_type != "code":
        raise NotebookError(
            "run",
            f"one code cell tagged `{TAG}` in {path.name}",
            f"{len(cells)} cells with that tag",
            "tag the cell that sets the parameters: in JupyterLab, right sidebar, gear, Cell Tags",
        )
    return dict(_assignment(statement, path) for statement in _statements(cells[0].source, path))


def fit_parameters(declared: dict[str, Json], given: Json) -> dict[str, Json]:
    """Assign the given values to the notebooks that declare them.

    Papermill only warns about an unknown name and uses the defaults; here an
    unknown name is an error, as is a value of another type.

    Parameters
    ----------
    declared : dict of str to dict
        Notebook name to its declared parameters.
    given : dict
        Values to set.

    Returns
    -------
    dict of str to dict
        Notebook name to all of its parameters, defaults included.

    Raises
    ------
    ParameterError
        A name that no notebook declares, or a value of the wrong type.
    """
    known = {name: default for defaults in declared.values() for name, default in defaults.items()}
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise ParameterError(
                "run",
                f"a parameter declared by a selected notebook: {', '.join(known)}",
                f"`{name}` = {value!r}",
                f"did you mean `{near[0]}`?" if near else "look at the `parameters` cell of the notebook",
            )
    return {
        notebook: {name: _typed(name, given.get(name, default), default) for name, default in defaults.items()}
        for notebook, defaults in declared.items()
    }


def cohort_value(cohort: PathLike) -> str:
    """Return the absolute path of a cohort, or ``"phantom"``."""
    return "phantom" if str(cohort) == "phantom" else str(Path(cohort).absolute())


def scan_value(scan: PathLike) -> str:
    """Return the absolute path of a scan, since notebooks are executed in the workspace."""
    path = Path(str(scan)).absolute()
    if not path.is_file():
        hint = "check the path; it is relative to the current folder"
        raise ParameterError("run", "an existing scan: .nii, .nii.gz, or a .zip of DICOM", f"{path}, not a file", hint)
    return str(path)


def without_scan(parameters: Json) -> Json:
    """Replace the path of a scan, which may name a person, by a stand-in."""
    return {**parameters, "scan": stand_in(parameters["scan"])} if "scan" in parameters else parameters


def _statements(source: str, path: Path) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError as error:
        raise _not_literal(path, error.lineno) from error


def _assignment(statement: ast.stmt, path: Path) -> tuple[str, object]:
    """Read ``name = literal`` as a pair."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            try:
                return name, ast.literal_eval(value)
            except (TypeError, ValueError) as error:
                raise _not_literal(path, statement.lineno) from error
    raise _not_literal(path, statement.lineno)


def _not_literal(path: Path, line: int | None) -> NotebookError:
    return NotebookError(
        "run",
        f"only lines `name = literal` in the `{TAG}` cell of {path.name}",
        f"other code in line {line} of that cell",
        "move derived values to the next cell",
    )


def _typed(name: str, value: object, default: object) -> object:
    """Return `value` if it has the type of `default`; an int is accepted for a float."""
    expected = type(default)
    if expected is float and isinstance(value, int) and type(value) is int:
        return float(value)
    if default is None or type(value) is expected:
        return value
    raise ParameterError(
        "run",
        f"`{name}` of type {expected.__name__}, such as {default!r}",
        f"{value!r}, of type {type(value).__name__}",
        f"put it in double quotes: `-p '{name}=\"{value}\"'`" if expected is str else f"use type {expected.__name__}",
    )
