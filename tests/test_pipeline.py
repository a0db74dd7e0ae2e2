"""The whole of preprocessing: known truth is met, bad subjects are left out by name, finished work is kept."""

import os
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.cohort import open_cohort
from epitome_kit.errors import CohortError, collect_warnings
from epitome_kit.files import read_json, read_tsv, write_json
from epitome_kit.images import load_image, mark_voxel_size_unknown, new_image_like, save_image, voxel_size_known
from epitome_kit.preprocess.pipeline import (
    QUALITY,
    SPACE,
    Preprocessed,
    assign_nominal_voxel_size,
    preprocess_cohort,
    registration_error_mm,
)
from epitome_kit.preprocess.quality import REMARKS
from epitome_kit.preprocess.registration import load_template, template_grid

UNUSABLE = {
    "sub-001": "NaN",
    "sub-002": "every voxel equal to 0",
    "sub-003": "mask on the grid of its scan",
    "sub-004": "readable scan",
    "sub-005": "3-D image",
}
"""What is done to five of the eight subjects, and a word of the reason that is given."""


def _change(path, change):
    """Replace a scan by what `change` makes of its voxels."""
    image = load_image(path, check_voxels=False)
    save_image(change(image), path)


def _break_five(cohort):
    t2 = {name: cohort[name].images["T2w"] for name in UNUSABLE}
    _change(t2["sub-001"], lambda image: new_image_like(np.full(image.shape, np.nan, np.float32), image))
    _change(t2["sub-002"], lambda image: new_image_like(np.zeros(image.shape, np.int16), image))
    _change(cohort["sub-003"].annotation, lambda mask: mask.slicer[1:])
    t2["sub-004"].write_bytes(t2["sub-004"].read_bytes()[:5000])
    _change(t2["sub-005"], lambda image: nib.Nifti1Image(np.stack([image.get_fdata()] * 2, -1), image.affine))


def _contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def broken(phantom, preprocessed, tmp_path_factory):
    """A copy of the phantom that was fine once; then five scans broke and one was replaced by a louder one."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(phantom.root, folder / "cohort")
    shutil.copytree(preprocessed, folder / "out")
    cohort = open_cohort(folder / "cohort")
    _break_five(cohort)
    _change(cohort["sub-007"].images["T2w"], lambda scan: new_image_like(scan.get_fdata(dtype=np.float32) * 2, scan))
    before = _contents(folder / "out")
    return cohort, folder / "out", before, preprocess_cohort(cohort, folder / "out", spacing_mm=4.0)


@pytest.fixture(scope="module")
def sizeless(phantom, tmp_path_factory):
    """One subject whose origin lost the voxel size and had brought the contrasts together."""
    folder = tmp_path_factory.mktemp("sizeless")
    shutil.copytree(phantom.root, folder / "cohort", ignore=shutil.ignore_patterns("sub-00[2-8]", "truth"))
    cohort = open_cohort(folder / "cohort")
    subject = cohort["sub-001"]
    data = load_image(subject.images["T2w"]).get_fdata(dtype=np.float32)[::-1, ::-1]
    drawn = load_image(subject.annotation).get_fdata(dtype=np.float32)[::-1, ::-1]
    sizes = {subject.images["T2w"]: data, subject.images["T1ce"]: np.sqrt(data), subject.annotation: drawn}
    for path, voxels in sizes.items():
        save_image(mark_voxel_size_unknown(nib.Nifti1Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]))), path)
    for path in subject.images.values():
        write_json(path.with_suffix("").with_suffix(".json"), {"CoregisteredAtOrigin": True})
    quality = preprocess_cohort(cohort, folder / "out", spacing_mm=4.0)
    return subject, Preprocessed(folder / "out", "sub-001"), quality


def test_the_truth_is_met(phantom, preprocessed):
    quality = read_tsv(preprocessed / "quality.tsv")
    assert list(quality.columns) == ["participant_id", *QUALITY, *REMARKS]
    assert list(quality.participant_id) == list(phantom.subjects)
    assert quality.brain_mask_dice.mean() >= 0.95
    assert quality.bias_residual_sd.mean() < 0.035, "the raw fields have 0.10"
    assert quality.registration_error_mm.max() < 2.5, "no head goes astray, and every one is off by about 1 mm"
    assert quality.brain_volume_ml.between(1000, 2100).all()
    assert read_tsv(preprocessed / "excluded.tsv").empty
    assert set(quality.taken_as) == {"head"} and quality.warnings.isna().all()


def test_every_scan_arrives_on_the_template_grid_and_scale(phantom, preprocessed):
    affine, shape = template_grid(4.0)
    for name in phantom.subjects:
        files = Preprocessed(preprocessed, name)
        brain = load_image(files.mask("desc-brain")).get_fdata() > 0
        for contrast in phantom.contrasts:
            scan = load_image(files.scan(contrast))
            assert scan.shape == shape and np.allclose(scan.affine, affine)
            assert np.median(scan.get_fdata()[brain]) == pytest.approx(0, abs=1e-3)
            assert not scan.get_fdata()[~brain].any()


def test_the_brain_arrives_on_the_template_brain(preprocessed):
    template = load_template()[1]
    for path in preprocessed.glob(f"sub-*/anat/*_space-{SPACE}_desc-brain_mask.nii.gz"):
        found = load_image(path)
        points = nib.affines.apply_affine(found.affine, np.argwhere(found.get_fdata() > 0))
        index = np.round(nib.affines.apply_affine(np.linalg.inv(template.affine), points)).astype(int)
        assert template.get_fdata()[tuple(index.T)].mean() > 0.85


def test_the_tumour_arrives_in_the_slab_that_was_annotated(phantom, preprocessed):
    for name in phantom.subjects:
        files = Preprocessed(preprocessed, name)
        tumour, seen = (load_image(files.mask(kind)).get_fdata() > 0 for kind in ("label-tumour", "desc-annotated"))
        assert tumour.any() and (tumour & ~seen).sum() <= 0.02 * tumour.sum()
        assert 0.02 < seen.mean() < 0.2, "three slices of 4 mm, tilted"


def test_contrasts_are_brought_together(phantom, preprocessed):
    errors = []
    for subject in phantom:
        files = Preprocessed(preprocessed, subject.id)
        t1, t2 = (np.loadtxt(files.transform(name)) for name in ("T1ce", "T2w"))
        truth = np.loadtxt(subject.truth / f"{subject.id}_from-T1ce_to-T2w_mode-image_xfm.txt")
        brain = load_image(subject.truth / f"{subject.id}_space-T2w_desc-brain_mask.nii.gz")
        errors.append(registration_error_mm(np.linalg.inv(t2) @ t1, truth, brain))
    assert np.mean(errors) < 1.0 and max(errors) < 2.0, "mm, at voxels of 4 mm"


def test_a_second_call_changes_no_byte(phantom, preprocessed):
    before = {path: found for path, found in _contents(preprocessed).items() if "sub-" in path.parts[-1]}
    first = read_tsv(preprocessed / "quality.tsv")
    again = preprocess_cohort(phantom, preprocessed, spacing_mm=4.0)
    assert again.equals(first)
    assert {path: found for path, found in _contents(preprocessed).items() if path in before} == before
    assert read_tsv(preprocessed / "quality.tsv").equals(first)


@pytest.mark.slow
def test_what_is_doubtful_stands_in_the_record_and_in_the_table(phantom, tmp_path):
    """The upper half of a head, with two voxels gone wild; and a FLAIR that shows little of the brain."""
    shutil.copytree(phantom.root, tmp_path / "cohort", ignore=shutil.ignore_patterns("sub-00[2-8]", "truth"))
    cohort = open_cohort(tmp_path / "cohort")
    subject = replace(cohort["sub-001"], annotation=None, annotated_on="T2w", annotated_slices=None, truth=None)
    scan = load_image(subject.images["T2w"])
    data = scan.get_fdata(dtype=np.float32)
    data[30, 30, 30:32] = 1e7
    save_image(nib.Nifti1Image(data, scan.affine).slicer[:, :, scan.shape[2] // 2 :], subject.images["T2w"])
    _change(subject.images["T1ce"], lambda image: image.slicer[:, :, : image.shape[2] // 2])
    one = replace(cohort, subjects={"sub-001": subject})
    (row,) = preprocess_cohort(one, tmp_path / "out", spacing_mm=8.0).itertuples()
    files = Preprocessed(tmp_path / "out", "sub-001")
    assert row.warnings == " ".join(files.warnings) and row.taken_as == "head"
    assert "T2w: 2 voxels lie far away" in row.warnings and "T2w: The brain reaches the bottom edge" in row.warnings
    assert "T1ce: the scan shows" in row.warnings


def test_a_copy_without_its_times_is_not_computed_again_and_what_is_says_why(
    phantom, preprocessed, tmp_path, monkeypatch
):
    def computed(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("epitome_kit.preprocess.pipeline.preprocess_subject", computed)
    shutil.copytree(preprocessed, tmp_path / "out", copy_function=shutil.copyfile)
    for path in tmp_path.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    records = [Preprocessed(tmp_path / "out", name).record for name in phantom.subjects]
    with collect_warnings() as remarks:
        quality = preprocess_cohort(phantom, tmp_path / "out", spacing_mm=4.0)
    assert len(quality) == 8 and not remarks and all(path.stat().st_mtime_ns == 1 for path in records)
    records[0].write_text('{"settings": ')
    write_json(records[1], {"settings": {**read_json(records[1])["settings"], "inputs": "00"}, "quality": {}})
    Preprocessed(tmp_path / "out", "sub-003").scan("T2w").unlink()
    with collect_warnings() as remarks:
        quality = preprocess_cohort(phantom, tmp_path / "out", spacing_mm=4.0)
    assert len(quality) == 5 and len(remarks) == 1 and "3 of 8 computed again" in remarks[0]
    with collect_warnings() as remarks, pytest.raises(CohortError):
        preprocess_cohort(phantom, tmp_path / "out", spacing_mm=5.0)
    assert remarks == ["preprocess_cohort: 5 of 8 computed again: spacing_mm was 4.0, is 5.0"]


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_bad_subject_is_left_out_by_name_and_reason(broken, name):
    _, out, _, quality = broken
    excluded = read_tsv(out / "excluded.tsv").set_index("id")
    assert list(excluded.index) == list(UNUSABLE)
    assert UNUSABLE[name] in excluded.reason[name] and "\n" not in excluded.reason[name]
    assert name not in set(quality.participant_id)


def test_a_subject_that_broke_since_no_longer_counts_as_done(broken):
    _, out, _, _ = broken
    assert [name for name in UNUSABLE if Preprocessed(out, name).record.is_file()] == []


def test_the_rest_goes_on(broken):
    _, out, before, quality = broken
    assert list(quality.participant_id) == ["sub-006", "sub-007", "sub-008"]
    after = _contents(out)
    kept = [path for path in before if "sub-006" in path.name or "sub-008" in path.name]
    assert kept and all(after[path] == before[path] for path in kept)


def test_a_scan_that_changed_is_done_again(broken, preprocessed):
    _, out, before, quality = broken
    after = _contents(out)
    changed = [path for path in before if "sub-007" in path.name]
    assert changed and all(after[path][1] > before[path][1] for path in changed)
    old, new = (read_json(Preprocessed(folder, "sub-007").record) for folder in (preprocessed, out))
    assert old["inputs"].keys() == new["inputs"].keys() and old["settings"] == new["settings"]
    assert [name for name in old["inputs"] if old["inputs"][name] != new["inputs"][name]] == ["sub-007_T2w.nii.gz"]
    scans = (load_image(Preprocessed(folder, "sub-007").scan("T2w")).get_fdata() for folder in (preprocessed, out))
    assert np.corrcoef(*(scan.ravel() for scan in scans))[0, 1] > 0.98, "only the gain was another"


def test_a_scan_that_is_gone_leaves_its_subject_out(phantom, preprocessed, tmp_path):
    shutil.copytree(phantom.root, tmp_path / "cohort")
    shutil.copytree(preprocessed, tmp_path / "out")
    cohort = open_cohort(tmp_path / "cohort")
    cohort["sub-002"].images["T2w"].unlink()
    quality = preprocess_cohort(cohort, tmp_path / "out", spacing_mm=4.0)
    assert list(read_tsv(tmp_path / "out" / "excluded.tsv").id) == ["sub-002"]
    assert list(quality.participant_id) == [name for name in cohort.subjects if name != "sub-002"]


def test_nothing_usable_is_three_lines(broken):
    cohort, out, _, _ = broken
    few = replace(cohort, subjects={"sub-001": cohort["sub-001"]})
    with raises_three_lines(CohortError, "1 of 1 excluded", "sub-001", "excluded.tsv"):
        preprocess_cohort(few, out.parent / "none")


def test_without_a_voxel_size_no_volume_is_told(sizeless):
    _, files, quality = sizeless
    assert quality.brain_volume_ml.isna().all() and quality.registration_error_mm.isna().all()
    assert "n/a" in (files.folder / "quality.tsv").read_text()
    mask = load_image(files.mask("desc-brain", space="T2w"))
    assert not voxel_size_known(mask) and nib.affines.voxel_sizes(mask.affine) == pytest.approx([1, 1, 1])


def test_without_a_voxel_size_the_brain_is_still_found_and_placed(sizeless, phantom):
    _, files, _ = sizeless
    truth = load_image(phantom["sub-001"].truth / "sub-001_space-T2w_desc-brain_mask.nii.gz")
    truth = truth.get_fdata()[::-1, ::-1] > 0
    found = load_image(files.mask("desc-brain", space="T2w")).get_fdata() > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.85
    size = load_image(files.mask("desc-brain")).get_fdata().sum() * 4**3 / 1000
    assert 1400 < size < 2100, "mL on the template, whose brain has 1830"


def test_contrasts_that_the_origin_brought_together_are_left_together(sizeless):
    _, files, _ = sizeless
    assert np.array_equal(*(np.loadtxt(files.transform(name)) for name in ("T1ce", "T2w")))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SRA"])
def test_a_nominal_size_is_that_of_a_head_whichever_way_it_is_stored(codes):
    data = np.zeros((64, 32, 20), np.float32)
    plain = nib.Nifti1Image(data, np.eye(4))
    ornt = nib.orientations.ornt_transform(nib.io_orientation(plain.affine), nib.orientations.axcodes2ornt(codes))
    turned = plain.as_reoriented(ornt)
    assert assign_nominal_voxel_size(turned) is turned, "a known size is respected"
    sized = assign_nominal_voxel_size(mark_voxel_size_unknown(turned))
    assert not voxel_size_known(sized) and nib.aff2axcodes(sized.affine) == tuple(codes)
    corners = nib.affines.apply_affine(sized.affine, [np.zeros(3), np.array(sized.shape) - 1])
    extent = np.abs(np.diff(corners, axis=0))[0]
    n = np.array([64, 32, 20])
    assert extent == pytest.approx(np.array([240, 240, 145]) * (n - 1) / n)
    assert corners.mean(0) == pytest.approx(np.zeros(3), abs=1e-9)


def test_the_registration_error_is_a_mean_distance():
    mask = nib.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.diag([2, 2, 2, 1]))
    shift = nib.affines.from_matvec(np.eye(3), (3, 4, 0))
    assert registration_error_mm(shift, np.eye(4), mask) == pytest.approx(5)
    grown = np.diag([1.5, 1, 1, 1])
    assert registration_error_mm(grown, np.eye(4), mask) == pytest.approx(2), "half of 0, 2, 4, 6, 8 on average"
