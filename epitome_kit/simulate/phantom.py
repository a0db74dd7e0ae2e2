"""Make the built-in cohort: simulated heads with gliomas and their truth."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from epitome_kit.cohort import (
    TARGETS,
    Cohort,
    annotation_path,
    image_path,
    open_cohort,
    truth_folder,
    write_annotation_sidecar,
    write_dataset,
)
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import ParameterError
from epitome_kit.files import Json, PathLike, write_json, write_matrix, write_text, write_tsv
from epitome_kit.folders import is_litter, refuse_links
from epitome_kit.images import save_image
from epitome_kit.io.geometry import SPACE
from epitome_kit.lock import folder_lock, locks
from epitome_kit.parallel import for_each
from epitome_kit.profiles import profile as find_profile
from epitome_kit.resume import Record, read_record, report_again
from epitome_kit.simulate.anatomy import age_head, head_model, random_deformation
from epitome_kit.simulate.labels import TumourType, draw_labels
from epitome_kit.simulate.latents import LATENTS, draw_latents, oracle_auc, oracle_score
from epitome_kit.simulate.mass_effect import push_tissue
from epitome_kit.simulate.scanner import SIGNAL, Scan, acquire, random_grid, random_motion, random_pose
from epitome_kit.simulate.tumour import grow_tumour

_SIMULATOR = {"simulator": 2}  # counted up when the same recipe makes other heads
_MEASURED = ["volume_ml", "beyond_affine_mm"]
_WAIT_S = 3600  # for another command that makes the same built-in cohort
_NOT_IN_BIDS = ("*_xfm.txt", "*_biasfield.nii.gz", "*_latents.json", "latents.tsv", "oracle.json", "recipe.json")

_README = """
Simulated heads with diffuse gliomas of grade 2 and 3, made by epitome_kit. No
person was scanned: every head is bent from the atlas ICBM152. Types are those of
WHO 2021 (doi:10.1093/neuonc/noab106); a few are IDH-wildtype, without the
molecular features of glioblastoma. Scores on this cohort are phantom scores: they
show that a method works, not how well it would do on patients. For teaching and
research, not for diagnosis.

`derivatives/annotations` holds tumour masks on three axial slices, as in the
TCIA collection LGG-1p19qDeletion. `derivatives/truth` holds the truth, unknown
for real scans: brain and whole-tumour masks, bias fields, transforms to
ICBM152, and the latent variables that each tumour was grown from, with its
physical parameters.
"""


@locks("cohort phantom")
def make_phantom_cohort(
    out: PathLike,
    *,
    subjects: int = 48,
    seed: int = 0,
    profile: str = "quick",
    contrasts: Sequence[str] = ("T1ce", "T2w"),
    workers: int = 1,
    spacing_mm: Sequence[float] | None = None,
) -> Cohort:
    """Simulate a cohort with known truth and write it as a BIDS dataset.

    The same seed gives the same voxels for any number of workers. Existing subjects
    are kept, unless an earlier version of the simulator made them.

    Parameters
    ----------
    out : path
        Folder of the cohort, new or with a part of the same cohort.
    subjects : int, default=48
        Number of simulated heads.
    seed : int, default=0
        Seed of the simulation.
    profile : {"quick", "full", "smoke"}, default="quick"
        Voxel size: 2 mm, 0.94 x 0.94 x 3 mm, or 3 mm.
    contrasts : sequence of str, default=("T1ce", "T2w")
        Contrasts to simulate, out of :data:`epitome_kit.simulate.scanner.SIGNAL`.
    workers : int, default=1
        Number of processes.
    spacing_mm : sequence of 3 float, default=None
        Voxel size; None for that of the profile.

    Returns
    -------
    Cohort
        OpenedScan by :func:`open_cohort`.

    Raises
    ------
    ParameterError
        Fewer than two subjects, an unknown contrast, or a folder with another cohort.

    See Also
    --------
    load_cohort : Open a cohort, or make the built-in one.
    open_cohort : Open a cohort.

    Examples
    --------
    >>> import tempfile
    >>> import epitome_kit as ek
    >>> cohort = ek.make_phantom_cohort(tempfile.mkdtemp(), subjects=2, spacing_mm=(8, 8, 8))
    >>> list(cohort.subjects), cohort.simulated
    (['sub-001', 'sub-002'], True)
    """
    spacing_mm = tuple(spacing_mm or find_profile(profile).phantom_spacing_mm)
    _check_request(subjects, contrasts)
    out = Path(out)
    refuse_links(out, where="make_phantom_cohort")
    recipe = {"subjects": subjects, "seed": seed, "spacing_mm": list(spacing_mm), "contrasts": list(contrasts)}
    _check_recipe(out, recipe)
    write_json(out / "derivatives" / "truth" / "recipe.json", recipe)

    streams = np.random.SeedSequence(seed).spawn(subjects + 1)
    types = draw_labels(subjects, np.random.default_rng(streams[0]))
    width = max(3, len(str(subjects)))
    jobs = [(f"sub-{number + 1:0{width}d}", kind, streams[number + 1]) for number, kind in enumerate(types)]
    make = partial(_make_subject, out=out, spacing_mm=spacing_mm, contrasts=tuple(contrasts))
    records = [_record(out, subject_id) for subject_id, *_ in jobs]
    differences = [record.difference() for record in records]
    report_again("make_phantom_cohort", differences)
    missing = [job for job, difference in zip(jobs, differences, strict=True) if difference is not None]
    for_each(make, missing, title="Simulating heads", workers=workers)
    rows = [record.results() for record in records]
    _write_tables(out, rows, seed)
    return open_cohort(out)


def load_cohort(
    cohort: PathLike,
    *,
    folder: PathLike,
    profile: str = "quick",
    subjects: int = 0,
    seed: int = 0,
    workers: int = 1,
) -> Cohort:
    """Open a cohort, or make the built-in one.

    The built-in cohort is made once and kept in `folder`.

    Parameters
    ----------
    cohort : path or "phantom"
        A BIDS folder, or the built-in cohort of simulated heads.
    folder : path
        Folder of built-in cohorts.
    profile : str, default="quick"
        Size of the built-in cohort, see :func:`profile`.
    subjects : int, default=0
        Number of simulated heads; 0 for that of the profile.
    seed : int, default=0
        Seed of the simulation.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort
        OpenedScan by :func:`open_cohort`.

    See Also
    --------
    open_cohort : Open a cohort.
    make_phantom_cohort : Simulate a cohort.

    Examples
    --------
    >>> import tempfile
    >>> import epitome_kit as ek
    >>> folder = tempfile.mkdtemp()
    >>> cohort = ek.load_cohort("phantom", folder=folder, profile="smoke", subjects=2)
    >>> cohort.root.name, len(cohort)
    ('phantom_smoke_n2_seed0', 2)
    """
    if str(cohort) != "phantom":
        return open_cohort(cohort)
    subjects = subjects or find_profile(profile).subjects
    path = Path(folder) / f"phantom_{profile}_n{subjects}_seed{seed}"
    with folder_lock(path, "cohort phantom", wait_s=_WAIT_S):
        return make_phantom_cohort(path, subjects=subjects, seed=seed, profile=profile, workers=workers)


def _check_request(subjects: int, contrasts: Sequence[str]) -> None:
    if subjects < 2:
        raise ParameterError("make_phantom_cohort", "at least 2 subjects", str(subjects), "use `--subjects 48`")
    unknown = [name for name in contrasts if name not in SIGNAL]
    if unknown or not contrasts:
        raise ParameterError(
            "make_phantom_cohort", f"contrasts out of {', '.join(SIGNAL)}", repr(unknown), "use `T1ce` and `T2w`"
        )


def _check_recipe(out: Path, recipe: Json) -> None:
    path = out / "derivatives" / "truth" / "recipe.json"
    found = read_record(path)
    if found != recipe and (found or any(each.is_file() and not is_litter(each.name) for each in out.rglob("*"))):
        raise ParameterError(
            "make_phantom_cohort",
            "an empty folder, or one that holds the same cohort",
            f"{out}, which holds {found or 'other files'}",
            "choose another folder, or remove this one",
        )


def _record(out: Path, subject_id: str) -> Record:
    """Return the record of a simulated subject, which stores its latent variables; the recipe is that of the cohort."""
    return Record(truth_folder(out, subject_id) / f"{subject_id}_latents.json", _SIMULATOR)


def _make_subject(
    job: tuple[str, TumourType, np.random.SeedSequence],
    *,
    out: Path,
    spacing_mm: Sequence[float],
    contrasts: Sequence[str],
) -> None:
    """Simulate, scan and write one subject; its latent variables are written last."""
    subject_id, kind, stream = job
    record = _record(out, subject_id)
    if record.valid():  # by a worker that died before it could say so
        return
    record.set_aside_changed()
    rng = np.random.default_rng(stream)
    age = int(np.clip(rng.normal(42, 12), 18, 80))
    head = age_head(head_model(1.0 if min(spacing_mm) < 1.5 else 2.0), age, rng.normal(0, 0.3))
    latents = draw_latents(kind.grade_3, kind.codeleted, rng)
    tumour = grow_tumour(head, latents, rng)
    push_mm = rng.uniform(0, 0.25) * tumour.parameters["radius_mm"]
    head = push_tissue(head, tumour, push_mm)
    deformation, pose = random_deformation(rng), random_pose(rng)
    reference = "T2w" if "T2w" in contrasts else contrasts[0]
    motion = {name: np.eye(4) if name == reference else random_motion(rng) for name in contrasts}
    grid = random_grid(rng, spacing_mm, field="full" if spacing_mm[2] > 2 * spacing_mm[0] else "quick")
    for name in contrasts:
        scan = acquire(head, tumour, deformation, motion[name] @ pose, grid, contrast=name, rng=rng)
        _write_scan(out, subject_id, name, scan)
        if name == reference:
            beyond_affine_mm = scan.beyond_affine_mm
            volume_ml = _write_masks(out, subject_id, name, scan)
        else:
            path = truth_folder(out, subject_id) / f"{subject_id}_from-{name}_to-{reference}_mode-image_xfm.txt"
            write_matrix(path, np.linalg.inv(motion[name]))
    row = {
        "participant_id": subject_id,
        **kind._asdict(),
        "histology": kind.histology,
        "age": age,
        "sex": str(rng.choice(["F", "M"])),
        "volume_ml": volume_ml,
        "beyond_affine_mm": beyond_affine_mm,
        "latents": dict(zip(LATENTS, latents.tolist(), strict=True)),
        "parameters": {**tumour.parameters, "mass_effect_mm": push_mm},
    }
    places = image_path(out, subject_id, reference), annotation_path(out, subject_id), record.path
    written = {path for place in places for path in place.parent.glob(f"{subject_id}_*")}
    replace(record, outputs=sorted(written - {record.path})).finish(**row)


def _write_scan(out: Path, subject_id: str, contrast: str, scan: Scan) -> None:
    path = image_path(out, subject_id, contrast)
    save_image(scan.image, path)
    sidecar = {"Manufacturer": "epitome_kit", "ConversionSoftware": "epitome_kit", "Modality": "MR"}
    write_json(path.with_suffix("").with_suffix(".json"), sidecar)
    truth = truth_folder(out, subject_id)
    _save_compact(scan.bias, scan.image, truth / f"{subject_id}_space-{contrast}_biasfield.nii.gz")
    write_matrix(truth / f"{subject_id}_from-{contrast}_to-{SPACE}_mode-image_xfm.txt", scan.to_template)


def _write_masks(out: Path, subject_id: str, reference: str, scan: Scan) -> float:
    """Write the true masks and the annotation on three slices; return the true volume in mL."""
    truth = truth_folder(out, subject_id)
    grid = scan.image.affine
    space = {"SpatialReference": f"bids:raw:{subject_id}/anat/{subject_id}_{CONTRASTS[reference].bids}.nii.gz"}
    for name, kind, mask in (("desc-brain", "Brain", scan.brain), ("label-tumour", "Lesion", scan.tumour)):
        stem = f"{subject_id}_space-{reference}_{name}_mask"
        save_image(nib.Nifti1Image(mask, grid), truth / f"{stem}.nii.gz")
        write_json(truth / f"{stem}.json", {"Type": kind, **space})
    widest = int(scan.tumour.sum((0, 1)).argmax())
    slices = [k for k in (widest - 1, widest, widest + 1) if 0 <= k < scan.tumour.shape[2]]
    annotation = np.zeros_like(scan.tumour)
    annotation[:, :, slices] = scan.tumour[:, :, slices]
    save_image(nib.Nifti1Image(annotation, grid), annotation_path(out, subject_id))
    write_annotation_sidecar(out, subject_id, reference, slices)
    return float(scan.tumour.sum() * abs(np.linalg.det(grid[:3, :3])) / 1000)


def _save_compact(data: np.ndarray, image: nib.Nifti1Image, path: Path) -> None:
    """Save a field as scaled 16-bit integers, which are small and sufficiently precise."""
    compact = nib.Nifti1Image(data, image.affine)
    compact.set_data_dtype(np.int16)
    save_image(compact, path)


def _write_tables(out: Path, rows: list[Json], seed: int) -> None:
    table = pd.DataFrame(rows)
    participants = table.drop(columns=["latents", "parameters", *_MEASURED])
    write_dataset(
        out,
        name=f"Phantom gliomas, seed {seed}",
        readme=_README,
        participants=participants,
        licence="CC0",
    )
    latents = pd.DataFrame(list(table.latents))
    scores = {f"oracle_{target}": oracle_score(latents.to_numpy(), target) for target in TARGETS}
    truth = out / "derivatives" / "truth"
    write_tsv(truth / "latents.tsv", table[["participant_id", *_MEASURED]].join(latents).assign(**scores))
    write_json(truth / "oracle.json", {f"auc_{target}": oracle_auc(target) for target in TARGETS})
    write_text(truth / ".bidsignore", "\n".join(_NOT_IN_BIDS) + "\n")
