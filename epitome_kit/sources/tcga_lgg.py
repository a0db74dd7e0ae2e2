"""TCGA-LGG as slices, the layout of the Kaggle set "LGG MRI segmentation".

Each patient is a folder of colour TIFFs, one a slice, whose three channels are
T1 before contrast, FLAIR, and T1 after contrast, co-registered; each slice has
a mask of the FLAIR abnormality, drawn by hand. The voxel size is lost.

Orientation is not stored either. Columns run to the patient's left, rows to the
back, slice numbers to the head (radiological display). Three things say so: the
FLAIR of one patient whose exam is public with its geometry matches best this way
round; `laterality` in the table agrees with the side of the mask in 50 of 51
patients; and the face is at the top of the low slices in all 51.

Codes in `data.csv` are alphabetical ranks of the TCGA terms: published records of
six patients of the set agree with them for grade and histology, of one for sex.

References
----------
Buda et al., Comput Biol Med 2019, doi:10.1016/j.compbiomed.2019.05.002
Pedano et al., TCGA-LGG, TCIA 2016, doi:10.7937/K9/TCIA.2016.L4LTD3TK
"""

import io
import re
import zipfile
from collections import defaultdict
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from PIL import Image

from epitome_kit.cohort import annotation_path, image_path, write_annotation_sidecar
from epitome_kit.errors import BadCohort, BadImage, EpitomeError
from epitome_kit.files import write_json
from epitome_kit.images import image_like, load_image, mark_voxel_size_unknown, save_image
from epitome_kit.sources.importing import adopt_subjects, check_folders, describe_cohort

_SLICE = re.compile(r"(?:^|/)(TCGA_([A-Za-z0-9]+)_([A-Za-z0-9]+)_\d+)/\1_(\d+)(_mask)?\.tif$")
_CHANNELS = {"T1w": 0, "T1ce": 2, "FLAIR": 1}
_SLICES = range(8, 513)
_LARGEST_FILE = 16 * 2**20
_LARGEST_SIDE = 1024

_COLUMNS = {
    "grade": ("neoplasm_histologic_grade", {1: 2, 2: 3}),
    "histology": ("histological_type", {1: "astrocytoma", 2: "oligoastrocytoma", 3: "oligodendroglioma"}),
    "sex": ("gender", {1: "F", 2: "M"}),
    "age": ("age_at_initial_pathologic", None),
}

_NOTES = {"CoregisteredAtOrigin": True, "VoxelSizeKnown": False}

_README = """\
Lower-grade glioma of The Cancer Genome Atlas, in the slice layout shared on Kaggle as "LGG MRI
segmentation": T1 before and after contrast and FLAIR, co-registered, and hand-drawn masks of the
FLAIR abnormality.

- **The voxel size is lost**: every axis says 1, and nothing here can be measured in millimetres or millilitres.
- The orientation is inferred, not stored. Intensities are 8-bit.
- A channel that is a copy of FLAIR stands for a missing scan and was left out.
- Grade codes 1 and 2 of the table are taken to be WHO grade II and III. 1p/19q status is not in it.
- {labels}

Images: TCGA-LGG on The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2016.L4LTD3TK, CC BY 3.0. Masks and layout:
Buda et al. 2019, doi:10.1016/j.compbiomed.2019.05.002, CC BY-NC-SA 4.0. Check both licences at the source
before you share anything made from them. For teaching and research, not for diagnosis.
"""


def import_tcga_lgg(source, out, *, workers=1):
    """Import TCGA-LGG in its slice layout.

    A patient that cannot be used is left out by name and reason. Patients that an
    earlier import into `out` has finished are kept as they are.

    Parameters
    ----------
    source : path
        A folder of patient folders, a zip of them, or a folder of such zips, with
        ``data.csv`` anywhere in it. Zips are read in place.
    out : path
        Folder for the cohort.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort
        With T1w, T1ce and FLAIR; subjects are named by institution and number.

    Raises
    ------
    BadCohort
        No patient folder in `source`, ``data.csv`` unreadable, or every patient left out.
    BadParameter
        One of `source` and `out` lies in the other.
    BadOutput
        `out` cannot be written, or holds other subjects.
    """
    source, out = Path(source), Path(out)
    copies, tables, excluded = _find(source)
    patients, twice = {}, []
    for folder in sorted(copies):
        subject_id = "sub-" + "".join(folder.split("_")[1:3])
        if subject_id in patients:
            twice.append((folder, f"expected each patient once; {patients[subject_id][0]} is the same patient"))
        else:
            patients[subject_id] = (folder, *copies[folder])
    check_folders(source, out, patients)
    labels = _read_labels(*tables[0]) if tables else pd.DataFrame(columns=["Patient"]).set_index("Patient")
    items = {folder: (subject_id, archive, slices) for subject_id, (folder, archive, slices) in patients.items()}
    excluded += twice + adopt_subjects(partial(_import_patient, out), items, workers=workers)
    left_out = {name for name, _ in excluded}
    kept = {subject_id: folder for subject_id, (folder, *_) in patients.items() if folder not in left_out}
    return describe_cohort(
        out,
        source=source,
        participants=_participants(kept, labels),
        excluded=excluded,
        name="TCGA-LGG slices",
        licence="CC BY-NC-SA 4.0 (masks), CC BY 3.0 (images)",
        readme=_README.format(labels="Labels come from data.csv." if tables else "No data.csv was found: no labels."),
    )


def _find(source):
    """Find every slice and table; return them with the zips that could not be opened.

    Returns
    -------
    copies : dict of str to (Path or None, list of (int, bool, str))
        Patient folder to its zip and its files (number, whether a mask, name). Of
        several copies, the fullest; they are never mixed.
    tables : list of (Path or None, str)
        Each ``data.csv``.
    faults : list of (str, str)
        Name of a zip, and what is wrong with it.
    """
    if not source.exists():
        raise BadCohort("import_tcga_lgg", "a folder or a zip", f"{source}, which does not exist", "check the path")
    names, tables, faults = {}, [], []
    for archive in sorted(source.rglob("*.zip")) if source.is_dir() else [source]:
        try:
            with zipfile.ZipFile(archive) as opened:
                names[archive] = sorted(opened.namelist())
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            faults.append((archive.name, f"expected a readable zip; received {error}"))
    if source.is_dir():
        names[None] = sorted(path.as_posix() for path in source.resolve().rglob("*.*"))
    copies = defaultdict(list)
    for archive, found in names.items():
        for name in found:
            match = _SLICE.search(name)
            if match:
                place = (match[1], archive, name[: match.start(1)])
                copies[place].append((int(match[4]), bool(match[5]), name))
            elif name.rsplit("/", 1)[-1] == "data.csv":
                tables.append((archive, name))
    beside = source.parent / "data.csv"
    if not tables and beside.is_file():
        tables.append((None, str(beside)))
    fullest = {}
    for (patient, archive, _), slices in copies.items():
        if len(slices) > len(fullest.get(patient, (None, ()))[1]):
            fullest[patient] = archive, slices
    if not fullest:
        raise BadCohort(
            "import_tcga_lgg",
            "patient folders `TCGA_xx_xxxx_date` with slices `TCGA_xx_xxxx_date_1.tif`",
            f"none in {source}" + "".join(f"; {name}: {reason}" for name, reason in faults[:3]),
            "give the folder or the zip as it was downloaded",
        )
    return fullest, tables, faults


def _import_patient(out, item):
    """Write one patient, FLAIR last: with it in place, the patient is complete."""
    subject_id, archive, slices = item
    if image_path(out, subject_id, "FLAIR").is_file():
        return
    numbers = {drawn: sorted(number for number, mask, _ in slices if mask == drawn) for drawn in (False, True)}
    _check_numbers(numbers[False], numbers[True])
    with _opener(archive) as open_file:
        pages = {(number, drawn): _read_slice(open_file, name, drawn) for number, drawn, name in slices}
    shapes = {page.shape[:2] for page in pages.values()}
    if len(shapes) > 1:
        raise BadImage("import", "slices of one size", f"{sorted(shapes)}", "download the patient again")
    volume = np.stack([pages[number, False] for number in numbers[False]]).transpose(2, 1, 0, 3)
    mask = np.stack([pages[number, True] for number in numbers[True]]).transpose(2, 1, 0)
    flair = load_image(_as_image(volume[..., _CHANNELS["FLAIR"]]), where="import")
    scans = {"FLAIR": flair}
    for contrast in ("T1ce", "T1w"):
        channel = volume[..., _CHANNELS[contrast]]
        if not np.array_equal(channel, volume[..., _CHANNELS["FLAIR"]]):
            scans[contrast] = load_image(image_like(channel, flair), where="import")
    save_image(image_like((mask > 0).astype(np.uint8), flair), annotation_path(out, subject_id))
    write_annotation_sidecar(out, subject_id, "FLAIR")
    for contrast in reversed(scans):
        path = image_path(out, subject_id, contrast)
        write_json(path.with_suffix("").with_suffix(".json"), _NOTES)
        save_image(scans[contrast], path)


def _check_numbers(scans, masks):
    if len(scans) not in _SLICES:
        raise BadImage(
            "import", f"{_SLICES[0]} to {_SLICES[-1]} slices", f"{len(scans)} slices", "download the patient again"
        )
    if scans != list(range(1, len(scans) + 1)):
        missing = sorted(set(range(1, len(scans) + 1)) - set(scans))
        received = "a slice number twice" if len(set(scans)) < len(scans) else f"slice {missing[0]} missing"
        raise BadImage("import", "slices numbered from 1 without a gap", received, "download the patient again")
    if masks != scans:
        odd = sorted(set(scans) ^ set(masks)) or ["a number twice"]
        raise BadImage("import", "one mask a slice", f"no pair for slice {odd[0]}", "download the patient again")


@contextmanager
def _opener(archive):
    """Yield a function that opens a file by name, in a zip or on disk."""
    if archive is None:
        yield partial(open, mode="rb")
    else:
        with zipfile.ZipFile(archive) as opened:
            yield opened.open


def _read_slice(open_file, name, drawn):
    """Pixels of one TIFF: shape (rows, columns), or (rows, columns, 3) for a scan."""
    short = name.rsplit("/", 1)[-1]
    try:
        with open_file(name) as stream:
            content = stream.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise BadImage("import", "a slice of at most 16 MB", f"more in {short}", "download the patient again")
        with Image.open(io.BytesIO(content), formats=["TIFF"]) as picture:
            if max(picture.size) > _LARGEST_SIDE or picture.mode not in (("L", "1") if drawn else ("RGB",)):
                raise BadImage(
                    "import",
                    f"a {'grey mask' if drawn else 'three-channel slice'} of at most {_LARGEST_SIDE} pixels a side",
                    f"mode {picture.mode}, {picture.size} pixels in {short}",
                    "download the patient again",
                )
            return np.asarray(picture)
    except EpitomeError:
        raise
    except Exception as error:  # a damaged file can raise anything in zipfile and in a TIFF decoder
        raise BadImage("import", "a readable TIFF", f"{short} ({error})", "download the patient again") from error


def _as_image(data):
    """Image of shape (columns, rows, slices), centred; axes run left, back and up."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(data.shape) - 1) / 2
    return mark_voxel_size_unknown(nib.Nifti1Image(data, affine))


def _read_labels(archive, name):
    """Read ``data.csv``, indexed by patient."""
    try:
        with _opener(archive) as open_file, open_file(name) as stream:
            table = pd.read_csv(io.BytesIO(stream.read(_LARGEST_FILE)))
        return table.drop_duplicates().set_index("Patient")
    except Exception as error:  # as in a slice; and a table can be no table in as many ways
        raise BadCohort(
            "import_tcga_lgg",
            "a table with a column `Patient`",
            f"{name} ({type(error).__name__}: {error})",
            "download data.csv again, or take it away to import without labels",
        ) from error


def _participants(kept, labels):
    """Labels of the patients that were kept, in the cohort's own terms."""
    patients = ["_".join(folder.split("_")[:3]) for folder in kept.values()]
    conflicting = labels.index[labels.index.duplicated()]
    rows = labels.drop(index=conflicting).reindex(patients)
    table = pd.DataFrame({"participant_id": list(kept), "source_id": list(kept.values())})
    for column, (origin, meaning) in _COLUMNS.items():
        values = pd.to_numeric(rows[origin], errors="coerce") if origin in rows else pd.Series(np.nan, rows.index)
        table[column] = (values.map(meaning) if meaning else values).to_numpy()
    table["codeletion"] = pd.NA
    return table.convert_dtypes().sort_values("participant_id")
