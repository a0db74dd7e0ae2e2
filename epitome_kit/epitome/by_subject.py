"""Learn an epitome from every tumour, and test it on held-out halves of the tumour."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

import nibabel as nib
import numpy as np
import pandas as pd

from epitome_kit.cohort import Cohort, Subject
from epitome_kit.epitome.baselines import METHODS, compare_codebooks
from epitome_kit.epitome.files import record_path, save_epitome
from epitome_kit.epitome.model import LearnedEpitome, learn_epitome
from epitome_kit.epitome.patches import split_halves, take_patches
from epitome_kit.errors import CohortError, EpitomeError, ImageError
from epitome_kit.files import Json, PathLike
from epitome_kit.images import load_image, load_mask, resample
from epitome_kit.lock import locks
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed, assign_nominal_voxel_size, registration_reference
from epitome_kit.resume import Record, checksums, report_again
from epitome_kit.tumour.outline import mask_path
from epitome_kit.workspace import Workspace

COLUMNS = ["participant_id", "n_patches", *(f"mse_{name}" for name in METHODS), "note"]

_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class EpitomeSettings:
    """Settings of the epitomes of single tumours.

    They are given to :func:`learn_epitomes`. A subject whose epitome was learned with
    other settings is computed again.

    Parameters
    ----------
    shape, patch : int, default=8 and 3
        Sides of the epitome and of a patch, in voxels of the template grid.
    iterations : int, default=15
        Number of iterations, as for :func:`learn_epitome`.
    fewest : int, default=60
        Minimum number of patches in each half of a tumour.
    most : int, default=300
        Maximum number of training patches, drawn at random if there are more.
    use_annotations : bool, default=False
        Use the annotated masks instead of the segmented ones.

    See Also
    --------
    learn_epitomes : Learn an epitome from every tumour.
    GradeEpitomeSettings : Settings of the epitomes of the classes.

    Examples
    --------
    >>> import epitome_kit as ek
    >>> ek.EpitomeSettings(iterations=5)
    EpitomeSettings(shape=8, patch=3, iterations=5, fewest=60, most=300, use_annotations=False)
    """

    shape: int = 8
    patch: int = 3
    iterations: int = 15
    fewest: int = 60
    most: int = 300
    use_annotations: bool = False


@dataclass(frozen=True)
class _Places:
    """Folders and contrasts of a cohort."""

    preprocessed: Path
    out: Path
    contrasts: Sequence[str]


@locks("extract")
def learn_epitomes(
    cohort: Cohort,
    preprocessed: PathLike,
    out: PathLike,
    *,
    settings: EpitomeSettings | None = None,
    seed: int = 0,
    workers: int = 1,
) -> pd.DataFrame:
    """Learn an epitome from every tumour, with a test on held-out halves of the tumour.

    Each tumour is split across its longest axis. An epitome is learned from each half and
    tested on the other; the errors are the means of both. The saved epitome is learned
    from the whole tumour. Finished subjects are kept on the next call if scans, mask and
    settings are unchanged.

    Parameters
    ----------
    cohort : Cohort
        Segmented subjects.
    preprocessed : path
        Folder written by :func:`epitome_kit.preprocess_cohort`.
    out : path
        Workspace with the ``masks/`` of :func:`epitome_kit.segment_cohort`, to which
        ``epitomes/sub-*/`` are written.
    settings : EpitomeSettings, default=None
        Sizes, iterations and masks; None means the defaults of :class:`EpitomeSettings`.
    seed : int, default=0
        Seed; results do not depend on the number of workers.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    DataFrame
        ``participant_id``; ``n_patches`` in the whole tumour; ``mse_epitome``,
        ``mse_kmeans``, ``mse_random``: see
        :func:`epitome_kit.epitome.baselines.compare_codebooks`; and ``note``, the reason
        why a subject has no epitome.

    Raises
    ------
    CohortError
        No subject has an epitome.

    See Also
    --------
    learn_epitome : Learn one epitome from patches.
    learn_grade_epitomes : Learn one epitome for each class.

    Examples
    --------
    Segmentation takes a minute for each subject:

    >>> import epitome_kit as ek
    >>> cohort = ek.open_cohort("bids")  # doctest: +SKIP
    >>> tumours = ek.predict_tumours(cohort, "run/preprocessed", "run")  # doctest: +SKIP
    >>> errors = ek.learn_epitomes(cohort, "run/preprocessed", "run")  # doctest: +SKIP
    """
    recorded = asdict(settings or EpitomeSettings())
    recorded |= {"drawn": recorded.pop("use_annotations"), "seed": seed}
    places = _Places(Path(preprocessed), Path(out), cohort.contrasts)
    jobs = [(each, _record(each, places, recorded)) for each in cohort]
    report_again("learn_epitomes", [record.difference() for _, record in jobs])
    work = partial(_learn_one, places=places, settings=recorded)
    rows = pd.DataFrame(for_each(work, jobs, title="Learning epitomes", workers=workers), columns=COLUMNS)
    if rows.mse_epitome.isna().all():
        first = rows.iloc[0]
        raise CohortError(
            "learn_epitomes",
            "at least one tumour that an epitome can be learned from",
            f"{len(rows)} without; {first.participant_id}: {first.note}",
            "segment the cohort first with `epitome extract COHORT OUT`, or inspect its masks",
        )
    return rows


def load_tumour(
    subject: Subject, preprocessed: PathLike, out: PathLike, contrasts: Sequence[str], *, use_annotations: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Load a subject's scans and tumour on the template grid.

    Parameters
    ----------
    subject : Subject
        Subject of a cohort.
    preprocessed, out : path
        As for :func:`learn_epitomes`.
    contrasts : sequence of str
        Contrasts to load.
    use_annotations : bool, default=False
        As for :class:`EpitomeSettings`.

    Returns
    -------
    scans : ndarray of float32, shape (i, j, k, contrasts)
        Normalised scans.
    mask : ndarray of bool, shape (i, j, k)
        Tumour mask.
    affine : ndarray, shape (4, 4)
        Affine of the grid.

    Raises
    ------
    ImageError
        A contrast or the mask is missing.
    """
    files = Preprocessed(Path(preprocessed), subject.id)
    files.require_intact("load_tumour")
    paths = {name: files.scan(name) for name in contrasts}
    mask = _mask_path(subject, files, Path(out), use_annotations)
    missing = [name for name, path in {**paths, "tumour mask": mask}.items() if not path.is_file()]
    if missing:
        raise ImageError(
            "load_tumour", f"{', '.join(missing)}", f"none for {subject.id}", "preprocess and segment the cohort first"
        )
    images = [load_image(path, where="load_tumour") for path in paths.values()]
    grid, tumour = images[0], load_mask(mask, where="load_tumour")
    if not use_annotations:
        to_template = np.loadtxt(files.transform(registration_reference(subject)))
        on_scan = nib.Nifti1Image(np.asarray(tumour.dataobj), assign_nominal_voxel_size(tumour).affine)
        tumour = resample(on_scan, grid.affine, grid.shape, transform=to_template, smooth=True)
    scans = np.stack([np.asarray(image.dataobj, np.float32) for image in images], axis=-1)
    return scans, np.asarray(tumour.dataobj) > 0.5, grid.affine


def draw_patches(
    subject: Subject,
    preprocessed: PathLike,
    out: PathLike,
    contrasts: Sequence[str],
    *,
    patch: int,
    most: int,
    seed: int,
    use_annotations: bool = False,
) -> np.ndarray:
    """Draw a random sample of the patches of a subject's tumour.

    Parameters
    ----------
    subject : Subject
        Subject of a cohort.
    preprocessed, out : path
        As for :func:`learn_epitomes`.
    contrasts : sequence of str
        Contrasts to load.
    patch : int
        Side of a patch in voxels.
    most : int
        Maximum number of patches.
    seed : int
        Seed, combined with the name of the subject.
    use_annotations : bool, default=False
        As for :class:`EpitomeSettings`.

    Returns
    -------
    ndarray of float32, shape (n, a, b, c, contrasts)
        Empty, n = 0, for a subject without scans or tumour.
    """
    try:
        scans, mask, _ = load_tumour(subject, preprocessed, out, contrasts, use_annotations=use_annotations)
    except EpitomeError:
        return np.zeros((0, patch, patch, patch, len(contrasts)), np.float32)
    return _sample(take_patches(scans, mask, patch), most, subject_generator(subject.id, seed))


def subject_generator(name: str, seed: int) -> np.random.Generator:
    """Return a generator that depends on a name and the seed, not on the order of processing."""
    return np.random.default_rng([seed, crc32(name.encode())])


def _learn_one(job: tuple[Subject, Record], *, places: _Places, settings: Json) -> Json:
    subject, record = job
    if finished := record.results().get("row"):
        return finished
    record.path.unlink(missing_ok=True)
    row: Json = {"participant_id": subject.id, "n_patches": 0}
    try:
        scans, mask, affine = load_tumour(
            subject, places.preprocessed, places.out, places.contrasts, use_annotations=settings["drawn"]
        )
        row["n_patches"] = int(mask.sum())
        rng = subject_generator(subject.id, settings["seed"])
        epitome, errors = _learn_and_test(scans, mask, places.contrasts, settings, rng)
    except EpitomeError as error:
        row["note"] = error.reason
        record.finish(row=row)
        return row
    row |= errors
    spacing_mm = nib.affines.voxel_sizes(affine)
    save_epitome(epitome, record.path.parent, subject.id, spacing_mm=spacing_mm, notes={"row": row}, record=record)
    return row


def _learn_and_test(
    scans: np.ndarray, mask: np.ndarray, contrasts: Sequence[str], settings: Json, rng: np.random.Generator
) -> tuple[LearnedEpitome, Json]:
    patches = take_patches(scans, mask, settings["patch"])
    halves = [patches[half] for half in split_halves(mask, settings["patch"])]
    smallest = min(map(len, halves))
    if smallest < settings["fewest"]:
        raise ImageError(
            "learn_epitomes",
            f"a tumour with at least {settings['fewest']} patches in each half",
            f"{smallest} in the smaller of {len(patches)} in all",
            "use smaller patches or a finer grid",
        )
    halves = [_sample(half, settings["most"], rng) for half in halves]
    shape, iterations, seed = settings["shape"], settings["iterations"], settings["seed"]
    tested = [
        compare_codebooks(train, test, shape, iterations=iterations, seed=seed)
        for train, test in (halves, halves[::-1])
    ]
    errors = {f"mse_{name}": round(float(np.mean([each[name].mean() for each in tested])), _DIGITS) for name in METHODS}
    chosen = _sample(patches, settings["most"], rng)
    return learn_epitome(chosen, shape, contrasts=contrasts, iterations=iterations, seed=seed), errors


def _sample(patches: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return patches if len(patches) <= most else patches[np.sort(rng.permutation(len(patches))[:most])]


def _mask_path(subject: Subject, files: Preprocessed, out: Path, use_annotations: bool) -> Path:
    return files.mask("label-tumour") if use_annotations else mask_path(out, subject.id)


def _record(subject: Subject, places: _Places, settings: Json) -> Record:
    """Return the record of the epitome of a subject, which stores its row of the table."""
    files = Preprocessed(places.preprocessed, subject.id)
    mask = _mask_path(subject, files, places.out, settings["drawn"])
    inputs = [*map(files.scan, places.contrasts), mask]
    if not settings["drawn"]:
        inputs.append(files.transform(registration_reference(subject)))
    path = record_path(Workspace(places.out).epitomes / subject.id, subject.id)
    return Record(path, {**settings, "contrasts": list(places.contrasts)}, checksums(*inputs))
