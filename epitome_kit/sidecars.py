"""What a cohort says of itself: tables and notes, each read whole or refused by name."""

import re
from pathlib import Path

from epitome_kit.errors import CohortError
from epitome_kit.files import read_json, read_tsv
from epitome_kit.io.content import describe_content, first_bytes


def read_table(path):
    """Read a table of a cohort.

    Parameters
    ----------
    path : path

    Raises
    ------
    CohortError
        It cannot be read as one.
    """
    try:
        return read_tsv(path)
    except (OSError, ValueError) as error:
        received, hint = f"{path} ({str(error)[:160]})", "repair the table"
        if isinstance(error, UnicodeDecodeError):
            what = describe_content(first_bytes(path)[0], path).replace("something else", "text in another encoding")
            received, hint = f"{path}, {what}", "save it as text with tabs, in UTF-8"
        raise CohortError("open_cohort", "a tab-separated table in UTF-8", received, hint) from error


def read_json_sidecar(path):
    """Read a JSON file; one that is not there says nothing."""
    try:
        notes = read_json(path, missing={})
        if not isinstance(notes, dict):
            raise ValueError(f"a {type(notes).__name__} where names and values are expected")
    except (OSError, ValueError) as error:
        received = f"{path} ({str(error)[:160]})"
        raise CohortError("open_cohort", "a JSON file", received, "repair or remove it") from error
    return notes


def sidecar_path(image):
    """Where the notes on an image are kept."""
    image = Path(image)
    return image.parent / (re.sub(r"(\.nii)?(\.gz)?$", "", image.name, count=1, flags=re.IGNORECASE) + ".json")


def read_annotated_slices(annotation):
    """Read from its sidecar on which slices a tumour mask was drawn.

    Parameters
    ----------
    annotation : path
        The mask, ``.nii`` or ``.nii.gz``.

    Returns
    -------
    tuple of int or None
        Third-axis indices; None means all of them, or that no sidecar says.

    Raises
    ------
    CohortError
        The sidecar is damaged, or says something else.
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
