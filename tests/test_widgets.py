"""Widgets: every control changes the picture, only slices are encoded, errors are seen."""

import io
from base64 import b64encode

import ellipsoids
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from epitome_kit.images import mark_voxel_size_unknown, new_image_like
from epitome_kit.plotting.slices import slice_view
from epitome_kit.plotting.style import MASK_ROLES
from epitome_kit.widgets import render
from epitome_kit.widgets import slice_viewer as widgets
from epitome_kit.widgets.slice_viewer import SliceViewer

HEAD, TUMOUR, BRAIN = ellipsoids.head(), ellipsoids.tumour(), ellipsoids.brain()


def picture(viewer):
    return np.asarray(Image.open(io.BytesIO(viewer.picture.value))).astype(int)


@pytest.fixture
def viewer():
    return SliceViewer({"T1ce": HEAD, "T2w": HEAD}, {"tumour": TUMOUR, "brain": BRAIN}, size=156)


def test_it_opens_on_the_tumour(viewer):
    assert viewer.caption.value == "axial slice k = 21 of 0–35, z = 14 mm"
    assert viewer.plane.options == ("axial", "coronal", "sagittal")
    assert picture(viewer).shape == (156 + 3 * render.BORDER, 2 * (132 + 2 * render.BORDER), 3)


@pytest.mark.parametrize(
    "name, value",
    [("index", 10), ("plane", "coronal"), ("window", (0, 60)), ("opacity", 0.9), ("tumour", False), ("brain", False)],
)
def test_each_control_changes_the_picture(viewer, name, value):
    before = viewer.picture.value
    control = viewer.ticks[name] if name in viewer.ticks else getattr(viewer, name)
    earlier, control.value = control.value, value
    assert viewer.picture.value != before
    control.value = earlier
    assert viewer.picture.value == before


def test_the_slider_shows_the_slice_that_it_names():
    viewer = SliceViewer(HEAD, window=(0, 255), size=156)
    for index in (4, 30):
        viewer.index.value = index
        shown = picture(viewer)[2 * render.BORDER : -render.BORDER, render.BORDER : -render.BORDER, 0]
        true = slice_view(HEAD).cut(HEAD.get_fdata(), index).repeat(3, axis=0).repeat(3, axis=1)
        assert np.abs(shown - true).mean() < 3


def test_a_mask_is_coloured_where_it_lies(viewer):
    viewer.ticks["brain"].value = False
    with_mask = picture(viewer)
    viewer.ticks["tumour"].value = False
    changed = np.abs(with_mask - picture(viewer)).max(axis=2) > 20
    inside = slice_view(HEAD).cut(np.asarray(TUMOUR.dataobj), 21).repeat(3, axis=0).repeat(3, axis=1)
    first = changed[2 * render.BORDER : -render.BORDER, render.BORDER : render.BORDER + 132]
    assert np.count_nonzero(first ^ (inside > 0)) <= 0.03 * np.count_nonzero(inside)
    assert np.array_equal(changed[:, : changed.shape[1] // 2], changed[:, changed.shape[1] // 2 :])
    assert MASK_ROLES["tumour"].colour in viewer.ticks["tumour"].description


def test_the_first_mask_lies_on_top(viewer):
    viewer.opacity.value = 1
    middle = 2 * render.BORDER + 57, render.BORDER + 46
    colour = [255 * part for part in to_rgb(MASK_ROLES["tumour"].colour)]
    assert picture(viewer)[middle] == pytest.approx(colour, abs=3)


def recorded(monkeypatch, name):
    """Arguments of every call that the widgets make to a function of `render`."""
    calls, function = [], getattr(render, name)

    def call(*args, **options):
        calls.append(args)
        return function(*args, **options)

    monkeypatch.setattr(widgets, name, call)
    return calls


def test_only_one_slice_is_worked_on(viewer, monkeypatch):
    panels, pictures = recorded(monkeypatch, "render_panel"), recorded(monkeypatch, "encode_jpeg")
    viewer.index.value += 1
    assert [cut.shape for cut, *_ in panels] == [(52, 44), (52, 44)]
    assert len(pictures) == 1


def test_each_plane_remembers_its_slice(viewer):
    viewer.index.value = 30
    viewer.plane.value = "sagittal"
    assert viewer.index.max == 43 and "sagittal slice i = 27" in viewer.caption.value
    viewer.index.value = 43
    viewer.plane.value = "axial"
    assert viewer.index.max == 35 and viewer.index.value == 30
    viewer.plane.value = "sagittal"
    assert viewer.index.value == 43


def test_letters_stand_around_every_plane(viewer, monkeypatch):
    assembled = recorded(monkeypatch, "assemble")
    viewer.plane.value = "sagittal"
    assert assembled[-1][1] == {"left": "A", "right": "P", "top": "S", "bottom": "I"}


def test_no_millimetre_where_the_voxel_size_is_unknown():
    viewer = SliceViewer(mark_voxel_size_unknown(HEAD))
    assert viewer.caption.value == "axial slice k = 18 of 0–35, voxel size unknown"


def test_an_error_is_raised_and_stays_visible_until_it_is_mended(viewer):
    def fail():
        raise RuntimeError("no such slice")

    control = viewer.add_slider("Trap", 0, 0, 1, 0.5, tip="Fails", action=fail)
    with pytest.raises(RuntimeError, match="no such slice"):
        control.value = 1
    (error,) = viewer.errors.get_state()["outputs"]
    assert (error["output_type"], error["ename"], error["evalue"]) == ("error", "RuntimeError", "no such slice")
    assert "in fail" in "".join(error["traceback"])
    viewer.index.value += 1
    assert viewer.errors.outputs == ()


def test_names_of_masks_are_text_not_html():
    viewer = SliceViewer(HEAD, {"<b>mine</b>": TUMOUR})
    assert "&lt;b&gt;" in viewer.ticks["<b>mine</b>"].description


def attention(peak=2.0):
    """A map that is `peak` in the tumour, half of it around, below zero elsewhere."""
    near, far = (np.asarray(ellipsoids.tumour(radius=radius).dataobj) for radius in (14, 24))
    return new_image_like((peak / 2) * (near + far.astype(np.float32)) - (far == 0), HEAD)


def test_a_map_lies_over_the_scan_as_heat():
    viewer = SliceViewer(HEAD, None, {"attention": attention()}, size=156)
    inside = slice_view(HEAD).cut(np.asarray(attention().dataobj), 21).repeat(3, axis=0).repeat(3, axis=1)
    warm = picture(viewer)[2 * render.BORDER : -render.BORDER, render.BORDER : -render.BORDER]
    viewer.map.value = "none"
    grey = picture(viewer)[2 * render.BORDER : -render.BORDER, render.BORDER : -render.BORDER]
    assert (grey[..., 0] == grey[..., 2]).all() and "attention" not in viewer.caption.value
    redness = warm[..., 0] - warm[..., 2]
    assert redness[inside == 2].mean() > redness[inside == 1].mean() > 10
    assert np.abs(warm - grey)[inside < 0].mean() < 2
    viewer.map.value = "attention"
    assert viewer.caption.value.endswith("; attention: yellow is 2")
    viewer.map_opacity.value = 0
    assert np.array_equal(picture(viewer)[2 * render.BORDER : -render.BORDER, render.BORDER : -render.BORDER], grey)


def test_the_picture_and_the_slider_move_together(viewer):
    before = viewer.picture.value
    viewer.picture.index = 12  # as the browser does at the wheel, a key or while it plays
    assert viewer.index.value == 12 and viewer.picture.value != before
    assert viewer.picture.text == viewer.caption.value == "axial slice k = 12 of 0–35, z = -22 mm"
    viewer.plane.value = "sagittal"
    assert (viewer.picture.index, viewer.picture.last) == (viewer.index.value, 43)
    viewer.play.value = True
    assert viewer.picture.playing


def test_another_subject_takes_the_place_of_the_first(viewer):
    viewer.ticks["brain"].value = False
    viewer.index.value = 35
    small = {"spacing": (6.0, 6.0, 8.0), "shape": (22, 26, 18)}
    masks = {"brain": ellipsoids.brain(**small), "extra": ellipsoids.tumour(**small)}
    viewer.load(ellipsoids.head(**small), masks, {"attention": attention()})
    assert {name: tick.value for name, tick in viewer.ticks.items()} == {"brain": False, "extra": True}
    assert viewer.map.value == "attention"
    assert viewer.index.max == viewer.picture.last == 17
    assert viewer.caption.value.startswith("axial slice k = 8 of 0–17")
    viewer.index.value = 10
    shown = viewer.picture.value
    viewer.ticks["extra"].value = False
    assert viewer.picture.value != shown


def controls(widget):
    """Everything inside a widget that a person can set."""
    inner = [part for child in getattr(widget, "children", ()) for part in controls(child)]
    return inner + [widget] * isinstance(widget, widgets.ipw.ValueWidget) * hasattr(widget, "disabled")


def test_every_control_says_what_it_does():
    viewer = SliceViewer(HEAD, TUMOUR, attention())
    everything = controls(viewer)
    assert len(everything) == 8
    assert not [control for control in everything if not control.description or not control.tooltip]
    assert viewer.picture.label


def test_a_page_without_a_kernel_shows_the_picture(viewer):
    data, metadata = viewer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    cell = new_code_cell("viewer", outputs=[new_output("display_data", data, metadata=metadata)])
    page, _ = HTMLExporter().from_notebook_node(new_notebook(cells=[cell]))
    assert f"data:image/jpeg;base64,{b64encode(viewer.picture.value).decode()}" in page.replace("\n", "")
    assert metadata == {"image/jpeg": {"alt": "Slices of the scan: axial slice k = 21 of 0–35, z = 14 mm"}}
