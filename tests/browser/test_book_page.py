"""The book in a real browser, from disk: it loads, finds, leads on, and fits a phone."""

import pytest


@pytest.fixture
def opened(watched, book):
    """The first page of the book."""
    watched.goto(book.as_uri(), wait_until="load")
    return watched


def test_pages_load_without_a_complaint_and_without_the_network(opened, book):
    for name in ("index", "notebooks/01_inspect_dataset", "book/glossary", "book/api"):
        opened.goto((book.parent / f"{name}.html").as_uri(), wait_until="load")
        assert opened.evaluate("document.documentElement.scrollWidth") <= opened.viewport_size["width"], name
    assert opened.complaints == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []


def test_the_search_finds_a_word(opened, book):
    opened.goto((book.parent / "search.html").as_uri() + "?q=bias+field", wait_until="load")
    found = opened.locator("ul.search a")
    found.get_by_text("2 · Preprocess").first.wait_for()
    found.get_by_text("Glossary").first.wait_for()
    assert opened.complaints == []


def test_the_navigation_leads_on_and_a_word_to_its_meaning(opened, book):
    if opened.viewport_size["width"] < 1000:
        opened.locator("label.nav-overlay-icon").first.click()
    opened.locator(".sidebar-tree").get_by_role("link", name="2 · Preprocess").click()
    assert opened.url.endswith("notebooks/02_preprocess.html")
    opened.locator("article").get_by_role("link", name="bias field").first.click()
    assert opened.url.endswith("book/glossary.html#term-bias-field")
    assert opened.complaints == []


def test_a_solution_unfolds(opened, book):
    opened.goto((book.parent / "notebooks" / "01_inspect_dataset.html").as_uri(), wait_until="load")
    solution = opened.locator("details").first
    code = solution.locator("pre")
    assert not code.is_visible()
    solution.locator("summary").click()
    assert code.is_visible()
    assert "my_baseline" in code.inner_text()
