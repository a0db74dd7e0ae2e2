"""Steps shared by all imports: exclude unusable subjects by name, write and describe the others."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import nibabel as nib
import pandas as pd

from epitome_kit.cohort import Cohort, image_path, open_cohort, write_dataset
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import CohortError, EpitomeError, OutputError, ParameterError, Reason, ToolError, plain
from epitome_kit.files import Json, PathLike, write_json
from epitome_kit.folders import links_out, refuse_links
from epitome_kit.images import save_image
from epitome_kit.ledger import LEDGER, ORIGINS, Entry, made_by_older_rules, write_ledger
from epitome_kit.parallel import for_each
from epitome_kit.resume import read_record, report_again
from epitome_kit.sidecars import sidecar_path
from epitome_kit.vocabulary import known_fields

NOT_READ = {
    "broken link": "a broken link: its content was not fetched, or was deleted",
    "folder again": "a link to a folder that is read under another name",
    "folder closed": "a folder without read permission",
    "no file": "neither a file nor a folder",
}
"""Why an entry of :func:`epitome_kit.folders.walk_entries` is not read, by its kind."""

Deface = Callable[[nib.Nifti1Image], nib.Nifti1Image]
"""Takes a scan and returns it without the face."""

_Item = TypeVar("_Item")


def subject_name(origin: str) -> str:
    """Return the BIDS name of a subject: ``sub-`` and the letters and digits of its name in the source."""
    return "sub-" + re.sub(r"[^A-Za-z0-9]", "", origin)


def check_folders(source: PathLike, out: PathLike, subject_ids: Iterable[str]) -> None:
    """Check that an import from `source` to `out` is possible.

    Parameters
    ----------
    source, out : path
        Folders of the import.
    subject_ids : iterable of str
        Names that the subjects of the source get in the cohort.

    Raises
    ------
    ParameterError
        One folder is the other, or lies inside it.
    OutputError
        `out` is a file, or holds other subjects, or an import by older rules.
    """
    source, out = Path(os.path.realpath(source)), Path(os.path.realpath(out))
    if out.is_relative_to(source) or source.is_relative_to(out):
        raise ParameterError(
            "import",
            "two folders, neither inside the other",
            f"source {source} and output {out}",
            "write the cohort somewhere else, such as `runs/my-cohort`",
        )
    refuse_links(out, where="import")
    if out.exists() and not out.is_dir():
        raise OutputError("import", "a folder to write to", f"{out}, which is a file", "choose another output")
    if made_by_older_rules(out) and any(out.glob("sub-*")):
        raise OutputError(
            "import",
            "a new folder, or one with an earlier import by the same rules",
            f"{out}, made by an older version",
            "choose another output, or empty that folder: what it took may be wrong",
        )
    others = sorted({path.name for path in out.glob("sub-*")} - set(subject_ids))
    if others:
        raise OutputError(
            "import",
            "a new folder, or one with an earlier import of the same subjects",
            f"{out}, which holds {', '.join(others[:5])} as well",
            "choose another output, or empty that folder",
        )


def adopt_subjects(
    adopt: Callable[[_Item], str | None], items: Mapping[str, _Item], *, workers: int = 1
) -> list[tuple[str, str]]:
    """Call `adopt` on every subject, and exclude those for which it fails.

    Parameters
    ----------
    adopt : callable
        Writes one subject, and returns the result of :func:`import_difference`; raises any
        error if the subject is unusable. Only errors that do not concern the subject
        (output, parameters, tools) stop the import.
    items : dict of str to object
        Argument of `adopt` by name of the subject in the source.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    list of (str, str)
        Name and reason of each excluded subject.
    """
    done = for_each(partial(_attempt, adopt), list(items.values()), title="Importing", workers=workers)
    report_again("import", [again for _, again in done])
    return [(name, reason) for name, (reason, _) in zip(items, done, strict=True) if reason]


def _attempt(adopt: Callable[[_Item], str | None], item: _Item) -> tuple[str | None, str | None]:
    """Adopt a subject; return why it is excluded, and why it was imported again."""
    try:
        return None, adopt(item)
    except (OutputError, ParameterError, ToolError):
        raise
    except EpitomeError as error:
        return f"{error.reason}; try {error.hint}" if "--" in error.hint else error.reason, None
    except Exception as error:  # a reader can raise anything for one subject; the import goes on
        return str(Reason("files that can be read", f"{type(error).__name__}: {str(error)[:160]}")), None


def write_scans(
    out: PathLike,
    name: str,
    images: Mapping[str, nib.Nifti1Image],
    notes: Mapping[str, Json],
    *,
    origin: Json,
    save: Callable[[nib.Nifti1Image, Path], None] = save_image,
) -> None:
    """Write the scans of a subject with their sidecars; the subject is complete once the last scan is written.

    Sidecars hold known fields and words alone, see :func:`epitome_kit.vocabulary.known_fields`.

    Parameters
    ----------
    out : path
        Folder of the cohort.
    name : str
        Subject.
    images : dict of str to Nifti1Image
        Scans by contrast.
    notes : dict of str to dict
        Fields of the sidecars by contrast.
    origin : dict
        What links the subject to its source, and remarks that may name files, which
        :func:`read_origin` returns; kept in the private folder :data:`ORIGINS`.
    save : callable, default=save_image
        Takes an image and a path.
    """
    for contrast in CONTRASTS:  # scans of an earlier import of other files
        for path in (image_path(out, name, contrast), sidecar_path(image_path(out, name, contrast))):
            path.unlink(missing_ok=True)
    write_json(_origin_path(out, name), origin)
    for contrast in images:
        known = {**known_fields(notes[contrast]), "ImportedTogether": list(images)}
        write_json(sidecar_path(image_path(out, name, contrast)), known)
    for contrast, image in images.items():
        save(image, image_path(out, name, contrast))


def import_difference(out: PathLike, name: str, origin: Json, *, strict: bool = True) -> str | None:
    """Return why a subject has to be imported again.

    Parameters
    ----------
    out : path
        Folder of the cohort.
    name : str
        Subject.
    origin : dict
        Fields of :func:`read_origin` that identify source files and options.
    strict : bool, default=True
        Whether other files or options are an error, rather than a difference.

    Returns
    -------
    str or None
        None if an earlier import completed it from the same files with the same options;
        empty if there is no earlier import, or it was interrupted.

    Raises
    ------
    OutputError
        The subject was imported from other files or with other options.
    """
    together, kept = [], read_record(_origin_path(out, name))
    for path in sorted((Path(out) / name / "anat").glob("[!.]*.json")):
        notes = read_record(path)
        if not notes:
            return f"{path.name} cannot be read"
        stated = {**notes, **kept}  # earlier versions kept all of it in the sidecars
        if {key: stated.get(key) for key in origin} != origin:
            if not strict:
                return "its files changed, or how they are taken"
            raise OutputError(
                "import",
                "a new folder, or one with an earlier import of the same files in the same way",
                f"{path}, from other files, or with other decisions or another choice about faces",
                "choose another output",
            )
        together = notes.get("ImportedTogether", [])
    if together and not kept:
        return "an earlier version wrote its origin into the sidecars"
    stopped = not together or not all(image_path(out, name, contrast).is_file() for contrast in together)
    return "" if stopped else None


def read_origin(out: PathLike, name: str) -> Json:
    """Read what an import noted about the origin of a subject.

    Parameters
    ----------
    out : path
        Folder of the cohort.
    name : str
        Subject.

    Returns
    -------
    dict
        Such as ``SourceDigest`` and ``Repairs``; empty if there is none.
    """
    return read_record(_origin_path(out, name))


def forget_origin(out: PathLike, name: str) -> None:
    """Remove what an import noted about the origin of a subject."""
    with suppress(OSError):  # whatever is written there next says why
        _origin_path(out, name).unlink()


def _origin_path(out: PathLike, name: str) -> Path:
    return Path(out) / ORIGINS / f"{name}.json"


def describe_cohort(
    out: PathLike,
    *,
    source: PathLike,
    participants: pd.DataFrame,
    excluded: Sequence[tuple[str, str]],
    name: str,
    readme: str,
    licence: str = "n/a",
    entries: Sequence[Entry] = (),
) -> Cohort:
    """Write the tables of a cohort after its subjects, and open it.

    Parameters
    ----------
    out, source : path
        Folder of the cohort, and the imported folder.
    participants : DataFrame
        Imported subjects.
    excluded : list of (str, str)
        Name in the source and reason of each excluded subject.
    name, readme : str
        Name of the cohort and text of its README.
    licence : str, default="n/a"
        Licence of the data.
    entries : list of Entry, default=()
        Entries of the ledger.

    Returns
    -------
    Cohort

    Raises
    ------
    CohortError
        No subject was imported. The ledger is written if the folder holds no subject, so
        that decisions can be entered.
    """
    if participants.empty:
        subject, reason = excluded[0]
        ledger = _leave_ledger(out, excluded, entries)
        raise CohortError(
            "import",
            "at least one subject that can be used",
            f"{len(excluded)} subjects in {source}, all left out; {subject}: {reason}",
            f"repair the subjects, or check that this is the right folder{ledger}",
        )
    write_dataset(
        out,
        name=name,
        readme=readme,
        participants=participants,
        excluded=sorted((plain(subject), plain(reason)) for subject, reason in excluded),
        repaired=read_repairs(out, sorted(participants["participant_id"])),
        entries=[*entries, *_list_links(source)],
        licence=licence,
    )
    return open_cohort(out)


def _list_links(source: PathLike) -> list[Entry]:
    """Make ledger entries of the links in a source that lead out of it, which were followed."""
    return [
        Entry(link.relative_to(source).as_posix(), "link", taken_as="followed", evidence="leads out of the folder")
        for link in links_out(source)
    ]


def _leave_ledger(out: PathLike, excluded: Iterable[tuple[str, str]], entries: Sequence[Entry]) -> str:
    """Write the ledger of an import without subjects and name its path, unless the folder holds other subjects."""
    if not entries or any(Path(out).glob("sub-*")):
        return ""
    write_ledger(out, [*(Entry(name, "subject", reason=reason) for name, reason in excluded), *entries])
    return f"; {Path(out) / LEDGER} lists why each file was left out"


def read_repairs(out: PathLike, subject_ids: Iterable[str]) -> list[tuple[str, str]]:
    """Read the irregularities that an import noted about its scans.

    Parameters
    ----------
    out : path
        Folder of the cohort.
    subject_ids : iterable of str
        Imported subjects.

    Returns
    -------
    list of (str, str)
        Subject and repair.
    """
    return [
        (name, repair) for name in subject_ids for repair in dict.fromkeys(read_origin(out, name).get("Repairs", ()))
    ]
