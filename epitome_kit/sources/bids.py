"""Import an existing BIDS folder."""

import shutil
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy

from epitome_kit.cohort import Cohort, annotation_path, write_annotation_sidecar
from epitome_kit.contrast_table import CONTRASTS, by_conspicuity
from epitome_kit.errors import CohortError, EpitomeWarning, ImageError, Reason, collect_warnings
from epitome_kit.files import Json, PathLike, checksum, text_digest
from epitome_kit.folders import walk_files
from epitome_kit.images import axis_codes, load_image, load_mask, new_image_like, save_image
from epitome_kit.io.geometry import reorient_like, same_grid
from epitome_kit.ledger import RULES, Decisions, Entry, require_decisions, unused_decisions
from epitome_kit.lock import locks
from epitome_kit.sources.bids_choice import session_dates
from epitome_kit.sources.bids_files import BidsFile, find_files, read_notes
from epitome_kit.sources.bids_plan import Plan, named_sources, plan_subject
from epitome_kit.sources.importing import (
    NOT_READ,
    adopt_subjects,
    check_folders,
    describe_cohort,
    forget_origin,
    import_difference,
    write_scans,
)
from epitome_kit.sources.label_table import LABELS
from epitome_kit.sources.labels import find_labels
from epitome_kit.vocabulary import known_licence

_SAMPLED_VOXELS, _MIN_VALUES = 500_000, 10

_README = """\
Imported from a BIDS folder: anatomical scans of one session per subject, and tumour masks. The README of that folder
states the origin of the data and the terms of use. {labels}
"""


@locks("cohort bids")
def import_bids(
    source: PathLike,
    out: PathLike,
    *,
    session: str | None = None,
    mask_labels: str | None = None,
    trust: str | None = None,
    decisions: Decisions | None = None,
    workers: int = 1,
) -> Cohort:
    """Import the scans and tumour masks of an existing BIDS folder.

    The contrast of each image is judged by name and sidecar; scans of undetermined
    contrast are left out. One session per subject is imported: the requested one, or else
    one with a tumour mask, before surgery, and the earliest. Of several scans of one
    contrast, the one named by the tumour mask is taken, or else the first in natural order.

    A tumour mask is recognised by its label, description or sidecar, anywhere in the
    folder; parts that make up the tumour (oedema, enhancing, necrotic) are joined. It is
    assigned to the scan named in its sidecar, or else to the one on the same grid that
    shows gliomas best. The ledger, ``sources.tsv``, lists the decision on every file.

    Files are copied, not linked. Voxels and geometry are unchanged; free text in headers
    and personal data in sidecars are dropped. Links are followed, and the ledger lists
    those that lead out of `source`. Unusable subjects are excluded, with the reason. Subjects that an earlier
    import into `out` has completed from the same files and options are kept.

    Parameters
    ----------
    source : path
        Existing BIDS folder.
    out : path
        Folder for the cohort.
    session : str, default=None
        Session to import from every subject with sessions, such as ``"preop"``.
    mask_labels : str, default=None
        Labels of the tumour in label maps, such as ``"1,2,4"``, see
        :func:`epitome_kit.images.load_mask`.
    trust : {"sform", "qform"}, default=None
        Transform to use if those in a header disagree; None excludes the subject.
    decisions : dict of (str, str) to str, default=None
        Manual decisions, as returned by :func:`epitome_kit.ledger.read_decisions`.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    Cohort
        The imported cohort; its `ledger` lists every file, its `repaired` the
        irregularities.

    Raises
    ------
    CohortError
        `source` does not exist or contains no scan, ``participants.tsv`` is unreadable, or
        every subject is excluded.
    ParameterError
        One folder is the other, or lies inside it.
    OutputError
        `out` cannot be written to, or holds other subjects.

    See Also
    --------
    import_dicom : Import a folder of DICOM files.
    open_cohort : Open a cohort that was imported before.
    epitome_kit.sources.contrasts.judge_scan : How the contrast is judged.

    References
    ----------
    Gorgolewski et al., Sci Data 2016, doi:10.1038/sdata.2016.44

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import nibabel as nib
    >>> import numpy as np
    >>> import epitome_kit as ek
    >>> folder = Path(tempfile.mkdtemp())
    >>> anat = folder / "bids" / "sub-01" / "anat"
    >>> anat.mkdir(parents=True)
    >>> voxels = np.arange(16**3, dtype=np.int16).reshape(16, 16, 16)
    >>> for suffix in ("T1w", "FLAIR", "angio"):
    ...     nib.save(nib.Nifti1Image(voxels, np.diag([8, 8, 8, 1])), anat / f"sub-01_{suffix}.nii.gz")
    >>> cohort = ek.import_bids(folder / "bids", folder / "cohort")
    >>> list(cohort["sub-01"].images)
    ['T1w', 'FLAIR']
    >>> cohort.ledger.query("taken_as == ''")[["source", "reason"]].to_dict("records")
    [{'source': 'sub-01/anat/sub-01_angio.nii.gz', 'reason': 'suffix angio'}]
    """
    source, out = Path(source), Path(out)
    decisions = require_decisions(out, decisions)
    files, entries = _find(source)
    plans = {
        name: _plan(name, found, source, decisions=decisions, session=session, mask_labels=mask_labels)
        for name, found in files.items()
    }
    check_folders(source, out, plans)
    labels = find_labels(source, plans)
    lost = {entry.subject: f"; {entry.source} is {entry.reason}" for entry in reversed(entries) if entry.subject}
    reasons = {name: f"{plan.problem}{lost.get(name, '')}" for name, plan in plans.items() if plan.problem}
    reasons |= dict.fromkeys(labels.conflicting, str(Reason("one row in the table of labels", "rows that differ")))
    items = {name: plan for name, plan in plans.items() if name not in reasons}
    excluded = [*reasons.items(), *labels.without_scans()]
    excluded += adopt_subjects(partial(_import_subject, out, trust, mask_labels), items, workers=workers)
    left_out = dict(excluded)
    for name in plans.keys() & left_out.keys():  # files of an earlier import
        _remove(out, name)
    entries += [_of_subject(entry, left_out) for plan in plans.values() for entry in plan.entries]
    participants = labels.table.reindex([name for name in items if name not in left_out], columns=LABELS)
    participants["source_id"] = participants.index
    description = read_notes(source / "dataset_description.json") or {}
    return describe_cohort(
        out,
        source=source,
        participants=participants.rename_axis("participant_id").reset_index().convert_dtypes(),
        excluded=excluded,
        entries=[*labels.entries, *unused_decisions(decisions, entries), *entries],
        name=out.resolve().name,
        licence=known_licence(description.get("License")),
        readme=_README.format(labels=labels.summary),
    )


def _plan(
    name: str,
    files: list[BidsFile],
    source: Path,
    *,
    decisions: Decisions,
    session: str | None,
    mask_labels: str | None,
) -> Plan:
    """Plan one subject; an error in its sidecars excludes this subject only."""
    try:
        dates = session_dates(source, name)
        return plan_subject(
            name, files, source, dates=dates, decisions=decisions, session=session, mask_labels=mask_labels
        )
    except Exception as error:  # a sidecar can contain anything
        entries = [Entry(file.source, "mask" if file.is_mask else "scan", name) for file in files]
        reason = str(Reason("names and sidecars that can be read", f"{type(error).__name__}: {str(error)[:160]}"))
        return Plan(name, {}, [], [], [entry._replace(reason=reason) for entry in entries], {}, reason)


def _find(source: Path) -> tuple[dict[str, list[BidsFile]], list[Entry]]:
    """Find the images of every subject, and other files that look like images."""
    if not source.is_dir():
        raise CohortError("import_bids", "a BIDS folder", f"{source}, which is not a folder", "check the path")
    found, entries = find_files(source)
    files: dict[str, list[BidsFile]] = {folder.name: [] for folder in sorted(source.glob("sub-*")) if folder.is_dir()}
    for file in found:
        files.setdefault(file.subject, []).append(file)
    if not any(not file.derived for file in found):
        other = next((path for path in walk_files(source) if ".nii" in path.name), None)
        links = sum(entry.reason == NOT_READ["broken link"] for entry in entries)
        received = f"{other.relative_to(source)} and the like in {source}" if other else f"no NIfTI file in {source}"
        raise CohortError(
            "import_bids",
            "scans named as in BIDS, such as `sub-01/anat/sub-01_T1w.nii.gz`",
            f"{received}{f'; broken links: {links}' if links else ''}",
            "fetch their content, as with `datalad get`"
            if links
            else "rename the files, see https://bids.neuroimaging.io",
        )
    return files, entries


def _of_subject(entry: Entry, left_out: Mapping[str, str]) -> Entry:
    """Update the entry of a file whose subject was excluded."""
    if entry.taken_as and entry.subject in left_out:
        return entry._replace(taken_as="", reason=f"its subject was left out: {left_out[entry.subject]}")
    return entry


def _import_subject(out: Path, trust: str | None, mask_labels: str | None, plan: Plan) -> str | None:
    """Check the files of a subject and write them; the subject is complete once the last scan is written."""
    name = plan.subject
    chosen = [*plan.scans.items(), *(("tumour", file) for file in plan.masks)]
    stated = [f"{what} {file.source} {checksum(file.path)} {plan.sidecars[file]}" for what, file in chosen]
    origin = {"SourceDigest": text_digest("\n".join([*stated, *plan.notes, f"{trust} {mask_labels} {RULES}"]))}
    again = import_difference(out, name, origin, strict=False)
    if again is None:
        return None
    _remove(out, name)
    with collect_warnings() as remarks:
        images = {contrast: _load_scan(file.path, trust) for contrast, file in plan.scans.items()}
        annotation = _annotation(plan, images, trust, mask_labels)
    repairs = [*plan.notes, *remarks]
    if annotation:
        mask, contrast, annotated_slices = annotation
        save_image(mask, annotation_path(out, name))
        write_annotation_sidecar(out, name, contrast, annotated_slices)
    notes = {contrast: plan.sidecars[file] for contrast, file in plan.scans.items()}
    write_scans(out, name, images, notes, origin={**origin, "Repairs": repairs}, save=_adopt)
    return again


def _load_scan(path: Path, trust: str | None) -> nib.Nifti1Image:
    image = load_image(path, where="import", trust=trust)
    data = np.asarray(image.dataobj)
    values = np.unique(data.reshape(-1)[:: 1 + data.size // _SAMPLED_VOXELS])
    if len(values) < _MIN_VALUES:
        received = f"{len(values)} different values in {path.name}, as in a mask or a label map"
        raise ImageError(
            "import", "a scan", received, "exclude it by `leave out` in the column `decision`, and --decisions"
        )
    return image


def _remove(out: Path, name: str) -> None:
    shutil.rmtree(out / name, ignore_errors=True)
    forget_origin(out, name)
    shutil.rmtree(annotation_path(out, name).parents[1], ignore_errors=True)


def _annotation(
    plan: Plan, images: Mapping[str, nib.Nifti1Image], trust: str | None, mask_labels: str | None
) -> tuple[nib.Nifti1Image, str, list[int] | None] | None:
    """Return the tumour mask with its contrast and annotated slices; None if there is no mask."""
    if not plan.masks:
        return None
    masks = [load_mask(file.path, where="import", trust=trust, labels=mask_labels) for file in plan.masks]
    mask, sidecar, file = masks[0], plan.sidecars[plan.masks[0]], plan.masks[0]
    names = {scan.path.name: contrast for contrast, scan in plan.scans.items()}
    named = [names[name] for name in named_sources(sidecar) if name in names]
    suffixes = {*file.extras, file.entities.get("space")}
    named += [contrast for contrast, scan in plan.scans.items() if scan.suffix in suffixes]
    ordered = [each for each in [*named, *by_conspicuity(CONTRASTS)] if each in images]
    contrast = next((each for each in ordered if reorient_like(mask, images[each]) is not None), None)
    if contrast and not same_grid(mask, images[contrast]):
        codes = axis_codes(mask), axis_codes(images[contrast])
        turned = f"{file.path.name} is stored {codes[0]}: turned to the {codes[1]} of its scan"
        warnings.warn(turned, EpitomeWarning, stacklevel=2)
    slices = _annotated_slices(sidecar, mask, file.path)
    reoriented = [reorient_like(each, images[contrast]) for each in masks] if contrast else []
    turned_masks = [each for each in reoriented if each is not None]
    if contrast and named and contrast not in named:
        text = f"{file.path.name} names {named[0]} and lies on the grid of {contrast}"
        warnings.warn(text, EpitomeWarning, stacklevel=2)
    fits = contrast is not None and len(turned_masks) == len(masks)
    if contrast is None or not fits or (slices and not same_grid(mask, turned_masks[0])):
        shapes = ", ".join(f"{contrast} {image.shape}" for contrast, image in images.items())
        raise ImageError(
            "import",
            f"a mask on the grid of a scan ({shapes})",
            f"a mask on another grid: shape {mask.shape} in {plan.masks[0].path.name}",
            "resample the mask to its scan",
        )
    joined = np.any([np.asarray(each.dataobj) > 0 for each in turned_masks], axis=0)
    if not joined.any():
        warnings.warn(f"{file.path.name} is empty: no tumour is marked", EpitomeWarning, stacklevel=2)
    return new_image_like(joined.astype(np.uint8), turned_masks[0]), contrast, slices


def _annotated_slices(notes: Json, mask: nib.Nifti1Image, path: Path) -> list[int] | None:
    slices = notes.get("AnnotatedSlices", "all")
    if slices == "all":
        return None
    if isinstance(slices, list) and all(type(index) is int and 0 <= index < mask.shape[2] for index in slices):
        return slices
    raise ImageError(
        "import",
        f"`AnnotatedSlices` to be indices below {mask.shape[2]}",
        f"{str(slices)[:80]!r} in the sidecar of {path.name}",
        "repair the sidecar",
    )


def _adopt(image: nib.Nifti1Image, target: Path) -> None:
    """Save a scan with its stored voxels and their scaling, without anything else from its file."""
    stored = image.dataobj
    if isinstance(stored, ArrayProxy):
        image = nib.Nifti1Image(stored.get_unscaled(), image.affine, image.header)
        image.header.set_slope_inter(stored.slope, stored.inter)
    save_image(image, target)
