"""Compare two masks by overlap, surface distance and volume; compute AUC and bootstrap intervals.

Two empty masks agree fully; an empty mask and another one do not agree at all.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from epitome_kit.confidence import interval_quantiles


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Compute the Dice overlap of two masks.

    Parameters
    ----------
    first, second : ndarray of bool, same shape
        Masks on one grid.

    Returns
    -------
    float
        0 to 1; 1 if both are empty, 0 if one is.

    References
    ----------
    Dice, Ecology 1945, doi:10.2307/1932409
    """
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0


def volume_error_pct(found: np.ndarray, reference: np.ndarray) -> float:
    """Compute the relative difference in volume of two masks.

    Parameters
    ----------
    found, reference : ndarray of bool, same shape
        Masks on one grid.

    Returns
    -------
    float
        Percent of the reference, negative if the volume is too small; 0 if both
        are empty, infinite if only the reference is.
    """
    volume, reference_volume = np.count_nonzero(found), np.count_nonzero(reference)
    if not reference_volume:
        return np.inf if volume else 0.0
    return 100 * (volume - reference_volume) / reference_volume


def hausdorff95_mm(first: np.ndarray, second: np.ndarray, spacing: Sequence[float]) -> float:
    """Compute the 95th percentile of the distance between two surfaces.

    For each mask, the distance within which 95 % of its surface is from the other
    surface; the larger of the two. Surface elements are weighted by area, so that
    anisotropic voxels do not bias the result.

    Parameters
    ----------
    first, second : ndarray of bool, shape (i, j, k)
        Masks on one grid.
    spacing : sequence of 3 float
        Voxel size in mm; the axes are at right angles.

    Returns
    -------
    float
        In mm; 0 if both are empty, infinite if one is.

    References
    ----------
    Huttenlocher et al., IEEE PAMI 1993, doi:10.1109/34.232073
    Nikolov et al., J Med Internet Res 2021, doi:10.2196/26151
    """
    if not (first.any() and second.any()):
        return np.inf if first.any() or second.any() else 0.0
    return max(_percentile(*surface, 0.95) for surface in _surface_distances(first, second, spacing))


def _surface_distances(
    first: np.ndarray, second: np.ndarray, spacing: Sequence[float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Distance to the other surface (mm) and area (mm2) of every surface element, for each mask.

    There is an element at each corner shared by voxels inside and outside.
    """
    box, areas = _bounding_box(first | second), _areas(spacing)
    codes = [_corner_codes(mask[box]) for mask in (first, second)]
    borders = [(each > 0) & (each < 255) for each in codes]
    distances = (_distances(border, other, spacing) for border, other in (borders, borders[::-1]))
    sizes = (areas[each[border]] for each, border in zip(codes, borders, strict=True))
    return list(zip(distances, sizes, strict=True))


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice]:
    """Bounding box of a mask that is not empty."""
    flat = np.any(mask, axis=2)
    i, j = (slice(each[0], each[-1] + 1) for each in (np.flatnonzero(flat.any(axis=axis)) for axis in (1, 0)))
    k = np.flatnonzero(mask[i, j].any(axis=(0, 1)))
    return i, j, slice(k[0], k[-1] + 1)


def _corner_codes(mask: np.ndarray) -> np.ndarray:
    """Encode which of the eight voxels around each corner are inside as bits; shape (i + 1, j + 1, k + 1)."""
    voxels = np.pad(mask, 1).view(np.uint8)
    i, j, k = np.array(voxels.shape) - 1
    codes = np.zeros((i, j, k), np.uint8)
    for bit, (a, b, c) in enumerate(np.ndindex(2, 2, 2)):
        codes |= voxels[a : a + i, b : b + j, c : c + k] << bit
    return codes


def _distances(border: np.ndarray, other: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance in mm from each corner of a border to the nearest corner of another one."""
    apart = border & ~other
    points, targets = np.argwhere(apart), np.argwhere(other)
    tree = cKDTree(targets * spacing, balanced_tree=False, compact_nodes=False)
    _, index = tree.query(points * spacing)
    x, y, z = ((points - targets[index]) * spacing).T
    distances = np.zeros(border.shape)
    distances[apart] = np.sqrt(x**2 + y**2 + z**2)
    return distances[border]


def _percentile(distances: np.ndarray, areas: np.ndarray, share: float) -> float:
    """Quantile of the distances, weighted by area."""
    order = np.lexsort((areas, distances))
    reached = np.cumsum(areas[order]) / areas.sum()
    return float(distances[order[min(int(np.searchsorted(reached, share)), len(order) - 1)]])


def _areas(spacing: Sequence[float]) -> np.ndarray:
    """Area of the surface element of each code in mm2, shape (256,)."""
    x, y, z = spacing
    return np.linalg.norm(_normals() * (y * z, x * z, x * y), axis=2).sum(axis=1)


@lru_cache(maxsize=1)
def _normals() -> np.ndarray:
    """Area vectors of the triangles of each code by marching cubes, for cubes of side 1; shape (256, 5, 3).

    A code and its complement have the same surface.
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


def mean_ci95(values: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """Bootstrap the interval of a mean over subjects, of :data:`~epitome_kit.confidence.SCORE_LEVEL`.

    Parameters
    ----------
    values : sequence of float, shape (n,)
        One per subject.

    Returns
    -------
    (float, float) or None
        Lower and upper bound; None for fewer than three values.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 3:
        return None
    means = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(means, interval_quantiles()).tolist()
    return low, high


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Compute the area under an ROC curve, quickly enough for a bootstrap.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
        Both occur.
    scores : ndarray, shape (n,)

    Returns
    -------
    float
    """
    return float(auc_of_ranks(rankdata(scores), labels))


def auc_of_ranks(ranks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute areas under ROC curves from the ranks of the scores.

    Parameters
    ----------
    ranks : ndarray, shape (n,) or (n, p)
        Of one score or several, as :func:`scipy.stats.rankdata` gives them: ties share a rank.
    labels : array of 0 and 1, shape (n,)
        Both occur.

    Returns
    -------
    float or ndarray, shape (p,)
    """
    labels = np.asarray(labels).astype(bool)
    positive, negative = labels.sum(), (~labels).sum()
    return (ranks[labels].sum(axis=0) - positive * (positive + 1) / 2) / (positive * negative)
