"""What the header of a scan claims, held against its file and against what a head can be, before a voxel is read."""

import gzip
import math
from pathlib import Path

import nibabel as nib
import numpy as np

from epitome_kit.errors import ImageError

MOST_VOXELS = 2**27
"""A scan of a head has no more: 512 x 512 x 512."""

LOST_VOXEL_SIZE = b"voxel size unknown"
"""What a header says of a scan whose origin lost the voxel size."""

_GZIP_AT_MOST = 1032
"""Bytes that one byte of gzip can become."""

_PADDED_TO = 512
"""Bytes in a block of a disk or a tape, which some writers fill up with zeros."""

_BLOCK = 1 << 20
_MOST_BEFORE_VOXELS = 2**24
_VOXEL_MM = 0.01, 100.0
_MOST_FIELD_MM = 5000.0
_MOST_ORIGIN_MM = 100_000.0
_LEAST_VOLUME = 1e-3
"""Of a voxel, as a share of that of a box with the same sides."""

_TEXTS = "data_type", "db_name", "descrip", "aux_file", "intent_name"


def nifti_header(start):
    """Read the header of a NIfTI file as it stands there, nothing repaired.

    Parameters
    ----------
    start : bytes
        How the file begins, unpacked, and at least as much as a header.

    Returns
    -------
    Nifti1Header
        Of NIfTI-2, a Nifti2Header.
    """
    kind = next(kind for kind in (nib.Nifti1Header, nib.Nifti2Header) if kind.may_contain_header(start))
    return kind(start[: kind.template_dtype.itemsize], check=False)


def check_header(path, start, where):
    """Look at the first bytes of a NIfTI file, before the rest of its header is read.

    Parameters
    ----------
    path : Path
    start : bytes
        How the file begins, unpacked.
    where : str
        The step to name in an error.

    Returns
    -------
    Nifti1Header
        As it stands in the file, nothing repaired.

    Raises
    ------
    ImageError
        It claims voxels that begin where no header ends, a voxel size of zero or less
        that nothing else corrects, or voxels of two lengths.
    """
    header = nifti_header(start)
    _check_bits(header, path, where)
    begin = float(header["vox_offset"])
    if not 0 <= begin <= _MOST_BEFORE_VOXELS:
        received = f"voxels that begin at byte {begin:.4g} of {path.name}"
        raise ImageError(where, "a header of at most 16 MB", received, "convert the scan from DICOM again")
    sizes = header["pixdim"][1:4]
    if not header["sform_code"] and not (sizes > 0).all():
        received = f"a voxel size of {' x '.join(f'{size:g}' for size in sizes)} in {path.name}"
        raise ImageError(where, "voxel sizes above zero", received, "convert the scan from DICOM again")
    return header


def _check_bits(header, path, where):
    """Refuse a type of voxel that has another length than is stated beside it."""
    known = nib.nifti1.data_type_codes
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code in known.value_set("code") and known.dtype[code].itemsize * 8 not in (0, bits):
        received = f"{bits} bits a voxel of type {known.label[code]} in {path.name}"
        raise ImageError(where, "one length of a voxel", received, "convert the scan from DICOM again")


def check_count(shape, where, name):
    """Make sure that a header claims no more voxels than a scan of a head has.

    Parameters
    ----------
    shape : sequence of int
    where, name : str
        The step and the file to name in an error.

    Raises
    ------
    ImageError
        It does.
    """
    if math.prod(int(n) for n in shape) > MOST_VOXELS:
        received = f"a header that claims {tuple(map(int, shape))} voxels in {name}"
        raise ImageError(where, f"at most {MOST_VOXELS} voxels", received, "export the scan of the head alone")


def check_size(claimed, held, packed, where, name):
    """Make sure that a file can hold the bytes that its header claims.

    Parameters
    ----------
    claimed, held : int
        Bytes by the header, and of the file.
    packed : bool
        Whether the file is compressed.
    where, name : str
        The step and the file to name in an error.

    Raises
    ------
    ImageError
        It cannot.
    """
    if claimed > held * (_GZIP_AT_MOST if packed else 1):
        received = f"{held} bytes in {name}, whose header claims {claimed}"
        raise ImageError(where, "a file with all of its voxels", received, "copy or download the file again")


def check_length(path, claimed, packed, where):
    """Make sure that nothing stands behind the voxels of a file: then they may begin later than its header says.

    Parameters
    ----------
    path : Path
    claimed : int
        Bytes up to the end of the voxels, by the header.
    packed : bool
        Whether the file is gzip; counted is what it unpacks to.
    where : str
        The step to name in an error.

    Returns
    -------
    list of str
        What has to be said: zeros that fill up the last block of 512 bytes.

    Raises
    ------
    ImageError
        There is more, and it is no padding.
    """
    held = path.stat().st_size
    with open(path, "rb") as stream:
        if packed:  # gzip ends in how much it unpacks to, where it is in one piece
            stream.seek(max(held - 4, 0))
            held = int.from_bytes(stream.read(4), "little")
    if held == claimed % 2**32 if packed else held <= claimed:
        return []
    more, zeros = 0, True
    with gzip.open(path) if packed else open(path, "rb") as stream:
        stream.seek(claimed)
        while block := stream.read(_BLOCK):
            more, zeros = more + len(block), zeros and not any(block)
            if more > MOST_VOXELS or not zeros:
                break
    if not more:
        return []
    if zeros and more < _PADDED_TO and (claimed + more) % _PADDED_TO == 0:
        return [f"{path.name} has {more} zeros after its voxels, taken as padding"]
    received = f"{'at least ' * (not zeros)}{more} bytes more in {path.name} than its header claims"
    hint = "save the scan again from its origin: its voxels may begin elsewhere than the header says"
    raise ImageError(where, "a file that ends with its voxels", received, hint)


def check_header_plausible(image, where, *, affine=None, name=None):
    """Make sure that the voxels that a header claims can be there, and that a head fits around them.

    Parameters
    ----------
    image : SpatialImage
        Shape (i, j, k); from a file or not.
    where : str
        The step to name in an error.
    affine : ndarray, shape (4, 4), default=None
        In mm, where it is another than that of the image.
    name : str, default=None
        Of the file.

    Raises
    ------
    ImageError
        More voxels than a scan has, more bytes than the file can hold, an affine that
        cannot be inverted, or a voxel size or a place that no scan of a head has.
    """
    path = image.file_map["image"].filename if getattr(image, "file_map", None) else None
    name = name or (Path(path).name if path else "an image in memory")
    check_count(image.shape, where, name)
    if path and nib.is_proxy(image.dataobj):
        claimed = math.prod(image.shape) * image.get_data_dtype().itemsize + int(image.dataobj.offset)
        packed = str(path).lower().endswith(("gz", "mgz"))
        check_size(claimed, Path(path).stat().st_size, packed, where, name)
    _check_affine(image, image.affine if affine is None else affine, where, name)


def _check_affine(image, affine, where, name):
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
            f"voxels of {_VOXEL_MM[0]} to {_VOXEL_MM[1]:g} mm, and at most {_MOST_FIELD_MM:g} mm of them",
            f"{' x '.join(f'{size:.4g}' for size in sizes)} mm, shape {image.shape[:3]}, "
            f"origin {' '.join(f'{place:.4g}' for place in affine[:3, 3])} from {name}",
            "convert the scan from DICOM again; its unit may not be mm",
        )


def strip_header_text(header):
    """Take out of a header, in place, the free text in which a name or a day can stand.

    Parameters
    ----------
    header : Nifti1Header
        Geometry, scaling and the note that a voxel size is unknown stay.
    """
    known = bytes(header["descrip"]).rstrip(b"\0") != LOST_VOXEL_SIZE
    for field in _TEXTS:
        if field in header.keys() and (known or field != "descrip"):  # noqa: SIM118  a header is no mapping
            header[field] = b""
    header.extensions.clear()
