"""Style of every figure: one palette, one look, one way to save."""

from collections.abc import Iterable, Mapping
from functools import wraps
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.files import text_digest, whole_file

BLUE, ORANGE, GREEN, SKY = "#0072B2", "#E69F00", "#009E73", "#56B4E9"
PURPLE, YELLOW, RED, GREY = "#CC79A7", "#F0E442", "#D55E00", "#6E6E6E"
"""The palette of Okabe and Ito, told apart by colour-blind readers, and a grey."""

CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
"""Colours of lines and points on a white page, in order."""

CLASS_COLOURS = (BLUE, RED)
CLASS_MARKERS = ("o", "^")
"""Colour and marker of the negative and of the positive class."""


class MaskStyle(NamedTuple):
    """How masks of one role are drawn.

    Attributes
    ----------
    colour : str
        Hexadecimal, readable on black.
    line : str, default="solid"
        Line style of matplotlib, for outlines.
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
"""Colour and line of each role of a mask, in figures, widgets and NiiVue; the last six are for masks without a role."""

_VERSION = "Style"
_DRAWING = 1
"""To be raised when pictures that are kept have to be drawn again though neither colours nor the look have changed."""

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
        with needs("lab"):
            from IPython.core.pylabtools import print_figure

        return {"image/png": print_figure(self, base64=True)}, {"image/png": {"alt": self.alt or self._titles()}}

    def _titles(self):
        texts = [self.get_suptitle(), *(axes.get_title() or axes.get_title("left") for axes in self.axes)]
        return "; ".join(" ".join(text.split()) for text in texts if text.strip()) or "Figure"


def mask_roles(names: Iterable[str], roles: Mapping[str, str] | None = None) -> dict[str, str]:
    """Find the role of each mask that is shown together with others.

    Parameters
    ----------
    names : iterable of str
        What the masks are called.
    roles : dict of str to str, default=None
        Role of a mask by its name; a mask without an entry has the role of its name, if there is one.

    Returns
    -------
    dict of str to str
        Name to a key of :data:`MASK_ROLES`. A mask of no role, or whose colour
        another mask already has, gets one of ``"other 1"`` to ``"other 6"``:
        no colour is used twice among the first six masks.

    Raises
    ------
    ParameterError
        No such role.
    """
    roles = dict(roles or {})
    if unknown := [role for role in roles.values() if role not in MASK_ROLES]:
        known = ", ".join(role for role in MASK_ROLES if role not in _UNNAMED)
        raise ParameterError("masks", f"a role out of {known}", repr(unknown[0]), "leave the role out, or use `tumour`")
    found: dict[str, str | None] = {}
    taken: set[str] = set()
    for name in names:
        role = roles.get(name, name)
        own = role in MASK_ROLES and MASK_ROLES[role].colour not in taken
        found[name] = role if own else None
        taken |= {MASK_ROLES[role].colour} if own else set()
    free = cycle([role for role, style in _UNNAMED.items() if style.colour not in taken] or _UNNAMED)
    return {name: next(free) if role is None else role for name, role in found.items()}


def style_version() -> str:
    """Fingerprint of how pictures are drawn: it changes with the colours, the roles of masks and the look.

    Returns
    -------
    str
        16 hex digits.
    """
    return text_digest(repr((_DRAWING, MASK_ROLES, sorted(_LOOK.items(), key=lambda item: item[0]))))


def is_drawn_as_now(path: Path) -> bool:
    """Check that :func:`save_figure` wrote a picture with the present :func:`style_version`.

    Parameters
    ----------
    path : Path
        A PNG.

    Returns
    -------
    bool
        False as well where there is no such picture.
    """
    if not path.is_file():
        return False
    with Image.open(path) as picture:
        return picture.info.get(_VERSION) == style_version()


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
        ``Description`` in the PNG metadata, beside the :func:`style_version`.
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
        kept = {"Description": figure.alt, _VERSION: style_version()}
        figure.savefig(temporary, dpi=dpi, format="png", metadata=kept)
    return figure
