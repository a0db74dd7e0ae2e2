"""The whole of preprocessing, subject by subject: strip, correct, register, normalise."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from epitome_kit.cohort import BIDS_VERSION, CONTRASTS
from epitome_kit.errors import BadCohort, EpitomeError
from epitome_kit.files import checksum, read_json, write_json, write_text, write_tsv
from epitome_kit.images import (
    image_like,
    load_image,
    load_mask,
    resample,
    same_grid,
    save_image,
    voxel_size_known,
)
from epitome_kit.overlap import dice
from epitome_kit.preprocess.bias_field import correct_bias
from epitome_kit.preprocess.intensity import normalise_intensity
from epitome_kit.preprocess.registration import register_affine, register_rigid, template_grid
from epitome_kit.preprocess.skull_strip import skull_strip
from epitome_kit.progress import for_each

SPACE = "MNI152NLin2009aSym"
"""BIDS name of the ICBM152 template that nilearn ships."""

QUALITY = ("brain_mask_dice", "bias_residual_sd", "registration_error_mm", "brain_volume_ml", "seconds")
_HEAD_MM = (240.0, 240.0, 145.0)


def preprocess_cohort(cohort, out, *, spacing_mm=3.0, workers=1):
    """Strip, correct, register and normalise every subject, and write a BIDS derivative.

    The scan that the tumour was drawn on leads: it is stripped and registered
    to the ICBM152 template, and the other contrasts follow it rigidly. A
    subject that fails is left out by name and reason. Finished subjects are
    kept on the next call as long as their scans and the settings are the same.

    Parameters
    ----------
    cohort : Cohort
    out : path
        Folder of the derivative.
    spacing_mm : float, default=3.0
        Voxel size of the template grid.
    workers : int, default=1
        Processes.

    Returns
    -------
    DataFrame
        One row a subject, as written to ``quality.tsv``: ``participant_id`` and
        the columns of :data:`QUALITY`; the first three are missing where no
        truth is known.

    Raises
    ------
    BadCohort
        No subject could be preprocessed.
    """
    out = Path(out)
    work = partial(_attempt, out=out, spacing_mm=float(spacing_mm))
    kept = {subject.id: _kept(subject, Preprocessed(out, subject.id), float(spacing_mm)) for subject in cohort}
    missing = [subject for subject in cohort if kept[subject.id] is None]
    made = for_each(work, missing, title="Preprocessing", workers=workers)
    kept.update({subject.id: result for subject, result in zip(missing, made, strict=True)})
    results = list(kept.values())
    rows = [result for result in results if "reason" not in result]
    excluded = [result for result in results if "reason" in result]
    write_tsv(out / "excluded.tsv", pd.DataFrame(excluded, columns=["id", "reason"]))
    if not rows:
        raise BadCohort(
            "preprocess_cohort",
            "at least one subject that can be preprocessed",
            f"{len(excluded)} of {len(cohort)} excluded; {excluded[0]['id']}: {excluded[0]['reason']}",
            f"read {out / 'excluded.tsv'} for the reason of each",
        )
    _describe(out, cohort)
    quality = pd.DataFrame(rows)[["participant_id", *QUALITY]]
    write_tsv(out / "quality.tsv", quality)
    return quality


@dataclass(frozen=True)
class Preprocessed:
    """Where the derivative of one subject keeps its files.

    Attributes
    ----------
    folder : Path
    id : str
    """

    folder: Path
    id: str

    def scan(self, contrast):
        """Normalised scan on the template grid."""
        *entities, suffix = CONTRASTS[contrast].split("_")
        return self._file("_".join([*entities, f"space-{SPACE}", "desc-preproc", suffix]))

    def mask(self, name, *, space=SPACE):
        """Mask such as ``desc-brain``, ``label-tumour`` or ``desc-annotated``."""
        return self._file(f"space-{space}_{name}_mask")

    def bias(self, contrast):
        """Bias field of one contrast on the grid of its scan."""
        return self._file(f"space-{contrast}_biasfield")

    def transform(self, contrast):
        """Affine from scan mm to ICBM152 mm, as text."""
        return self._file(f"from-{contrast}_to-{SPACE}_mode-image_xfm", ".txt")

    @property
    def record(self):
        """Settings and quality, written when everything else is."""
        return self._file("desc-preproc_quality", ".json")

    def _file(self, name, suffix=".nii.gz"):
        return self.folder / self.id / "anat" / f"{self.id}_{name}{suffix}"


def lead_contrast(subject):
    """Contrast that leads: the one that the tumour was drawn on, else the first there is."""
    return subject.annotated_on or next(iter(subject.images))


def give_nominal_size(image):
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


def _settings(subject, spacing_mm):
    sources = [*subject.images.values(), *([subject.annotation] if subject.annotation else [])]
    return {"spacing_mm": spacing_mm, "inputs": checksum(*sources)}


def _kept(subject, files, spacing_mm):
    """Quality of a subject that was finished with these scans and settings, else None."""
    if not files.record.is_file():
        return None
    found = read_json(files.record)
    try:
        return found["quality"] if found["settings"] == _settings(subject, spacing_mm) else None
    except OSError:  # a scan cannot be read any more: the attempt says so by name
        return None


def _attempt(subject, *, out, spacing_mm):
    """Preprocess one subject, or say why it cannot be."""
    files = Preprocessed(out, subject.id)
    files.record.unlink(missing_ok=True)
    try:
        quality = _preprocess_subject(subject, files, spacing_mm)
        write_json(files.record, {"settings": _settings(subject, spacing_mm), "quality": quality})
    except EpitomeError as error:
        return {"id": subject.id, "reason": error.reason}
    except (OSError, ValueError, RuntimeError) as error:
        return {"id": subject.id, "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    return quality


def _preprocess_subject(subject, files, spacing_mm):
    started = time.monotonic()
    originals = {name: load_image(path, where="preprocess") for name, path in subject.images.items()}
    images = {name: give_nominal_size(image) for name, image in originals.items()}
    lead = lead_contrast(subject)
    mask = skull_strip(images[lead])
    corrected, fields = {}, {}
    corrected[lead], fields[lead] = correct_bias(images[lead], mask)
    to_template = {lead: register_affine(corrected[lead], mask)}
    for name in images:
        if name == lead:
            continue
        to_lead = np.eye(4)
        if not _aligned(subject, name, lead, images):
            to_lead = register_rigid(images[name], corrected[lead], mask)
        carried = resample(mask, images[name].affine, images[name].shape, transform=np.linalg.inv(to_lead), order=0)
        corrected[name], fields[name] = correct_bias(images[name], carried)
        to_template[name] = to_template[lead] @ to_lead

    grid = template_grid(spacing_mm)
    brain = _carry(mask, grid, to_template[lead])
    for name, image in corrected.items():
        on_template = resample(image, *grid, transform=to_template[name])
        save_image(normalise_intensity(on_template, brain), files.scan(name))
        write_text(files.transform(name), _as_text(to_template[name]))
    _save_field(fields[lead], files.bias(lead))
    save_image(image_like(np.asarray(mask.dataobj), originals[lead]), files.mask("desc-brain", space=lead))
    save_image(brain, files.mask("desc-brain"))
    _carry_annotation(subject, originals[lead], images[lead], grid, to_template[lead], files)
    known = voxel_size_known(originals[lead])
    volume_ml = float(np.sum(mask.dataobj) * abs(np.linalg.det(mask.affine[:3, :3])) / 1000) if known else None
    return {
        "participant_id": subject.id,
        **_compare_with_truth(subject, lead, mask, fields[lead], to_template[lead]),
        "brain_volume_ml": volume_ml,
        "seconds": round(time.monotonic() - started, 2),
    }


def _aligned(subject, name, lead, images):
    """Whether the origin says that two contrasts were brought together already."""
    sidecar = subject.images[name].with_suffix("").with_suffix(".json")
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


def _compare_with_truth(subject, lead, mask, field, to_template):
    if subject.truth is None:
        return dict.fromkeys(QUALITY[:3])
    prefix = f"{subject.id}_space-{lead}"
    brain = np.asarray(load_mask(subject.truth / f"{prefix}_desc-brain_mask.nii.gz").dataobj) > 0
    found = np.asarray(mask.dataobj) > 0
    bias = np.asarray(load_image(subject.truth / f"{prefix}_biasfield.nii.gz").dataobj)
    residual = np.log(bias[brain]) - np.log(np.asarray(field.dataobj)[brain])
    truth = np.loadtxt(subject.truth / f"{subject.id}_from-{lead}_to-{SPACE}_mode-image_xfm.txt")
    return {
        "brain_mask_dice": dice(brain, found),
        "bias_residual_sd": float(residual.std()),
        "registration_error_mm": registration_error_mm(to_template, truth, mask),
    }


def registration_error_mm(estimated, truth, mask):
    """Mean distance over a mask between where two transforms send its voxels, in mm.

    Parameters
    ----------
    estimated, truth : ndarray, shape (4, 4)
    mask : Nifti1Image

    Returns
    -------
    float
    """
    points = nib.affines.apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0))
    difference = nib.affines.apply_affine(estimated, points) - nib.affines.apply_affine(truth, points)
    return float(np.linalg.norm(difference, axis=1).mean())


def _save_field(field, path):
    compact = nib.Nifti1Image(np.asarray(field.dataobj), field.affine)
    compact.set_data_dtype(np.int16)
    save_image(compact, path)


def _as_text(matrix):
    return "\n".join(" ".join(f"{value:.8f}" for value in row) for row in matrix) + "\n"


def _describe(out, cohort):
    description = {
        "Name": f"{cohort.name}: preprocessed",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "epitome_kit"}],
    }
    write_json(out / "dataset_description.json", description)
    write_tsv(out / "participants.tsv", cohort.participants.reset_index())
