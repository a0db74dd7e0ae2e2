"""Render slices with NumPy and Pillow, fast enough to follow a slider."""

import io
from collections.abc import Mapping, Sequence
from functools import lru_cache

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

BORDER = 22
"""Width in pixels of the black border around each panel, for its orientation letters."""

_QUALITY = 92


def render_panel(
    cut: np.ndarray,
    window: tuple[float, float],
    overlays: Sequence[tuple[np.ndarray, str]] = (),
    *,
    size: tuple[int, int],
    opacity: float = 0.4,
    heat: tuple[np.ndarray, float] | None = None,
) -> np.ndarray:
    """Render one slice as a colour picture.

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
        Opacity of the inside of masks; their edges are opaque.
    heat : (ndarray of float, float), optional
        Strength from 0 (clear) to 1, of the shape of `cut`, and the opacity of
        strength 1. Drawn below the masks.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    low, high = window
    grey = np.nan_to_num((cut - low) * (255 / (high - low)), nan=0, posinf=255, neginf=0)
    grey = _resize(np.clip(grey, 0, 255).astype(np.uint8), size, Image.Resampling.BILINEAR)
    picture = np.repeat(grey[..., None], 3, axis=2)
    if heat is not None:
        _blend_heat(picture, *heat, size)
    for inside, colour in overlays:
        if inside.any():
            _colour(picture, _resize(inside.astype(np.uint8), size, Image.Resampling.NEAREST) > 0, colour, opacity)
    return picture


def assemble(panels: Mapping[str, np.ndarray], letters: Mapping[str, str]) -> np.ndarray:
    """Join panels side by side on black, each with its name and orientation letters.

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


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Encode an RGB array as JPEG without chroma subsampling, so that the edges of masks stay sharp."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    return stream.getvalue()


def _resize(pixels: np.ndarray, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
    if pixels.shape == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], resampling))


def _colour(picture: np.ndarray, inside: np.ndarray, colour: str, opacity: float) -> None:
    """Blend a colour into the pixels inside, and draw their edge opaque."""
    rgb = np.round(255 * np.array(to_rgb(colour)))
    picture[inside] = ((1 - opacity) * picture[inside] + opacity * rgb).astype(np.uint8)
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    picture[inside & ~core] = rgb


def _blend_heat(picture: np.ndarray, strength: np.ndarray, opacity: float, size: tuple[int, int]) -> None:
    """Blend heat colours into a picture, in proportion to their strength."""
    levels = np.nan_to_num(255 * np.clip(strength, 0, 1)).astype(np.uint8)
    levels = _resize(levels, size, Image.Resampling.BILINEAR)
    share = (levels * np.float32(opacity / 255))[..., None]
    picture[:] = picture + share * (_heat_colours()[levels] - picture)


@lru_cache
def _heat_colours() -> np.ndarray:
    """Return colours from purple to yellow, safe for colour blindness, without the darkest, which hide a scan."""
    return (255 * mpl.colormaps["inferno"](np.linspace(0.35, 1, 256))[:, :3]).astype(np.float32)


@lru_cache(maxsize=16)
def _background(names: tuple[str, ...], height: int, width: int, sides: tuple[tuple[str, str], ...]) -> np.ndarray:
    """Draw the names and letters, which are the same for all slices."""
    step, letters = width + 2 * BORDER, dict(sides)
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
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont("DejaVu Sans"), size)
