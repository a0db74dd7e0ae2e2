"""A head and a tumour as ellipsoids known in world coordinates, sampled on any grid."""

import nibabel as nib
import numpy as np
from matplotlib.text import Text
from scipy.spatial.transform import Rotation

TUMOUR = (18.0, 22.0, 14.0)
"""World coordinates (mm) of the middle of the tumour: right, anterior and superior of the origin."""


def grid(*, turn=(0, 0, 0), flips=(1, 1, 1), order=(0, 1, 2), spacing=(3.0, 3.0, 4.0), shape=(44, 52, 36)):
    """Shape and affine of a grid centred on the head; `turn` in degrees makes it oblique."""
    matrix = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ np.diag(np.multiply(spacing, flips))
    matrix, shape = matrix[:, list(order)], tuple(np.array(shape)[list(order)])
    return shape, nib.affines.from_matvec(matrix, -matrix @ (np.array(shape) - 1) / 2)


def places(shape, affine):
    """World coordinates of every voxel, shape (i, j, k, 3)."""
    return nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))


def ellipsoid(shape, affine, centre, radii):
    """Boolean array of an ellipsoid given in world coordinates."""
    return (((places(shape, affine) - centre) / radii) ** 2).sum(axis=-1) <= 1


def head(**options):
    """A scan: about 100 in the head, 200 in the tumour, gentle waves over it, 0 outside."""
    shape, affine = grid(**options)
    inside = ellipsoid(shape, affine, (0, 0, 0), (60, 72, 64))
    tumour = ellipsoid(shape, affine, TUMOUR, (14, 14, 14))
    x, y, z = np.moveaxis(places(shape, affine), -1, 0)
    waves = 20 * np.sin(x / 9) * np.cos(y / 11) + z / 8
    return nib.Nifti1Image(np.where(inside, 100 + 100 * tumour + waves, 0).astype(np.float32), affine)


def brain(**options):
    """Mask of the whole head."""
    shape, affine = grid(**options)
    return nib.Nifti1Image(ellipsoid(shape, affine, (0, 0, 0), (60, 72, 64)).astype(np.uint8), affine)


def tumour(centre=TUMOUR, radius=14, **options):
    """Mask of a ball."""
    shape, affine = grid(**options)
    return nib.Nifti1Image(ellipsoid(shape, affine, centre, (radius,) * 3).astype(np.uint8), affine)


def words(figure):
    """Every text that a figure shows, after making sure that none is smaller than 9 points."""
    figure.draw_without_rendering()
    shown = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in shown) >= 9
    return [text.get_text() for text in shown]


def ball(diameter_mm, voxel_mm, rng):
    """Boolean array of a ball in cubic voxels, its centre drawn at random within a voxel."""
    shape = (int(np.ceil(diameter_mm / voxel_mm)) + 4,) * 3
    affine = nib.affines.from_matvec(voxel_mm * np.eye(3), -voxel_mm * (np.array(shape) - 1) / 2)
    return ellipsoid(shape, affine, rng.uniform(-voxel_mm / 2, voxel_mm / 2, 3), (diameter_mm / 2,) * 3)
