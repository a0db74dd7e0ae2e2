"""What the network looks at: its own tumour map, and what changes when a part is hidden."""

import numpy as np
from scipy import ndimage

from epitome_kit.images import load_image


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
    coarse = model.predict(scans[None], verbose=0)["tumour"][0, ..., 0]
    return ndimage.zoom(coarse, [n / m for n, m in zip(scans.shape[:3], coarse.shape, strict=True)], order=1)


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
        0 to 1; compare it with the mask's share of the brain.
    """
    inside = mask if isinstance(mask, np.ndarray) else np.asarray(load_image(mask, check_voxels=False).dataobj)
    return float(heat[inside > 0].sum() / max(heat.sum(), 1e-12))
