"""Style of every figure: one palette, one look, one way to save."""

from functools import wraps
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure

from epitome_kit.errors import ParameterError
from epitome_kit.files import whole_file

BLUE, ORANGE, GREEN, SKY = "#0072B2", "#E69F00", "#009E73", "#56B4E9"
PURPLE, YELLOW, RED, GREY = "#CC79A7", "#F0E442", "#D55E00", "#6E6E6E"
"""The palette of Okabe and Ito, told apart by colour-blind readers, and a grey."""

CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
"""Colours of lines and points on a white page, in order."""

CLASS_COLOURS = (BLUE, RED)
CLASS_MARKERS = ("o", "^")
"""Colour and marker of the negative and of the positive class."""

_ROLES = {
    "brain": SKY,
    "head": SKY,
    "tumour": ORANGE,
    "truth": GREEN,
    "annotation": GREEN,
    "prediction": ORANGE,
    "missed": SKY,
    "extra": RED,
}
_ON_BLACK = (ORANGE, SKY, YELLOW, PURPLE, GREEN, RED)

_LOOK = {
    "figure.facecolor": "white",
    "font.size": 10,
    "figure.titlesize": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "axes.edgecolor": "#444444",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=CYCLE),
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
}


class DescribedFigure(Figure):
    """A figure that shows itself in a notebook together with what it shows, for readers who cannot see it.

    Attributes
    ----------
    alt : str or None
        Text alternative, as given to :func:`save_figure`; until then the
        titles of the figure stand in.
    """

    alt = None

    def _repr_mimebundle_(self, **_):
        return {"image/png": print_figure(self, base64=True)}, {"image/png": {"alt": self.alt or self._titles()}}

    def _titles(self):
        texts = [self.get_suptitle(), *(axes.get_title() or axes.get_title("left") for axes in self.axes)]
        return "; ".join(" ".join(text.split()) for text in texts if text.strip()) or "Figure"


def mask_colours(names):
    """Give each mask a colour; a known role, such as ``"tumour"``, keeps its own.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    dict of str to str
        Name to hexadecimal colour, readable on black; no colour twice among
        the first six names.
    """
    names = list(names)
    colours = {}
    for name in names:
        if _ROLES.get(name) not in (None, *colours.values()):
            colours[name] = _ROLES[name]
    free = [colour for colour in _ON_BLACK if colour not in colours.values()]
    for position, name in enumerate(name for name in names if name not in colours):
        colours[name] = free[position % len(free)] if free else _ON_BLACK[position % len(_ON_BLACK)]
    return {name: colours[name] for name in names}


def in_house_style(draw):
    """Decorate a function that returns a figure, so that it draws in the kit's look."""

    @wraps(draw)
    def styled(*args, **kwargs):
        with plt.rc_context(_LOOK):
            return draw(*args, **kwargs)

    return styled


def new_figure(rows=1, columns=1, *, size, **options):
    """Make a figure that shows once: where its cell returns it.

    Parameters
    ----------
    rows, columns : int, default=1
    size : (float, float)
        Width and height in inches.
    **options
        Passed on to :func:`matplotlib.pyplot.subplots`.

    Returns
    -------
    (DescribedFigure, ndarray of Axes)
        Axes of shape (rows, columns).
    """
    look = {"figsize": size, "layout": "constrained", "FigureClass": DescribedFigure}
    figure, axes = plt.subplots(rows, columns, squeeze=False, **look, **options)
    plt.close(figure)
    return figure, axes


def save_figure(figure, path, alt, *, dpi=110):
    """Save a figure as PNG with its text alternative inside.

    Parameters
    ----------
    figure : Figure
    path : path
        File name ending in ``.png``.
    alt : str
        What the figure shows, for readers who cannot see it; kept under
        ``Description`` in the PNG metadata.
    dpi : float, default=110
        Pixels an inch.

    Returns
    -------
    Figure
        The same, so that a cell that ends here shows it.

    Raises
    ------
    ParameterError
        No `alt`, or another ending than ``.png``.
    OutputError
        The folder cannot be written to.
    """
    path = Path(path)
    if path.suffix != ".png":
        raise ParameterError("save_figure", "a file name ending in .png", str(path), "save the figure as PNG")
    if not str(alt).strip():
        raise ParameterError(
            "save_figure", "a text alternative", f"an empty `alt` for {path.name}", "say in one sentence what is seen"
        )
    figure.alt = str(alt).strip()
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png", metadata={"Description": figure.alt})
    return figure
