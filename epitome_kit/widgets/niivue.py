"""A head in three dimensions, turned by the mouse: NiiVue, an optional extra."""

import numpy as np
from matplotlib.colors import to_rgb

from epitome_kit.extras import needs
from epitome_kit.images import image_like
from epitome_kit.plotting.slices import display_windows, stack_images
from epitome_kit.plotting.style import MASK_ROLES


def view_3d(image, masks=None, *, height=480):
    """Show a scan and masks in three dimensions, beside its three planes.

    Drawn by the browser (WebGL 2), without the network.

    Parameters
    ----------
    image : image or path
    masks : dict of str to image or path, optional
        Coloured as in every figure.
    height : int, default=480
        Pixels.

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


def _bytes(volume, stack):
    return image_like(volume, stack.grid).to_bytes()
