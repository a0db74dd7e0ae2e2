"""Widgets: every control changes the picture, only slices are encoded, errors are seen."""

import io

import ellipsoids
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from epitome_kit.images import image_like, mark_voxel_size_unknown
from epitome_kit.teach import render, widgets
from epitome_kit.teach.explorers import before_after_wipe
from epitome_kit.teach.slices import slice_view
from epitome_kit.teach.style import mask_colours
from epitome_kit.teach.widgets import SliceViewer

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
    changed = np.abs(with_mask - picture(viewer)).max(axis=2) > 0
    inside = slice_view(HEAD).cut(np.asarray(TUMOUR.dataobj), 21).repeat(3, axis=0).repeat(3, axis=1)
    first = changed[2 * render.BORDER : -render.BORDER, render.BORDER : render.BORDER + 132]
    assert np.count_nonzero(first ^ (inside > 0)) <= 0.03 * np.count_nonzero(inside)
    assert np.array_equal(changed[:, : changed.shape[1] // 2], changed[:, changed.shape[1] // 2 :])
    assert mask_colours(viewer.stack.masks)["tumour"] in viewer.ticks["tumour"].description


def test_the_first_mask_lies_on_top(viewer):
    viewer.opacity.value = 1
    middle = 2 * render.BORDER + 57, render.BORDER + 46
    assert picture(viewer)[middle].tolist() == [
        round(255 * part) for part in to_rgb(mask_colours(["tumour"])["tumour"])
    ]


def recorded(monkeypatch, name):
    """Arguments of every call that the widgets make to a function of `render`."""
    calls, function = [], getattr(render, name)

    def call(*args, **options):
        calls.append(args)
        return function(*args, **options)

    monkeypatch.setattr(widgets, name, call)
    return calls


def test_only_one_slice_is_worked_on(viewer, monkeypatch):
    panels, pictures = recorded(monkeypatch, "render_panel"), recorded(monkeypatch, "encode_png")
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

    viewer.add_control(control := widgets.ipw.IntSlider(0), fail)
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


def test_the_wipe_shows_before_on_its_left_and_after_on_its_right():
    after = image_like(HEAD.get_fdata().astype(np.float32) / 2, HEAD)
    viewer = before_after_wipe(HEAD, after)
    viewer.wipe.value = 1
    before_only = picture(viewer)
    viewer.wipe.value = 0
    after_only = picture(viewer)
    viewer.wipe.value = 0.25
    both = picture(viewer)
    border = render.BORDER + round(0.25 * (both.shape[1] - 2 * render.BORDER))
    assert np.array_equal(both[:, : border - 1], before_only[:, : border - 1])
    assert np.array_equal(both[:, border + 1 :], after_only[:, border + 1 :])
    assert after_only[100:-100, 100:-100].mean() < 0.6 * before_only[100:-100, 100:-100].mean()
