"""Write the notebooks of a class, for students without solutions and for instructors with them."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

from epitome_kit.errors import OutputError
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike, write_text
from epitome_kit.folders import is_litter
from epitome_kit.lock import locks
from epitome_kit.run.notebooks import kit_notebooks, notebooks_folder

with needs("lab"):
    from nbconvert import NotebookExporter
    from nbconvert.preprocessors import ClearOutputPreprocessor, Preprocessor, TagRemovePreprocessor
    from nbformat import NotebookNode


class FillInSolutions(Preprocessor):
    """Replace each blank cell tagged ``exercise`` by the code of the ``solution`` below it."""

    def preprocess(self, nb: NotebookNode, resources: Json) -> tuple[NotebookNode, Json]:
        """Fill in the solutions of a notebook."""
        for exercise, solution in zip(tagged(nb, "exercise"), tagged(nb, "solution"), strict=True):
            (when_blank,) = ast.parse(solution.source).body
            lines = solution.source.splitlines()[when_blank.body[0].lineno - 1 :]
            exercise.source = dedent("\n".join(lines))
        return nb, resources


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    """Return the cells of a notebook with a tag, in order."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


@locks("notebooks")
def write_notebooks(out: PathLike, *, solutions: bool = False) -> list[Path]:
    """Write all notebooks of the kit for a class, labs and their files included.

    The notebooks of the kit contain folded solutions, which run if the exercise is
    blank. Students of a class get notebooks *without* solutions: the check of a
    blank exercise reports that there is nothing to check yet, and no later cell
    depends on it, so the notebook still runs. Hints and expected ranges are kept.

    Parameters
    ----------
    out : path
        New or empty folder, so that no answers are overwritten.
    solutions : bool, default=False
        Fill in the solutions, for instructors.

    Returns
    -------
    list of Path
        The notebooks.

    Raises
    ------
    OutputError
        The folder is not empty, or cannot be written to.
    """
    out, folder = Path(out), notebooks_folder()
    if out.exists() and (not out.is_dir() or not all(is_litter(path.name) for path in out.iterdir())):
        raise OutputError("notebooks", "a new or empty folder", str(out), "choose another name")
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
        write_text(written[-1], str(exporter.from_filename(str(source))[0]))
    for source in _other_files(folder):
        target = out / source.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return written


def _other_files(folder: Path) -> Iterator[Path]:
    """Yield the other files in the folder of the notebooks, except hidden ones."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and path.suffix != ".ipynb" and not any(part.startswith((".", "__")) for part in parts):
            yield path
