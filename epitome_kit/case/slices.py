"""Pictures of the slices of a scan, for a page without a kernel."""

import base64
from collections.abc import Mapping

import numpy as np

from epitome_kit.files import Json, PathLike
from epitome_kit.plotting.slices import PLANES, SliceView, Stack, display_windows, slice_view, stack_images
from epitome_kit.plotting.style import MASK_ROLES
from epitome_kit.widgets.render import assemble, encode_jpeg, render_panel

_MOST, _SIZE, _OPACITY = 48, 320, 0.25


def render_slices(scan: Mapping[str, PathLike], masks: Mapping[str, PathLike]) -> Json:
    """Draw slices of a scan in the three planes, with masks on top.

    Parameters
    ----------
    scan : dict of str to path
        The scan by its contrast.
    masks : dict of str to path
        Masks by role; the first is on top.

    Returns
    -------
    dict
        For each plane ``pictures`` (data URLs), ``words`` (the position of each) and
        ``first``, the one to show first.
    """
    stack = stack_images(scan, masks, where="case")
    views = {plane: slice_view(stack.grid, plane) for plane in PLANES}
    scale = _SIZE / max(max(view.size) for view in views.values())
    return {plane: _plane(stack, view, scale) for plane, view in views.items()}


def _plane(stack: Stack, view: SliceView, scale: float) -> Json:
    indices = np.unique(np.linspace(0, view.count - 1, min(view.count, _MOST)).round().astype(int)).tolist()
    busiest = stack.busiest(view)
    windows = display_windows(stack.volumes)
    colours = {name: MASK_ROLES[role].colour for name, role in stack.roles.items()}
    height, width = (max(1, round(length * scale)) for length in view.size)
    pictures = []
    for index in indices:
        overlays = [(view.cut(mask, index), colours[name]) for name, mask in reversed(stack.masks.items())]
        panels = {
            name: render_panel(view.cut(volume, index), windows[name], overlays, size=(height, width), opacity=_OPACITY)
            for name, volume in stack.volumes.items()
        }
        jpeg = base64.b64encode(encode_jpeg(assemble(panels, view.letters))).decode()
        pictures.append(f"data:image/jpeg;base64,{jpeg}")
    first = int(np.argmin(np.abs(np.array(indices) - busiest)))
    return {"pictures": pictures, "words": [view.describe(index) for index in indices], "first": first}
