"""What a cohort really holds, scan by scan, and what looks wrong with it."""

import hashlib
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from epitome_kit.cohort import COLUMNS as LABELS
from epitome_kit.cohort import NO_SCAN, TARGETS, annotation_path, image_path
from epitome_kit.contrast_table import CONTRASTS, either
from epitome_kit.errors import EpitomeError, noticed
from epitome_kit.files import whole_file
from epitome_kit.images import axis_codes, load_image, load_mask, voxel_size_known
from epitome_kit.io.unread_files import find_unread_files
from epitome_kit.parallel import for_each
from epitome_kit.sidecars import read_table

_SPACING_RATIO = 1.5
_SATURATED = 0.005
_TISSUE = 0.05

COLUMNS = {
    "participant_id": "subject",
    "contrast": either(CONTRASTS),
    "file": "path in the cohort",
    "size_mb": "size of the file, 10^6 bytes",
    "dtype": "number type in the file",
    "shape_i": "voxels along the first axis",
    "shape_j": "voxels along the second axis",
    "shape_k": "voxels along the third axis",
    "spacing_i_mm": "voxel size along the first axis; missing where unknown",
    "spacing_j_mm": "voxel size along the second axis",
    "spacing_k_mm": "voxel size along the third axis",
    "voxel_size_known": "whether the origin kept the voxel size",
    "orientation": "where each axis points, such as RAS",
    "min": "lowest intensity",
    "p50": "median intensity",
    "p99": "99th percentile of the intensities",
    "max": "highest intensity",
    "mean": "mean intensity",
    "std": "standard deviation of the intensities",
    "zero_fraction": "share of voxels that are zero",
    "n_nan": "voxels that are NaN or infinite",
    "mask_voxels": "voxels of the tumour mask drawn on this scan; missing without one",
    "voxels_sha256": "first 16 digits; equal for equal voxels",
    "findings": "what looks wrong, separated by semicolons",
}
"""Columns of the audit and what they mean."""


def audit_cohort(cohort, *, workers=1):
    """Measure every scan of a cohort and list what looks wrong.

    A damaged file is a finding, never an error. Findings about a subject stand with
    its first scan, and those about a tumour mask with the scan it was drawn on. A subject
    that is listed in ``participants.tsv`` and has no scan gets a row of its own, and so
    does every image in the folder that is not read, without a contrast.

    Parameters
    ----------
    cohort : Cohort
    workers : int, default=1
        Number of processes.

    Returns
    -------
    DataFrame
        One row an image, columns as in :data:`COLUMNS`; intensity statistics are
        over the finite voxels.
    """
    scans = [(subject, contrast) for subject in cohort for contrast in subject.images]
    rows = for_each(partial(_measure, cohort.root), scans, title="Auditing", workers=workers)
    listed = _listed(cohort)
    scanless = sorted(set(listed.index) - set(cohort.subjects))
    rows += [{"participant_id": name, "findings": ["in participants.tsv, but has no scan"]} for name in scanless]
    rows += _left_out(cohort)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    _compare_grids(table)
    _find_copies(table)
    _check_subjects(table, cohort, listed)
    table["findings"] = [_join(texts) for texts in table["findings"]]
    return table


def write_spreadsheet(cohort, audit, path):
    """Write the audit as a spreadsheet, one row an image, with the labels of its subject.

    Parameters
    ----------
    cohort : Cohort
    audit : DataFrame
        From :func:`audit_cohort`.
    path : path
        An ``.xlsx`` file, written whole or not at all.

    Returns
    -------
    Path
        Of the spreadsheet.

    Raises
    ------
    OutputError
        The folder cannot be written to.
    """
    labels = [column for column in LABELS if column in cohort.participants]
    table = audit.merge(cohort.participants[labels], how="left", left_on="participant_id", right_index=True)
    table = table[["participant_id", *labels, *list(COLUMNS)[1:]]]
    table = table.map(lambda value: ILLEGAL_CHARACTERS_RE.sub(" ", value) if isinstance(value, str) else value)
    with whole_file(path) as temporary, pd.ExcelWriter(temporary, engine="openpyxl") as writer:
        table.to_excel(writer, sheet_name="images", index=False, freeze_panes=(1, 1))
        sheet = writer.sheets["images"]
        sheet.auto_filter.ref = sheet.dimensions
        for cells in sheet.columns:
            width = max(len(str(cell.value)) for cell in cells if cell.value is not None)
            sheet.column_dimensions[cells[0].column_letter].width = min(width, 60) + 2
            for cell in cells:
                if cell.data_type == "f":
                    cell.data_type, cell.quotePrefix = "s", True
    return Path(path)


def _left_out(cohort):
    """Rows of what lies in the folder and is not read: images, and subjects that cannot be opened or have none."""
    used = {path for subject in cohort for path in (*subject.images.values(), subject.annotation)}
    listed = cohort.excluded[cohort.excluded.reason != NO_SCAN].itertuples(index=False)
    reasons = {name: reason for name, reason in listed if (cohort.root / name).is_dir()}
    for name in reasons:
        own = [annotation_path(cohort.root, name), *(image_path(cohort.root, name, each) for each in CONTRASTS)]
        used |= {path for path in own if path.is_file()}
    strays = find_unread_files(cohort.root, used)
    rows = [{"participant_id": stray.subject, "file": stray.file, "findings": [stray.finding]} for stray in strays]
    told = {stray.subject for stray in strays} | set(cohort.subjects) | set(reasons)
    without = {path.name for path in cohort.root.glob("sub-*") if path.is_dir()} - told
    reasons |= dict.fromkeys(sorted(without), "no scan in its folder")
    return rows + [{"participant_id": name, "findings": [f"left out: {reason}"]} for name, reason in reasons.items()]


def _measure(root, scan):
    """Measure one scan and the mask drawn on it; `findings` is a list of texts."""
    subject, contrast = scan
    path = subject.images[contrast]
    row = {"participant_id": subject.id, "contrast": contrast, "file": path.relative_to(root).as_posix()}
    row["findings"] = []
    try:
        row["size_mb"] = path.stat().st_size / 1e6
        with noticed() as row["findings"]:
            image = load_image(path, check_voxels=False)
        row["dtype"] = str(image.get_data_dtype())
        row |= dict(zip(("shape_i", "shape_j", "shape_k"), image.shape, strict=True))
        row |= _geometry(image)
        data = _voxels(image)
        row |= _intensities(data, row["findings"])
    except Exception as error:  # a damaged file can raise anything in its reader
        row["findings"].append(_as_finding(error))
        return row
    if subject.annotation and contrast == _mask_owner(subject):
        tissue = data > row["min"] + _TISSUE * (row["p99"] - row["min"])
        row["mask_voxels"] = _measure_mask(subject.annotation, image, tissue, row["findings"])
    return row


def _mask_owner(subject):
    return subject.annotated_on if subject.annotated_on in subject.images else next(iter(subject.images))


def _as_finding(error):
    if isinstance(error, EpitomeError):
        return error.reason
    return f"unreadable: {type(error).__name__} {' '.join(str(error).split())[:160]}"


def _join(findings):
    return "; ".join(text.replace(";", ",") for text in findings)


def _geometry(image):
    known = voxel_size_known(image)
    sizes = np.round(nib.affines.voxel_sizes(image.affine), 4) if known else (np.nan,) * 3
    names = ("spacing_i_mm", "spacing_j_mm", "spacing_k_mm")
    return {"voxel_size_known": known, "orientation": axis_codes(image), **dict(zip(names, sizes, strict=True))}


def _voxels(image):
    """Read every voxel as float32; refuse colours."""
    if image.get_data_dtype().kind not in "biuf":
        raise ValueError(f"voxels of type {image.get_data_dtype()}")
    return np.asarray(image.dataobj).astype(np.float32)


def _intensities(data, findings):
    """Statistics over the finite voxels; what looks wrong is added to `findings`."""
    finite = data[np.isfinite(data)]
    digest = hashlib.sha256(str(data.shape).encode())
    digest.update(data.ravel(order="F"))
    row = {"n_nan": data.size - finite.size, "voxels_sha256": digest.hexdigest()[:16]}
    if finite.size < data.size:
        findings.append(f"{data.size - finite.size} voxels NaN or infinite")
    if not finite.size:
        return row | {"min": np.nan, "p99": np.nan}
    low, high = finite.min(), finite.max()
    p50, p99 = np.percentile(finite, (50, 99))
    row |= {"min": low, "p50": p50, "p99": p99, "max": high}
    row |= {"mean": finite.mean(dtype=float), "std": finite.std(dtype=float), "zero_fraction": np.mean(finite == 0)}
    if low == high:
        findings.append(f"every voxel is {low:g}")
    elif np.mean(finite == high) > _SATURATED:
        findings.append(f"saturated: {np.mean(finite == high):.1%} of the voxels are {high:g}")
    if low < 0:
        findings.append(f"negative intensities, down to {low:g}")
    return row


def _measure_mask(path, image, tissue, findings):
    """Count the voxels of a tumour mask; what looks wrong is added to `findings`."""
    try:
        with noticed() as remarks:
            mask = np.asarray(load_mask(path, like=image).dataobj) > 0
    except Exception as error:  # as in a scan
        findings.append(f"mask: {_as_finding(error)}")
        return np.nan
    findings += [f"mask: {remark}" for remark in remarks]
    if not mask.any():
        findings.append("mask: empty")
        return 0
    if tissue[mask].mean() < 0.5:
        findings.append(f"mask: outside the head, only {tissue[mask].mean():.0%} of it lies on tissue")
    return int(mask.sum())


def _compare_grids(table):
    """Compare each scan with the others of its contrast."""
    for _, group in table.groupby("contrast"):
        spacing = np.sort(group[["spacing_i_mm", "spacing_j_mm", "spacing_k_mm"]].to_numpy(float), axis=1)
        if np.isfinite(spacing).any():
            usual = np.nanmedian(spacing, axis=0)
            for index, sizes in zip(group.index, spacing, strict=True):
                if (np.maximum(sizes / usual, usual / sizes) > _SPACING_RATIO).any():
                    table.at[index, "findings"].append(f"voxel size {_times(sizes)} mm, usual is {_times(usual)}")
        shape = group[["shape_i", "shape_j", "shape_k"]].dropna().astype(int).apply(tuple, axis=1)
        _unlike_most(table, shape.map(_times), "shape")
        _unlike_most(table, group["orientation"].dropna(), "orientation")


def _unlike_most(table, values, what):
    """Add a finding where a value differs from the one that more than half of the scans share."""
    counts = values.value_counts()
    if len(counts) and 2 * counts.iloc[0] > len(values):
        for index, value in values[values != counts.index[0]].items():
            table.at[index, "findings"].append(f"{what} {value}, most have {counts.index[0]}")


def _times(values):
    return " x ".join(f"{value:.4g}" for value in values)


def _find_copies(table):
    """Name the scans with the very same voxels."""
    varied = table[table["min"] < table["max"]]
    for _, group in varied.groupby("voxels_sha256"):
        for index in group.index if len(group) > 1 else ():
            other = group.drop(index).iloc[0]
            table.at[index, "findings"].append(f"same voxels as {other.participant_id} {other.contrast}")


def _check_subjects(table, cohort, listed):
    """Look for missing scans and labels; what is found stands with the first scan."""
    usable = {target: _has_label(listed, target) for target in TARGETS}
    expected = [target for target, known in usable.items() if 2 * known.sum() >= len(cohort)]
    first = table.drop_duplicates("participant_id").set_index("participant_id")["findings"]
    for subject in cohort:
        findings = first[subject.id]
        findings += [f"no {contrast}" for contrast in cohort.contrasts if contrast not in subject.images]
        if subject.id in listed.index:
            findings += [f"no usable {target} label" for target in expected if not usable[target][subject.id]]
        elif len(listed):
            findings.append("not in participants.tsv")


def _has_label(listed, target):
    """Tell for each listed subject whether its label is one of the two known values."""
    values = listed[target] if target in listed else pd.Series(pd.NA, index=listed.index)
    return values.astype(str).str.removesuffix(".0").isin([str(value) for value in TARGETS[target]])


def _listed(cohort):
    """Rows of ``participants.tsv``, those without scans included."""
    path = cohort.root / "participants.tsv"
    if not path.is_file():
        return cohort.participants.iloc[:0]
    return read_table(path).dropna(subset="participant_id").set_index("participant_id")
