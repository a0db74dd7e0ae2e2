"""Skull stripping: a small U-Net that has only ever seen simulated heads."""

import warnings
from functools import lru_cache
from typing import NamedTuple

import nibabel as nib
import numpy as np

from epitome_kit.errors import EpitomeWarning, ImageError, ParameterError
from epitome_kit.files import checksum, shipped_weights
from epitome_kit.images import GRID_MM, image_like, load_image, resample, unit_range
from epitome_kit.preprocess.alarms import doubts, outliers, was_stripped
from epitome_kit.preprocess.external import TOOLS, find_tool, strip_with_tool
from epitome_kit.preprocess.head import coarse_scan, darken_air, find_head, largest_piece, without_outliers

FILTERS = (12, 24, 40, 48)
_MULTIPLE = 2 ** (len(FILTERS) - 1)
_SMALLEST_BRAIN_VOXELS = 500
_LARGEST_FIELD_MM = 800

STRIPPED_BEFORE = "stripped before"
"""What a scan is taken as that holds a brain and no head around it."""

THRESHOLD = 0.5
"""Probability above which a voxel counts as brain."""

METHODS = ("network", *TOOLS)
"""Ways to strip a skull."""


class StripWarning(EpitomeWarning):
    """What was taken for a brain may be a part of one, or none."""


class Stripped(NamedTuple):
    """A brain, and how far to trust it.

    Attributes
    ----------
    mask : Nifti1Image
        Brain mask of uint8 on the grid of the scan.
    taken_as : str
        "head", or "stripped before".
    warnings : tuple of str
        A sentence each; none where nothing is doubtful.
    """

    mask: nib.Nifti1Image
    taken_as: str
    warnings: tuple


def skull_strip(image, method="network"):
    """Find the brain in a head scan.

    Parameters
    ----------
    image : Nifti1Image or path
        Shape (i, j, k), any orientation and voxel size.
    method : {"network", "fsl", "hd-bet", "synthstrip"}, default="network"
        ``"network"``, for any contrast: the scan is resampled to a 4 mm grid in
        RAS order, a 3D U-Net marks the brain, and the answer is carried back:
        largest piece, holes filled. The network was trained on simulated heads
        with random contrasts alone. A head has about twice the volume of its
        brain; a scan that has less than 1.4 times, and is dark around it, was
        stripped before, and all that is not air in it is kept. The others are
        tools that you have installed: see
        :func:`~epitome_kit.preprocess.external.strip_with_tool`.

    Returns
    -------
    Nifti1Image
        Brain mask of uint8 on the grid of the scan.

    Raises
    ------
    ParameterError
        There is no such method.
    ImageError
        The scan cannot be read, or no brain is found in it.
    ToolError
        The tool is not installed, or fails.

    Warns
    -----
    StripWarning
        For each of the warnings of :func:`strip_with_warnings`.

    References
    ----------
    Hoopes et al., NeuroImage 2022, doi:10.1016/j.neuroimage.2022.119474
    """
    found = strip_with_warnings(image, method)
    for text in found.warnings:
        warnings.warn(text, StripWarning, stacklevel=2)
    return found.mask


def strip_with_warnings(image, method="network"):
    """Find the brain in a head scan, and say what makes the answer doubtful.

    Parameters
    ----------
    image : Nifti1Image or path
        As for :func:`skull_strip`.
    method : {"network", "fsl", "hd-bet", "synthstrip"}, default="network"

    Returns
    -------
    Stripped
        With the warnings of :func:`epitome_kit.preprocess.alarms.doubts`.

    Raises
    ------
    ParameterError, ImageError, ToolError
        As :func:`skull_strip`.
    """
    describe_method(method)
    image, count = without_outliers(load_image(image, where="skull_strip"))
    image = darken_air(image)
    taken_as, evidence = "head", ()
    if method in TOOLS:
        mask = strip_with_tool(image, method)
    else:
        small, probability = evidence = _ask_network(image)
        if was_stripped(small, probability):
            mask, taken_as = find_head(image), STRIPPED_BEFORE
        else:
            mask = mask_above(_carry_back(probability, small, image))
    return Stripped(mask, taken_as, (*outliers(count), *doubts(image, mask, *evidence)))


def skull_strip_probability(image):
    """Ask the network of :func:`skull_strip` how likely each voxel is brain.

    Parameters
    ----------
    image : Nifti1Image or path
        Shape (i, j, k), any orientation and voxel size.

    Returns
    -------
    Nifti1Image
        float32 from 0 to 1 on the grid of the scan; of a head ``skull_strip``
        takes what is above 0.5, by :func:`mask_above`.

    Raises
    ------
    ImageError
        The scan cannot be read, or no brain is found in it.
    """
    image = darken_air(without_outliers(load_image(image, where="skull_strip"))[0])
    small, probability = _ask_network(image)
    return _carry_back(probability, small, image)


def _ask_network(image):
    """Scan on the network's grid, and the probability of brain there."""
    from epitome_kit.backend import ops

    _check_field(image)
    small = coarse_scan(image, multiple=_MULTIPLE)
    volume = unit_range(small.dataobj)[None, ..., None]
    probability = ops.convert_to_numpy(_network()(volume, training=False))[0, ..., 0]
    if np.count_nonzero(probability > THRESHOLD) < _SMALLEST_BRAIN_VOXELS:
        volume_ml = np.count_nonzero(probability > THRESHOLD) * GRID_MM**3 / 1000
        raise ImageError(
            "skull_strip",
            "a scan of a head",
            f"{volume_ml:.0f} mL that look like brain in {image.get_filename() or 'the image'}",
            "look whether the scan is a brain MRI, and whether its voxel size is right",
        )
    return small, probability


def _check_field(image):
    """Refuse what is far larger than a head: the network's grid would not fit into memory."""
    field_mm = nib.affines.voxel_sizes(image.affine) * image.shape
    if field_mm.max() > _LARGEST_FIELD_MM:
        raise ImageError(
            "skull_strip",
            f"a field of view of at most {_LARGEST_FIELD_MM} mm",
            f"{' x '.join(f'{side:.0f}' for side in field_mm)} mm in {image.get_filename() or 'the image'}",
            "look at the voxel size in its header, or cut the head out of the scan",
        )


def _carry_back(probability, small, image):
    on_scan = resample(nib.Nifti1Image(probability, small.affine), image.affine, image.shape)
    return image_like(np.asarray(on_scan.dataobj), image)


def mask_above(probability, threshold=THRESHOLD):
    """Cut a brain mask out of a probability map: the largest piece above a threshold, holes filled.

    Parameters
    ----------
    probability : Nifti1Image or path
        As :func:`skull_strip_probability` returns it.
    threshold : float, default=0.5

    Returns
    -------
    Nifti1Image
        Mask of uint8; empty where nothing is above the threshold.
    """
    probability = load_image(probability, where="mask_above", check_voxels=False)
    inside = largest_piece(np.asarray(probability.dataobj) > threshold)
    return image_like(inside.astype(np.uint8), probability)


def describe_method(method):
    """Say by what a method's answer is determined, apart from the scan.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`.

    Returns
    -------
    dict of str to value
        The method, and the checksum of its weights or the command of its
        tool.

    Raises
    ------
    ParameterError
        There is no such method.
    ToolError
        Its tool is not installed.
    """
    if method not in METHODS:
        raise ParameterError("skull_strip", f"a method out of {', '.join(METHODS)}", repr(method), "use `network`")
    if method == "network":
        return {"method": method, "weights": _weights_checksum()}
    find_tool(method)
    return {"method": method, "command": " ".join(TOOLS[method].command)}


def build_network():
    """3D U-Net for volumes of any size that is a multiple of 8 voxels.

    Returns
    -------
    keras.Model
        Shape (n, i, j, k, 1) in, brain probability of the same shape out.
    """
    from epitome_kit.backend import Input, Model, layers

    def block(x, filters):
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
def _network():
    network = build_network()
    with shipped_weights("skull_strip") as path:
        network.load_weights(path)
    return network


@lru_cache(maxsize=1)
def _weights_checksum():
    with shipped_weights("skull_strip") as path:
        return checksum(path)
