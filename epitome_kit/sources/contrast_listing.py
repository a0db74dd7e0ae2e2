"""The judgement of every scan below some paths, image files and DICOM alike, with nothing written."""

from pathlib import Path

from epitome_kit.content import describe_content, first_bytes, scan_kind
from epitome_kit.errors import BadParameter
from epitome_kit.folders import walk_files
from epitome_kit.sources.contrast_names import ENDINGS
from epitome_kit.sources.contrasts import Judgement, judge_scan
from epitome_kit.sources.dicom_choice import judge_exam
from epitome_kit.sources.dicom_files import looks_like_dicom
from epitome_kit.sources.dicom_headers import read_volumes


def list_contrasts(paths):
    """Judge every scan that is found.

    Parameters
    ----------
    paths : sequence of path
        Image files, DICOM files, or folders of either, at any depth. What systems
        leave there, such as ``._*``, is passed over.

    Returns
    -------
    list of dict
        ``file``, ``contrast`` and ``evidence`` of each scan, as in
        :class:`epitome_kit.sources.contrasts.Judgement`; for DICOM one entry a
        volume, with the file of its first image.

    Raises
    ------
    BadParameter
        A path that is not there.
    """
    rows = {}
    for path in map(Path, paths):
        if not path.exists():
            raise BadParameter("contrasts", "files or folders", f"{path}, which is not there", "check the path")
        for file, judgement in _judge(path):
            rows.setdefault(str(file), {"file": str(file), **judgement._asdict()})
    return list(rows.values())


def _judge(path):
    """Judge one file, or what a folder holds: (file, judgement)."""
    if path.is_dir():
        images = [each for each in walk_files(path) if _is_image(each)]
        return [*((each, judge_scan(each)) for each in images), *_judge_dicom(path)]
    if _is_image(path):
        return [(path, judge_scan(path))]
    start, _ = first_bytes(path)
    if looks_like_dicom(start):
        return [(file, judgement) for file, judgement, files in _volumes(path.parent) if path in files]
    if scan_kind(start):
        return [(path, judge_scan(path))]
    return [(path, Judgement("other", f"no scan: {describe_content(start, path).removeprefix('which is ')}"))]


def _is_image(path):
    return path.name.lower().endswith(ENDINGS) and path.is_file()


def _judge_dicom(folder):
    return [(file, judgement) for file, judgement, _ in _volumes(folder)]


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
