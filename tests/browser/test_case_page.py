"""The case page as visitors meet it: from a file to a sheet, each alone, and nothing without the token."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests
from made_model import make_model
from playwright.sync_api import expect
from tiny import ROOT

from epitome_kit.case.access import HEADERS
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
    command = [sys.executable, "-c", "from epitome_kit.cli import app; app()", "app", "--workspace", str(runs / "made")]
    limits = ["--port", "0", "--no-browser", "--visitors", "2", "--upload-mb", "3"]
    environment = {**os.environ, "TMPDIR": str(runs), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, *limits], stdout=subprocess.PIPE, text=True, env=environment, cwd=runs)
    assert f"{runs / 'made'}" in process.stdout.readline()
    address = re.search(r"http://\S+", process.stdout.readline())[0]
    yield address, process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(60)


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


def kernel_of(page):
    return page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")


def test_without_the_token_nothing_is_served(case_server):
    root = case_server[0].partition("?")[0]
    static = ("", "voila/static/voila.js", "voila/templates/lab/static/index.css", "voila/labextensions/x", "login")
    for path in (*static, "?token=wrong", "api/kernels/0-0-0-0-0", "voila/files/06_case_report.ipynb"):
        answer = requests.get(root + path, allow_redirects=False, timeout=60)
        assert answer.status_code == 403, path
        assert "Epitome Kit" in answer.text and "Traceback" not in answer.text
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    foreign = requests.get(case_server[0], headers={"Host": "evil.example"}, allow_redirects=False, timeout=60)
    assert foreign.status_code == 403 and "Set-Cookie" not in foreign.headers


def test_no_path_leads_out_and_no_folder_is_listed(case_server):
    session, root = requests.Session(), case_server[0].partition("?")[0]
    entry = session.get(case_server[0], allow_redirects=False, timeout=60)
    assert "HttpOnly" in entry.headers["Set-Cookie"] and "SameSite=Strict" in entry.headers["Set-Cookie"]
    up = ("../" * 12, "..%2f" * 12, "%2e%2e/" * 12, "..%5c" * 12, "/" * 3)
    places = ("", "voila/files/", "voila/static/", "voila/templates/lab/", "voila/labextensions/", "voila/api/themes/")
    for place in places:
        for way in up:
            url = f"{root}{place}{way}etc/passwd"
            sent = session.prepare_request(requests.Request("GET", url))
            sent.url = url
            answer = session.send(sent, allow_redirects=True, timeout=60)
            assert answer.status_code in (400, 403, 404), url
            assert "root:" not in answer.text and str(ROOT) not in answer.text
    inside = ("voila/files/06_case_report.ipynb", "api/kernels", "api/contents", "06_case_report.ipynb")
    for place in (*inside, "voila/files/", "voila/static/", "voila/labextensions/"):
        answer = session.get(root + place, timeout=60)
        assert answer.status_code in (403, 404), place
        assert str(ROOT) not in answer.text and "Traceback" not in answer.text


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


def test_the_viewer_draws_the_head(read):
    picture = read.locator("div[role=slider] > img").first
    expect(picture).to_be_visible(timeout=PATIENCE_MS)
    assert picture.bounding_box()["width"] > 100
    expect(read.get_by_text("Click to show javascript error")).to_have_count(0)


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
    theirs = kernel_of(read)
    assert theirs != kernel_of(other)
    assert other.get_by_text("Volume of the tumour").count() == 0
    asked = "path => fetch(path).then(answer => answer.status)"
    assert other.evaluate(asked, f"/api/kernels/{kernel_of(other)}") == 200
    for path in (f"/api/kernels/{theirs}", f"/api/kernels/{theirs}/channels", f"/voila/api/shutdown/{theirs}"):
        assert other.evaluate(asked, path) == 403, path
    removed = other.evaluate("path => fetch(path, {method: 'DELETE'}).then(a => a.status)", f"/api/kernels/{theirs}")
    assert removed == 403
    kept = list(runs.glob("epitome-app-*/*/case/case.html"))
    assert len(kept) == 1
    for path in (f"/voila/files{kept[0]}", f"/{kept[0].relative_to(runs)}", str(kept[0])):
        assert other.evaluate(asked, path) in (403, 404)
    assert kept[0].parents[1].stat().st_mode & 0o077 == 0


def test_one_visitor_too_many_is_asked_to_wait(visitors, case_server):
    answer = requests.Session().get(case_server[0], timeout=60)
    assert answer.status_code == 503 and "maximum number" in answer.text


def test_what_was_sent_goes_with_the_page_and_ctrl_c_ends_it_all(read, case_server, runs):
    kernels = psutil.Process(case_server[1].pid).children(recursive=True)
    read.close(run_before_unload=True)
    deadline = time.monotonic() + 60
    while list(runs.glob("epitome-app-*/*/case")) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert list(runs.glob("epitome-app-*/*/case")) == []
    case_server[1].send_signal(signal.SIGINT)
    assert case_server[1].wait(60) == 0
    assert list(runs.glob("epitome-app-*")) == []
    assert not [kernel for kernel in kernels if kernel.is_running() and kernel.status() != psutil.STATUS_ZOMBIE]
