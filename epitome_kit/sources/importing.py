"""What every import does: bad subjects left out by name, the rest kept and described."""

import os
from functools import partial
from pathlib import Path

from epitome_kit.cohort import image_path, open_cohort, write_dataset
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import CohortError, EpitomeError, OutputError, ParameterError, Reason, ToolError, plain
from epitome_kit.files import read_json, write_json
from epitome_kit.images import save_image
from epitome_kit.ledger import LEDGER, Entry, made_by_older_rules, write_ledger
from epitome_kit.parallel import for_each
from epitome_kit.resume import read_record, report_again
from epitome_kit.sidecars import sidecar_path


def check_folders(source, out, subject_ids):
    """Make sure that an import can go from `source` to `out`.

    Parameters
    ----------
    source, out : path
    subject_ids : collection of str
        Subjects of the source, as they will be called.

    Raises
    ------
    ParameterError
        One folder is, or lies in, the other.
    OutputError
        `out` is a file, or holds subjects that are not in the source, or an import by
        older rules.
    """
    source, out = Path(os.path.realpath(source)), Path(os.path.realpath(out))
    if out.is_relative_to(source) or source.is_relative_to(out):
        raise ParameterError(
            "import",
            "two folders, neither inside the other",
            f"source {source} and output {out}",
            "write the cohort somewhere else, such as `runs/my-cohort`",
        )
    if out.exists() and not out.is_dir():
        raise OutputError("import", "a folder to write to", f"{out}, which is a file", "choose another output")
    if made_by_older_rules(out) and any(out.glob("sub-*")):
        raise OutputError(
            "import",
            "a new folder, or one with an earlier import by the same rules",
            f"{out}, which an older version made",
            "choose another output, or empty that folder: what it took may be wrong",
        )
    strangers = sorted({path.name for path in out.glob("sub-*")} - set(subject_ids))
    if strangers:
        raise OutputError(
            "import",
            "a new folder, or one with an earlier import of the same subjects",
            f"{out}, which holds {', '.join(strangers[:5])} as well",
            "choose another output, or empty that folder",
        )


def adopt_subjects(adopt, items, *, workers=1):
    """Call `adopt` on every subject; one that cannot be used is left out, not fatal.

    Parameters
    ----------
    adopt : callable
        Writes one subject, and returns what :func:`import_difference` said of it;
        raises an error of the kit, or any other, when it cannot be used. Only what
        has nothing to do with the subject stops the import.
    items : dict of str to object
        Name of each subject in the origin, and what `adopt` takes.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    list of (str, str)
        Subjects left out: name, and reason.
    """
    done = for_each(partial(_attempt, adopt), list(items.values()), title="Importing", workers=workers)
    report_again("import", [again for _, again in done])
    return [(name, reason) for name, (reason, _) in zip(items, done, strict=True) if reason]


def _attempt(adopt, item):
    """Adopt a subject; return why it is left out, and why it was imported again."""
    try:
        return None, adopt(item)
    except (OutputError, ParameterError, ToolError):
        raise
    except EpitomeError as error:
        return f"{error.reason}; try {error.hint}" if "--" in error.hint else error.reason, None
    except Exception as error:  # one subject must not end an import, whatever it raises in a reader
        return str(Reason("files that can be read", f"{type(error).__name__}: {str(error)[:160]}")), None


def write_scans(out, name, images, notes, *, save=save_image):
    """Write a subject's scans with their sidecars; with the last scan in place, the subject is complete.

    Parameters
    ----------
    out : path
    name : str
        Subject.
    images : dict of str to Nifti1Image
        By contrast.
    notes : dict of str to dict
        What the sidecar of each contrast says.
    save : callable, default=save_image
        Takes an image and a path.
    """
    for contrast in CONTRASTS:  # what an import of other files left
        for path in (image_path(out, name, contrast), sidecar_path(image_path(out, name, contrast))):
            path.unlink(missing_ok=True)
    for contrast in images:
        write_json(sidecar_path(image_path(out, name, contrast)), {**notes[contrast], "ImportedTogether": list(images)})
    for contrast, image in images.items():
        save(image, image_path(out, name, contrast))


def import_difference(out, name, origin, *, strict=True):
    """Say why a subject has to be imported again.

    Parameters
    ----------
    out : path
    name : str
        Subject.
    origin : dict
        Part of the sidecars that tells files and options from others.
    strict : bool, default=True
        Whether other files or options are an error, rather than a difference.

    Returns
    -------
    str or None
        None: an earlier import wrote all of it, from the same files in the same way.
        Empty: there is none yet, or it was stopped.

    Raises
    ------
    OutputError
        What is there came from other files, or with other options.
    """
    together = []
    for path in sorted((Path(out) / name / "anat").glob("[!.]*.json")):
        notes = read_record(path)
        if not notes:
            return f"{path.name} cannot be read"
        if {key: notes.get(key) for key in origin} != origin:
            if not strict:
                return "its files changed, or how they are taken"
            raise OutputError(
                "import",
                "a new folder, or one with an earlier import of the same files in the same way",
                f"{path}, from other files, or with other decisions or another choice about faces",
                "choose another output",
            )
        together = notes.get("ImportedTogether", [])
    stopped = not together or not all(image_path(out, name, contrast).is_file() for contrast in together)
    return "" if stopped else None


def describe_cohort(out, *, source, participants, excluded, **description):
    """Write the tables of a cohort whose subjects are in place, and open it.

    Parameters
    ----------
    out, source : path
    participants : DataFrame
        Subjects that were kept.
    excluded : list of (str, str)
        Subjects that were not: name in the origin, and reason.
    **description
        `name`, `readme`, `licence`, `repaired` and `entries` for
        :func:`epitome_kit.cohort.write_dataset`.

    Returns
    -------
    Cohort

    Raises
    ------
    CohortError
        No subject was kept; the ledger is written all the same where nothing is there
        yet, to be looked at and answered.
    """
    if participants.empty:
        name, reason = excluded[0]
        ledger = _leave_ledger(out, excluded, description)
        raise CohortError(
            "import",
            "at least one subject that can be used",
            f"{len(excluded)} subjects in {source}, all left out; {name}: {reason}",
            f"repair the subjects, or check that this is the right folder{ledger}",
        )
    excluded = sorted((plain(name), plain(reason)) for name, reason in excluded)
    write_dataset(out, participants=participants, excluded=excluded, **description)
    return open_cohort(out)


def _leave_ledger(out, excluded, description):
    """Write the ledger of an import that kept nobody, and say where; nothing where the folder is in use."""
    entries = description.get("entries", ())
    if not entries or any(Path(out).glob("sub-*")):
        return ""
    write_ledger(out, [*(Entry(name, "subject", reason=reason) for name, reason in excluded), *entries])
    return f"; {Path(out) / LEDGER} says of each file why it was left out"


def read_repairs(out, subject_ids):
    """Gather what an import noticed of its subjects, from the sidecars of their scans.

    Parameters
    ----------
    out : path
    subject_ids : sequence of str
        Subjects that were kept.

    Returns
    -------
    list of (str, str)
        Subject, and one repair.
    """
    found = {}
    for name in subject_ids:
        for sidecar in sorted((Path(out) / name / "anat").glob("[!.]*.json")):
            found |= {(name, repair): None for repair in read_json(sidecar).get("Repairs", ())}
    return list(found)
