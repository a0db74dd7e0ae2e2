"""Notebooks in JupyterLab, in a real browser: the viewer follows the mouse, the keys and the wheel."""

import os
import secrets
import socket
import subprocess
import sys
import time
from urllib.request import urlopen

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from tiny import HELPERS, ROOT

pytestmark = pytest.mark.slow
VIEWER = """\
import ellipsoids
from epitome_kit import widgets
viewer = widgets.SliceViewer(
    {"T1ce": ellipsoids.head(), "T2w": ellipsoids.head()},
    {"tumour": ellipsoids.tumour(), "brain": ellipsoids.brain()},
    {"attention": ellipsoids.tumour(radius=25)},
    size=240,
)
viewer"""
PICTURE, SLIDER = "[role=slider] img", "[role=slider]:has(img)"
BYTES = f"""async () => {{
    const answer = await fetch(document.querySelector('{PICTURE}').src);
    return Array.from(new Uint8Array(await answer.arrayBuffer()));
}}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two notebooks: one viewer, and the first notebook of the kit with small parameters."""
    folder = tmp_path_factory.mktemp("lab")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[new_code_cell(VIEWER)], metadata=kernel), folder / "viewer.ipynb")
    small = {"profile": "smoke", "subjects": 4, "out": str(folder / "runs" / "small"), "workers": 1}
    first = parameterize_notebook(load_notebook_node(str(ROOT / "notebooks" / "01_inspect_dataset.ipynb")), small)
    nbformat.write(first, folder / "first.ipynb")
    return folder


@pytest.fixture(scope="module")
def lab(folder):
    """Address of a JupyterLab that knows nothing of the settings of this machine's user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, own = secrets.token_hex(8), folder / "settings"
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": folder,
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port_retries=0"]
    homes = dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"), str(own))
    paths = os.pathsep.join([str(ROOT), str(HELPERS)])
    usual = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}  # figures appear in the page
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in options.items())],
            env={**usual, **homes, "PYTHONPATH": paths},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(server, f"http://127.0.0.1:{port}/api?token={token}", folder / "lab.log")
        yield lambda name: f"http://127.0.0.1:{port}/lab/tree/{name}?token={token}&reset"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(server, address, log):
    for _ in range(240):
        try:
            return urlopen(address, timeout=5).close()
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.25)
    raise AssertionError(log.read_text())


def _run_all(browser, address):
    """Open a notebook and run all its cells; return the page and the notebook as it then is."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(180_000)
    page.goto(address)
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    return page, page.evaluate("jupyterapp.shell.currentWidget.context.model.toJSON()")


@pytest.fixture(scope="module")
def viewer(browser, lab):
    page, _ = _run_all(browser, lab("viewer.ipynb"))
    page.locator(PICTURE).wait_for()
    page.wait_for_function(f"document.querySelector('{PICTURE}').naturalWidth > 0")
    yield page
    page.close()


@pytest.fixture
def changes(viewer):
    """Do something, and say whether the picture became another one."""

    def changes(action):
        before, place = viewer.evaluate(BYTES), viewer.locator(PICTURE).get_attribute("src")
        action()
        viewer.wait_for_function(f"place => document.querySelector('{PICTURE}').src !== place", arg=place)
        return viewer.evaluate(BYTES) != before

    return changes


def _slice(viewer):
    return int(viewer.locator(SLIDER).get_attribute("aria-valuenow"))


def _handle(viewer, label):
    return viewer.locator(".widget-slider", has_text=label).locator(".noUi-handle").first


def test_the_mouse_drags_the_slice(viewer, changes, screenshots):
    def drag():
        box = _handle(viewer, "Slice").bounding_box()
        viewer.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        viewer.mouse.down()
        viewer.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2, steps=4)
        viewer.mouse.up()

    before = _slice(viewer)
    assert changes(drag)
    assert _slice(viewer) > before
    viewer.screenshot(path=screenshots / "viewer.png")


def test_every_slider_has_a_name(viewer):
    viewer.get_by_role("slider", name="Window (%)").first.wait_for()
    assert viewer.get_by_role("slider").evaluate_all("all => all.filter(one => !one.ariaLabel).length") == 0


def test_keys_move_the_slider(viewer, changes):
    before = _slice(viewer)
    _handle(viewer, "Slice").focus()
    assert changes(lambda: viewer.keyboard.press("ArrowLeft"))
    assert _slice(viewer) == before - 1


def test_keys_move_the_picture_and_not_the_notebook(viewer, changes):
    before = _slice(viewer)
    viewer.locator(SLIDER).focus()
    assert changes(lambda: viewer.keyboard.press("ArrowUp"))
    assert _slice(viewer) == before + 1
    assert viewer.locator(SLIDER).evaluate("node => node === document.activeElement")


def test_the_wheel_moves_the_picture(viewer, changes):
    before = _slice(viewer)
    viewer.locator(PICTURE).hover()
    assert changes(lambda: viewer.mouse.wheel(0, 120))
    assert _slice(viewer) == before - 1


def test_play_runs_through_the_slices_until_it_is_pressed_again(viewer):
    before, play = _slice(viewer), viewer.get_by_role("button", name="Play")
    play.click()
    viewer.wait_for_function(f"Number(document.querySelector('{SLIDER}').ariaValueNow) >= {before + 3}")
    play.click()


@pytest.mark.soak
def test_the_first_notebook_runs(browser, lab, screenshots):
    page, notebook = _run_all(browser, lab("first.ipynb"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 15 and all(cell["execution_count"] for cell in cells)
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    figures = [output for cell in cells for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(figures) >= 4
    page.locator(PICTURE).first.scroll_into_view_if_needed()
    page.screenshot(path=screenshots / "first_notebook.png")
    assert page.locator(PICTURE).first.evaluate("image => image.naturalWidth") > 300
    page.close()
