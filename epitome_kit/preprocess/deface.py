"""Defacing: what lies before and below the brain is taken off."""

import nibabel as nib
import numpy as np
from scipy.spatial import ConvexHull

from epitome_kit.errors import BadImage
from epitome_kit.images import image_like, load_image, load_mask
from epitome_kit.preprocess.skull_strip import skull_strip

_MARGIN_MM = 10.0


def deface(image, *, mask=None):
    """Take the face off a head scan by one straight cut, as Quickshear does.

    Seen from the side, the cut runs as the line from the lowest point of the brain
    to its foremost one, 10 mm clear of its convex hull; what lies before and below
    is set to the lowest value of the scan. The brain stays as it is.

    Parameters
    ----------
    image : Nifti1Image or path
        Shape (i, j, k), any orientation and voxel size.
    mask : Nifti1Image or path, default=None
        Brain mask on the grid of the scan; None finds the brain first.

    Returns
    -------
    Nifti1Image
        Same grid and number type.

    Raises
    ------
    BadImage
        The scan cannot be read, no brain is found, or the mask is not on its grid or empty.

    References
    ----------
    Schimke and Hale, Quickshear defacing for neuroimages, USENIX HealthSec 2011
    """
    image = load_image(image, where="deface")
    mask = skull_strip(image) if mask is None else load_mask(mask, like=image, where="deface")
    inside = np.asarray(mask.dataobj) > 0
    side = nib.affines.apply_affine(mask.affine, np.argwhere(inside))[:, 1:]
    if np.linalg.matrix_rank(side - side.mean(axis=0) if len(side) else side) < 2:
        received = f"{np.count_nonzero(inside)} voxels in a line" if len(side) else "an empty mask"
        raise BadImage("deface", "a brain mask with a brain in it", received, "look at the mask")
    normal, edge = _cut(side)
    steps = normal @ image.affine[1:3, :3]
    i, j, k = np.ogrid[tuple(map(slice, image.shape))]
    distance = steps[0] * i + steps[1] * j + steps[2] * k + normal @ image.affine[1:3, 3]
    data = np.asarray(image.dataobj)
    return image_like(np.where((distance > edge) & ~inside, data.min(), data), image)


def _cut(brain):
    """Find the cut: a direction that points forward and down, and how far along it the head is kept, in mm.

    `brain` has the places of the brain seen from the side: to the front, and up.
    """
    corners = brain[ConvexHull(brain).vertices].round(6)
    lowest, front = min(corners, key=lambda place: (place[1], place[0])), max(corners, key=tuple)
    forward, up = front - lowest
    normal = np.array([up, -forward]) / np.hypot(forward, up)
    return normal, (corners @ normal).max() + _MARGIN_MM
