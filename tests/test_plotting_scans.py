"""Figures of scans: outlines where the mask is, letters, a scale bar, nothing too small to read."""

import ellipsoids
import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pytest
from ellipsoids import words
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError
from epitome_kit.images import mark_voxel_size_unknown, new_image_like
from epitome_kit.plotting.scans import before_after, epitome_sheet, missed_and_extra, montage, show_planes, show_slices
from epitome_kit.plotting.slices import slice_view
from epitome_kit.plotting.style import BLUE, RED

HEAD, TUMOUR, BRAIN = ellipsoids.head(), ellipsoids.tumour(), ellipsoids.brain()
LOST = mark_voxel_size_unknown(HEAD)


def panels(figure):
    return [axes for axes in figure.axes if axes.images]


def outlines(panel):
    """World extent of each outline, as (left, right, top, bottom) in mm of the panel."""
    drawn = [contour for contour in panel.collections if contour.get_paths()]
    corners = [np.concatenate([path.vertices for path in contour.get_paths()]) for contour in drawn]
    return [(*np.sort(c[:, 0])[[0, -1]], *np.sort(c[:, 1])[[0, -1]]) for c in corners]


def pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


EVERY = {
    "slices": lambda scan: show_slices({"T1ce": scan, "T2w": HEAD}, {"tumour": TUMOUR}, title="sub-01"),
    "planes": lambda scan: show_planes(scan, TUMOUR),
    "montage": lambda scan: montage(scan, {"tumour": TUMOUR}),
    "before_after": lambda scan: before_after(scan, HEAD, {"brain": BRAIN}),
    "missed_and_extra": lambda scan: missed_and_extra(TUMOUR, ellipsoids.tumour(radius=18), scan),
    "epitome": lambda scan: epitome_sheet({"T1ce": scan}, TUMOUR, ["volume: 11.5 mL"]),
}


@pytest.mark.parametrize("name", EVERY)
def test_letters_and_a_scale_bar_in_readable_size(name):
    text = words(EVERY[name](HEAD))
    assert {"R", "L", "A", "P"} <= set(text)
    assert any(word.endswith(" mm") and word.split()[0].isdigit() for word in text)


@pytest.mark.parametrize("name", EVERY)
def test_no_millimetre_where_the_voxel_size_is_unknown(name):
    text = [word for word in words(EVERY[name](LOST)) if "mL" not in word]
    assert not [word for word in text if "mm" in word]
    assert any(word.endswith("voxels") for word in text)


@pytest.mark.parametrize("name", EVERY)
def test_a_figure_is_left_to_its_cell_to_show(name):
    EVERY[name](HEAD)
    assert not plt.get_fignums()


def test_the_same_head_looks_the_same_however_it_is_stored():
    first = pixels(show_slices(HEAD, TUMOUR, mm=14))
    turned = {"order": (2, 0, 1), "flips": (-1, 1, -1)}
    second = pixels(show_slices(ellipsoids.head(**turned), ellipsoids.tumour(**turned), mm=14))
    assert first.shape == second.shape
    below_the_title = np.abs(first.astype(int) - second)[60:]
    assert np.mean(below_the_title > 30) < 0.01


def test_an_outline_lies_on_the_edge_of_its_mask():
    figure = show_slices({"T1ce": HEAD, "T2w": HEAD}, {"tumour": TUMOUR}, mm=14)
    middle_x, middle_y = 44 * 3 / 2 - 18, 52 * 3 / 2 - 22
    for panel in panels(figure):
        ((left, right, top, bottom),) = outlines(panel)
        assert (left, right) == pytest.approx((middle_x - 14, middle_x + 14), abs=3)
        assert (top, bottom) == pytest.approx((middle_y - 14, middle_y + 14), abs=3)
    assert "tumour" in words(figure)


def test_an_outline_is_closed_at_the_border_of_the_scan():
    full = new_image_like(np.ones(HEAD.shape, np.uint8), HEAD)
    ((left, right, top, bottom),) = outlines(panels(show_slices(HEAD, full))[0])
    assert (left, right, top, bottom) == pytest.approx((0, 132, 0, 156), abs=2)


def test_thick_slices_keep_their_proportions():
    panel = panels(show_slices(HEAD, plane="coronal"))[0]
    left, right, bottom, top = panel.images[0].get_extent()
    assert (right - left, bottom - top) == pytest.approx((44 * 3, 36 * 4))
    assert panel.get_aspect() == 1


def test_the_slice_can_be_chosen_by_index_by_mm_or_by_the_mask():
    assert any("z = 14 mm" in word for word in words(show_slices(HEAD, TUMOUR)))
    assert any("k = 4 of 0–35" in word for word in words(show_slices(HEAD, index=4)))
    assert any(
        "y = 22 mm" in word or "y = 21 mm" in word for word in words(show_slices(HEAD, plane="coronal", mm=21.5))
    )
    shown = panels(show_slices(HEAD, index=9))[0].images[0].get_array()
    assert np.array_equal(shown, slice_view(HEAD).cut(HEAD.get_fdata(), 9))


@pytest.mark.parametrize("index", [-1, 36])
def test_a_slice_that_is_not_there(index):
    with raises_three_lines(ParameterError, "0 to 35", index):
        show_slices(HEAD, index=index)


def test_planes_meet_in_the_tumour():
    figure = show_planes(HEAD, {"tumour": TUMOUR})
    assert len(panels(figure)) == 3
    text = " ".join(words(figure))
    assert "axial, z = 14 mm" in text
    for panel in panels(figure):
        ((left, right, top, bottom),) = outlines(panel)
        across, down = panel.lines[-1].get_xdata()[0], panel.lines[-2].get_ydata()[0]
        assert left < across < right and top < down < bottom


def test_a_montage_rises_from_the_neck_to_the_crown():
    for flips in ((1, 1, 1), (1, 1, -1)):
        labels = [word for word in words(montage(ellipsoids.head(flips=flips), n=8)) if word.endswith(" mm")]
        heights = [int(word.split()[0]) for word in labels if word not in ("20 mm", "50 mm")]
        assert len(heights) >= 7 and heights == sorted(heights)
    assert 30 < len(panels(montage(HEAD, n=100))) <= 36


def test_what_a_step_changed():
    doubled = new_image_like(HEAD.get_fdata().astype(np.float32) * 2, HEAD)
    ratio = panels(before_after(HEAD, doubled, {"brain": BRAIN}, compare="ratio", index=18))[2].images[0].get_array()
    inside = slice_view(HEAD).cut(np.asarray(BRAIN.dataobj), 18) > 0
    assert np.allclose(ratio[inside], 2)
    assert np.ma.getmaskarray(np.ma.masked_invalid(ratio))[~inside].all()
    difference = panels(before_after(HEAD, doubled, index=18))[2].images[0]
    assert np.array_equal(difference.get_array(), slice_view(HEAD).cut(HEAD.get_fdata(), 18))
    assert difference.norm.vcenter == 0
    assert len(panels(before_after(HEAD, doubled, compare=None))) == 2


def test_before_and_after_share_a_window_unless_told_otherwise():
    doubled = new_image_like(HEAD.get_fdata().astype(np.float32) * 2, HEAD)
    limits = [panel.images[0].get_clim() for panel in panels(before_after(HEAD, doubled))[:2]]
    assert limits[0] == limits[1]
    limits = [panel.images[0].get_clim() for panel in panels(before_after(HEAD, doubled, window="robust"))[:2]]
    assert limits[1][1] == pytest.approx(2 * limits[0][1])


def test_a_step_that_changed_nothing():
    assert words(before_after(HEAD, HEAD))


def test_unknown_comparison():
    with raises_three_lines(ParameterError, "`ratio`", "'quotient'"):
        before_after(HEAD, HEAD, compare="quotient")


def test_missed_and_extra_voxels_are_counted():
    answer = ellipsoids.tumour(centre=(24, 22, 14), radius=10)
    truth, found = (np.asarray(mask.dataobj) > 0 for mask in (TUMOUR, answer))
    text = words(missed_and_extra(answer, TUMOUR, what="the tumour"))
    assert f"missed: {np.count_nonzero(truth & ~found):,} voxels" in text
    assert f"extra: {np.count_nonzero(found & ~truth):,} voxels" in text


def test_missed_voxels_are_blue_and_extra_ones_red():
    empty = nib.Nifti1Image(np.zeros(HEAD.shape, np.uint8), HEAD.affine)
    for answer, truth, colour in ((empty, TUMOUR, BLUE), (TUMOUR, empty, RED)):
        for panel in panels(missed_and_extra(answer, truth)):
            layers = np.stack([layer.get_array() for layer in panel.images[1:]])
            painted = layers[layers[..., 3] > 0]
            assert len(painted) > 20 and np.allclose(painted[:, :3], to_rgb(colour))
    assert "missed: 0 voxels" in words(missed_and_extra(empty, empty))


def test_an_epitome_says_its_size():
    lines = ["volume: 11.5 mL", "longest diameter: 28 mm"]
    figure = epitome_sheet({"T1ce": HEAD, "T2w": HEAD}, TUMOUR, lines, title="Epitome of sub-01")
    text = words(figure)
    assert "\n".join(lines) in text and "Epitome of sub-01" in text
    assert len(panels(figure)) == 6
