"""Alarms on scans of people: none on whole heads, and few cut or spoiled ones pass."""

import numpy as np
import pytest
from spoiled_heads import CUT, FINE, SPOILED, TURNED, spoil

from epitome_kit.errors import ImageError
from epitome_kit.images import load_image, load_mask, new_image_like
from epitome_kit.metrics import dice
from epitome_kit.preprocess.skull_stripping import skull_strip, strip_with_warnings
from epitome_kit.preprocess.subject import assign_nominal_voxel_size
from epitome_kit.sources.tcga_lgg import import_tcga_lgg


@pytest.fixture(scope="module")
def whole(real_data):
    """A research scan, and its brain as others stripped it."""
    scan = load_image(real_data / "itk-head" / "t1.nii.gz")
    brain = np.asarray(load_mask(real_data / "itk-head" / "t1_stripped.nii.gz", labels="all").dataobj)
    return scan, new_image_like(brain, scan)


@pytest.mark.soak
def test_at_most_one_of_51_patients_raises_an_alarm(real_data, tmp_path):
    cohort = import_tcga_lgg(real_data / "tcga-lgg-slices", tmp_path / "cohort", workers=2)
    said = {}
    for subject in cohort:
        scan = assign_nominal_voxel_size(load_image(subject.images["FLAIR"]))
        said[subject.id] = strip_with_warnings(scan)
        assert said[subject.id].taken_as == "head"
    alarms = {name: stripped.warnings for name, stripped in said.items() if stripped.warnings}
    assert len(said) == 51 and len(alarms) <= 1, alarms


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("contrast", ["t1", "t1c", "t2", "flair"])
def test_a_clinical_exam_raises_none(real_data, contrast):
    skull_strip(real_data / "tcga-fg-6692" / f"{contrast}.nii.gz")


@pytest.mark.soak
def test_nine_in_ten_cut_spoiled_or_turned_heads_are_noticed_or_stripped_rightly(whole):
    missed, kinds = [], [*CUT, *SPOILED, *TURNED]
    for kind in kinds:
        scan, brain = spoil(kind, *whole)
        try:
            stripped = strip_with_warnings(scan)
        except ImageError:
            continue
        overlap = dice(np.asarray(stripped.mask.dataobj) > 0, np.asarray(brain.dataobj) > 0)
        if not stripped.warnings and overlap < 0.9:
            missed.append(kind)
    assert len(missed) <= len(kinds) / 10, missed


@pytest.mark.parametrize("kind", [kind for kind in FINE if kind != "whole"])
def test_what_is_right_raises_none(whole, kind):
    scan, brain = spoil(kind, *whole)
    stripped = strip_with_warnings(scan)
    assert stripped.warnings == ()
    assert dice(np.asarray(stripped.mask.dataobj) > 0, np.asarray(brain.dataobj) > 0) > 0.93
