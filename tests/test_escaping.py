"""Text of strangers is shown as text: by Rich, on the terminal, in Markdown and in pages."""

import ast
import io
import json
import re
from pathlib import Path

import mistune
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_workspace import make_workspace
from rich.console import Console
from tiny import write_cohort
from typer.testing import CliRunner

import epitome_kit
from epitome_kit import parallel
from epitome_kit.cli import app
from epitome_kit.cli.printing import show, show_frame
from epitome_kit.cli.terminal import say, say_json
from epitome_kit.errors import CONTROL, EpitomeWarning, ParameterError
from epitome_kit.escaping import from_markdown, markdown
from epitome_kit.files import read_json, read_tsv, write_json, write_tsv
from epitome_kit.report.documents import write_reporting
from epitome_kit.run import progress

NAMES = [
    *("[/red]", "[bold]x[/bold]", ":x:", "[link=https://a.example]x[/link]", "<img src=x onerror=alert(1)>", "=cmd()"),
    *(
        "\x1b[2J\x1b[31m",
        "\x9b31m",
        "a\u202eb",
        "\u2066x",
        "**x**",
        "`x`",
        "| x |",
        "[x](https://a.example)",
        "$x$",
        "\\",
    ),
]
HOSTILE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PACKAGE = Path(epitome_kit.__file__).parent


@pytest.mark.parametrize("name", NAMES)
def test_a_table_shows_names_and_headers_as_they_are(name, capsys):
    show(None, False, [(name, 1)], header=(name, "n"))
    show_frame(pd.DataFrame({name: [name]}), False)
    out = capsys.readouterr().out
    shown = CONTROL.sub(" ", name).strip()
    assert out.replace("\n", "").count(shown) >= 4 and not HOSTILE.search(out)


@pytest.mark.parametrize("name", NAMES)
def test_json_keeps_every_character_and_obeys_none(name, capsys):
    say_json({name: [name, "\udcff"]})
    out = capsys.readouterr().out
    assert json.loads(out) == {name: [name, "\udcff"]} and not HOSTILE.search(out)


@pytest.mark.parametrize("name", NAMES)
def test_progress_warnings_and_errors_show_names_as_they_are(name, capsys, monkeypatch):
    stream = io.StringIO()
    terminal = Console(file=stream, force_terminal=True, markup=False, emoji=False, highlight=False, width=200)
    for module in (parallel, progress):
        monkeypatch.setattr(module, "plain_console", lambda: terminal)
    with parallel.step_bar(name, 2) as advance:
        advance(1)
    lines = progress.ProgressLines([name])
    with lines.running(name, 3) as reached:
        reached(1)
    lines.ended(name, "done", None)
    shown = CONTROL.sub(" ", name).strip()
    assert shown in stream.getvalue() and "\x1b[2J" not in stream.getvalue()
    say(EpitomeWarning(name))
    say(ParameterError("x", name, name, name), err=True)
    said = capsys.readouterr()
    assert shown in said.out and said.err.count("\n") == 3 and not HOSTILE.search(said.out + said.err)


def test_no_verb_ends_by_a_name(tmp_path):
    root = write_cohort(tmp_path / "cohort", subjects=2, contrasts=("T2w",))
    table = read_tsv(root / "participants.tsv")
    printable = [name for name in NAMES if "\x1b" not in name]  # a table that holds it is no text
    more = pd.DataFrame({"participant_id": printable, "grade": 2})
    write_tsv(root / "participants.tsv", pd.concat([table, more], ignore_index=True))
    run = CliRunner()
    for words in (["cohort", "bids", root, tmp_path / "out"], ["inspect", root], ["inspect", tmp_path / "out"]):
        answer = run.invoke(app, [*map(str, words)])
        assert answer.exit_code == 0, answer.output
        assert "[/red]" in answer.output or words[-1] == tmp_path / "out"
        assert not HOSTILE.search(answer.output)


@given(st.text())
def test_markdown_shows_any_text_as_it_is(text):
    shown = str(mistune.create_markdown(escape=True, plugins=["table"])(f"x {markdown(text)} x"))
    assert not re.search("<(?!/?p>)", shown.replace("<br />", "")), "one paragraph, and nothing in it"
    assert from_markdown(markdown(text)) == CONTROL.sub(" ", text)


def test_cards_and_checklists_show_names_as_they_are(tmp_path):
    workspace = make_workspace(tmp_path)
    scores = read_json(workspace / "scores.json")
    named = {name: {"auc": 0.7, "auc_ci95": [0.6, 0.8], "balanced_accuracy": 0.6, "brier": 0.2} for name in NAMES}
    write_json(workspace / "scores.json", {**scores, "probes": named})
    parameters = read_json(workspace / "parameters.json")
    write_json(Path(parameters["cohort"]) / "dataset_description.json", {"Name": " ".join(NAMES)}) if parameters[
        "cohort"
    ] != "phantom" else None
    write_reporting(workspace)
    for path in [workspace / "model_card.md", *(workspace / "reporting").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<!\\)<img", text) and not HOSTILE.search(text), path
    assert r"\<img src=x onerror" in (workspace / "model_card.md").read_text(encoding="utf-8")
    page = (workspace / "model_card.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and "&lt;img src=x onerror" in page and 'href="https://a.example"' not in page


def test_consoles_and_prints_stand_in_one_place():
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in ("Console", "typer.echo", "click.echo", "track", "print", "typer.secho"):
                    found.append(f"{path.relative_to(PACKAGE).as_posix()}: {name}")
    assert set(found) == {"escaping.py: Console", "cli/terminal.py: typer.echo"}
