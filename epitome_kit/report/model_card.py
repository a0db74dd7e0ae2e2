"""Write the model card: purpose, data, performance and limits of a model."""

from pathlib import Path

from epitome_kit.errors import ParameterError
from epitome_kit.escaping import markdown
from epitome_kit.files import Json, PathLike
from epitome_kit.report.authored import write_authored
from epitome_kit.report.metadata import MODELS, gather
from epitome_kit.report.statements import state_facts, template_environment
from epitome_kit.workspace import Workspace


def write_model_card(out: PathLike, *, provenance: Json | None = None) -> Path:
    """Write ``model_card.md`` from the files of a folder; missing information is marked for the author.

    Parameters
    ----------
    out : path
        Workspace of a run, or output folder of a graded table.
    provenance : dict, default=None
        From :func:`epitome_kit.provenance.describe_run`, for a folder without
        ``provenance.json``.

    Returns
    -------
    Path
        The card.

    Raises
    ------
    ParameterError
        Nothing was graded in `out`.
    OutputError
        The folder cannot be written to.

    References
    ----------
    Mitchell et al., FAT* 2019, doi:10.1145/3287560.3287596
    """
    out = Path(out)
    if not Workspace(out).scores.is_file():
        raise ParameterError(
            "write_model_card", "a folder with scores.json", f"{out}", "grade first: `epitome grade --help`"
        )
    values, facts = state_facts(markdown(gather(out, provenance=provenance)))
    asked: list[str] = []

    def ask(question: str) -> str:
        """Mark a question to the author and count it."""
        asked.append(question)
        return f"**AUTHOR:** {question}"

    template = template_environment().get_template("model_card.md.j2")
    text = template.render(values, say=facts, ask=ask, asked=asked, modules=MODELS)
    write_authored(Workspace(out).model_card, "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n")
    return Workspace(out).model_card
