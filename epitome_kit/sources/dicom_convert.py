"""One DICOM volume to an image that keeps the geometry and nothing of the person."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.files import read_json
from epitome_kit.images import load_image
from epitome_kit.sources.dicom_files import START
from epitome_kit.sources.dicom_geometry import check_place
from epitome_kit.system import symlink_or_copy

_OPTIONS = ("-g", "i", "-b", "y", "-ba", "y", "-z", "n", "-x", "i", "-d", "0", "-f", "scan")
_LIMIT_S = 600
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


def convert(volume):
    """Convert one volume with dcm2niix.

    Parameters
    ----------
    volume : epitome_kit.sources.dicom_headers.Volume

    Returns
    -------
    Nifti1Image
        Slices along the third axis, in the order of their places; free text of
        the header is left behind. Where the headers give no size of pixels, marked
        as of unknown voxel size.

    Raises
    ------
    ImageError
        The volume has a fault, or dcm2niix makes no image of it, or one that lies
        elsewhere than the headers say.

    References
    ----------
    Li et al., J Neurosci Methods 2016, doi:10.1016/j.jneumeth.2016.03.001
    """
    if volume.fault:
        raise ImageError("import", *volume.fault, "export the series again")
    with tempfile.TemporaryDirectory(prefix="epitome-dicom-") as folder:
        source, out = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        out.mkdir()
        for index, path in enumerate(volume.files):
            _stage(path.resolve(), source / f"{index:05d}.dcm")
        merge = "y" if len(volume.files) == volume.slices else "2"
        command = [dcm2niix.bin, *_OPTIONS, "-m", merge, "-o", str(out), str(source)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise _no_image(volume, f"nothing within {_LIMIT_S} s") from error
        made = [path for path in sorted(out.glob("scan*.nii")) if "_Eq" not in path.name]
        made = [path for path in made if _same_echo(path, volume)] if len(made) > 1 else made
        images = [image for image in map(nib.load, made) if image.ndim == 3 and image.shape[2] == volume.slices]
        if len(images) != 1:
            shapes = ", ".join("x".join(map(str, nib.load(path).shape)) for path in made)
            raise _no_image(volume, f"images {shapes}" if made else _last_line(run))
        return check_place(without_text(load_image(images[0], where="import")), volume)


def describe(volume):
    """Describe how a volume was acquired, for the sidecar of its scan.

    Parameters
    ----------
    volume : epitome_kit.sources.dicom_headers.Volume

    Returns
    -------
    dict
        BIDS names, times in seconds; nothing that names a person, a place or a day.
    """
    notes = {}
    for name, (title, factor) in _KEPT.items():
        value = volume.physics[name]
        if value not in (None, ""):
            notes[title] = value if isinstance(value, str) else round(value * factor, 6)
    if volume.echo_ms:
        notes["EchoTime"] = round(volume.echo_ms / 1000, 6)
    if volume.physics["pixel_mm"] is None:
        notes["VoxelSizeKnown"] = False
    return notes


def without_text(image):
    """Put the voxels of an image under a new header, which says nothing but geometry.

    Parameters
    ----------
    image : Nifti1Image

    Returns
    -------
    Nifti1Image
        Converters write times and comments into their headers; they are gone.
    """
    data = np.asarray(image.dataobj)
    clean = nib.Nifti1Image(data.astype(_usual_type(data)), image.affine)
    clean.header.set_xyzt_units("mm")
    return clean


def _usual_type(data):
    """Type for the voxels of a scan that every tool reads: of 64 bits or more, the one of 32 that holds them."""
    if data.dtype.kind == "b":
        return np.uint8
    if data.dtype.itemsize < 8:
        return data.dtype
    if data.dtype.kind in "iu":
        kind = np.int32 if data.size and data.min() < 0 else np.uint32
        if not data.size or np.iinfo(kind).min <= data.min() and data.max() <= np.iinfo(kind).max:
            return np.int32 if not data.size or data.max() <= np.iinfo(np.int32).max else kind
    return np.float32


def _stage(path, target):
    """Give a file a name of no meaning, and the start that the converter asks for; linked where possible."""
    with path.open("rb") as stream:
        start = stream.read(START)
        if start[128:] != b"DICM" and start[:2] == _META_GROUP:
            with target.open("wb") as whole:
                whole.write(bytes(128) + b"DICM" + start)
                shutil.copyfileobj(stream, whole)
            return
    symlink_or_copy(path, target)


def _same_echo(path, volume):
    try:
        echo = read_json(path.with_suffix(".json")).get("EchoTime")
    except (OSError, ValueError):
        return False
    return echo is not None and abs(1000 * echo - (volume.echo_ms or 0)) < _ECHO_TOLERANCE_MS


def _no_image(volume, received):
    return ImageError(
        "import",
        f"one image of {volume.slices} slices from {volume.title}",
        received,
        "export the series again, uncompressed, and look at it in a viewer",
    )


def _last_line(run):
    """Pick what dcm2niix said last, without the names of its folders."""
    lines = [line for line in (run.stderr + run.stdout).splitlines() if line.strip() and "/" not in line]
    return f"none ({lines[-1].strip()[:120]})" if lines else "none"
