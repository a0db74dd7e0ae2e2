"""Inhomogeneity correction: N4, with arrays handed over so that any affine works."""

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.images import image_like, load_image, load_mask
from epitome_kit.preprocess.registration import array_as_itk, one_thread

_WORKING_MM = 8.0
_ITERATIONS = (40, 40, 40)
PARAMETERS = {"iterations": list(_ITERATIONS), "working_mm": _WORKING_MM}
"""What the pipeline corrects with."""

METHODS = ("n4", "ants")
"""Programs that N4 can be run by."""


def correct_bias(image, mask, *, iterations=_ITERATIONS, method="n4"):
    """Estimate the smooth field that makes one tissue brighter here than there, and divide by it.

    Parameters
    ----------
    image : Nifti1Image or path
        Shape (i, j, k).
    mask : Nifti1Image or path
        Brain mask on the same grid; the field is fitted inside.
    iterations : sequence of int, default=(40, 40, 40)
        Iterations at each level of detail, coarse to fine.
    method : {"n4", "ants"}, default="n4"
        ``"n4"``: SimpleITK, on voxels of about 8 mm. ``"ants"``: ANTsPy, on
        every fourth voxel; slower, to compare with; it has to be installed.

    Returns
    -------
    corrected, field : Nifti1Image
        float32 on the grid of the scan; ``corrected * field`` is the scan. The
        field has a geometric mean of 1 inside the mask.

    Raises
    ------
    ImageError
        The scan cannot be read, or the mask is on another grid.
    ParameterError
        There is no such method.
    MissingExtraError
        ANTsPy is not installed.

    References
    ----------
    Tustison et al., IEEE Trans Med Imaging 2010, doi:10.1109/TMI.2010.2046908
    """
    if method not in METHODS:
        raise ParameterError("correct_bias", f"a method out of {', '.join(METHODS)}", repr(method), "use `n4`")
    image = load_image(image, where="correct_bias")
    inside = np.asarray(load_mask(mask, like=image, where="correct_bias").dataobj)
    data = np.asarray(image.dataobj, np.float32)
    estimate = {"n4": _log_field_by_simpleitk, "ants": _log_field_by_ants}[method]
    log_field = estimate(data, inside, nib.affines.voxel_sizes(image.affine), list(iterations))
    field = np.exp(log_field - log_field[inside > 0].mean()).astype(np.float32)
    return image_like(data / field, image), image_like(field, image)


def _log_field_by_simpleitk(data, inside, steps, iterations):
    shrink = [int(max(1, min(round(_WORKING_MM / step), n // 8))) for step, n in zip(steps, data.shape, strict=True)]
    whole, small = (array_as_itk(data, steps), array_as_itk(inside, steps))
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetNumberOfThreads(1)
    corrector.SetMaximumNumberOfIterations(iterations)
    with one_thread():
        corrector.Execute(sitk.Shrink(whole, shrink), sitk.Shrink(small, shrink))
        return sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(whole)).T


def _log_field_by_ants(data, inside, steps, iterations):
    with needs("ants", otherwise="choose `n4`"):
        import ants
    whole, small = (ants.from_numpy(array.astype(np.float32), spacing=steps.tolist()) for array in (data, inside))
    convergence = {"iters": iterations, "tol": 1e-7}
    field = ants.n4_bias_field_correction(whole, mask=small, convergence=convergence, return_bias_field=True)
    return np.log(field.numpy())
