"""An epitome learned from each subject's tumour, and what it explains of the half that it did not see."""

from functools import partial
from pathlib import Path
from zlib import crc32

import nibabel as nib
import numpy as np
import pandas as pd

from epitome_kit.cohort import annotation_path
from epitome_kit.epitome.baselines import METHODS, compare_codebooks
from epitome_kit.epitome.files import record_path, save_epitome
from epitome_kit.epitome.model import learn_epitome
from epitome_kit.epitome.patches import split_halves, take_patches
from epitome_kit.errors import CohortError, EpitomeError, ImageError
from epitome_kit.images import load_image, load_mask, resample
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed, assign_nominal_voxel_size, registration_reference
from epitome_kit.resume import Record, checksums, report_again, statement
from epitome_kit.workspace import Workspace

COLUMNS = ["participant_id", "n_patches", *(f"mse_{name}" for name in METHODS), "note"]

_DIGITS = 6


def learn_epitomes(
    cohort,
    preprocessed,
    out,
    *,
    shape=8,
    patch=3,
    iterations=15,
    fewest=60,
    most=300,
    drawn=False,
    seed=0,
    workers=1,
):
    """Learn an epitome of every tumour, and test each on the half of the tumour that it was not learned from.

    A tumour is cut across its longest axis. What is learned from one half is
    tested on the other, and the other way round; the errors are the means of
    both. The epitome that is kept is learned from the whole tumour. Finished
    subjects are kept on the next call as long as scans, mask and settings are
    the same.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    out : path
        Workspace with the ``masks/`` of :func:`epitome_kit.segment_cohort`;
        gets ``epitomes/sub-*/``.
    shape, patch : int, default=8 and 3
        Sides of the epitome and of a patch, in voxels of the template grid.
    iterations : int, default=15
    fewest : int, default=60
        Patches that each half of a tumour must hold.
    most : int, default=300
        Patches to learn from, drawn at random where there are more.
    drawn : bool, default=False
        Take the annotated masks instead of those that were found.
    seed : int, default=0
        Whatever the number of workers, a seed gives the same epitomes.
    workers : int, default=1
        Processes.

    Returns
    -------
    DataFrame
        ``participant_id``; ``n_patches`` in the whole tumour; ``mse_epitome``,
        ``mse_kmeans``, ``mse_random``: see
        :func:`epitome_kit.epitome.baselines.compare_codebooks`; and ``note``, why a
        subject has none.

    Raises
    ------
    CohortError
        No subject has an epitome.
    """
    settings = {
        **{"shape": shape, "patch": patch, "iterations": iterations},
        **{"fewest": fewest, "most": most, "drawn": drawn, "seed": seed},
    }
    places = {"preprocessed": Path(preprocessed), "out": Path(out), "contrasts": cohort.contrasts}
    jobs = [(each, _record(each, settings=settings, **places)) for each in cohort]
    report_again("learn_epitomes", [record.difference() for _, record in jobs])
    work = partial(_learn_one, settings=settings, **places)
    rows = pd.DataFrame(for_each(work, jobs, title="Learning epitomes", workers=workers), columns=COLUMNS)
    if rows.mse_epitome.isna().all():
        first = rows.iloc[0]
        raise CohortError(
            "learn_epitomes",
            "at least one tumour that an epitome can be learned from",
            f"{len(rows)} without; {first.participant_id}: {first.note}",
            "segment the cohort first with `epitome extract COHORT OUT`, or look at its masks",
        )
    return rows


def load_tumour(subject, preprocessed, out, contrasts, *, drawn=False):
    """Load a subject's scans and tumour on the template grid.

    Parameters
    ----------
    subject : Subject
    preprocessed, out : path
    contrasts : sequence of str
    drawn : bool, default=False
        As for :func:`learn_epitomes`.

    Returns
    -------
    (ndarray of float32, shape (i, j, k, contrasts), ndarray of bool, shape (i, j, k), ndarray, shape (4, 4))
        Normalised scans, tumour mask, and the affine of the grid.

    Raises
    ------
    ImageError
        A contrast or the mask is missing.
    """
    files = Preprocessed(Path(preprocessed), subject.id)
    paths = {name: files.scan(name) for name in contrasts}
    mask = _mask_path(subject, files, out, drawn)
    missing = [name for name, path in {**paths, "tumour mask": mask}.items() if not path.is_file()]
    if missing:
        raise ImageError(
            "load_tumour", f"{', '.join(missing)}", f"none for {subject.id}", "preprocess and segment the cohort first"
        )
    images = [load_image(path, where="load_tumour") for path in paths.values()]
    grid, tumour = images[0], load_mask(mask, where="load_tumour")
    if not drawn:
        to_template = np.loadtxt(files.transform(registration_reference(subject)))
        on_scan = nib.Nifti1Image(np.asarray(tumour.dataobj), assign_nominal_voxel_size(tumour).affine)
        tumour = resample(on_scan, grid.affine, grid.shape, transform=to_template, smooth=True)
    scans = np.stack([np.asarray(image.dataobj, np.float32) for image in images], axis=-1)
    return scans, np.asarray(tumour.dataobj) > 0.5, grid.affine


def draw_patches(subject, preprocessed, out, contrasts, *, patch, most, seed, drawn=False):
    """Draw some of the patches of a subject's tumour.

    Parameters
    ----------
    subject : Subject
    preprocessed, out : path
    contrasts : sequence of str
    patch : int
    most : int
        All patches where there are fewer.
    seed : int
        Together with the name of the subject.
    drawn : bool, default=False
        As for :func:`learn_epitomes`.

    Returns
    -------
    ndarray of float32, shape (n, a, b, c, contrasts)
        None at all, n = 0, of a subject without scans or tumour.
    """
    try:
        scans, mask, _ = load_tumour(subject, preprocessed, out, contrasts, drawn=drawn)
    except EpitomeError:
        return np.zeros((0, patch, patch, patch, len(contrasts)), np.float32)
    return _some(take_patches(scans, mask, patch), most, own_generator(subject.id, seed))


def own_generator(name, seed):
    """Random numbers that depend on a name and the seed alone, not on the order of work."""
    return np.random.default_rng([seed, crc32(name.encode())])


def _learn_one(job, *, preprocessed, out, contrasts, settings):
    subject, record = job
    if row := record.results().get("row"):
        return row
    record.path.unlink(missing_ok=True)
    row = {"participant_id": subject.id, "n_patches": 0}
    try:
        scans, mask, affine = load_tumour(subject, preprocessed, out, contrasts, drawn=settings["drawn"])
        row["n_patches"] = int(mask.sum())
        epitome, errors = _learn_and_test(scans, mask, contrasts, settings, own_generator(subject.id, settings["seed"]))
    except EpitomeError as error:
        row["note"] = error.reason
        record.finish(row=row)
        return row
    row |= errors
    notes = {**statement(record.settings, record.inputs), "row": row}
    save_epitome(epitome, record.path.parent, subject.id, spacing_mm=nib.affines.voxel_sizes(affine), notes=notes)
    return row


def _learn_and_test(scans, mask, contrasts, settings, rng):
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
    halves = [_some(half, settings["most"], rng) for half in halves]
    how = {"iterations": settings["iterations"], "seed": settings["seed"]}
    tested = [compare_codebooks(*order, settings["shape"], **how) for order in (halves, halves[::-1])]
    errors = {f"mse_{name}": round(float(np.mean([each[name].mean() for each in tested])), _DIGITS) for name in METHODS}
    chosen = _some(patches, settings["most"], rng)
    return learn_epitome(chosen, settings["shape"], contrasts=contrasts, **how), errors


def _some(patches, most, rng):
    return patches if len(patches) <= most else patches[np.sort(rng.permutation(len(patches))[:most])]


def _mask_path(subject, files, out, drawn):
    return files.mask("label-tumour") if drawn else Workspace(out).masks / annotation_path("", subject.id).name


def _record(subject, *, preprocessed, out, contrasts, settings):
    """Record of the epitome of a subject, which holds its row of the table."""
    files = Preprocessed(preprocessed, subject.id)
    inputs = [*map(files.scan, contrasts), _mask_path(subject, files, out, settings["drawn"])]
    if not settings["drawn"]:
        inputs.append(files.transform(registration_reference(subject)))
    path = record_path(Workspace(out).epitomes / subject.id, subject.id)
    return Record(path, {**settings, "contrasts": list(contrasts)}, checksums(*inputs))
