"""A user's BIDS folder: what is adopted, what is left out by name, what is refused."""

import json

import nibabel as nib
import numpy as np
import pytest
from tiny import head, lesion, raises_three_lines, write_cohort

from epitome_kit.cohort import image_path
from epitome_kit.errors import CohortError, OutputError, ParameterError
from epitome_kit.files import read_json
from epitome_kit.images import load_image, load_mask, new_image_like, save_image
from epitome_kit.sources.bids import import_bids


def _anat(source, subject, name, image=None, *, session=""):
    """Put a scan into a BIDS folder under a name without its `sub-` part."""
    folder = source / subject / session / "anat"
    between = f"{subject}_{session}_" if session else f"{subject}_"
    path = folder / f"{between}{name}"
    save_image(image or head(sum(map(ord, subject + name))), path)
    return path


def _mask(source, subject, name="label-lesion_mask.nii.gz", image=None, *, derivative="manual", notes=None):
    path = source / "derivatives" / derivative / subject / "anat" / f"{subject}_{name}"
    save_image(image or lesion(head()), path)
    if notes:
        path.with_name(path.name.split(".nii")[0] + ".json").write_text(json.dumps(notes))
    return path


def _participants(source, text):
    (source / "participants.tsv").write_text(text.replace(" ", "\t"))


@pytest.fixture
def source(tmp_path):
    """Three sound subjects with T1w and FLAIR, two with a mask."""
    folder = tmp_path / "mine"
    for subject in ("sub-1", "sub-2", "sub-3"):
        _anat(folder, subject, "T1w.nii.gz")
        _anat(folder, subject, "FLAIR.nii.gz")
    _mask(folder, "sub-1")
    _mask(folder, "sub-2")
    _participants(folder, "participant_id grade 1p/19q sex\nsub-1 II n/n M\nsub-2 3 d/d female\nsub-3 2 n/a f\n")
    return folder


def _left_out(cohort):
    return dict(cohort.excluded.to_numpy().tolist())


def test_a_sound_folder_is_adopted_whole(source, tmp_path):
    cohort = import_bids(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-1", "sub-2", "sub-3"] and cohort.excluded.empty
    assert cohort.contrasts == ("T1w", "FLAIR")
    assert cohort.participants.grade.tolist() == [2, 3, 2]
    assert cohort.participants.codeletion.tolist()[:2] == ["intact", "codeleted"]
    assert cohort.participants.sex.tolist() == ["M", "F", "F"]
    assert [bool(subject.annotation) for subject in cohort] == [True, True, False]
    assert cohort["sub-1"].annotated_on == "FLAIR"
    for subject in cohort:
        for contrast, path in subject.images.items():
            original = source / subject.id / "anat" / f"{subject.id}_{contrast}.nii.gz"
            assert path.read_bytes() == original.read_bytes()


def test_a_cohort_of_the_kit_is_adopted_as_it_is(tmp_path):
    first = write_cohort(tmp_path / "first")
    second = import_bids(first, tmp_path / "second")
    assert second.contrasts == ("T1ce", "FLAIR")
    assert {subject.annotated_on for subject in second} == {"T1ce"}
    assert second.labels("grade").tolist() == [0, 1, 0, 1]


def test_files_are_copied_byte_for_byte_and_never_linked(source, tmp_path):
    original = source / "sub-1" / "anat" / "sub-1_T1w.nii.gz"
    copied = import_bids(source, tmp_path / "copied")["sub-1"].images["T1w"]
    assert not copied.samefile(original) and copied.read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("ce-gadolinium_T1w.nii.gz", "T1ce"),
        ("acq-mprage_ce-Gd_run-2_T1w.nii.gz", "T1ce"),
        ("acq-tse_T2w.nii.gz", "T2w"),
        ("rec-norm_run-01_FLAIR.nii.gz", "FLAIR"),
        ("T1w.nii", "T1w"),
    ],
)
def test_names_with_more_entities_are_understood(tmp_path, name, contrast):
    scan = head(5)
    _anat(tmp_path / "in", "sub-a", name, scan)
    cohort = import_bids(tmp_path / "in", tmp_path / "out")
    assert list(cohort["sub-a"].images) == [contrast]
    assert cohort["sub-a"].images[contrast] == image_path(tmp_path / "out", "sub-a", contrast)
    assert np.array_equal(load_image(cohort["sub-a"].images[contrast]).get_fdata(), scan.get_fdata())
    taken = cohort.ledger[cohort.ledger.taken_as == contrast]
    assert taken.source.tolist() == [f"sub-a/anat/sub-a_{name}"]


@pytest.mark.parametrize("name", ["T2star.nii.gz", "ce-gd_FLAIR.nii.gz", "part-phase_T1w.nii.gz", "desc-x_mask.nii.gz"])
def test_other_scans_are_not_taken_for_one_of_the_four(tmp_path, name):
    _anat(tmp_path / "in", "sub-a", name)
    _anat(tmp_path / "in", "sub-a", "T2w.nii.gz")
    assert list(import_bids(tmp_path / "in", tmp_path / "out")["sub-a"].images) == ["T2w"]


def test_the_first_run_and_the_first_session_are_taken(tmp_path):
    wanted = head(1)
    for session, run, scan in (("ses-b", 1, head(2)), ("ses-a", 2, head(3)), ("ses-a", 1, wanted)):
        _anat(tmp_path / "in", "sub-a", f"run-{run}_T2w.nii.gz", scan, session=session)
    image = load_image(import_bids(tmp_path / "in", tmp_path / "out")["sub-a"].images["T2w"])
    assert np.array_equal(image.get_fdata(), wanted.get_fdata())


def test_the_sidecar_of_a_scan_comes_along(source, tmp_path):
    (source / "sub-1" / "anat" / "sub-1_T1w.json").write_text('{"EchoTime": 0.003, "CoregisteredAtOrigin": true}')
    (source / "sub-2" / "anat" / "sub-2_FLAIR.json").write_text("{damaged")
    cohort = import_bids(source, tmp_path / "out")
    scans = cohort["sub-1"].images["T1w"], cohort["sub-2"].images["FLAIR"]
    sidecars = [read_json(path.with_suffix("").with_suffix(".json")) for path in scans]
    assert sidecars[0]["EchoTime"] == 0.003 and sidecars[0]["CoregisteredAtOrigin"] is True
    assert set(sidecars[1]) == {"ImportedTogether"}


def test_a_mask_goes_to_the_scan_that_it_names(source, tmp_path):
    notes = {"Sources": ["bids:raw:sub-1/anat/sub-1_T1w.nii.gz"], "AnnotatedSlices": [5, 6]}
    _mask(source, "sub-1", notes=notes)
    subject = import_bids(source, tmp_path / "out")["sub-1"]
    assert subject.annotated_on == "T1w" and subject.annotated_slices == (5, 6)


def test_a_mask_goes_to_the_scan_on_its_grid(source, tmp_path):
    other = head(7, shape=(10, 11, 12))
    _anat(source, "sub-1", "T1w.nii.gz", other)
    _mask(source, "sub-1", image=lesion(other))
    subject = import_bids(source, tmp_path / "out")["sub-1"]
    assert subject.annotated_on == "T1w"
    assert np.asarray(load_mask(subject.annotation).dataobj).sum() == 27


@pytest.mark.parametrize("name", ["desc-brain_mask.nii.gz", "label-WM_mask.nii.gz", "desc-headmask_mask.nii.gz"])
def test_a_mask_of_something_else_is_no_tumour(source, tmp_path, name):
    _mask(source, "sub-3", name)
    assert import_bids(source, tmp_path / "out")["sub-3"].annotation is None


@pytest.mark.parametrize("name", ["mask.nii.gz", "desc-segmentation_mask.nii", "space-orig_desc-a_mask.nii.gz"])
def test_a_mask_that_does_not_say_what_it_is_waits_for_an_answer(source, tmp_path, name):
    path = _mask(source, "sub-3", name)
    cohort = import_bids(source, tmp_path / "out")
    (row,) = cohort.ledger[cohort.ledger.source == path.relative_to(source).as_posix()].itertuples()
    assert cohort["sub-3"].annotation is None and row.reason.startswith("cannot tell")
    decided = import_bids(source, tmp_path / "out", decisions={(row.source, "mask"): "tumour"})
    assert decided["sub-3"].annotated_on == "FLAIR"


def test_a_mask_of_another_session_is_not_taken(tmp_path):
    for session in ("ses-1", "ses-2"):
        _anat(tmp_path / "in", "sub-a", "T2w.nii.gz", head(int(session[-1])), session=session)
    _mask(tmp_path / "in", "sub-a", "ses-2_label-lesion_mask.nii.gz")
    assert import_bids(tmp_path / "in", tmp_path / "one", session="1")["sub-a"].annotation is None
    _mask(tmp_path / "in", "sub-a", "ses-1_label-lesion_mask.nii.gz")
    assert import_bids(tmp_path / "in", tmp_path / "two")["sub-a"].annotated_on == "T2w"


def test_a_mask_that_says_tumour_is_preferred(source, tmp_path):
    _mask(source, "sub-3", "desc-a_mask.nii.gz", new_image_like(np.ones(head().shape, np.uint8), head()))
    _mask(source, "sub-3", "desc-tumor_mask.nii")
    mask = load_mask(import_bids(source, tmp_path / "out")["sub-3"].annotation)
    assert np.asarray(mask.dataobj).sum() == 27


def _with(scan, place, value):
    data = scan.get_fdata().astype(np.float32)
    data[place] = value
    return new_image_like(data, scan)


SPOILT = {
    "4-D": (lambda: nib.Nifti1Image(np.random.default_rng(0).random((5, 5, 5, 2)), np.eye(4)), "(5, 5, 5, 2)"),
    "NaN": (lambda: _with(head(), (slice(2), 0, 0), np.nan), "2 of 3456 voxels"),
    "all zero": (lambda: new_image_like(np.zeros(head().shape, np.int16), head()), "every voxel equal to 0"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_scan_that_cannot_be_used_leaves_its_subject_out(source, tmp_path, what):
    make, word = SPOILT[what]
    _anat(source, "sub-2", "T1w.nii.gz", make())
    cohort = import_bids(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-1", "sub-3"] == list(cohort.participants.index)
    assert word in _left_out(cohort)["sub-2"] and "sub-2_T1w.nii.gz" in _left_out(cohort)["sub-2"]
    assert not (cohort.root / "sub-2").exists()


def test_a_truncated_scan_leaves_its_subject_out(source, tmp_path):
    path = source / "sub-2" / "anat" / "sub-2_FLAIR.nii.gz"
    path.write_bytes(path.read_bytes()[:1000])
    cohort = import_bids(source, tmp_path / "out")
    assert list(_left_out(cohort)) == ["sub-2"] and "sub-2_FLAIR.nii.gz" in _left_out(cohort)["sub-2"]


def test_a_mask_on_another_grid_leaves_its_subject_out(source, tmp_path):
    _mask(source, "sub-2", image=lesion(head(shape=(16, 18, 11))))
    reason = _left_out(import_bids(source, tmp_path / "out"))["sub-2"]
    assert "mask on another grid" in reason and "(16, 18, 11)" in reason and "label-lesion_mask" in reason


@pytest.mark.parametrize("slices", [[99], ["5"], 5, None, [-1], [True]])
def test_annotated_slices_that_are_none_leave_the_subject_out(source, tmp_path, slices):
    _mask(source, "sub-2", notes={"AnnotatedSlices": slices})
    assert "AnnotatedSlices" in _left_out(import_bids(source, tmp_path / "out"))["sub-2"]


def test_subjects_without_scans_and_odd_names_are_left_out(source, tmp_path):
    _anat(source, "sub-4_b", "T1w.nii.gz")
    (source / "sub-5" / "anat").mkdir(parents=True)
    with (source / "participants.tsv").open("a") as table:
        table.write("6\t2\tn/n\tF\n")
    cohort = import_bids(source, tmp_path / "out")
    assert len(cohort) == 3 and set(_left_out(cohort)) == {"sub-4_b", "sub-5", "6"}
    assert "letters and digits" in _left_out(cohort)["sub-4_b"]


def test_a_subject_listed_twice_is_merged_or_left_out(source, tmp_path):
    _participants(source, "participant_id grade\nsub-1 2\nsub-1 2\nsub-2 2\nsub-2 3\nsub-3 3\n")
    cohort = import_bids(source, tmp_path / "out")
    assert cohort.participants.grade.to_dict() == {"sub-1": 2, "sub-3": 3}
    assert "rows that differ" in _left_out(cohort)["sub-2"]


def test_without_a_table_there_are_no_labels(source, tmp_path):
    (source / "participants.tsv").unlink()
    cohort = import_bids(source, tmp_path / "out")
    assert len(cohort) == 3 and cohort.participants.grade.isna().all()
    assert "no labels" in (cohort.root / "README.md").read_text()


def test_an_import_goes_on_where_it_stopped(source, tmp_path):
    before = import_bids(source, tmp_path / "out")["sub-1"].images["FLAIR"].stat()
    image_path(tmp_path / "out", "sub-2", "FLAIR").unlink()
    cohort = import_bids(source, tmp_path / "out")
    assert cohort["sub-1"].images["FLAIR"].stat().st_ctime_ns == before.st_ctime_ns
    assert list(cohort["sub-2"].images) == ["T1w", "FLAIR"]


def test_a_subject_that_was_interrupted_is_not_taken_for_finished(source, tmp_path, monkeypatch):
    copies = []

    def interrupted(*paths):
        copies.append(paths)
        raise KeyboardInterrupt

    monkeypatch.setattr("epitome_kit.sources.bids._adopt", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_bids(source, tmp_path / "out")
    monkeypatch.undo()
    assert len(copies) == 1
    assert list(import_bids(source, tmp_path / "out")["sub-1"].images) == ["T1w", "FLAIR"]


@pytest.mark.parametrize("content", [None, "", "notes.txt", "scan_1.nii.gz", "sub-1/func/sub-1_bold.nii.gz"])
def test_a_source_without_bids_scans_is_three_lines(tmp_path, content):
    source = tmp_path / "in"
    if content is not None:
        source.mkdir()
    if content:
        save_image(head(), source / content) if "nii" in content else (source / content).write_text("")
    word = content if content and "nii" in content else source
    with raises_three_lines(CohortError, word):
        import_bids(source, tmp_path / "out")


def test_when_every_subject_is_bad_it_is_three_lines(tmp_path):
    _anat(tmp_path / "in", "sub-1", "T1w.nii.gz", SPOILT["4-D"][0]())
    with raises_three_lines(CohortError, "sub-1", "(5, 5, 5, 2)", tmp_path / "in"):
        import_bids(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("out", [".", "out", ".."])
def test_output_in_the_source_is_three_lines(source, out):
    with raises_three_lines(ParameterError, source):
        import_bids(source, source / out)


def test_output_with_other_subjects_is_three_lines(source, tmp_path):
    write_cohort(tmp_path / "out", subjects=2)
    with raises_three_lines(OutputError, "sub-01"):
        import_bids(source, tmp_path / "out")


def test_unwritable_output_is_three_lines(source, tmp_path):
    (tmp_path / "file").write_text("")
    with raises_three_lines(OutputError, tmp_path / "file"):
        import_bids(source, tmp_path / "file" / "out")
