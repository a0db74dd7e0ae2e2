"""The book: built from executed notebooks without a warning, complete, described, and without the network."""

import re
import runpy
from html.parser import HTMLParser
from urllib.parse import unquote

import nbformat
import pytest
from tiny import ROOT

import epitome_kit
from epitome_kit import plotting, teach, widgets
from epitome_kit.errors import ParameterError

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").rglob("*.ipynb"))
WORDS = (
    *("bias field", "Dice", "RANO", "affine", "AUC", "calibration", "leakage", "epitome", "conformal interval"),
    *("mutual information", "out of fold", "phantom", "U-Net", "voxel", "N4", "permutation p", "sparse annotation"),
)


class Page(HTMLParser):
    """Tags of a page and what is written in it."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def pages(book):
    """Every page of the book by its address."""
    folder = book.parent
    return {path.relative_to(folder).as_posix(): Page(path) for path in sorted(folder.rglob("*.html"))}


def test_every_notebook_that_ran_to_its_end_has_a_page_and_is_in_the_navigation(pages):
    linked = {attrs["href"] for tag, attrs in pages["index.html"].tags if tag == "a" and "href" in attrs}
    assert {f"notebooks/{name}.html" for name in NOTEBOOKS} <= pages.keys() & linked
    assert not [name for name in pages if "stopped" in name]


def test_every_public_name_is_in_the_reference(pages):
    names = {f"epitome_kit.{name}" for name in epitome_kit.__all__ if name != "__version__"}
    names |= {f"{room.__name__}.{name}" for room in (plotting, teach, widgets) for name in room.__all__}
    for name in names:
        page = pages[f"book/api/{name}.html"]
        assert name in {attrs.get("id") for _, attrs in page.tags}
        assert "Returns" in page.text or "Parameters" in page.text, name


def test_every_picture_is_described(pages):
    texts = {name: [attrs.get("alt") for tag, attrs in page.tags if tag == "img"] for name, page in pages.items()}
    assert not {name for name, alts in texts.items() if not all(alts)}
    assert texts["notebooks/01_inspect_dataset.html"] == [
        'A blue box, "as drawn" by the test.',
        "Figure of the cell above",
    ]
    assert len(texts["index.html"]) == 1 and len(texts["index.html"][0]) > 80


def test_nothing_is_loaded_from_the_network(pages, book):
    for name, page in pages.items():
        loaded = [attrs.get("src") for tag, attrs in page.tags if tag in ("script", "img", "iframe", "source")]
        loaded += [attrs.get("href") for tag, attrs in page.tags if tag == "link" and attrs.get("rel") != "canonical"]
        assert not [address for address in loaded if address and re.match(r"(https?:)?//", address)], name
    for style in (book.parent / "_static").rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style.name


def test_outputs_are_kept_and_what_belongs_to_the_machine_is_not(pages, book):
    page = pages["notebooks/01_inspect_dataset.html"]
    assert "In JupyterLab there are sliders here" in page.text
    assert page.text.count("In JupyterLab there are sliders here") == 1
    assert "wrote runs/latest/audit.tsv" in page.text
    assert "chatter" not in page.text
    assert not [name for name, page in pages.items() if str(book.parent.parent) in page.text]


def test_solutions_are_folded(pages):
    page = pages["notebooks/01_inspect_dataset.html"]
    assert page.text.count("Show the solution") == 3
    assert not [attrs for tag, attrs in page.tags if tag == "details" and "open" in attrs]


def test_words_in_bold_lead_to_the_glossary(pages):
    links = [attrs.get("href", "") for tag, attrs in pages["notebooks/02_preprocess.html"].tags if tag == "a"]
    assert "../book/glossary.html#term-bias-field" in links


def test_the_glossary_explains_each_word_in_two_sentences():
    body = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8").partition("```{glossary}\n")[2]
    entries = body.partition("\n```")[0].split("\n\n")
    explained = {line for entry in entries for line in entry.splitlines() if not line.startswith(" ")}
    assert not set(WORDS) - explained
    assert len(entries) >= 40
    for entry in entries:
        *terms, meaning = entry.splitlines()
        assert terms and meaning.startswith("  "), entry
        assert len(re.findall(r"[.?!](?= [A-Z0-9*`]|$)", re.sub(r"\([^)]*\)", "", meaning))) >= 2, entry


def test_references_are_listed_once_with_their_address(pages):
    links = [attrs.get("href", "") for tag, attrs in pages["book/references.html"].tags if tag == "a"]
    dois = [link for link in links if link.startswith("https://doi.org/10.")]
    cited = {
        doi
        for name in (ROOT / "notebooks").rglob("*.ipynb")
        for doi in re.findall(r"doi:(10\.\S+)", nbformat.read(name, as_version=4).cells[-1].source)
    }
    assert {unquote(link.removeprefix("https://doi.org/")) for link in dois} == cited


def test_without_a_run_it_says_what_to_do(tmp_path):
    build_book = runpy.run_path(str(ROOT / "book" / "build.py"))["build_book"]
    with pytest.raises(ParameterError, match="Try: run `make run` first"):
        build_book(tmp_path, tmp_path / "site")
