"""Judge the contrast of every scan below some paths, image files and DICOM alike, without writing anything."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from epitome_kit.errors import ParameterError
from epitome_kit.files import PathLike
from epitome_kit.folders import walk_entries
from epitome_kit.io.content import describe_content, first_bytes, scan_kind
from epitome_kit.sources.contrast_names import ENDINGS
from epitome_kit.sources.contrasts import Judgement, judge_scan
from epitome_kit.sources.dicom_choice import judge_exam
from epitome_kit.sources.dicom_files import looks_like_dicom, read_header
from epitome_kit.sources.dicom_headers import Volume, read_volumes
from epitome_kit.sources.importing import NOT_READ

_DICOM = (".dcm", ".dicom", ".ima")
_WITHOUT_MAGIC_NUMBER = (".img", ".gipl", ".mnc")
_PACKED = re.compile(
    r"\.(nii|mgz|mgh|nrrd|mha|img|hdr|dcm)(\.gz)?\.(bz2|xz|zst|zip|7z|rar|lz4|lzma|tar|tgz)$", re.IGNORECASE
)
_BROKEN_LINK = Judgement(None, NOT_READ["broken link"])


class ListedScan(TypedDict):
    """A scan with its judgement, see :class:`epitome_kit.sources.contrasts.Judgement`."""

    file: str
    contrast: str | None
    evidence: str


def list_contrasts(paths: Iterable[PathLike]) -> list[ListedScan]:
    """Judge the contrast of every scan that is found.

    Parameters
    ----------
    paths : sequence of path
        Image files, DICOM files, or folders of either, searched recursively. System files
        such as ``._*`` are skipped. Broken links, compressed archives and files whose
        content is not an image are listed with the reason.

    Returns
    -------
    list of dict
        ``file``, ``contrast`` and ``evidence`` of each scan, as in
        :class:`epitome_kit.sources.contrasts.Judgement`; for DICOM one entry per
        volume, with its first file.

    Raises
    ------
    ParameterError
        A path does not exist.
    """
    rows: dict[str, ListedScan] = {}
    for path in map(Path, paths):
        if not path.exists() and not path.is_symlink():
            raise ParameterError("contrasts", "files or folders", f"{path}, which is not there", "check the path")
        for file, judgement in _judge(path):
            row = ListedScan(file=str(file), contrast=judgement.contrast, evidence=judgement.evidence)
            rows.setdefault(str(file), row)
    return list(rows.values())


def _judge(path: Path) -> list[tuple[Path, Judgement]]:
    """Judge one file, or the content of a folder."""
    if path.is_dir():
        return _judge_folder(path)
    if not path.exists():
        return [(path, _BROKEN_LINK)]
    if _is_named(path, ENDINGS):
        return [(path, _judge_image(path))]
    start = _start(path)
    if start is not None and looks_like_dicom(start):
        volumes = [(file, judgement) for file, judgement, files in _volumes(path.parent) if path in files]
        return volumes or [(path, _judge_lone(path) or Judgement("other", "DICOM, but no image of a volume"))]
    if start is not None and scan_kind(start):
        return [(path, judge_scan(path))]
    return [(path, _judge_packed(path) if _PACKED.search(path.name) else _not_a_scan(path, start))]


def _judge_folder(folder: Path) -> list[tuple[Path, Judgement]]:
    """Judge every file below a folder that is a scan, or is named like one."""
    found: list[tuple[Path, Judgement]] = []
    rest = []
    for path, kind in walk_entries(folder):
        named = _is_named(path, ENDINGS) or _is_named(path, _DICOM) or _PACKED.search(path.name)
        if kind == "broken link" and named:
            found.append((path, _BROKEN_LINK))
        elif kind == "folder closed":
            found.append((path, Judgement(None, NOT_READ[kind])))
        elif kind == "file" and _is_named(path, ENDINGS):
            found.append((path, _judge_image(path)))
        elif kind == "file" and _PACKED.search(path.name):
            found.append((path, _judge_packed(path)))
        elif kind == "file":
            rest.append(path)
    volumes = _volumes(folder)
    known = {file for _, _, files in volumes for file in files}
    found += [(file, judgement) for file, judgement, _ in volumes]
    return found + [(path, lone) for path in rest if path not in known and (lone := _judge_lone(path))]


def _is_named(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(endings)


def _judge_image(path: Path) -> Judgement:
    """Judge a file named like an image, provided that its content is one."""
    start = _start(path)
    is_image = start and (scan_kind(start) or _is_named(path, _WITHOUT_MAGIC_NUMBER))
    return judge_scan(path) if is_image else _not_a_scan(path, start)


def _judge_packed(path: Path) -> Judgement:
    """Report a compressed scan, which is not opened."""
    start = _start(path)
    if not start:
        return _not_a_scan(path, start)
    return Judgement(None, f"{describe_content(start, path).removeprefix('which is ')}: unpack it first")


def _judge_lone(path: Path) -> Judgement | None:
    """Report a file that belongs to no volume; None if it is not DICOM, or a copy of an image."""
    start = _start(path)
    if start is None or not looks_like_dicom(start):
        return _not_a_scan(path, start) if _is_named(path, _DICOM) else None
    header = read_header(path)
    if header is None or (header == "no DICOM" and _is_named(path, _DICOM)):
        return Judgement(None, "DICOM whose header cannot be read")
    if isinstance(header, dict) and header["series"] is None:
        return Judgement(None, "DICOM without a series")
    return None


def _not_a_scan(path: Path, start: bytes | None) -> Judgement:
    if start is None:
        return Judgement(None, "a file that cannot be opened")
    what = describe_content(start, path) if start or not path.stat().st_size else "which is a damaged gzip"
    return Judgement("other", f"not a scan: {what.removeprefix('which is ').removeprefix('which ')}")


def _start(path: Path) -> bytes | None:
    """Return the first bytes of a file; None if it cannot be opened."""
    try:
        return first_bytes(path)[0]
    except OSError:
        return None


def _volumes(folder: Path) -> list[tuple[Path, Judgement, set[Path]]]:
    """Judge the DICOM volumes of a folder, exam by exam: first file, judgement, all files."""
    exams: dict[tuple[str, str | None], list[Volume]] = {}
    for volume in read_volumes(folder)[0]:
        exams.setdefault((volume.patient, volume.study), []).append(volume)
    return [
        (volume.files[0], judgement, set(volume.files))
        for exam in exams.values()
        for volume, judgement in zip(exam, judge_exam(exam), strict=True)
    ]
