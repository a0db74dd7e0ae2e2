"""Import TCGA-LGG as slices, in the layout of the Kaggle data set "LGG MRI segmentation".

Each patient is a folder of colour TIFFs, one per slice. The three channels are
pre-contrast T1, FLAIR and post-contrast T1, co-registered; each slice has a manual
mask of the FLAIR abnormality. The voxel size is lost.

Orientation is not stored either. Columns run to the patient's left, rows to the back
and slice numbers to the head (radiological display). This is supported by three
observations: the FLAIR of one patient whose exam is public with its geometry matches
best in this orientation; `laterality` in the table agrees with the side of the mask in
50 of 51 patients; and the face is at the top of the low slices in all 51.

Codes in `data.csv` are alphabetical ranks of the TCGA terms: they agree with published
records of six patients for grade and histology, and of one for sex.

References
----------
Buda et al., Comput Biol Med 2019, doi:10.1016/j.compbiomed.2019.05.002
Pedano et al., TCGA-LGG, TCIA 2016, doi:10.7937/K9/TCIA.2016.L4LTD3TK
"""

import io
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np
from PIL import Image

from epitome_kit.cohort import Cohort, annotation_path, image_path, write_annotation_sidecar
from epitome_kit.errors import EpitomeError, EpitomeWarning, ImageError, Reason
from epitome_kit.files import PathLike, text_digest
from epitome_kit.images import load_image, mark_voxel_size_unknown, new_image_like, save_image
from epitome_kit.ledger import LEDGER, Entry
from epitome_kit.lock import locks
from epitome_kit.sources.importing import (
    adopt_subjects,
    check_folders,
    describe_cohort,
    import_difference,
    write_scans,
)
from epitome_kit.sources.tcga_files import MAX_FILE_BYTES, Patient, find_patients, opener, slice_checksums
from epitome_kit.sources.tcga_labels import as_participants, read_clinical

_CHANNELS = {"T1w": 0, "T1ce": 2, "FLAIR": 1}
_SLICES = range(8, 513)
_MAX_SIDE = 1024

_NOTES = {"CoregisteredAtOrigin": True, "VoxelSizeKnown": False}

_README = """\
Lower-grade glioma of The Cancer Genome Atlas, in the slice layout shared on Kaggle as "LGG MRI
segmentation": T1 before and after contrast and FLAIR, co-registered, and hand-drawn masks of the
FLAIR abnormality.

- **The voxel size is lost**: every axis says 1, and nothing here can be measured in millimetres or millilitres.
- The orientation is inferred, not stored. Intensities are 8-bit.
- A channel that is a copy of FLAIR stands for a missing scan and was left out.
- Grade codes 1 and 2 of the table are taken to be grade 2 and 3. 1p/19q status is not in it.
- {labels}

Images: TCGA-LGG on The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2016.L4LTD3TK, CC BY 3.0. Masks and layout:
Buda et al. 2019, doi:10.1016/j.compbiomed.2019.05.002, CC BY-NC-SA 4.0. Check both licences at the source
before you share anything made from them. For teaching and research, not for diagnosis.
"""


@locks("cohort tcga-lgg")
def import_tcga_lgg(source: PathLike, out: PathLike, *, workers: int = 1) -> Cohort:
    """Import TCGA-LGG in the slice layout of the Kaggle data set.

    The slices of each patient are stacked to T1w, T1ce and FLAIR scans of unknown voxel
    size. A channel that is a copy of FLAIR stands for a missing scan and is left out.
    Unusable patients are excluded, with the reason. Patients that an earlier import into
    `out` has completed from the same slices are kept.

    Parameters
    ----------
    source : path
        A folder of patient folders, a zip of them, or a folder of such zips, with
        ``data.csv`` anywhere in it. Zips are read without unpacking; links are followed.
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
    CohortError
        `source` contains no patient folder, ``data.csv`` is unreadable, several tables
        differ, or every patient is excluded.
    ParameterError
        One folder is the other, or lies inside it.
    OutputError
        `out` cannot be written to, or holds other subjects.

    See Also
    --------
    import_bids : Import a BIDS folder.
    import_lgg_1p19q : Import a collection with 1p/19q status.

    References
    ----------
    Buda et al., Comput Biol Med 2019, doi:10.1016/j.compbiomed.2019.05.002
    Pedano et al., TCGA-LGG, TCIA 2016, doi:10.7937/K9/TCIA.2016.L4LTD3TK

    Examples
    --------
    Write eight slices of one patient, and import them.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> import epitome_kit as ek
    >>> folder = Path(tempfile.mkdtemp())
    >>> patient = folder / "kaggle_3m" / "TCGA_CS_0001_20000101"
    >>> patient.mkdir(parents=True)
    >>> for n in range(1, 9):
    ...     Image.new("RGB", (16, 16), (n, 2 * n, 3 * n)).save(patient / f"{patient.name}_{n}.tif")
    ...     Image.new("L", (16, 16), 255 * (n == 4)).save(patient / f"{patient.name}_{n}_mask.tif")
    >>> cohort = ek.import_tcga_lgg(folder / "kaggle_3m", folder / "cohort")
    >>> list(cohort["sub-CS0001"].images)
    ['T1w', 'T1ce', 'FLAIR']
    """
    source, out = Path(source), Path(out)
    found, tables, entries, excluded = find_patients(source)
    patients: dict[str, Patient] = {}
    twice = []
    for name in sorted(found):
        subject_id = "sub-" + "".join(name.split("_")[1:3])
        if subject_id in patients:
            same = f"{patients[subject_id].name}, the same patient"
            twice.append((name, str(Reason("each patient once", same))))
        else:
            patients[subject_id] = found[name]
    check_folders(source, out, patients)
    labels, rows = read_clinical(tables)
    items = {patient.name: (subject_id, patient) for subject_id, patient in patients.items()}
    excluded += twice + adopt_subjects(partial(_import_patient, out), items, workers=workers)
    left_out = {name for name, _ in excluded}
    kept = {subject_id: patient for subject_id, patient in patients.items() if patient.name not in left_out}
    participants, noticed = as_participants(labels, {subject: patient.name for subject, patient in kept.items()})
    if len(labels) and kept and participants.grade.isna().all():
        warnings.warn(
            f"{tables[0][-1]} is there, but gives no subject a grade: see {LEDGER}", EpitomeWarning, stacklevel=2
        )
    taken = [entry for subject_id, patient in kept.items() for entry in _taken(out, subject_id, patient)]
    return describe_cohort(
        out,
        source=source,
        participants=participants,
        excluded=excluded,
        entries=[*entries, *taken, *rows, *noticed],
        name="TCGA-LGG slices",
        licence="CC BY-NC-SA 4.0 (masks), CC BY 3.0 (images)",
        readme=_README.format(labels="Labels come from data.csv." if tables else "No data.csv was found: no labels."),
    )


def _taken(out: Path, subject_id: str, patient: Patient) -> Iterator[Entry]:
    """Make the ledger entries of the channels and masks of a patient."""
    n = len(patient.slices) // 2
    for contrast, channel in _CHANNELS.items():
        place = f"{patient.source}, channel {channel + 1}"
        if image_path(out, subject_id, contrast).is_file():
            yield Entry(place, "scan", subject_id, contrast, f"layout of the set, {n} slices")
        else:
            yield Entry(place, "scan", subject_id, reason=f"a copy of FLAIR, in the place of a missing {contrast}")
    yield Entry(f"{patient.source}, masks", "mask", subject_id, "tumour", "layout of the set: the abnormality of FLAIR")


def _import_patient(out: Path, item: tuple[str, Patient]) -> str | None:
    """Write one patient; the patient is complete once the last scan is written."""
    subject_id, patient = item
    _, archive, _, slices = patient
    origin = {"SourceDigest": text_digest("\n".join(slice_checksums(patient)))}
    again = import_difference(out, subject_id, origin, strict=False)
    if again is None:
        return None
    numbers = {drawn: sorted(number for number, mask, _ in slices if mask == drawn) for drawn in (False, True)}
    _check_numbers(numbers[False], numbers[True])
    with opener(archive) as open_file:
        pages = {(number, drawn): _read_slice(open_file, name, drawn) for number, drawn, name in slices}
    shapes = {page.shape[:2] for page in pages.values()}
    if len(shapes) > 1:
        raise ImageError("import", "slices of one size", f"{sorted(shapes)}", "download the patient again")
    volume = np.stack([pages[number, False] for number in numbers[False]]).transpose(2, 1, 0, 3)
    mask = np.stack([pages[number, True] for number in numbers[True]]).transpose(2, 1, 0)
    flair = load_image(_as_image(volume[..., _CHANNELS["FLAIR"]]), where="import")
    scans = {"FLAIR": flair}
    for contrast in ("T1ce", "T1w"):
        channel = volume[..., _CHANNELS[contrast]]
        if not np.array_equal(channel, volume[..., _CHANNELS["FLAIR"]]):
            scans[contrast] = load_image(new_image_like(channel, flair), where="import")
    save_image(new_image_like((mask > 0).astype(np.uint8), flair), annotation_path(out, subject_id))
    write_annotation_sidecar(out, subject_id, "FLAIR")
    write_scans(out, subject_id, scans, dict.fromkeys(scans, _NOTES), origin=origin, save=save_image)
    return again


def _check_numbers(scans: list[int], masks: list[int]) -> None:
    if len(scans) not in _SLICES:
        raise ImageError(
            "import", f"{_SLICES[0]} to {_SLICES[-1]} slices", f"{len(scans)} slices", "download the patient again"
        )
    if scans != list(range(1, len(scans) + 1)):
        missing = sorted(set(range(1, len(scans) + 1)) - set(scans))
        received = "a slice number twice" if len(set(scans)) < len(scans) else f"slice {missing[0]} missing"
        raise ImageError("import", "slices numbered from 1 without a gap", received, "download the patient again")
    if masks != scans:
        odd = min(set(scans) ^ set(masks), default="a number twice")
        raise ImageError("import", "one mask a slice", f"no pair for slice {odd}", "download the patient again")


def _read_slice(open_file: Callable[[str], IO[bytes]], name: str, drawn: bool) -> np.ndarray:
    """Read the pixels of one TIFF, shape (rows, columns), or (rows, columns, 3) for a scan."""
    short = name.rsplit("/", 1)[-1]
    try:
        with open_file(name) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ImageError("import", "a slice of at most 16 MB", f"more in {short}", "download the patient again")
        with Image.open(io.BytesIO(content), formats=["TIFF"]) as picture:
            if max(picture.size) > _MAX_SIDE or picture.mode not in (("L", "1") if drawn else ("RGB",)):
                raise ImageError(
                    "import",
                    f"a {'grey mask' if drawn else 'three-channel slice'} of at most {_MAX_SIDE} pixels a side",
                    f"mode {picture.mode}, {picture.size} pixels in {short}",
                    "download the patient again",
                )
            return np.asarray(picture)
    except EpitomeError:
        raise
    except Exception as error:  # a damaged file can raise anything in zipfile and in a TIFF decoder
        raise ImageError("import", "a readable TIFF", f"{short} ({error})", "download the patient again") from error


def _as_image(data: np.ndarray) -> nib.Nifti1Image:
    """Make a centred image of shape (columns, rows, slices) whose axes run left, back and up."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(data.shape) - 1) / 2
    return mark_voxel_size_unknown(nib.Nifti1Image(data, affine))
