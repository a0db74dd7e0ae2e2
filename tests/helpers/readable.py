"""What a reader can read: letters of a size, and colours that colour-blind people tell apart."""

from colorsys import rgb_to_hsv

from matplotlib.cm import ScalarMappable
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgb, to_rgba, to_rgba_array
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from epitome_kit.plotting import style

SMALLEST_PT = 9
MAPS = {"gray", "Blues", "PuOr_r", "berlin", "magma", "viridis", "cividis"}
"""Rising in lightness, or of two hues that are told apart: blue and orange, blue and red through black."""

_PALETTE = (style.BLUE, style.ORANGE, style.GREEN, style.SKY, style.PURPLE, style.YELLOW, style.RED)


def small_letters(figure):
    """Texts of a figure that are smaller than a reader can read."""
    texts = [text for text in figure.findobj(Text) if text.get_visible()]  # a tick is empty until it is drawn
    return sorted({text.get_text() or "a tick" for text in texts if text.get_fontsize() < SMALLEST_PT})


def odd_colours(figure):
    """Colours of a figure that are neither grey nor a shade of the palette, and maps of colours that are not known."""
    found = set()
    for artist in figure.findobj(lambda artist: isinstance(artist, (Text, Line2D, Patch, Collection, ScalarMappable))):
        axes = getattr(artist, "axes", None)
        if axes is not None and axes.get_label() == "<colorbar>":
            continue
        if isinstance(artist, ScalarMappable) and artist.get_array() is not None and artist.get_array().ndim < 3:
            shades = artist.get_cmap()
            listed = shades.colors if shades.name == "unnamed" else []  # the colours of outlines
            found |= {shades.name} - {*MAPS, "unnamed"}
        elif isinstance(artist, (Text, Line2D)):
            listed = [artist.get_color()]
        elif isinstance(artist, AxesImage):
            continue  # a picture that brings its own colours
        else:
            listed = [*to_rgba_array(artist.get_facecolor()), *to_rgba_array(artist.get_edgecolor())]
        found |= {to_hex(colour, keep_alpha=False) for colour in listed if _odd(*to_rgba(colour))}
    return found


def _odd(red, green, blue, opacity):
    hue, saturation, _ = rgb_to_hsv(red, green, blue)
    hues = (rgb_to_hsv(*to_rgb(colour))[0] for colour in _PALETTE)
    return opacity > 0 and saturation > 0.1 and not any(abs(hue - known) < 0.03 for known in hues)
