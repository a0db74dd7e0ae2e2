"""Skull stripping with a small U-Net trained on simulated heads, or with an external tool."""

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import nibabel as nib
import numpy as np

from epitome_kit.errors import EpitomeWarning, ImageError, ParameterError
from epitome_kit.files import checksum, shipped_weights
from epitome_kit.images import GRID_MM, ImageLike, load_image, new_image_like, resample, unit_range
from epitome_kit.large import map_above, read_scan, whole_mask, working_mask
from epitome_kit.preprocess.alarms import mask_warnings, outlier_warnings, was_stripped
from epitome_kit.preprocess.external import TOOLS, find_tool, strip_with_tool
from epitome_kit.preprocess.head import coarse_scan, darken_air, find_head, largest_piece, without_outliers

if TYPE_CHECKING:
    from epitome_kit.backend import Model

FILTERS = (12, 24, 40, 48)
_SIDE_MULTIPLE = 2 ** (len(FILTERS) - 1)
_MIN_BRAIN_VOXELS = 500
_MAX_FIELD_MM = 800

STRIPPED_BEFORE = "stripped before"
"""Value of ``taken_as`` for a scan that shows a brain without the head around it."""

THRESHOLD = 0.5
"""Probability above which a voxel counts as brain."""

METHODS = ("network", *TOOLS)
"""Methods of skull stripping."""


class StripWarning(EpitomeWarning):
    """The brain mask may be incomplete or wrong."""


class SkullStripResult(NamedTuple):
    """Brain mask of a scan, with warnings.

    Attributes
    ----------
    mask : Nifti1Image
        Brain mask of uint8 on the grid of the scan.
    taken_as : str
        Input type: "head" or "stripped before".
    warnings : tuple of str
        Reasons to inspect the mask, one sentence each.
    """

    mask: nib.Nifti1Image
    taken_as: str
    warnings: tuple[str, ...]


def skull_strip(image: ImageLike, method: str = "network") -> nib.Nifti1Image:
    """Find the brain in a head scan.

    The network takes any contrast: the scan is resampled to a 4 mm grid in RAS order, a
    3D U-Net predicts the probability of brain, and the prediction is resampled to the
    grid of the scan, where the largest connected component is kept and its holes are
    filled. The network was trained on simulated heads with random contrasts only.

    A head has about twice the volume of its brain. If a scan shows less than 1.4 times
    the brain and is dark around it, it is taken as stripped before, and everything but
    air is kept.

    Parameters
    ----------
    image : image-like
        Shape (i, j, k), any orientation and voxel size.
    method : {"network", "fsl", "hd-bet", "synthstrip"}, default="network"
        ``"network"``, or an installed external tool: see
        :func:`~epitome_kit.preprocess.external.strip_with_tool`.

    Returns
    -------
    Nifti1Image
        Brain mask of uint8 on the grid of the scan.

    Raises
    ------
    ParameterError
        Unknown method.
    ImageError
        The scan cannot be read, or no brain is found in it.
    ToolError
        The tool is not installed, or fails.

    Warns
    -----
    StripWarning
        For each of the warnings of :func:`strip_with_warnings`.

    See Also
    --------
    correct_bias : Correct inhomogeneity inside the brain mask.
    deface : Remove the face but keep the head.

    References
    ----------
    Hoopes et al., NeuroImage 2022, doi:10.1016/j.neuroimage.2022.119474

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = ek.make_phantom_cohort(folder, subjects=2, spacing_mm=(4, 4, 4))
    ...     mask = ek.skull_strip(next(iter(cohort)).images["T2w"])
    >>> mask.get_data_dtype()
    dtype('uint8')
    """
    result = strip_with_warnings(image, method)
    for message in result.warnings:
        warnings.warn(message, StripWarning, stacklevel=2)
    return result.mask


def strip_with_warnings(image: ImageLike, method: str = "network") -> SkullStripResult:
    """Find the brain in a head scan, and list reasons to inspect the mask.

    Parameters
    ----------
    image : image-like
        As for :func:`skull_strip`.
    method : {"network", "fsl", "hd-bet", "synthstrip"}, default="network"
        As for :func:`skull_strip`.

    Returns
    -------
    SkullStripResult
        With the warnings of :func:`epitome_kit.preprocess.alarms.mask_warnings`.

    Raises
    ------
    ParameterError, ImageError, ToolError
        As :func:`skull_strip`.
    """
    describe_method(method)
    image = load_image(image, where="skull_strip", check_voxels=method in TOOLS)
    if method in TOOLS:
        scan, count = _clean(image)
        mask = strip_with_tool(scan, method)
        return SkullStripResult(mask, "head", (*outlier_warnings(count), *mask_warnings(scan, mask)))
    scan, count = _clean(read_scan(image, where="skull_strip"))
    small, probability = _predict(scan)
    stripped = was_stripped(small, probability)
    if stripped:
        mask = new_image_like(whole_mask(find_head(scan), image), image)
    else:
        mask = _brain_on_scan(probability, small, image)
    warned = (*outlier_warnings(count), *mask_warnings(scan, working_mask(mask), small, probability))
    return SkullStripResult(mask, STRIPPED_BEFORE if stripped else "head", warned)


def skull_strip_probability(image: ImageLike) -> nib.Nifti1Image:
    """Predict the probability of brain with the network of :func:`skull_strip`.

    Parameters
    ----------
    image : image-like
        Shape (i, j, k), any orientation and voxel size.

    Returns
    -------
    Nifti1Image
        float32 from 0 to 1 on the grid of the scan; for a head, ``skull_strip``
        applies :func:`mask_above` with a threshold of 0.5.

    Raises
    ------
    ImageError
        The scan cannot be read, or no brain is found in it.
    """
    image = load_image(image, where="skull_strip", check_voxels=False)
    small, probability = _predict(_clean(read_scan(image, where="skull_strip"))[0])
    on_scan = resample(nib.Nifti1Image(probability, small.affine), image.affine, image.shape)
    return new_image_like(np.asarray(on_scan.dataobj), image)


def _clean(scan: nib.Nifti1Image) -> tuple[nib.Nifti1Image, int]:
    """Clip the outliers of a scan and darken its background; return it and the number of outliers."""
    scan, count = without_outliers(scan)
    return darken_air(scan), count


def _predict(scan: nib.Nifti1Image) -> tuple[nib.Nifti1Image, np.ndarray]:
    """Return the scan on the network's grid, and the probability of brain there."""
    _check_field(scan)
    small = coarse_scan(scan, multiple=_SIDE_MULTIPLE)
    from epitome_kit.backend import ops  # after the scan was resampled, which needs memory of its own

    volume = unit_range(small.dataobj)[None, ..., None]
    probability = ops.convert_to_numpy(_network()(volume, training=False))[0, ..., 0]
    if np.count_nonzero(probability > THRESHOLD) < _MIN_BRAIN_VOXELS:
        volume_ml = np.count_nonzero(probability > THRESHOLD) * GRID_MM**3 / 1000
        raise ImageError(
            "skull_strip",
            "a scan of a head",
            f"{volume_ml:.0f} mL of brain found in {scan.get_filename() or 'the image'}",
            "check that the scan is a brain MRI, and that its voxel size is right",
        )
    return small, probability


def _check_field(image: nib.Nifti1Image) -> None:
    """Reject fields of view much larger than a head, whose grid would not fit into memory."""
    field_mm = nib.affines.voxel_sizes(image.affine) * image.shape
    if field_mm.max() > _MAX_FIELD_MM:
        raise ImageError(
            "skull_strip",
            f"a field of view of at most {_MAX_FIELD_MM} mm",
            f"{' x '.join(f'{side:.0f}' for side in field_mm)} mm in {image.get_filename() or 'the image'}",
            "check the voxel size in its header, or crop the scan to the head",
        )


def _brain_on_scan(probability: np.ndarray, small: nib.Nifti1Image, image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Threshold the probability of brain on the grid of the scan, as :func:`mask_above` does."""
    to_small = np.linalg.inv(small.affine) @ image.affine
    inside = largest_piece(map_above(probability, to_small, image.shape, THRESHOLD))
    return new_image_like(inside.view(np.uint8), image)


def mask_above(probability: ImageLike, threshold: float = THRESHOLD) -> nib.Nifti1Image:
    """Threshold a probability map: largest connected component above a threshold, holes filled.

    Parameters
    ----------
    probability : image-like
        As returned by :func:`skull_strip_probability`.
    threshold : float, default=0.5
        Probability above which a voxel counts as brain.

    Returns
    -------
    Nifti1Image
        Mask of uint8; empty if no voxel is above the threshold.
    """
    probability = load_image(probability, where="mask_above", check_voxels=False)
    inside = largest_piece(np.asarray(probability.dataobj) > threshold)
    return new_image_like(inside.astype(np.uint8), probability)


def describe_method(method: str) -> dict[str, str]:
    """Describe what determines the result of a method, apart from the scan.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`.

    Returns
    -------
    dict of str to str
        The method, and the checksum of its weights or the command of its tool.

    Raises
    ------
    ParameterError
        Unknown method.
    ToolError
        The tool is not installed.
    """
    if method not in METHODS:
        raise ParameterError("skull_strip", f"one of the methods {', '.join(METHODS)}", repr(method), "use `network`")
    if method == "network":
        return {"method": method, "weights": _weights_checksum()}
    find_tool(method)
    return {"method": method, "command": " ".join(TOOLS[method].command)}


def build_network() -> "Model":
    """Build the 3D U-Net, for volumes with sides that are multiples of 8 voxels.

    Returns
    -------
    keras.Model
        Input of shape (n, i, j, k, 1), brain probability of the same shape.
    """
    from epitome_kit.backend import Input, Model, layers

    def block(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Conv3D(filters, 3, padding="same", kernel_initializer="he_normal")(x)
            x = layers.LeakyReLU(negative_slope=0.1)(x)
        return x

    x = inputs = Input((None, None, None, 1))
    skips = []
    for filters in FILTERS[:-1]:
        x = block(x, filters)
        skips.append(x)
        x = layers.MaxPooling3D()(x)
    x = block(x, FILTERS[-1])
    for filters, skip in zip(FILTERS[-2::-1], skips[::-1], strict=True):
        x = layers.Concatenate()([layers.UpSampling3D()(x), skip])
        x = block(x, filters)
    return Model(inputs, layers.Conv3D(1, 1, activation="sigmoid")(x), name="skull_strip")


@lru_cache(maxsize=1)
def _network() -> "Model":
    network = build_network()
    with shipped_weights("skull_strip") as path:
        network.load_weights(path)
    return network


@lru_cache(maxsize=1)
def _weights_checksum() -> str:
    with shipped_weights("skull_strip") as path:
        return checksum(path)
