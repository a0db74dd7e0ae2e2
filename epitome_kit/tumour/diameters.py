"""The two diameters that RANO asks for, in every outline of every axial slice."""

from collections import Counter
from contextlib import suppress
from typing import NamedTuple

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

LEAST_MM = 10.0
"""Both diameters of a measurable lesion have at least this length."""

CLOSE_SLICES_MM = 5.0
"""Where slices lie further apart than this, a measurable lesion has twice their distance instead."""


class Outline(NamedTuple):
    """One closed outline in one axial slice.

    Attributes
    ----------
    slice : int
    lesion : int
        Piece in 3D that it belongs to, from 1.
    long_mm : float
        Longest diameter, from pixel centre to pixel centre.
    perpendicular_mm : float
        Longest chord at a right angle to it.
    """

    slice: int
    lesion: int
    long_mm: float
    perpendicular_mm: float

    @property
    def product_mm2(self):
        """Product of both diameters."""
        return self.long_mm * self.perpendicular_mm


def axial_axis(image):
    """Array axis that runs closest to head-foot.

    Parameters
    ----------
    image : Nifti1Image

    Returns
    -------
    int
    """
    return int(np.flatnonzero(nib.io_orientation(image.affine)[:, 0] == 2)[0])


def find_outlines(slices, matrix):
    """Find and measure every outline.

    Outlines of a slice that touch, if only by a corner, are one. Two lesions in
    one slice are two, so that no diameter runs from one to the other.

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


def is_measurable(outlines, distance_mm):
    """Tell whether a lesion is large enough to be followed by RANO.

    Both diameters have at least 10 mm on two or more slices. Where slices lie
    more than 5 mm apart, twice their distance takes the place of 10 mm.

    Parameters
    ----------
    outlines : list of Outline
    distance_mm : float
        From one slice to the next, centre to centre.

    Returns
    -------
    bool

    References
    ----------
    Wen et al., J Clin Oncol 2010, doi:10.1200/JCO.2009.26.3541
    van den Bent et al., Lancet Oncol 2011, doi:10.1016/S1470-2045(11)70057-2
    """
    least = LEAST_MM if distance_mm <= CLOSE_SLICES_MM else 2 * distance_mm
    seen = {(each.lesion, each.slice) for each in outlines if min(each.long_mm, each.perpendicular_mm) >= least}
    return max(Counter(lesion for lesion, _ in seen).values(), default=0) >= 2


def in_plane(matrix):
    """Pixel index to mm within a slice, shape (2, 2): lengths and angles are kept, the tilt of the slice is not."""
    return np.linalg.qr(matrix[:, 1:])[1]


def longest(points):
    """Find the longest distance between two points.

    Parameters
    ----------
    points : ndarray, shape (n, 2) or (n, 3)

    Returns
    -------
    length : float
    ends : ndarray, shape (2, 2) or (2, 3)
        The same point twice where there is only one.
    """
    with suppress(QhullError, ValueError):  # too few for a hull, or all on a line: few enough to compare as they are
        points = points[ConvexHull(points).vertices]
    distances = squareform(pdist(points))
    ends = points[list(np.unravel_index(distances.argmax(), distances.shape))]
    return float(distances.max()), ends


def _diameters(points, pixel):
    """Longest diameter of an outline and the longest chord at a right angle to it, in mm."""
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
