"""Preprocess one subject: strip, correct, register, normalise; each step can be left out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from joblib import Parallel, delayed

from epitome_kit.cohort import Subject
from epitome_kit.contrast_table import reference_contrast
from epitome_kit.files import Json, read_json, write_json, write_matrix
from epitome_kit.images import load_image, load_mask, new_image_like, resample, same_grid, save_image, voxel_size_known
from epitome_kit.io.geometry import SPACE
from epitome_kit.large import is_large, working_image, working_mask
from epitome_kit.preprocess import alarms, bias_field, deformation, intensity, registration
from epitome_kit.preprocess.bias_field import correct_bias
from epitome_kit.preprocess.deformation import register_deformable
from epitome_kit.preprocess.derivative import Preprocessed, Steps
from epitome_kit.preprocess.head import find_head, without_outliers
from epitome_kit.preprocess.intensity import normalise_intensity
from epitome_kit.preprocess.quality import compare_with_truth, measure_without_truth
from epitome_kit.preprocess.registration import centre_on_template, register_affine, register_rigid, template_grid
from epitome_kit.preprocess.skull_stripping import describe_method, strip_with_warnings
from epitome_kit.sidecars import sidecar_path

STEPS = ("strip", "bias", "register", "normalise")
"""Steps of preprocessing, in order."""

OPTIONS = ("deform",)
"""Optional steps."""

Grid = tuple[np.ndarray, tuple[int, ...]]
"""Affine and shape of a grid."""

_HEAD_MM = (240.0, 240.0, 145.0)


def describe_steps(steps: Sequence[str] = STEPS, method: str = "network") -> dict[str, Json | None]:
    """List the parameters of each step, to be recorded with the results.

    Parameters
    ----------
    steps : sequence of str, default=STEPS
        Steps to run.
    method : str, default="network"
        Method of skull stripping.

    Returns
    -------
    dict of str to dict or None
        None for a step that is left out; optional steps are listed only if they are run.
    """
    parameters: dict[str, Json | None] = {
        "strip": describe_method(method) if "strip" in steps else None,
        "bias": bias_field.PARAMETERS,
        "register": registration.PARAMETERS,
        "normalise": intensity.PARAMETERS,
        "deform": deformation.PARAMETERS,
    }
    listed = [*STEPS, *(step for step in OPTIONS if step in steps)]
    return {step: parameters[step] if step in steps else None for step in listed}


def registration_reference(subject: Subject) -> str:
    """Return the contrast to which the others are registered: the annotated one, else the reference contrast."""
    return subject.annotated_on or reference_contrast(subject.images)


def assign_nominal_voxel_size(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Assign the voxel size of a typical head scan of 240 x 240 x 145 mm if it is unknown.

    Sufficient for finding a brain and starting a registration, but not for measurements.

    Parameters
    ----------
    image : Nifti1Image
        Scan, with a known or an unknown voxel size.

    Returns
    -------
    Nifti1Image
        Still marked as of unknown voxel size; the same object if the voxel size is known.
    """
    if voxel_size_known(image):
        return image
    directions = image.affine[:3, :3] / nib.affines.voxel_sizes(image.affine)
    axes = [int(axis) for axis, _ in nib.io_orientation(image.affine)]
    steps = [_HEAD_MM[axis] / n for axis, n in zip(axes, image.shape, strict=True)]
    matrix = directions * steps
    affine = nib.affines.from_matvec(matrix, -matrix @ ((np.array(image.shape) - 1) / 2))
    return nib.Nifti1Image(image.dataobj, affine, image.header)


def preprocess_subject(
    subject: Subject, files: Preprocessed, *, steps: Steps, spacing_mm: float, threads: int = 1
) -> Json:
    """Preprocess one subject and write its files of the derivative, except the record.

    Parameters
    ----------
    subject : Subject
        Subject of a cohort.
    files : Preprocessed
        Paths of the files to write.
    steps : dict of str to dict or None
        As returned by :func:`describe_steps`.
    spacing_mm : float
        Voxel size of the template grid.
    threads : int, default=1
        Number of contrasts processed at a time; does not change the result.

    Returns
    -------
    dict
        ``participant_id``, the measures of quality, ``taken_as`` ("head",
        "stripped before" or "not stripped") and ``warnings``, a list of sentences.

    Raises
    ------
    ImageError
        A scan or mask cannot be used.
    """
    originals = {name: load_image(path, where="preprocess") for name, path in subject.images.items()}
    reference = registration_reference(subject)
    images: dict[str, nib.Nifti1Image] = {}
    warnings: list[str] = []
    for name, original in originals.items():
        scan, messages = _as_array_image(working_image(original, where="preprocess"))
        images[name] = assign_nominal_voxel_size(scan)
        warnings += [f"{name}: {each}" for each in messages]
    original = assign_nominal_voxel_size(originals[reference])
    whole_mask, taken_as, stripping_warnings = _strip(original if is_large(original) else images[reference], steps)
    warnings += [f"{reference}: {each}" for each in stripping_warnings]
    mask = working_mask(whole_mask)
    corrected: dict[str, nib.Nifti1Image] = {}
    to_template: dict[str, np.ndarray] = {}
    corrected[reference], field = _correct(images[reference], mask, steps)
    others = [name for name in images if name != reference]
    aligned = {name: not steps["register"] or _aligned_at_origin(subject, name, reference, images) for name in others}
    jobs = [
        delayed(_register_to_reference)(images[name], corrected[reference], mask, steps, aligned[name])
        for name in others
    ]
    jobs.append(delayed(_to_template)(corrected[reference], mask, steps))
    *registered, to_template[reference] = Parallel(threads, prefer="threads")(jobs)
    for name, (moved, to_reference) in zip(others, registered, strict=True):
        corrected[name], to_template[name] = moved, to_template[reference] @ to_reference

    grid = template_grid(spacing_mm)
    brain = _resample_mask(mask, grid, to_template[reference])
    warnings += alarms.coverage_warnings({name: (images[name], to_template[name]) for name in others}, brain)
    for name, image in corrected.items():
        on_template = resample(image, *grid, transform=to_template[name], smooth=True)
        save_image(_normalise(on_template, brain, steps), files.scan(name))
        write_json(sidecar_path(files.scan(name)), _sidecar(steps))
        write_matrix(files.transform(name), to_template[name])
    if steps.get("deform"):
        save_image(register_deformable(corrected[reference], to_template[reference]), files.deformation(reference))
    if field is not None:
        _save_field(field, files.bias(reference))
    save_image(
        new_image_like(np.asarray(whole_mask.dataobj), originals[reference]),
        files.mask("desc-brain", space=reference),
    )
    write_json(sidecar_path(files.mask("desc-brain", space=reference)), {"Type": "Brain", "SpatialReference": "orig"})
    save_image(brain, files.mask("desc-brain"))
    _resample_annotation(subject, originals[reference], original.affine, grid, to_template[reference], files)
    quality = measure_without_truth(whole_mask, field, brain, field_mask=mask, stripped=steps["strip"] is not None)
    if steps["register"]:
        warnings += alarms.template_warnings(quality["template_dice"])
    return {
        "participant_id": subject.id,
        **compare_with_truth(subject, reference, whole_mask, field, to_template[reference]),
        **quality,
        "taken_as": taken_as,
        "warnings": warnings,
    }


def _as_array_image(image: nib.Nifti1Image) -> tuple[nib.Nifti1Image, list[str]]:
    """Load the voxels of a scan into memory, so that its file is read only once, and clip outliers."""
    data = np.asarray(image.dataobj, np.float32)
    loaded = nib.Nifti1Image(data, image.affine, image.header, file_map=image.file_map)
    loaded, count = without_outliers(loaded)
    return loaded, alarms.outlier_warnings(count)


def _strip(image: nib.Nifti1Image, steps: Steps) -> tuple[nib.Nifti1Image, str, Sequence[str]]:
    """Return the mask, the input type of the scan, and the warnings."""
    if strip := steps["strip"]:
        return strip_with_warnings(image, strip["method"])
    return find_head(image), "not stripped", ()


def _to_template(scan: nib.Nifti1Image, mask: nib.Nifti1Image, steps: Steps) -> np.ndarray:
    return register_affine(scan, mask) if steps["register"] else centre_on_template(mask)


def _register_to_reference(
    image: nib.Nifti1Image, reference: nib.Nifti1Image, mask: nib.Nifti1Image, steps: Steps, aligned: bool
) -> tuple[nib.Nifti1Image, np.ndarray]:
    """Register a contrast to the reference, and correct it; return it and its transform."""
    to_reference = np.eye(4) if aligned else register_rigid(image, reference, mask)
    carried = resample(mask, image.affine, image.shape, transform=np.linalg.inv(to_reference), order=0)
    return _correct(image, carried, steps)[0], to_reference


def _correct(
    image: nib.Nifti1Image, mask: nib.Nifti1Image, steps: Steps
) -> tuple[nib.Nifti1Image, nib.Nifti1Image | None]:
    return correct_bias(image, mask) if steps["bias"] else (image, None)


def _normalise(image: nib.Nifti1Image, brain: nib.Nifti1Image, steps: Steps) -> nib.Nifti1Image:
    if steps["normalise"]:
        return normalise_intensity(image, brain)
    return new_image_like(np.asarray(image.dataobj, np.float32) * np.asarray(brain.dataobj), image)


def _sidecar(steps: Steps) -> Json:
    return {
        "SkullStripped": steps["strip"] is not None,
        "SpatialReference": f"{SPACE}, affine" if steps["register"] else f"centred on {SPACE}, not registered",
        "Steps": steps,
    }


def _aligned_at_origin(subject: Subject, name: str, reference: str, images: Mapping[str, nib.Nifti1Image]) -> bool:
    """Check whether the sidecar states that two contrasts were aligned at the origin."""
    sidecar = sidecar_path(subject.images[name])
    stated = sidecar.is_file() and read_json(sidecar).get("CoregisteredAtOrigin", False)
    return bool(stated) and same_grid(images[name], images[reference])


def _resample_mask(mask: nib.Nifti1Image, grid: Grid, transform: np.ndarray) -> nib.Nifti1Image:
    carried = resample(mask, *grid, transform=transform)
    return nib.Nifti1Image((np.asarray(carried.dataobj) > 0.5).astype(np.uint8), carried.affine)


def _resample_annotation(
    subject: Subject,
    original: nib.Nifti1Image,
    affine: np.ndarray,
    grid: Grid,
    transform: np.ndarray,
    files: Preprocessed,
) -> None:
    """Resample the tumour mask and the annotated region to the template grid."""
    if subject.annotation is None:
        return
    tumour = np.asarray(load_mask(subject.annotation, like=original, where="preprocess").dataobj)
    annotated = np.ones_like(tumour)
    if subject.annotated_slices is not None:
        annotated[:] = 0
        annotated[:, :, list(subject.annotated_slices)] = 1
    for name, data in (("label-tumour", tumour), ("desc-annotated", annotated)):
        save_image(_resample_mask(nib.Nifti1Image(data, affine), grid, transform), files.mask(name))


def _save_field(field: nib.Nifti1Image, path: Path) -> None:
    compact = nib.Nifti1Image(np.asarray(field.dataobj), field.affine)
    compact.set_data_dtype(np.int16)
    save_image(compact, path)
