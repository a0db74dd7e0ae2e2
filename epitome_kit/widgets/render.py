"""Pictures of slices made with NumPy and Pillow, fast enough to follow a slider."""

import io
from functools import lru_cache

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

BORDER = 22
"""Pixels of black around each panel, for its letters."""

_QUALITY = 92


def render_panel(cut, window, overlays=(), *, size, opacity=0.4, heat=None):
    """Make the colour picture of one slice.

    Parameters
    ----------
    cut : ndarray of float, shape (rows, columns)
        NaN is shown as black.
    window : (float, float)
        Intensities shown as black and as white.
    overlays : sequence of (ndarray of bool, str), optional
        Masks of the shape of `cut`, and their colours.
    size : (int, int)
        Height and width of the picture in pixels.
    opacity : float, default=0.4
        How much the inside of a mask is coloured; its edge always is.
    heat : (ndarray of float, float), optional
        Strength from 0 (clear) to 1, of the shape of `cut`, and the opacity of 1.
        Lies below the masks.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    low, high = window
    grey = np.nan_to_num((cut - low) * (255 / (high - low)), nan=0, posinf=255, neginf=0)
    grey = _resize(np.clip(grey, 0, 255).astype(np.uint8), size, Image.Resampling.BILINEAR)
    picture = np.repeat(grey[..., None], 3, axis=2)
    if heat is not None:
        _warm(picture, *heat, size)
    for inside, colour in overlays:
        if inside.any():
            _colour(picture, _resize(inside.astype(np.uint8), size, Image.Resampling.NEAREST) > 0, colour, opacity)
    return picture


def assemble(panels, letters):
    """Put panels side by side on black, each under its name and among its letters.

    Parameters
    ----------
    panels : dict of str to ndarray
        Pictures of one size, by name.
    letters : dict of str to str
        Orientation at ``"left"``, ``"right"``, ``"top"`` and ``"bottom"``.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    height, width = next(iter(panels.values())).shape[:2]
    canvas = _background(tuple(panels), height, width, tuple(sorted(letters.items()))).copy()
    for position, panel in enumerate(panels.values()):
        left = BORDER + position * (width + 2 * BORDER)
        canvas[2 * BORDER : 2 * BORDER + height, left : left + width] = panel
    return canvas


def encode_jpeg(picture):
    """Encode an RGB array as JPEG with colours in full resolution, so that the edge of a mask stays sharp."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    return stream.getvalue()


def _resize(pixels, size, resampling):
    if pixels.shape == tuple(size):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], resampling))


def _colour(picture, inside, colour, opacity):
    """Blend a colour into the pixels inside, and draw it fully on their edge."""
    colour = np.round(255 * np.array(to_rgb(colour)))
    picture[inside] = ((1 - opacity) * picture[inside] + opacity * colour).astype(np.uint8)
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    picture[inside & ~core] = colour


def _warm(picture, strength, opacity, size):
    """Blend the colours of heat into a picture, the more the stronger."""
    levels = np.nan_to_num(255 * np.clip(strength, 0, 1)).astype(np.uint8)
    levels = _resize(levels, size, Image.Resampling.BILINEAR)
    share = (levels * np.float32(opacity / 255))[..., None]
    picture[:] = picture + share * (_heat_colours()[levels] - picture)


@lru_cache
def _heat_colours():
    """Purple to yellow, told apart by colour-blind readers; without the darkest ones, which hide a scan."""
    return (255 * mpl.colormaps["inferno"](np.linspace(0.35, 1, 256))[:, :3]).astype(np.float32)


@lru_cache(maxsize=16)
def _background(names, height, width, letters):
    """Draw the names and letters, which do not change from slice to slice."""
    step, letters = width + 2 * BORDER, dict(letters)
    image = Image.new("RGB", (step * len(names), height + 3 * BORDER))
    pen, name_font, font = ImageDraw.Draw(image), _font(15), _font(13)
    for position, name in enumerate(names):
        middle, left = position * step + step / 2, position * step
        pen.text((middle, BORDER / 2), name, "white", name_font, anchor="mm")
        pen.text((middle, 1.5 * BORDER), letters["top"], "#C8C8C8", font, anchor="mm")
        pen.text((middle, 2.5 * BORDER + height), letters["bottom"], "#C8C8C8", font, anchor="mm")
        pen.text((left + BORDER / 2, 2 * BORDER + height / 2), letters["left"], "#C8C8C8", font, anchor="mm")
        pen.text((left + step - BORDER / 2, 2 * BORDER + height / 2), letters["right"], "#C8C8C8", font, anchor="mm")
    return np.asarray(image)


@lru_cache
def _font(size):
    return ImageFont.truetype(findfont("DejaVu Sans"), size)
