"""Read the tables and JSON sidecars of a cohort."""

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from epitome_kit.errors import CohortError, plain
from epitome_kit.files import MOST_NOTES, Json, PathLike, read_json, read_tsv
from epitome_kit.io.content import describe_content, first_bytes
from epitome_kit.vocabulary import known_labels


def read_table(path: PathLike) -> pd.DataFrame:
    """Read a table of a cohort.

    Parameters
    ----------
    path : path
        A ``.tsv`` file.

    Returns
    -------
    DataFrame
        As from :func:`epitome_kit.files.read_tsv`.

    Raises
    ------
    CohortError
        The file cannot be read, or is not a table.
    """
    try:
        return read_tsv(path)
    except (OSError, ValueError) as error:
        received, hint = f"{path} ({str(error)[:160]})", "repair the table"
        if isinstance(error, UnicodeDecodeError):
            content = describe_content(first_bytes(path)[0], path)
            content = content.replace("an unknown format", "text in another encoding")
            received, hint = f"{path}, {content}", "save it as tab-separated text in UTF-8"
        raise CohortError("open_cohort", "a tab-separated table in UTF-8", received, hint) from error


def read_json_sidecar(path: Path) -> Json:
    """Read a JSON object from a file; return an empty dict if the file does not exist."""
    try:
        notes = read_json(path, missing={}, most=MOST_NOTES)
        if not isinstance(notes, dict):
            raise ValueError(f"a {type(notes).__name__} instead of an object")
    except (OSError, ValueError) as error:
        received = f"{path} ({str(error)[:160]})"
        raise CohortError("open_cohort", "a JSON file", received, "repair or remove it") from error
    return notes


def read_participants(root: Path, subjects: Iterable[str]) -> pd.DataFrame:
    """Read ``participants.tsv``, or make a table without columns if there is none.

    Parameters
    ----------
    root : Path
        Folder of the cohort.
    subjects : iterable of str
        Subjects to keep, one row each.

    Returns
    -------
    DataFrame
        Indexed by participant_id, sorted; see :func:`epitome_kit.vocabulary.known_labels`.

    Raises
    ------
    CohortError
        The table cannot be read, has no column ``participant_id``, or lists a subject twice.
    """
    path = root / "participants.tsv"
    table = read_table(path) if path.is_file() else pd.DataFrame({"participant_id": list(subjects)})
    if "participant_id" not in table:
        raise CohortError(
            "open_cohort", "a column `participant_id`", f"columns {list(table.columns)} in {path}", "rename the column"
        )
    table = table.dropna(subset="participant_id")
    repeated = sorted(table.loc[table.participant_id.duplicated(), "participant_id"])
    if repeated:
        raise CohortError(
            "open_cohort",
            "each subject once in participants.tsv",
            f"{', '.join(map(str, repeated[:5]))} more than once in {path}",
            "keep one row for each subject",
        )
    return known_labels(table.set_index("participant_id").reindex(sorted(subjects)))


def read_dataset_name(root: Path) -> str:
    """Read the name of a cohort from ``dataset_description.json``, or return that of its folder."""
    return plain(read_json_sidecar(root / "dataset_description.json").get("Name", root.name))


def sidecar_path(image: PathLike) -> Path:
    """Return the path of the JSON sidecar of an image."""
    image = Path(image)
    return image.parent / (re.sub(r"(\.nii)?(\.gz)?$", "", image.name, count=1, flags=re.IGNORECASE) + ".json")


def read_annotated_slices(annotation: PathLike) -> tuple[int, ...] | None:
    """Read the annotated slices of a tumour mask from its sidecar.

    Parameters
    ----------
    annotation : path
        The mask, ``.nii`` or ``.nii.gz``.

    Returns
    -------
    tuple of int or None
        Third-axis indices; None if all slices were annotated, or the sidecar does not list them.

    Raises
    ------
    CohortError
        The sidecar is damaged, or ``AnnotatedSlices`` is invalid.
    """
    sidecar = sidecar_path(annotation)
    slices = read_json_sidecar(sidecar).get("AnnotatedSlices", "all")
    if slices == "all":
        return None
    if isinstance(slices, list) and all(type(index) is int and index >= 0 for index in slices):
        return tuple(slices)
    raise CohortError(
        "open_cohort",
        "`AnnotatedSlices` to be `all` or a list of indices",
        f"{str(slices)[:80]!r} in {sidecar}",
        "repair the sidecar: `[40, 41, 42]`",
    )
