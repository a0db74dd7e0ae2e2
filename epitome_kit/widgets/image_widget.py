"""Show a picture that responds to the mouse wheel, the arrow keys and clicks, and is kept in exported pages."""

from base64 import b64encode
from pathlib import Path

from epitome_kit.extras import needs

with needs("lab"):
    import anywidget
    import traitlets as tr
    from ipywidgets import Widget


class Picture(anywidget.AnyWidget):
    """Show one of several JPEGs; the wheel and the arrow keys step through them.

    Pictures are swapped without flicker. A scroll of the page that began
    elsewhere continues across the picture; Ctrl and the wheel still zoom. Screen
    readers present it as a slider with its position.

    Attributes
    ----------
    value : bytes
        The JPEG.
    index, last : int
        Index of the picture, from 0 to `last`; the browser sets `index`.
    playing : bool
        Whether the browser plays the pictures in a loop.
    label : str
        Name of the picture, for screen readers.
    text : str
        Description of the current picture.
    clicked : list of float
        Last click, as fractions of the width and height.
    """

    _esm = Path(__file__).with_suffix(".js")

    value = tr.Bytes().tag(sync=True)
    index = tr.Int(0).tag(sync=True)
    last = tr.Int(0).tag(sync=True)
    playing = tr.Bool(False).tag(sync=True)
    label = tr.Unicode().tag(sync=True)
    text = tr.Unicode().tag(sync=True)
    clicked = tr.List(tr.Float()).tag(sync=True)


class PngFallbackMixin(Widget):
    """Mixin for a widget with a :class:`Picture` as its `picture`, which pages without a kernel show.

    Attributes
    ----------
    picture : Picture
    """

    picture: Picture

    def _repr_mimebundle_(self, **options: object) -> tuple[dict[str, object], dict[str, dict[str, str]]]:
        data = {**super()._repr_mimebundle_(**options), "image/jpeg": b64encode(self.picture.value).decode()}
        return data, {"image/jpeg": {"alt": f"{self.picture.label}: {self.picture.text}"}}
