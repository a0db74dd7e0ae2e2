"""Reporting checklists, filled in from what the files of a run say."""

from importlib import resources

import pandas as pd

from epitome_kit.files import write_text
from epitome_kit.report.metadata import gather
from epitome_kit.report.statements import state_facts, template_environment
from epitome_kit.workspace import Workspace

CHECKLISTS = {
    "tripod_ai": ("TRIPOD+AI", "Collins et al., BMJ 2024, doi:10.1136/bmj-2023-078378"),
    "claim": ("CLAIM 2024", "Tejani et al., Radiology: Artificial Intelligence 2024, doi:10.1148/ryai.240300"),
    "metrics": ("METRICS", "Kocak et al., Insights into Imaging 2024, doi:10.1186/s13244-023-01572-w"),
}
"""Name of each checklist, and where its wording is to be read: here each item has a topic in the kit's own words."""

STATES = ("filled in", "in part", "not done", "not applicable", "for the author")
"""What can have become of an item."""

STATE_OF_FACT = {
    **dict.fromkeys(("computed", "nobody", "not_end_to_end", "same_data", "not_a_trial"), "not applicable"),
    **dict.fromkeys(("not_balanced", "not_updated", "not_external", "not_clusters", "not_fairness"), "not done"),
    **dict.fromkeys(("not_planned", "not_stable", "not_single"), "not done"),
}
"""State of an item that one of these facts opens the answer of."""

UNKNOWN = "the files of this folder do not say; say it yourself"
"""What the author is asked where a fact is missing and the list has no better question."""


def write_checklists(workspace):
    """Write ``reporting/tripod_ai.md``, ``claim.md`` and ``metrics.md``.

    Every item has an answer from the files of the run, a plain "Not done.", or
    a question for the author; many have both an answer and a question.

    Parameters
    ----------
    workspace : path
        Folder of a run, complete or not; or one that grading a table made.

    Returns
    -------
    list of Path

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
    paths = []
    for name, checklist in fill_in_checklists(workspace).items():
        paths.append(Workspace(workspace).reporting / f"{name}.md")
        write_text(paths[-1], template.render(checklist))
    return paths


def fill_in_checklists(workspace):
    """Answer every item of the checklists from what the files of a folder say.

    Parameters
    ----------
    workspace : path

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


def read_items(name):
    """Read the items of one checklist.

    Parameters
    ----------
    name : str
        One of :data:`CHECKLISTS`.

    Returns
    -------
    list of dict
        item (its number), section, topic, facts (names of the facts that
        answer it), author (what the author is asked) and asked_of ("people"
        where that makes no sense for simulated heads), all text.
    """
    path = resources.files("epitome_kit.report") / "checklists" / f"{name}.tsv"
    with path.open(encoding="utf-8") as stream:
        return pd.read_csv(stream, sep="\t", dtype=str, keep_default_na=False).to_dict("records")


def _answer(item, facts):
    """Answer one item, and say what is left for the author."""
    told = {name: " ".join(getattr(facts, name)().split()) for name in item["facts"].split()}
    told = {name: text for name, text in told.items() if text}
    answer, state = " ".join(told.values()), STATE_OF_FACT.get(next(iter(told), None))
    nobody = facts.nobody().strip() and item["asked_of"] == "people"
    author = "" if nobody else item["author"]
    if not answer:
        state, author = "for the author", item["author"] or UNKNOWN
    elif state == "not applicable":
        author = ""
    elif state is None:
        state = "in part" if author else "filled in"
    return {**item, "answer": answer, "author": author, "state": state}
