"""The page of a run in a real browser: it loads, shows its figures, and fits a phone."""

import pytest
from made_workspace import make_workspace

from epitome_kit.report.run_page import write_report


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    return write_report(make_workspace(tmp_path_factory.mktemp("made"), figures=True))


@pytest.fixture
def opened(watched, page_path):
    """The page of a run."""
    watched.goto(page_path.as_uri(), wait_until="load")
    return watched


def test_it_loads_without_a_complaint_and_without_the_network(opened):
    assert "Made-up gliomas" in opened.title()
    assert opened.complaints == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []


def test_every_picture_is_there_and_described(opened):
    pictures = opened.locator("img")
    assert pictures.count() == 9
    assert pictures.evaluate_all("all => all.filter(one => !one.complete || !one.naturalWidth).length") == 0
    assert pictures.evaluate_all("all => all.filter(one => one.alt.length < 20).length") == 0


def test_the_key_figures_can_be_seen(opened):
    cards = opened.locator("[aria-labelledby=figures-title] .card")
    assert cards.count() == 6
    for words in (
        "0.81",
        "0.68 to 0.92",
        "n = 46",
        "always the larger class 0.65",
        "oracle on latents (population) 0.90",
    ):
        assert opened.locator(".cards").get_by_text(words).first.is_visible(), words
    assert opened.get_by_text("For teaching and research, not for diagnosis").first.is_visible()
    assert opened.locator(".step").count() == 6


def test_it_fits_the_window(opened, screenshots):
    width = opened.viewport_size["width"]
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    shot = screenshots / f"report_{width}.png"
    opened.screenshot(path=shot, full_page=True)
    assert shot.stat().st_size > 50_000


def test_text_stands_out_from_its_ground(opened):
    """WCAG AA asks for a contrast of 4.5 between letters and what is behind them."""
    weakest = opened.evaluate(
        """() => {
          const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const numbers = text => text.match(/[\\d.]+/g).map(Number);
          const ground = node => {
            for (; node; node = node.parentElement) {
              const colour = numbers(getComputedStyle(node).backgroundColor);
              if (colour.length === 3 || colour[3] > 0) return colour;
            }
            return [255, 255, 255];
          };
          const words = [...document.querySelectorAll('body *:not(svg *)')]
            .filter(node => [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()));
          return Math.min(...words.map(node => {
            const pair = [light(numbers(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
            return (pair[0] + 0.05) / (pair[1] + 0.05);
          }));
        }"""
    )
    assert weakest >= 4.5


def test_a_link_opens_the_notebook_and_leads_back(opened, page_path):
    opened.get_by_role("link", name="Read the notebook of step 4, Grade").click()
    assert opened.url.endswith("notebooks/04_grade_with_ann.html")
    opened.get_by_role("link", name="Back to the report").click()
    assert opened.url == page_path.as_uri()
    assert opened.complaints == []


def test_the_environment_unfolds(opened):
    folded = opened.get_by_text("git_commit")
    assert not folded.is_visible()
    opened.get_by_text("Parameters, environment and machine").click()
    assert folded.is_visible()
