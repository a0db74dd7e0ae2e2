"""What the network looks at: its tumour map, occlusion, Grad-CAM, and what a network of shuffled weights looks at."""

from functools import partial

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.stats import spearmanr

from epitome_kit.backend import Model, gradient, keras, ops
from epitome_kit.images import load_image
from epitome_kit.parallel import for_each


def tumour_maps(model, scans):
    """Return where the network believes the tumours to be, at the resolution of the scans.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`.
    scans : ndarray, shape (n, i, j, k, contrasts)

    Returns
    -------
    list of ndarray of float32, shape (i, j, k)
        Probability of tumour, one map a subject.
    """
    answers = np.asarray(model.predict(scans, batch_size=4, verbose=0)["tumour"])
    return [_enlarge(coarse, scans.shape[1:4]) for coarse in answers[..., 0]]


def tumour_map(model, scans):
    """Return where the network believes the tumour to be, at the resolution of the scans.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`.
    scans : ndarray, shape (i, j, k, contrasts)

    Returns
    -------
    ndarray of float32, shape (i, j, k)
    """
    return tumour_maps(model, scans[None])[0]


def occlusion_map(model, scans, *, patch=8):
    """Hide one cube after another and note how far the probability falls.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`.
    scans : ndarray, shape (i, j, k, contrasts)
    patch : int, default=8
        Side of the cube in voxels; it is filled with 0, the brain's median.

    Returns
    -------
    ndarray of float32, shape (i, j, k)
        Absolute change of the label's probability when that cube is hidden.

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
        answers = model.predict(hidden, batch_size=8, verbose=0)["label"][:, 0]
        for box, answer in zip(boxes[start : start + 8], answers, strict=True):
            change[box] = abs(base - answer)
    return change * brain


def grad_cam(model, scans, *, layer="describe_near", averaged=True):
    """Weigh what the channels of a convolution see by how much they move the answer.

    The gradient of the label with respect to each channel says how much that
    channel speaks for the class that the network finds more likely. Grad-CAM
    averages it over space; the channels, weighted so and added up, make the
    map, and what speaks against is cut to 0. The average forgets *where* a
    channel counts. A network that looks through a tumour map, as that of
    :func:`epitome_kit.learn.cnn.build_cnn`, then seems to look at every place
    that looks like tumour. HiResCAM does not average.

    Its label also rests on plain measurements under the tumour map, which pass
    through no convolution: of them neither map says anything; occlusion does.

    Parameters
    ----------
    model : keras.Model
        From :func:`epitome_kit.learn.cnn.build_cnn`.
    scans : ndarray, shape (i, j, k, contrasts)
    layer : str, default="describe_near"
        Convolution whose block (convolution, scaling, activation) is looked at.
    averaged : bool, default=True
        Whether to average the gradient over space; False gives HiResCAM.

    Returns
    -------
    ndarray of float32, shape (i, j, k)
        0 to 1.

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

    def evidence(seen):
        return ops.sum(ops.matmul(after([volume, seen], training=False), kernel)) + constant[0]

    chosen = 1 if evidence(channels) > 0 else -1
    weights = chosen * gradient(evidence, channels)
    if averaged:
        weights = weights.mean(axis=(1, 2, 3), keepdims=True)
    heat = np.maximum((ops.convert_to_numpy(channels) * weights).sum(axis=-1)[0], 0)
    heat = _enlarge(heat, scans.shape[:3]) * np.any(scans, axis=-1)
    return heat / max(heat.max(), 1e-12)


def randomised(model, *, seed=0):
    """Copy a network and shuffle each of its weight arrays: the same numbers, nothing learned.

    A map that looks the same for such a network shows the scan, not what was
    learned.

    Parameters
    ----------
    model : keras.Model
    seed : int, default=0

    Returns
    -------
    keras.Model

    References
    ----------
    Adebayo et al., NeurIPS 2018, doi:10.48550/arXiv.1810.03292
    """
    rng, copy = np.random.default_rng(seed), keras.models.clone_model(model)
    copy.set_weights([rng.permutation(values.ravel()).reshape(values.shape) for values in model.get_weights()])
    return copy


def map_similarity(one, other, brain):
    """Compare two heat maps by the order in which they rank the voxels of a brain.

    Parameters
    ----------
    one, other : ndarray, shape (i, j, k)
    brain : ndarray of bool, shape (i, j, k)

    Returns
    -------
    float
        Spearman's rank correlation, -1 to 1; 0 where a map is the same
        everywhere.
    """
    one, other = one[brain], other[brain]
    return float(spearmanr(one, other).statistic) if np.ptp(one) and np.ptp(other) else 0.0


def share_inside(heat, mask):
    """Compute the share of a heat map that lies inside a mask.

    Parameters
    ----------
    heat : ndarray, shape (i, j, k)
        Not negative.
    mask : Nifti1Image, path or ndarray, shape (i, j, k)

    Returns
    -------
    float
        0 to 1; compare it with :func:`share_by_chance`.
    """
    inside = mask if isinstance(mask, np.ndarray) else np.asarray(load_image(mask, check_voxels=False).dataobj)
    return float(heat[inside > 0].sum() / max(heat.sum(), 1e-12))


def share_by_chance(mask, brain):
    """Compute the share of a brain that a mask covers: where heat spread evenly would lie.

    Parameters
    ----------
    mask, brain : ndarray, shape (i, j, k)

    Returns
    -------
    float
        0 to 1.
    """
    return share_inside((brain > 0).astype(float), mask)


def attention_table(model, arrays, subjects, *, patch=16, seed=0):
    """Measure how much of each map lies in the annotated tumour, beside a network of shuffled weights.

    Parameters
    ----------
    model : keras.Model
        Network that never saw these subjects.
    arrays : Arrays
        From :func:`epitome_kit.learn.arrays.load_arrays`.
    subjects : sequence of str
        Those without annotated tumour are left out.
    patch : int, default=16
        Side of the hidden cube in voxels, see :func:`occlusion_map`.
    seed : int, default=0
        Of the shuffled weights.

    Returns
    -------
    DataFrame
        One row a subject, ``method`` ("tumour map", "Grad-CAM", "HiResCAM",
        "occlusion") and ``weights`` ("learned", "shuffled"):
        ``participant_id``, ``share_inside`` and ``share_by_chance``, both where
        it is known whether there is tumour, and ``similarity`` to the map of
        the learned weights.
    """
    networks = {"learned": model, "shuffled": randomised(model, seed=seed)}
    methods = {
        "tumour map": tumour_map,
        "Grad-CAM": grad_cam,
        "HiResCAM": partial(grad_cam, averaged=False),
        "occlusion": partial(occlusion_map, patch=patch),
    }
    chosen = [name for name in subjects if arrays.tumour[arrays.ids.index(name)].any()]
    describe = partial(_attention, networks=networks, methods=methods, arrays=arrays)
    parts = for_each(describe, chosen, title="Looking at what the network looks at")
    return pd.DataFrame([row for part in parts for row in part])


def _attention(name, *, networks, methods, arrays):
    index = arrays.ids.index(name)
    scans, tumour, known = (part[index] for part in (arrays.scans, arrays.tumour[..., 0], arrays.known[..., 0]))
    brain = np.any(scans, axis=-1)
    seen, rows = brain & (known > 0), []
    for method, draw in methods.items():
        maps = {weights: draw(network, scans) for weights, network in networks.items()}
        rows += [
            {
                "participant_id": name,
                "method": method,
                "weights": weights,
                "share_inside": share_inside(heat * seen, tumour),
                "share_by_chance": share_by_chance(tumour, seen),
                "similarity": map_similarity(maps["learned"], heat, brain),
            }
            for weights, heat in maps.items()
        ]
    return rows


def _enlarge(coarse, shape):
    """Bring a map to the resolution of the scans; a coarse voxel covers the same place as before."""
    factors = [n / m for n, m in zip(shape, coarse.shape, strict=True)]
    return ndimage.zoom(coarse, factors, order=1, mode="nearest", grid_mode=True)
