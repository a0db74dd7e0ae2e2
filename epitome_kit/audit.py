"""Audit a cohort: measure every scan and list likely problems."""

import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from epitome_kit.cohort import COLUMNS as LABELS
from epitome_kit.cohort import NO_SCAN, TARGETS, Cohort, Subject, annotation_path, image_path
from epitome_kit.contrast_table import CONTRASTS, either
from epitome_kit.errors import EpitomeError, collect_warnings
from epitome_kit.files import Json, PathLike, whole_file
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
    "dtype": "data type in the file",
    "shape_i": "voxels along the first axis",
    "shape_j": "voxels along the second axis",
    "shape_k": "voxels along the third axis",
    "spacing_i_mm": "voxel size along the first axis; missing if unknown",
    "spacing_j_mm": "voxel size along the second axis",
    "spacing_k_mm": "voxel size along the third axis",
    "voxel_size_known": "whether the voxel size is known",
    "orientation": "direction of each axis, such as RAS",
    "min": "lowest intensity",
    "p50": "median intensity",
    "p99": "99th percentile of the intensities",
    "max": "highest intensity",
    "mean": "mean intensity",
    "std": "standard deviation of the intensities",
    "zero_fraction": "share of voxels that are zero",
    "n_nan": "voxels that are NaN or infinite",
    "mask_voxels": "voxels of the tumour mask drawn on this scan; missing without a mask",
    "voxels_sha256": "first 16 digits of the checksum of the voxels",
    "findings": "likely problems, separated by semicolons",
}
"""Columns of the audit and their meaning."""


def audit_cohort(cohort: Cohort, *, workers: int = 1) -> pd.DataFrame:
    """Measure every scan of a cohort and list likely problems.

    A damaged file is a finding, not an error. Findings about a subject are listed with
    its first scan, findings about a tumour mask with the scan it was drawn on. A subject
    of ``participants.tsv`` without a scan has a separate row, and so has every image in
    the folder that is not read, without a contrast.

    Parameters
    ----------
    cohort : Cohort
        From :func:`epitome_kit.open_cohort` or an importer.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    DataFrame
        One row per image, columns as in :data:`COLUMNS`; intensity statistics use only
        finite voxels.

    See Also
    --------
    write_spreadsheet : Write the audit as a spreadsheet.
    open_cohort : Open a cohort.

    Examples
    --------
    >>> import tempfile
    >>> import epitome_kit as ek
    >>> cohort = ek.make_phantom_cohort(tempfile.mkdtemp(), subjects=2, spacing_mm=(8, 8, 8))
    >>> audit = ek.audit_cohort(cohort)
    >>> audit[["participant_id", "contrast", "spacing_k_mm"]].to_dict("split")["data"][:2]
    [['sub-001', 'T1ce', 8.0], ['sub-001', 'T2w', 8.0]]
    """
    scans = [(subject, contrast) for subject in cohort for contrast in subject.images]
    rows = for_each(partial(_measure, cohort.root), scans, title="Auditing", workers=workers)
    listed = _read_labels(cohort)
    scanless = sorted(set(listed.index) - set(cohort.subjects))
    rows += [{"participant_id": name, "findings": ["in participants.tsv, but has no scan"]} for name in scanless]
    rows += _unread_rows(cohort)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    _compare_grids(table)
    _find_copies(table)
    _check_subjects(table, cohort, listed)
    table["findings"] = [_join_findings(texts) for texts in table["findings"]]
    return table


def write_spreadsheet(cohort: Cohort, audit: pd.DataFrame, path: PathLike) -> Path:
    """Write an audit as a spreadsheet with the labels of the subjects.

    There is one row per image. Text that starts like a formula is marked as text.

    Parameters
    ----------
    cohort : Cohort
        The audited cohort.
    audit : DataFrame
        From :func:`audit_cohort`.
    path : path
        An ``.xlsx`` file, written whole or not at all.

    Returns
    -------
    Path
        Path of the spreadsheet.

    Raises
    ------
    OutputError
        The folder cannot be written to.

    See Also
    --------
    audit_cohort : Audit a cohort.

    Examples
    --------
    >>> import tempfile
    >>> import epitome_kit as ek
    >>> cohort = ek.make_phantom_cohort(tempfile.mkdtemp(), subjects=2, spacing_mm=(8, 8, 8))
    >>> ek.write_spreadsheet(cohort, ek.audit_cohort(cohort), cohort.root / "audit.xlsx").name
    'audit.xlsx'
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


def _unread_rows(cohort: Cohort) -> list[Json]:
    """Make rows for images in the folder that are not read, and subjects that cannot be opened or have no scan."""
    used = {path for subject in cohort for path in (*subject.images.values(), subject.annotation)}
    listed = cohort.excluded[cohort.excluded.reason != NO_SCAN].itertuples(index=False)
    reasons = {name: reason for name, reason in listed if (cohort.root / name).is_dir()}
    for name in reasons:
        paths = [annotation_path(cohort.root, name), *(image_path(cohort.root, name, each) for each in CONTRASTS)]
        used |= {path for path in paths if path.is_file()}
    unread = find_unread_files(cohort.root, [path for path in used if path])
    rows: list[Json] = [
        {"participant_id": each.subject, "file": each.file, "findings": [each.finding]} for each in unread
    ]
    listed_subjects = {each.subject for each in unread} | set(cohort.subjects) | set(reasons)
    without = {path.name for path in cohort.root.glob("sub-*") if path.is_dir()} - listed_subjects
    reasons |= dict.fromkeys(sorted(without), "no scan in its folder")
    return rows + [{"participant_id": name, "findings": [f"left out: {reason}"]} for name, reason in reasons.items()]


def _measure(root: Path, scan: tuple[Subject, str]) -> Json:
    """Measure one scan and the mask drawn on it; `findings` is a list of texts."""
    subject, contrast = scan
    path = subject.images[contrast]
    row: Json = {"participant_id": subject.id, "contrast": contrast, "file": path.relative_to(root).as_posix()}
    row["findings"] = []
    try:
        row["size_mb"] = path.stat().st_size / 1e6
        with collect_warnings() as row["findings"]:
            image = load_image(path, check_voxels=False)
        row["dtype"] = str(image.get_data_dtype())
        row |= dict(zip(("shape_i", "shape_j", "shape_k"), image.shape, strict=True))
        row |= _geometry(image)
        data = _voxels(image)
        row |= _intensities(data, row["findings"])
    except Exception as error:  # a damaged file can raise anything in its reader
        row["findings"].append(_as_finding(error))
        return row
    if subject.annotation and contrast == _mask_contrast(subject):
        tissue = data > row["min"] + _TISSUE * (row["p99"] - row["min"])
        row["mask_voxels"] = _measure_mask(subject.annotation, image, tissue, row["findings"])
    return row


def _mask_contrast(subject: Subject) -> str:
    return subject.annotated_on if subject.annotated_on in subject.images else next(iter(subject.images))


def _as_finding(error: Exception) -> str:
    if isinstance(error, EpitomeError):
        return error.reason
    return f"unreadable: {type(error).__name__} {' '.join(str(error).split())[:160]}"


def _join_findings(findings: Iterable[str]) -> str:
    return "; ".join(text.replace(";", ",") for text in findings)


def _geometry(image: nib.Nifti1Image) -> Json:
    known = voxel_size_known(image)
    sizes = np.round(nib.affines.voxel_sizes(image.affine), 4) if known else (np.nan,) * 3
    names = ("spacing_i_mm", "spacing_j_mm", "spacing_k_mm")
    return {"voxel_size_known": known, "orientation": axis_codes(image), **dict(zip(names, sizes, strict=True))}


def _voxels(image: nib.Nifti1Image) -> np.ndarray:
    """Read the voxels as float32; reject colours."""
    if image.get_data_dtype().kind not in "biuf":
        raise ValueError(f"voxels of type {image.get_data_dtype()}")
    return np.asarray(image.dataobj).astype(np.float32)


def _intensities(data: np.ndarray, findings: list[str]) -> Json:
    """Compute statistics over finite voxels; problems are added to `findings`."""
    finite = data[np.isfinite(data)]
    digest = hashlib.sha256(str(data.shape).encode())
    digest.update(data.ravel(order="F").data)
    row: Json = {"n_nan": data.size - finite.size, "voxels_sha256": digest.hexdigest()[:16]}
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


def _measure_mask(path: Path, image: nib.Nifti1Image, tissue: np.ndarray, findings: list[str]) -> float:
    """Count the voxels of a tumour mask; problems are added to `findings`."""
    try:
        with collect_warnings() as remarks:
            mask = np.asarray(load_mask(path, like=image).dataobj) > 0
    except Exception as error:  # as for a scan
        findings.append(f"mask: {_as_finding(error)}")
        return np.nan
    findings += [f"mask: {remark}" for remark in remarks]
    if not mask.any():
        findings.append("mask: empty")
        return 0
    if tissue[mask].mean() < 0.5:
        findings.append(f"mask: outside the head, only {tissue[mask].mean():.0%} of it is on tissue")
    return int(mask.sum())


def _compare_grids(table: pd.DataFrame) -> None:
    """Compare each scan with the others of its contrast."""
    for _, group in table.groupby("contrast"):
        spacing = np.sort(group[["spacing_i_mm", "spacing_j_mm", "spacing_k_mm"]].to_numpy(float), axis=1)
        if np.isfinite(spacing).any():
            usual = np.nanmedian(spacing, axis=0)
            for index, sizes in zip(group.index, spacing, strict=True):
                if (np.maximum(sizes / usual, usual / sizes) > _SPACING_RATIO).any():
                    table.at[index, "findings"].append(
                        f"voxel size {_format_sizes(sizes)} mm, usual is {_format_sizes(usual)}"
                    )
        shape = group[["shape_i", "shape_j", "shape_k"]].dropna().astype(int).apply(tuple, axis=1)
        _flag_unusual(table, shape.map(_format_sizes), "shape")
        _flag_unusual(table, group["orientation"].dropna(), "orientation")


def _flag_unusual(table: pd.DataFrame, values: pd.Series, what: str) -> None:
    """Add a finding if a value differs from that of more than half of the scans."""
    counts = values.value_counts()
    if len(counts) and 2 * counts.iloc[0] > len(values):
        for index, value in values[values != counts.index[0]].items():
            table.at[index, "findings"].append(f"{what} {value}, most have {counts.index[0]}")


def _format_sizes(values: Iterable[float]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def _find_copies(table: pd.DataFrame) -> None:
    """Add findings for scans with identical voxels."""
    varied = table[table["min"] < table["max"]]
    for _, group in varied.groupby("voxels_sha256"):
        for index in group.index if len(group) > 1 else ():
            other = group.drop(index).iloc[0]
            table.at[index, "findings"].append(f"same voxels as {other.participant_id} {other.contrast}")


def _check_subjects(table: pd.DataFrame, cohort: Cohort, listed: pd.DataFrame) -> None:
    """Add findings for missing scans and labels to the first scan of each subject."""
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


def _has_label(listed: pd.DataFrame, target: str) -> pd.Series:
    """Check for each listed subject whether its label is one of the two known values."""
    values = listed[target] if target in listed else pd.Series(pd.NA, index=listed.index)
    return values.astype(str).str.removesuffix(".0").isin([str(value) for value in TARGETS[target]])


def _read_labels(cohort: Cohort) -> pd.DataFrame:
    """Read all rows of ``participants.tsv``, including subjects without scans."""
    path = cohort.root / "participants.tsv"
    if not path.is_file():
        return cohort.participants.iloc[:0]
    return read_table(path).dropna(subset="participant_id").set_index("participant_id")
