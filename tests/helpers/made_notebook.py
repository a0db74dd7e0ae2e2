"""Made-up notebooks for the runner: a cell of parameters, and code."""

import nbformat
from nbformat.v4 import new_code_cell, new_notebook


def write_notebook(path, declared, code):
    """Write a notebook out of its parameters and one cell; returns its path."""
    cells = [new_code_cell(declared, metadata={"tags": ["parameters"]}), new_code_cell(code)]
    nbformat.write(new_notebook(cells=cells), path)
    return path
