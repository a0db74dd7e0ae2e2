"""Folders: every file once, in natural order, whatever links, pipes and litter lie between."""

import os

from tiny import write_cohort

from epitome_kit.cohort import image_path
from epitome_kit.files import write_json
from epitome_kit.folders import natural_key, walk_entries, walk_files
from epitome_kit.provenance import cohort_files
from epitome_kit.sources.importing import _origin_path, import_difference, read_repairs


def _touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)


def _below(root, found):
    return [path.relative_to(root).as_posix() for path in found]


def test_numbers_in_names_are_ordered_by_value():
    names = ["run-10", "run-2", "Run-1", "run", "run-02", "b", "run-2a", "9", "12", "³", "x" * 4 + "7" * 5000]
    ordered = sorted(names, key=natural_key)
    assert ordered == ["9", "12", "b", "run", "Run-1", "run-02", "run-2", "run-2a", "run-10", names[-1], "³"]
    assert len(set(map(natural_key, names))) == len(names)


def test_every_file_is_found_in_natural_order_and_litter_is_not(tmp_path):
    kept = ["p2/s9/a.dcm", "p2/s10/a.dcm", "p10/a.dcm", "x.git/a", "~a", ".bidsignore"]
    litter = ["p2/._a.dcm", ".DS_Store", "thumbs.DB", "__MACOSX/p2/a.dcm", ".git/config", "~$marks.xlsx", "Icon\r"]
    _touch(*(tmp_path / name for name in [*kept, *litter]))
    assert sorted(_below(tmp_path, walk_files(tmp_path))) == sorted(kept)
    assert _below(tmp_path, walk_files(tmp_path))[1:4] == kept[:3]
    passed = [path.name for path, kind in walk_entries(tmp_path) if kind == "litter"]
    assert sorted(passed) == sorted(["._a.dcm", ".DS_Store", "thumbs.DB", "__MACOSX", ".git", "~$marks.xlsx", "Icon\r"])


def test_links_to_folders_are_followed_once_and_never_in_a_circle(tmp_path):
    root, store = tmp_path / "in", tmp_path / "store"
    _touch(store / "p1" / "a.dcm", store / "p2" / "s" / "b.dcm", root / "own" / "c.dcm", tmp_path / "not_ours.dcm")
    for name, target in {"l1": store / "p1", "l2": store / "p2", "l3": store / "p1", "again": root / "own"}.items():
        (root / name).symlink_to(target)
    (store / "p2" / "s" / "up").symlink_to("..")
    (root / "own" / "all").symlink_to(tmp_path)
    (root / "disk").symlink_to("/")
    (root / "self").symlink_to("self")
    assert _below(root, walk_files(root)) == ["l1/a.dcm", "l2/s/b.dcm", "own/c.dcm"]
    kinds = dict(walk_entries(root))
    seen = [path.relative_to(root).as_posix() for path, kind in kinds.items() if kind == "folder again"]
    assert seen == ["again", "disk", "l2/s/up", "l3", "own/all"] and kinds[root / "self"] == "broken link"


def test_files_are_found_by_way_of_links_into_what_git_keeps(tmp_path):
    _touch(tmp_path / ".git" / "annex" / "key.nii")
    for name, target in {"sub-1.nii": ".git/annex/key.nii", "sub-2.nii": ".git/annex/none.nii"}.items():
        (tmp_path / name).symlink_to(target)
    (tmp_path / "kept").symlink_to(".git/annex")
    assert _below(tmp_path, walk_files(tmp_path)) == ["kept/key.nii", "sub-1.nii"]
    assert _below(tmp_path, [path for path, kind in walk_entries(tmp_path) if kind == "broken link"]) == ["sub-2.nii"]


def test_what_is_no_file_is_never_yielded_as_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "closed").mkdir(mode=0)
    _touch(tmp_path / "nothing" / ".DS_Store")
    assert list(walk_files(tmp_path)) == []
    found = {path.name: kind for path, kind in walk_entries(tmp_path)}
    assert (found["pipe"], found["device"], found["nothing"]) == ("no file", "no file", "folder empty")
    if os.geteuid():
        assert found["closed"] == "folder closed"
    assert list(walk_files(tmp_path / "none")) == [] == list(walk_files(tmp_path / "pipe"))


def test_what_a_mac_leaves_in_a_cohort_changes_nothing(tmp_path):
    root = write_cohort(tmp_path)
    for contrast in ("T1ce", "FLAIR"):
        notes = {"ImportedTogether": ["T1ce", "FLAIR"]}
        write_json(image_path(root, "sub-01", contrast).with_suffix("").with_suffix(".json"), notes)
    write_json(_origin_path(root, "sub-01"), {"Origin": "a", "Repairs": ["a repair"]})
    before = cohort_files(root)
    for path in list(root.rglob("*.*")):
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
    assert import_difference(root, "sub-01", {"Origin": "a"}) is None and cohort_files(root) == before
    assert read_repairs(root, ["sub-01"]) == [("sub-01", "a repair")]
