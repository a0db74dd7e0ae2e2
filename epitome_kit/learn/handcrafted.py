"""Handcrafted features: what one would measure of a tumour without learning, the honest rival of the CNN."""

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage import measure
from skimage.feature import graycoprops

from epitome_kit.backend import keras
from epitome_kit.errors import CohortError
from epitome_kit.files import read_tsv, write_tsv
from epitome_kit.images import load_image, spacing_mm
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.channels import read_channels
from epitome_kit.learn.explain import tumour_maps
from epitome_kit.learn.train import fold_model_path
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.shapes import ellipsoid_axes, mesh_volume
from epitome_kit.workspace import Workspace

LEVELS = 16
"""Grey levels that a region is cut into for its entropy and texture."""

LAYER_MM = 5
"""How thick the rim of a region is, and the layer around it; one voxel where voxels are larger."""

_ROWS = ["participant_id", "fold", "role", "label"]
_PERCENTILES = (2, 10, 50, 90, 98)
_TEXTURES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
_DIRECTIONS = [step for step in itertools.product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]


def handcrafted_features(cohort, preprocessed, out):
    """Describe every subject, for every fold, where the network of that fold sees the tumour.

    No manual mask is used: the region of a subject under test is found by a
    network that never saw the subject. Finished work is kept as long as the
    networks and the scans stay the same.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    out : path
        Workspace of :func:`epitome_kit.learn_features`, which has to come
        first; ``handcrafted.tsv`` is written there.

    Returns
    -------
    DataFrame
        The rows of ``features.tsv``, with its columns ``participant_id``,
        ``fold``, ``role`` and ``label``, then what :func:`describe_region`
        says.

    Raises
    ------
    CohortError
        No CNN has been trained in this workspace, or nothing preprocessed.
    """
    out, preprocessed = Path(out), Path(preprocessed)
    if not (Workspace(out).features).is_file():
        raise CohortError(
            "handcrafted_features",
            "the networks that find the tumours",
            f"no features.tsv in {out}",
            "call `learn_features`, or run notebook 03, first",
        )
    rows = read_tsv(Workspace(out).features)[_ROWS]
    networks = {fold: fold_model_path(out, fold - 1) for fold in sorted(rows["fold"].unique())}
    records = sorted(preprocessed.glob("sub-*/anat/[!.]*_quality.json"))
    inputs = checksums(Workspace(out).features, *networks.values(), *records)
    record = Record(Workspace(out).cnn_folds / "handcrafted.json", {}, inputs, [Workspace(out).handcrafted])
    if record.valid():
        return read_tsv(Workspace(out).handcrafted)

    report_again("handcrafted_features", [record.difference()])
    channels = read_channels(keras.saving.load_model(next(iter(networks.values())), compile=False))
    arrays = load_arrays(cohort, preprocessed, channels)
    grid = load_image(Preprocessed(preprocessed, arrays.ids[0]).mask("desc-brain"), check_voxels=False)
    describe = partial(_describe_fold, networks=networks, arrays=arrays, spacing_mm=spacing_mm(grid))
    described = pd.concat(for_each(describe, networks, title="Measuring the tumours"), ignore_index=True)
    features = rows.merge(described, on=["participant_id", "fold"], validate="one_to_one")
    write_tsv(Workspace(out).handcrafted, features)
    record.finish()
    return features


def merge_features(cnn, handcrafted):
    """Put the features of the CNN and the handcrafted ones side by side.

    Parameters
    ----------
    cnn, handcrafted : DataFrame
        From :func:`epitome_kit.learn_features` and :func:`handcrafted_features`
        of one workspace: one row a subject and fold.

    Returns
    -------
    DataFrame
        One row a subject and fold, in the order of `cnn`.

    Raises
    ------
    CohortError
        The two do not speak of the same subjects, folds and roles.
    """
    keys = ["participant_id", "fold", "role"]
    if set(cnn[keys].itertuples(index=False)) != set(handcrafted[keys].itertuples(index=False)):
        raise CohortError(
            "merge_features",
            "two tables of the same subjects, folds and roles",
            f"{len(cnn)} rows of the CNN and {len(handcrafted)} handcrafted ones",
            "make both in one workspace, the CNN first",
        )
    merged = cnn.merge(handcrafted.drop(columns="label"), on=keys, validate="one_to_one")
    return merged.copy()  # in one piece: pandas warns of a table in a hundred


def find_region(probability, brain):
    """Cut the tumour out of a map: the largest piece that is more likely tumour than not.

    Parameters
    ----------
    probability : ndarray, shape (i, j, k)
        From :func:`epitome_kit.learn.explain.tumour_map`.
    brain : ndarray of bool, shape (i, j, k)

    Returns
    -------
    ndarray of bool, shape (i, j, k)
        Where no voxel is likely: the most probable 0.5 % of the brain.
    """
    likely = (probability > 0.5) & brain
    if not likely.any():
        return brain & (probability >= np.quantile(probability[brain], 0.995))
    pieces, _ = ndimage.label(likely)
    return pieces == np.bincount(pieces[likely]).argmax()


def describe_region(scans, mask, spacing_mm, contrasts):
    """Measure brightness, border, texture, shape and place of a region.

    Everything is the same for the mirror image of a head. Brightness
    (``first_``) and border are in standard deviations of the brain. Entropy and
    texture look at 16 grey levels between the 2nd and 98th percentile of the
    region, so they do not depend on its brightness; the texture is that of the
    co-occurrence of all neighbours in 13 directions of space.

    Parameters
    ----------
    scans : ndarray, shape (i, j, k, contrasts)
        On the template grid, whose first axis runs from left to right, second
        to the front, third upwards, with the midline in the middle; 0 outside
        the brain.
    mask : ndarray, shape (i, j, k)
        The region. All numbers of an empty one are 0.
    spacing_mm : float or (float, float, float)
        Voxel size.
    contrasts : sequence of str
        Names of the channels.

    Returns
    -------
    dict of str to float
        Such as ``first_T1ce_mean``, ``border_T1ce_sharpness``,
        ``texture_T2w_contrast``, ``shape_sphericity``, ``position_lateral_mm``.

    References
    ----------
    Haralick et al., IEEE Trans Syst Man Cybern 1973, doi:10.1109/TSMC.1973.4309314
    van Griethuysen et al., Cancer Res 2017, doi:10.1158/0008-5472.CAN-17-0339
    """
    mask, steps = np.asarray(mask) > 0, np.broadcast_to(np.asarray(spacing_mm, float), 3)
    if not mask.any():
        somewhere = np.zeros_like(mask)
        somewhere[tuple(n // 2 for n in mask.shape)] = True
        return dict.fromkeys(describe_region(scans, somewhere, spacing_mm, contrasts), 0.0)
    mirrored = scans[::-1][mask & ~mask[::-1] & np.any(scans[::-1], axis=-1)]
    thickness = max(LAYER_MM, steps.max())
    box = _box(mask, np.ceil(thickness / steps).astype(int) + 1)
    near, inside = scans[box], mask[box]
    layers = _layers(inside, np.any(near, axis=-1), steps, thickness)
    found = {**_shape(inside, steps), **_position(mask, steps)}
    for channel, name in enumerate(contrasts):
        values = near[..., channel].astype(float)
        against = mirrored[:, channel].mean() if len(mirrored) else 0.0
        levels = _grey_levels(values, inside)
        found |= {f"first_{name}_{what}": value for what, value in _first_order(values, inside, levels).items()}
        found[f"first_{name}_asymmetry"] = values[inside].mean() - against
        found |= {f"border_{name}_{what}": value for what, value in _border(values, layers, steps).items()}
        found |= {f"texture_{name}_{what}": value for what, value in _texture(levels, inside).items()}
    for (one, first), (other, second) in itertools.combinations(enumerate(contrasts), 2):
        found[f"pair_{first}_{second}_correlation"] = _correlation(near[inside][:, one], near[inside][:, other])
    return {name: float(value) for name, value in found.items()}


def _describe_fold(fold, *, networks, arrays, spacing_mm):
    """Describe all subjects inside the map of one network."""
    model = keras.saving.load_model(networks[fold], compile=False)
    maps = tumour_maps(model, arrays.scans)
    regions = [find_region(heat, np.any(scans, axis=-1)) for heat, scans in zip(maps, arrays.scans, strict=True)]
    described = [
        describe_region(scans, region, spacing_mm, arrays.contrasts)
        for scans, region in zip(arrays.scans, regions, strict=True)
    ]
    return pd.DataFrame(described).assign(participant_id=arrays.ids, fold=fold)


def _box(mask, margin):
    """Slices that hold a mask and a margin of voxels."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(slice(max(0, side.start - width), side.stop + width) for side, width in zip(box, margin, strict=True))


def _layers(inside, brain, steps, thickness):
    """Core, rim and surroundings of a region; a small one is all rim, and its own core."""
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), steps)[1:-1, 1:-1, 1:-1]
    away = ndimage.distance_transform_edt(~inside, steps)
    core, rim = depth > thickness, inside & (depth <= thickness)
    return core if core.any() else inside, rim, brain & ~inside & (away <= thickness)


def _grey_levels(values, inside):
    """Cut the grey values into levels, from 0 to one less than :data:`LEVELS`."""
    low, high = np.percentile(values[inside], (2, 98))
    return np.clip((values - low) / max(high - low, 1e-6) * LEVELS, 0, LEVELS - 1).astype(int)


def _first_order(values, inside, levels):
    grey = values[inside]
    centred = grey - grey.mean()
    scaled = centred / max(grey.std(), 1e-6)
    percentiles = {
        f"p{number:02d}": value for number, value in zip(_PERCENTILES, np.percentile(grey, _PERCENTILES), strict=True)
    }
    return {
        "mean": grey.mean(),
        "sd": grey.std(),
        "skewness": (scaled**3).mean(),
        "kurtosis": (scaled**4).mean(),
        **percentiles,
        "entropy": measure.shannon_entropy(levels[inside]),
    }


def _border(values, layers, steps):
    core, rim, around = layers
    slope = np.sqrt(sum(part**2 for part in np.gradient(values, *steps)))
    return {
        "core": values[core].mean(),
        "rim": values[rim].mean(),
        "around": values[around].mean() if around.any() else 0.0,
        "sharpness": slope[rim].mean(),
    }


def _texture(levels, inside):
    """Properties of the co-occurrence of neighbouring grey levels, all directions together."""
    counts = np.zeros(LEVELS * LEVELS)
    for step in _DIRECTIONS:
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(step, inside.shape, strict=True))
        there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(step, inside.shape, strict=True))
        both = inside[here] & inside[there]
        counts += np.bincount(levels[here][both] * LEVELS + levels[there][both], minlength=len(counts))
    matrix = counts.reshape(LEVELS, LEVELS)
    matrix = (matrix + matrix.T)[..., None, None]
    return {name: graycoprops(matrix, name)[0, 0] for name in _TEXTURES}


def _shape(inside, steps):
    """Size and form, from the voxels and from a mesh around them."""
    vertices, faces, _, _ = measure.marching_cubes(np.pad(inside, 1).astype(np.float32), 0.5, spacing=tuple(steps))
    volume = mesh_volume(vertices, faces)
    surface = measure.mesh_surface_area(vertices, faces)
    hull = ConvexHull(vertices)
    short, middle, long = _axes(inside, steps)
    return {
        "shape_volume_ml": inside.sum() * steps.prod() / 1000,
        "shape_surface_cm2": surface / 100,
        "shape_surface_to_volume": surface / volume,
        "shape_sphericity": np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface,
        "shape_solidity": volume / hull.volume,
        "shape_extent": inside.sum() / np.prod(np.ptp(np.argwhere(inside), axis=0) + 1),
        "shape_longest_mm": pdist(vertices[hull.vertices]).max(),
        "shape_long_axis_mm": long,
        "shape_middle_axis_mm": middle,
        "shape_short_axis_mm": short,
        "shape_elongation": middle / long,
        "shape_flatness": short / long,
    }


def _axes(inside, steps):
    """Axes of the solid ellipsoid with the same second moments, shortest first, in mm."""
    places = np.argwhere(inside) * steps
    spread = np.cov(places.T, bias=True) if len(places) > 1 else np.zeros((3, 3))
    return ellipsoid_axes(spread + np.diag(steps**2 / 12), convention="solid")


def _position(mask, steps):
    """Where the middle of the region is, and how much of it lies beyond the midline."""
    middle = (np.array(mask.shape) - 1) / 2
    places = (np.argwhere(mask) - middle) * steps
    lateral, anterior, superior = places.mean(axis=0)
    left = (places[:, 0] < 0).mean() + (places[:, 0] == 0).mean() / 2
    return {
        "position_lateral_mm": abs(lateral),
        "position_anterior_mm": anterior,
        "position_superior_mm": superior,
        "position_across": min(left, 1 - left),
    }


def _correlation(one, other):
    spreads = one.std() * other.std()
    return ((one - one.mean()) * (other - other.mean())).mean() / spreads if spreads > 1e-6 else 0.0
