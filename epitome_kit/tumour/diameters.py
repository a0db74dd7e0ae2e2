"""RANO diameters of every outline in every axial slice."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

MIN_DIAMETER_MM = 10.0
"""Minimum length of both diameters of a measurable lesion."""

CLOSE_SLICES_MM = 5.0
"""Slice distance above which the minimum diameter is twice the slice distance."""


class Outline(NamedTuple):
    """Diameters of one connected outline in one axial slice.

    Attributes
    ----------
    slice : int
        Index of the slice.
    lesion : int
        Label of its connected component in 3D, from 1.
    long_mm : float
        Longest diameter, from pixel centre to pixel centre.
    perpendicular_mm : float
        Longest chord perpendicular to it.
    """

    slice: int
    lesion: int
    long_mm: float
    perpendicular_mm: float

    @property
    def product_mm2(self) -> float:
        """Product of both diameters."""
        return self.long_mm * self.perpendicular_mm


def axial_axis(image: nib.Nifti1Image) -> int:
    """Return the array axis closest to the head-foot direction.

    Parameters
    ----------
    image : Nifti1Image
        Scan or mask.

    Returns
    -------
    int
        0, 1 or 2.
    """
    return int(np.flatnonzero(nib.io_orientation(image.affine)[:, 0] == 2)[0])


def find_outlines(slices: np.ndarray, matrix: np.ndarray) -> list[Outline]:
    """Find and measure every outline.

    Regions of a slice that touch, even at a corner, form one outline. Two lesions in one
    slice are measured separately.

    Parameters
    ----------
    slices : ndarray of bool, shape (k, i, j)
        Mask, axial slices first.
    matrix : ndarray, shape (3, 3)
        Index to mm, its columns in the order of the axes of `slices`.

    Returns
    -------
    list of Outline
    """
    pixel = in_plane(matrix)
    lesions, _ = ndimage.label(slices, np.ones((3, 3, 3)))
    outlines = []
    for index in np.flatnonzero(slices.any(axis=(1, 2))):
        pieces, _ = ndimage.label(slices[index], np.ones((3, 3)))
        for number, box in enumerate(ndimage.find_objects(pieces), start=1):
            pixels = np.argwhere(pieces[box] == number)
            lesion = lesions[index][box][tuple(pixels[0])]
            outlines.append(Outline(int(index), int(lesion), *_diameters(pixels @ pixel.T, pixel)))
    return outlines


def is_measurable(outlines: Sequence[Outline], distance_mm: float) -> bool:
    """Check whether a lesion is measurable by the RANO criteria.

    Both diameters must be at least 10 mm on two or more slices. If slices are more than
    5 mm apart, the minimum is twice their distance.

    Parameters
    ----------
    outlines : sequence of Outline
        From :func:`find_outlines`.
    distance_mm : float
        Distance between slice centres.

    Returns
    -------
    bool

    References
    ----------
    Wen et al., J Clin Oncol 2010, doi:10.1200/JCO.2009.26.3541
    van den Bent et al., Lancet Oncol 2011, doi:10.1016/S1470-2045(11)70057-2
    """
    minimum = MIN_DIAMETER_MM if distance_mm <= CLOSE_SLICES_MM else 2 * distance_mm
    large = {(each.lesion, each.slice) for each in outlines if min(each.long_mm, each.perpendicular_mm) >= minimum}
    return max(Counter(lesion for lesion, _ in large).values(), default=0) >= 2


def in_plane(matrix: np.ndarray) -> np.ndarray:
    """Return the matrix from pixel index to mm within a slice, shape (2, 2); the tilt of the slice is dropped."""
    return np.linalg.qr(matrix[:, 1:])[1]


def longest(points: np.ndarray) -> tuple[float, np.ndarray]:
    """Find the longest distance between two points.

    Parameters
    ----------
    points : ndarray, shape (n, 2) or (n, 3)
        Coordinates.

    Returns
    -------
    length : float
        Distance.
    ends : ndarray, shape (2, 2) or (2, 3)
        The two points; identical if there is only one.
    """
    with suppress(QhullError, ValueError):  # too few points for a hull, or collinear: compare all
        points = points[ConvexHull(points).vertices]
    distances = squareform(pdist(points))
    ends = points[list(np.unravel_index(distances.argmax(), distances.shape))]
    return float(distances.max()), ends


def _diameters(points: np.ndarray, pixel: np.ndarray) -> tuple[float, float]:
    """Return the longest diameter of an outline and the longest chord perpendicular to it, in mm."""
    length, ends = longest(points)
    if not length:
        return 0.0, 0.0
    along = (ends[1] - ends[0]) / length
    rows = np.round((points - ends.mean(axis=0)) @ along / np.linalg.norm(pixel, axis=0).min()).astype(int)
    rows -= rows.min()
    across = points @ np.array([-along[1], along[0]])
    first, last = np.full(rows.max() + 1, np.inf), np.full(rows.max() + 1, -np.inf)
    np.minimum.at(first, rows, across)
    np.maximum.at(last, rows, across)
    return length, float((last - first).max())
