"""Correct intensity inhomogeneity with N4; works with any affine."""

from collections.abc import Sequence

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from epitome_kit.errors import ParameterError
from epitome_kit.extras import needs
from epitome_kit.images import ImageLike, load_image, load_mask, new_image_like
from epitome_kit.preprocess.itk import array_as_itk, one_thread

_WORKING_MM = 8.0
_ITERATIONS = (40, 40, 40)
PARAMETERS = {"iterations": list(_ITERATIONS), "working_mm": _WORKING_MM}
"""Settings recorded by the pipeline."""

METHODS = ("n4", "ants")
"""Implementations of N4."""


def correct_bias(
    image: ImageLike, mask: ImageLike, *, iterations: Sequence[int] = _ITERATIONS, method: str = "n4"
) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Estimate the bias field of a scan with N4, and divide the scan by it.

    The field is smooth and multiplicative: it makes one tissue brighter in one part of
    the image than in another. It is estimated on a coarse grid.

    Parameters
    ----------
    image : image-like
        Shape (i, j, k).
    mask : image-like
        Brain mask on the same grid; the field is fitted inside.
    iterations : sequence of int, default=(40, 40, 40)
        Maximum number of iterations at each resolution level, coarse to fine.
    method : {"n4", "ants"}, default="n4"
        ``"n4"``: SimpleITK, on voxels of about 8 mm. ``"ants"``: ANTsPy, on every
        fourth voxel; slower, for comparison; requires ANTsPy.

    Returns
    -------
    corrected : Nifti1Image
        The scan divided by the field, float32.
    field : Nifti1Image
        Bias field on the grid of the scan, float32, with a geometric mean of 1 inside the
        mask.

    Raises
    ------
    ImageError
        The scan cannot be read, or the mask is on another grid.
    ParameterError
        Unknown method.
    MissingExtraError
        ANTsPy is not installed.

    See Also
    --------
    skull_strip : Make the brain mask.
    normalise_intensity : Scale the corrected scan.

    References
    ----------
    Tustison et al., IEEE Trans Med Imaging 2010, doi:10.1109/TMI.2010.2046908

    Examples
    --------
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> gain = np.linspace(0.8, 1.2, 16)[:, None, None] * np.ones((16, 16, 16))
    >>> texture = np.random.default_rng(0).normal(100, 1, gain.shape)
    >>> scan = nib.Nifti1Image((gain * texture).astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    >>> inside = np.ones(scan.shape, np.uint8)
    >>> inside[0] = 0
    >>> mask = nib.Nifti1Image(inside, scan.affine)
    >>> corrected, field = ek.correct_bias(scan, mask)
    >>> bool(corrected.get_fdata().std() < 0.3 * scan.get_fdata().std())
    True
    """
    if method not in METHODS:
        raise ParameterError("correct_bias", f"one of the methods {', '.join(METHODS)}", repr(method), "use `n4`")
    image = load_image(image, where="correct_bias")
    inside = np.asarray(load_mask(mask, like=image, where="correct_bias").dataobj)
    data = np.asarray(image.dataobj, np.float32)
    estimate = {"n4": _log_field_by_simpleitk, "ants": _log_field_by_ants}[method]
    log_field = estimate(data, inside, nib.affines.voxel_sizes(image.affine), list(iterations))
    field = np.exp(log_field - log_field[inside > 0].mean()).astype(np.float32)
    return new_image_like(data / field, image), new_image_like(field, image)


def _log_field_by_simpleitk(
    data: np.ndarray, inside: np.ndarray, spacing_mm: np.ndarray, iterations: list[int]
) -> np.ndarray:
    shrink = [
        int(max(1, min(round(_WORKING_MM / step), n // 8))) for step, n in zip(spacing_mm, data.shape, strict=True)
    ]
    image, mask = (array_as_itk(data, spacing_mm), array_as_itk(inside, spacing_mm))
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetNumberOfThreads(1)
    corrector.SetMaximumNumberOfIterations(iterations)
    with one_thread():
        corrector.Execute(sitk.Shrink(image, shrink), sitk.Shrink(mask, shrink))
        return sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).T


def _log_field_by_ants(
    data: np.ndarray, inside: np.ndarray, spacing_mm: np.ndarray, iterations: list[int]
) -> np.ndarray:
    with needs("ants", otherwise="choose `n4`"):
        import ants
    image, mask = (ants.from_numpy(array.astype(np.float32), spacing=spacing_mm.tolist()) for array in (data, inside))
    convergence = {"iters": iterations, "tol": 1e-7}
    field = ants.n4_bias_field_correction(image, mask=mask, convergence=convergence, return_bias_field=True)
    return np.log(field.numpy())
