"""The judgement of every scan below some paths, image files and DICOM alike, with nothing written."""

import re
from pathlib import Path

from epitome_kit.errors import ParameterError
from epitome_kit.folders import walk_entries
from epitome_kit.io.content import describe_content, first_bytes, scan_kind
from epitome_kit.sources.contrast_names import ENDINGS
from epitome_kit.sources.contrasts import Judgement, judge_scan
from epitome_kit.sources.dicom_choice import judge_exam
from epitome_kit.sources.dicom_files import looks_like_dicom, read_header
from epitome_kit.sources.dicom_headers import read_volumes

_DICOM = (".dcm", ".dicom", ".ima")
_WITHOUT_MARK = (".img", ".gipl", ".mnc")
_PACKED = re.compile(
    r"\.(nii|mgz|mgh|nrrd|mha|img|hdr|dcm)(\.gz)?\.(bz2|xz|zst|zip|7z|rar|lz4|lzma|tar|tgz)$", re.IGNORECASE
)
_NOTHING = Judgement(None, "a link to nothing: its content was not fetched or has gone")


def list_contrasts(paths):
    """Judge every scan that is found.

    Parameters
    ----------
    paths : sequence of path
        Image files, DICOM files, or folders of either, at any depth. What systems
        leave there, such as ``._*``, is passed over. Links to nothing, packed scans and
        files that are no scan by their content are listed with what they are.

    Returns
    -------
    list of dict
        ``file``, ``contrast`` and ``evidence`` of each scan, as in
        :class:`epitome_kit.sources.contrasts.Judgement`; for DICOM one entry a
        volume, with the file of its first image.

    Raises
    ------
    ParameterError
        A path that is not there.
    """
    rows = {}
    for path in map(Path, paths):
        if not path.exists() and not path.is_symlink():
            raise ParameterError("contrasts", "files or folders", f"{path}, which is not there", "check the path")
        for file, judgement in _judge(path):
            rows.setdefault(str(file), {"file": str(file), **judgement._asdict()})
    return list(rows.values())


def _judge(path):
    """Judge one file, or what a folder holds: (file, judgement)."""
    if path.is_dir():
        return _judge_folder(path)
    if not path.exists():
        return [(path, _NOTHING)]
    if _is_named(path, ENDINGS):
        return [(path, _judge_image(path))]
    start = _start(path)
    if start is not None and looks_like_dicom(start):
        volumes = [(file, judgement) for file, judgement, files in _volumes(path.parent) if path in files]
        return volumes or [(path, _judge_lone(path) or Judgement("other", "DICOM, but no image of a volume"))]
    if start is not None and scan_kind(start):
        return [(path, judge_scan(path))]
    return [(path, _judge_packed(path) if _PACKED.search(path.name) else _no_scan(path, start))]


def _judge_folder(folder):
    """Judge all that is a scan below a folder, or is named as one."""
    found, rest = [], []
    for path, kind in walk_entries(folder):
        named = _is_named(path, ENDINGS) or _is_named(path, _DICOM) or _PACKED.search(path.name)
        if kind == "broken link" and named:
            found.append((path, _NOTHING))
        elif kind == "folder closed":
            found.append((path, Judgement(None, "a folder that may not be read")))
        elif kind == "file" and _is_named(path, ENDINGS):
            found.append((path, _judge_image(path)))
        elif kind == "file" and _PACKED.search(path.name):
            found.append((path, _judge_packed(path)))
        elif kind == "file":
            rest.append(path)
    volumes = _volumes(folder)
    known = {file for _, _, files in volumes for file in files}
    lone = [(path, _judge_lone(path)) for path in rest if path not in known]
    return [*found, *((file, judgement) for file, judgement, _ in volumes), *(row for row in lone if row[1])]


def _is_named(path, endings):
    return path.name.lower().endswith(endings)


def _judge_image(path):
    """Judge a file with the name of an image, which it must be by its content too."""
    start = _start(path)
    whole = start and (scan_kind(start) or _is_named(path, _WITHOUT_MARK))
    return judge_scan(path) if whole else _no_scan(path, start)


def _judge_packed(path):
    """Say of a packed scan that it is not looked into."""
    start = _start(path)
    said = describe_content(start, path).removeprefix("which is ") if start else ""
    return Judgement(None, f"{said}: unpack it first") if start else _no_scan(path, start)


def _judge_lone(path):
    """Say what a file that is part of no volume is; None where it is no DICOM, or a copy of an image."""
    start = _start(path)
    if start is None:
        return _no_scan(path, start) if _is_named(path, _DICOM) else None
    if not looks_like_dicom(start):
        return _no_scan(path, start) if _is_named(path, _DICOM) else None
    header = read_header(path)
    if header is None or (header == "no DICOM" and _is_named(path, _DICOM)):
        return Judgement(None, "DICOM whose header cannot be read")
    if isinstance(header, dict) and header["series"] is None:
        return Judgement(None, "DICOM without a series")
    return None


def _no_scan(path, start):
    if start is None:
        return Judgement(None, "a file that cannot be opened")
    what = describe_content(start, path) if start or not path.stat().st_size else "which is a damaged gzip"
    return Judgement("other", f"no scan: {what.removeprefix('which is ').removeprefix('which ')}")


def _start(path):
    """First bytes of a file; None where it cannot be opened."""
    try:
        return first_bytes(path)[0]
    except OSError:
        return None


def _volumes(folder):
    """Judge the DICOM volumes of a folder, exam by exam: first file, judgement, all files."""
    exams = {}
    for volume in read_volumes(folder)[0]:
        exams.setdefault((volume.patient, volume.study), []).append(volume)
    return [
        (volume.files[0], judgement, set(volume.files))
        for exam in exams.values()
        for volume, judgement in zip(exam, judge_exam(exam), strict=True)
    ]
