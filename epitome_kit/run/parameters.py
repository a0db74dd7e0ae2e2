"""Notebook parameters: what a notebook declares, and what it may be given."""

import ast
from difflib import get_close_matches

from epitome_kit.errors import NotebookError, ParameterError
from epitome_kit.workspace import read_notebook

TAG = "parameters"
"""Tag of the one cell that declares the parameters."""


def declared_parameters(path):
    """Read the parameters that a notebook declares, with their defaults.

    Parameters
    ----------
    path : Path
        A notebook with one code cell tagged ``parameters``, which holds
        nothing but literals: a value derived there would not follow when
        papermill injects another one below it.

    Returns
    -------
    dict
        Name to default value, in the order of the cell.

    Raises
    ------
    NotebookError
        No such cell, or more than literals in it.
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


def fit_parameters(declared, given):
    """Give each notebook the parameters that it declares, or refuse.

    Papermill only warns of a name that no notebook knows, and runs with the
    defaults; here that is an error, as is a value of another type.

    Parameters
    ----------
    declared : dict of str to dict
        Notebook name to its declared parameters.
    given : dict
        Values asked for.

    Returns
    -------
    dict of str to dict
        Notebook name to all of its parameters, defaults filled in.

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
                f"a parameter that a selected notebook declares: {', '.join(known)}",
                f"`{name}` = {value!r}",
                f"write `{near[0]}`, if that is what you mean" if near else "look at the notebook's `parameters` cell",
            )
    return {
        notebook: {name: _typed(name, given.get(name, default), default) for name, default in defaults.items()}
        for notebook, defaults in declared.items()
    }


def _statements(source, path):
    try:
        return ast.parse(source).body
    except SyntaxError as error:
        raise _not_literal(path, error.lineno) from error


def _assignment(statement, path):
    """One ``name = literal`` as a pair."""
    try:
        (target,) = statement.targets
        return target.id, ast.literal_eval(statement.value)
    except (AttributeError, TypeError, ValueError) as error:
        raise _not_literal(path, statement.lineno) from error


def _not_literal(path, line):
    return NotebookError(
        "run",
        f"only lines `name = literal` in the `{TAG}` cell of {path.name}",
        f"something else in line {line} of that cell",
        "move everything derived from the parameters to the next cell",
    )


def _typed(name, value, default):
    """`value`, as long as it has the type of `default`; a whole number may stand for a real one."""
    wanted = type(default)
    if wanted is float and type(value) is int:
        return float(value)
    if default is None or type(value) is wanted:
        return value
    raise ParameterError(
        "run",
        f"`{name}` of type {wanted.__name__}, such as {default!r}",
        f"{value!r}, of type {type(value).__name__}",
        f"write a {wanted.__name__}" if wanted is not str else f"put it in double quotes: `-p '{name}=\"{value}\"'`",
    )
