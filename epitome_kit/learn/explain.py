"""Explain the CNN: tumour map, occlusion and Grad-CAM, compared with a network of shuffled weights."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.stats import spearmanr

from epitome_kit.backend import Model, gradient, keras, ops
from epitome_kit.images import ImageLike, load_image
from epitome_kit.learn.arrays import Arrays
from epitome_kit.parallel import for_each

_Explainer = Callable[[Model, np.ndarray], np.ndarray]


def tumour_maps(model: Model, scans: np.ndarray) -> list[np.ndarray]:
    """Predict the tumour maps of several subjects at the resolution of the scans.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`.
    scans : ndarray, shape (n, i, j, k, contrasts)
        Normalised scans.

    Returns
    -------
    list of ndarray of float32, shape (i, j, k)
        Probability of tumour, one map per subject.
    """
    maps = np.asarray(model.predict(scans, batch_size=4, verbose=0)["tumour"])
    return [enlarge(coarse, scans.shape[1:4]) for coarse in maps[..., 0]]


def tumour_map(model: Model, scans: np.ndarray) -> np.ndarray:
    """Predict the tumour map of one subject at the resolution of the scans.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`.
    scans : ndarray, shape (i, j, k, contrasts)
        Normalised scans.

    Returns
    -------
    ndarray of float32, shape (i, j, k)
        Probability of tumour.
    """
    return tumour_maps(model, scans[None])[0]


def occlusion_map(model: Model, scans: np.ndarray, *, patch: int = 8) -> np.ndarray:
    """Mask one cube after another and measure the change of the probability.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`.
    scans : ndarray, shape (i, j, k, contrasts)
        Normalised scans.
    patch : int, default=8
        Side of the cube in voxels; it is filled with 0, the median of the brain.

    Returns
    -------
    ndarray of float32, shape (i, j, k)
        Absolute change of the probability of the label when that cube is masked.

    References
    ----------
    Zeiler and Fergus, ECCV 2014, doi:10.1007/978-3-319-10590-1_53
    """
    brain = np.any(scans, axis=-1)
    corners = list(np.ndindex(*[-(-n // patch) for n in brain.shape]))
    boxes = [tuple(slice(c * patch, (c + 1) * patch) for c in corner) for corner in corners]
    boxes = [box for box in boxes if brain[box].mean() > 0.1]
    base = model.predict(scans[None], verbose=0)["label"][0, 0]
    change = np.zeros(brain.shape, np.float32)
    for start in range(0, len(boxes), 8):
        hidden = np.repeat(scans[None], len(boxes[start : start + 8]), axis=0)
        for copy, box in zip(hidden, boxes[start : start + 8], strict=True):
            copy[box] = 0
        probabilities = model.predict(hidden, batch_size=8, verbose=0)["label"][:, 0]
        for box, probability in zip(boxes[start : start + 8], probabilities, strict=True):
            change[box] = abs(base - probability)
    return change * brain


def grad_cam(model: Model, scans: np.ndarray, *, layer: str = "describe_near", averaged: bool = True) -> np.ndarray:
    """Weight the channels of a convolution by the gradient of the label.

    The gradient of the label with respect to a channel measures how much the
    channel supports the predicted class. Grad-CAM averages it over space, and the
    map is the weighted sum of the channels, with negative values set to 0. The
    average discards *where* a channel counts: a network that pools under a tumour
    map, like that of :func:`epitome_kit.learn.cnn.build_cnn`, then seems to attend
    to everything that resembles tumour. HiResCAM does not average.

    The label also depends on direct measurements under the tumour map, which pass
    through no convolution. Neither map shows these; occlusion does.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`.
    scans : ndarray, shape (i, j, k, contrasts)
        Normalised scans.
    layer : str, default="describe_near"
        Convolution whose block (convolution, scaling, activation) is explained.
    averaged : bool, default=True
        Whether to average the gradient over space; False computes HiResCAM.

    Returns
    -------
    ndarray of float32, shape (i, j, k)
        Heat map, from 0 to 1.

    References
    ----------
    Selvaraju et al., ICCV 2017, doi:10.1109/ICCV.2017.74
    Draelos and Carin, 2020, doi:10.48550/arXiv.2011.08891
    """
    scaled, label = model.get_layer(f"{layer}_scale").output, model.get_layer("label")
    block = next(each.output for each in model.layers if each.input is scaled)
    before, after = Model(model.input, block), Model([model.input, block], label.input)
    volume = ops.convert_to_tensor(scans[None])
    channels = before(volume, training=False)
    kernel, constant = label.get_weights()

    def evidence(activation: keras.KerasTensor) -> keras.KerasTensor:
        return ops.sum(ops.matmul(after([volume, activation], training=False), kernel)) + constant[0]

    sign = 1 if evidence(channels) > 0 else -1
    weights = sign * gradient(evidence, channels)
    if averaged:
        weights = weights.mean(axis=(1, 2, 3), keepdims=True)
    heat = np.maximum((ops.convert_to_numpy(channels) * weights).sum(axis=-1)[0], 0)
    heat = enlarge(heat, scans.shape[:3]) * np.any(scans, axis=-1)
    return heat / max(heat.max(), 1e-12)


def randomised(model: Model, *, seed: int = 0) -> Model:
    """Copy a network and shuffle each of its weight arrays.

    A map that looks the same for the shuffled network shows the scan, not what the
    network has learned.

    Parameters
    ----------
    model : keras.Model
        Trained network.
    seed : int, default=0
        Seed of the shuffling.

    Returns
    -------
    keras.Model
        Network with the same weights in random order.

    References
    ----------
    Adebayo et al., NeurIPS 2018, doi:10.48550/arXiv.1810.03292
    """
    rng, copy = np.random.default_rng(seed), keras.models.clone_model(model)
    copy.set_weights([rng.permutation(values.ravel()).reshape(values.shape) for values in model.get_weights()])
    return copy


def map_similarity(one: np.ndarray, other: np.ndarray, brain: np.ndarray) -> float:
    """Compute the rank correlation of two heat maps over the voxels of a brain.

    Parameters
    ----------
    one, other : ndarray, shape (i, j, k)
        Heat maps.
    brain : ndarray of bool, shape (i, j, k)
        Brain mask.

    Returns
    -------
    float
        Spearman's rank correlation, -1 to 1; 0 if a map is constant.
    """
    one, other = one[brain], other[brain]
    return float(spearmanr(one, other).statistic) if np.ptp(one) and np.ptp(other) else 0.0


def share_inside(heat: np.ndarray, mask: ImageLike | np.ndarray) -> float:
    """Compute the share of a heat map that lies inside a mask.

    Parameters
    ----------
    heat : ndarray, shape (i, j, k)
        Heat map without negative values.
    mask : image-like or ndarray, shape (i, j, k)
        Region, on the grid of the map.

    Returns
    -------
    float
        0 to 1; compare it with :func:`share_by_chance`.
    """
    inside = mask if isinstance(mask, np.ndarray) else np.asarray(load_image(mask, check_voxels=False).dataobj)
    return float(heat[inside > 0].sum() / max(heat.sum(), 1e-12))


def share_by_chance(mask: np.ndarray, brain: np.ndarray) -> float:
    """Compute the share of a uniform heat map that lies inside a mask.

    Parameters
    ----------
    mask, brain : ndarray, shape (i, j, k)
        Region, and the brain over which the heat is uniform.

    Returns
    -------
    float
        0 to 1.
    """
    return share_inside((brain > 0).astype(float), mask)


def attention_table(
    model: Model, arrays: Arrays, subjects: Sequence[str], *, patch: int = 16, seed: int = 0
) -> pd.DataFrame:
    """Measure how much of each map lies in the annotated tumour, compared with a network of shuffled weights.

    Parameters
    ----------
    model : keras.Model
        Network that was not trained on these subjects.
    arrays : Arrays
        From :func:`epitome_kit.learn.arrays.load_arrays`.
    subjects : sequence of str
        Subjects; those without annotated tumour are skipped.
    patch : int, default=16
        Side of the masked cube in voxels, see :func:`occlusion_map`.
    seed : int, default=0
        Seed of the shuffled weights.

    Returns
    -------
    DataFrame
        One row per subject, ``method`` ("tumour map", "Grad-CAM", "HiResCAM",
        "occlusion") and ``weights`` ("learned", "shuffled"), with columns
        ``participant_id``, ``share_inside`` and ``share_by_chance`` (both where
        the annotation is known) and ``similarity`` to the map of the learned
        weights.
    """
    networks = {"learned": model, "shuffled": randomised(model, seed=seed)}
    methods: dict[str, _Explainer] = {
        "tumour map": tumour_map,
        "Grad-CAM": grad_cam,
        "HiResCAM": partial(grad_cam, averaged=False),
        "occlusion": partial(occlusion_map, patch=patch),
    }
    chosen = [name for name in subjects if arrays.tumour[arrays.ids.index(name)].any()]
    describe = partial(_attention, networks=networks, methods=methods, arrays=arrays)
    parts = for_each(describe, chosen, title="Explaining the network")
    return pd.DataFrame([row for part in parts for row in part])


def _attention(
    name: str,
    *,
    networks: Mapping[str, Model],
    methods: Mapping[str, _Explainer],
    arrays: Arrays,
) -> list[dict[str, str | float]]:
    index = arrays.ids.index(name)
    scans, tumour, known = (part[index] for part in (arrays.scans, arrays.tumour[..., 0], arrays.known[..., 0]))
    brain = np.any(scans, axis=-1)
    visible, rows = brain & (known > 0), list[dict[str, str | float]]()
    for method, explain in methods.items():
        maps = {weights: explain(network, scans) for weights, network in networks.items()}
        rows += [
            {
                "participant_id": name,
                "method": method,
                "weights": weights,
                "share_inside": share_inside(heat * visible, tumour),
                "share_by_chance": share_by_chance(tumour, visible),
                "similarity": map_similarity(maps["learned"], heat, brain),
            }
            for weights, heat in maps.items()
        ]
    return rows


def enlarge(coarse: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Upsample a map to the grid of the scans, aligned at the borders of the voxels.

    Parameters
    ----------
    coarse : ndarray, shape (a, b, c)
        Map of the network.
    shape : (int, int, int)
        Grid of the scans.

    Returns
    -------
    ndarray, shape (i, j, k)
    """
    factors = [n / m for n, m in zip(shape, coarse.shape, strict=True)]
    return ndimage.zoom(coarse, factors, order=1, mode="nearest", grid_mode=True)
