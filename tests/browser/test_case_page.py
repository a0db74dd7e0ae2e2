"""The case page as visitors meet it: from a file to a sheet, each alone, and nothing without the token."""

import signal
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from case_client import case_process
from made_model import make_model
from playwright.sync_api import expect

from epitome_kit.case.phantoms import PHANTOMS
from epitome_kit.files import read_json, write_json
from epitome_kit.simulate.phantom import make_phantom_cohort

PATIENCE_MS = 240_000
SCRIPT = "<img src=x onerror=alert(1)>.nii"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of a workspace that grades, and of the simulated heads, coarse ones to spare time."""
    folder = tmp_path_factory.mktemp("runs")
    make_model(folder / "made")
    cohort = folder / "cohorts" / f"phantom_quick_n{len(PHANTOMS)}_seed2026"
    make_phantom_cohort(cohort, subjects=len(PHANTOMS), seed=2026, spacing_mm=(5, 5, 5))
    recipe = cohort / "derivatives" / "truth" / "recipe.json"
    write_json(recipe, {**read_json(recipe), "spacing_mm": [2.0, 2.0, 2.0]})
    return folder


@pytest.fixture(scope="module")
def case_server(runs):
    """Address with the token, and the process, of a server with two places."""
    with case_process(runs, runs / "made", "--visitors", 2, "--upload-mb", 3) as server:
        yield server


@pytest.fixture(scope="module")
def visitors(browser, case_server):
    """Two pages of two visitors, each in a browser of their own."""
    contexts = [browser.new_context(viewport={"width": 1000, "height": 900}) for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.complaints = []
        page.on("pageerror", lambda error, page=page: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog, page=page: page.complaints.append("a dialog"))
        page.goto(case_server[0], timeout=PATIENCE_MS, wait_until="commit")
    for page in pages:
        page.get_by_role("button", name="Analyse this scan").wait_for(timeout=PATIENCE_MS)
    yield pages
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def read(visitors, runs, screenshots):
    """Page of the first visitor, who has sent two scans and got the findings."""
    page, _ = visitors
    page.get_by_label("A scan of my own").check()
    folder = runs / "cohorts" / f"phantom_quick_n{len(PHANTOMS)}_seed2026" / "sub-001" / "anat"
    send(page, sorted(folder.glob("*.nii.gz")))
    expect(page.locator("select")).to_have_count(2, timeout=PATIENCE_MS)
    page.screenshot(path=screenshots / "case_sent.png", full_page=True)
    page.get_by_role("button", name="Analyse this scan").click()
    page.get_by_role("link", name="Download this sheet").wait_for(timeout=PATIENCE_MS)
    return page


def send(page, files):
    with page.expect_file_chooser() as waiting:
        page.get_by_role("button", name="Choose files").click()
    waiting.value.set_files(files)


def test_a_wrong_file_gets_a_clear_message_and_its_name_stays_text(visitors, tmp_path, screenshots):
    _, page = visitors
    page.get_by_label("A scan of my own").check()
    picture = tmp_path / SCRIPT
    picture.write_bytes(b"\x89PNG" + bytes(600))
    send(page, picture)
    words = page.get_by_role("alert").filter(has_text="a PNG picture")
    words.wait_for(timeout=PATIENCE_MS)
    assert SCRIPT in words.inner_text() and page.locator("img[src=x]").count() == 0
    assert page.get_by_role("button", name="Analyse this scan").is_disabled()
    page.screenshot(path=screenshots / "case_wrong_file.png", full_page=True)
    large = tmp_path / "large.nii"
    large.write_bytes(bytes(4_000_000))
    send(page, large)
    page.get_by_text("Too large: 4.0 MB. At most 3 MB").wait_for(timeout=PATIENCE_MS)
    assert page.complaints == []


def test_from_a_file_to_the_sheet(read):
    for words in ("Volume of the tumour", "90 % interval", "phantom score", "How the model was trained", "The epitome"):
        assert read.get_by_text(words).first.is_visible(), words
    assert read.get_by_text("not for diagnosis").first.is_visible()
    with read.expect_download() as waiting:
        read.get_by_role("link", name="Download this sheet").click()
    sheet = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert waiting.value.suggested_filename == "epitome_case.html"
    assert "not for diagnosis" in sheet and sheet.count("<img") >= 3
    assert read.complaints == []


def test_the_viewer_follows_planes_slider_and_keys(read):
    picture, position = read.locator("#picture"), read.locator("#position")
    expect(picture).to_be_visible(timeout=PATIENCE_MS)
    assert picture.bounding_box()["width"] > 100 and picture.evaluate("node => node.naturalWidth") > 100
    read.get_by_role("button", name="coronal").click()
    expect(position).to_contain_text("coronal slice")
    before = position.inner_text()
    picture.press("ArrowUp")
    expect(position).not_to_have_text(before)
    assert before != picture.get_attribute("alt")


def test_a_reload_keeps_scans_and_findings(read):
    read.reload()
    read.get_by_role("link", name="Download this sheet").wait_for(timeout=PATIENCE_MS)
    read.get_by_label("A scan of my own").check()
    expect(read.locator("select")).to_have_count(2, timeout=PATIENCE_MS)
    assert read.get_by_text("Volume of the tumour").first.is_visible()


@pytest.mark.parametrize("width", [1000, 400])
def test_it_fits_the_window(read, width, screenshots):
    read.set_viewport_size({"width": width, "height": 900})
    read.wait_for_timeout(500)
    assert read.evaluate("document.documentElement.scrollWidth") <= width
    read.screenshot(path=screenshots / f"case_{width}.png", full_page=True)
    left = read.locator(".case").evaluate("node => node.getBoundingClientRect().left")
    assert left == pytest.approx(read.locator("h1").evaluate("node => node.getBoundingClientRect().left"), abs=3)


def test_two_visitors_do_not_see_each_other(read, visitors, case_server, runs):
    _, other = visitors
    assert other.get_by_text("Volume of the tumour").count() == 0
    asked = "path => fetch(path).then(answer => answer.status)"
    assert [read.evaluate(asked, path) for path in ("findings", "sheet")] == [200, 200]
    assert [other.evaluate(asked, path) for path in ("findings", "sheet")] == [404, 404]
    kept = list(runs.glob("epitome-app-*/visitors/*/case*/case.html"))
    assert len(kept) == 1
    for path in (f"/voila/files{kept[0]}", f"/{kept[0].relative_to(runs)}", str(kept[0])):
        assert other.evaluate(asked, path) in (403, 404)
    assert kept[0].parents[1].stat().st_mode & 0o077 == 0


def test_a_page_on_another_port_can_do_nothing_with_the_cookie(read, runs):
    """Such a page is the same site for a browser, which sends the cookie along."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = read.context.new_page()
        page.goto(f"http://127.0.0.1:{other.server_address[1]}/")
        root = read.url
        options = "{method, mode: 'no-cors', credentials: 'include'}"
        sent = f"([path, method]) => fetch(path, {options}).then(a => a.status, e => 'no')"
        before = read.evaluate("fetch('state').then(a => a.json())")
        for path, method in (("", "GET"), ("leave", "POST"), ("start", "POST")):
            assert page.evaluate(sent, [root + path, method]) in (0, 403, "no")
        page.evaluate("root => { location = root }", root)
        page.get_by_text("including the token").wait_for(timeout=PATIENCE_MS)
        page.close()
        other.shutdown()
    assert read.evaluate("fetch('state').then(a => a.json())") == before


def test_one_visitor_too_many_sees_his_place_in_line(visitors, case_server, browser, screenshots):
    page = browser.new_page()
    page.goto(case_server[0])
    expect(page.get_by_role("status")).to_contain_text("number 1 in line")
    page.screenshot(path=screenshots / "case_line.png")
    page.close()


def test_what_was_sent_goes_with_the_page_and_who_waits_comes_in(read, case_server, browser, runs):
    waiting = browser.new_page()
    waiting.goto(case_server[0])
    expect(waiting.get_by_role("status")).to_contain_text("in line")
    read.close(run_before_unload=True)
    waiting.get_by_role("button", name="Analyse this scan").wait_for(timeout=PATIENCE_MS)
    assert list(runs.glob("epitome-app-*/visitors/*/case*")) == []
    waiting.close()


def test_ctrl_c_ends_it_all_and_the_page_says_so(visitors, case_server, runs, screenshots):
    _, page = visitors
    workers = psutil.Process(case_server[1].pid).children(recursive=True)
    assert workers
    case_server[1].send_signal(signal.SIGINT)
    assert case_server[1].wait(60) == 0
    assert list(runs.glob("epitome-app-*")) == []
    assert not [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    page.bring_to_front()
    page.get_by_text("This page has ended; open it again.").wait_for(timeout=PATIENCE_MS)
    page.screenshot(path=screenshots / "case_ended.png", full_page=True)
    assert "Traceback" not in (runs / "stderr.txt").read_text()
