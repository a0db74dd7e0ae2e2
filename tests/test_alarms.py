"""Alarms: heads that are cut, spoiled or turned are noticed or stripped rightly; whole ones raise no alarm."""

import nibabel as nib
import numpy as np
import pytest
from ellipsoids import ellipsoid, grid
from spoiled_heads import CUT, FINE, KINDS, NO_HEAD, SPOILED, TURNED, spoil

from epitome_kit.errors import ImageError
from epitome_kit.images import load_image, load_mask, mark_voxel_size_unknown
from epitome_kit.metrics import dice
from epitome_kit.preprocess.alarms import (
    coverage_warnings,
    mask_warnings,
    outlier_warnings,
    template_warnings,
    was_stripped,
)
from epitome_kit.preprocess.skull_stripping import StripWarning, skull_strip, strip_with_warnings

RIGHT = 0.9
"""Dice against what is left of the brain, from which a mask counts as right."""


@pytest.fixture(scope="module")
def whole(phantom):
    """A head that no threshold was set on, and its brain."""
    subject = phantom["sub-003"]
    brain = load_mask(subject.truth / "sub-003_space-T2w_desc-brain_mask.nii.gz")
    return load_image(subject.images["T2w"]), brain


@pytest.fixture(scope="module")
def alarm_outcomes(whole):
    """Warnings and Dice by kind; warnings are the reason where a scan is refused. Printed with `pytest -s`."""
    found = {}
    for kind in KINDS:
        scan, brain = spoil(kind, *whole)
        try:
            stripped = strip_with_warnings(scan)
            overlap = dice(np.asarray(stripped.mask.dataobj) > 0, np.asarray(brain.dataobj) > 0)
            found[kind] = (stripped.warnings, overlap, stripped.taken_as)
        except ImageError as error:
            found[kind] = ((error.reason,), 0.0, "refused")
        print(f"{kind:24}{found[kind][1]:6.2f}  {found[kind][2]:16}{' '.join(found[kind][0])}")
    return found


@pytest.mark.parametrize("group", [CUT, SPOILED, TURNED, NO_HEAD], ids=["cut", "spoiled", "turned", "no head"])
def test_nine_in_ten_of_each_group_are_noticed_or_stripped_rightly(alarm_outcomes, group):
    missed = [kind for kind in group if not alarm_outcomes[kind][0] and alarm_outcomes[kind][1] < RIGHT]
    assert len(missed) <= len(group) / 10, missed


@pytest.mark.parametrize("kind", [name for name in CUT if name.endswith(("35%", "50%"))])
def test_of_a_brain_of_which_half_or_more_is_missing_it_is_said(alarm_outcomes, kind):
    assert alarm_outcomes[kind][0]


@pytest.mark.parametrize("kind", FINE)
def test_what_is_right_raises_no_alarm_and_is_stripped_rightly(alarm_outcomes, kind):
    warnings, overlap, _ = alarm_outcomes[kind]
    assert not warnings and overlap > 0.94


def test_only_a_brain_without_a_head_is_taken_as_stripped_before(alarm_outcomes):
    taken = {kind for kind, (_, _, taken_as) in alarm_outcomes.items() if taken_as == "stripped before"}
    assert {"stripped", "scores", "cut after stripping"} <= taken
    assert not taken - {"stripped", "scores", "cut after stripping", *NO_HEAD}


@pytest.mark.parametrize("kind", ["hot voxel", "cold voxel", "twenty hot voxels", "hot line", "hot cube"])
def test_outliers_change_nothing_and_are_told(alarm_outcomes, kind):
    warnings, overlap, _ = alarm_outcomes[kind]
    assert overlap == pytest.approx(alarm_outcomes["whole"][1], abs=0.003)
    assert len(warnings) == 1 and "far away from all other values" in warnings[0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("top 50%", "bottom edge of the scan"),
        ("left 50%", "right edge of the scan"),
        ("missing slices", "blank"),
        ("sides x 0.75", "adult brains have 900 to 1900 mL"),
        ("sides x 2 1 1", "voxel size may be wrong"),
        ("axes 1 0 2", "axes may be swapped"),
        ("upside down", "top and bottom may be swapped"),
        ("sphere", "hardly any structure"),
        ("only noise", "uncertain"),
    ],
)
def test_it_is_said_what_is_wrong(alarm_outcomes, kind, words):
    assert words in " ".join(alarm_outcomes[kind][0])


def test_a_user_of_the_library_is_warned(whole):
    with pytest.warns(StripWarning, match="edge of the scan"):
        skull_strip(spoil("top 50%", *whole)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_no_simulated_head_raises_an_alarm(phantom):
    for subject in list(phantom)[3:]:
        for path in subject.images.values():
            skull_strip(path)


def test_a_mask_by_another_tool_is_looked_at_as_well(whole):
    scan, brain = whole
    assert mask_warnings(scan, brain) == []
    cut_scan, cut_brain = spoil("back 50%", *whole)
    assert "front edge of the scan" in " ".join(mask_warnings(cut_scan, cut_brain))
    nothing = nib.Nifti1Image(np.zeros(scan.shape, np.uint8), scan.affine)
    assert "smaller than a voxel" in mask_warnings(scan, nothing)[0]


def test_without_a_voxel_size_no_size_is_doubted(whole):
    scan, brain = spoil("sides x 0.75", *whole)
    lost, affine = mark_voxel_size_unknown(scan), brain.affine
    assert "mL" in " ".join(mask_warnings(scan, brain))
    assert mask_warnings(lost, nib.Nifti1Image(np.asarray(brain.dataobj), affine)) == []


def test_a_bare_brain_is_dark_around_and_a_head_is_not():
    shape, affine = grid(spacing=(4.0, 4.0, 4.0), shape=(48, 48, 48))
    brain = ellipsoid(shape, affine, (0, 0, 0), (60, 72, 60))
    scalp = ellipsoid(shape, affine, (0, 0, 0), (76, 88, 76)) & ~ellipsoid(shape, affine, (0, 0, 0), (66, 78, 66))
    probability = brain.astype(np.float32)
    bare, slab = brain * 0.8, (brain * 0.8 + scalp * 0.9)[:, :, 18:30]
    assert was_stripped(nib.Nifti1Image(bare, affine), probability)
    assert not was_stripped(nib.Nifti1Image(slab, affine), probability[:, :, 18:30])


def test_outliers_are_counted():
    assert outlier_warnings(0) == []
    assert outlier_warnings(1)[0].startswith("1 voxel lies far away") and outlier_warnings(7)[0].startswith(
        "7 voxels lie far away"
    )


def test_a_scan_that_shows_a_part_of_the_brain_is_named():
    brain = nib.Nifti1Image(np.ones((10, 10, 10), np.uint8), np.diag([3.0, 3.0, 3.0, 1]))
    scan = nib.Nifti1Image(np.ones((10, 10, 10), np.float32), np.diag([3.0, 3.0, 3.0, 1]))
    half = scan.slicer[:, :, :5]
    assert coverage_warnings({"T1w": (scan, np.eye(4)), "FLAIR": (half, np.eye(4))}, brain) == [
        "FLAIR: the scan shows only 50% of the brain."
    ]


def test_a_poor_fit_to_the_template_is_said():
    assert template_warnings(None) == [] and template_warnings(0.93) == []
    assert "Dice 0.60" in template_warnings(0.6)[0]
