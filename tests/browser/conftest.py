"""A real browser for every test of a page: the system's Chromium, or one that is installed on the way."""

import os
import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import Error, sync_playwright
from tiny import ROOT

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; each test opens pages of its own. Its loop would be in the way of other tests."""
    with sync_playwright() as playwright:
        launched = _launch(playwright)
        yield launched
        launched.close()


@pytest.fixture(params=[1280, pytest.param(400, marks=pytest.mark.slow)], ids=["desktop", "phone"])
def watched(request, browser):
    """An empty page in a window of one width, which keeps everything that it complains of and asks for."""
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    page.complaints, page.asked = [], []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("requestfailed", lambda failed: page.complaints.append(failed.url))
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    page.close()


@pytest.fixture(scope="session")
def screenshots():
    """Folder of pictures for a person to look at after the tests."""
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _launch(playwright):
    found = next(filter(None, map(shutil.which, NAMES)), None) or _install_by_apt()
    try:
        return playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
    except Error:
        if found:
            raise
    got = _run([sys.executable, "-m", "playwright", "install", "chromium"])
    if got.returncode:
        pytest.skip(f"no Chromium, and none could be installed: {got.stderr.strip()[-300:]}")
    return playwright.chromium.launch(args=list(ARGUMENTS))


def _install_by_apt():
    """Install Chromium where this process may; return its path or None."""
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") is None or (
        rights and (shutil.which("sudo") is None or _run(["sudo", "-n", "true"]).returncode)
    ):
        return None
    _run([*rights, "apt-get", "update"])
    _run([*rights, "apt-get", "install", "-y", "--no-install-recommends", "chromium"])
    return next(filter(None, map(shutil.which, NAMES)), None)


def _run(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=600)
