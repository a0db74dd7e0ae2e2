"""Palette, look and saving of figures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from itertools import cycle
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar, cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.files import PathLike, text_digest, whole_file

_P = ParamSpec("_P")
_R = TypeVar("_R")

BLUE, ORANGE, GREEN, SKY = "#0072B2", "#E69F00", "#009E73", "#56B4E9"
PURPLE, YELLOW, RED, GREY = "#CC79A7", "#F0E442", "#D55E00", "#6E6E6E"
"""Okabe and Ito's palette, distinguishable with colour blindness, and a grey."""

CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
"""Order of colours for lines and points on a white background."""

CLASS_COLOURS = (BLUE, RED)
CLASS_MARKERS = ("o", "^")
"""Colour and marker of the negative and the positive class."""


class MaskStyle(NamedTuple):
    """Colour and line of the masks of one role.

    Attributes
    ----------
    colour : str
        Hexadecimal colour that is readable on black.
    line : str, default="solid"
        Matplotlib line style of outlines.
    """

    colour: str
    line: str = "solid"


_UNNAMED = {f"other {n}": MaskStyle(c) for n, c in enumerate((ORANGE, SKY, YELLOW, PURPLE, GREEN, RED), 1)}

MASK_ROLES: dict[str, MaskStyle] = {
    "truth": MaskStyle(GREEN),
    "annotation": MaskStyle(GREEN),
    "reference": MaskStyle(GREEN),
    "tumour": MaskStyle(ORANGE),
    "network": MaskStyle(ORANGE),
    "prediction": MaskStyle(ORANGE),
    "answer": MaskStyle(ORANGE),
    "symmetry": MaskStyle(PURPLE),
    "wrong": MaskStyle(RED, "dashed"),
    "brain": MaskStyle(SKY),
    "head": MaskStyle(SKY),
    "template": MaskStyle(ORANGE),
    "missed": MaskStyle(BLUE),
    "extra": MaskStyle(RED),
    **_UNNAMED,
}
"""Colour and line of each mask role, in figures, widgets and NiiVue; the last six are for masks without a role."""

_VERSION = "Style"
_DRAWING = 1
"""Increase this number to redraw saved figures when neither colours nor the look have changed."""

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
    "text.parse_math": False,  # a name may contain dollar signs
}


class DescribedFigure(Figure):
    """Figure that notebooks display with a text alternative.

    Attributes
    ----------
    alt : str or None
        Text alternative given to :func:`save_figure`; before that, the titles
        of the figure are used.
    """

    alt: str | None = None

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        with needs("lab"):
            from IPython.core.pylabtools import print_figure

        return {"image/png": print_figure(self, base64=True)}, {"image/png": {"alt": self.alt or self._titles()}}

    def _titles(self) -> str:
        texts = [self.get_suptitle(), *(axes.get_title() or axes.get_title("left") for axes in self.axes)]
        return "; ".join(" ".join(text.split()) for text in texts if text.strip()) or "Figure"


def mask_roles(names: Iterable[str], roles: Mapping[str, str] | None = None) -> dict[str, str]:
    """Find the role of each mask in one figure.

    Parameters
    ----------
    names : iterable of str
        Names of the masks.
    roles : dict of str to str, default=None
        Role of each mask by name. A mask without an entry has the role that equals its name, if there is one.

    Returns
    -------
    dict of str to str
        Name to a key of :data:`MASK_ROLES`. A mask without a role, or with the
        colour of an earlier mask, gets one of ``"other 1"`` to ``"other 6"``:
        no colour is used twice among the first six masks.

    Raises
    ------
    ParameterError
        A role is unknown.
    """
    roles = dict(roles or {})
    if unknown := [role for role in roles.values() if role not in MASK_ROLES]:
        known = ", ".join(role for role in MASK_ROLES if role not in _UNNAMED)
        raise ParameterError("masks", f"a role out of {known}", repr(unknown[0]), "leave the role out, or use `tumour`")
    found: dict[str, str | None] = {}
    taken: set[str] = set()
    for name in names:
        role = roles.get(name, name)
        usable = role in MASK_ROLES and MASK_ROLES[role].colour not in taken
        found[name] = role if usable else None
        taken |= {MASK_ROLES[role].colour} if usable else set()
    free = cycle([role for role, style in _UNNAMED.items() if style.colour not in taken] or _UNNAMED)
    return {name: next(free) if role is None else role for name, role in found.items()}


def style_version() -> str:
    """Return a fingerprint of the drawing style, which changes with the colours, the mask roles and the look.

    Returns
    -------
    str
        16 hex digits.
    """
    return text_digest(repr((_DRAWING, MASK_ROLES, sorted(_LOOK.items(), key=lambda item: item[0]))))


def is_drawn_as_now(path: Path) -> bool:
    """Check that :func:`save_figure` wrote a file with the current :func:`style_version`.

    Parameters
    ----------
    path : Path
        PNG file.

    Returns
    -------
    bool
        False if the file is missing, too.
    """
    if not path.is_file():
        return False
    with Image.open(path) as picture:
        return picture.info.get(_VERSION) == style_version()


def in_house_style(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function so that it draws with the kit's matplotlib settings."""

    @wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with plt.style.context(_LOOK):
            return draw(*args, **kwargs)

    return styled


def draw_estimate(axes: Axes, place: float, value: float, interval: Sequence[float], colour: str) -> None:
    """Draw one row of a chart: a point, its interval as a line, and both as text on the right.

    Parameters
    ----------
    axes : Axes
    place : float
        Position on the vertical axis.
    value : float
    interval : (float, float)
        Lower and upper limit.
    colour : str
    """
    low, high = interval
    axes.plot([low, high], [place, place], color=colour, lw=2.4, solid_capstyle="butt")
    axes.plot(value, place, "o", color=colour, ms=7)
    draw_row_text(axes, place, f"{value:.2f}  ({low:.2f} to {high:.2f})")


def draw_row_text(axes: Axes, place: float, text: str) -> None:
    """Write a text to the right of one row of a chart.

    Parameters
    ----------
    axes : Axes
    place : float
        Position on the vertical axis.
    text : str
    """
    axes.text(1.02, place, text, va="center", transform=axes.get_yaxis_transform(), size=9.5)


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    size: tuple[float, float],
    sharey: bool = False,
    width_ratios: Sequence[float] | None = None,
    height_ratios: Sequence[float] | None = None,
) -> tuple[DescribedFigure, np.ndarray]:
    """Make a figure that a notebook displays only if the cell returns it.

    Parameters
    ----------
    rows, columns : int, default=1
        Number of axes.
    size : (float, float)
        Width and height in inches.
    sharey, width_ratios, height_ratios
        See :func:`matplotlib.pyplot.subplots`.

    Returns
    -------
    figure : DescribedFigure
        Closed figure with constrained layout.
    axes : ndarray of Axes, shape (rows, columns)
        Axes of the figure.
    """
    figure = cast(DescribedFigure, plt.figure(figsize=size, layout="constrained", FigureClass=DescribedFigure))
    axes = figure.subplots(
        rows, columns, squeeze=False, sharey=sharey, width_ratios=width_ratios, height_ratios=height_ratios
    )
    plt.close(figure)
    return figure, axes


def save_figure(figure: DescribedFigure, path: PathLike, alt: str, *, dpi: float = 110) -> DescribedFigure:
    """Save a figure as PNG with a text alternative in its metadata.

    Parameters
    ----------
    figure : DescribedFigure
        Figure made by a function of :mod:`epitome_kit.plotting`.
    path : path
        File name ending in ``.png``.
    alt : str
        Text alternative for readers who cannot see the figure; saved as
        ``Description`` in the PNG metadata, with the :func:`style_version`.
    dpi : float, default=110
        Pixels per inch.

    Returns
    -------
    DescribedFigure
        The same figure, so that a cell that ends with this call displays it.

    Raises
    ------
    ParameterError
        `alt` is empty, or `path` does not end in ``.png``.
    OutputError
        The folder is not writable.
    """
    path = Path(path)
    if path.suffix != ".png":
        raise ParameterError("save_figure", "a file name ending in .png", str(path), "save the figure as PNG")
    if not str(alt).strip():
        raise ParameterError(
            "save_figure", "a text alternative", f"an empty `alt` for {path.name}", "describe the figure in a sentence"
        )
    figure.alt = str(alt).strip()
    with whole_file(path) as temporary:
        metadata = {"Description": figure.alt, _VERSION: style_version()}
        figure.savefig(temporary, dpi=dpi, format="png", metadata=metadata)
    return figure
