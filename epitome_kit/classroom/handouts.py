"""Notebooks for a class: one set for students, without solutions, and one for whoever teaches."""

import ast
import shutil
from pathlib import Path
from textwrap import dedent

from epitome_kit.errors import OutputError
from epitome_kit.extras import needs
from epitome_kit.files import write_text
from epitome_kit.run.notebooks import kit_notebooks, notebooks_folder

with needs("lab"):
    from nbconvert import NotebookExporter
    from nbconvert.preprocessors import ClearOutputPreprocessor, Preprocessor, TagRemovePreprocessor


class FillInSolutions(Preprocessor):
    """Replace each blank answer, in the cell tagged ``exercise``, by what the ``solution`` below it does."""

    def preprocess(self, nb, resources):
        """Fill in the solutions of a notebook."""
        for exercise, solution in zip(tagged(nb, "exercise"), tagged(nb, "solution"), strict=True):
            (when_blank,) = ast.parse(solution.source).body
            lines = solution.source.splitlines()[when_blank.body[0].lineno - 1 :]
            exercise.source = dedent("\n".join(lines))
        return nb, resources


def tagged(notebook, tag):
    """Cells of a notebook that carry a tag, in order."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def write_notebooks(out, *, solutions=False):
    """Write every notebook of the kit, labs and their files included, for a class.

    Who learns alone reads the kit's own notebooks: there a folded solution runs
    when the exercise is blank. In a class that would do the homework. So
    students get notebooks *without* the solution: the check of a blank exercise
    kindly says that there is nothing to check yet, and as no later cell needs an
    answer, everything else runs to the end. Hints and expected ranges stay.

    Parameters
    ----------
    out : path
        A folder that is new or empty: answers are never written over.
    solutions : bool, default=False
        Fill in the solutions, for whoever teaches.

    Returns
    -------
    list of Path
        The notebooks.

    Raises
    ------
    OutputError
        The folder holds something, or cannot be written to.
    """
    out, folder = Path(out), notebooks_folder()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError("notebooks", "a folder that is new or empty", str(out), "choose another name")
    exporter = NotebookExporter()
    for step in (
        *([FillInSolutions()] if solutions else []),
        TagRemovePreprocessor(remove_cell_tags={"solution"}),
        ClearOutputPreprocessor(),
    ):
        exporter.register_preprocessor(step, enabled=True)
    written = []
    for source in kit_notebooks().values():
        written.append(out / source.relative_to(folder))
        write_text(written[-1], exporter.from_filename(str(source))[0])
    for source in _beside(folder):
        target = out / source.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return written


def _beside(folder):
    """Files that stand beside the notebooks, hidden ones left out."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and path.suffix != ".ipynb" and not any(part.startswith((".", "__")) for part in parts):
            yield path
