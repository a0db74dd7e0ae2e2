"""Write the documents of a report: flow of subjects, model card and checklists."""

from pathlib import Path

from epitome_kit.escaping import from_markdown
from epitome_kit.extras import needs
from epitome_kit.files import Json, PathLike
from epitome_kit.report.checklists import fill_in_checklists, write_checklists
from epitome_kit.report.flow import write_flow
from epitome_kit.report.html import write_page
from epitome_kit.report.model_card import write_model_card
from epitome_kit.workspace import Workspace

with needs("lab"):
    import mistune


def write_reporting(workspace: PathLike) -> Json:
    """Write flow figure, model card and checklists of a run, the last two also as HTML.

    Parameters
    ----------
    workspace : path
        Folder of a run, complete or not.

    Returns
    -------
    dict
        ``flow``, path of the figure, or None if there are no subjects to count;
        ``card``, number of items of the model card left to the author, or None
        if nothing was graded; ``checklists``, as returned by
        :func:`epitome_kit.report.checklists.fill_in_checklists`.

    Raises
    ------
    ParameterError
        The folder is not the workspace of a run.
    OutputError
        The folder cannot be written to.
    """
    workspace = Path(workspace)
    flow = write_flow(workspace)
    write_checklists(workspace)
    checklists = fill_in_checklists(workspace)
    for name, checklist in checklists.items():
        write_page(Workspace(workspace).reporting / f"{name}.html", "checklist.html.j2", name=name, **checklist)
    card = _write_card(workspace) if Workspace(workspace).scores.is_file() else None
    return {"flow": flow, "card": card, "checklists": checklists}


def _write_card(workspace: Path) -> int:
    """Write the model card and its page; return the number of items left to the author."""
    text = write_model_card(workspace).read_text(encoding="utf-8")
    title, _, rest = text.partition("\n")
    mark = "<strong>AUTHOR:</strong>"
    body = str(mistune.create_markdown(escape=True, plugins=["table"])(rest))
    body = body.replace(mark, '<span class="chip bad">For the author</span>')
    write_page(
        Workspace(workspace).model_page, "model_card.html.j2", title=from_markdown(title.removeprefix("# ")), body=body
    )
    return text.count("**AUTHOR:**")
