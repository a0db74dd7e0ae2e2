"""Read the labels of the TCGA-LGG slices from ``data.csv``, and interpret their codes."""

import re
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.errors import CohortError, EpitomeError
from epitome_kit.ledger import Entry
from epitome_kit.sources.tcga_files import MAX_FILE_BYTES, SourceFile, opener
from epitome_kit.tables import read_text_table
from epitome_kit.temporary import temporary_folder

_ORIGINS = {
    "grade": "neoplasm_histologic_grade",
    "histology": "histological_type",
    "sex": "gender",
    "age": "age_at_initial_pathologic",
}
_MEANINGS = {
    "grade": {1: 2, 2: 3},
    "histology": {1: "astrocytoma", 2: "oligoastrocytoma", 3: "oligodendroglioma"},
    "sex": {1: "F", 2: "M"},
}


def read_clinical(tables: Iterable[SourceFile]) -> tuple[pd.DataFrame, list[Entry]]:
    """Read ``data.csv``.

    Parameters
    ----------
    tables : iterable of (Path or None, str, str)
        From :func:`epitome_kit.sources.tcga_files.find_patients`.

    Returns
    -------
    labels : DataFrame of str
        Indexed by patient, such as ``"TCGA_CS_4941"``, without repeated rows; column ``row``
        is the row number. Empty if there is no table.
    entries : list of Entry
        Entries of the tables.

    Raises
    ------
    CohortError
        A table cannot be read, or several tables differ.
    """
    read, entries = [], []
    for archive, name, shown in tables:
        try:
            read.append((shown, _read(archive, name)))
            entries.append(Entry(shown, "table", taken_as="labels", evidence="named data.csv, with a column Patient"))
        except EpitomeError as error:
            if re.fullmatch(r"data\.csv", shown.rpartition("/")[2], re.IGNORECASE):
                raise
            entries.append(Entry(shown, "table", reason=error.reason))
    if not read:
        return pd.DataFrame(columns=["row"], index=pd.Index([], name="Patient")), entries
    unlike = [shown for shown, table in read if not table.equals(read[0][1])]
    if unlike:
        raise CohortError(
            "import_tcga_lgg",
            "one table `data.csv`, or copies of it",
            f"{read[0][0]} and {', '.join(unlike[:3])}, which differ",
            "remove all but the right one",
        )
    read[0][1].attrs["source"] = read[0][0]
    return read[0][1], entries


def _read(archive: Path | None, name: str) -> pd.DataFrame:
    """Read one table, in a zip or on disk."""
    try:
        with opener(archive) as open_file, open_file(name) as stream, temporary_folder() as folder:
            copy = Path(folder) / re.split(r"[/\\]", name)[-1]
            copy.write_bytes(stream.read(MAX_FILE_BYTES))
            table = read_text_table(copy, where="import_tcga_lgg", columns={"Patient"})
        table = table.assign(row=np.arange(1, len(table) + 1)).dropna(subset="Patient")
        table = table.drop_duplicates(table.columns.drop("row"))
        parts = table["Patient"].str.upper().str.split("[_-]", regex=True)
        return table.set_index(parts.str[:3].str.join("_")).drop(columns="Patient")
    except Exception as error:  # a damaged archive or table can raise anything
        reason = error.received if isinstance(error, EpitomeError) else f"{type(error).__name__}: {error}"
        raise CohortError(
            "import_tcga_lgg",
            "a table with a column `Patient`",
            f"{name} ({reason.replace(tempfile.gettempdir(), '')[:200]})",
            "download data.csv again, or remove it to import without labels",
        ) from error


def as_participants(labels: pd.DataFrame, names: Mapping[str, str]) -> tuple[pd.DataFrame, list[Entry]]:
    """Convert the rows of ``data.csv`` to labels of the cohort.

    Parameters
    ----------
    labels : DataFrame of str
        From :func:`read_clinical`.
    names : dict of str to str
        Exam of each subject of the cohort, such as ``"TCGA_CS_4941_19960909"``.

    Returns
    -------
    participants : DataFrame
        One row per subject, with columns of :data:`epitome_kit.cohort.COLUMNS`. Differing
        rows of one patient and unknown codes give no label.
    entries : list of Entry
        Entries of all rows, and of subjects without a row.
    """
    subjects = {"_".join(name.split("_")[:3]): subject_id for subject_id, name in names.items()}
    conflicting = set(labels.index[labels.index.duplicated()])
    rows = labels.drop(index=conflicting).reindex(list(subjects))
    table = pd.DataFrame({"participant_id": list(names), "source_id": list(names.values())})
    for column, origin in _ORIGINS.items():
        table[column] = _understood(rows, column, origin).to_numpy()
    table["codeletion"] = pd.NA
    source = labels.attrs.get("source", "data.csv")
    entries = [_entry(source, patient, row, subjects, conflicting) for patient, row in labels.iterrows()]
    if len(labels):
        absent = [origin for origin in _ORIGINS.values() if origin not in labels]
        entries += [Entry(source, "label", reason=f"no column {origin} in the table") for origin in absent]
        without = [patient for patient in subjects if patient not in labels.index]
        entries += [Entry(patient, "label", subjects[patient], reason="no row in the table") for patient in without]
    return table.convert_dtypes().sort_values("participant_id"), entries


def _understood(rows: pd.DataFrame, column: str, origin: str) -> pd.Series:
    """Convert the values of a column to those of a cohort; missing if a code is unknown."""
    written = rows[origin] if origin in rows else pd.Series(np.nan, rows.index)
    values = pd.to_numeric(written, errors="coerce")
    return values.map(_MEANINGS[column]) if column in _MEANINGS else values


def _entry(
    source: str, patient: str, row: pd.Series, subjects: Mapping[str, str], conflicting: Collection[str]
) -> Entry:
    """Make the ledger entry of one row."""
    place = f"{source}, row {row['row']}, {patient}"
    if patient in conflicting:
        return Entry(place, "label", subjects.get(patient, ""), reason="rows of this patient differ: none is taken")
    if patient not in subjects:
        return Entry(place, "label", reason="no such patient among the scans that were taken")
    written = {column: row.get(origin) for column, origin in _ORIGINS.items() if pd.notna(row.get(origin))}
    known = [name for name in written if pd.notna(_understood(row.to_frame().T, name, _ORIGINS[name]).iloc[0])]
    unknown = [f"{_ORIGINS[name]} {value}" for name, value in written.items() if name not in known]
    reason = f"not understood: {', '.join(unknown)}" if unknown else "" if known else "no label in this row"
    return Entry(place, "label", subjects[patient], ", ".join(known), reason=reason)
