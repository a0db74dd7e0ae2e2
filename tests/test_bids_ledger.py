"""Import of a BIDS folder: every image has its row, choices go by meaning, and a person can decide."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from tiny import head, lesion, raises_three_lines

from epitome_kit.cohort import image_path
from epitome_kit.errors import CohortError, ParameterError
from epitome_kit.images import load_image, load_mask, new_image_like, save_image
from epitome_kit.ledger import read_decisions
from epitome_kit.sources.bids import import_bids


def _put(root, place, image=None, notes=None):
    """Save a scan, different for every place, with a sidecar where there are notes."""
    path = root / place
    save_image(image or head(sum(map(ord, place))), path)
    if notes:
        path.with_name(path.name.split(".nii")[0] + ".json").write_text(json.dumps(notes))
    return path


def _rows(cohort):
    return {row.source: row for row in cohort.ledger.itertuples()}


def _same(first, second):
    return np.array_equal(load_image(first).get_fdata(), load_image(second).get_fdata())


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "mine"
    for name in ("sub-a", "sub-b"):
        _put(folder, f"{name}/anat/{name}_FLAIR.nii.gz")
    return folder


def test_every_image_of_the_folder_has_one_row_and_a_fate(source, tmp_path):
    places = [
        "sub-a/anat/sub-a_run-1_T1w.nii.gz",
        "sub-a/anat/sub-a_run-2_T1w.nii.gz",
        "sub-a/func/sub-a_task-rest_bold.nii.gz",
        "sub-b/anat/sub-b_T2star.nii.gz",
        "derivatives/fmriprep/sub-a/anat/sub-a_desc-preproc_T1w.nii.gz",
        "derivatives/seg/sub-a/anat/sub-a_label-tumour_mask.nii.gz",
        "derivatives/seg/sub-b/anat/sub-b_mask.nii.gz",
        "sourcedata/sub-b/sub-b_T1w.nii.gz",
        "phantom_qa.nii.gz",
    ]
    for place in places:
        _put(source, place, lesion(head()) if "mask" in place else None)
    cohort = import_bids(source, tmp_path / "out")
    ledger = cohort.ledger[cohort.ledger.kind.isin(["scan", "mask", "file"])]
    assert sorted(ledger.source) == sorted([*places, *(f"sub-{x}/anat/sub-{x}_FLAIR.nii.gz" for x in "ab")])
    assert ((ledger.taken_as != "") ^ (ledger.reason != "")).all()
    taken = dict(zip(ledger.source, ledger.taken_as, strict=True))
    assert (
        taken[places[0]] == "T1w" and taken[places[5]] == "tumour" and not any(taken[places[i]] for i in (1, 2, 3, 4))
    )
    reasons = dict(zip(ledger.source, ledger.reason, strict=True))
    for number, word in ((1, "another T1w"), (2, "func"), (4, "derived"), (6, "cannot tell"), (7, "sourcedata")):
        assert word in reasons[places[number]]


def test_litter_and_links_to_nothing_are_no_scans(source, tmp_path):
    (source / "sub-a/anat/._sub-a_FLAIR.nii.gz").write_bytes(b"\0\5\26\7")
    (source / "sub-b/anat/sub-b_T1w.nii.gz").symlink_to("../../.git/annex/none")
    cohort = import_bids(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-a", "sub-b"] and list(cohort["sub-b"].images) == ["FLAIR"]
    assert "broken link" in _rows(cohort)["sub-b/anat/sub-b_T1w.nii.gz"].reason


def test_links_to_the_folders_of_patients_are_followed(source, tmp_path):
    shutil.move(source / "sub-b", tmp_path / "elsewhere")
    (source / "sub-b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert list(import_bids(source, tmp_path / "out").subjects) == ["sub-a", "sub-b"]


def test_nothing_but_links_to_nothing_says_so(tmp_path):
    folder = tmp_path / "clone/sub-1/anat"
    folder.mkdir(parents=True)
    (folder / "sub-1_T1w.nii.gz").symlink_to("../../../none")
    with raises_three_lines(CohortError, "broken links: 1"):
        import_bids(tmp_path / "clone", tmp_path / "out")


@pytest.mark.parametrize(
    ("first", "second", "tables"),
    [
        ("ses-postsurgery", "ses-presurgery", None),
        ("ses-1", "ses-2", "session_id\tacq_time\nses-1\t2020-06-01\nses-2\t2020-01-01\n"),
        ("ses-10", "ses-9", None),
    ],
)
def test_of_two_sessions_the_one_that_means_more_is_taken(tmp_path, first, second, tables):
    source = tmp_path / "in"
    for session in (first, second):
        _put(source, f"sub-1/{session}/anat/sub-1_{session}_T2w.nii.gz")
    if tables:
        (source / "sub-1/sub-1_sessions.tsv").write_text(tables)
    cohort = import_bids(source, tmp_path / "out")
    assert _same(cohort["sub-1"].images["T2w"], source / f"sub-1/{second}/anat/sub-1_{second}_T2w.nii.gz")
    (note,) = cohort.repaired.repair
    assert note.startswith("2 sessions") and second in note
    other = import_bids(source, tmp_path / "other", session=first)
    assert _same(other["sub-1"].images["T2w"], source / f"sub-1/{first}/anat/sub-1_{first}_T2w.nii.gz")


def test_the_session_with_the_tumour_mask_is_taken(tmp_path):
    for session in ("ses-1", "ses-2"):
        _put(tmp_path / "in", f"sub-1/{session}/anat/sub-1_{session}_T2w.nii.gz")
    _put(tmp_path / "in", "derivatives/x/sub-1/ses-2/anat/sub-1_ses-2_label-lesion_mask.nii.gz", lesion(head()))
    subject = import_bids(tmp_path / "in", tmp_path / "out")["sub-1"]
    assert subject.annotation and _same(subject.images["T2w"], tmp_path / "in/sub-1/ses-2/anat/sub-1_ses-2_T2w.nii.gz")


def test_a_session_that_is_not_there_leaves_the_subject_out(tmp_path):
    for name, session in (("sub-1", "ses-1"), ("sub-2", "ses-2")):
        _put(tmp_path / "in", f"{name}/{session}/anat/{name}_{session}_T2w.nii.gz")
    cohort = import_bids(tmp_path / "in", tmp_path / "out", session="1")
    assert list(cohort.subjects) == ["sub-1"] and "session 1" in cohort.excluded.reason[0]


def test_runs_go_in_natural_order_unless_the_mask_names_another(tmp_path):
    for run in (10, 2):
        _put(tmp_path / "in", f"sub-1/anat/sub-1_run-{run}_T2w.nii.gz")
    two, ten = (tmp_path / f"in/sub-1/anat/sub-1_run-{run}_T2w.nii.gz" for run in (2, 10))
    assert _same(import_bids(tmp_path / "in", tmp_path / "one")["sub-1"].images["T2w"], two)
    notes = {"Sources": ["bids:raw:sub-1/anat/sub-1_run-10_T2w.nii.gz"]}
    _put(tmp_path / "in", "derivatives/x/sub-1/anat/sub-1_label-lesion_mask.nii.gz", lesion(head()), notes)
    assert _same(import_bids(tmp_path / "in", tmp_path / "two")["sub-1"].images["T2w"], ten)


def test_an_agent_in_the_sidecar_of_a_folder_above_counts(tmp_path):
    _put(tmp_path / "in", "sub-1/anat/sub-1_acq-late_T1w.nii.gz")
    _put(tmp_path / "in", "sub-1/anat/sub-1_T1w.nii.gz")
    (tmp_path / "in/acq-late_T1w.json").write_text('{"ContrastBolusIngredient": "GADOLINIUM"}')
    subject = import_bids(tmp_path / "in", tmp_path / "out")["sub-1"]
    assert list(subject.images) == ["T1w", "T1ce"]
    assert _same(subject.images["T1ce"], tmp_path / "in/sub-1/anat/sub-1_acq-late_T1w.nii.gz")


def test_parts_of_a_tumour_are_joined_and_it_is_said(source, tmp_path):
    scan, counted = head(), 0
    for number, part in enumerate(("ED", "ET", "NCR")):
        mask = np.zeros(scan.shape, np.uint8)
        mask[3 + number, 4:8, 4:7] = 1
        counted += int(mask.sum())
        _put(source, f"derivatives/seg/sub-a/anat/sub-a_label-{part}_mask.nii.gz", new_image_like(mask, scan))
    cohort = import_bids(source, tmp_path / "out")
    assert np.asarray(load_mask(cohort["sub-a"].annotation).dataobj).sum() == counted
    assert "joined" in cohort.repaired.repair[0] and (cohort.ledger.taken_as == "tumour").sum() == 3


def test_a_label_map_waits_for_its_labels(source, tmp_path):
    scan = head()
    labels = np.zeros(scan.shape, np.uint8)
    labels[4:6, 4:6, 4:6], labels[8:11, 4:6, 4:6] = 1, 3
    place = "derivatives/manual/sub-a/anat/sub-a_dseg.nii.gz"
    _put(source, place, new_image_like(labels, scan))
    unasked = import_bids(source, tmp_path / "unasked")
    assert unasked["sub-a"].annotation is None and "--mask-labels" in _rows(unasked)[place].reason
    asked = import_bids(source, tmp_path / "asked", mask_labels="3")
    assert np.asarray(load_mask(asked["sub-a"].annotation).dataobj).sum() == 12


def test_several_labels_in_a_tumour_mask_are_never_joined_unasked(source, tmp_path):
    labels = lesion(head()).get_fdata().astype(np.uint8)
    labels[0, 0, :3] = (2, 4, 4)
    _put(source, "derivatives/x/sub-a/anat/sub-a_label-tumour_mask.nii.gz", new_image_like(labels, head()))
    left = import_bids(source, tmp_path / "unasked")
    assert list(left.subjects) == ["sub-b"] and "3 labels" in left.excluded.reason[0]
    assert not (left.root / "sub-a").exists()
    joined = import_bids(source, tmp_path / "asked", mask_labels="brats21:WT")
    assert np.asarray(load_mask(joined["sub-a"].annotation).dataobj).sum() == 30


def test_a_person_decides_what_cannot_be_told(source, tmp_path):
    mask = "derivatives/x/sub-a/anat/sub-a_mask.nii.gz"
    scan = "sub-a/anat/sub-a_acq-scan7_desc-raw_image.nii.gz"
    _put(source, mask, lesion(head()))
    _put(source, scan)
    out = tmp_path / "out"
    first = import_bids(source, out)
    assert first["sub-a"].annotation is None and "T1ce" not in first["sub-a"].images
    assert _rows(first)[scan].reason.startswith("cannot tell") and _rows(first)[mask].reason.startswith("cannot tell")
    flair = "sub-b/anat/sub-b_FLAIR.nii.gz"
    answers = {scan: "T1ce", mask: "tumour", flair: "leave out"}
    title, header, *lines = (out / "sources.tsv").read_text().splitlines()
    edited = [line.removesuffix("n/a") + answers.get(line.split("\t")[0], "n/a") for line in lines]
    path = tmp_path / "edited.tsv"
    path.write_text("\n".join([title, header, *edited, "gone.nii.gz\tscan\t\t\t\t\tT1w"]) + "\n")
    second = import_bids(source, out, decisions=read_decisions(path))
    assert list(second.subjects) == ["sub-a"] and list(second["sub-a"].images) == ["T1ce", "FLAIR"]
    assert second["sub-a"].annotation and _same(second["sub-a"].images["T1ce"], source / scan)
    assert not (out / "sub-b").exists()
    rows = _rows(second)
    assert (
        rows[scan].decision == "T1ce" and "person" in rows[scan].evidence and "no longer" in rows["gone.nii.gz"].reason
    )
    with raises_three_lines(ParameterError, "sources.tsv", "--decisions"):
        import_bids(source, out)
    third = import_bids(source, out, decisions={})
    assert list(third.subjects) == ["sub-a", "sub-b"] and third["sub-a"].annotation is None
    assert not image_path(out, "sub-a", "T1ce").exists()


def test_a_subject_whose_files_changed_is_imported_again(source, tmp_path):
    import_bids(source, tmp_path / "out")
    path = _put(source, "sub-a/anat/sub-a_FLAIR.nii.gz", head(99, shape=(17, 18, 12)))
    assert _same(import_bids(source, tmp_path / "out")["sub-a"].images["FLAIR"], path)


def test_of_two_tumour_masks_the_one_on_the_grid_of_a_scan_is_taken(source, tmp_path):
    other = head(3, shape=(20, 18, 12))
    _put(source, "derivatives/a/sub-a/anat/sub-a_label-tumour_mask.nii.gz", lesion(other))
    _put(source, "derivatives/b/sub-a/anat/sub-a_label-tumour_mask.nii.gz", lesion(head()))
    cohort = import_bids(source, tmp_path / "out")
    assert cohort["sub-a"].annotated_on == "FLAIR"
    assert _rows(cohort)["derivatives/b/sub-a/anat/sub-a_label-tumour_mask.nii.gz"].taken_as == "tumour"


def test_a_header_that_contradicts_itself_is_left_out_with_the_way_out(source, tmp_path):
    scan = head(5)
    scan.set_sform(np.diag([1, 1, 1, 1.0]), 1)
    scan.set_qform(scan.affine * 0 + np.diag([2, 2, 3, 1.0]), 1)
    _put(source, "sub-a/anat/sub-a_FLAIR.nii.gz", scan)
    cohort = import_bids(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-b"] and "--trust" in cohort.excluded.reason[0]
    trusted = import_bids(source, tmp_path / "out", trust="qform")["sub-a"].images["FLAIR"]
    assert load_image(trusted).header.get_zooms() == (2, 2, 3)


def test_a_subject_of_links_to_nothing_says_so(source, tmp_path):
    (source / "sub-c/anat").mkdir(parents=True)
    (source / "sub-c/anat/sub-c_T1w.nii.gz").symlink_to("../none")
    (reason,) = import_bids(source, tmp_path / "out").excluded.reason
    assert "received none; sub-c/anat/sub-c_T1w.nii.gz is a broken link" in reason


@pytest.mark.parametrize(("before", "after"), [("ses-pre-op", "ses-post-op"), ("ses-1_preop", "ses-1_postop")])
def test_sessions_with_odd_names_are_never_mixed(tmp_path, before, after):
    source = tmp_path / "in"
    for session in (before, after):
        _put(source, f"sub-1/{session}/anat/sub-1_{session}_FLAIR.nii.gz")
    _put(source, f"sub-1/{after}/anat/sub-1_{after}_T1w.nii.gz")
    _put(source, f"derivatives/seg/sub-1/{before}/anat/sub-1_{before}_label-tumour_mask.nii.gz", lesion(head()))
    cohort = import_bids(source, tmp_path / "out")
    assert list(cohort["sub-1"].images) == ["FLAIR"] and cohort["sub-1"].annotation
    assert before in _taken(cohort, "FLAIR")
    assert list(import_bids(source, tmp_path / "other", session=after)["sub-1"].images) == ["T1w", "FLAIR"]


def _taken(cohort, contrast):
    """The file that a scan was taken from."""
    (source,) = cohort.ledger[cohort.ledger.taken_as == contrast].source
    return source


@pytest.mark.parametrize(
    "place",
    [
        "sub-a/anat/sub-b_T1w.nii.gz",
        "sub-a/post/anat/sub-a_T1w.nii.gz",
        "sub-a/anat/c1sub-a_T1w.nii.gz",
        "siteB/sub-a/anat/sub-a_T1w.nii.gz",
        ".trash/sub-a/anat/sub-a_T1w.nii.gz",
        "preprocessed/sub-a/anat/sub-a_T1w.nii.gz",
        "Derivatives/x/sub-a/anat/sub-a_desc-preproc_T1w.nii.gz",
        "sub-a/anat/sub-a_T1w.nii.bz2",
    ],
)
def test_what_lies_or_is_called_unlike_bids_is_never_taken_and_said(source, tmp_path, place):
    path = _put(source, "x.nii.gz")
    (source / place).parent.mkdir(parents=True, exist_ok=True)
    path.rename(source / place)
    cohort = import_bids(source, tmp_path / "out")
    assert list(cohort["sub-a"].images) == ["FLAIR"] and _rows(cohort)[place].reason


def test_plain_names_come_before_those_with_more_parts(tmp_path):
    for name in ("acq-lowres_T1w", "T1w", "rec-x_T1w"):
        _put(tmp_path / "in", f"sub-1/anat/sub-1_{name}.nii.gz")
    cohort = import_bids(tmp_path / "in", tmp_path / "out")
    assert _taken(cohort, "T1w") == "sub-1/anat/sub-1_T1w.nii.gz"


def test_the_scan_on_whose_grid_the_mask_lies_is_taken(tmp_path):
    fine = head(4, shape=(20, 22, 14))
    _put(tmp_path / "in", "sub-1/anat/sub-1_T2w.nii.gz")
    _put(tmp_path / "in", "sub-1/anat/sub-1_acq-fine_T2w.nii.gz", fine)
    _put(tmp_path / "in", "derivatives/x/sub-1/anat/sub-1_label-tumour_mask.nii.gz", lesion(fine))
    cohort = import_bids(tmp_path / "in", tmp_path / "out")
    assert "acq-fine" in _taken(cohort, "T2w")
    assert "its grid" in _rows(cohort)["sub-1/anat/sub-1_T2w.nii.gz"].reason


def test_a_mask_without_a_session_goes_to_the_session_it_names_or_asks(tmp_path):
    for session in ("ses-1", "ses-2"):
        _put(tmp_path / "in", f"sub-1/{session}/anat/sub-1_{session}_T2w.nii.gz")
    mask = "derivatives/x/sub-1/anat/sub-1_label-tumour_mask.nii.gz"
    _put(tmp_path / "in", mask, lesion(head()))
    asked = import_bids(tmp_path / "in", tmp_path / "asked")
    assert asked["sub-1"].annotation is None and "of which of 2 sessions" in _rows(asked)[mask].reason
    _put(tmp_path / "in", mask, lesion(head()), {"Sources": ["bids::sub-1/ses-2/anat/sub-1_ses-2_T2w.nii.gz"]})
    named = import_bids(tmp_path / "in", tmp_path / "named")
    assert named["sub-1"].annotation and "ses-2" in _taken(named, "T2w")


def test_a_mask_drawn_anew_or_a_sidecar_changed_is_taken_anew(source, tmp_path):
    mask, scan = lesion(head()), head()
    place = "derivatives/x/sub-a/anat/sub-a_label-tumour_mask.nii"
    _put(source, place, mask)
    import_bids(source, tmp_path / "out")
    more = mask.get_fdata().astype(np.uint8)
    more[2, 2, 2] = 1
    _put(source, place, new_image_like(more, scan), {"AnnotatedSlices": [2, 5]})
    subject = import_bids(source, tmp_path / "out")["sub-a"]
    assert np.asarray(load_mask(subject.annotation).dataobj).sum() == more.sum()
    assert subject.annotated_slices == (2, 5)


@pytest.mark.parametrize("notes", [["a"], {"EchoTime": ["x", {}]}, {"SeriesDescription": {"a": []}}, {"Sources": 3}])
def test_whatever_one_sidecar_holds_others_are_imported(source, tmp_path, notes):
    _put(source, "sub-a/anat/sub-a_T1w.nii.gz", notes=notes)
    assert "sub-b" in import_bids(source, tmp_path / "out").subjects


def test_a_damaged_sidecar_leaves_the_contrast_of_a_t1_open(source, tmp_path):
    _put(source, "sub-a/anat/sub-a_T1w.nii.gz")
    (source / "sub-a/anat/sub-a_T1w.json").write_text('{"ContrastBolusAgent": "Gadovist",}')
    cohort = import_bids(source, tmp_path / "out")
    assert list(cohort["sub-a"].images) == ["FLAIR"]
    assert "sub-a_T1w.json" in _rows(cohort)["sub-a/anat/sub-a_T1w.nii.gz"].reason


def test_a_mask_that_is_called_a_scan_leaves_its_subject_out(source, tmp_path):
    _put(source, "sub-a/anat/sub-a_T1w.nii.gz", lesion(head()))
    cohort = import_bids(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-b"] and "2 different values" in cohort.excluded.reason[0]


def test_a_file_called_tumour_can_be_decided_to_be_one(source, tmp_path):
    _put(source, "derivatives/x/sub-a/anat/sub-a_growth.nii.gz", lesion(head()))
    place = "derivatives/x/sub-a/anat/sub-a_growth.nii.gz"
    cohort = import_bids(source, tmp_path / "out", decisions={(place, "scan"): "tumour"})
    assert cohort["sub-a"].annotated_on == "FLAIR" and _rows(cohort)[place].taken_as == "tumour"


def test_an_empty_tumour_mask_is_said(source, tmp_path):
    empty = new_image_like(np.zeros(head().shape, np.uint8), head())
    _put(source, "derivatives/x/sub-a/anat/sub-a_label-tumour_mask.nii.gz", empty)
    assert "empty" in import_bids(source, tmp_path / "out").repaired.repair[0]


def test_a_mask_that_names_another_scan_than_its_grid_says_so(tmp_path):
    _put(tmp_path / "in", "sub-1/anat/sub-1_T2w.nii.gz", head(4, shape=(20, 22, 14)))
    _put(tmp_path / "in", "sub-1/anat/sub-1_FLAIR.nii.gz")
    _put(tmp_path / "in", "derivatives/x/sub-1/anat/sub-1_space-T2w_label-tumour_mask.nii.gz", lesion(head()))
    cohort = import_bids(tmp_path / "in", tmp_path / "out")
    assert cohort["sub-1"].annotated_on == "FLAIR" and "names T2w" in cohort.repaired.repair[0]
    _put(tmp_path / "in", "sub-1/anat/sub-1_T2w.nii.gz")
    assert import_bids(tmp_path / "in", tmp_path / "two")["sub-1"].annotated_on == "T2w"


def test_a_mask_stored_the_other_way_round_is_turned_and_it_is_said(source, tmp_path):
    mask = lesion(head()).get_fdata().astype(np.uint8)
    mask[2, 3, 4] = 1
    straight = new_image_like(mask, head())
    turned = nib.as_closest_canonical(straight).as_reoriented([[0, -1], [1, 1], [2, 1]])
    _put(source, "derivatives/x/sub-a/anat/sub-a_label-tumour_mask.nii.gz", turned)
    cohort = import_bids(source, tmp_path / "out")
    assert np.array_equal(load_mask(cohort["sub-a"].annotation).get_fdata(), mask)
    assert "turned" in cohort.repaired.repair[0]
