"""Viewers with an additional slider that compares scans or changes a setting of a step."""

from collections.abc import Sequence

import numpy as np

from epitome_kit.errors import ParameterError
from epitome_kit.images import ImageLike, load_image, load_mask, new_image_like
from epitome_kit.metrics import dice
from epitome_kit.plotting.slices import MasksLike, Window, stack_images
from epitome_kit.preprocess.quality import log_residual_sd
from epitome_kit.preprocess.skull_stripping import THRESHOLD, mask_above
from epitome_kit.tumour.measure import size_text
from epitome_kit.widgets.slice_viewer import SliceViewer


def before_after_wipe(
    before: ImageLike,
    after: ImageLike,
    masks: MasksLike | None = None,
    *,
    labels: tuple[str, str] = ("before", "after"),
    window: Window = "shared",
) -> SliceViewer:
    """Show the input of a step to the left of a movable line, and its output to the right.

    Parameters
    ----------
    before, after : image or path
        `after` is brought onto the grid of `before`.
    masks : dict of str to image or path, or one of these, optional
    labels : (str, str), default=("before", "after")
        Names of the two.
    window : {"shared", "robust"} or (float, float), default="shared"
        Use ``"robust"`` if the two have no common scale of intensity.

    Returns
    -------
    SliceViewer
        With an additional attribute: ``wipe`` (slider, 0 to 1).
    """
    images = dict(zip(labels, (before, after), strict=True))
    viewer = SliceViewer(images, masks, window=window, size=400)

    def combine(panels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
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


def threshold_explorer(
    image: ImageLike,
    brain_mask: ImageLike,
    truth: ImageLike | None = None,
    *,
    annotated: ImageLike | None = None,
    start: float | None = None,
) -> SliceViewer:
    """Change a threshold and see the voxels above it.

    Parameters
    ----------
    image : image or path
    brain_mask : image or path
        Only voxels inside this mask count.
    truth : image or path, optional
        True mask, to show Dice.
    annotated : image or path, optional
        Mask of the annotated voxels. Elsewhere `truth` is unknown and does not
        count for Dice. Default: all voxels.
    start : float, optional
        Initial threshold, in the intensities of `image`. Default: their median
        inside the brain.

    Returns
    -------
    SliceViewer
        With two additional attributes: ``threshold`` (slider) and ``readout``
        (size and Dice).

    Raises
    ------
    ParameterError
        `brain_mask` is empty.
    """
    masks = {"above the threshold": (brain_mask, "answer")}
    viewer = SliceViewer({"scan": image}, masks if truth is None else {"truth": truth, **masks}, size=400)
    stack = viewer.stack
    volume, brain, true = stack.volumes["scan"], stack.masks["above the threshold"], stack.masks.get("truth")
    if not brain.any():
        raise ParameterError("threshold_explorer", "a brain mask", "an empty mask", "strip the skull again")
    counted = brain if annotated is None else brain & stack_images(stack.grid, annotated).masks["mask"]
    low, middle, high = (float(value) for value in np.nanpercentile(volume[brain], (1, 50, 99.9)))

    def apply() -> None:
        above = brain & (volume >= viewer.threshold.value)
        stack.masks["above the threshold"] = above
        parts = [f"above the threshold: {size_text(np.count_nonzero(above), stack.grid)}"]
        if true is not None:
            parts.append(f"truth: {size_text(np.count_nonzero(true), stack.grid)}")
            parts.append(f"Dice {dice(above & counted, true):.2f}" + " where annotated" * (annotated is not None))
        viewer.readout.value = "; ".join(parts)

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


def strip_explorer(image: ImageLike, probability: ImageLike, truth: ImageLike | None = None) -> SliceViewer:
    """Change the threshold of the brain probability and see the mask.

    Parameters
    ----------
    image : image or path
    probability : image or path
        Brain probability on the grid of `image`, from
        :func:`~epitome_kit.preprocess.skull_stripping.skull_strip_probability`.
    truth : image or path, optional
        True mask, to show Dice.

    Returns
    -------
    SliceViewer
        With two additional attributes: ``threshold`` (slider, 0.05 to 0.95) and
        ``readout`` (size and Dice).

    Raises
    ------
    ImageError
        An image cannot be read.
    """
    likely = load_image(probability, where="strip_explorer", check_voxels=False)
    masks: dict[str, ImageLike] = {"brain": mask_above(likely)}
    viewer = SliceViewer({"scan": image}, masks if truth is None else {**masks, "truth": truth}, size=400)
    viewer.opacity.value = 0  # outlines only, so that the edge of the brain is visible
    stack, true = viewer.stack, viewer.stack.masks.get("truth")

    def apply() -> None:
        brain = np.asarray(mask_above(likely, viewer.threshold.value).dataobj) > 0
        stack.masks["brain"] = brain
        parts = [f"brain: {size_text(np.count_nonzero(brain), stack.grid)}"]
        if true is not None:
            parts.append(f"truth: {size_text(np.count_nonzero(true), stack.grid)}")
            parts.append(f"Dice {dice(brain, true):.3f}")
        viewer.readout.value = "; ".join(parts)

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


def bias_explorer(
    image: ImageLike,
    fields: Sequence[ImageLike],
    mask: ImageLike,
    truth: ImageLike | None = None,
    *,
    start: int = 3,
) -> SliceViewer:
    """Change the detail of a bias field and see the corrected scan.

    Parameters
    ----------
    image : image or path
    fields : sequence of image or path
        Fields found by N4 on the grid of `image` with one level of detail, with
        two, and so on.
    mask : image or path
        Brain mask; the field is shown inside.
    truth : image or path, optional
        True field, to show the residual bias.
    start : int, default=3
        Initial number of levels; 0 is no correction.

    Returns
    -------
    SliceViewer
        With two additional attributes: ``levels`` (slider, 0 to the number of
        `fields`) and ``readout`` (range of the field, and residual bias).

    Raises
    ------
    ImageError
        An image cannot be read.
    """
    original = load_image(image, where="bias_explorer")
    inside = np.asarray(load_mask(mask, like=original, where="bias_explorer").dataobj) > 0
    scan = np.asarray(original.dataobj, np.float32)
    found = [np.ones_like(scan), *(np.asarray(load_image(field).dataobj, np.float32) for field in fields)]
    true = None if truth is None else np.asarray(load_image(truth).dataobj, np.float32)[inside]

    def correct(levels: int) -> dict[str, np.ndarray]:
        return {"after N4": scan / found[levels], "field": found[levels] * inside}

    images = {name: new_image_like(part, original) for name, part in correct(start).items()}
    viewer = SliceViewer({"scan": original, **images}, size=300)

    def apply() -> None:
        levels = round(viewer.levels.value)
        viewer.stack.volumes.update(correct(levels))
        low, high = np.percentile(found[levels][inside], (1, 99))
        parts = [f"range of the field {low:.2f} to {high:.2f}"]
        if true is not None:
            parts.append(f"residual bias {log_residual_sd(found[levels][inside], true):.3f} (sd of the log)")
        viewer.readout.value = "; ".join(parts)

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
