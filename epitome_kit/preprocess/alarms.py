"""Checks of preprocessing: warn if a mask may not show a whole, correctly oriented brain."""

from collections.abc import Mapping
from functools import lru_cache

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.images import GRID_MM, resample, voxel_size_known
from epitome_kit.metrics import dice
from epitome_kit.preprocess.head import coarse_scan, find_head, largest_piece
from epitome_kit.preprocess.registration import load_template

_INSIDE = 0.5
_MAX_STRIPPED_RATIO, _DARK = 1.4, 0.15
_TOUCHES, _FLAT_AT_EDGE, _FLAT_ANYWHERE, _NEAR_EDGE = 0.2, 0.38, 0.45, 2
_BRAIN_ML = (900, 2200)
_MIN_LENGTH_RATIO, _MAX_LENGTH_RATIOS = 0.98, (1.65, 1.95)
_MIN_FLIP_GAIN = -0.02
_MAX_UNCERTAIN, _MIN_CERTAIN = 8.0, 0.8
_MAX_SECOND_COMPONENT, _MAX_SURFACE, _MIN_VARIATION, _MAX_EMPTY_RIM = 0.03, 10.3, 0.025, 0.15
_CONSTANT, _DIM, _MAX_DIM_SLICES = 1e-3, 0.3, 2
_MAX_FILLED = 0.8
_MIN_COVERAGE, _MIN_TEMPLATE_DICE = 0.9, 0.8
_SIDES = (("left", "right"), ("back", "front"), ("bottom", "top"))
_MIRRORED = {(1,): "front and back", (2,): "top and bottom", (1, 2): "front and back, top and bottom"}


def mask_warnings(
    image: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    small: nib.Nifti1Image | None = None,
    probability: np.ndarray | None = None,
) -> list[str]:
    """List reasons to doubt a brain mask.

    The thresholds were set on 58 real whole heads (51 clinical FLAIR scans, a clinical
    exam of four contrasts, three others) and 56 simulated heads, none of which raises a
    warning, and on heads that were truncated, corrupted and rotated on purpose. An
    unusual whole head may raise a warning; a mask without warnings is not necessarily
    right.

    Parameters
    ----------
    image : Nifti1Image
        Scan, any orientation.
    mask : Nifti1Image
        Brain mask on its grid.
    small : Nifti1Image, default=None
        The scan at 4 mm in RAS order, from 0 to 1; None: computed from `image`.
    probability : ndarray, default=None
        Probability of brain predicted by the network, on the grid of `small`; None if
        no network was used.

    Returns
    -------
    list of str
        One sentence for each reason.
    """
    predicted = probability is not None
    if small is None or probability is None:
        small = coarse_scan(image)
        probability = np.asarray(resample(mask, small.affine, small.shape).dataobj)
    brain = largest_piece(probability > _INSIDE)
    if not brain.any():
        return ["The brain mask is smaller than a voxel of 4 mm."]
    visible = _field_of_view(image, small)
    data, bare = np.asarray(small.dataobj), was_stripped(small, probability)
    blank = _has_constant_slices(image, mask) or (not bare and _has_dark_slices(brain, data, visible))
    cut = _truncation_warnings(brain, data, visible, _touched_area(mask))
    cut += ["Some slices through the brain are blank or nearly so."] if blank else []
    found = [
        *cut,
        *_size_warnings(image, mask, brain, small.affine),
        *([] if cut else _orientation_warnings(brain, small, visible)),  # a truncated brain cannot be compared
        *_shape_warnings(brain, probability, data),
        *([] if bare else _rim_warnings(brain, data, visible)),
    ]
    return found + _confidence_warnings(brain, probability) if predicted else found


def was_stripped(small: nib.Nifti1Image, probability: np.ndarray) -> bool:
    """Check whether a scan shows a brain without the head around it.

    A head has about twice the volume of its brain, but less if it is truncated.
    Therefore the space 8 to 12 mm outside the brain must be dark as well.

    Parameters
    ----------
    small : Nifti1Image
        The scan at 4 mm, from 0 to 1.
    probability : ndarray
        Probability of brain on its grid.

    Returns
    -------
    bool
    """
    data, inside = np.asarray(small.dataobj), probability > _INSIDE
    if np.count_nonzero(_head(small)) >= _MAX_STRIPPED_RATIO * np.count_nonzero(inside):
        return False
    brain = largest_piece(inside)
    around = data[_shell(brain, 2)]
    return bool(not around.size or around.mean() < _DARK * data[brain].mean())


def outlier_warnings(count: int) -> list[str]:
    """Report voxels clipped by :func:`epitome_kit.preprocess.head.cut_outliers`.

    Parameters
    ----------
    count : int
        Number of clipped voxels.

    Returns
    -------
    list of str
        Empty if `count` is 0.
    """
    voxels, were = ("1 voxel lies", "was") if count == 1 else (f"{count} voxels lie", "were")
    return [f"{voxels} far away from all other values and {were} clipped."] if count else []


def coverage_warnings(scans: Mapping[str, tuple[nib.Nifti1Image, np.ndarray]], brain: nib.Nifti1Image) -> list[str]:
    """Report scans that do not show the whole brain.

    Parameters
    ----------
    scans : dict of str to (Nifti1Image, ndarray)
        By contrast: the scan, and the transform from its mm to template mm.
    brain : Nifti1Image
        Brain mask on the template grid.

    Returns
    -------
    list of str
        One sentence for each such scan.
    """
    inside, found = np.asarray(brain.dataobj) > 0, []
    for name, (scan, to_template) in scans.items():
        carried = resample(_ones(scan), brain.affine, brain.shape, transform=to_template)
        shown = np.asarray(carried.dataobj)[inside] > _INSIDE
        if inside.any() and shown.mean() < _MIN_COVERAGE:
            found.append(f"{name}: the scan shows only {shown.mean():.0%} of the brain.")
    return found


def template_warnings(overlap: float | None) -> list[str]:
    """Report a registered brain that fits the brain of the template poorly.

    Parameters
    ----------
    overlap : float or None
        Dice of the two masks; None if it was not measured.

    Returns
    -------
    list of str
        Empty if the overlap is good.
    """
    if overlap is None or overlap >= _MIN_TEMPLATE_DICE:
        return []
    return [f"The brain fits that of the template poorly (Dice {overlap:.2f}, usually above 0.9)."]


def _head(small: nib.Nifti1Image) -> np.ndarray:
    return np.asarray(find_head(small).dataobj) > 0


def _shell(brain: np.ndarray, distance: float) -> np.ndarray:
    """Return the voxels at `distance` to `distance` + 1 voxels from the brain."""
    away = ndimage.distance_transform_edt(~brain)
    return (away > distance) & (away <= distance + 1)


def _field_of_view(image: nib.Nifti1Image, small: nib.Nifti1Image) -> np.ndarray:
    """Return the voxels of the coarse grid that lie within the scan."""
    return np.asarray(resample(_ones(image), small.affine, small.shape, order=0).dataobj) > _INSIDE


def _ones(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return an image of ones on the grid of another one, without memory for its voxels."""
    return nib.Nifti1Image(np.broadcast_to(np.float32(1), image.shape), image.affine)


def _touched_area(mask: nib.Nifti1Image) -> np.ndarray:
    """Return the area of the mask on each face of the scan, relative to its largest section, by RAS side."""
    inside = np.asarray(nib.as_closest_canonical(mask).dataobj) > 0
    areas = [inside.sum(tuple({0, 1, 2} - {axis})) for axis in range(3)]
    return np.array([(area[0], area[-1]) for area in areas]) / np.array([[area.max()] for area in areas])


def _truncation_warnings(brain: np.ndarray, data: np.ndarray, visible: np.ndarray, touched: np.ndarray) -> list[str]:
    """Report sides on which the brain reaches the edge of the scan or ends in a plane."""
    found = []
    for axis, names in enumerate(_SIDES):
        area = brain.sum(tuple({0, 1, 2} - {axis}))
        filled, edges = np.flatnonzero(area), _nonconstant_range(data, visible, axis)
        for side, (end, last) in enumerate(((filled[0], area[filled[:2]]), (filled[-1], area[filled[-2:]]))):
            flat = last.max() / area.max()
            near = abs(end - edges[side]) <= _NEAR_EDGE
            if touched[axis, side] > _TOUCHES or (near and flat > _FLAT_AT_EDGE):
                found.append(f"The brain reaches the {names[side]} edge of the scan: part of it may lie outside.")
            elif flat > _FLAT_ANYWHERE:
                found.append(f"The brain ends in a straight cut at its {names[side]}.")
    return found


def _has_constant_slices(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> bool:
    """Check for constant slices through the brain, along any axis of the scan."""
    scan, inside = np.asarray(image.dataobj), np.asarray(mask.dataobj) > 0
    for axis in range(3):
        across = tuple({0, 1, 2} - {axis})
        flat = scan.min(across) == scan.max(across)
        first, last = np.flatnonzero(~flat)[[0, -1]]
        if (flat & inside.any(across))[first:last].any():
            return True
    return False


def _has_dark_slices(brain: np.ndarray, data: np.ndarray, visible: np.ndarray) -> bool:
    """Check for 12 mm or more of slices through the brain far darker than it, along any axis."""
    for axis in range(3):
        through = np.flatnonzero(brain.any(tuple({0, 1, 2} - {axis})))
        slices = [np.take(data, i, axis)[np.take(visible, i, axis)] for i in through]
        dark = [np.percentile(part, 98) < _DIM * data[brain].mean() for part in slices if part.size]
        if sum(dark) > _MAX_DIM_SLICES:
            return True
    return False


def _nonconstant_range(data: np.ndarray, visible: np.ndarray, axis: int) -> np.ndarray:
    """Return the first and the last slice with more than one value."""
    slices = zip(np.moveaxis(data, axis, 0), np.moveaxis(visible, axis, 0), strict=True)
    return np.flatnonzero([shown.any() and np.ptp(part[shown]) > _CONSTANT for part, shown in slices])[[0, -1]]


def _size_warnings(image: nib.Nifti1Image, mask: nib.Nifti1Image, brain: np.ndarray, affine: np.ndarray) -> list[str]:
    """Check volume and proportions, if the voxel size is known."""
    if not voxel_size_known(image):
        return []
    found = []
    volume_ml = np.count_nonzero(mask.dataobj) * abs(np.linalg.det(mask.affine[:3, :3])) / 1000
    if not _BRAIN_ML[0] < volume_ml < _BRAIN_ML[1]:
        found.append(f"The brain mask has {volume_ml:.0f} mL; adult brains have 900 to 1900 mL. Inspect the mask.")
    wide, long, high = nib.affines.apply_affine(affine, np.argwhere(brain)).std(0)
    if (
        long < _MIN_LENGTH_RATIO * max(wide, high)
        or long > _MAX_LENGTH_RATIOS[0] * wide
        or long > _MAX_LENGTH_RATIOS[1] * high
    ):
        sides = np.ptp(np.argwhere(brain), axis=0) * GRID_MM + GRID_MM
        found.append(
            "The brain is {:.0f} mm wide, {:.0f} mm long and {:.0f} mm high: part of it may be missing, axes may be"
            " swapped, or a voxel size may be wrong.".format(*sides)
        )
    return found


def _orientation_warnings(brain: np.ndarray, small: nib.Nifti1Image, visible: np.ndarray) -> list[str]:
    """Compare with the template's brain and its mirror images; the face lies in front of and below the brain."""
    head = _head(small)
    centre = np.argwhere(brain).mean(0)
    offset = np.zeros(3)
    if np.count_nonzero(head & visible) < _MAX_FILLED * np.count_nonzero(visible):
        offset = (centre - np.argwhere(head).mean(0)) / (np.ptp(np.argwhere(brain), axis=0) + 1)
    shape, template = _standardise(brain, np.eye(4)), _standardised_template()
    overlap = dice(shape, template)
    signs = {1: offset[1], 2: -offset[2]}
    gains = {
        axes: dice(shape, np.flip(template, axes)) - overlap + sum(signs[axis] for axis in axes) for axes in _MIRRORED
    }
    best = max(gains, key=lambda axes: gains[axes])
    if gains[best] <= _MIN_FLIP_GAIN:
        return []
    return [f"The head looks turned or mirrored: {_MIRRORED[best]} may be swapped in the header."]


def _shape_warnings(brain: np.ndarray, probability: np.ndarray, data: np.ndarray) -> list[str]:
    found = []
    pieces = np.sort(np.bincount(ndimage.label(probability > _INSIDE)[0].ravel())[1:])
    if len(pieces) > 1 and pieces[-2] > _MAX_SECOND_COMPONENT * pieces[-1]:
        found.append("The predicted brain has several components; the largest was kept.")
    surface = sum(np.count_nonzero(np.diff(brain.astype(np.int8), axis=axis)) for axis in range(3))
    if surface > _MAX_SURFACE * np.count_nonzero(brain) ** (2 / 3):
        found.append("The outline of the brain is ragged.")
    core = data[ndimage.binary_erosion(brain, iterations=2)]
    if not core.size or core.std() < _MIN_VARIATION * max(core.mean(), 1e-6):
        found.append("There is hardly any structure inside the brain mask.")
    return found


def _rim_warnings(brain: np.ndarray, data: np.ndarray, visible: np.ndarray) -> list[str]:
    rim = data[_shell(brain, 1) & visible]
    if not rim.size or np.mean(rim <= _CONSTANT) <= _MAX_EMPTY_RIM:
        return []
    return ["The scan is empty next to the brain, where the skull should be: part of it may be missing."]


def _confidence_warnings(brain: np.ndarray, probability: np.ndarray) -> list[str]:
    between = np.count_nonzero((probability > 0.1) & (probability < 0.9))
    certain = np.mean(probability[brain] > 0.95)
    if between <= _MAX_UNCERTAIN * np.count_nonzero(brain) ** (2 / 3) and certain >= _MIN_CERTAIN:
        return []
    return [f"The network is uncertain about the brain's outline: certain in {certain:.0%}, usually above 85 %."]


def _standardise(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Resample a mask to a cube around its centre, scaled by its standard deviation along each axis."""
    points = nib.affines.apply_affine(affine, np.argwhere(mask))
    line = np.linspace(-2.4, 2.4, 24)
    places = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1) * points.std(0) + points.mean(0)
    index = nib.affines.apply_affine(np.linalg.inv(affine), places)
    return ndimage.map_coordinates(mask.astype(np.float32), np.moveaxis(index, -1, 0), order=1) > _INSIDE


@lru_cache(maxsize=1)
def _standardised_template() -> np.ndarray:
    template = nib.as_closest_canonical(load_template()[1])
    return _standardise(np.asarray(template.dataobj) > _INSIDE, template.affine)
