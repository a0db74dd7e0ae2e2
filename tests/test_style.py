"""Style: one palette, figures that show once, PNG files that describe themselves."""

import itertools

import matplotlib.pyplot as plt
import pytest
from PIL import Image
from readable import odd_colours, small_letters
from tiny import raises_three_lines

from epitome_kit.errors import OutputError, ParameterError
from epitome_kit.plotting.style import in_house_style, mask_colours, new_figure, save_figure


def test_a_known_role_keeps_its_colour():
    assert mask_colours(["tumour"])["tumour"] == mask_colours(["mine", "brain", "tumour"])["tumour"]


def test_no_colour_twice():
    for names in itertools.permutations(["a", "tumour", "prediction", "b", "truth", "annotation"]):
        colours = mask_colours(names)
        assert tuple(colours) == names
        assert len(set(colours.values())) == 6


def test_more_masks_than_colours():
    assert len(mask_colours(str(number) for number in range(20))) == 20


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
