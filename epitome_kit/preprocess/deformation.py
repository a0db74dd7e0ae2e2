"""Deformable registration of a brain to the ICBM152 template, after an affine."""

import os

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from epitome_kit.errors import ImageError
from epitome_kit.images import ImageLike, load_image, resample, resample_isotropic
from epitome_kit.preprocess.itk import as_itk, one_thread
from epitome_kit.preprocess.registration import grow_mask, load_template, template_grid

_ITERATIONS = (60, 60)
_FIELD_SMOOTHNESS, _UPDATE_SMOOTHNESS = 1.5, 1.0
_MARGIN_MM = 4.0
_LEVELS = 32
_SPACING_MM = 4.0
PARAMETERS = {
    "iterations": list(_ITERATIONS),
    "smoothness_voxels": [_FIELD_SMOOTHNESS, _UPDATE_SMOOTHNESS],
    "spacing_mm": _SPACING_MM,
}
"""Settings recorded by the pipeline."""


def register_deformable(moving: ImageLike, affine: np.ndarray, *, spacing_mm: float = _SPACING_MM) -> nib.Nifti1Image:
    """Find the smooth deformation that aligns a scan with the ICBM152 template, after an affine.

    Diffeomorphic demons: displacements follow the gradient of the template until the
    intensities of scan and template agree, and are smoothed so that the transform stays
    invertible. Demons compare intensities, so the template is first mapped to the
    contrast of the scan: each template intensity is replaced by the median intensity of
    the scan there. The mapping is repeated after the first pass.

    Parameters
    ----------
    moving : image-like
        Scan of a head, any contrast, corrected for bias.
    affine : ndarray, shape (4, 4)
        `moving` mm to ICBM152 mm, from :func:`epitome_kit.register_affine`.
    spacing_mm : float, default=4.0
        Voxel size of the field.

    Returns
    -------
    Nifti1Image
        Displacement field, float32, shape (i, j, k, 3), in mm along the RAS axes, on
        :func:`~epitome_kit.preprocess.registration.template_grid`: the point x of the
        template corresponds to x plus the displacement in the affinely transformed scan.

    Raises
    ------
    ImageError
        The scan cannot be read.

    See Also
    --------
    register_affine : Find the affine first.
    resample_deformed : Apply affine and field to an image.

    References
    ----------
    Vercauteren et al., NeuroImage 2009, doi:10.1016/j.neuroimage.2008.10.040
    Guimond et al., IEEE Trans Med Imaging 2001, doi:10.1109/42.906425

    Examples
    --------
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> from epitome_kit.preprocess import load_template
    >>> scan, _ = load_template()
    >>> field = ek.register_deformable(scan, np.eye(4), spacing_mm=8.0)
    >>> field.shape
    (24, 24, 24, 3)
    """
    grid = template_grid(spacing_mm)
    moving = resample_isotropic(load_image(moving, where="register_deformable"), spacing_mm)
    moving = resample(moving, *grid, transform=affine)
    template, brain = (np.asarray(resample(image, *grid).dataobj) for image in load_template())
    inside = brain > 0.5
    around = np.asarray(grow_mask(nib.Nifti1Image(inside.astype(np.uint8), grid[0]), _MARGIN_MM).dataobj) > 0
    moving = nib.Nifti1Image(np.asarray(moving.dataobj) / np.asarray(moving.dataobj)[inside].std(), grid[0])
    field = nib.Nifti1Image(np.zeros((*grid[1], 3), np.float32), grid[0])
    for iterations in _ITERATIONS:
        warped = np.asarray(resample_deformed(moving, np.eye(4), field).dataobj)
        matched = np.where(around, _match_contrast(template, warped, inside), warped)
        field = _demons(moving, nib.Nifti1Image(matched.astype(np.float32), grid[0]), field, iterations)
    return field


def resample_deformed(image: ImageLike, affine: np.ndarray, field: ImageLike, *, order: int = 1) -> nib.Nifti1Image:
    """Resample an image onto the template with an affine and a displacement field.

    Each voxel of the field is mapped to a point of the image, whose value is interpolated.

    Parameters
    ----------
    image : image-like
        The scan that was registered, or a mask in its space.
    affine : ndarray, shape (4, 4)
        Image mm to ICBM152 mm.
    field : image-like
        From :func:`register_deformable`.
    order : int, default=1
        0 nearest, 1 linear, 3 cubic.

    Returns
    -------
    Nifti1Image
        Image of float32 on the grid of the field, zero outside the image.

    Raises
    ------
    ImageError
        The image cannot be read, or `field` is not a displacement field.

    See Also
    --------
    register_deformable : Find the displacement field.
    resample : Resample with an affine alone.

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> data = np.zeros((8, 8, 8), np.float32)
    >>> data[3, 3, 3] = 1
    >>> shift = np.zeros((8, 8, 8, 3), np.float32)
    >>> shift[..., 0] = 1
    >>> moved = ek.resample_deformed(nib.Nifti1Image(data, np.eye(4)), np.eye(4), nib.Nifti1Image(shift, np.eye(4)))
    >>> np.argwhere(moved.get_fdata()).tolist()
    [[2, 3, 3]]
    """
    image = load_image(image, where="resample_deformed", check_voxels=False)
    displacement = _load_field(field)
    index = np.indices(displacement.shape[:3]).reshape(3, -1).T
    points = nib.affines.apply_affine(displacement.affine, index) + np.asarray(displacement.dataobj).reshape(-1, 3)
    voxels = nib.affines.apply_affine(np.linalg.inv(affine @ image.affine), points)
    values = ndimage.map_coordinates(np.asarray(image.dataobj, np.float32), voxels.T, order=order)
    return nib.Nifti1Image(values.reshape(displacement.shape[:3]), displacement.affine)


def _load_field(field: ImageLike) -> nib.Nifti1Image:
    """Load a displacement field and check its shape."""
    try:
        loaded = nib.Nifti1Image.from_filename(field) if isinstance(field, (str, os.PathLike)) else field
        received = f"shape {loaded.shape}"
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        loaded, received = None, f"{field}, which cannot be read ({type(error).__name__})"
    if loaded is None or loaded.ndim != 4 or loaded.shape[3] != 3:
        raise ImageError(
            "resample_deformed",
            "a displacement field of shape (i, j, k, 3)",
            received,
            "make one with `register_deformable`",
        )
    return loaded


def _match_contrast(template: np.ndarray, scan: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Map template intensities to the contrast of the scan: the scan's median at each template level."""
    edges = np.quantile(template[inside], np.linspace(0, 1, _LEVELS + 1))
    level = np.digitize(template[inside], edges[1:-1])
    medians = ndimage.median(scan[inside], level, np.arange(_LEVELS))
    return np.interp(template, (edges[1:] + edges[:-1]) / 2, medians)


def _demons(
    moving: nib.Nifti1Image, fixed: nib.Nifti1Image, field: nib.Nifti1Image, iterations: int
) -> nib.Nifti1Image:
    """Refine a displacement field; single-threaded, so that the result is reproducible."""
    start = sitk.GetImageFromArray(np.asarray(field.dataobj, np.float64).transpose(2, 1, 0, 3), isVector=True)
    start.CopyInformation(as_itk(fixed))
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfThreads(1)
    demons.SetNumberOfIterations(iterations)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(_FIELD_SMOOTHNESS)
    demons.SetSmoothUpdateField(True)
    demons.SetUpdateFieldStandardDeviations(_UPDATE_SMOOTHNESS)
    with one_thread():
        found = demons.Execute(as_itk(fixed), as_itk(moving), start)
    data = sitk.GetArrayFromImage(found).transpose(2, 1, 0, 3).astype(np.float32)
    return nib.Nifti1Image(data, field.affine)
