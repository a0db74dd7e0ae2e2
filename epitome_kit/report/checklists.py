"""Fill in reporting checklists from the files of a run."""

from importlib import resources
from pathlib import Path

import pandas as pd
from jinja2.environment import TemplateModule

from epitome_kit.files import Json, PathLike
from epitome_kit.report.authored import write_authored
from epitome_kit.report.metadata import gather
from epitome_kit.report.statements import state_facts, template_environment
from epitome_kit.workspace import Workspace

CHECKLISTS = {
    "tripod_ai": ("TRIPOD+AI", "Collins et al., BMJ 2024, doi:10.1136/bmj-2023-078378"),
    "claim": ("CLAIM 2024", "Tejani et al., Radiology: Artificial Intelligence 2024, doi:10.1148/ryai.240300"),
    "metrics": ("METRICS", "Kocak et al., Insights into Imaging 2024, doi:10.1186/s13244-023-01572-w"),
}
"""Title and source of each checklist; the items here are paraphrased, the source has the full wording."""

STATES = ("filled in", "in part", "not done", "not applicable", "for the author")
"""Possible states of an item."""

STATE_OF_FACT = {
    **dict.fromkeys(("computed", "nobody", "not_end_to_end", "same_data", "not_a_trial"), "not applicable"),
    **dict.fromkeys(("not_balanced", "not_updated", "not_external", "not_clusters", "not_fairness"), "not done"),
    **dict.fromkeys(("not_planned", "not_stable", "not_single"), "not done"),
}
"""State of an item whose text begins with one of these facts."""

UNKNOWN = "not found in the files of this folder; please state it"
"""Question to the author where a fact is missing and the checklist has no other question."""


def write_checklists(workspace: PathLike) -> list[Path]:
    """Write ``reporting/tripod_ai.md``, ``claim.md`` and ``metrics.md``.

    Each item is filled in from the files of the run, marked "Not done.", or left as
    a question for the author; many items have both text and a question.

    Parameters
    ----------
    workspace : path
        Folder of a run, complete or not, or output folder of a graded table.

    Returns
    -------
    list of Path
        The three files.

    Raises
    ------
    ParameterError
        The folder is neither.
    OutputError
        The folder cannot be written to.

    References
    ----------
    Collins et al., BMJ 2024, doi:10.1136/bmj-2023-078378
    Tejani et al., Radiology: Artificial Intelligence 2024, doi:10.1148/ryai.240300
    Kocak et al., Insights into Imaging 2024, doi:10.1186/s13244-023-01572-w
    """
    template = template_environment().get_template("checklist.md.j2")
    paths: list[Path] = []
    for name, checklist in fill_in_checklists(workspace).items():
        paths.append(Workspace(Path(workspace)).reporting / f"{name}.md")
        write_authored(paths[-1], template.render(checklist))
    return paths


def fill_in_checklists(workspace: PathLike) -> dict[str, Json]:
    """Fill in every item of the checklists from the files of a folder.

    Parameters
    ----------
    workspace : path
        As for :func:`write_checklists`.

    Returns
    -------
    dict of str to dict
        For each of :data:`CHECKLISTS`: title, source, items (dicts of item,
        section, topic, answer, author, state, and for METRICS weight and
        condition), and counts of each of :data:`STATES`.
    """
    _, facts = state_facts(gather(workspace))
    filled = {}
    for name, (title, source) in CHECKLISTS.items():
        items = [_answer(item, facts) for item in read_items(name)]
        counts = {state: sum(item["state"] == state for item in items) for state in STATES}
        filled[name] = {"title": title, "source": source, "items": items, "counts": counts}
    return filled


def read_items(name: str) -> list[dict[str, str]]:
    """Read the items of one checklist.

    Parameters
    ----------
    name : str
        One of :data:`CHECKLISTS`.

    Returns
    -------
    list of dict
        item (its number), section, topic, facts (names of the facts that
        fill it in), author (question to the author) and asked_of ("people"
        if the question does not apply to simulated scans), all text.
    """
    path = resources.files("epitome_kit.report") / "checklists" / f"{name}.tsv"
    with path.open(encoding="utf-8") as stream:
        return pd.read_csv(stream, sep="\t", dtype=str, keep_default_na=False).to_dict("records")


def _answer(item: dict[str, str], facts: TemplateModule) -> dict[str, str]:
    """Fill in one item and determine its state."""
    texts = {name: text for name in item["facts"].split() if (text := _text(facts, name))}
    answer, state = " ".join(texts.values()), STATE_OF_FACT.get(next(iter(texts), ""))
    author = "" if item["asked_of"] == "people" and _text(facts, "nobody") else item["author"]
    if not answer:
        state, author = "for the author", item["author"] or UNKNOWN
    elif state == "not applicable":
        author = ""
    elif state is None:
        state = "in part" if author else "filled in"
    return {**item, "answer": answer, "author": author, "state": state}


def _text(facts: TemplateModule, name: str) -> str:
    """Return the text of a fact on one line; empty if nothing is known."""
    return " ".join(getattr(facts, name)().split())
