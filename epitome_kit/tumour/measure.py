"""Measure the size of a tumour: volume, surface, axes and RANO diameters."""

import os
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.errors import ImageError, UnknownVoxelSizeError
from epitome_kit.files import Json
from epitome_kit.images import ImageLike, load_mask, voxel_size_known
from epitome_kit.shapes import ellipsoid_axes
from epitome_kit.tumour.diameters import axial_axis, find_outlines, is_measurable
from epitome_kit.tumour.size import TumourSize, VoxelCount
from epitome_kit.tumour.sparse_volume import estimate_volume_from_slices, restrict_to_slices
from epitome_kit.tumour.surface import measure_surface


def measure_tumour(
    mask: ImageLike,
    *,
    annotated_slices: Sequence[int] | None = None,
    labels: str | None = None,
    trust: str | None = None,
    enhancing: ImageLike | None = None,
    enhancing_labels: str | None = None,
) -> TumourSize:
    """Measure a tumour mask in physical units.

    Volume, surface, axes and RANO diameters are computed on axial slices. If only a few
    slices were annotated, the volume of the whole tumour is estimated by
    :func:`epitome_kit.tumour.sparse_volume.estimate_volume_from_slices`.

    RANO diameters follow the criteria for T2/FLAIR disease, which `mask` usually
    outlines: van den Bent 2011 for low-grade glioma, and RANO 2.0 (Wen 2023).
    Enhancing disease is measured apart, on T1 after contrast: give a mask of it as
    `enhancing`. RANO adds the products of several target lesions; here one lesion is
    measured, that of the largest product. Cysts, necrosis and surgical cavities are not
    measurable by RANO; a mask that includes them is measured as it is.

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
    enhancing : image-like, default=None
        Mask of the enhancing part, on a grid of its own; it may be empty.
    enhancing_labels : str, default=None
        Which labels of `enhancing` to use, such as ``"brats21:ET"``.

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
    Wen et al., J Clin Oncol 2023, doi:10.1200/JCO.23.01059
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
    8.0 mL, RANO 25.2 x 25.2 mm
    """
    loaded = _load_known(mask, labels, trust)
    slices, kept, at_edge = _axial_slices(loaded, annotated_slices, _name(mask))
    matrix = _axial_matrix(loaded)
    size = _whole_size(slices, matrix) if kept is None else _slab_size(slices, kept, matrix)
    return TumourSize(
        **size,
        **_rano(slices, matrix),
        **({} if enhancing is None else _enhancing_size(_load_known(enhancing, enhancing_labels, trust))),
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


def _load_known(mask: ImageLike, labels: str | None, trust: str | None) -> nib.Nifti1Image:
    """Load a mask whose voxel size is known."""
    loaded = load_mask(mask, where="measure_tumour", labels=labels, trust=trust)
    if not voxel_size_known(loaded):
        raise UnknownVoxelSizeError(
            "measure_tumour",
            "a mask with a known voxel size",
            f"{_name(mask)}, of unknown voxel size",
            "count voxels with `epitome measure MASK --voxels`, or import the original DICOM",
        )
    return loaded


def _axial_matrix(mask: nib.Nifti1Image) -> np.ndarray:
    """Return the matrix from index to mm, its columns in the order of axial slices."""
    axial = axial_axis(mask)
    return mask.affine[:3, [axial, *np.delete(range(3), axial)]]


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
    least, minor, major = ellipsoid_axes(slices, matrix).tolist()
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


def _rano(slices: np.ndarray, matrix: np.ndarray) -> Json:
    """Return the RANO diameters of the outline with the largest product, and whether a lesion is measurable."""
    outlines = find_outlines(slices, matrix)
    widest = max(outlines, key=lambda outline: (outline.product_mm2, outline.long_mm))
    return {
        "rano_long_mm": widest.long_mm,
        "rano_perpendicular_mm": widest.perpendicular_mm,
        "rano_product_mm2": widest.product_mm2,
        "rano_slice": widest.slice,
        "measurable": is_measurable(outlines, _slice_distance_mm(matrix)),
    }


def _enhancing_size(mask: nib.Nifti1Image) -> Json:
    """Measure the enhancing part, which may be absent."""
    if not np.any(mask.dataobj):
        nothing = dict.fromkeys(("volume_ml", "long_mm", "perpendicular_mm", "product_mm2"), 0.0)
        return {f"enhancing_{name}": value for name, value in {**nothing, "measurable": False}.items()}
    slices, _, _ = _axial_slices(mask, None, "")
    matrix = _axial_matrix(mask)
    found = {name.removeprefix("rano_"): value for name, value in _rano(slices, matrix).items()}
    found["volume_ml"] = float(slices.sum() * abs(np.linalg.det(matrix)) / 1000)
    return {f"enhancing_{name}": value for name, value in found.items()}


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
