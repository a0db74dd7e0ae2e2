"""Show scans in three dimensions with NiiVue (optional extra `view3d`)."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from epitome_kit.extras import needs
from epitome_kit.images import ImageLike, new_image_like
from epitome_kit.plotting.slices import MasksLike, Stack, display_windows, stack_images
from epitome_kit.plotting.style import MASK_ROLES

if TYPE_CHECKING:
    from ipyniivue import NiiVue


def view_3d(image: ImageLike, masks: MasksLike | None = None, *, height: int = 480) -> "NiiVue":
    """Show a scan and masks in three dimensions, with its three planes.

    The browser draws the scan (WebGL 2), without a network connection.

    Parameters
    ----------
    image : image or path
    masks : dict of str to image or path, optional
        Shown in the colours of their roles, as in all figures.
    height : int, default=480
        Height of the viewer in pixels.

    Returns
    -------
    ipyniivue.NiiVue

    Raises
    ------
    MissingExtraError
        The extra `view3d` is not installed.
    ImageError
        An image cannot be read.
    """
    with needs("view3d"):
        from ipyniivue import NiiVue, ShowRender, SliceType
    stack = stack_images({"scan": image}, masks, where="view_3d")
    low, high = display_windows(stack.volumes)["scan"]
    viewer = NiiVue(height=height, multiplanar_show_render=ShowRender.ALWAYS, crosshair_width=0.3)
    viewer.set_slice_type(SliceType.MULTIPLANAR)
    viewer.set_radiological_convention(True)
    scan = _bytes(np.nan_to_num(stack.volumes["scan"], nan=low), stack)
    volumes = [{"name": "scan.nii", "data": scan, "colormap": "gray", "cal_min": low, "cal_max": high}]
    for name, role in stack.roles.items():
        red, green, blue = (round(255 * part) for part in to_rgb(MASK_ROLES[role].colour))
        levels = {"R": [0, red], "G": [0, green], "B": [0, blue], "A": [0, 255], "I": [0, 255]}
        viewer.add_colormap(f"kit {name}", levels)
        mask = _bytes(stack.masks[name].astype(np.uint8), stack)
        volumes.append({"name": f"{name}.nii", "data": mask, "colormap": f"kit {name}", "opacity": 0.6})
    viewer.load_volumes(volumes)
    return viewer


def _bytes(volume: np.ndarray, stack: Stack) -> bytes:
    return new_image_like(volume, stack.grid).to_bytes()
