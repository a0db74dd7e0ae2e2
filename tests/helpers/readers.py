"""Every reader of files that come from elsewhere, called on bytes: an answer, or an error of the kit."""

import gzip
import io
import tempfile
from functools import cache
from pathlib import Path
from zipfile import ZipFile

import made_dicom
import nibabel as nib
import numpy as np
import SimpleITK as sitk
from tiny import head, lesion

from epitome_kit.case.upload import receive_scan
from epitome_kit.cohort import open_cohort
from epitome_kit.errors import EpitomeError
from epitome_kit.grade.table import TableColumns, read_features
from epitome_kit.images import load_image, load_mask
from epitome_kit.sidecars import read_annotated_slices, read_table
from epitome_kit.sources.dicom_headers import read_volumes


def _write(folder, name, data):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def scan(data, folder):
    """One volume."""
    load_image(_write(folder, "a.nii", data))


def packed_scan(data, folder):
    """One volume in gzip."""
    load_image(_write(folder, "a.nii.gz", data))


def other_scan(data, folder):
    """One volume in another format, whose name says nothing."""
    load_image(_write(folder, "a", data))


def mask(data, folder):
    """A mask in the places of a scan."""
    load_mask(_write(folder, "a.nii", data), like=head())


def dicom(data, folder):
    """One image of a series."""
    _write(folder, "series/1.dcm", data)
    read_volumes(folder)


def upload(data, folder):
    """What a visitor sends."""
    receive_scan(data, folder)


def features(data, folder):
    """A table to grade."""
    read_features(_write(folder, "a.csv", data), TableColumns(label="label", id="name"))


def participants(data, folder):
    """The table of a cohort."""
    read_table(_write(folder, "participants.tsv", data))


def sidecar(data, folder):
    """The notes on a mask."""
    _write(folder, "a.json", data)
    read_annotated_slices(folder / "a.nii.gz")


def cohort(data, folder):
    """The notes on a dataset, and its table, in one."""
    _write(folder, "sub-1/anat/sub-1_T2w.nii.gz", b"")
    _write(folder, "dataset_description.json", data)
    _write(folder, "participants.tsv", data)
    open_cohort(folder)


_ALL = (scan, packed_scan, other_scan, mask, dicom, upload, features, participants, sidecar, cohort)
READERS = {each.__name__: each for each in _ALL}


def read(name, data):
    """Call a reader on bytes; whatever is no error of the kit goes up."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            READERS[name](data, Path(folder))
        except EpitomeError as error:
            assert len(str(error).split("\n")) == 3, error


@cache
def sound(name):
    """Bytes that a reader takes, to begin from."""
    images, archive = [], io.BytesIO()
    with ZipFile(archive, "w") as packed:
        for number, image in enumerate(made_dicom.series(**made_dicom.FLAIR)):
            images.append(io.BytesIO())
            image.save_as(images[-1], enforce_file_format=True)
            packed.writestr(f"{number}.dcm", images[-1].getvalue())
    table = "name,label,size\n" + "".join(f"s{number},{number % 2},{number * 7 % 30}.5\n" for number in range(30))
    plain = head().to_bytes()
    return {
        "scan": [plain],
        "packed_scan": [_gzipped(plain)],
        "other_scan": [*_in_other_formats()],
        "mask": [lesion(head()).to_bytes()],
        "dicom": [images[0].getvalue()],
        "upload": [plain, _gzipped(plain), archive.getvalue()],
        "features": [table.encode(), table.replace(",", "\t").encode()],
        "participants": [b"participant_id\tgrade\nsub-1\t2\n"],
        "sidecar": [b'{"AnnotatedSlices": [1, 2, 3], "Sources": ["bids:raw:a"]}'],
        "cohort": [b'{"Name": "a"}', b"participant_id\tgrade\nsub-1\t2\n"],
    }[name]


def _in_other_formats():
    data = np.asarray(head().dataobj)
    yield nib.MGHImage(data.astype(np.int32), head().affine).to_bytes()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.nrrd", "a.mha"):
            sitk.WriteImage(sitk.GetImageFromArray(data), f"{folder}/{name}")
            yield Path(folder, name).read_bytes()


def _gzipped(data):
    return gzip.compress(data, mtime=0)
