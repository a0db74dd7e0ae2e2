"""Alarms of preprocessing: what makes it doubtful that a mask is a whole brain, the right way round."""

from functools import lru_cache

import nibabel as nib
import numpy as np
from scipy import ndimage

from epitome_kit.images import GRID_MM, resample, voxel_size_known
from epitome_kit.metrics import dice
from epitome_kit.preprocess.head import coarse_scan, find_head, largest_piece
from epitome_kit.preprocess.registration import load_template

_INSIDE = 0.5
_LARGEST_BARE_BRAIN, _DARK = 1.4, 0.15
_TOUCHES, _FLAT_AT_EDGE, _FLAT_ANYWHERE, _NEAR_EDGE = 0.2, 0.38, 0.45, 2
_BRAIN_ML = (900, 2200)
_SHORTEST, _LONGEST = 0.98, (1.65, 1.95)
_TURNED = -0.02
_UNSURE, _CERTAIN = 8.0, 0.8
_SECOND_PIECE, _RAGGED, _EVEN, _EMPTY_BESIDE = 0.03, 10.3, 0.025, 0.15
_CONSTANT, _DIM, _MOST_DIM = 1e-3, 0.3, 2
_FULL = 0.8
_COVERED, _TEMPLATE_DICE = 0.9, 0.8
_SIDES = (("left", "right"), ("back", "front"), ("bottom", "top"))
_MIRRORED = {(1,): "front and back", (2,): "top and bottom", (1, 2): "front and back, top and bottom"}


def doubts(image, mask, small=None, probability=None):
    """List what speaks against a brain mask.

    The thresholds lie outside of what 58 whole heads of people (51 clinical FLAIR
    scans, a clinical exam of four contrasts, three others) and 56 simulated heads
    show, and were set on them and on heads that were cut, spoiled and turned on
    purpose. A whole head of another kind may raise an alarm; a mask without one
    need not be right.

    Parameters
    ----------
    image : Nifti1Image
        Scan, any orientation.
    mask : Nifti1Image
        Brain mask on its grid.
    small : Nifti1Image, default=None
        The scan at 4 mm in RAS order, from 0 to 1; None: it is made here.
    probability : ndarray, default=None
        Of brain, by a network, on the grid of `small`; None: there was no network.

    Returns
    -------
    list of str
        A sentence each.
    """
    certain = probability is not None
    if not certain:
        small = coarse_scan(image)
        probability = np.asarray(resample(mask, small.affine, small.shape).dataobj)
    brain = largest_piece(probability > _INSIDE)
    if not brain.any():
        return ["What was taken for the brain is smaller than a voxel of 4 mm."]
    seen = _field_of_view(image, small)
    data, bare = np.asarray(small.dataobj), was_stripped(small, probability)
    blank = _has_constant_slices(image, mask) or (not bare and _has_dark_slices(brain, data, seen))
    cut = _cut(brain, data, seen, _touched(mask))
    cut += ["Some slices through the brain are blank or nearly so."] if blank else []
    said = [
        *cut,
        *_wrong_size(image, mask, brain, small.affine),
        *([] if cut else _turned(brain, small, seen)),  # half a brain is like none that is mirrored
        *_unlike_a_brain(brain, probability, data),
        *([] if bare else _empty_beside(brain, data, seen)),
    ]
    return said + _unsure(brain, probability) if certain else said


def was_stripped(small, probability):
    """Tell a scan that holds a brain and nothing around it.

    A head has about twice the volume of its brain, less where it is cut: so the
    space 8 to 12 mm outside the brain must be dark as well.

    Parameters
    ----------
    small : Nifti1Image
        The scan at 4 mm, from 0 to 1.
    probability : ndarray
        Of brain, on its grid.

    Returns
    -------
    bool
    """
    data, inside = np.asarray(small.dataobj), probability > _INSIDE
    if np.count_nonzero(_head(small)) >= _LARGEST_BARE_BRAIN * np.count_nonzero(inside):
        return False
    brain = largest_piece(inside)
    around = data[_shell(brain, 2)]
    return not around.size or around.mean() < _DARK * data[brain].mean()


def outliers(count):
    """Say that voxels were cut off by :func:`epitome_kit.preprocess.head.cut_outliers`.

    Parameters
    ----------
    count : int

    Returns
    -------
    list of str
        Empty for none.
    """
    voxels, were = ("1 voxel lies", "was") if count == 1 else (f"{count} voxels lie", "were")
    return [f"{voxels} far away from all other values and {were} cut off."] if count else []


def uncovered(scans, brain):
    """Say which scans do not show the whole brain.

    Parameters
    ----------
    scans : dict of str to (Nifti1Image, ndarray)
        By contrast: the scan, and the transform from its mm to template mm.
    brain : Nifti1Image
        Brain mask on the template grid.

    Returns
    -------
    list of str
    """
    inside, said = np.asarray(brain.dataobj) > 0, []
    for name, (scan, to_template) in scans.items():
        ones = nib.Nifti1Image(np.ones(scan.shape, np.float32), scan.affine)
        shown = np.asarray(resample(ones, brain.affine, brain.shape, transform=to_template).dataobj)[inside] > _INSIDE
        if inside.any() and shown.mean() < _COVERED:
            said.append(f"{name}: the scan shows {shown.mean():.0%} of the brain only.")
    return said


def unlike_template(overlap):
    """Say that a brain fits the brain of the template poorly, once it was registered.

    Parameters
    ----------
    overlap : float or None
        Dice of the two masks.

    Returns
    -------
    list of str
    """
    if overlap is None or overlap >= _TEMPLATE_DICE:
        return []
    return [f"The brain fits that of the template poorly (Dice {overlap:.2f}, usually above 0.9)."]


def _head(small):
    return np.asarray(find_head(small).dataobj) > 0


def _shell(brain, distance):
    """Voxels that are further from the brain than so many voxels, by one at most."""
    away = ndimage.distance_transform_edt(~brain)
    return (away > distance) & (away <= distance + 1)


def _field_of_view(image, small):
    """Voxels of the coarse grid that lie within the scan."""
    ones = nib.Nifti1Image(np.ones(image.shape, np.float32), image.affine)
    return np.asarray(resample(ones, small.affine, small.shape, order=0).dataobj) > _INSIDE


def _touched(mask):
    """Area of the mask on each face of the scan, as a share of its largest section, by RAS side."""
    inside = np.asarray(nib.as_closest_canonical(mask).dataobj) > 0
    areas = [inside.sum(tuple({0, 1, 2} - {axis})) for axis in range(3)]
    return np.array([(area[0], area[-1]) for area in areas]) / np.array([[area.max()] for area in areas])


def _cut(brain, data, seen, touched):
    """Brain that ends at the edge of the scan, or flat: on each of the six sides."""
    said = []
    for axis, names in enumerate(_SIDES):
        area = brain.sum(tuple({0, 1, 2} - {axis}))
        filled, edges = np.flatnonzero(area), _edges(data, seen, axis)
        for side, (end, last) in enumerate(((filled[0], area[filled[:2]]), (filled[-1], area[filled[-2:]]))):
            flat = last.max() / area.max()
            near = abs(end - edges[side]) <= _NEAR_EDGE
            if touched[axis, side] > _TOUCHES or (near and flat > _FLAT_AT_EDGE):
                said.append(f"The brain reaches the {names[side]} edge of the scan: part of it may lie outside.")
            elif flat > _FLAT_ANYWHERE:
                said.append(f"The brain ends in a straight cut at its {names[side]}.")
    return said


def _has_constant_slices(image, mask):
    """Tell whether slices through the brain hold one value, across any axis of the scan."""
    scan, inside = np.asarray(image.dataobj), np.asarray(mask.dataobj) > 0
    for axis in range(3):
        across = tuple({0, 1, 2} - {axis})
        flat = scan.min(across) == scan.max(across)
        first, last = np.flatnonzero(~flat)[[0, -1]]
        if (flat & inside.any(across))[first:last].any():
            return True
    return False


def _has_dark_slices(brain, data, seen):
    """Tell whether 12 mm or more of slices through the brain are far darker than the brain, across any axis."""
    for axis in range(3):
        through = np.flatnonzero(brain.any(tuple({0, 1, 2} - {axis})))
        slices = [np.take(data, i, axis)[np.take(seen, i, axis)] for i in through]
        dark = [np.percentile(part, 98) < _DIM * data[brain].mean() for part in slices if part.size]
        if sum(dark) > _MOST_DIM:
            return True
    return False


def _edges(data, seen, axis):
    """First and last slice that hold more than one value."""
    slices = zip(np.moveaxis(data, axis, 0), np.moveaxis(seen, axis, 0), strict=True)
    return np.flatnonzero([shown.any() and np.ptp(part[shown]) > _CONSTANT for part, shown in slices])[[0, -1]]


def _wrong_size(image, mask, brain, affine):
    """Volume and sides, where voxels have a size."""
    if not voxel_size_known(image):
        return []
    said = []
    volume_ml = np.count_nonzero(mask.dataobj) * abs(np.linalg.det(mask.affine[:3, :3])) / 1000
    if not _BRAIN_ML[0] < volume_ml < _BRAIN_ML[1]:
        said.append(
            f"What was taken for the brain has {volume_ml:.0f} mL; brains of adults have 900 to 1900 mL. Look at it."
        )
    wide, long, high = nib.affines.apply_affine(affine, np.argwhere(brain)).std(0)
    if long < _SHORTEST * max(wide, high) or long > _LONGEST[0] * wide or long > _LONGEST[1] * high:
        sides = np.ptp(np.argwhere(brain), axis=0) * GRID_MM + GRID_MM
        said.append(
            "The brain is {:.0f} mm wide, {:.0f} mm long and {:.0f} mm high: part of it may be missing, axes may be"
            " exchanged, or a voxel size wrong.".format(*sides)
        )
    return said


def _turned(brain, small, seen):
    """Compare with the template's brain, and with that mirrored; a face is in front of and below a brain."""
    head = _head(small)
    middle = np.argwhere(brain).mean(0)
    away = np.zeros(3)
    if np.count_nonzero(head & seen) < _FULL * np.count_nonzero(seen):
        away = (middle - np.argwhere(head).mean(0)) / (np.ptp(np.argwhere(brain), axis=0) + 1)
    shape, template = _on_own_axes(brain, np.eye(4)), _template_on_own_axes()
    right = dice(shape, template)
    signs = {1: away[1], 2: -away[2]}
    found = {
        axes: dice(shape, np.flip(template, axes)) - right + sum(signs[axis] for axis in axes) for axes in _MIRRORED
    }
    best = max(found, key=found.get)
    if found[best] <= _TURNED:
        return []
    return [f"The head looks turned or mirrored: {_MIRRORED[best]} may be exchanged in the header."]


def _unlike_a_brain(brain, probability, data):
    said = []
    pieces = np.sort(np.bincount(ndimage.label(probability > _INSIDE)[0].ravel())[1:])
    if len(pieces) > 1 and pieces[-2] > _SECOND_PIECE * pieces[-1]:
        said.append("What looks like brain lies in several pieces; the largest was kept.")
    surface = sum(np.count_nonzero(np.diff(brain.astype(np.int8), axis=axis)) for axis in range(3))
    if surface > _RAGGED * np.count_nonzero(brain) ** (2 / 3):
        said.append("The outline of the brain is ragged.")
    core = data[ndimage.binary_erosion(brain, iterations=2)]
    if not core.size or core.std() < _EVEN * max(core.mean(), 1e-6):
        said.append("There is hardly any structure inside what was taken for the brain.")
    return said


def _empty_beside(brain, data, seen):
    beside = data[_shell(brain, 1) & seen]
    if not beside.size or np.mean(beside <= _CONSTANT) <= _EMPTY_BESIDE:
        return []
    return ["Beside the brain, where its skull should be, the scan is empty: part of it may be missing."]


def _unsure(brain, probability):
    between = np.count_nonzero((probability > 0.1) & (probability < 0.9))
    certain = np.mean(probability[brain] > 0.95)
    if between <= _UNSURE * np.count_nonzero(brain) ** (2 / 3) and certain >= _CERTAIN:
        return []
    return [f"The network is unsure where the brain ends: certain in {certain:.0%} of it, usually above 85 %."]


def _on_own_axes(mask, affine):
    """Resample a mask on a cube around its middle, scaled by its standard deviation along each axis."""
    points = nib.affines.apply_affine(affine, np.argwhere(mask))
    line = np.linspace(-2.4, 2.4, 24)
    places = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1) * points.std(0) + points.mean(0)
    index = nib.affines.apply_affine(np.linalg.inv(affine), places)
    return ndimage.map_coordinates(mask.astype(np.float32), np.moveaxis(index, -1, 0), order=1) > _INSIDE


@lru_cache(maxsize=1)
def _template_on_own_axes():
    template = nib.as_closest_canonical(load_template()[1])
    return _on_own_axes(np.asarray(template.dataobj) > _INSIDE, template.affine)
