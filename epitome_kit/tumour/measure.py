"""Measure the size of a tumour: volume, surface, axes and RANO diameters."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.errors import ImageError, UnknownVoxelSizeError
from epitome_kit.files import Json
from epitome_kit.images import ImageLike, load_mask, voxel_size_known
from epitome_kit.tumour.diameters import axial_axis, find_outlines, is_measurable
from epitome_kit.tumour.sparse_volume import estimate_volume_from_slices, restrict_to_slices
from epitome_kit.tumour.surface import axis_lengths_mm, measure_surface


@dataclass(frozen=True, kw_only=True)
class TumourSize:
    """Size of a tumour mask.

    If only some slices were annotated, measures of the whole tumour are None; if all
    slices were, slab and ellipsoid are None.

    Attributes
    ----------
    volume_ml : float or None
        Voxels times voxel size.
    volume_voxels : int or None
    surface_volume_ml : float or None
        Volume enclosed by the surface; less than `volume_ml`, as the surface cuts corners.
    surface_mm2 : float or None
    sphericity : float or None
        1 for a sphere.
    rano_long_mm, rano_perpendicular_mm, rano_product_mm2 : float
        Longest diameter, the longest chord perpendicular to it, and their product, of
        the outline in an axial slice with the largest product. Between pixel centres.
    rano_slice : int
        Index of that slice along the axial axis of the array.
    measurable : bool
        RANO: both diameters of a lesion are at least 10 mm on two slices, or at least
        twice the slice distance if that exceeds 5 mm.
    max_2d_mm, max_3d_mm : float or None
        Longest distance between points of the surface, within a slice and in 3D; all
        lesions together.
    axis_major_mm, axis_minor_mm, axis_least_mm : float or None
        Axes of the ellipsoid with the same second moments.
    lesions : int or None
        Number of connected components; voxels that share a corner are connected.
    largest_lesion_ml : float or None
    touches_edge : bool
        Whether the mask reaches the edge of the array, so that part of the tumour may
        lie outside the field of view.
    annotated_slices : tuple of int or None
        None if all slices were annotated.
    slab_volume_ml : float or None
        Volume on the annotated slices.
    ellipsoid_volume_ml : float or None
        Volume of the whole tumour, estimated from the annotated slices.
    ellipsoid_volume_low_ml, ellipsoid_volume_high_ml : float or None
        Its interval, of :data:`~epitome_kit.tumour.intervals.ELLIPSOID_LEVEL`.
    """

    volume_ml: float | None = None
    volume_voxels: int | None = None
    surface_volume_ml: float | None = None
    surface_mm2: float | None = None
    sphericity: float | None = None
    rano_long_mm: float
    rano_perpendicular_mm: float
    rano_product_mm2: float
    rano_slice: int
    measurable: bool
    max_2d_mm: float | None = None
    max_3d_mm: float | None = None
    axis_major_mm: float | None = None
    axis_minor_mm: float | None = None
    axis_least_mm: float | None = None
    lesions: int | None = None
    largest_lesion_ml: float | None = None
    touches_edge: bool
    annotated_slices: tuple[int, ...] | None = None
    slab_volume_ml: float | None = None
    ellipsoid_volume_ml: float | None = None
    ellipsoid_volume_low_ml: float | None = None
    ellipsoid_volume_high_ml: float | None = None


@dataclass(frozen=True, kw_only=True)
class VoxelCount:
    """Counts in a mask of unknown voxel size.

    Attributes
    ----------
    volume_voxels : int or None
        None if only some slices were annotated, as for the next two.
    lesions : int or None
        Number of connected components; voxels that share a corner are connected.
    largest_lesion_voxels : int or None
    largest_slice : int
        Index of the axial slice with the most voxels.
    touches_edge : bool
        Whether the mask reaches the edge of the array.
    annotated_slices : tuple of int or None
        None if all slices were annotated.
    slab_voxels : int or None
        Voxels on the annotated slices.
    """

    volume_voxels: int | None = None
    lesions: int | None = None
    largest_lesion_voxels: int | None = None
    largest_slice: int
    touches_edge: bool
    annotated_slices: tuple[int, ...] | None = None
    slab_voxels: int | None = None


def measure_tumour(
    mask: ImageLike,
    *,
    annotated_slices: Sequence[int] | None = None,
    labels: str | None = None,
    trust: str | None = None,
) -> TumourSize:
    """Measure a tumour mask in physical units.

    Volume, surface, axes and RANO diameters are computed on axial slices. If only a few
    slices were annotated, the volume of the whole tumour is estimated by
    :func:`epitome_kit.tumour.sparse_volume.estimate_volume_from_slices`.

    Parameters
    ----------
    mask : image-like
        Shape (i, j, k), any orientation, oblique or sheared. Values above zero are
        inside, of fractions above 0.5; NaN is outside. The voxel size must be known.
    annotated_slices : sequence of int, default=None
        Indices of annotated axial slices; None for all. Other slices of the mask are
        ignored.
    labels, trust : str, default=None
        As for :func:`epitome_kit.images.load_mask`: which labels to use, and which
        affine of the header.

    Returns
    -------
    TumourSize
        Measures in mm, mm2 and mL.

    Raises
    ------
    UnknownVoxelSizeError
        The voxel size is unknown; count voxels instead.
    ImageError
        The mask is empty, also if only on the annotated slices, or it has several labels
        and `labels` is None.
    ParameterError
        `annotated_slices` are not slices of the mask.

    See Also
    --------
    segment_head : Segment the tumour in the scans of one subject.
    extract_epitome : Cut the tumour out of the scans.

    References
    ----------
    van den Bent et al., Lancet Oncol 2011, doi:10.1016/S1470-2045(11)70057-2
    van Griethuysen et al., Cancer Res 2017, doi:10.1158/0008-5472.CAN-17-0339

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> data = np.zeros((20, 20, 20), np.uint8)
    >>> data[5:15, 5:15, 5:15] = 1
    >>> size = ek.measure_tumour(nib.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0])))
    >>> print(f"{size.volume_ml:.1f} mL, RANO {size.rano_long_mm:.1f} x {size.rano_perpendicular_mm:.1f} mm")
    8.0 mL, RANO 25.5 x 25.5 mm
    """
    loaded = load_mask(mask, where="measure_tumour", labels=labels, trust=trust)
    if not voxel_size_known(loaded):
        raise UnknownVoxelSizeError(
            "measure_tumour",
            "a mask with a known voxel size",
            f"{_name(mask)}, of unknown voxel size",
            "count voxels with `epitome measure MASK --voxels`, or import the original DICOM",
        )
    slices, kept, at_edge = _axial_slices(loaded, annotated_slices, _name(mask))
    axial = axial_axis(loaded)
    matrix = loaded.affine[:3, [axial, *np.delete(range(3), axial)]]
    size = _whole_size(slices, matrix) if kept is None else _slab_size(slices, kept, matrix)
    outlines = find_outlines(slices, matrix)
    widest = max(outlines, key=lambda outline: (outline.product_mm2, outline.long_mm))
    return TumourSize(
        **size,
        rano_long_mm=widest.long_mm,
        rano_perpendicular_mm=widest.perpendicular_mm,
        rano_product_mm2=widest.product_mm2,
        rano_slice=widest.slice,
        measurable=is_measurable(outlines, _slice_distance_mm(matrix)),
        touches_edge=at_edge,
        annotated_slices=kept,
    )


def count_voxels(
    mask: ImageLike,
    *,
    annotated_slices: Sequence[int] | None = None,
    labels: str | None = None,
    trust: str | None = None,
) -> VoxelCount:
    """Count voxels and lesions of a mask, whether or not its voxel size is known.

    Parameters
    ----------
    mask : image-like
        As for :func:`measure_tumour`, but the voxel size may be unknown.
    annotated_slices : sequence of int, default=None
        Indices of annotated axial slices; None for all.
    labels, trust : str, default=None
        As for :func:`measure_tumour`.

    Returns
    -------
    VoxelCount
        Numbers of voxels.

    Raises
    ------
    ImageError
        The mask is empty, also if only on the annotated slices, or it has several labels
        and `labels` is None.
    ParameterError
        `annotated_slices` are not slices of the mask.
    """
    loaded = load_mask(mask, where="count_voxels", labels=labels, trust=trust)
    slices, kept, at_edge = _axial_slices(loaded, annotated_slices, _name(mask))
    voxels = int(slices.sum())
    lesions = _lesion_voxels(slices)
    whole = kept is None
    return VoxelCount(
        volume_voxels=voxels if whole else None,
        lesions=len(lesions) if whole else None,
        largest_lesion_voxels=max(lesions) if whole else None,
        slab_voxels=None if whole else voxels,
        largest_slice=int(slices.sum(axis=(1, 2)).argmax()),
        touches_edge=at_edge,
        annotated_slices=kept,
    )


def _name(mask: ImageLike) -> str:
    return Path(mask).name if isinstance(mask, (str, os.PathLike)) else mask.get_filename() or "a mask in memory"


def _axial_slices(
    mask: nib.Nifti1Image, annotated: Sequence[int] | None, name: str
) -> tuple[np.ndarray, tuple[int, ...] | None, bool]:
    """Return the axial slices of a mask, cropped in-plane to the tumour.

    Also return the annotated slices in order, or None (the mask is blank on the others),
    and whether the mask reaches a face of its array.
    """
    slices = np.moveaxis(np.asarray(mask.dataobj).view(bool), axial_axis(mask), 0)
    if annotated is not None:
        slices = restrict_to_slices(slices, annotated)
    if not slices.any():
        where = "" if annotated is None else f" on slices {', '.join(map(str, annotated))}"
        raise ImageError(
            "measure_tumour",
            f"a mask with at least one voxel inside{where}",
            f"an empty mask, {name}",
            "inspect the scan and its mask",
        )
    at_edge = any(face.any() for axis in range(3) for face in np.moveaxis(slices, axis, 0)[[0, -1]])
    box = ndimage.find_objects(slices.any(axis=0).astype(np.uint8))[0]
    return slices[:, *box], None if annotated is None else tuple(np.unique(annotated).tolist()), bool(at_edge)


def _whole_size(slices: np.ndarray, matrix: np.ndarray) -> Json:
    """Compute the measures that need the whole tumour."""
    voxel_ml = abs(np.linalg.det(matrix)) / 1000
    surface = measure_surface(slices, matrix)
    major, minor, least = axis_lengths_mm(slices, matrix)
    lesions = _lesion_voxels(slices)
    return {
        "volume_ml": float(sum(lesions) * voxel_ml),
        "volume_voxels": sum(lesions),
        "surface_volume_ml": surface.volume_mm3 / 1000,
        "surface_mm2": surface.area_mm2,
        "sphericity": surface.sphericity,
        "max_2d_mm": surface.max_2d_mm,
        "max_3d_mm": surface.max_3d_mm,
        "axis_major_mm": major,
        "axis_minor_mm": minor,
        "axis_least_mm": least,
        "lesions": len(lesions),
        "largest_lesion_ml": float(max(lesions) * voxel_ml),
    }


def _slab_size(slices: np.ndarray, kept: Sequence[int], matrix: np.ndarray) -> Json:
    """Measure the volume on annotated slices, and estimate the whole volume from them."""
    distance_mm = _slice_distance_mm(matrix)
    areas = slices[list(kept)].sum(axis=(1, 2)) * abs(np.linalg.det(matrix)) / distance_mm
    whole = estimate_volume_from_slices(areas, np.multiply(kept, distance_mm), distance_mm)
    return {
        "slab_volume_ml": float(areas.sum() * distance_mm / 1000),
        "ellipsoid_volume_ml": whole.volume_mm3 / 1000,
        "ellipsoid_volume_low_ml": whole.low_mm3 / 1000,
        "ellipsoid_volume_high_ml": whole.high_mm3 / 1000,
    }


def _slice_distance_mm(matrix: np.ndarray) -> float:
    """Return the distance between adjacent slices, perpendicular to them."""
    return float(abs(np.linalg.det(matrix)) / np.linalg.norm(np.cross(matrix[:, 1], matrix[:, 2])))


def _lesion_voxels(slices: np.ndarray) -> list[int]:
    """Return the number of voxels of each connected component."""
    pieces, _ = ndimage.label(slices, np.ones((3, 3, 3)))
    return np.bincount(pieces[pieces > 0])[1:].tolist()


def size_text(voxels: int | np.integer, grid: nib.Nifti1Image) -> str:
    """Format a number of voxels as a volume: in mL, or in voxels if the voxel size is unknown."""
    if not voxel_size_known(grid):
        return f"{voxels:,} voxels"
    return f"{voxels * np.prod(nib.affines.voxel_sizes(grid.affine)) / 1000:.1f} mL"
