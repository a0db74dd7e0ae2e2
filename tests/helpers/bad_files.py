"""Files that lie, each kind made in a moment: what a scan, a sidecar, a table or a folder can be and should not.

Every kind is a function that writes, and what has to come of it: ``READ``, or words of
the error that names the file.
"""

import bz2
import gzip
import io
import json
import os
import struct
import zipfile
from functools import cache, partial

import nibabel as nib
import numpy as np
from tiny import affine, head

READ = None
"""The file looks odd and is sound: it has to be read rightly."""

_DIM, _CODE, _BITS, _PIXDIM, _OFFSET, _SLOPE, _INTER, _QFORM, _SFORM, _ROWS, _MAGIC = (
    *(40, 70, 72, 76, 108, 112, 116, 252, 254, 280, 344),
)
_UNITS = 123
"""Where the fields of a NIfTI-1 header begin."""


def nifti(image=None, **fields):
    """Bytes of a NIfTI file, of `tiny.head` unless told otherwise, with fields of its header changed."""
    content = bytearray((image or head()).to_bytes())
    for name, (form, *values) in fields.items():
        struct.pack_into(f"<{form}", content, globals()[f"_{name}"], *values)
    return bytes(content)


def like_head(data, spacing=(2.0, 2.0, 3.0)):
    """An image of other voxels, where `tiny.head` lies."""
    return nib.Nifti1Image(data, affine(spacing))


def _floats(value, n=None):
    data = head().get_fdata().astype(np.float32)
    data[tuple(np.argwhere(data > -1)[: n or data.size].T)] = value
    return nifti(like_head(data))


def _turned(*rows):
    return nifti(ROWS=("12f", *np.ravel(rows)))


def _swapped():
    image = nib.Nifti1Image(head().get_fdata().astype(">i2"), affine(), nib.Nifti1Header(endianness=">"))
    return image.to_bytes()


def _integers64():
    return nib.Nifti1Image(head().get_fdata().astype(np.int64), affine(), dtype="int64").to_bytes()


def _scaled():
    image = like_head(((head().get_fdata() - 7) / 3).astype(np.float32))
    raw = nib.Nifti1Image(head().get_fdata().astype(np.int16), affine())
    raw.header.set_slope_inter(1 / 3, -7 / 3)
    assert image.shape == raw.shape
    return raw.to_bytes()


def _nifti2():
    return nib.Nifti2Image(head().get_fdata().astype(np.int16), affine()).to_bytes()


def _nifti2_of(shape):
    content = bytearray(_nifti2())
    struct.pack_into("<8q", content, 16, 3, *shape, 1, 1, 1, 1)
    return bytes(content)


def _extended(size, stated=None):
    image = head()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * size))
    content = bytearray(image.to_bytes())
    if stated is not None:
        struct.pack_into("<i", content, 352, stated)
    return bytes(content)


def _random(n, seed=0):
    return np.random.default_rng(seed).bytes(n)


def _flipped(place):
    content = bytearray(gzip.compress(nifti(), mtime=0))
    content[place] ^= 0x55
    return bytes(content)


@cache
def zeros(megabytes):
    """Zeros as gzip: a thousandth of what they become."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as packed:
        for _ in range(megabytes):
            packed.write(bytes(2**20))
    return stream.getvalue()


def _bomb_behind_a_scan():
    return gzip.compress(nifti(), mtime=0) + zeros(600)


def _bomb_as_a_scan():
    """A header of 512 x 512 x 511 doubles, and as many zeros: what it claims is there."""
    return gzip.compress(nifti(DIM=("8h", 3, 1024, 1024, 1000, 1, 1, 1, 1))[:352], mtime=0) + zeros(600)


def _xlsx(megabytes):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/sheet.xml", "w") as sheet:
        for _ in range(megabytes):
            sheet.write(b" " * 2**20)
    return stream.getvalue()


def _two_sides():
    image = head()
    image.set_qform(np.diag([-1, 1, 1, 1]) @ affine(), 1)
    return image.to_bytes()


def _without_codes():
    """Voxels that lie where nibabel puts those of no code."""
    image = head()
    image.set_sform(None, 0)
    return image.to_bytes()


def _in_micrometres():
    image = nib.Nifti1Image(np.asarray(head().dataobj), np.diag([1000, 1000, 1000, 1]) @ affine())
    image.header.set_xyzt_units("micron")
    return image.to_bytes()


GZ, PLAIN = ".nii.gz", ".nii"

SCANS = {
    # name: (ending, bytes, READ or words of the error)
    "empty": (PLAIN, b"", "readable"),
    "empty as gzip": (GZ, b"", "readable"),
    "gzip of nothing": (GZ, gzip.compress(b""), "readable"),
    "text": (GZ, b"see README\n", "readable"),
    "HTML of a login page": (GZ, b"<!DOCTYPE html><html><body>Sign in</body></html>" * 40, "readable"),
    "a pointer of git-annex": (GZ, b"/annex/objects/SHA256E-s4033--ab.nii.gz\n", "readable"),
    "random bytes": (PLAIN, _random(4000), "readable"),
    "random bytes as gzip": (GZ, gzip.compress(_random(4000)), "readable"),
    "a zip": (GZ, b"PK\x03\x04" + bytes(400), "readable"),
    "bzip2 called gzip": (GZ, bz2.compress(nifti()), "readable"),
    "plain called gzip": (GZ, nifti(), READ),
    "gzip called plain": (PLAIN, gzip.compress(nifti()), READ),
    "plain called gzip, truncated": (GZ, nifti()[:-900], "requires"),
    "gzip called plain, truncated": (PLAIN, gzip.compress(nifti(), mtime=0)[:-900], "readable"),
    "gzip called plain that claims 64 TB": (
        PLAIN,
        gzip.compress(nifti(DIM=("8h", 3, 32767, 32767, 32767, 1, 1, 1, 1))),
        "voxels",
    ),
    "a spreadsheet": (GZ, _xlsx(1), "spreadsheet"),
    "a PDF document": (PLAIN, b"%PDF-1.7\n" + _random(900), "PDF"),
    "text in UTF-16": (PLAIN, "Grüße".encode("utf-16") * 90, "UTF-16"),
    "a note of macOS": (GZ, b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(200), "macOS"),
    "a pointer of Git LFS": (
        GZ,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
        "git lfs pull",
    ),
    "a picture": (PLAIN, b"\x89PNG\r\n\x1a\n" + _random(900), "PNG"),
    "an sform and a qform on two sides": (PLAIN, _two_sides(), "sform and qform"),
    "an sform of another size than pixdim": (PLAIN, nifti(PIXDIM=("8f", 1, 1, 1, 6.5, 1, 1, 1, 1)), "one voxel size"),
    "a qform of NaN beside an sform": (PLAIN, nifti(QFORM=("2h3f", 1, 2, np.nan, np.nan, np.nan)), "sform and qform"),
    "no code for a place": (PLAIN, _without_codes(), READ),
    "micrometres": (PLAIN, _in_micrometres(), READ),
    "millimetres called metres": (PLAIN, nifti(UNITS=("B", 1)), "mm"),
    "millimetres called micrometres": (PLAIN, nifti(UNITS=("B", 3)), "its unit"),
    "truncated in the header": (PLAIN, nifti()[:200], "readable"),
    "truncated in the voxels": (PLAIN, nifti()[:-3000], "requires"),
    "the last byte missing": (PLAIN, nifti()[:-1], "requires"),
    "gzip truncated at the start": (GZ, gzip.compress(nifti())[:60], "readable"),
    "gzip truncated in the voxels": (GZ, gzip.compress(nifti())[:-700], "readable"),
    "gzip of truncated voxels": (GZ, gzip.compress(nifti()[:-3000]), "readable"),
    "a bit flipped in the gzip header": (GZ, _flipped(2), "readable"),
    "wrong magic": (PLAIN, nifti(MAGIC=("4s", b"n+9\0")), ""),
    "wrong size of the header": (PLAIN, struct.pack("<i", 999) + nifti()[4:], READ),
    "no dimension": (PLAIN, nifti(DIM=("8h", 0, *[1] * 7)), ""),
    "eight dimensions": (PLAIN, nifti(DIM=("8h", 9, *[2] * 7)), ""),
    "a dimension of zero": (PLAIN, nifti(DIM=("8h", 3, 16, 0, 12, 1, 1, 1, 1)), "3-D"),
    "a negative dimension": (PLAIN, nifti(DIM=("8h", 3, 16, -18, 12, 1, 1, 1, 1)), ""),
    "2-D": (PLAIN, nifti(like_head(np.arange(30, dtype=np.int16).reshape(5, 6))), "3-D"),
    "4-D": (GZ, gzip.compress(nifti(like_head(np.arange(240, dtype=np.int16).reshape(4, 5, 4, 3)))), "3-D"),
    "5-D": (PLAIN, nifti(like_head(np.arange(240, dtype=np.int16).reshape(4, 5, 4, 1, 3))), "3-D"),
    "4-D of one volume": (PLAIN, nifti(like_head(head().get_fdata().astype(np.int16)[..., None])), READ),
    "claims 64 TB": (PLAIN, nifti(DIM=("8h", 3, 32767, 32767, 32767, 1, 1, 1, 1)), "at most"),
    "claims 64 TB as gzip": (GZ, gzip.compress(nifti(DIM=("8h", 3, 32767, 32767, 32767, 1, 1, 1, 1))), "at most"),
    "claims 8 EB": (GZ, gzip.compress(_nifti2_of((2**20, 2**20, 2**20))), "at most"),
    "claims more than a count can say": (PLAIN, _nifti2_of((2**62, 2**62, 2**62)), "at most"),
    "claims 250 MB of kilobytes": (
        GZ,
        gzip.compress(nifti(DIM=("8h", 3, 512, 512, 500, 1, 1, 1, 1))),
        "requires",
    ),
    "a gzip bomb behind the scan": (GZ, _bomb_behind_a_scan, "ends with its voxels"),
    "a gzip bomb as a scan": (GZ, _bomb_as_a_scan, "at most"),
    "voxels begin at 2 GB": (GZ, gzip.compress(nifti(OFFSET=("f", 2e9))), "offset"),
    "voxels begin before the file": (PLAIN, nifti(OFFSET=("f", -352.0)), "offset"),
    "voxels begin nowhere": (PLAIN, nifti(OFFSET=("f", np.nan)), "offset"),
    "a header of 20 MB": (GZ, gzip.compress(_extended(20 * 2**20)), "offset"),
    "an extension": (PLAIN, _extended(64), READ),
    "an extension that claims 2 GB": (PLAIN, _extended(64, 2**31 - 1), ""),
    "an extension of negative size": (PLAIN, _extended(64, -16), ""),
    "an unknown type of number": (PLAIN, nifti(CODE=("h", 999)), "999"),
    "one bit a voxel": (PLAIN, nifti(CODE=("h", 1), BITS=("h", 1)), ""),
    "complex": (PLAIN, nifti(like_head(np.ones((4, 4, 4), np.complex64))), "real numbers"),
    "RGB": (PLAIN, nifti(like_head(np.zeros((4, 4, 4), [(c, "u1") for c in "RGB"]))), "real numbers"),
    "RGBA": (PLAIN, nifti(like_head(np.zeros((4, 4, 4), [(c, "u1") for c in "RGBA"]))), "real numbers"),
    "an affine of NaN": (PLAIN, _turned(*[[np.nan] * 4] * 3), "inverted"),
    "an infinite affine": (PLAIN, _turned([np.inf, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0]), "inverted"),
    "an affine of zeros": (PLAIN, _turned(*[[0] * 4] * 3), "inverted"),
    "an affine in one plane": (PLAIN, _turned([2, 0, 0, 0], [0, 2, 2, 0], [0, 0, 0, 0]), "inverted"),
    "an affine nearly in one plane": (PLAIN, _turned([2, 0, 0, 0], [0, 2, 2, 0], [0, 0, 1e-5, 0]), "inverted"),
    "voxels of 1 km": (PLAIN, _turned([1e6, 0, 0, 0], [0, 1e6, 0, 0], [0, 0, 1e6, 0]), "mm"),
    "voxels in metres": (PLAIN, _turned([0.002, 0, 0, 0], [0, 0.002, 0, 0], [0, 0, 0.003, 0]), "mm"),
    "voxels of 1 mm by 1 km": (PLAIN, _turned([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1e6, 0]), "mm"),
    "an origin on the moon": (PLAIN, _turned([2, 0, 0, 4e11], [0, 2, 0, 0], [0, 0, 3, 0]), "origin"),
    "a voxel size of zero": (PLAIN, nifti(SFORM=("h", 0), PIXDIM=("8f", 1, 0, 2, 3, 1, 1, 1, 1)), "above zero"),
    "a negative voxel size": (PLAIN, nifti(SFORM=("h", 0), PIXDIM=("8f", 1, 2, -2, 3, 1, 1, 1, 1)), "above zero"),
    "a voxel size of NaN": (PLAIN, nifti(SFORM=("h", 0), PIXDIM=("8f", 1, 2, np.nan, 3, 1, 1, 1, 1)), "above zero"),
    "a quaternion of NaN": (PLAIN, nifti(SFORM=("h", 0), QFORM=("h2x3f", 1, np.nan, np.nan, np.nan)), ""),
    "one voxel NaN": (PLAIN, _floats(np.nan, 1), "1 of 3456 voxels"),
    "every voxel NaN": (PLAIN, _floats(np.nan), "NaN"),
    "infinite voxels": (PLAIN, _floats(np.inf, 9), "9 of 3456 voxels"),
    "voxels of 1e38": (PLAIN, _floats(3e38, 9), "at most"),
    "constant": (PLAIN, _floats(7), "equal to 7"),
    "scaled to NaN": (PLAIN, nifti(SLOPE=("f", np.nan)), READ),
    "scaled to 1e38": (PLAIN, nifti(SLOPE=("f", 3e38)), ""),
    "scaled with an infinite offset": (PLAIN, nifti(SLOPE=("f", 1.0), INTER=("f", np.inf)), ""),
    "scaled integers": (PLAIN, _scaled(), READ),
    "big-endian": (PLAIN, _swapped(), READ),
    "big-endian as gzip": (GZ, gzip.compress(_swapped()), READ),
    "NIfTI-2": (GZ, gzip.compress(_nifti2()), READ),
    "64-bit integers": (
        PLAIN,
        _integers64(),
        READ,
    ),
    "doubles": (PLAIN, nifti(like_head(head().get_fdata())), READ),
    "signed bytes": (PLAIN, nifti(like_head((head().get_fdata() // 10).astype(np.int8))), READ),
    "bytes behind the voxels": (PLAIN, nifti() + _random(900), "ends with its voxels"),
    "mirrored": (PLAIN, _turned([-2, 0, 0, 16], [0, 2, 0, -18], [0, 0, 3, -15]), READ),
    "one slice": (PLAIN, nifti(like_head(head().get_fdata()[..., 5:6].astype(np.int16))), READ),
}
"""Scans: how the name ends, the bytes, and what has to come of it."""

SIDECARS = {
    # name: (bytes, whether the subject stays)
    "a bare number of slices": (b'{"AnnotatedSlices": 5}', False),
    "slices as text": (b'{"AnnotatedSlices": "5, 6"}', False),
    "slices that are no numbers": (b'{"AnnotatedSlices": [5, "x", null]}', False),
    "slices below zero": (b'{"AnnotatedSlices": [-1]}', False),
    "slices as true": (b'{"AnnotatedSlices": [true]}', False),
    "slices in a dictionary": (b'{"AnnotatedSlices": {"first": 5}}', False),
    "no slices": (b'{"AnnotatedSlices": null}', False),
    "a list": (b"[1, 2, 3]", False),
    "a number": (b"7", False),
    "null": (b"null", False),
    "empty": (b"", False),
    "half": (b'{"AnnotatedSlices": [5,', False),
    "Latin-1": ('{"Sources": "Müller"}'.encode("latin-1"), False),
    "UTF-16": ('{"AnnotatedSlices": [5]}'.encode("utf-16"), False),
    "nested without end": (b"[" * 100_000, False),
    "a number of 10,000 digits": (b'{"EchoTime": ' + b"9" * 10_000 + b"}", False),
    "binary": (_random(300), False),
    "a byte order mark": (b'\xef\xbb\xbf{"AnnotatedSlices": [5]}', True),
    "sources of a wrong type": (b'{"Sources": {"a": 5}, "AnnotatedSlices": [5]}', True),
    "sources elsewhere": (b'{"Sources": ["bids:raw:../../../etc/passwd"], "AnnotatedSlices": "all"}', True),
    "sources without end": (json.dumps({"Sources": ["x" * 10**6]}).encode(), True),
}
"""Sidecars of a tumour mask."""

PARTICIPANTS = {
    # name: (bytes, whether the cohort opens)
    "empty": (b"", False),
    "a header alone": (b"participant_id\tgrade\n", True),
    "binary": (_random(500), False),
    "UTF-16": ("participant_id\tgrade\nsub-01\t2\n".encode("utf-16"), False),
    "Latin-1": ("participant_id\thistology\nsub-01\tMüller\n".encode("latin-1"), False),
    "mixed encodings": ("participant_id\tsex\nsub-01\tmâle\n".encode() + "sub-02\tmâle\n".encode("latin-1"), False),
    "a byte order mark": (b"\xef\xbb\xbfparticipant_id\tgrade\nsub-01\t2\n", True),
    "Windows line ends": (b"participant_id\tgrade\r\nsub-01\t2\r\nsub-02\t3\r\n", True),
    "commas": (b"participant_id,grade\nsub-01,2\n", False),
    "no participant_id": (b"id\tgrade\nsub-01\t2\n", False),
    "a subject twice": (b"participant_id\tgrade\nsub-01\t2\nsub-01\t3\n", False),
    "a row without a name": (b"participant_id\tgrade\nn/a\t2\nn/a\t3\nsub-01\t2\n", True),
    "duplicate columns": (b"participant_id\tgrade\tgrade\nsub-01\t2\t3\nsub-02\t3\t2\n", True),
    "rows of unequal length": (b"participant_id\tgrade\nsub-01\t2\t7\t8\nsub-02\t3\n", None),
    "an open quote": (b'participant_id\tgrade\n"sub-01\t2\nsub-02\t3\n', None),
    "NUL bytes": (b"participant_id\tgrade\nsub-01\0\t2\n", None),
    "people who are not there": (b"participant_id\tgrade\nsub-98\t2\nsub-99\t3\n", True),
    "grades of other types": (b"participant_id\tgrade\nsub-01\tIV\nsub-02\t1e400\nsub-03\t=2+1\n", True),
    "names that are paths": (b"participant_id\tgrade\n../../etc/passwd\t2\nsub-01\t3\n", True),
    "formulas": (b"participant_id\thistology\nsub-01\t=HYPERLINK(1)\nsub-02\t@SUM(1)\nsub-03\t-2+3|cmd\n", True),
}
"""Tables of participants; None where either is right, as long as nothing crashes."""


def _features(rows=24, extra=lambda number: ""):
    lines = ["name,label,a,b" + extra(None)]
    lines += [f"p{n},{n % 2},{n * 0.5},{n % 7}" + extra(n) for n in range(rows)]
    return "\n".join(lines) + "\n"


TABLES = {
    # file name: (bytes, READ or words of the error)
    "empty.csv": (b"", "table"),
    "binary.csv": (_random(3000), ""),
    "bomb.csv.gz": (partial(zeros, 300), "64 MB"),
    "truncated.csv.gz": (gzip.compress(_features().encode())[:-30], "table"),
    "not.csv.gz": (_features().encode(), READ),
    "latin.csv": (_features().replace("p1,", "pÜ,").encode("latin-1"), READ),
    "utf16.csv": (_features().encode("utf-16"), READ),
    "twice.csv": (_features().replace("name,label,a,b", "name,label,a,a").encode(), READ),
    "labels.csv": (_features().replace("name,label,a", "name,label,label").encode(), "several"),
    "formulas.csv": (_features(extra=lambda n: ",note" if n is None else f",=cmd|'{n}'!A1").encode(), READ),
    "infinite.csv": (_features().replace(",0.5,", ",inf,").encode(), READ),
    "ragged.csv": (_features(extra=lambda n: ",9,9" if n == 5 else "").encode(), "table"),
    "nul.csv": (_features().replace("p1,", "p\0,").encode(), None),
    "no label.csv": (b"name,label,a\np1,,2\np2,,3\np3,,4\n", "label"),
    "no such.csv": (None, "table"),
    "name with spaces and ü.csv": (_features().encode(), READ),
}
"""Tables of features, with a subject in `name` and a class in `label`."""

NAMES = ["sub-a b", "sub-ü", "sub-..", "sub-<script>", "sub-=1+1", "sub-a'b", "sub-a;rm -rf", "sub-a\nb", "sub-\udcff"]
"""Folders of subjects with names that BIDS does not allow."""


def write_scan(folder, stem, kind):
    """Write a scan of a kind into a folder; returns its path."""
    ending, content, _ = SCANS[kind]
    path = folder / f"{stem}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made(content))
    return path


def made(content):
    """Bytes of a file; a function makes what takes a second, so that only its own test waits for it."""
    return content() if callable(content) else content


def links(folder, secret):
    """Links that lead to other files than scans: to a secret, to nowhere, to themselves, to no end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {name: folder / f"{name}.nii.gz" for name in ("secret", "nowhere", "loop", "device", "pipe")}
    made["secret"].symlink_to(secret)
    made["nowhere"].symlink_to(folder / "gone")
    made["loop"].symlink_to(made["loop"])
    made["device"].symlink_to("/dev/zero")
    os.mkfifo(made["pipe"])
    return made
