"""Deformable registration: what an affine leaves over between a brain and the ICBM152 template."""

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from epitome_kit.errors import ImageError
from epitome_kit.images import load_image, resample, resample_isotropic
from epitome_kit.preprocess.registration import as_itk, grow_mask, load_template, one_thread, template_grid

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
"""What the pipeline deforms with."""


def register_deformable(moving, affine, *, spacing_mm=_SPACING_MM):
    """Find the smooth deformation that brings a scan onto the ICBM152 template, after its affine.

    Diffeomorphic demons: every voxel is pushed along the slope of the template
    until scan and template look alike, and the pushes are smoothed so that
    nothing tears or folds. Alike means of one contrast; the template is
    therefore painted in that of the scan first, each of its intensities with
    the median that the scan has there, and again when the match is better.

    Parameters
    ----------
    moving : Nifti1Image or path
        Scan of a head, any contrast, free of bias.
    affine : ndarray, shape (4, 4)
        `moving` mm to ICBM152 mm, from :func:`register_affine`.
    spacing_mm : float, default=4.0
        Voxel size of the field.

    Returns
    -------
    Nifti1Image
        Displacement field, float32, shape (i, j, k, 3), in mm along the RAS
        axes, on :func:`template_grid`: what lies at x on the template lies at
        x plus the displacement in the scan that `affine` carried over.

    Raises
    ------
    ImageError
        The scan cannot be read.

    References
    ----------
    Vercauteren et al., NeuroImage 2009, doi:10.1016/j.neuroimage.2008.10.040
    Guimond et al., IEEE Trans Med Imaging 2001, doi:10.1109/42.906425
    """
    grid = template_grid(spacing_mm)
    moving = resample_isotropic(load_image(moving, where="register_deformable"), spacing_mm)
    moving = resample(moving, *grid, transform=affine)
    template, brain = (np.asarray(resample(image, *grid).dataobj) for image in load_template())
    brain = brain > 0.5
    around = np.asarray(grow_mask(nib.Nifti1Image(brain.astype(np.uint8), grid[0]), _MARGIN_MM).dataobj) > 0
    moving = nib.Nifti1Image(np.asarray(moving.dataobj) / np.asarray(moving.dataobj)[brain].std(), grid[0])
    field = nib.Nifti1Image(np.zeros((*grid[1], 3), np.float32), grid[0])
    for iterations in _ITERATIONS:
        warped = np.asarray(resample_deformed(moving, np.eye(4), field).dataobj)
        painted = np.where(around, _paint(template, warped, brain), warped)
        field = _demons(moving, nib.Nifti1Image(painted.astype(np.float32), grid[0]), field, iterations)
    return field


def resample_deformed(image, affine, field, *, order=1):
    """Carry an image onto the template by its affine and a displacement field.

    Parameters
    ----------
    image : Nifti1Image or path
        The scan that was registered, or a mask in its space.
    affine : ndarray, shape (4, 4)
        Image mm to ICBM152 mm.
    field : Nifti1Image
        From :func:`register_deformable`.
    order : int, default=1
        0 nearest, 1 linear, 3 cubic.

    Returns
    -------
    Nifti1Image
        float32 on the grid of the field, zero outside the image.

    Raises
    ------
    ImageError
        The image cannot be read, or the field is none.
    """
    image = load_image(image, where="resample_deformed", check_voxels=False)
    if field.ndim != 4 or field.shape[3] != 3:
        raise ImageError(
            "resample_deformed",
            "a displacement field of shape (i, j, k, 3)",
            f"shape {field.shape}",
            "make one with `register_deformable`",
        )
    index = np.indices(field.shape[:3]).reshape(3, -1).T
    points = nib.affines.apply_affine(field.affine, index) + np.asarray(field.dataobj).reshape(-1, 3)
    voxels = nib.affines.apply_affine(np.linalg.inv(affine @ image.affine), points)
    values = ndimage.map_coordinates(np.asarray(image.dataobj, np.float32), voxels.T, order=order)
    return nib.Nifti1Image(values.reshape(field.shape[:3]), field.affine)


def _paint(template, scan, brain):
    """Template in the contrast of the scan: the scan's median at each level of the template's intensity."""
    edges = np.quantile(template[brain], np.linspace(0, 1, _LEVELS + 1))
    level = np.digitize(template[brain], edges[1:-1])
    medians = ndimage.median(scan[brain], level, np.arange(_LEVELS))
    return np.interp(template, (edges[1:] + edges[:-1]) / 2, medians)


def _demons(moving, fixed, field, iterations):
    """Go on from a displacement field; one thread, so that the answer is the same every time."""
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
