"""Picture of one preprocessed subject for quality control: the outline of the brain, before and after."""

from functools import lru_cache

import nibabel as nib
import numpy as np

from epitome_kit.files import read_json
from epitome_kit.images import load_image, load_mask, resample
from epitome_kit.plotting.panels import draw_slice, finish, image_axes
from epitome_kit.plotting.slices import PLANES, slice_view, stack_images
from epitome_kit.plotting.style import in_house_style
from epitome_kit.preprocess.pipeline import assign_nominal_voxel_size, registration_reference
from epitome_kit.preprocess.registration import load_template

_WIDTH = 2.5


@in_house_style
def quality_picture(subject, files):
    """Draw the outline of the brain on the scan as it came, and on what became of it.

    Parameters
    ----------
    subject : Subject
    files : Preprocessed
        Its derivative.

    Returns
    -------
    Figure
        Three planes through the middle of the brain: of the scan that leads,
        before; of the same, after; of the other contrasts, after, in turn.
        After, the outline of the template's brain is shown as well.

    Raises
    ------
    ImageError
        A file of the derivative is missing or cannot be read.
    """
    lead = registration_reference(subject)
    others = [name for name in subject.images if name != lead]
    outlined = "brain" if read_json(files.record)["settings"]["steps"]["strip"] else "head"
    scan = assign_nominal_voxel_size(load_image(subject.images[lead], where="quality_picture"))
    found = assign_nominal_voxel_size(load_mask(files.mask("desc-brain", space=lead), where="quality_picture"))
    brain = load_mask(files.mask("desc-brain"), where="quality_picture")
    template = _template_brain(brain.shape, *brain.affine.ravel().tolist())
    masks = {outlined: brain, "template's brain": (template, "template")}
    before = stack_images({lead: scan}, {outlined: found}, where="quality_picture")
    after = stack_images({name: files.scan(name) for name in (lead, *others)}, masks, where="quality_picture")
    rows = [(before, "before", [lead]), (after, "after", [lead]), *([(after, "after", others)] if others else [])]
    views = [slice_view(after.grid, plane) for plane in PLANES]
    figure, axes = image_axes(len(rows), len(PLANES), _WIDTH, views, legend=True)
    for panels, (stack, when, names) in zip(axes, rows, strict=True):
        for position, (panel, plane) in enumerate(zip(panels, PLANES, strict=True)):
            _draw(panel, stack, slice_view(stack.grid, plane), names[position % len(names)], when)
    size = "" if views[0].known and slice_view(before.grid).known else "; voxel size unknown before"
    finish(figure, f"{subject.id}, before and after preprocessing{size}", after.roles)
    return figure


def describe_picture(subject):
    """Say what the picture of a subject shows, for readers who cannot see it.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    str
    """
    lead = registration_reference(subject)
    others = ", ".join(name for name in subject.images if name != lead)
    return (
        f"{subject.id}: the outline of the brain on axial, coronal and sagittal slices of {lead}, above as it came,"
        f" below on the template grid together with the outline of the template's brain"
        f"{f', and there on {others} as well' if others else ''}."
    )


def _draw(panel, stack, view, name, when):
    brain, volume = next(iter(stack.masks.values())), stack.volumes[name]
    index = round(float(np.nonzero(brain)[view.axis].mean()))
    low, high = np.nanpercentile(volume[brain], (1, 99))
    window = (min(low, 0) if when == "before" else low, max(high, low + 1e-6))
    draw_slice(panel, view, index, volume, window, stack, scale_bar=view.plane == "axial")
    panel.set_title(f"{name} {when}, {view.position(index)}")


@lru_cache
def _template_brain(shape, *affine):
    """Brain of the template on a grid."""
    on_grid = resample(load_template()[1], np.array(affine).reshape(4, 4), shape)
    return nib.Nifti1Image((np.asarray(on_grid.dataobj) > 0.5).astype(np.uint8), on_grid.affine)
