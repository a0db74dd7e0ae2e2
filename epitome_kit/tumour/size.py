"""Measures of a tumour mask: in physical units, or as counts of voxels; and how RANO applies to them."""

from dataclasses import dataclass

RANO_CRITERIA = "T2/FLAIR disease: van den Bent 2011, RANO 2.0"
"""The criteria of the RANO measures, as displays name them."""

RANO_NOTE = (
    "criteria for T2/FLAIR disease (van den Bent 2011; RANO 2.0, Wen 2023). One lesion is measured; RANO adds the "
    "products of several targets. Cysts, necrosis and surgical cavities are not measurable, but may lie inside the "
    "outline. Enhancing disease is measured apart, on T1 after contrast."
)
"""Criteria and limits of the RANO measures, as displays state them after "RANO:"."""


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
        the outline in an axial slice with the largest product. From edge to edge; see
        :func:`epitome_kit.tumour.diameters.find_outlines`.
    rano_slice : int
        Index of that slice along the axial axis of the array.
    measurable : bool
        RANO: both diameters of a lesion are at least 10 mm on two slices, or at least
        twice the slice distance if that exceeds 5 mm.
    enhancing_volume_ml, enhancing_long_mm, enhancing_perpendicular_mm : float or None
        Volume and RANO diameters of the enhancing part; 0 if its mask is empty, and
        None if no mask of it was given, as for the next three.
    enhancing_product_mm2 : float or None
    enhancing_slice : int or None
        Index in the mask of the enhancing part.
    enhancing_measurable : bool or None
    max_2d_mm, max_3d_mm : float or None
        Longest distance between points of the surface, within a slice and in 3D; all
        lesions together.
    axis_major_mm, axis_minor_mm, axis_least_mm : float or None
        Axes of the solid ellipsoid with the same second moments:
        see :func:`epitome_kit.shapes.ellipsoid_axes`.
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
    enhancing_volume_ml: float | None = None
    enhancing_long_mm: float | None = None
    enhancing_perpendicular_mm: float | None = None
    enhancing_product_mm2: float | None = None
    enhancing_slice: int | None = None
    enhancing_measurable: bool | None = None
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
