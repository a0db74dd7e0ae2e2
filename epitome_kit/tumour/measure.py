"""Size of a tumour: volume, surface, axes, and the diameters that RANO asks for."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.errors import ImageError, UnknownVoxelSizeError
from epitome_kit.images import load_mask, voxel_size_known
from epitome_kit.tumour.diameters import axial_axis, find_outlines, is_measurable
from epitome_kit.tumour.sparse_volume import estimate_volume_from_slices, restrict_to_slices
from epitome_kit.tumour.surface import axis_lengths_mm, measure_surface


@dataclass(frozen=True, kw_only=True)
class TumourSize:
    """Size of a tumour mask.

    Where only some slices were annotated, what needs the whole tumour is None;
    where all were, the slab and the ellipsoid are.

    Attributes
    ----------
    volume_ml : float or None
        Voxels times voxel size.
    volume_voxels : int or None
    surface_volume_ml : float or None
        What the surface encloses; less, as the surface cuts corners.
    surface_mm2 : float or None
    sphericity : float or None
        1 is a ball.
    rano_long_mm, rano_perpendicular_mm, rano_product_mm2 : float
        Longest diameter of an outline in an axial slice, the longest chord at a
        right angle to it, and their product: of the outline with the largest
        product. From pixel centre to pixel centre.
    rano_slice : int
        Index of that slice along the axial axis of the array.
    measurable : bool
        RANO: both diameters of a lesion have at least 10 mm on two slices, or
        twice the distance of the slices where that is more than 5 mm.
    max_2d_mm, max_3d_mm : float or None
        Longest distance between points of the surface, at one height and in
        space; all lesions together.
    axis_major_mm, axis_minor_mm, axis_least_mm : float or None
        Axes of the ellipsoid with the same second moments.
    lesions : int or None
        Separate pieces; voxels that touch by a corner are one piece.
    largest_lesion_ml : float or None
    touches_edge : bool
        The mask reaches the edge of the array: part of the tumour may lie
        outside the field of view.
    annotated_slices : tuple of int or None
        None means all of them.
    slab_volume_ml : float or None
        What lies on the annotated slices.
    ellipsoid_volume_ml : float or None
        Estimate of the whole from the annotated slices.
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
    annotated_slices: tuple | None = None
    slab_volume_ml: float | None = None
    ellipsoid_volume_ml: float | None = None
    ellipsoid_volume_low_ml: float | None = None
    ellipsoid_volume_high_ml: float | None = None


@dataclass(frozen=True, kw_only=True)
class VoxelCount:
    """What can be counted in a mask whose voxel size is unknown.

    Attributes
    ----------
    volume_voxels : int or None
        None where only some slices were annotated, as the next two.
    lesions : int or None
        Separate pieces; voxels that touch by a corner are one piece.
    largest_lesion_voxels : int or None
    largest_slice : int
        Index of the axial slice with the most voxels.
    touches_edge : bool
        The mask reaches the edge of the array.
    annotated_slices : tuple of int or None
        None means all of them.
    slab_voxels : int or None
        What lies on the annotated slices.
    """

    volume_voxels: int | None = None
    lesions: int | None = None
    largest_lesion_voxels: int | None = None
    largest_slice: int
    touches_edge: bool
    annotated_slices: tuple | None = None
    slab_voxels: int | None = None


def measure_tumour(mask, *, annotated_slices=None, labels=None, trust=None):
    """Measure a tumour mask in physical units.

    Parameters
    ----------
    mask : Nifti1Image or path
        Of one part, shape (i, j, k), any orientation, oblique or sheared. Above
        zero is inside, of fractions above one half; NaN is outside. Voxel size
        must be known.
    annotated_slices : sequence of int, default=None
        Axial indices that were annotated; None means all of them. What the mask
        holds on other slices is not looked at.
    labels, trust : str, default=None
        As for :func:`epitome_kit.images.load_mask`: which labels are meant, and
        which affine of the header counts.

    Returns
    -------
    TumourSize
        :func:`epitome_kit.tumour.sparse_volume.estimate_volume_from_slices` says how the whole is
        estimated from a few slices, and how sure that is.

    Raises
    ------
    UnknownVoxelSizeError
        The origin lost the voxel size: count voxels instead.
    ImageError
        The mask is empty, or is so on the annotated slices; or it has several labels
        and none was asked for.
    ParameterError
        Annotated slices that the mask does not have.

    References
    ----------
    van den Bent et al., Lancet Oncol 2011, doi:10.1016/S1470-2045(11)70057-2
    van Griethuysen et al., Cancer Res 2017, doi:10.1158/0008-5472.CAN-17-0339
    """
    loaded = load_mask(mask, where="measure_tumour", labels=labels, trust=trust)
    if not voxel_size_known(loaded):
        raise UnknownVoxelSizeError(
            "measure_tumour",
            "a mask with a known voxel size",
            f"{_name(mask)}, whose origin lost it",
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


def count_voxels(mask, *, annotated_slices=None, labels=None, trust=None):
    """Count what needs no voxel size: voxels, lesions, slices.

    Parameters
    ----------
    mask : Nifti1Image or path
        As for :func:`measure_tumour`, but the voxel size may be unknown.
    annotated_slices : sequence of int, default=None
        Axial indices that were annotated; None means all of them.
    labels, trust : str, default=None
        As for :func:`measure_tumour`.

    Returns
    -------
    VoxelCount

    Raises
    ------
    ImageError
        The mask is empty, or is so on the annotated slices; or it has several labels
        and none was asked for.
    ParameterError
        Annotated slices that the mask does not have.
    """
    loaded = load_mask(mask, where="count_voxels", labels=labels, trust=trust)
    slices, kept, at_edge = _axial_slices(loaded, annotated_slices, _name(mask))
    voxels = int(slices.sum())
    lesions = _lesion_voxels(slices)
    whole = {"volume_voxels": voxels, "lesions": len(lesions), "largest_lesion_voxels": max(lesions)}
    return VoxelCount(
        **(whole if kept is None else {"slab_voxels": voxels}),
        largest_slice=int(slices.sum(axis=(1, 2)).argmax()),
        touches_edge=at_edge,
        annotated_slices=kept,
    )


def _name(mask):
    return Path(mask).name if isinstance(mask, (str, Path)) else mask.get_filename() or "a mask in memory"


def _axial_slices(mask, annotated, name):
    """Mask with the axial slices first, each cut to where the tumour is.

    Also the slices that were annotated, in order, or None; on the others the
    mask is blank. And whether the mask reaches any face of its array.
    """
    slices = np.moveaxis(np.asarray(mask.dataobj) > 0, axial_axis(mask), 0)
    if annotated is not None:
        slices = restrict_to_slices(slices, annotated)
    if not slices.any():
        where = "" if annotated is None else f" on slices {', '.join(map(str, annotated))}"
        raise ImageError(
            "measure_tumour",
            f"a mask with at least one voxel inside{where}",
            f"an empty mask, {name}",
            "look at the scan and its mask side by side",
        )
    at_edge = any(face.any() for axis in range(3) for face in np.moveaxis(slices, axis, 0)[[0, -1]])
    box = ndimage.find_objects(slices.any(axis=0).astype(np.uint8))[0]
    return slices[:, *box], None if annotated is None else tuple(np.unique(annotated).tolist()), bool(at_edge)


def _whole_size(slices, matrix):
    """Measure what needs the whole tumour."""
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


def _slab_size(slices, kept, matrix):
    """Measure what a few annotated slices hold, and estimate the whole from them."""
    distance_mm = _slice_distance_mm(matrix)
    areas = slices[list(kept)].sum(axis=(1, 2)) * abs(np.linalg.det(matrix)) / distance_mm
    whole = estimate_volume_from_slices(areas, np.multiply(kept, distance_mm), distance_mm)
    return {
        "slab_volume_ml": float(areas.sum() * distance_mm / 1000),
        "ellipsoid_volume_ml": whole.volume_mm3 / 1000,
        "ellipsoid_volume_low_ml": whole.low_mm3 / 1000,
        "ellipsoid_volume_high_ml": whole.high_mm3 / 1000,
    }


def _slice_distance_mm(matrix):
    """From one slice to the next, at a right angle to them."""
    return float(abs(np.linalg.det(matrix)) / np.linalg.norm(np.cross(matrix[:, 1], matrix[:, 2])))


def _lesion_voxels(slices):
    """Voxels of each separate piece."""
    pieces, _ = ndimage.label(slices, np.ones((3, 3, 3)))
    return np.bincount(pieces[pieces > 0])[1:].tolist()


def size_text(voxels, grid):
    """Say how large a number of voxels is: in mL, or in voxels where their size is unknown."""
    if not voxel_size_known(grid):
        return f"{voxels:,} voxels"
    return f"{voxels * np.prod(nib.affines.voxel_sizes(grid.affine)) / 1000:.1f} mL"
