"""Pictures of widgets: the window, the colours of masks, the letters around."""

import io

import numpy as np
import pytest
from PIL import Image

from epitome_kit.widgets.render import BORDER, assemble, encode_jpeg, render_panel

LETTERS = {"left": "R", "right": "L", "top": "A", "bottom": "P"}
RAMP = np.linspace(0, 100, 101).reshape(1, -1).repeat(40, axis=0)


def test_the_window_sets_black_and_white():
    picture = render_panel(RAMP, (20, 80), size=RAMP.shape)
    assert picture.shape == (40, 101, 3) and picture.dtype == np.uint8
    assert (picture[:, :21] == 0).all() and (picture[:, 80:] == 255).all()
    assert (np.diff(picture[0, 20:81, 0].astype(int)) > 0).all()


def test_missing_values_are_black():
    picture = render_panel(np.array([[np.nan, np.inf, -np.inf, 1.0]]), (0, 1), size=(1, 4))
    assert picture[0, :, 0].tolist() == [0, 255, 0, 255]


def test_a_mask_is_tinted_inside_and_solid_on_its_edge():
    inside = np.zeros((40, 101), bool)
    inside[10:20, 30:50] = True
    grey = render_panel(RAMP, (0, 100), size=RAMP.shape)
    picture = render_panel(RAMP, (0, 100), [(inside, "#ff0000")], size=RAMP.shape, opacity=0.5)
    changed = (picture != grey).any(axis=2)
    assert np.array_equal(changed, inside)
    assert (picture[10, 30:50] == (255, 0, 0)).all() and (picture[10:20, 49] == (255, 0, 0)).all()
    assert picture[15, 40].tolist() == pytest.approx([0.5 * grey[15, 40, 0] + 127.5, *grey[15, 40, 1:] / 2], abs=1)


def test_opacity_zero_leaves_the_edge_only():
    inside = np.zeros((40, 101), bool)
    inside[10:20, 30:50] = True
    changed = render_panel(RAMP, (0, 100), [(inside, "#ff0000")], size=RAMP.shape, opacity=0)
    changed = (changed != render_panel(RAMP, (0, 100), size=RAMP.shape)).any(axis=2)
    assert np.count_nonzero(changed) == 2 * 20 + 2 * 8


def test_heat_is_clear_at_zero_and_strongest_at_one():
    strength = np.tile([0, 0.5, 1, 2, np.nan], (40, 1)).repeat(21, axis=1)[:, :101]
    grey = render_panel(RAMP, (0, 100), size=RAMP.shape).astype(int)
    picture = render_panel(RAMP, (0, 100), size=RAMP.shape, heat=(strength, 0.5)).astype(int)
    change = np.abs(picture - grey).sum(axis=2)[0]
    assert not change[:21].any() and not change[84:].any()
    assert change[21:84].all()
    full = render_panel(RAMP, (0, 100), size=RAMP.shape, heat=(strength, 1.0))[0]
    assert (full[42:84] == full[42]).all() and full[42, 0] > 240 and full[42, 2] < 180


def test_pictures_take_the_size_that_is_asked_for():
    inside = np.eye(10, dtype=bool)
    assert render_panel(np.eye(10), (0, 1), [(inside, "#00ff00")], size=(64, 96)).shape == (64, 96, 3)


def test_panels_stand_side_by_side_with_letters_in_the_border():
    panels = {name: np.full((50, 60, 3), value, np.uint8) for name, value in (("T1ce", 90), ("T2w", 180))}
    canvas = assemble(panels, LETTERS)
    assert canvas.shape == (50 + 3 * BORDER, 2 * (60 + 2 * BORDER), 3)
    assert (canvas[2 * BORDER : 2 * BORDER + 50, BORDER : BORDER + 60] == 90).all()
    assert (canvas[2 * BORDER : 2 * BORDER + 50, 3 * BORDER + 60 : 3 * BORDER + 120] == 180).all()
    for border in (canvas[: 2 * BORDER], canvas[-BORDER:], canvas[:, :BORDER], canvas[:, -BORDER:]):
        assert border.max() > 150, "a letter or a name is missing"
    other = assemble(panels, {**LETTERS, "left": "A"})
    assert (canvas[:, :BORDER] != other[:, :BORDER]).any()
    assert np.array_equal(canvas[:, BORDER:82], other[:, BORDER:82])


def test_jpeg_gives_the_picture_back_and_keeps_the_edge_of_a_mask_in_its_colour():
    picture = np.full((32, 48, 3), 90, np.uint8)
    picture[8:25, 11:30] = (230, 159, 0)
    picture[9:24, 12:29] = (125, 107, 68)
    encoded = Image.open(io.BytesIO(encode_jpeg(picture)))
    assert encoded.format == "JPEG"
    assert np.abs(np.asarray(encoded).astype(int) - picture).max() < 25
