"""Remove the face from head scans."""

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.images import ImageLike, load_image, load_mask, new_image_like
from epitome_kit.preprocess.skull_stripping import skull_strip

_FACE_DIRECTION = np.array([0.0, 1.0, -1.0]) / np.sqrt(2)
_BRAIN_PERCENTILE = 95
_MARGIN_MM = 25.0


def deface(image: ImageLike, *, mask: ImageLike | None = None) -> nib.Nifti1Image:
    """Remove the face from a head scan with one plane that spares the brain, as Quickshear does.

    The plane slopes at 45 degrees from the forehead to the neck, 25 mm beyond 95 % of the
    brain. Voxels in front of and below it that are not brain are set to the lowest value
    of the scan. Quickshear places its plane along an edge of the brain's convex hull,
    which would move if an eye were included in the mask.

    Parameters
    ----------
    image : image-like
        Shape (i, j, k), any orientation and voxel size.
    mask : image-like, default=None
        Brain mask on the grid of the scan; None: computed by :func:`skull_strip`.

    Returns
    -------
    Nifti1Image
        Same grid and data type.

    Raises
    ------
    ImageError
        The scan cannot be read, no brain is found, or the mask is empty or on another grid.

    See Also
    --------
    skull_strip : Find the brain in a head scan.

    References
    ----------
    Schimke and Hale, Quickshear defacing for neuroimages, USENIX HealthSec 2011

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> scan = nib.Nifti1Image(np.arange(8000, dtype=np.float32).reshape(20, 20, 20) + 1, np.diag([9.0, 9.0, 9.0, 1.0]))
    >>> brain = np.zeros(scan.shape, np.uint8)
    >>> brain[6:14, 4:12, 10:18] = 1
    >>> defaced = ek.deface(scan, mask=nib.Nifti1Image(brain, scan.affine)).get_fdata()
    >>> bool((defaced[brain > 0] == scan.get_fdata()[brain > 0]).all()), float(defaced[10, 19, 0])
    (True, 1.0)
    """
    image = load_image(image, where="deface")
    mask = skull_strip(image) if mask is None else load_mask(mask, like=image, where="deface")
    inside = np.asarray(mask.dataobj) > 0
    if not inside.any():
        raise ImageError("deface", "a brain mask with at least one voxel", "an empty mask", "inspect the mask")
    brain = nib.affines.apply_affine(mask.affine, np.argwhere(inside)) @ _FACE_DIRECTION
    limit = np.percentile(brain, _BRAIN_PERCENTILE) + _MARGIN_MM
    steps = _FACE_DIRECTION @ image.affine[:3, :3]
    i, j, k = np.ogrid[tuple(map(slice, image.shape))]
    distance = steps[0] * i + steps[1] * j + steps[2] * k + _FACE_DIRECTION @ image.affine[:3, 3]
    data = np.asarray(image.dataobj)
    return new_image_like(np.where((distance > limit) & ~inside, data.min(), data), image)
