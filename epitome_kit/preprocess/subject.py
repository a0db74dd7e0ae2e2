"""Preprocessing of one subject: strip, correct, register, normalise, each of which can be left out."""

import nibabel as nib
import numpy as np
from joblib import Parallel, delayed

from epitome_kit.contrast_table import reference_contrast
from epitome_kit.files import read_json, write_json, write_matrix
from epitome_kit.images import image_like, load_image, load_mask, resample, same_grid, save_image, voxel_size_known
from epitome_kit.io.geometry import SPACE
from epitome_kit.preprocess import alarms, bias_field, deformation, intensity, registration
from epitome_kit.preprocess.bias_field import correct_bias
from epitome_kit.preprocess.deformation import register_deformable
from epitome_kit.preprocess.head import find_head, without_outliers
from epitome_kit.preprocess.intensity import normalise_intensity
from epitome_kit.preprocess.quality import compare_with_truth, measure_without_truth
from epitome_kit.preprocess.registration import centre_on_template, register_affine, register_rigid, template_grid
from epitome_kit.preprocess.skull_stripping import describe_method, strip_with_warnings
from epitome_kit.sidecars import sidecar_path

STEPS = ("strip", "bias", "register", "normalise")
"""Steps of preprocessing, in order."""

OPTIONS = ("deform",)
"""Steps that are done only when asked for."""

_HEAD_MM = (240.0, 240.0, 145.0)


def describe_steps(steps=STEPS, method="network"):
    """List the parameters of each step, to be kept with what it made.

    Parameters
    ----------
    steps : sequence of str, default=STEPS
        Those that are done.
    method : str, default="network"
        How the skull is stripped.

    Returns
    -------
    dict of str to dict or None
        None for a step that is left out; an option only where it is done.
    """
    parameters = {
        "strip": describe_method(method) if "strip" in steps else None,
        "bias": bias_field.PARAMETERS,
        "register": registration.PARAMETERS,
        "normalise": intensity.PARAMETERS,
        "deform": deformation.PARAMETERS,
    }
    listed = [*STEPS, *(step for step in OPTIONS if step in steps)]
    return {step: parameters[step] if step in steps else None for step in listed}


def registration_reference(subject):
    """Contrast to which the others are registered: the one with the annotation, else the reference contrast."""
    return subject.annotated_on or reference_contrast(subject.images)


def assign_nominal_voxel_size(image):
    """Give a scan without a voxel size that of a usual head scan, 240 x 240 x 145 mm.

    Good enough to find a brain and to start a registration; never to measure.
    A scan that knows its voxel size is returned as it is.

    Parameters
    ----------
    image : Nifti1Image

    Returns
    -------
    Nifti1Image
        Still marked as of unknown voxel size.
    """
    if voxel_size_known(image):
        return image
    directions = image.affine[:3, :3] / nib.affines.voxel_sizes(image.affine)
    axes = [int(axis) for axis, _ in nib.io_orientation(image.affine)]
    steps = [_HEAD_MM[axis] / n for axis, n in zip(axes, image.shape, strict=True)]
    matrix = directions * steps
    affine = nib.affines.from_matvec(matrix, -matrix @ ((np.array(image.shape) - 1) / 2))
    return nib.Nifti1Image(image.dataobj, affine, image.header)


def preprocess_subject(subject, files, *, steps, spacing_mm, threads=1):
    """Preprocess one subject and write its part of the derivative, but for its record.

    Parameters
    ----------
    subject : Subject
    files : Preprocessed
        Where the files go.
    steps : dict of str to dict or None
        As :func:`describe_steps` lists them.
    spacing_mm : float
        Voxel size of the template grid.
    threads : int, default=1
        Contrasts to work on at a time; the result is the same.

    Returns
    -------
    dict of str to value
        ``participant_id``, the measures of quality, ``taken_as``, which is "head",
        "stripped before" or "not stripped", and ``warnings``, a list of sentences.

    Raises
    ------
    ImageError
        A scan or mask cannot be used.
    """
    originals, warnings = {}, []
    for name, path in subject.images.items():
        originals[name], said = _as_array_image(load_image(path, where="preprocess"))
        warnings += [f"{name}: {each}" for each in said]
    images = {name: assign_nominal_voxel_size(image) for name, image in originals.items()}
    lead = registration_reference(subject)
    mask, taken_as, said = _strip(images[lead], steps)
    warnings += [f"{lead}: {each}" for each in said]
    corrected, to_template = {}, {}
    corrected[lead], field = _correct(images[lead], mask, steps)
    others = [name for name in images if name != lead]
    stay = {name: not steps["register"] or _aligned(subject, name, lead, images) for name in others}
    jobs = [delayed(_register_to_reference)(images[name], corrected[lead], mask, steps, stay[name]) for name in others]
    jobs.append(delayed(_to_template)(corrected[lead], mask, steps))
    *followed, to_template[lead] = Parallel(threads, prefer="threads")(jobs)
    for name, (moved, to_lead) in zip(others, followed, strict=True):
        corrected[name], to_template[name] = moved, to_template[lead] @ to_lead

    grid = template_grid(spacing_mm)
    brain = _carry(mask, grid, to_template[lead])
    warnings += alarms.uncovered({name: (images[name], to_template[name]) for name in others}, brain)
    for name, image in corrected.items():
        on_template = resample(image, *grid, transform=to_template[name], smooth=True)
        save_image(_normalise(on_template, brain, steps), files.scan(name))
        write_json(sidecar_path(files.scan(name)), _sidecar(steps))
        write_matrix(files.transform(name), to_template[name])
    if steps.get("deform"):
        save_image(register_deformable(corrected[lead], to_template[lead]), files.deformation(lead))
    if field is not None:
        _save_field(field, files.bias(lead))
    save_image(image_like(np.asarray(mask.dataobj), originals[lead]), files.mask("desc-brain", space=lead))
    write_json(sidecar_path(files.mask("desc-brain", space=lead)), {"Type": "Brain", "SpatialReference": "orig"})
    save_image(brain, files.mask("desc-brain"))
    _carry_annotation(subject, originals[lead], images[lead], grid, to_template[lead], files)
    quality = measure_without_truth(mask, field, brain, stripped=steps["strip"] is not None)
    if steps["register"]:
        warnings += alarms.unlike_template(quality["template_dice"])
    return {
        "participant_id": subject.id,
        **compare_with_truth(subject, lead, mask, field, to_template[lead]),
        **quality,
        "taken_as": taken_as,
        "warnings": warnings,
    }


def _as_array_image(image):
    """Hold the voxels of a scan in memory, outliers cut: its file would be unpacked anew for every step."""
    data = np.asarray(image.dataobj, np.float32)
    held = nib.Nifti1Image(data, image.affine, image.header, file_map=image.file_map)
    held, count = without_outliers(held)
    return held, alarms.outliers(count)


def _strip(image, steps):
    """Return the mask, what the scan was taken as, and the warnings."""
    if steps["strip"]:
        return strip_with_warnings(image, steps["strip"]["method"])
    return find_head(image), "not stripped", ()


def _to_template(scan, mask, steps):
    return register_affine(scan, mask) if steps["register"] else centre_on_template(mask)


def _register_to_reference(image, lead, mask, steps, stays):
    """Bring a contrast to the one that leads, and correct it; return it and its transform."""
    to_lead = np.eye(4) if stays else register_rigid(image, lead, mask)
    carried = resample(mask, image.affine, image.shape, transform=np.linalg.inv(to_lead), order=0)
    return _correct(image, carried, steps)[0], to_lead


def _correct(image, mask, steps):
    return correct_bias(image, mask) if steps["bias"] else (image, None)


def _normalise(image, brain, steps):
    if steps["normalise"]:
        return normalise_intensity(image, brain)
    return image_like(np.asarray(image.dataobj, np.float32) * np.asarray(brain.dataobj), image)


def _sidecar(steps):
    return {
        "SkullStripped": steps["strip"] is not None,
        "SpatialReference": f"{SPACE}, affine" if steps["register"] else f"centred on {SPACE}, not registered",
        "Steps": steps,
    }


def _aligned(subject, name, lead, images):
    """Whether the origin says that two contrasts were brought together already."""
    sidecar = sidecar_path(subject.images[name])
    stated = sidecar.is_file() and read_json(sidecar).get("CoregisteredAtOrigin", False)
    return stated and same_grid(images[name], images[lead])


def _carry(mask, grid, transform):
    carried = resample(mask, *grid, transform=transform)
    return nib.Nifti1Image((np.asarray(carried.dataobj) > 0.5).astype(np.uint8), carried.affine)


def _carry_annotation(subject, original, image, grid, transform, files):
    """Bring the tumour mask, and the part of space that was annotated, to the template grid."""
    if subject.annotation is None:
        return
    drawn = np.asarray(load_mask(subject.annotation, like=original, where="preprocess").dataobj)
    seen = np.ones_like(drawn)
    if subject.annotated_slices is not None:
        seen[:] = 0
        seen[:, :, list(subject.annotated_slices)] = 1
    for name, data in (("label-tumour", drawn), ("desc-annotated", seen)):
        save_image(_carry(nib.Nifti1Image(data, image.affine), grid, transform), files.mask(name))


def _save_field(field, path):
    compact = nib.Nifti1Image(np.asarray(field.dataobj), field.affine)
    compact.set_data_dtype(np.int16)
    save_image(compact, path)
