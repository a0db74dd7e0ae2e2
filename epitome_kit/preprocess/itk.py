"""Convert images and transforms from and to ITK, and limit its threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import nibabel as nib
import numpy as np
import SimpleITK as sitk

LinearTransform = sitk.Euler3DTransform | sitk.AffineTransform
"""Transform with a matrix, a centre and a translation."""

_thread_lock = Lock()
_threads_before: list[int] = []


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit ITK to one thread, so that the metric is summed in a reproducible order.

    Several Python threads may enter at once; the last one to leave restores ITK's threads.
    """
    with _thread_lock:
        _threads_before.append(sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        with _thread_lock:
            threads = _threads_before.pop()
            if not _threads_before:
                sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def as_itk(image: nib.Nifti1Image) -> sitk.Image:
    """Convert an image with axes along RAS to ITK, keeping RAS mm."""
    result = array_as_itk(np.asarray(image.dataobj, np.float32), nib.affines.voxel_sizes(image.affine))
    result.SetOrigin([float(value) for value in image.affine[:3, 3]])
    return result


def array_as_itk(data: np.ndarray, spacing_mm: np.ndarray) -> sitk.Image:
    """Convert an array and its voxel size to an ITK image."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    image.SetSpacing([float(step) for step in spacing_mm])
    return image


def affine_as_itk(matrix: np.ndarray, centre: np.ndarray) -> sitk.AffineTransform:
    """Convert a matrix to an ITK transform with the given centre; both map fixed to moving."""
    transform = sitk.AffineTransform(3)
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation((nib.affines.apply_affine(matrix, centre) - centre).tolist())
    return transform


def as_matrix(transform: LinearTransform) -> np.ndarray:
    """Convert an ITK transform (fixed to moving) to a matrix from moving mm to fixed mm."""
    matrix = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    offset = np.array(transform.GetTranslation()) + centre - matrix @ centre
    return np.linalg.inv(nib.affines.from_matvec(matrix, offset))
