"""Explorers: viewers with one more slider, that compares or does a step anew and says what comes of it."""

import numpy as np

from epitome_kit.errors import ParameterError
from epitome_kit.images import image_like, load_image, load_mask
from epitome_kit.metrics import dice
from epitome_kit.plotting.slices import stack_images
from epitome_kit.preprocess.quality import log_residual_sd
from epitome_kit.preprocess.skull_stripping import THRESHOLD, mask_above
from epitome_kit.tumour.measure import size_text
from epitome_kit.widgets.slice_viewer import SliceViewer


def before_after_wipe(before, after, masks=None, *, labels=("before", "after"), window="shared"):
    """Slide a line over a scan: one step's input on its left, the output on its right.

    Parameters
    ----------
    before, after : image or path
        `after` is brought onto the grid of `before`.
    masks : dict of str to image or path, or one of these, optional
    labels : (str, str), default=("before", "after")
    window : {"shared", "robust"} or (float, float), default="shared"
        ``"robust"`` where the two have no common scale of intensity.

    Returns
    -------
    SliceViewer
        With one more attribute: ``wipe`` (slider, 0 to 1).
    """
    images = dict(zip(labels, (before, after), strict=True))
    viewer = SliceViewer(images, masks, window=window, size=400)

    def combine(panels):
        first, second = panels.values()
        border = round(viewer.wipe.value * first.shape[1])
        picture = np.concatenate([first[:, :border], second[:, border:]], axis=1)
        picture[:, max(border - 1, 0) : border + 1] = 255
        return {f"{labels[0]} | {labels[1]}": picture}

    tip = f"{labels[0]} on the left of the line, {labels[1]} on its right"
    viewer.wipe = viewer.add_slider("Wipe", 0.5, 0, 1, 0.01, tip=tip, readout=".2f")
    viewer.combine = combine
    viewer.redraw()
    return viewer


def threshold_explorer(image, brain_mask, truth=None, *, annotated=None, start=None):
    """Choose a threshold, and see at once what lies above it.

    Parameters
    ----------
    image : image or path
    brain_mask : image or path
        Only voxels inside count.
    truth : image or path, optional
        Mask to compare with: Dice is shown.
    annotated : image or path, optional
        Mask of the voxels where `truth` was drawn; elsewhere it is unknown, and
        does not count for Dice. Default: it was drawn everywhere.
    start : float, optional
        First threshold, in the intensities of `image`. Default: their median
        inside the brain.

    Returns
    -------
    SliceViewer
        With two more attributes: ``threshold`` (slider) and ``readout`` (size
        and Dice).

    Raises
    ------
    ParameterError
        `brain_mask` is empty.
    """
    masks = {"above the threshold": (brain_mask, "answer")}
    viewer = SliceViewer({"scan": image}, masks if truth is None else {"truth": truth, **masks}, size=400)
    stack = viewer.stack
    volume, brain, truth = stack.volumes["scan"], stack.masks["above the threshold"], stack.masks.get("truth")
    if not brain.any():
        raise ParameterError("threshold_explorer", "a brain mask", "an empty one", "strip the skull again")
    counted = brain if annotated is None else brain & stack_images(stack.grid, annotated).masks["mask"]
    low, middle, high = (float(value) for value in np.nanpercentile(volume[brain], (1, 50, 99.9)))

    def apply():
        above = brain & (volume >= viewer.threshold.value)
        stack.masks["above the threshold"] = above
        said = [f"above the threshold: {size_text(np.count_nonzero(above), stack.grid)}"]
        if truth is not None:
            said.append(f"truth: {size_text(np.count_nonzero(truth), stack.grid)}")
            said.append(f"Dice {dice(above & counted, truth):.2f}" + " where annotated" * (annotated is not None))
        viewer.readout.value = "; ".join(said)

    step = (high - low) / 200 or 1
    viewer.threshold = viewer.add_slider(
        "Threshold",
        middle if start is None else start,
        low,
        high,
        step,
        tip="Intensity above which a voxel counts",
        action=apply,
    )
    viewer.readout = viewer.add_readout()
    apply()
    viewer.redraw()
    return viewer


def strip_explorer(image, probability, truth=None):
    """Choose the probability above which a voxel counts as brain, and see the mask that follows.

    Parameters
    ----------
    image : image or path
    probability : image or path
        Of brain, on the grid of `image`: see
        :func:`~epitome_kit.preprocess.skull_stripping.skull_strip_probability`.
    truth : image or path, optional
        Mask to compare with: Dice is shown.

    Returns
    -------
    SliceViewer
        With two more attributes: ``threshold`` (slider, 0.05 to 0.95) and
        ``readout`` (size and Dice).

    Raises
    ------
    ImageError
        An image cannot be read.
    """
    probability = load_image(probability, where="strip_explorer", check_voxels=False)
    masks = {"brain": mask_above(probability)}
    viewer = SliceViewer({"scan": image}, masks if truth is None else {**masks, "truth": truth}, size=400)
    viewer.opacity.value = 0  # outlines, which leave the edge of the brain to be seen
    stack, truth = viewer.stack, viewer.stack.masks.get("truth")

    def apply():
        brain = np.asarray(mask_above(probability, viewer.threshold.value).dataobj) > 0
        stack.masks["brain"] = brain
        said = [f"brain: {size_text(np.count_nonzero(brain), stack.grid)}"]
        if truth is not None:
            said.append(f"truth: {size_text(np.count_nonzero(truth), stack.grid)}")
            said.append(f"Dice {dice(brain, truth):.3f}")
        viewer.readout.value = "; ".join(said)

    viewer.threshold = viewer.add_slider(
        "Probability",
        THRESHOLD,
        0.05,
        0.95,
        0.05,
        tip="Probability above which a voxel counts as brain",
        readout=".2f",
        action=apply,
    )
    viewer.readout = viewer.add_readout()
    apply()
    viewer.redraw()
    return viewer


def bias_explorer(image, fields, mask, truth=None, *, start=3):
    """Choose how fine a bias field may be, and see the scan that is left when it is divided out.

    Parameters
    ----------
    image : image or path
    fields : sequence of image or path
        Fields that N4 found on the grid of `image` with one level of detail,
        with two, and so on.
    mask : image or path
        Brain mask; the field is shown inside.
    truth : image or path, optional
        The true field: what is left of it is shown.
    start : int, default=3
        Levels at first; 0 is no correction.

    Returns
    -------
    SliceViewer
        With two more attributes: ``levels`` (slider, 0 to the number of
        `fields`) and ``readout`` (range of the field, and what is left).

    Raises
    ------
    ImageError
        An image cannot be read.
    """
    image = load_image(image, where="bias_explorer")
    inside = np.asarray(load_mask(mask, like=image, where="bias_explorer").dataobj) > 0
    scan = np.asarray(image.dataobj, np.float32)
    found = [np.ones_like(scan), *(np.asarray(load_image(field).dataobj, np.float32) for field in fields)]
    true = None if truth is None else np.asarray(load_image(truth).dataobj, np.float32)[inside]

    def shown(levels):
        return {"after N4": scan / found[levels], "field": found[levels] * inside}

    images = {name: image_like(part, image) for name, part in shown(start).items()}
    viewer = SliceViewer({"scan": image, **images}, size=300)

    def apply():
        levels = round(viewer.levels.value)
        viewer.stack.volumes.update(shown(levels))
        low, high = np.percentile(found[levels][inside], (1, 99))
        said = [f"the field goes from {low:.2f} to {high:.2f}"]
        if true is not None:
            said.append(f"bias left {log_residual_sd(found[levels][inside], true):.3f} (sd of the log)")
        viewer.readout.value = "; ".join(said)

    viewer.levels = viewer.add_slider(
        "Levels",
        start,
        0,
        len(fields),
        1,
        tip="Levels of detail of the field; 0 is no correction",
        readout=".0f",
        action=apply,
    )
    viewer.readout = viewer.add_readout()
    apply()
    viewer.redraw()
    return viewer
