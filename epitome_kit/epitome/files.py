"""Save and load learned epitomes: NIfTI images for each contrast, and a JSON record."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.epitome.model import LearnedEpitome
from epitome_kit.errors import ImageError
from epitome_kit.files import Json, PathLike, read_json
from epitome_kit.images import load_image, save_image
from epitome_kit.resume import Record

_FIELDS = ("mean", "variance")


def record_path(folder: PathLike, name: str) -> Path:
    """Return the path of the record of a learned epitome, which is written last."""
    return Path(folder) / f"{name}_desc-epitome.json"


def save_epitome(
    epitome: LearnedEpitome,
    folder: PathLike,
    name: str,
    *,
    spacing_mm: float | Sequence[float] | np.ndarray,
    notes: Json | None = None,
    record: Record | None = None,
) -> dict[str, Path]:
    """Write a learned epitome as NIfTI: mean and variance of each contrast, and the usage.

    Parameters
    ----------
    epitome : LearnedEpitome
        From :func:`epitome_kit.learn_epitome`.
    folder : path
        Folder to write to.
    name : str
        Prefix of the file names, such as ``"sub-001"`` or ``"grade-2"``.
    spacing_mm : float or (float, float, float)
        Voxel size of the scans from which it was learned.
    notes : dict, default=None
        Additional entries of the record.
    record : Record, default=None
        Settings and inputs to record, by which the epitome is kept on the next call.

    Returns
    -------
    dict of str to Path
        Paths by ``"mean T2w"``, ``"variance T2w"`` and so on, and ``"usage"``.
    """
    affine = np.diag([*np.broadcast_to(spacing_mm, 3), 1.0])
    images = {
        f"{field} {contrast}": getattr(epitome, field)[..., number]
        for number, contrast in enumerate(epitome.contrasts)
        for field in _FIELDS
    }
    images["usage"] = epitome.usage
    paths = {key: _image_path(folder, name, key) for key in images}
    for key, data in images.items():
        save_image(nib.Nifti1Image(data.astype(np.float32), affine), paths[key])
    about = {"patch": epitome.patch, "contrasts": epitome.contrasts, "history": epitome.history}
    record = record or Record(record_path(folder, name), {})
    replace(record, outputs=list(paths.values())).finish(**about, **(notes or {}))
    return paths


def load_epitome(folder: PathLike, name: str) -> LearnedEpitome:
    """Load a learned epitome written by :func:`save_epitome`.

    Parameters
    ----------
    folder : path
        Folder of the epitome.
    name : str
        Prefix of the file names.

    Returns
    -------
    LearnedEpitome
        Means, variances and usage.

    Raises
    ------
    ImageError
        The epitome or one of its images is missing.
    """
    path = record_path(folder, name)
    if not path.is_file():
        raise ImageError(
            "load_epitome", f"a learned epitome of {name}", f"no {path.name} in {folder}", "run `epitome extract`"
        )
    about = read_json(path)
    contrasts = tuple(about["contrasts"])
    mean, variance = (
        np.stack([_read(folder, name, f"{field} {contrast}") for contrast in contrasts], axis=-1) for field in _FIELDS
    )
    usage = _read(folder, name, "usage")
    return LearnedEpitome(mean, variance, usage, tuple(about["patch"]), contrasts, tuple(about["history"]))


def _image_path(folder: PathLike, name: str, key: str) -> Path:
    """Return a path with BIDS entities, such as ``sub-001_stat-mean_desc-epitome_T2w.nii.gz``."""
    field, _, contrast = key.partition(" ")
    bids = CONTRASTS[contrast].bids if contrast in CONTRASTS else contrast or "usage"
    *entities, suffix = bids.split("_")
    statistic = [f"stat-{field}"] if contrast else []
    return Path(folder) / ("_".join([name, *entities, *statistic, "desc-epitome", suffix]) + ".nii.gz")


def _read(folder: PathLike, name: str, key: str) -> np.ndarray:
    image = load_image(_image_path(folder, name, key), where="load_epitome", check_voxels=False)
    return np.asarray(image.dataobj, float)
