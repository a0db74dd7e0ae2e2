"""A scan that lies is refused on three lines, or read rightly; a cohort goes on without it, by name and reason."""

import gzip
import shutil

import numpy as np
import pytest
from bad_files import SCANS, links, write_scan
from in_bounds import three_lines
from tiny import affine, head

from epitome_kit.cohort import open_cohort
from epitome_kit.files import read_tsv
from epitome_kit.preprocess.pipeline import preprocess_cohort

PLACELESS = head().header.get_base_affine()
"""Where nibabel puts voxels of which no place is said: their middle at 0, the first axis to the left."""


def test_there_are_kinds_enough():
    assert len(SCANS) >= 60


@pytest.mark.parametrize("kind", SCANS)
def test_a_scan_is_read_rightly_or_refused_within_bounds(kind, bounded, tmp_path):
    path = write_scan(tmp_path / "with space ü" / "..", "sub-1_T2w", kind)
    answer, expected = bounded("scan", path), SCANS[kind][2]
    if expected is not None:
        three_lines(answer, path.name, expected)
        return
    shape, total, place = answer["value"]
    whole = head().get_fdata()
    if kind == "one slice":
        whole = whole[..., 5:6]
    known = {"scaled integers": (whole - 7) / 3, "signed bytes": whole // 10}.get(kind, whole)
    assert shape == list(known.shape) and total == pytest.approx(known.sum(), rel=1e-6)
    places = {"mirrored": np.diag([-1, 1, 1, 1]) @ affine(), "no code for a place": PLACELESS}
    assert np.allclose(place, places.get(kind, affine()))


def test_a_link_is_followed_to_a_scan_and_to_nothing_else(bounded, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("root:x:0:0")
    for name, link in links(tmp_path / "in", secret).items():
        answer = bounded("scan", link)
        three_lines(answer, f"{name}.nii.gz")
        assert "root:x" not in answer["error"]


@pytest.fixture(scope="module")
def spoilt(sound, tmp_path_factory):
    """The sound subjects, and one more for every kind of scan, each with its own name."""
    root = shutil.copytree(sound, tmp_path_factory.mktemp("spoilt") / "cohort")
    names = {f"sub-x{number:02d}": kind for number, kind in enumerate(SCANS)}
    for name, kind in names.items():
        path = write_scan(root / name / "anat", f"{name}_T2w", kind)
        if path.suffix != ".gz":  # the kit's own cohorts are compressed
            content = path.read_bytes()
            packed = content if content[:2] == b"\x1f\x8b" else gzip.compress(content)
            path.with_name(f"{path.name}.gz").write_bytes(packed)
    return root, names


def _everything(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_an_import_leaves_bad_scans_out_by_name_and_reason(spoilt, bounded, tmp_path):
    root, names = spoilt
    before = _everything(root.parent)
    kept, excluded = bounded("bids", root, tmp_path / "out", seconds=60)["value"]
    assert {"sub-01", "sub-02", "sub-03"} <= set(kept) and {*kept, *excluded} == {"sub-01", "sub-02", "sub-03", *names}
    for name, kind in names.items():
        expected = SCANS[kind][2]
        assert (name in kept) == (expected is None), f"{kind}: {excluded.get(name)}"
        assert expected is None or excluded[name].startswith("expected ") and "; received " in excluded[name]
    assert _everything(root.parent) == before and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_inspection_names_every_bad_scan(spoilt, bounded):
    root, names = spoilt
    findings = dict(bounded("inspect", root, seconds=60)["value"])
    silent = [kind for name, kind in names.items() if SCANS[kind][2] is not None and not findings[name]]
    assert not silent and not findings["sub-01"].startswith("expected")


def test_preprocessing_goes_on_without_the_bad_scans_and_says_so(spoilt, tmp_path):
    root, names = spoilt
    preprocess_cohort(open_cohort(root), tmp_path / "out", steps=("normalise",), spacing_mm=6)
    kept = set(read_tsv(tmp_path / "out" / "quality.tsv").participant_id)
    excluded = dict(read_tsv(tmp_path / "out" / "excluded.tsv").to_numpy().tolist())
    assert {"sub-01", "sub-02", "sub-03"} <= kept
    for name, kind in names.items():
        sound = SCANS[kind][2] is None and kind != "one slice"  # which lies between the slices of the template
        assert (name in kept) == sound, f"{kind}: {excluded.get(name)}"
        assert sound or excluded[name].startswith("expected "), excluded[name]
