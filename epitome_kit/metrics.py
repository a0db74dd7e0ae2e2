"""How well two masks agree: overlap, distance of their surfaces, difference in volume; and how sure a mean is.

What an empty mask gives is settled here, once: two empty masks agree fully,
and one empty mask agrees with nothing.
"""

from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from epitome_kit.confidence import interval_quantiles


def dice(first, second):
    """Compute the Dice overlap of two masks.

    Parameters
    ----------
    first, second : ndarray of bool, same shape

    Returns
    -------
    float
        1 when both are empty, 0 when one is.

    References
    ----------
    Dice, Ecology 1945, doi:10.2307/1932409
    """
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0


def volume_error_pct(found, reference):
    """Compute by how much the volume of one mask differs from that of another.

    Parameters
    ----------
    found, reference : ndarray of bool, on one grid

    Returns
    -------
    float
        Percent of the reference, negative where too little was found; 0 when
        both are empty, infinite when the reference alone is.
    """
    there, wanted = np.count_nonzero(found), np.count_nonzero(reference)
    if not wanted:
        return np.inf if there else 0.0
    return 100 * (there - wanted) / wanted


def hausdorff95_mm(first, second, spacing):
    """Compute the 95th percentile of the distance between two surfaces.

    For each mask, the distance within which 95 % of its surface finds the
    other surface; the larger of the two. Every piece of surface counts by its
    area, so that the answer does not depend on how coarse the voxels are along
    one axis.

    Parameters
    ----------
    first, second : ndarray of bool, shape (i, j, k)
    spacing : sequence of 3 float
        Voxel size in mm; the axes are at right angles.

    Returns
    -------
    float
        In mm. 0 when both are empty, infinite when one is.

    References
    ----------
    Huttenlocher et al., IEEE PAMI 1993, doi:10.1109/34.232073
    Nikolov et al., J Med Internet Res 2021, doi:10.2196/26151
    """
    if not (first.any() and second.any()):
        return np.inf if first.any() or second.any() else 0.0
    return max(_percentile(*surface, 0.95) for surface in _surface_distances(first, second, spacing))


def surface_dice(first, second, spacing, tolerance_mm):
    """Compute the share of two surfaces that lies within a tolerance of the other one.

    Parameters
    ----------
    first, second : ndarray of bool, shape (i, j, k)
    spacing : sequence of 3 float
        Voxel size in mm; the axes are at right angles.
    tolerance_mm : float
        Distance that still counts as agreement, such as that between two
        experts.

    Returns
    -------
    float
        0 to 1, by area. 1 when both are empty, 0 when one is.

    References
    ----------
    Nikolov et al., J Med Internet Res 2021, doi:10.2196/26151
    """
    if not (first.any() and second.any()):
        return 0.0 if first.any() or second.any() else 1.0
    surfaces = _surface_distances(first, second, spacing, tolerance_mm)
    distances, areas = map(np.concatenate, zip(*surfaces, strict=True))
    return float(areas[distances <= tolerance_mm].sum() / areas.sum())


def _surface_distances(first, second, spacing, within=np.inf):
    """Distance to the other surface (mm) and area (mm2) of every surface element, for each mask.

    An element sits on each corner that voxels inside and outside share. Beyond
    `within`, all that is sure of a distance is that it is larger.
    """
    box, areas = _bounding_box(first | second), _areas(spacing)
    codes = [_corner_codes(mask[box]) for mask in (first, second)]
    borders = [(each > 0) & (each < 255) for each in codes]
    distances = (_distances(*pair, spacing, within) for pair in (borders, borders[::-1]))
    sizes = (areas[each[border]] for each, border in zip(codes, borders, strict=True))
    return list(zip(distances, sizes, strict=True))


def _bounding_box(mask):
    """Smallest box around a mask that is not empty; the first axes are cut before the last one is looked at."""
    flat = mask.any(axis=2)
    i, j = (slice(each[0], each[-1] + 1) for each in (np.flatnonzero(flat.any(axis=axis)) for axis in (1, 0)))
    k = np.flatnonzero(mask[i, j].any(axis=(0, 1)))
    return i, j, slice(k[0], k[-1] + 1)


def _corner_codes(mask):
    """Which of the eight voxels around each corner are inside, as bits; shape (i + 1, j + 1, k + 1)."""
    voxels = np.pad(mask, 1).view(np.uint8)
    i, j, k = np.array(voxels.shape) - 1
    codes = np.zeros((i, j, k), np.uint8)
    for bit, (a, b, c) in enumerate(np.ndindex(2, 2, 2)):
        codes |= voxels[a : a + i, b : b + j, c : c + k] << bit
    return codes


def _distances(border, other, spacing, within):
    """Distance in mm from each corner of a border to the nearest one of another, or to any where none is near."""
    apart = border & ~other
    here, there = np.argwhere(apart), np.argwhere(other)
    tree = cKDTree(there * spacing, balanced_tree=False, compact_nodes=False)
    _, index = tree.query(here * spacing, distance_upper_bound=within * (1 + 1e-9) + 1e-9)
    x, y, z = ((here - there[np.minimum(index, len(there) - 1)]) * spacing).T
    distances = np.zeros(border.shape)
    distances[apart] = np.sqrt(x**2 + y**2 + z**2)
    return distances[border]


def _percentile(distances, areas, share):
    """Distance within which a share of the area lies."""
    order = np.lexsort((areas, distances))
    reached = np.cumsum(areas[order]) / areas.sum()
    return float(distances[order[min(np.searchsorted(reached, share), len(order) - 1)]])


def _areas(spacing):
    """Area of the surface element of each code, in mm2, shape (256,)."""
    x, y, z = spacing
    return np.linalg.norm(_normals() * (y * z, x * z, x * y), axis=2).sum(axis=1)


@lru_cache(maxsize=1)
def _normals():
    """Area vectors of the triangles of each code by marching cubes, for cubes of side 1; shape (256, 5, 3).

    Inside and outside are alike: a code and its complement have one surface.
    """
    from skimage.measure import marching_cubes

    normals = np.zeros((256, 5, 3))
    for code in range(1, 255):
        inside = code if code.bit_count() <= 4 else 255 - code
        cube = np.array([inside >> bit & 1 for bit in range(8)], np.float32).reshape(2, 2, 2)
        corners, faces, _, _ = marching_cubes(cube, 0.5, method="lorensen")
        a, b, c = corners[faces].astype(float).transpose(1, 0, 2)
        normals[code, : len(faces)] = np.cross(b - a, c - a) / 2
    return normals


def mean_ci95(values):
    """Bootstrap the interval of a mean over subjects, of :data:`~epitome_kit.confidence.SCORE_LEVEL`.

    Parameters
    ----------
    values : sequence of float, shape (n,)

    Returns
    -------
    (float, float) or None
        None for fewer than three values.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 3:
        return None
    means = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    return tuple(np.quantile(means, interval_quantiles()).tolist())
