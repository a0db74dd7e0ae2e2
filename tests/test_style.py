"""Style: one palette, figures that show once, PNG files that describe themselves."""

import itertools
import re
from pathlib import Path

import ellipsoids
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image
from readable import odd_colours, small_letters
from tiny import raises_three_lines

import epitome_kit
from epitome_kit.errors import OutputError, ParameterError
from epitome_kit.plotting.cohort import class_balance
from epitome_kit.plotting.scans import epitome_sheet, missed_and_extra, montage, show_planes, show_slices
from epitome_kit.plotting.style import (
    MASK_ROLES,
    MaskStyle,
    in_house_style,
    is_drawn_as_now,
    mask_roles,
    new_figure,
    save_figure,
    style_version,
)
from epitome_kit.widgets.slice_viewer import SliceViewer

PACKAGE = Path(epitome_kit.__file__).parent
HEAD, TUMOUR = ellipsoids.head(), ellipsoids.tumour()


def test_a_mask_has_the_role_that_is_given_else_that_of_its_name():
    roles = mask_roles(["mine", "brain", "right name", "tumour"], {"right name": "truth", "brain": "head"})
    assert roles == {"mine": "other 3", "brain": "head", "right name": "truth", "tumour": "tumour"}


def test_no_colour_twice():
    for names in itertools.permutations(["a", "tumour", "prediction", "b", "truth", "annotation"]):
        roles = mask_roles(names)
        assert tuple(roles) == names
        assert len({MASK_ROLES[role].colour for role in roles.values()}) == 6


def test_more_masks_than_colours():
    assert len(mask_roles(str(number) for number in range(20))) == 20


def test_an_unknown_role_is_refused():
    with raises_three_lines(ParameterError, "'tumor'"):
        show_slices(HEAD, {"mine": (TUMOUR, "tumor")})


def test_what_is_shown_together_in_the_kit_has_colours_of_its_own():
    for together in (("annotation", "symmetry", "network"), ("reference", "network"), ("brain", "tumour")):
        assert mask_roles(together) == dict(zip(together, together, strict=True))


@pytest.mark.parametrize("draw", [show_slices, show_planes, montage])
def test_one_entry_of_the_table_decides_how_a_role_is_drawn_everywhere(draw, monkeypatch):
    monkeypatch.setitem(MASK_ROLES, "tumour", MaskStyle("#123456", "dotted"))
    figure = draw(HEAD, {"what I found": (TUMOUR, "tumour"), "brain": ellipsoids.brain()})
    drawn = [line for axes in figure.axes for line in axes.collections]
    colours = {to_hex(line.get_edgecolor()) for line in drawn}
    assert colours == {"#123456", MASK_ROLES["brain"].colour.lower()}
    dashes = {to_hex(line.get_edgecolor()): line.get_linestyle()[0][1] for line in drawn}
    assert dashes["#123456"] is not None and dashes[MASK_ROLES["brain"].colour.lower()] is None
    first, second = figure.legends[0].get_lines()
    assert (first.get_color(), first.get_linestyle(), second.get_linestyle()) == ("#123456", ":", "-")
    viewer = SliceViewer(HEAD, {"what I found": (TUMOUR, "tumour")})
    assert "#123456" in viewer.ticks["what I found"].description


def test_missed_and_extra_voxels_are_painted_by_their_roles(monkeypatch):
    monkeypatch.setitem(MASK_ROLES, "missed", MaskStyle("#123456"))
    figure = missed_and_extra(ellipsoids.tumour(radius=8), TUMOUR)
    assert to_hex(figure.legends[0].get_patches()[0].get_facecolor()) == "#123456"
    painted = [np.asarray(layer.get_array()) for layer in figure.axes[0].images[1:]]
    assert "#123456" in {to_hex(part[part[..., 3] > 0][0]) for part in painted if part[..., 3].any()}


def test_the_outline_of_the_region_is_that_of_the_tumour():
    (outline,) = epitome_sheet({"T1ce": HEAD}, TUMOUR, ["size"]).axes[0].collections
    assert to_hex(outline.get_edgecolor()) == MASK_ROLES["tumour"].colour.lower()


def test_only_one_function_of_the_kit_outlines_masks():
    sources = {path.name: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    calls = {name: len(re.findall(r"\.contourf?\(|find_contours", text)) for name, text in sources.items()}
    measured = {"diameters.py": 2}  # draws nothing
    assert {name: count for name, count in calls.items() if count} == {"panels.py": 1, **measured}


def test_a_picture_knows_the_style_that_it_was_drawn_in(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    assert not is_drawn_as_now(path)
    save_figure(new_figure(size=(1, 1))[0], path, "nothing")
    before = style_version()
    assert is_drawn_as_now(path)
    monkeypatch.setitem(MASK_ROLES, "truth", MaskStyle("#123456"))
    assert style_version() != before and not is_drawn_as_now(path)


def test_a_figure_is_not_shown_twice():
    figure, axes = new_figure(2, 3, size=(4, 3))
    assert axes.shape == (2, 3)
    assert not plt.fignum_exists(figure.number)


def test_the_style_ends_with_the_function():
    before = plt.rcParams["legend.frameon"], plt.rcParams["axes.spines.top"]

    @in_house_style
    def draw():
        return plt.rcParams["legend.frameon"], plt.rcParams["axes.spines.top"]

    assert draw() == (False, False)
    assert (plt.rcParams["legend.frameon"], plt.rcParams["axes.spines.top"]) == before


def test_a_saved_figure_carries_its_text_alternative(tmp_path):
    figure, _ = new_figure(size=(3, 2))
    path = tmp_path / "figures" / "03_saliency.png"
    assert save_figure(figure, path, " Where the network looks: τ² ") is figure
    with Image.open(path) as picture:
        assert picture.text["Description"] == "Where the network looks: τ²"
        assert picture.size == (330, 220)
    assert [file.name for file in path.parent.iterdir()] == ["03_saliency.png"]


@pytest.mark.parametrize("name, alt", [("a.png", ""), ("a.png", "  "), ("a.jpg", "a figure")])
def test_a_figure_without_alternative_or_as_another_format_is_refused(tmp_path, name, alt):
    with raises_three_lines(ParameterError, "a."):
        save_figure(new_figure(size=(1, 1))[0], tmp_path / name, alt)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "figures").write_text("not a folder")
    with raises_three_lines(OutputError, "figures"):
        save_figure(new_figure(size=(1, 1))[0], tmp_path / "figures" / "a.png", "a figure")


def test_small_letters_and_odd_colours_are_found():
    figure, ((axes,),) = new_figure(size=(2, 2))
    axes.plot([0, 1], color="#A9C8DE")
    axes.set_title("read me", fontsize=9)
    assert (small_letters(figure), odd_colours(figure)) == ([], set())
    small = axes.text(0, 0, "too small", fontsize=8)
    (line,) = axes.plot([0, 1], color="#00FF00")
    image = axes.imshow([[0, 1]], cmap="jet")
    assert small_letters(figure) == ["too small"]
    assert odd_colours(figure) == {"#00ff00", "jet"}
    small.remove(), line.remove(), image.remove()  # as every figure of every test is held to this


def test_a_notebook_gets_the_figure_with_its_text_alternative(tmp_path):
    figure, ((left, right),) = new_figure(1, 2, size=(4, 2))
    figure.suptitle("Two\npanels")
    right.set_title("right")
    assert figure._repr_mimebundle_()[1] == {"image/png": {"alt": "Two panels; right"}}
    save_figure(figure, tmp_path / "figure.png", " What is seen. ")
    data, metadata = figure._repr_mimebundle_(include=None, exclude=None)
    assert metadata == {"image/png": {"alt": "What is seen."}}
    assert data["image/png"].startswith("iVBOR")


def test_dollar_signs_in_a_name_are_shown_as_they_are(tmp_path):
    figure = class_balance(pd.Series([0, 1, 1]), title="cost of $x_{3 and $5")
    save_figure(figure, tmp_path / "name.png", "A name.")
    (title,) = [text for text in figure.findobj(Text) if "$" in text.get_text()]
    assert not title.get_parse_math()
