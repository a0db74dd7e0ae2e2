"""Check that the header of a scan fits its file and a head, before voxels are read."""

import gzip
import math
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError
from epitome_kit.folders import open_file

MOST_VOXELS = 2**27
"""Maximum number of voxels of a scan: 512 x 512 x 512."""

LOST_VOXEL_SIZE = b"voxel size unknown"
"""Description in the header of a scan whose voxel size was lost."""

_GZIP_AT_MOST = 1032
"""Maximum compression ratio of gzip."""

_PADDED_TO = 512
"""Block size of a disk or tape, to which some programs pad files with zeros."""

_BLOCK = 1 << 20
_MOST_BEFORE_VOXELS = 2**24
_VOXEL_MM = 0.01, 100.0
_MOST_FIELD_MM = 5000.0
_MOST_ORIGIN_MM = 100_000.0
_LEAST_VOLUME = 1e-3
"""Smallest volume of a voxel, relative to a box with the same sides."""

_TEXTS = "data_type", "db_name", "descrip", "aux_file", "intent_name"


def nifti_header(start: bytes) -> nib.Nifti1Header:
    """Read the header of a NIfTI file without repairs.

    Parameters
    ----------
    start : bytes
        First bytes of the file, decompressed, with the whole header.

    Returns
    -------
    Nifti1Header
        A Nifti2Header for NIfTI-2.
    """
    kind = nib.Nifti2Header if start[4:8] in (b"n+2\0", b"ni2\0") else nib.Nifti1Header
    return kind(start[: kind.template_dtype.itemsize], check=False)


def check_header(path: Path, start: bytes, where: str) -> nib.Nifti1Header:
    """Read and check the header of a NIfTI file.

    Parameters
    ----------
    path : Path
        The file, to name in an error.
    start : bytes
        First bytes of the file, decompressed.
    where : str
        The step to name in an error.

    Returns
    -------
    Nifti1Header
        Not repaired.

    Raises
    ------
    ImageError
        The offset of the voxels is out of range, a voxel size is zero or less and there
        is no sform, or data type and bits per voxel disagree.
    """
    header = nifti_header(start)
    _check_bits(header, path, where)
    begin = float(header["vox_offset"])
    if not 0 <= begin <= _MOST_BEFORE_VOXELS:
        received = f"a voxel offset of {begin:.4g} bytes in {path.name}"
        raise ImageError(where, "a header of at most 16 MB", received, "convert the scan from DICOM again")
    sizes = header["pixdim"][1:4]
    if not header["sform_code"] and not (sizes > 0).all():
        received = f"a voxel size of {' x '.join(f'{size:g}' for size in sizes)} in {path.name}"
        raise ImageError(where, "voxel sizes above zero", received, "convert the scan from DICOM again")
    return header


def _check_bits(header: nib.Nifti1Header, path: Path, where: str) -> None:
    """Reject a header whose data type and bits per voxel disagree."""
    known = nib.nifti1.data_type_codes
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code in known.value_set("code") and header.get_data_dtype().itemsize * 8 not in (0, bits):
        received = f"{bits} bits per voxel of type {known.label[code]} in {path.name}"
        raise ImageError(
            where, "bits per voxel that match the data type", received, "convert the scan from DICOM again"
        )


def check_voxel_count(shape: Sequence[int], where: str, name: str) -> None:
    """Check the number of voxels.

    Parameters
    ----------
    shape : sequence of int
        As in the header.
    where, name : str
        The step and the file to name in an error.

    Raises
    ------
    ImageError
        More than :data:`MOST_VOXELS`.
    """
    if math.prod(int(n) for n in shape) > MOST_VOXELS:
        received = f"shape {tuple(map(int, shape))} in the header of {name}"
        raise ImageError(where, f"at most {MOST_VOXELS} voxels", received, "export only the scan of the head")


def check_file_size(claimed: int, held: int, packed: bool, where: str, name: str) -> None:
    """Check that a file can hold the number of bytes that its header requires.

    Parameters
    ----------
    claimed, held : int
        Number of bytes required by the header, and size of the file.
    packed : bool
        Whether the file is compressed.
    where, name : str
        The step and the file to name in an error.

    Raises
    ------
    ImageError
        The file is too small.
    """
    if claimed > held * (_GZIP_AT_MOST if packed else 1):
        received = f"{held} bytes in {name}, whose header requires {claimed}"
        raise ImageError(where, "a file with all of its voxels", received, "copy or download the file again")


def check_file_end(path: Path, claimed: int, packed: bool, where: str) -> list[str]:
    """Check that a file ends with its voxels; otherwise their offset may be wrong.

    Parameters
    ----------
    path : Path
        The file that holds the voxels.
    claimed : int
        Offset of the end of the voxels according to the header, in bytes.
    packed : bool
        Whether the file is gzip; sizes are those of the decompressed content.
    where : str
        The step to name in an error.

    Returns
    -------
    list of str
        A remark if the last block of 512 bytes is padded with zeros.

    Raises
    ------
    ImageError
        The file is longer, and the rest is not padding.
    """
    held = path.stat().st_size
    with open_file(path) as stream:
        if packed:  # the last four bytes of a single gzip member hold its decompressed size
            stream.seek(max(held - 4, 0))
            held = int.from_bytes(stream.read(4), "little")
    if held == claimed % 2**32 if packed else held <= claimed:
        return []
    more, zeros = 0, True
    with gzip.open(path) if packed else open_file(path) as stream:
        stream.seek(claimed)
        while block := stream.read(_BLOCK):
            more, zeros = more + len(block), zeros and not any(block)
            if more > MOST_VOXELS or not zeros:
                break
    if not more:
        return []
    if zeros and more < _PADDED_TO and (claimed + more) % _PADDED_TO == 0:
        return [f"{path.name} has {more} zeros after its voxels, read as padding"]
    received = f"{'at least ' * (not zeros)}{more} bytes more in {path.name} than its header requires"
    hint = "export the scan again: the voxel offset in the header may be wrong"
    raise ImageError(where, "a file that ends with its voxels", received, hint)


def check_header_plausible(
    image: nib.spatialimages.SpatialImage,
    where: str,
    *,
    affine: np.ndarray | None = None,
    name: str | None = None,
) -> None:
    """Check number of voxels, file size and affine of a scan.

    Parameters
    ----------
    image : SpatialImage
        Shape (i, j, k); from a file or in memory.
    where : str
        The step to name in an error.
    affine : ndarray, shape (4, 4), default=None
        Voxel to mm, if not that of the image.
    name : str, default=None
        Name of the file, for an error; None for the file name of the image.

    Raises
    ------
    ImageError
        Too many voxels, a file that is too small, an affine that cannot be inverted, or a
        voxel size, field of view or origin that is impossible for a scan of a head.
    """
    path = image.file_map["image"].filename if getattr(image, "file_map", None) else None
    name = name or (Path(path).name if path else "an image in memory")
    check_voxel_count(image.shape, where, name)
    if path and isinstance(image.dataobj, nib.arrayproxy.ArrayProxy):
        claimed = math.prod(image.shape) * image.get_data_dtype().itemsize + int(image.dataobj.offset)
        packed = str(path).lower().endswith(("gz", "mgz"))
        check_file_size(claimed, Path(path).stat().st_size, packed, where, name)
    _check_affine(image, image.affine if affine is None else affine, where, name)


def _check_affine(image: nib.spatialimages.SpatialImage, affine: np.ndarray, where: str, name: str) -> None:
    sizes = np.linalg.norm(affine[:3, :3], axis=0) if np.isfinite(affine).all() else np.zeros(3)
    if not sizes.all() or abs(np.linalg.det(affine[:3, :3] / sizes)) < _LEAST_VOLUME:
        raise ImageError(
            where,
            "an affine that can be inverted",
            f"{np.round(affine, 3).tolist()} from {name}",
            "convert the scan from DICOM again, or repair its header with `nibabel`",
        )
    field = sizes * image.shape[:3]
    fits = _VOXEL_MM[0] <= sizes.min() and sizes.max() <= _VOXEL_MM[1] and field.max() <= _MOST_FIELD_MM
    if not fits or np.abs(affine[:3, 3]).max() > _MOST_ORIGIN_MM:
        raise ImageError(
            where,
            f"voxels of {_VOXEL_MM[0]} to {_VOXEL_MM[1]:g} mm, and a field of view of at most {_MOST_FIELD_MM:g} mm",
            f"{' x '.join(f'{size:.4g}' for size in sizes)} mm, shape {image.shape[:3]}, "
            f"origin {' '.join(f'{place:.4g}' for place in affine[:3, 3])} from {name}",
            "convert the scan from DICOM again; its unit may not be mm",
        )


def strip_header_text(header: nib.Nifti1Header) -> None:
    """Remove free text, which may contain names and dates, from a header in place.

    Parameters
    ----------
    header : Nifti1Header
        Geometry, scaling and :data:`LOST_VOXEL_SIZE` are kept.
    """
    known = bytes(header["descrip"]).rstrip(b"\0") != LOST_VOXEL_SIZE
    for field in _TEXTS:
        if field in header.keys() and (known or field != "descrip"):  # noqa: SIM118  a header is not a mapping
            header[field] = b""
    header.extensions.clear()
