"""A workspace of the kit's own notebooks, as if they had been executed: every kind of output in the first one."""

import base64
import io

import nbformat
from nbformat.v4 import new_code_cell, new_output
from PIL import Image
from tiny import ROOT

from epitome_kit.files import write_json

TABLE = "<table border='1' class='dataframe'><thead><tr><th></th><th>grade</th></tr></thead></table>"


def make_executed(workspace):
    """Make the folder, as far as the book reads it, and return it."""
    shared = {"cohort": "phantom", "out": str(workspace), "profile": "quick", "target": "grade", "seed": 0}
    write_json(workspace / "parameters.json", shared)
    write_json(workspace / "provenance.json", {"versions": {"epitome-kit": "0.1.0"}})
    folder = workspace / "notebooks"
    folder.mkdir()
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        made = new_code_cell(f"out = {str(workspace)!r}", metadata={"tags": ["injected-parameters"]})
        notebook.cells.insert(2, made)
        if path.name.startswith("01"):
            _add_outputs(notebook, workspace)
        nbformat.write(notebook, folder / path.name)
    nbformat.write(notebook, folder / "09_stopped.failed.ipynb")
    return workspace


def _add_outputs(notebook, workspace):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "#0072B2").save(stream, format="png")
    picture = {"image/png": base64.b64encode(stream.getvalue()).decode(), "text/plain": "<Figure>"}
    described = {"image/png": {"alt": 'A blue box, "as [drawn]" by the test.'}}
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "0" * 32}}
    cells[2].outputs = [
        new_output("display_data", data=picture, metadata=described),
        new_output("display_data", data=picture),
        new_output("execute_result", data={"text/html": TABLE, "text/plain": "grade"}, execution_count=1),
    ]
    cells[3].outputs = [
        new_output("display_data", data={**widget, "text/plain": "Output()"}),
        new_output("display_data", data={**widget, "text/plain": "SliceViewer(children=())"}),
        new_output("stream", name="stderr", text="chatter of a library"),
        new_output("stream", text=f"wrote {workspace / 'audit.tsv'}\n"),
    ]
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
