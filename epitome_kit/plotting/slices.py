"""Slices: how a plane of a scan is laid out on the screen, worked out from its affine."""

from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.errors import ParameterError
from epitome_kit.images import image_like, load_image, load_mask, resample, same_grid, voxel_size_known
from epitome_kit.io.mask_labels import MOST_LABELS
from epitome_kit.plotting.style import mask_roles

PLANES = ("axial", "coronal", "sagittal")

_WORLD_AXES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
"""World axes that run through, down and across each plane."""
_FIRST, _LAST = "RAS", "LPI"


@dataclass(frozen=True)
class SliceView:
    """Layout of one plane of a grid.

    The picture follows radiology: the patient's right is on the left, anterior
    or superior on top. Each axis of the picture so runs from R, A or S to L, P
    or I, however the array is stored; oblique grids go by their nearest axes.

    Attributes
    ----------
    plane : str
    axis : int
        Array axis that is stepped through.
    shape : (int, int)
        Rows and columns of the picture.
    count : int
        Number of slices.
    pixel_size : (float, float)
        Height and width of a pixel, in mm; nominal where the size is unknown.
    known : bool
        Whether `pixel_size` and `millimetres` mean millimetres.
    letters : dict of str to str
        Orientation at ``"left"``, ``"right"``, ``"top"`` and ``"bottom"``.
    order : (int, int)
        Array axes of the rows and the columns.
    reverse : (bool, bool)
        Whether rows and columns run against their array axes.
    start, step : float
        World coordinate of the centre of slice 0, and from slice to slice.
    """

    plane: str
    axis: int
    shape: tuple
    count: int
    pixel_size: tuple
    known: bool
    letters: dict
    order: tuple
    reverse: tuple
    start: float
    step: float

    @property
    def size(self):
        """Height and width of the picture, in mm; nominal where the voxel size is unknown."""
        return tuple(length * size for length, size in zip(self.shape, self.pixel_size, strict=True))

    def cut(self, volume, index):
        """Take slice `index` of an array of shape (i, j, k), as rows and columns of the picture."""
        picture = volume[(slice(None),) * self.axis + (index,)]
        if self.order[0] > self.order[1]:
            picture = picture.T
        return picture[tuple(slice(None, None, -1 if back else 1) for back in self.reverse)]

    def pixel(self, voxel):
        """Row and column at which a voxel (i, j, k) is drawn."""
        return tuple(
            length - 1 - voxel[axis] if back else voxel[axis]
            for length, axis, back in zip(self.shape, self.order, self.reverse, strict=True)
        )

    def millimetres(self, index):
        """World coordinate of the centre of slice `index`."""
        return self.start + index * self.step

    def nearest(self, millimetres):
        """Index of the slice nearest to a world coordinate."""
        return int(np.clip(round((millimetres - self.start) / self.step), 0, self.count - 1))

    def describe(self, index):
        """Say where slice `index` is, such as ``"axial slice k = 24 of 0–47, z = 12 mm"``."""
        place = f"{self.plane} slice {'ijk'[self.axis]} = {index} of 0–{self.count - 1}"
        return f"{place}, {self.position(index) if self.known else 'voxel size unknown'}"

    def position(self, index):
        """Say where slice `index` is in a few characters, such as ``"z = 12 mm"`` or ``"k = 24"``."""
        if not self.known:
            return f"{'ijk'[self.axis]} = {index}"
        return f"{'xyz'[_WORLD_AXES[self.plane][0]]} = {round(self.millimetres(index))} mm"


def slice_view(grid, plane="axial"):
    """Work out how to show a plane of an image.

    Parameters
    ----------
    grid : Nifti1Image
    plane : {"axial", "coronal", "sagittal"}

    Returns
    -------
    SliceView

    Raises
    ------
    ParameterError
        No such plane.
    """
    if plane not in PLANES:
        raise ParameterError("slice_view", f"a plane out of {', '.join(PLANES)}", repr(plane), "use `axial`")
    orientation = nib.io_orientation(grid.affine)
    world = orientation[:, 0].astype(int).tolist()
    through, down, across = (world.index(axis) for axis in _WORLD_AXES[plane])
    sizes = nib.affines.voxel_sizes(grid.affine)
    centre = (np.array(grid.shape[:3]) - 1) / 2
    first, last = (np.where(np.arange(3) == through, index, centre) for index in (0, 1))
    start, following = nib.affines.apply_affine(grid.affine, [first, last])[:, world[through]]
    return SliceView(
        plane=plane,
        axis=through,
        shape=(grid.shape[down], grid.shape[across]),
        count=grid.shape[through],
        pixel_size=(float(sizes[down]), float(sizes[across])),
        known=voxel_size_known(grid),
        letters={
            "left": _FIRST[world[across]],
            "right": _LAST[world[across]],
            "top": _FIRST[world[down]],
            "bottom": _LAST[world[down]],
        },
        order=(down, across),
        reverse=(orientation[down, 1] > 0, orientation[across, 1] > 0),
        start=float(start),
        step=float(following - start),
    )


@dataclass(frozen=True)
class Stack:
    """Scans and masks of one subject on one grid.

    Attributes
    ----------
    grid : Nifti1Image
    volumes : dict of str to ndarray
        float32, shape (i, j, k). NaN where a scan was cut away, if 0 is a grey
        value like others in what is left of it.
    masks : dict of str to ndarray
        bool, shape (i, j, k).
    maps : dict of str to ndarray
        float32, shape (i, j, k).
    roles : dict of str to str
        Of every mask, a key of :data:`~epitome_kit.plotting.style.MASK_ROLES`; those
        that are not given follow from the names of the masks.
    """

    grid: nib.Nifti1Image
    volumes: dict
    masks: dict
    maps: dict = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", mask_roles(self.masks, self.roles))

    def crop(self, inside, *, margin_mm=10):
        """Cut the stack to the box around a boolean array, and a margin (nominal mm)."""
        places = np.argwhere(inside)
        margin = np.ceil(margin_mm / nib.affines.voxel_sizes(self.grid.affine)).astype(int)
        low, high = np.maximum(places.min(axis=0) - margin, 0), places.max(axis=0) + margin + 1
        box = tuple(slice(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True))
        parts = ({name: part[box] for name, part in parts.items()} for parts in (self.volumes, self.masks, self.maps))
        return Stack(self.grid.slicer[box], *parts, self.roles)

    def busiest(self, view):
        """Slice that holds most of the first mask; the middle one without a mask."""
        for mask in self.masks.values():
            area = mask.sum(axis=tuple(axis for axis in range(3) if axis != view.axis))
            if area.any():
                return int(area.argmax())
        return view.count // 2


def load_shown(mask, *, where):
    """Load a mask to be looked at: all above zero is inside, whatever is off with it.

    Parameters
    ----------
    mask : path or Nifti1Image
    where : str
        The step to name in an error.

    Returns
    -------
    Nifti1Image
        uint8.

    Raises
    ------
    ImageError
        Unreadable, or a scan rather than a mask.
    """
    image = load_image(mask, where=where, check_voxels=False)
    data = np.asarray(image.dataobj)
    if data.dtype.kind not in "biuf":
        raise TypeError(f"voxels of type {data.dtype}")
    if len(np.unique(data)) > MOST_LABELS:
        return load_mask(mask, where=where)
    return image_like((np.nan_to_num(data) > 0).astype(np.uint8), image)


def stack_images(images, masks=None, maps=None, *, where="stack_images"):
    """Bring scans, masks and maps onto the grid of the first scan.

    Parameters
    ----------
    images : dict of str to image or path, or one of these
        Scans by name. Those on another grid are resampled linearly.
    masks : dict of str to image or path, or one of these, optional
        Masks by name. Those on another grid are resampled to the nearest voxel.
        ``(mask, role)`` in place of a mask sets its role, and so its colour and
        line: see :data:`~epitome_kit.plotting.style.MASK_ROLES`. Else its name is its role.
    maps : dict of str to image or path, or one of these, optional
        Maps by name, such as what a network looked at; resampled linearly.
    where : str, default="stack_images"
        The step to name in an error.

    Returns
    -------
    Stack

    Raises
    ------
    ParameterError
        No image, or no such role.
    ImageError
        A file cannot be read as a 3-D image.
    """
    images, pairs = _named(images, "scan"), _named(masks, "mask")
    masks = {name: mask[0] if isinstance(mask, tuple) else mask for name, mask in pairs.items()}
    roles = {name: mask[1] for name, mask in pairs.items() if isinstance(mask, tuple)}
    if not images:
        raise ParameterError(where, "at least one image", "none", "pass `{'T1ce': image}`")
    loaded = {name: load_image(image, where=where, check_voxels=False) for name, image in images.items()}
    grid = next(iter(loaded.values()))
    volumes = {name: _without_surround(_values(image, grid)) for name, image in loaded.items()}
    inside = {
        name: np.asarray(_on_grid(load_shown(mask, where=where), grid, order=0).dataobj) > 0
        for name, mask in masks.items()
    }
    heat = {
        name: _values(load_image(image, where=where, check_voxels=False), grid)
        for name, image in _named(maps, "map").items()
    }
    return Stack(grid, volumes, inside, heat, roles)


def display_windows(volumes, window="robust"):
    """Choose the intensities that are shown as black and as white.

    Parameters
    ----------
    volumes : dict of str to ndarray
    window : {"robust", "shared"} or (float, float), default="robust"
        ``"robust"``: percentiles 1 and 99 of the non-zero voxels of each
        volume; ``"shared"``: those of the first volume for all of them; or the
        two intensities.

    Returns
    -------
    dict of str to (float, float)

    Raises
    ------
    ParameterError
        `window` is neither a known name nor two rising numbers.
    """
    if isinstance(window, str) and window in ("robust", "shared"):
        windows = {name: _robust(volume) for name, volume in volumes.items()}
        first = next(iter(windows.values()))
        return windows if window == "robust" else dict.fromkeys(windows, first)
    if isinstance(window, str) or len(window) != 2 or not window[0] < window[1]:
        raise ParameterError(
            "window", "`robust`, `shared` or two rising intensities", repr(window), "use `window='robust'`"
        )
    return dict.fromkeys(volumes, (float(window[0]), float(window[1])))


def _robust(volume):
    stride = max(1, round((volume.size / 500_000) ** (1 / 3)))
    sample = volume[::stride, ::stride, ::stride]
    sample = sample[np.isfinite(sample) & (sample != 0)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample, [1, 99]))
    return (low, high) if low < high else (min(low, 0.0), max(high, 1.0))


def _without_surround(volume):
    """Replace the zeros around a scan that also goes below zero, so that they are shown as black."""
    if not np.nanmin(volume) < 0:
        return volume
    zeros, _ = ndimage.label(volume == 0)
    corners = zeros[np.ix_(*[(0, -1)] * 3)]
    return np.where(np.isin(zeros, corners[corners > 0]), np.float32(np.nan), volume)


def _named(images, name):
    if images is None:
        return {}
    return images if isinstance(images, dict) else {name: images}


def _values(image, grid):
    return _on_grid(image, grid, order=1).get_fdata(dtype=np.float32, caching="unchanged")


def _on_grid(image, grid, order):
    if same_grid(image, grid):
        return image
    return resample(image, grid.affine, grid.shape[:3], order=order)
