"""A picture that follows the mouse wheel, the arrow keys and a click, and stays on the page when exported."""

from base64 import b64encode
from pathlib import Path

from epitome_kit.extras import needs

with needs("lab"):
    import anywidget
    import traitlets as tr


class Picture(anywidget.AnyWidget):
    """Show one JPEG of several; the wheel and the arrow keys go through them.

    A new picture takes the place of the old one without a blank between. A scroll
    of the page that began elsewhere goes on across the picture; Ctrl and the
    wheel still zoom. To a screen reader it is a slider that says where it stands.

    Attributes
    ----------
    value : bytes
        The JPEG.
    index, last : int
        Which of the pictures 0 to `last` this is; the browser sets `index`.
    playing : bool
        Whether the browser runs through the pictures, round and round.
    label : str
        What the picture is, for readers who cannot see it.
    text : str
        What it shows now.
    clicked : tuple of float
        Where it was clicked last, as shares of its width and height.
    """

    _esm = Path(__file__).with_suffix(".js")

    value = tr.Bytes().tag(sync=True)
    index = tr.Int(0).tag(sync=True)
    last = tr.Int(0).tag(sync=True)
    playing = tr.Bool(False).tag(sync=True)
    label = tr.Unicode().tag(sync=True)
    text = tr.Unicode().tag(sync=True)
    clicked = tr.List(tr.Float()).tag(sync=True)


class PngFallbackMixin:
    """Mixed into a widget with a :class:`Picture` as its `picture`: pages without a kernel show that one."""

    def _repr_mimebundle_(self, **options):
        data = {**super()._repr_mimebundle_(**options), "image/jpeg": b64encode(self.picture.value).decode()}
        return data, {"image/jpeg": {"alt": f"{self.picture.label}: {self.picture.text}"}}
