"""Heads that are cut, spoiled, turned or none at all, made from a whole one whose brain is known."""

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from epitome_kit.images import mark_voxel_size_unknown, resample, voxel_size_known
from epitome_kit.simulate.random_head import smooth_noise


def spoil(kind, image, brain, seed=0):
    """Spoil a head in one of the ways of :data:`KINDS`.

    Parameters
    ----------
    kind : str
    image : Nifti1Image
        A whole head, any orientation.
    brain : Nifti1Image
        Its brain, on the same grid.
    seed : int, default=0

    Returns
    -------
    image, brain : Nifti1Image
        In RAS order; what is left of the brain, empty where there is no head.
    """
    image, brain = nib.as_closest_canonical(image), nib.as_closest_canonical(brain)
    data, inside = np.array(image.dataobj, np.float32), np.asarray(brain.dataobj) > 0
    data, affine, inside = KINDS[kind](data, image.affine.copy(), inside, np.random.default_rng(seed))
    spoiled = nib.Nifti1Image(data.astype(np.float32), affine)
    if not voxel_size_known(image):
        spoiled = mark_voxel_size_unknown(spoiled)
    return spoiled, nib.Nifti1Image(inside.astype(np.uint8), affine)


def _crop(data, affine, inside, low, high):
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    affine = affine.copy()
    affine[:3, 3] = nib.affines.apply_affine(affine, low)
    return data[box].copy(), affine, inside[box].copy()


def _extent(inside):
    found = np.argwhere(inside)
    return found.min(0), found.max(0) + 1


def part(axis, start, end):
    """Keep the field of view between two parts of the brain's extent along an axis; None: as far as it goes."""

    def keep(data, affine, inside, rng):
        low, high = np.zeros(3, int), np.array(data.shape)
        first, last = (edge[axis] for edge in _extent(inside))
        low[axis] = low[axis] if start is None else round(first + start * (last - first))
        high[axis] = high[axis] if end is None else round(first + end * (last - first))
        return _crop(data, affine, inside, low, high)

    return keep


def _emptied(value):
    """Empty one half, but keep its voxels."""

    def empty(data, affine, inside, rng):
        axis = rng.integers(3)
        low, high = _extent(inside)
        at, gone = (low[axis] + high[axis]) // 2, [slice(None)] * 3
        gone[axis] = slice(at, None) if rng.random() < 0.5 else slice(0, at)
        data[tuple(gone)], inside[tuple(gone)] = value(data, rng, data[tuple(gone)].shape), False
        return data, affine, inside

    return empty


def _oblique(data, affine, inside, rng):
    """Nothing beyond a plane that passes near the middle of the brain."""
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(data.shape), 0, -1))
    normal = rng.normal(size=3)
    height = points @ (normal / np.linalg.norm(normal))
    gone = height > np.quantile(height[inside], rng.uniform(0.4, 0.7))
    return np.where(gone, 0, data), affine, inside & ~gone


def _missing_slices(data, affine, inside, rng):
    """A third of the axial slices, side by side, are blank."""
    low, high = _extent(inside)
    at = int(low[2] + rng.uniform(0.2, 0.5) * (high[2] - low[2]))
    gone = slice(at, at + max(1, (high[2] - low[2]) // 3))
    data[:, :, gone], inside[:, :, gone] = 0, False
    return data, affine, inside


def _stripped(data, affine, inside, rng):
    return np.where(inside, data, 0), affine, inside


def _cut_after_stripping(data, affine, inside, rng):
    data = np.where(inside, data, 0)
    axis, side = rng.integers(3), rng.random() < 0.5
    return (
        part(axis, None, 0.55)(data, affine, inside, rng) if side else part(axis, 0.45, None)(data, affine, inside, rng)
    )


def _bright(data):
    return float(np.percentile(data, 99))


def _hot(count, value):
    def heat(data, affine, inside, rng):
        places = np.argwhere(inside)
        data[tuple(places[rng.choice(len(places), count)].T)] = value
        return data, affine, inside

    return heat


def _hot_line(data, affine, inside, rng):
    i, j, _ = np.argwhere(inside).mean(0).astype(int)
    data[i, j] = 50 * _bright(data)
    return data, affine, inside


def _hot_cube(data, affine, inside, rng):
    i, j, k = np.argwhere(inside)[rng.integers(np.count_nonzero(inside))]
    data[i : i + 4, j : j + 4, k : k + 2] = 1000 * _bright(data)
    return data, affine, inside


def _hot_slice(data, affine, inside, rng):
    data[:, :, int(np.argwhere(inside).mean(0)[2])] *= 100
    return data, affine, inside


def _zipper(data, affine, inside, rng):
    j = int(np.argwhere(inside).mean(0)[1])
    data[:, j : j + 2] = rng.uniform(0, 3 * _bright(data), data[:, j : j + 2].shape)
    return data, affine, inside


def _noise(level):
    """Rician noise of a share of the brightness of the brain."""

    def add(data, affine, inside, rng):
        sd = level * float(np.median(data[inside]))
        real, imaginary = rng.standard_normal((2, *data.shape), dtype=np.float32) * np.float32(sd)
        return np.hypot(data + real, imaginary), affine, inside

    return add


def _salt(data, affine, inside, rng):
    chosen = rng.random(data.shape)
    return np.where(chosen < 0.05, 0, np.where(chosen > 0.95, 2 * _bright(data), data)), affine, inside


def _saturated(data, affine, inside, rng):
    return np.minimum(data, np.quantile(data[inside], 0.15)), affine, inside


def _inverted(data, affine, inside, rng):
    return _bright(data) - np.minimum(data, _bright(data)), affine, inside


def _overflow(data, affine, inside, rng):
    """What is brighter than half of the brain turns negative, as where 16 bits were too few."""
    limit = np.median(data[inside])
    return np.where(data > limit, data - 2 * limit, data), affine, inside


def _folded(data, affine, inside, rng):
    """The head is folded over: it leaves at one side and comes in at the other."""
    axis = rng.integers(3)
    low, high = _extent(inside)
    by = int(data.shape[axis] - (low[axis] + high[axis]) / 2)
    return np.roll(data, by, axis), affine, np.roll(inside, by, axis)


def _ghosts(data, affine, inside, rng):
    axis = rng.integers(2)
    copies = sum(np.roll(data, share * data.shape[axis] // 6, axis) for share in (1, 3, 5))
    return data + 0.6 * copies, affine, inside


def _stripes(data, affine, inside, rng):
    """One wrong point of k-space."""
    waves = rng.uniform(0.05, 0.3, 3).reshape(3, 1, 1, 1) * np.indices(data.shape)
    return data + _bright(data) * (1 + np.cos(2 * np.pi * waves.sum(0))), affine, inside


def _motion(data, affine, inside, rng):
    """Lines of k-space from five places of the head."""
    lines = np.sort(rng.integers(0, data.shape[1], 4))
    space = np.fft.fft(data, axis=1)
    frequency = np.fft.fftfreq(data.shape[1])
    for number, piece in enumerate(np.split(np.arange(data.shape[1]), lines)):
        voxels = rng.uniform(-16, 16) if number else 0  # the middle of k-space comes first: the head stays in place
        space[:, piece] *= np.exp(-2j * np.pi * frequency[piece] * voxels)[:, None]
    return np.abs(np.fft.ifft(space, axis=1)), affine, inside


def _bias(data, affine, inside, rng):
    return data * np.exp(1.2 * smooth_noise(data.shape, max(data.shape) / 3, rng)), affine, inside


def _blurred(data, affine, inside, rng):
    return ndimage.gaussian_filter(data, 8 / nib.affines.voxel_sizes(affine)), affine, inside


def _shuffled(data, affine, inside, rng):
    order = rng.permutation(data.shape[2])
    return data[:, :, order], affine, inside[:, :, order]


def _shifted(data, affine, inside, rng):
    return data - 1024, affine, inside


def _noisy_air(data, affine, inside, rng):
    """Noise in the air as in MP2RAGE."""
    air = data < 0.1 * _bright(data)
    return np.where(air, rng.uniform(0, _bright(data), data.shape), data), affine, inside


def _order(*axes):
    """Exchange axes, which the header does not tell."""

    def exchange(data, affine, inside, rng):
        sizes = nib.affines.voxel_sizes(affine)[list(axes)]
        return data.transpose(axes), np.diag([*sizes, 1]), inside.transpose(axes)

    return exchange


def _flip(*axes):
    """Turn axes round, which the header does not tell."""

    def turn(data, affine, inside, rng):
        return np.flip(data, axes), affine, np.flip(inside, axes)

    return turn


def _sized(*factors):
    """Sides of the voxels that are wrong by a factor."""

    def size(data, affine, inside, rng):
        return data, affine @ np.diag([*factors, 1]), inside

    return size


def _turned_rightly(data, affine, inside, rng):
    """Axes exchanged and turned round, as the header tells."""
    image = nib.Nifti1Image(data, affine)
    ornt = np.column_stack([(2, 0, 1), (-1, 1, -1)])
    turned = image.as_reoriented(ornt)
    return (
        turned.get_fdata(),
        turned.affine,
        nib.Nifti1Image(inside.astype(np.uint8), affine).as_reoriented(ornt).get_fdata() > 0,
    )


def _scores(data, affine, inside, rng):
    """A stripped brain in standard scores: the air is 0, half of the brain darker."""
    middle, spread = data[inside].mean(), data[inside].std()
    return np.where(inside, (data - middle) / spread, 0), affine, inside


def _defaced(data, affine, inside, rng):
    """No face: in front of and below the middle, all that is 12 mm away from the brain."""
    near = ndimage.distance_transform_edt(~inside, nib.affines.voxel_sizes(affine)) < 12
    place = np.indices(data.shape)
    _, j, k = np.argwhere(inside).mean(0)
    return np.where((place[1] > j) & (place[2] < k) & ~near, 0, data), affine, inside


def _head_box(data, affine, inside, rng):
    low, high = _extent(data > 0.1 * _bright(data))
    return _crop(data, affine, inside, low, high)


def _brain_box(data, affine, inside, rng):
    low, high = _extent(inside)
    return _crop(data, affine, inside, np.maximum(low - 1, 0), np.minimum(high + 1, data.shape))


def _padded(data, affine, inside, rng):
    affine = affine.copy()
    affine[:3, 3] = nib.affines.apply_affine(affine, (-20, -12, -8))
    wide = ((20, 20), (12, 12), (8, 8))
    return np.pad(data, wide), affine, np.pad(inside, wide)


def _same(data, affine, inside, rng):
    return data, affine, inside


def _octant(data, affine, inside, rng):
    """One eighth of the head."""
    low, high = _extent(inside)
    middle, upper = (low + high) // 2, rng.random(3) < 0.5
    return _crop(data, affine, inside, np.where(upper, middle, 0), np.where(upper, data.shape, middle))


def _every_third_slice_blank(data, affine, inside, rng):
    data[:, :, ::3], inside[:, :, ::3] = 0, False
    return data, affine, inside


def _rolled(data, affine, inside, rng):
    """Turned by 60 degrees about the axis from back to front, which the header does not tell."""
    turn = nib.affines.from_matvec(Rotation.from_euler("y", 60, degrees=True).as_matrix())
    centre = nib.affines.apply_affine(affine, (np.array(data.shape) - 1) / 2)
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    scan, brain = (
        resample(nib.Nifti1Image(part.astype(np.float32), affine), affine, data.shape, transform=turn)
        for part in (data, inside)
    )
    return scan.get_fdata(), affine, brain.get_fdata() > 0.5


def _two_heads(data, affine, inside, rng):
    """Two heads side by side; either brain may be found."""
    return np.concatenate([data, data]), affine, np.concatenate([inside, np.zeros_like(inside)])


def _no_head(draw):
    def make(data, affine, inside, rng):
        return draw(data, affine, inside, rng), affine, np.zeros(data.shape, bool)

    return make


def _distance(data, affine, inside):
    points = nib.affines.apply_affine(affine, np.moveaxis(np.indices(data.shape), 0, -1))
    return points - points.reshape(-1, 3).mean(0)


def _sphere(data, affine, inside, rng):
    return 100.0 * (np.linalg.norm(_distance(data, affine, inside), axis=-1) < 70) + rng.uniform(0, 9, data.shape)


def _cube(data, affine, inside, rng):
    return 100.0 * (np.abs(_distance(data, affine, inside)).max(-1) < 65) + rng.uniform(0, 9, data.shape)


def _cylinder(data, affine, inside, rng):
    """A bottle of water with a wall."""
    away = np.linalg.norm(_distance(data, affine, inside)[..., :2], axis=-1)
    return 100.0 * (away < 60) + 150.0 * ((away > 70) & (away < 80)) + rng.uniform(0, 9, data.shape)


def _checkerboard(data, affine, inside, rng):
    return 100.0 * ((_distance(data, affine, inside) // 24).sum(-1) % 2)


def _only_noise(data, affine, inside, rng):
    return rng.uniform(0, 100, data.shape)


def _clouds(data, affine, inside, rng):
    return smooth_noise(data.shape, 5, rng) + 4


def _binary(data, affine, inside, rng):
    return inside * 1.0


CUT = {
    **{f"{name} {share:.0%}": part(axis, 1 - share, None) for axis, name in ((0, "right"), (1, "front"), (2, "top"))
       for share in (0.35, 0.5, 0.65, 0.8)},
    **{f"{name} {share:.0%}": part(axis, None, share) for axis, name in ((0, "left"), (1, "back"), (2, "bottom"))
       for share in (0.35, 0.5, 0.65, 0.8)},
    **{f"middle of axis {axis}": part(axis, 0.3, 0.7) for axis in range(3)},
    "half of zeros": _emptied(lambda data, rng, shape: 0),
    "half of noise": _emptied(lambda data, rng, shape: rng.uniform(0, 0.05 * _bright(data), shape)),
    "oblique": _oblique,
    "missing slices": _missing_slices,
    "cut after stripping": _cut_after_stripping,
    "folded": _folded,
    **{"eighth": _octant, "every third slice blank": _every_third_slice_blank, "two heads": _two_heads},
}  # fmt: skip
"""Part of the brain is missing, or lies elsewhere."""

SPOILED = {
    **{"hot voxel": _hot(1, 1e6), "cold voxel": _hot(1, -1e6), "twenty hot voxels": _hot(20, 3e4)},
    **{"hot line": _hot_line, "hot cube": _hot_cube, "hot slice": _hot_slice, "zipper": _zipper},
    **{"noise 0.3": _noise(0.3), "noise 0.6": _noise(0.6), "noise 1.2": _noise(1.2), "salt": _salt},
    **{"saturated": _saturated, "inverted": _inverted, "overflow": _overflow, "noisy air": _noisy_air},
    **{"ghosts": _ghosts, "stripes": _stripes, "motion": _motion, "bias": _bias, "blurred": _blurred},
    **{"shuffled slices": _shuffled, "shifted": _shifted},
}
"""All of the brain is there, but not as a scanner should show it."""

TURNED = {
    **{"axes 0 2 1": _order(0, 2, 1), "axes 1 0 2": _order(1, 0, 2), "axes 2 0 1": _order(2, 0, 1)},
    "rolled": _rolled,
    **{"upside down": _flip(1, 2), "mirrored up": _flip(2), "mirrored front": _flip(1), "turned round": _flip(0, 1)},
    **{"sides x 0.75": _sized(0.75, 0.75, 0.75), "sides x 1.35": _sized(1.35, 1.35, 1.35)},
    **{"sides x 2 1 1": _sized(2, 1, 1), "sides x 1 2 1": _sized(1, 2, 1), "sides x 1 1 2": _sized(1, 1, 2)},
    **{"sides x 1 1 0.5": _sized(1, 1, 0.5), "sides x 0.1": _sized(0.1, 0.1, 0.1), "sides x 10": _sized(10, 10, 10)},
}
"""The header is wrong."""

NO_HEAD = {
    name: _no_head(draw)
    for name, draw in {
        **{"sphere": _sphere, "cube": _cube, "bottle": _cylinder, "checkerboard": _checkerboard},
        **{"only noise": _only_noise, "clouds": _clouds, "binary": _binary},
    }.items()
}
"""Anything else."""

FINE = {
    **{"whole": _same, "stripped": _stripped, "scores": _scores, "defaced": _defaced, "padded": _padded},
    **{"box of the head": _head_box, "box of the brain": _brain_box, "turned, and said so": _turned_rightly},
}
"""What is right as it is."""

KINDS = {**CUT, **SPOILED, **TURNED, **NO_HEAD, **FINE}
"""All of them."""
