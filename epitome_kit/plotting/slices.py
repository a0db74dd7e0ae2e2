"""Lay out the planes of a scan by its affine, and bring scans, masks and maps onto one grid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.errors import ParameterError
from epitome_kit.images import ImageLike, load_image, load_mask, new_image_like, resample, same_grid, voxel_size_known
from epitome_kit.io.mask_labels import MOST_LABELS
from epitome_kit.plotting.style import mask_roles

ImagesLike = ImageLike | Mapping[str, ImageLike]
MaskLike = ImageLike | tuple[ImageLike, str]
MasksLike = MaskLike | Mapping[str, MaskLike]
"""One image or several by name; a mask alone or with its role; one such mask or several by name."""
Window = str | tuple[float, float]
"""``"robust"``, ``"shared"``, or the intensities shown as black and as white."""

PLANES = ("axial", "coronal", "sagittal")

_WORLD_AXES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
"""World axes that run through, down and across each plane."""
_FIRST, _LAST = "RAS", "LPI"

_T = TypeVar("_T", bound=MaskLike)


@dataclass(frozen=True)
class SliceView:
    """Layout of one plane of a grid.

    Slices are shown in radiological convention: the patient's right is on the
    left, anterior or superior on top. Oblique grids are shown by the nearest
    axes.

    Attributes
    ----------
    plane : str
        One of :data:`PLANES`.
    axis : int
        Array axis through the plane.
    shape : (int, int)
        Rows and columns of the picture.
    count : int
        Number of slices.
    pixel_size : (float, float)
        Height and width of a pixel, in mm; nominal if the voxel size is unknown.
    known : bool
        Whether the voxel size is known, so that `pixel_size` is in mm.
    letters : dict of str to str
        Orientation at ``"left"``, ``"right"``, ``"top"`` and ``"bottom"``.
    order : (int, int)
        Array axes of the rows and the columns.
    reverse : (bool, bool)
        Whether rows and columns run against their array axes.
    start, step : float
        World coordinate of the centre of slice 0, and distance between slices.
    """

    plane: str
    axis: int
    shape: tuple[int, int]
    count: int
    pixel_size: tuple[float, float]
    known: bool
    letters: dict[str, str]
    order: tuple[int, int]
    reverse: tuple[bool, bool]
    start: float
    step: float

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the picture, in mm; nominal if the voxel size is unknown."""
        (rows, columns), (height, width) = self.shape, self.pixel_size
        return rows * height, columns * width

    def cut(self, volume: np.ndarray, index: int) -> np.ndarray:
        """Return slice `index` of an array of shape (i, j, k), as rows and columns of the picture."""
        picture = volume[(slice(None),) * self.axis + (index,)]
        if self.order[0] > self.order[1]:
            picture = picture.T
        return picture[tuple(slice(None, None, -1 if back else 1) for back in self.reverse)]

    def pixel(self, voxel: tuple[int, int, int]) -> tuple[int, ...]:
        """Return the row and column of a voxel (i, j, k) in the picture."""
        return tuple(
            length - 1 - voxel[axis] if back else voxel[axis]
            for length, axis, back in zip(self.shape, self.order, self.reverse, strict=True)
        )

    def millimetres(self, index: int) -> float:
        """Return the world coordinate of the centre of slice `index`."""
        return self.start + index * self.step

    def nearest(self, millimetres: float) -> int:
        """Return the index of the slice nearest to a world coordinate."""
        return int(np.clip(round((millimetres - self.start) / self.step), 0, self.count - 1))

    def describe(self, index: int) -> str:
        """Describe the position of slice `index`, such as ``"axial slice k = 24 of 0–47, z = 12 mm"``."""
        place = f"{self.plane} slice {'ijk'[self.axis]} = {index} of 0–{self.count - 1}"
        return f"{place}, {self.position(index) if self.known else 'voxel size unknown'}"

    def position(self, index: int) -> str:
        """Return the position of slice `index` in a few characters, such as ``"z = 12 mm"`` or ``"k = 24"``."""
        if not self.known:
            return f"{'ijk'[self.axis]} = {index}"
        return f"{'xyz'[_WORLD_AXES[self.plane][0]]} = {round(self.millimetres(index))} mm"


def slice_view(grid: nib.Nifti1Image, plane: str = "axial") -> SliceView:
    """Lay out one plane of an image.

    Parameters
    ----------
    grid : Nifti1Image
        Image whose shape and affine are used.
    plane : {"axial", "coronal", "sagittal"}

    Returns
    -------
    SliceView

    Raises
    ------
    ParameterError
        `plane` is unknown.
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
    letters = [ends[world[axis]] for axis in (across, down) for ends in (_FIRST, _LAST)]
    return SliceView(
        plane=plane,
        axis=through,
        shape=(grid.shape[down], grid.shape[across]),
        count=grid.shape[through],
        pixel_size=(float(sizes[down]), float(sizes[across])),
        known=voxel_size_known(grid),
        letters=dict(zip(("left", "right", "top", "bottom"), letters, strict=True)),
        order=(down, across),
        reverse=(bool(orientation[down, 1] > 0), bool(orientation[across, 1] > 0)),
        start=float(start),
        step=float(following - start),
    )


@dataclass(frozen=True)
class Stack:
    """Scans, masks and maps of one subject on one grid.

    Attributes
    ----------
    grid : Nifti1Image
        Image whose shape and affine all arrays share.
    volumes : dict of str to ndarray
        float32, shape (i, j, k). The surround of a scan that goes below zero is
        NaN.
    masks : dict of str to ndarray
        bool, shape (i, j, k).
    maps : dict of str to ndarray
        float32, shape (i, j, k).
    roles : dict of str to str
        Role of every mask, a key of :data:`~epitome_kit.plotting.style.MASK_ROLES`;
        a role that is not given follows from the name of the mask.
    """

    grid: nib.Nifti1Image
    volumes: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", mask_roles(self.masks, self.roles))

    def crop(self, inside: np.ndarray, *, margin_mm: float = 10) -> "Stack":
        """Crop the stack to the bounding box of a boolean array and a margin (nominal mm)."""
        places = np.argwhere(inside)
        margin = np.ceil(margin_mm / nib.affines.voxel_sizes(self.grid.affine)).astype(int)
        low, high = np.maximum(places.min(axis=0) - margin, 0), places.max(axis=0) + margin + 1
        box = tuple(slice(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True))
        volumes, masks, maps = (
            {name: part[box] for name, part in parts.items()} for parts in (self.volumes, self.masks, self.maps)
        )
        return Stack(self.grid.slicer[box], volumes, masks, maps, self.roles)

    def busiest(self, view: SliceView) -> int:
        """Return the slice with the largest area of the first mask that has voxels, else the middle one."""
        for mask in self.masks.values():
            area = mask.sum(axis=tuple(axis for axis in range(3) if axis != view.axis))
            if area.any():
                return int(area.argmax())
        return view.count // 2


def load_shown(mask: ImageLike, *, where: str) -> nib.Nifti1Image:
    """Load a mask for display: all voxels above zero are inside, without further checks.

    Parameters
    ----------
    mask : path or Nifti1Image
    where : str
        Step to name in an error.

    Returns
    -------
    Nifti1Image of uint8

    Raises
    ------
    ImageError
        The file is unreadable, or a scan rather than a mask.
    """
    image = load_image(mask, where=where, check_voxels=False)
    data = np.asarray(image.dataobj)
    if data.dtype.kind not in "biuf":
        raise TypeError(f"voxels of type {data.dtype}")
    if len(np.unique(data)) > MOST_LABELS:
        return load_mask(mask, where=where)
    return new_image_like((np.nan_to_num(data) > 0).astype(np.uint8), image)


def stack_images(
    images: ImagesLike, masks: MasksLike | None = None, maps: ImagesLike | None = None, *, where: str = "stack_images"
) -> Stack:
    """Bring scans, masks and maps onto the grid of the first scan.

    Parameters
    ----------
    images : dict of str to image or path, or one of these
        Scans by name. Those on another grid are resampled linearly.
    masks : dict of str to image or path, or one of these, optional
        Masks by name. Those on another grid are resampled to the nearest voxel.
        ``(mask, role)`` in place of a mask sets its role, and with it its colour
        and line: see :data:`~epitome_kit.plotting.style.MASK_ROLES`. By default
        its name is its role.
    maps : dict of str to image or path, or one of these, optional
        Maps by name, such as the attention of a network; resampled linearly.
    where : str, default="stack_images"
        Step to name in an error.

    Returns
    -------
    Stack

    Raises
    ------
    ParameterError
        There is no image, or a role is unknown.
    ImageError
        A file cannot be read as a 3-D image.
    """
    scans, pairs = _named(images, "scan"), _named(masks, "mask")
    if not scans:
        raise ParameterError(where, "at least one image", "none", "pass `{'T1ce': image}`")
    loaded = {name: load_image(image, where=where, check_voxels=False) for name, image in scans.items()}
    grid = next(iter(loaded.values()))
    inside = {name: mask[0] if isinstance(mask, tuple) else mask for name, mask in pairs.items()}
    return Stack(
        grid,
        {name: _without_surround(_values(image, grid)) for name, image in loaded.items()},
        {
            name: np.asarray(_on_grid(load_shown(mask, where=where), grid, order=0).dataobj) > 0
            for name, mask in inside.items()
        },
        {
            name: _values(load_image(image, where=where, check_voxels=False), grid)
            for name, image in _named(maps, "map").items()
        },
        {name: mask[1] for name, mask in pairs.items() if isinstance(mask, tuple)},
    )


def display_windows(volumes: Mapping[str, np.ndarray], window: Window = "robust") -> dict[str, tuple[float, float]]:
    """Choose the intensities shown as black and as white.

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
        `window` is neither a known name nor two increasing numbers.
    """
    if isinstance(window, str) and window in ("robust", "shared"):
        windows = {name: _robust(volume) for name, volume in volumes.items()}
        first = next(iter(windows.values()))
        return windows if window == "robust" else dict.fromkeys(windows, first)
    if isinstance(window, str) or len(window) != 2 or not window[0] < window[1]:
        raise ParameterError(
            "window", "`robust`, `shared` or two increasing intensities", repr(window), "use `window='robust'`"
        )
    return dict.fromkeys(volumes, (float(window[0]), float(window[1])))


def _robust(volume: np.ndarray) -> tuple[float, float]:
    stride = max(1, round((volume.size / 500_000) ** (1 / 3)))
    sample = volume[::stride, ::stride, ::stride]
    sample = sample[np.isfinite(sample) & (sample != 0)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample, [1, 99]))
    return (low, high) if low < high else (min(low, 0.0), max(high, 1.0))


def _without_surround(volume: np.ndarray) -> np.ndarray:
    """Replace the zeros around a scan with negative values by NaN, which is shown as black."""
    if not np.nanmin(volume) < 0:
        return volume
    zeros, _ = ndimage.label(volume == 0)
    corners = zeros[np.ix_(*[(0, -1)] * 3)]
    return np.where(np.isin(zeros, corners[corners > 0]), np.float32(np.nan), volume)


def _named(images: _T | Mapping[str, _T] | None, name: str) -> Mapping[str, _T]:
    if images is None:
        return {}
    return images if isinstance(images, Mapping) else {name: images}


def _values(image: nib.Nifti1Image, grid: nib.Nifti1Image) -> np.ndarray:
    return _on_grid(image, grid, order=1).get_fdata(dtype=np.float32, caching="unchanged")


def _on_grid(image: nib.Nifti1Image, grid: nib.Nifti1Image, order: int) -> nib.Nifti1Image:
    if same_grid(image, grid):
        return image
    return resample(image, grid.affine, grid.shape[:3], order=order)
