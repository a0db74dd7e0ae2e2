"""Convert a DICOM volume to an image with its geometry and without personal data."""

import shutil
import subprocess
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.files import Json, read_json
from epitome_kit.folders import open_file
from epitome_kit.images import load_image
from epitome_kit.limits import run_limited
from epitome_kit.sources.dicom_files import START
from epitome_kit.sources.dicom_geometry import check_place
from epitome_kit.sources.dicom_headers import Volume
from epitome_kit.system import symlink_or_copy
from epitome_kit.temporary import temporary_folder

_OPTIONS = ("-g", "i", "-b", "y", "-ba", "y", "-z", "n", "-x", "i", "-d", "0", "-f", "scan")
_LIMIT_S, _MOST_MEMORY, _MOST_FILE = 600, 8 * 2**30, 4 * 2**30
_ECHO_TOLERANCE_MS = 0.5
_META_GROUP = b"\2\0"

_KEPT = {
    "modality": ("Modality", 1),
    "manufacturer": ("Manufacturer", 1),
    "model": ("ManufacturersModelName", 1),
    "field_t": ("MagneticFieldStrength", 1),
    "acquisition": ("MRAcquisitionType", 1),
    "repetition_ms": ("RepetitionTime", 1e-3),
    "inversion_ms": ("InversionTime", 1e-3),
    "flip_deg": ("FlipAngle", 1),
    "thickness_mm": ("SliceThickness", 1),
}


def convert(volume: Volume) -> nib.Nifti1Image:
    """Convert one volume with dcm2niix.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    Nifti1Image
        Slices along the third axis, sorted by position, without the free text of the
        header. If the headers give no pixel size, marked as of unknown voxel size.

    Raises
    ------
    ImageError
        The volume has a defect, or dcm2niix creates no image, or an image at another
        position than stated in the headers.

    References
    ----------
    Li et al., J Neurosci Methods 2016, doi:10.1016/j.jneumeth.2016.03.001
    """
    if volume.defect:
        expected, received = volume.defect
        raise ImageError("import", expected, received, "export the series again")
    with temporary_folder() as folder:
        source, out = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        out.mkdir()
        for index, path in enumerate(volume.files):
            _stage(path.resolve(), source / f"{index:05d}.dcm")
        merge = "y" if len(volume.files) == volume.slices else "2"
        command = [dcm2niix.bin, *_OPTIONS, "-m", merge, "-o", str(out), str(source)]
        try:
            run = run_limited(command, seconds=_LIMIT_S, memory_bytes=_MOST_MEMORY, file_bytes=_MOST_FILE)
        except subprocess.TimeoutExpired as error:
            raise _no_image(volume, f"nothing within {_LIMIT_S} s") from error
        made = [path for path in sorted(out.glob("scan*.nii")) if "_Eq" not in path.name]
        made = [path for path in made if _same_echo(path, volume)] if len(made) > 1 else made
        converted = [nib.Nifti1Image.from_filename(path) for path in made]
        images = [image for image in converted if image.ndim == 3 and image.shape[2] == volume.slices]
        if len(images) != 1:
            shapes = ", ".join("x".join(map(str, image.shape)) for image in converted)
            raise _no_image(volume, f"images {shapes}" if made else _last_line(run))
        return check_place(without_text(load_image(images[0], where="import")), volume)


def describe(volume: Volume) -> Json:
    """Describe the acquisition of a volume for the sidecar of its scan.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    dict
        Fields by BIDS name, times in seconds; without names, places and dates.
    """
    notes: Json = {}
    for name, (title, factor) in _KEPT.items():
        value = volume.physics[name]
        if value not in (None, ""):
            notes[title] = value if isinstance(value, str) else round(value * factor, 6)
    if volume.echo_ms:
        notes["EchoTime"] = round(volume.echo_ms / 1000, 6)
    if volume.physics["pixel_mm"] is None:
        notes["VoxelSizeKnown"] = False
    return notes


def without_text(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Copy an image with a new header that contains its geometry only.

    Parameters
    ----------
    image : Nifti1Image

    Returns
    -------
    Nifti1Image
        Without the times and comments that converters write into headers.
    """
    data = np.asarray(image.dataobj)
    clean = nib.Nifti1Image(data.astype(_usual_type(data)), image.affine)
    clean.header.set_xyzt_units("mm")
    return clean


def _usual_type(data: np.ndarray) -> np.dtype:
    """Return a voxel type that every tool reads; types of 64 bits or more become 32 bits where values fit."""
    if data.dtype.kind == "b":
        return np.dtype(np.uint8)
    if data.dtype.itemsize < 8:
        return data.dtype
    for kind in (np.int32, np.uint32) if data.dtype.kind in "iu" else ():
        if not data.size or np.iinfo(kind).min <= data.min() and data.max() <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.float32)


def _stage(path: Path, target: Path) -> None:
    """Link a file, or copy it if that fails or if the preamble that dcm2niix requires is missing."""
    with open_file(path) as stream:
        start = stream.read(START)
        if start[128:] != b"DICM" and start[:2] == _META_GROUP:
            with target.open("wb") as whole:
                whole.write(bytes(128) + b"DICM" + start)
                shutil.copyfileobj(stream, whole)
            return
    symlink_or_copy(path, target)


def _same_echo(path: Path, volume: Volume) -> bool:
    try:
        echo = read_json(path.with_suffix(".json")).get("EchoTime")
    except (OSError, ValueError):
        return False
    return echo is not None and abs(1000 * echo - (volume.echo_ms or 0)) < _ECHO_TOLERANCE_MS


def _no_image(volume: Volume, received: str) -> ImageError:
    return ImageError(
        "import",
        f"one image of {volume.slices} slices from {volume.title}",
        received,
        "export the series again, uncompressed, and look at it in a viewer",
    )


def _last_line(run: subprocess.CompletedProcess[str]) -> str:
    """Return the last message of dcm2niix, without the names of its folders."""
    lines = [line for line in (run.stderr + run.stdout).splitlines() if line.strip() and "/" not in line]
    return f"none ({lines[-1].strip()[:120]})" if lines else "none"
