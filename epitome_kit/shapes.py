"""Shape of a region: volume of its mesh, and axes of the ellipsoid with the same second moments."""

import numpy as np

AXIS_CONVENTIONS = {"solid": 5, "pyradiomics": 4}
"""Squared half axis of the ellipsoid over the second moment, by convention; see :func:`ellipsoid_axes`."""


def mesh_volume(points: np.ndarray, faces: np.ndarray) -> float:
    """Compute the volume that a closed mesh encloses.

    Parameters
    ----------
    points : ndarray of float, shape (n, 3)
    faces : ndarray of int, shape (m, 3)
        Points of each triangle, with the same orientation.

    Returns
    -------
    float
        In the unit of the points, cubed.
    """
    a, b, c = points[faces].transpose(1, 0, 2)
    return abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum())) / 6


def ellipsoid_axes(covariance: np.ndarray, *, convention: str) -> np.ndarray:
    """Compute the lengths of the axes of the ellipsoid with the same second moments.

    Parameters
    ----------
    covariance : ndarray, shape (3, 3)
        Covariance of the coordinates of its voxels, in mm².
    convention : {"solid", "pyradiomics"}
        ``"solid"``: 2 √(5 λ), exact for an ellipsoid that is filled evenly, where the
        covariance includes the extent of the voxels. ``"pyradiomics"``: 4 √λ, as
        pyradiomics defines it from the voxel centres alone, to compare with other
        tools; 11 % shorter.

    Returns
    -------
    ndarray, shape (3,)
        In mm, shortest first.

    References
    ----------
    van Griethuysen et al., Cancer Res 2017, doi:10.1158/0008-5472.CAN-17-0339
    """
    moments = np.linalg.eigvalsh(covariance).clip(0)
    return 2 * np.sqrt(AXIS_CONVENTIONS[convention] * moments)
