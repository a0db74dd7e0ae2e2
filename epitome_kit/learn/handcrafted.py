"""Handcrafted features of the tumour, the baseline of the CNN: intensity, border, texture, shape and position."""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from skimage import measure
from skimage.feature import graycoprops

from epitome_kit.backend import load_model
from epitome_kit.cohort import Cohort
from epitome_kit.errors import CohortError
from epitome_kit.files import PathLike, read_tsv, write_tsv
from epitome_kit.images import load_image, spacing_mm
from epitome_kit.learn.arrays import Arrays, load_arrays
from epitome_kit.learn.channels import read_channels
from epitome_kit.learn.explain import tumour_maps
from epitome_kit.learn.train import fold_model_path
from epitome_kit.lock import locks
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.derivative import quality_records
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.shapes import ellipsoid_axes, mesh_volume
from epitome_kit.workspace import Workspace

LEVELS = 16
"""Number of grey levels for entropy and texture."""

LAYER_MM = 5
"""Thickness of the rim of a region and of the layer around it; one voxel where voxels are larger."""

_ROWS = ["participant_id", "fold", "role", "label"]
_PERCENTILES = (2, 10, 50, 90, 98)
_TEXTURES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
_DIRECTIONS = [step for step in itertools.product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]


@locks("learn")
def handcrafted_features(cohort: Cohort, preprocessed: PathLike, out: PathLike) -> pd.DataFrame:
    """Measure the tumour of every subject, for every fold, in the region that the network of that fold finds.

    No manual mask is used: the region of a test subject is found by a network that
    was not trained on it. The result is kept as long as networks and scans stay the
    same.

    Parameters
    ----------
    cohort : Cohort
        Cohort of the networks.
    preprocessed : path
        Output folder of :func:`epitome_kit.preprocess_cohort`.
    out : path
        Workspace of :func:`epitome_kit.learn_features`, which has to be called
        first; ``handcrafted.tsv`` is written there.

    Returns
    -------
    DataFrame
        Rows of ``features.tsv``, with its columns ``participant_id``, ``fold``,
        ``role`` and ``label``, and the features of :func:`describe_region`.

    Raises
    ------
    CohortError
        The workspace has no trained CNN, or no subject has been preprocessed.
    """
    out, preprocessed = Path(out), Path(preprocessed)
    if not (Workspace(out).features).is_file():
        raise CohortError(
            "handcrafted_features",
            "a workspace with trained networks",
            f"no features.tsv in {out}",
            "call `learn_features`, or run notebook 03, first",
        )
    rows = read_tsv(Workspace(out).features)[_ROWS]
    networks = {fold: fold_model_path(out, fold - 1) for fold in sorted(rows["fold"].unique())}
    inputs = checksums(Workspace(out).features, *networks.values(), *quality_records(preprocessed))
    settings = {"unit of sizes": "brain"}  # earlier versions: mm of the template
    record = Record(Workspace(out).cnn_folds / "handcrafted.json", settings, inputs, [Workspace(out).handcrafted])
    if record.valid():
        return read_tsv(Workspace(out).handcrafted)

    report_again("handcrafted_features", [record.difference()])
    channels = read_channels(load_model(next(iter(networks.values())), where="handcrafted_features"))
    arrays = load_arrays(cohort, preprocessed, channels)
    grid = load_image(Preprocessed(preprocessed, arrays.ids[0]).mask("desc-brain"), check_voxels=False)
    describe = partial(_describe_fold, networks=networks, arrays=arrays, spacing_mm=spacing_mm(grid))
    described = pd.concat(for_each(describe, networks, title="Measuring the tumours"), ignore_index=True)
    features = rows.merge(described, on=["participant_id", "fold"], validate="one_to_one")
    write_tsv(Workspace(out).handcrafted, features)
    record.finish()
    return features


def merge_features(cnn: pd.DataFrame, handcrafted: pd.DataFrame) -> pd.DataFrame:
    """Merge the features of the CNN with the handcrafted ones.

    Parameters
    ----------
    cnn, handcrafted : DataFrame
        From :func:`epitome_kit.learn_features` and :func:`handcrafted_features`
        of one workspace, with one row per subject and fold.

    Returns
    -------
    DataFrame
        One row per subject and fold, in the order of `cnn`.

    Raises
    ------
    CohortError
        The tables differ in subjects, folds or roles.
    """
    keys = ["participant_id", "fold", "role"]
    if set(cnn[keys].itertuples(index=False)) != set(handcrafted[keys].itertuples(index=False)):
        raise CohortError(
            "merge_features",
            "two tables of the same subjects, folds and roles",
            f"{len(cnn)} rows of the CNN and {len(handcrafted)} handcrafted ones",
            "compute both in one workspace, the CNN first",
        )
    merged = cnn.merge(handcrafted.drop(columns="label"), on=keys, validate="one_to_one")
    return merged.copy()  # defragmented, to avoid a warning of pandas


def find_region(probability: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Threshold a tumour map at 0.5 and keep the largest connected component.

    Parameters
    ----------
    probability : ndarray, shape (i, j, k)
        From :func:`epitome_kit.learn.explain.tumour_map`.
    brain : ndarray of bool, shape (i, j, k)
        Brain mask.

    Returns
    -------
    ndarray of bool, shape (i, j, k)
        The most probable 0.5 % of the brain if no voxel exceeds the threshold.
    """
    likely = (probability > 0.5) & brain
    if not likely.any():
        return brain & (probability >= np.quantile(probability[brain], 0.995))
    components, _ = ndimage.label(likely)
    return components == np.bincount(components[likely]).argmax()


def describe_region(
    scans: np.ndarray, mask: np.ndarray, spacing_mm: float | Sequence[float], contrasts: Sequence[str]
) -> dict[str, float]:
    """Measure intensity, border, texture, shape and position of a region.

    All features are invariant under mirroring. Intensity (``first_``) and border are
    in standard deviations of the brain, ``sharpness`` per mm of the template. The
    template is not the patient, and the voxel size of the scan may be unknown, so
    shape and position are relative to the brain: lengths, axes and places to the
    diameter of a ball of its volume, volume and surface to those of this ball.
    Entropy and texture use 16 grey levels
    between the 2nd and 98th percentile of the region, so they do not depend on its
    intensity; texture is that of the co-occurrence matrix summed over all 13
    directions in space.

    Parameters
    ----------
    scans : ndarray, shape (i, j, k, contrasts)
        On the template grid, with axes to the right, front and top, and the midline
        in the middle; 0 outside the brain.
    mask : ndarray, shape (i, j, k)
        The region. All features of an empty one are 0.
    spacing_mm : float or (float, float, float)
        Voxel size.
    contrasts : sequence of str
        Names of the channels.

    Returns
    -------
    dict of str to float
        Such as ``first_T1ce_mean``, ``border_T1ce_sharpness``,
        ``texture_T2w_contrast``, ``shape_volume``, ``position_lateral``.

    References
    ----------
    Haralick et al., IEEE Trans Syst Man Cybern 1973, doi:10.1109/TSMC.1973.4309314
    van Griethuysen et al., Cancer Res 2017, doi:10.1158/0008-5472.CAN-17-0339
    """
    mask, steps = np.asarray(mask) > 0, np.broadcast_to(np.asarray(spacing_mm, float), 3)
    if not mask.any():
        voxel = np.zeros_like(mask)
        voxel[tuple(n // 2 for n in mask.shape)] = True
        return dict.fromkeys(describe_region(scans, voxel, spacing_mm, contrasts), 0.0)
    mirrored = scans[::-1][mask & ~mask[::-1] & np.any(scans[::-1], axis=-1)]
    thickness = max(LAYER_MM, steps.max())
    box = _box(mask, np.ceil(thickness / steps).astype(int) + 1)
    near, inside = scans[box], mask[box]
    layers = _layers(inside, np.any(near, axis=-1), steps, thickness)
    relative = steps / _brain_diameter(np.any(scans, axis=-1) | mask, steps)
    found = {**_shape(inside, relative), **_position(mask, relative)}
    for channel, name in enumerate(contrasts):
        values = near[..., channel].astype(float)
        opposite = mirrored[:, channel].mean() if len(mirrored) else 0.0
        levels = _grey_levels(values, inside)
        found |= {f"first_{name}_{key}": value for key, value in _first_order(values, inside, levels).items()}
        found[f"first_{name}_asymmetry"] = values[inside].mean() - opposite
        found |= {f"border_{name}_{key}": value for key, value in _border(values, layers, steps).items()}
        found |= {f"texture_{name}_{key}": value for key, value in _texture(levels, inside).items()}
    for (one, first), (other, second) in itertools.combinations(enumerate(contrasts), 2):
        found[f"pair_{first}_{second}_correlation"] = _correlation(near[inside][:, one], near[inside][:, other])
    return {name: float(value) for name, value in found.items()}


def _describe_fold(
    fold: int, *, networks: Mapping[int, Path], arrays: Arrays, spacing_mm: Sequence[float]
) -> pd.DataFrame:
    """Describe the regions of all subjects in the maps of one network."""
    model = load_model(networks[fold], where="handcrafted_features")
    maps = tumour_maps(model, arrays.scans)
    regions = [find_region(heat, np.any(scans, axis=-1)) for heat, scans in zip(maps, arrays.scans, strict=True)]
    described = [
        describe_region(scans, region, spacing_mm, arrays.contrasts)
        for scans, region in zip(arrays.scans, regions, strict=True)
    ]
    return pd.DataFrame(described).assign(participant_id=arrays.ids, fold=fold)


def _box(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    """Return the bounding box of a mask with a margin of voxels."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(slice(max(0, side.start - width), side.stop + width) for side, width in zip(box, margin, strict=True))


def _layers(
    inside: np.ndarray, brain: np.ndarray, steps: np.ndarray, thickness: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return core, rim and surroundings of a region; a thin region is both core and rim."""
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), steps)[1:-1, 1:-1, 1:-1]
    away = ndimage.distance_transform_edt(~inside, steps)
    core, rim = depth > thickness, inside & (depth <= thickness)
    return core if core.any() else inside, rim, brain & ~inside & (away <= thickness)


def _grey_levels(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Discretise grey values into levels from 0 to ``LEVELS - 1``."""
    low, high = np.percentile(values[inside], (2, 98))
    return np.clip((values - low) / max(high - low, 1e-6) * LEVELS, 0, LEVELS - 1).astype(int)


def _first_order(values: np.ndarray, inside: np.ndarray, levels: np.ndarray) -> dict[str, float]:
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


def _border(
    values: np.ndarray, layers: tuple[np.ndarray, np.ndarray, np.ndarray], steps: np.ndarray
) -> dict[str, float]:
    core, rim, around = layers
    slope = np.sqrt(sum(part**2 for part in np.gradient(values, *steps)))
    return {
        "core": values[core].mean(),
        "rim": values[rim].mean(),
        "around": values[around].mean() if around.any() else 0.0,
        "sharpness": slope[rim].mean(),
    }


def _texture(levels: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Return properties of the co-occurrence matrix of grey levels, summed over all directions."""
    counts = np.zeros(LEVELS * LEVELS)
    for step in _DIRECTIONS:
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(step, inside.shape, strict=True))
        there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(step, inside.shape, strict=True))
        both = inside[here] & inside[there]
        counts += np.bincount(levels[here][both] * LEVELS + levels[there][both], minlength=len(counts))
    matrix = counts.reshape(LEVELS, LEVELS)
    matrix = (matrix + matrix.T)[..., None, None]
    return {name: graycoprops(matrix, name)[0, 0] for name in _TEXTURES}


def _brain_diameter(brain: np.ndarray, steps: np.ndarray) -> float:
    """Return the diameter of a ball with the volume of the brain."""
    return np.cbrt(6 / np.pi * brain.sum() * steps.prod())


def _shape(inside: np.ndarray, steps: np.ndarray) -> dict[str, float]:
    """Return size and shape, from the voxels and from their surface mesh; relative to a ball of diameter 1."""
    vertices, faces, _, _ = measure.marching_cubes(np.pad(inside, 1).astype(np.float32), 0.5, spacing=tuple(steps))
    volume = mesh_volume(vertices, faces)
    surface = measure.mesh_surface_area(vertices, faces)
    hull = ConvexHull(vertices)
    short, middle, long = ellipsoid_axes(inside, np.diag(steps))
    return {
        "shape_volume": inside.sum() * steps.prod() / (np.pi / 6),
        "shape_surface": surface / np.pi,
        "shape_surface_to_volume": surface / volume / 6,
        "shape_sphericity": np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface,
        "shape_solidity": volume / hull.volume,
        "shape_extent": inside.sum() / np.prod(np.ptp(np.argwhere(inside), axis=0) + 1),
        "shape_longest": pdist(vertices[hull.vertices]).max(),
        "shape_long_axis": long,
        "shape_middle_axis": middle,
        "shape_short_axis": short,
        "shape_elongation": middle / long,
        "shape_flatness": short / long,
    }


def _position(mask: np.ndarray, steps: np.ndarray) -> dict[str, float]:
    """Return the centroid of the region relative to the centre, and the smaller of its shares left and right."""
    middle = (np.array(mask.shape) - 1) / 2
    places = (np.argwhere(mask) - middle) * steps
    lateral, anterior, superior = places.mean(axis=0)
    left = (places[:, 0] < 0).mean() + (places[:, 0] == 0).mean() / 2
    return {
        "position_lateral": abs(lateral),
        "position_anterior": anterior,
        "position_superior": superior,
        "position_across": min(left, 1 - left),
    }


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    spreads = one.std() * other.std()
    return ((one - one.mean()) * (other - other.mean())).mean() / spreads if spreads > 1e-6 else 0.0
