"""The pages beside the report: readable without a network, and nothing in them is executed."""

import re

import pytest
from made_workspace import make_workspace

from epitome_kit.files import read_json, write_json
from epitome_kit.report.checklists import CHECKLISTS
from epitome_kit.report.documents import write_reporting


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    workspace = make_workspace(tmp_path_factory.mktemp("written"))
    description = workspace.parent.parent / "cohort" / "dataset_description.json"
    write_json(description, {**read_json(description), "Name": "<script>alert(1)</script> | a"})
    return workspace, write_reporting(workspace)


def pages(workspace):
    return [workspace / "model_card.html", *(workspace / "reporting" / f"{name}.html" for name in CHECKLISTS)]


def test_each_document_has_a_page_and_a_text(written):
    for page in pages(written[0]):
        assert page.is_file() and page.with_suffix(".md").is_file()
    assert written[1]["flow"] == written[0] / "reporting" / "flow.png"


def test_the_pages_need_no_network_and_execute_nothing(written):
    for page in pages(written[0]):
        text = page.read_text(encoding="utf-8")
        assert "<script>" not in text and "&lt;script&gt;" in text
        assert not re.search(r"""(src|href)=["']?https?:""", text)
        for link in re.findall(r'href="([^"#:]+)"', text):
            assert link.endswith("index.html") or (page.parent / link).is_file()


def test_the_page_of_a_checklist_shows_what_its_text_says(written):
    workspace, answer = written
    for name, checklist in answer["checklists"].items():
        text = (workspace / "reporting" / f"{name}.html").read_text(encoding="utf-8")
        assert len(re.findall('<th scope="row"', text)) == len(checklist["items"])
        assert text.count('class="ask"') == sum(bool(item["author"]) for item in checklist["items"])


def test_the_model_card_is_counted_and_its_tables_are_tables(written):
    workspace, answer = written
    text = (workspace / "model_card.html").read_text(encoding="utf-8")
    assert answer["card"] == text.count(">For the author</span>") > 3
    assert "<td>AUC</td>" in text and "load_model(&quot;" not in text.partition("<pre>")[0]


def test_without_scores_there_is_no_card(tmp_path):
    workspace = make_workspace(tmp_path)
    (workspace / "scores.json").unlink()
    answer = write_reporting(workspace)
    assert answer["card"] is None and not (workspace / "model_card.html").exists()
    assert answer["flow"].is_file()
