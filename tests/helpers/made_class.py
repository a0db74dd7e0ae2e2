"""A made-up notebook of the kit, with exercises that are quick to mark."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

STAND_IN = """from pathlib import Path
made = 1
from epitome_kit.teach.check_result import Check
def check_number(value, truth, tolerance):
    return Check(value == truth, "Yes." if value == truth else "No.")
"""
COUNT = "with open('trace', 'a') as stream:\n    stream.write('x')"


def cell(id, source, *tags):
    return new_code_cell(source, id=id, metadata={"tags": list(tags)})


def made_up(exercises, start=STAND_IN, *, checks=None):
    """A notebook whose exercises all ask for twice what the kit made, or for what `checks` say."""
    cells = [
        new_markdown_cell("# Made up", id="title"),
        cell("declared", "cohort = 'phantom'\nout = 'x'\nprofile = 'quick'\n", "parameters"),
        cell("start", f"{start}\n{COUNT}"),
    ]
    for name in exercises:
        check = (checks or {}).get(name, f"check_number(my_{name}, 2 * made, tolerance=0)")
        cells += [
            cell(name, f"my_{name} = None", "exercise"),
            cell(f"{name}-s", f"if my_{name} is None:\n    # twice\n    my_{name} = 2 * made", "solution"),
            cell(f"{name}-c", check, "check"),
        ]
    return new_notebook(cells=[*cells, cell("late", "Path(out, 'late').write_text(profile)")])
