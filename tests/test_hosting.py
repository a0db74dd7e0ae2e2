"""What a public host reads: workflows, templates, the container, the notebook for Colab, and addresses that agree."""

import re

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from test_environment import EXTRAS, PYPROJECT, ROOT

import epitome_kit

VERSION, PROJECT = epitome_kit.__version__, PYPROJECT["project"]
HOME = PROJECT["urls"]["Source"]
WHEEL = f"{HOME}/releases/download/v{VERSION}/epitome_kit-{VERSION}-py3-none-any.whl"
PYTHONS = [
    python for python in (f"3.{minor}" for minor in range(20)) if python in SpecifierSet(PROJECT["requires-python"])
]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def _read(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit_and_keeps_no_token(path):
    steps = [step for job in _read(path)["jobs"].values() for step in job["steps"] if "uses" in step]
    assert steps and all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"]) for step in steps)
    checkouts = [step for step in steps if "/checkout@" in step["uses"]]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert _read(path)["permissions"] == {"contents": "read"}


def test_the_workflow_tests_every_python_on_every_system_that_is_claimed():
    matrix = _read(".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == PYTHONS == ["3.11", "3.12", "3.13"]
    claimed = {name.partition("Programming Language :: Python :: ")[2] for name in PROJECT["classifiers"]}
    assert {name for name in claimed if re.fullmatch(r"3\.\d+", name)} == set(PYTHONS)
    systems = {"Microsoft :: Windows": "windows", "MacOS": "macos", "POSIX :: Linux": "ubuntu"}
    claimed = {
        systems[name.partition("System :: ")[2]] for name in PROJECT["classifiers"] if "Operating System" in name
    }
    assert {system.partition("-")[0] for system in matrix["os"]} == claimed == set(systems.values())


def test_windows_takes_the_way_without_make():
    jobs = _read(".github/workflows/test.yml")["jobs"]
    for job in (jobs["test"], jobs["wheel"]):
        assert not [step["run"] for step in job["steps"] if re.search(r"\bmake\b|\.venv/|\$\(", step.get("run", ""))]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_an_issue_form_has_what_a_host_asks_for(path):
    form = _read(path)
    if path.name == "config.yml":
        assert all(link["url"].startswith(HOME) for link in form["contact_links"])
        return
    assert form["name"] and form["description"]
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in asked}) == len(asked) and all(field["attributes"]["label"] for field in asked)


def test_the_container_has_a_python_that_the_kit_supports():
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM docker\.io/library/python:([\d.]+)-slim$", text, re.MULTILINE)[1] in PYTHONS
    assert "--require-hashes --only-binary :all: -r requirements.lock" in text
    assert re.search("^USER (?!root)", text, re.MULTILINE)


def test_every_address_of_a_wheel_is_that_of_this_version():
    places = [*ROOT.glob("*.md"), *ROOT.glob("book/*.md"), *ROOT.glob("docs/*.ipynb")]
    found = {path: re.findall(r"https://\S+?\.whl", path.read_text(encoding="utf-8")) for path in places}
    assert {address for addresses in found.values() for address in addresses} == {WHEEL}
    assert found[ROOT / "docs" / "colab.ipynb"] and found[ROOT / "book" / "troubleshooting.md"]


def test_the_colab_notebook_installs_extras_that_there_are_and_is_what_the_badge_opens():
    notebook = nbformat.read(ROOT / "docs" / "colab.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].metadata.tags == ["parameters"] and not [cell for cell in code if cell.outputs]
    installed = re.search(r'%pip install --quiet "([^"]+)"', code[1].source)[1]
    assert Requirement(installed.format(source=WHEEL)).extras <= set(EXTRAS)
    badge = f"https://colab.research.google.com/github/{HOME.removeprefix('https://github.com/')}/blob/main/docs/colab.ipynb"
    first = nbformat.read(ROOT / "notebooks" / "01_inspect_dataset.ipynb", as_version=4).cells[0].source
    assert f"]({badge})" in first and "not for diagnosis" in notebook.cells[0].source


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "epitome_kit" / "py.typed").is_file() and "Typing :: Typed" in PROJECT["classifiers"]


def test_the_citation_names_repository_and_licence():
    citation = _read("CITATION.cff")
    assert citation["repository-code"] == HOME and citation["license"] == PROJECT["license"]
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["type"] == "software"
