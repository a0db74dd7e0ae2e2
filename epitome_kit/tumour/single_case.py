"""Preprocess, segment and measure the scans of one subject."""

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
from joblib import cpu_count

from epitome_kit.cohort import Subject
from epitome_kit.contrast_table import CONTRASTS, by_conspicuity
from epitome_kit.errors import EpitomeWarning, ParameterError
from epitome_kit.files import PathLike, text_digest
from epitome_kit.lock import locks
from epitome_kit.preprocess.pipeline import Preprocessed, preprocess_once, preprocessing_record
from epitome_kit.preprocess.subject import describe_steps
from epitome_kit.resume import report_again
from epitome_kit.sources.contrasts import judge_scan
from epitome_kit.tumour.segment import predict_tumours
from epitome_kit.workspace import Workspace

SPACING_MM = 3.0
"""Voxel size of the template grid on which the shipped network was trained."""


@locks("segment")
def segment_head(images: Mapping[str, PathLike], out: PathLike, *, weights: PathLike | None = None) -> pd.DataFrame:
    """Preprocess the scans of one subject, segment the tumour and measure it.

    Finished steps are kept on the next call if scans and network are unchanged.

    Parameters
    ----------
    images : dict of str to path
        Scans by contrast, any of :data:`epitome_kit.contrast_table.CONTRASTS`. The mask
        is on the grid of the contrast that shows gliomas best: see
        :func:`epitome_kit.contrast_table.by_conspicuity`.
    out : path
        Workspace for ``masks/``, ``preprocessed/`` and ``tumours.tsv``.
    weights : path, default=None
        As for :func:`epitome_kit.predict_tumours`.

    Returns
    -------
    DataFrame
        One row, as from :func:`epitome_kit.predict_tumours`.

    Raises
    ------
    ImageError
        A scan cannot be used, or none has a contrast of the network.

    See Also
    --------
    predict_tumours : Segment the subjects of a preprocessed cohort.
    measure_tumour : Measure the mask.

    Examples
    --------
    Preprocessing takes a minute:

    >>> import epitome_kit as ek
    >>> tumour = ek.segment_head({"FLAIR": "flair.nii.gz"}, "case")  # doctest: +SKIP
    """
    subject, files = prepare_head(images, out)
    return predict_tumours([subject], files.folder, out, weights=weights)


def prepare_head(
    images: Mapping[str, PathLike], out: PathLike, *, spacing_mm: float = SPACING_MM
) -> tuple[Subject, Preprocessed]:
    """Preprocess the scans of one subject, unless they are finished.

    Parameters
    ----------
    images : dict of str to path
        As for :func:`segment_head`.
    out : path
        Workspace for ``preprocessed/``.
    spacing_mm : float, default=3.0
        Voxel size of the template grid.

    Returns
    -------
    subject : Subject
        Subject with its scans.
    files : Preprocessed
        Paths of its preprocessed files.

    Raises
    ------
    ImageError
        A scan cannot be used.
    """
    paths = {name: Path(path) for name, path in images.items()}
    subject = Subject(head_name(paths), paths, annotated_on=by_conspicuity(paths)[0])
    folder = Workspace(Path(out)).preprocessed
    record = preprocessing_record(subject, folder, steps=describe_steps(), spacing_mm=spacing_mm)
    report_again(f"{subject.id}, preprocessing", [record.difference()])
    preprocess_once(subject, folder, record, threads=cpu_count())
    return subject, Preprocessed(folder, subject.id)


def predict_scan(scans: Iterable[PathLike]) -> dict[str, tuple[Path, str]]:
    """Identify the contrast of each scan of a subject, and state the evidence.

    Parameters
    ----------
    scans : iterable of str or path
        Files, identified by :func:`epitome_kit.sources.contrasts.judge_scan`; or
        ``T1ce=FILE``, which states the contrast.

    Returns
    -------
    dict of str to (Path, str)
        File and evidence, in the order of :data:`epitome_kit.contrast_table.CONTRASTS`.

    Raises
    ------
    ParameterError
        A scan of unknown or unsupported contrast, or two scans of one contrast.
    """
    found: dict[str, tuple[Path, str]] = {}
    for scan in map(str, scans):
        name, equals, file = scan.partition("=")
        stated = bool(equals) and name in CONTRASTS
        path = Path(file if stated else scan)
        contrast, evidence = (name, "as stated") if stated else judge_scan(path)
        if contrast not in CONTRASTS or contrast in found:
            second = f"{path.name}, a second {contrast} ({evidence})"
            raise ParameterError(
                "segment",
                f"one scan for each of the contrasts {', '.join(CONTRASTS)}",
                second if contrast in found else _describe_unidentified(path.name, contrast, evidence),
                f"state it: {_suggest_statements(path.name, evidence)}; several subjects: `epitome cohort bids`",
            )
        found[contrast] = path, evidence
    return {name: found[name] for name in CONTRASTS if name in found}


def label_contrasts(
    received: Mapping[str, PathLike], scan: PathLike, *, stated: str = ""
) -> tuple[dict[str, PathLike], dict[str, str]]:
    """Identify the contrast of a received scan, and state the evidence.

    Parameters
    ----------
    received : dict of str to path
        From :func:`epitome_kit.case.upload.receive_scan`.
    scan : path
        Its original path or name; messages do not repeat it.
    stated : str, default=""
        Contrast stated by the user.

    Returns
    -------
    images : dict of str to path
        Scans by contrast.
    evidence : dict of str to str
        Evidence by contrast.

    Raises
    ------
    ParameterError
        The contrast is unknown or not supported.
    """
    if stated and len(received) == 1:
        return {stated: next(iter(received.values()))}, {stated: "as stated"}
    labelled = {name: path for name, path in received.items() if name in CONTRASTS}
    if labelled:
        for name in received.keys() - labelled.keys():
            warnings.warn(f"{name} is left out: its contrast is unknown", EpitomeWarning, stacklevel=2)
        return labelled, dict.fromkeys(labelled, "the header of its DICOM series")
    contrast, evidence = judge_scan(scan) if "" in received else (None, f"DICOM, {', '.join(received)}")
    if contrast not in CONTRASTS:
        best, *others = by_conspicuity(CONTRASTS)
        raise ParameterError(
            "case",
            f"a scan known to be one of {', '.join(CONTRASTS)}",
            _describe_unidentified("a scan", contrast, evidence),
            f"state it: `-p 'contrast=\"{best}\"'`, or {', '.join(others)}",
        )
    return {contrast: received[""]}, {contrast: evidence}


def _describe_unidentified(name: str, contrast: str | None, evidence: str) -> str:
    """State that the contrast of a scan is not supported, or unknown."""
    return f"{name}, {'of another contrast' if contrast else 'of unknown contrast'} ({evidence})"


def _suggest_statements(name: str, evidence: str) -> str:
    """List ways to state the contrast of a file: for T1, with or without agent; otherwise any."""
    by_agent = [name for name, row in CONTRASTS.items() if row.agent]
    contrasts = by_agent if re.search(r"says.* T1|suffix T1w", evidence) else by_conspicuity(CONTRASTS)
    return " or ".join(f"`{contrast}={name}`" for contrast in contrasts)


def head_name(images: Mapping[str, Path]) -> str:
    """Name a subject by the ``sub-`` entity of its files, else by a digest of their folder, which may name a person."""
    first = next(iter(images.values()))
    stated = re.match(r"sub-[A-Za-z0-9]+(?=_)", first.name)
    return stated[0] if stated else f"sub-{text_digest(str(first.resolve().parent))[:6]}"
