"""Draw the brain outline of one subject before and after preprocessing, for quality control."""

from functools import lru_cache

import nibabel as nib
import numpy as np
from matplotlib.axes import Axes

from epitome_kit.cohort import Subject
from epitome_kit.files import read_json
from epitome_kit.images import load_image, load_mask, resample
from epitome_kit.plotting.panels import draw_slice, finish, image_axes
from epitome_kit.plotting.slices import PLANES, MaskLike, SliceView, Stack, slice_view, stack_images
from epitome_kit.plotting.style import DescribedFigure, in_house_style
from epitome_kit.preprocess.derivative import Preprocessed
from epitome_kit.preprocess.pipeline import assign_nominal_voxel_size, registration_reference
from epitome_kit.preprocess.registration import load_template

_WIDTH = 2.5


@in_house_style
def quality_picture(subject: Subject, files: Preprocessed) -> DescribedFigure:
    """Draw the outline of the brain on the original and on the preprocessed scans.

    Parameters
    ----------
    subject : Subject
    files : Preprocessed
        Derivative of the subject.

    Returns
    -------
    DescribedFigure
        Three planes through the middle of the brain, in rows: the reference
        contrast before preprocessing, the same after, and the other contrasts
        after. After preprocessing the outline of the template's brain is shown
        as well.

    Raises
    ------
    ImageError
        A file of the derivative is missing or cannot be read.
    """
    reference = registration_reference(subject)
    others = [name for name in subject.images if name != reference]
    outlined = "brain" if read_json(files.record)["settings"]["steps"]["strip"] else "head"
    scan = assign_nominal_voxel_size(load_image(subject.images[reference], where="quality_picture"))
    found = assign_nominal_voxel_size(load_mask(files.mask("desc-brain", space=reference), where="quality_picture"))
    brain = load_mask(files.mask("desc-brain"), where="quality_picture")
    template = _template_brain(brain.shape, *brain.affine.ravel().tolist())
    masks: dict[str, MaskLike] = {outlined: brain, "template's brain": (template, "template")}
    before = stack_images({reference: scan}, {outlined: found}, where="quality_picture")
    after = stack_images({name: files.scan(name) for name in (reference, *others)}, masks, where="quality_picture")
    rows = [(before, "before", [reference]), (after, "after", [reference])]
    rows += [(after, "after", others)] if others else []
    views = [slice_view(after.grid, plane) for plane in PLANES]
    figure, axes = image_axes(len(rows), len(PLANES), _WIDTH, views, legend=True)
    for panels, (stack, when, names) in zip(axes, rows, strict=True):
        for position, (panel, plane) in enumerate(zip(panels, PLANES, strict=True)):
            _draw(panel, stack, slice_view(stack.grid, plane), names[position % len(names)], when)
    size = "" if views[0].known and slice_view(before.grid).known else "; voxel size unknown before"
    finish(figure, f"{subject.id}, before and after preprocessing{size}", after.roles)
    return figure


def describe_picture(subject: Subject) -> str:
    """Return the text alternative of :func:`quality_picture`.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    str
    """
    reference = registration_reference(subject)
    others = ", ".join(name for name in subject.images if name != reference)
    return (
        f"{subject.id}: the outline of the brain on axial, coronal and sagittal slices of {reference}, before"
        f" preprocessing (above) and on the template grid (below), with the outline of the template's brain"
        f"{f'; below also on {others}' if others else ''}."
    )


def _draw(panel: Axes, stack: Stack, view: SliceView, name: str, when: str) -> None:
    brain, volume = next(iter(stack.masks.values())), stack.volumes[name]
    index = round(float(np.nonzero(brain)[view.axis].mean()))
    low, high = np.nanpercentile(volume[brain], (1, 99))
    window = (min(low, 0) if when == "before" else low, max(high, low + 1e-6))
    draw_slice(panel, view, index, volume, window, stack, scale_bar=view.plane == "axial")
    panel.set_title(f"{name} {when}, {view.position(index)}")


@lru_cache
def _template_brain(shape: tuple[int, int, int], *affine: float) -> nib.Nifti1Image:
    """Return the brain mask of the template on a grid."""
    on_grid = resample(load_template()[1], np.array(affine).reshape(4, 4), shape)
    return nib.Nifti1Image((np.asarray(on_grid.dataobj) > 0.5).astype(np.uint8), on_grid.affine)
