"""A head in three dimensions, turned by the mouse: NiiVue, an optional extra."""

from matplotlib.colors import to_rgb

from epitome_kit.errors import ToolFailed
from epitome_kit.images import load_image, load_mask
from epitome_kit.teach.style import mask_colours


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
    ToolFailed
        The extra `view3d` is not installed.
    BadImage
        An image cannot be read.
    """
    try:
        from ipyniivue import NiiVue, SliceType
    except ImportError as error:
        raise ToolFailed(
            "view_3d", "the package ipyniivue", f"nothing to import ({error})", "`pip install 'epitome-kit[view3d]'`"
        ) from error
    colours = mask_colours(masks or {})
    volumes = [_volume("scan", load_image(image, where="view_3d", check_voxels=False), "gray", 1.0)]
    viewer = NiiVue(height=height, show_3d_crosshair=True)
    viewer.set_slice_type(SliceType.MULTIPLANAR)
    viewer.set_radiological_convention(True)
    for name, mask in (masks or {}).items():
        red, green, blue = (round(255 * part) for part in to_rgb(colours[name]))
        levels = {"R": [0, red], "G": [0, green], "B": [0, blue], "A": [0, 255], "I": [0, 255]}
        viewer.add_colormap(f"kit {name}", levels)
        volumes.append(_volume(name, load_mask(mask, where="view_3d"), f"kit {name}", 0.5))
    viewer.load_volumes(volumes)
    return viewer


def _volume(name, image, colours, opacity):
    return {"name": f"{name}.nii", "data": image.to_bytes(), "colormap": colours, "opacity": opacity}
