"""One head, straight from its scans: preprocess, outline, measure."""

import re
import warnings
from pathlib import Path

from joblib import cpu_count

from epitome_kit.cohort import Subject
from epitome_kit.contrast_table import CONTRASTS, by_conspicuity
from epitome_kit.errors import EpitomeWarning, ParameterError
from epitome_kit.preprocess.pipeline import Preprocessed, preprocess_once, preprocessing_record
from epitome_kit.preprocess.subject import describe_steps
from epitome_kit.resume import report_again
from epitome_kit.sources.contrasts import judge_scan
from epitome_kit.tumour.segment import predict_tumours
from epitome_kit.workspace import Workspace

SPACING_MM = 3.0
"""Voxel size of the template grid that the shipped network learned on."""


def segment_head(images, out, *, weights=None):
    """Preprocess the scans of one head, outline its tumour and measure it; what is finished is kept.

    Parameters
    ----------
    images : dict of str to path
        By contrast, any of :data:`epitome_kit.contrast_table.CONTRASTS`. The mask lies
        on the grid of the one that shows gliomas best: see
        :func:`epitome_kit.contrast_table.by_conspicuity`.
    out : path
        ``masks/``, ``preprocessed/`` and ``tumours.tsv``.
    weights : path, default=None
        As for :func:`epitome_kit.predict_tumours`.

    Returns
    -------
    DataFrame
        One row, as from :func:`epitome_kit.predict_tumours`.

    Raises
    ------
    ImageError
        A scan cannot be used, or none is of a contrast that the network looks at.
    """
    subject, files = prepare_head(images, out)
    return predict_tumours([subject], files.folder, out, weights=weights)


def prepare_head(images, out, *, spacing_mm=SPACING_MM):
    """Preprocess the scans of one head, unless that is done.

    Parameters
    ----------
    images : dict of str to path
        As for :func:`segment_head`.
    out : path
        ``preprocessed/`` is made there.
    spacing_mm : float, default=3.0
        Voxel size of the template grid.

    Returns
    -------
    (Subject, Preprocessed)
        The head, and where its files are.

    Raises
    ------
    ImageError
        A scan cannot be used.
    """
    images = {name: Path(path) for name, path in images.items()}
    subject = Subject(head_name(images), images, annotated_on=by_conspicuity(images)[0])
    folder = Workspace(out).preprocessed
    record = preprocessing_record(subject, folder, steps=describe_steps(), spacing_mm=spacing_mm)
    report_again(f"{subject.id}, preprocessing", [record.difference()])
    preprocess_once(subject, folder, record, threads=cpu_count())
    return subject, Preprocessed(folder, subject.id)


def predict_scan(scans):
    """Tell which contrast each scan of a head is, and on which evidence.

    Parameters
    ----------
    scans : sequence of str or path
        Files, judged by :func:`epitome_kit.sources.contrasts.judge_scan`; or
        ``T1ce=FILE``, which says it outright.

    Returns
    -------
    dict of str to (Path, str)
        File and evidence, in the order of :data:`epitome_kit.contrast_table.CONTRASTS`.

    Raises
    ------
    ParameterError
        A scan whose contrast cannot be told or is none of the kit's, or two scans
        of one contrast.
    """
    found = {}
    for scan in map(str, scans):
        stated, equals, path = scan.partition("=")
        said = equals and stated in CONTRASTS
        path = Path(path if said else scan)
        contrast, evidence = (stated, "as stated") if said else judge_scan(path)
        if contrast not in CONTRASTS or contrast in found:
            second = f"{path.name}, a second {contrast} ({evidence})"
            raise ParameterError(
                "segment",
                f"one scan of each contrast out of {', '.join(CONTRASTS)}",
                second if contrast in found else _untold(path.name, contrast, evidence),
                f"say what it is: {_statements(path.name, evidence)}; several heads: `epitome cohort bids`",
            )
        found[contrast] = path, evidence
    return {name: found[name] for name in CONTRASTS if name in found}


def label_contrasts(received, scan, *, stated=""):
    """Tell which contrast a scan is that was received, and on which evidence.

    Parameters
    ----------
    received : dict of str to path
        From :func:`epitome_kit.case.upload.receive_scan`.
    scan : path
        As it was called before.
    stated : str, default=""
        What a person says that it shows.

    Returns
    -------
    images : dict of str to path
        By contrast.
    evidence : dict of str to str
        By contrast.

    Raises
    ------
    ParameterError
        The contrast cannot be told, or is none of the kit's.
    """
    if stated and len(received) == 1:
        return {stated: next(iter(received.values()))}, {stated: "as stated"}
    told = {name: path for name, path in received.items() if name in CONTRASTS}
    if told:
        for name in received.keys() - told.keys():
            warnings.warn(f"{name} is left out: its contrast cannot be told", EpitomeWarning, stacklevel=2)
        return told, dict.fromkeys(told, "the header of its DICOM series")
    contrast, evidence = judge_scan(scan) if "" in received else (None, f"DICOM, {', '.join(received)}")
    if contrast not in CONTRASTS:
        best, *others = by_conspicuity(CONTRASTS)
        raise ParameterError(
            "case",
            f"a scan known to be one of {', '.join(CONTRASTS)}",
            _untold(Path(scan).name, contrast, evidence),
            f"state it: `-p 'contrast=\"{best}\"'`, or {', '.join(others)}",
        )
    return {contrast: received[""]}, {contrast: evidence}


def _untold(name, contrast, evidence):
    """Say of a scan that it is none of the kit's, or that nobody can tell."""
    return f"{name}, {'which is none of them' if contrast else 'whose contrast cannot be told'} ({evidence})"


def _statements(name, evidence):
    """Ways to say of a file what it shows: of a T1 whether an agent was given, else all of it."""
    by_agent = [name for name, row in CONTRASTS.items() if row.agent]
    contrasts = by_agent if re.search(r"says.* T1|suffix T1w", evidence) else by_conspicuity(CONTRASTS)
    return " or ".join(f"`{contrast}={name}`" for contrast in contrasts)


def head_name(images):
    """Name a head by the ``sub-`` of its files, else by the folder that they lie in."""
    first = next(iter(images.values()))
    stated = re.match(r"sub-[A-Za-z0-9]+", first.name)
    return stated[0] if stated else "sub-" + (re.sub("[^A-Za-z0-9]", "", first.resolve().parent.name) or "1")
