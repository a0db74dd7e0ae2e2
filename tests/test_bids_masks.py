"""Which masks are taken for the tumour: by what their names and sidecars say, never for want of another."""

from pathlib import Path

import pytest
from tiny import head, lesion

from epitome_kit.images import save_image
from epitome_kit.sources.bids_files import find_files
from epitome_kit.sources.bids_masks import Role, choose_masks, label_map_role, mask_role


def _role(tmp_path, place, notes=None):
    save_image(lesion(head()), tmp_path / place)
    (file,), _ = find_files(tmp_path)
    return mask_role(file, notes or {})


@pytest.mark.parametrize(
    "name",
    [
        "label-glioma_mask.nii.gz",
        "label-Tumour_roi.nii",
        "desc-wholeTumor_mask.nii.gz",
        "desc-tumorSeg_probseg.nii.gz",
        "label-WT_mask.nii.gz",
        "label-lesions_desc-brain_mask.nii.gz",
        "desc-brainTumour_seg.nii.gz",
        "T2w_label-lesion_roi.nii.gz",
        "space-T1w_label-GTV_mask.nii.gz",
    ],
)
def test_a_mask_that_says_tumour_is_one(tmp_path, name):
    assert _role(tmp_path, f"derivatives/any/sub-7/anat/sub-7_{name}").kind == "tumour"


@pytest.mark.parametrize(
    "name",
    [
        "label-hippocampus_mask.nii.gz",
        "label-WMH_mask.nii.gz",
        "desc-hdbet_mask.nii.gz",
        "desc-cortex_mask.nii.gz",
        "label-resectionCavity_mask.nii.gz",
        "label-contact_mask.nii.gz",
        "label-R_desc-thalamus_mask.nii.gz",
        "desc-deface_mask.nii.gz",
        "desc-aparcaseg_dseg.nii.gz",
    ],
)
def test_a_mask_that_says_something_else_is_none(tmp_path, name):
    assert _role(tmp_path, f"derivatives/tumour/sub-7/anat/sub-7_{name}").kind == "other"


@pytest.mark.parametrize(
    "name",
    [
        *("label-nontumor_mask", "desc-tumorMasked_mask", "label-lesionFilled_mask", "desc-tumourPlusMargin_mask"),
        *(
            "label-mirroredTumor_mask",
            "desc-exclTumour_mask",
            "label-tumorBed_mask",
            "acq-tumour_mask",
            "tumor_brain_mask",
        ),
    ],
)
def test_a_word_about_a_tumour_is_no_tumour(tmp_path, name):
    assert _role(tmp_path, f"derivatives/any/sub-7/anat/sub-7_{name}.nii.gz").kind is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("label-ED_mask", "oedema"),
        ("label-edema_mask", "oedema"),
        ("label-NETC_mask", "core"),
        ("desc-enhancingTumor_mask", "enhancing"),
        ("desc-tumorEnhancing_mask", "enhancing"),
        ("label-tumorCore_mask", "tumour core"),
        ("label-nonEnhancing_mask", "core"),
    ],
)
def test_parts_of_a_tumour_are_no_whole_tumour(tmp_path, name, part):
    role = _role(tmp_path, f"derivatives/seg/sub-7/anat/sub-7_{name}.nii.gz")
    assert (role.kind, role.part) == ("part", part)


@pytest.mark.parametrize(
    ("place", "notes", "kind"),
    [
        ("derivatives/manual/sub-7/anat/sub-7_mask.nii.gz", {}, None),
        ("derivatives/manual/sub-7/anat/sub-7_desc-final_mask.nii.gz", {}, None),
        ("derivatives/manual/sub-7/anat/sub-7_desc-final_mask.nii.gz", {"Type": "Lesion"}, "tumour"),
        ("derivatives/manual/sub-7/anat/sub-7_mask.nii.gz", {"Type": "Brain"}, "other"),
        ("derivatives/manual/sub-7/anat/sub-7_mask.nii.gz", {"Type": 3}, None),
        ("derivatives/tumor-segmentation/sub-7/anat/sub-7_mask.nii.gz", {}, "tumour"),
        ("derivatives/brain_tumour_seg/sub-7/anat/sub-7_desc-rater2_mask.nii.gz", {}, "tumour"),
        ("derivatives/brainextraction/sub-7/sub-7_mask.nii.gz", {}, None),
        ("derivatives/glioma/sub-7/sub-7_mask.nii.gz", {}, None),
        ("derivatives/tumor-segmentation/sub-7/anat/sub-8_mask.nii.gz", {}, None),
        ("sub-7/anat/sub-7_mask.nii.gz", {}, None),
    ],
)
def test_without_a_label_the_sidecar_and_the_folder_speak_or_nobody(tmp_path, place, notes, kind):
    role = _role(tmp_path, place, notes)
    assert role.kind == kind and (kind is not None) == (not role.evidence.startswith("cannot tell"))


def _choose(tmp_path, *names):
    for name in names:
        save_image(lesion(head()), tmp_path / f"derivatives/seg/sub-7/anat/sub-7_{name}_mask.nii.gz")
    files, _ = find_files(tmp_path)
    masks, why = choose_masks({file: mask_role(file, {}) for file in files})
    assert set(masks) | set(why) == set(files) and not set(masks) & set(why)
    return {Path(file.source).name.split("_")[1] for file in masks}, " ".join(why.values())


def test_a_mask_of_the_whole_comes_before_its_parts(tmp_path):
    taken, why = _choose(tmp_path, "label-ED", "label-ET", "label-NCR", "label-WT")
    assert taken == {"label-WT"} and "another was taken" in why


def test_parts_that_make_up_the_whole_are_joined(tmp_path):
    assert _choose(tmp_path, "label-SNFH", "label-ET", "label-NETC", "label-brain")[0] == {
        *("label-SNFH", "label-ET", "label-NETC"),
    }
    assert _choose(tmp_path / "two", "label-ED", "label-TC")[0] == {"label-ED", "label-TC"}


@pytest.mark.parametrize("names", [["label-ED"], ["label-ET", "label-NCR"], ["label-ED", "label-ET"], ["label-TC"]])
def test_parts_that_leave_something_out_are_not_the_tumour(tmp_path, names):
    taken, why = _choose(tmp_path, *names)
    assert taken == set() and "only a part of the tumour" in why


def test_of_several_masks_of_the_whole_the_first_in_natural_order_is_taken(tmp_path):
    taken, why = _choose(tmp_path, "label-tumour_run-10", "label-tumour_run-9")
    assert taken == {"label-tumour"} and "run-9" in why and "run-10" not in why


def test_pieces_of_one_tumour_are_joined(tmp_path):
    assert _choose(tmp_path / "a", "label-tumour_hemi-L", "label-tumour_hemi-R")[0] == {"label-tumour"}
    assert _choose(tmp_path / "b", "label-lesion1", "label-lesion2")[0] == {"label-lesion1", "label-lesion2"}
    four = {"label-ET", "label-NCR", "label-NET", "label-ED"}
    assert _choose(tmp_path / "c", *four)[0] == four


def _choose_from(tmp_path, *places):
    for place in places:
        save_image(lesion(head()), tmp_path / f"{place}.nii.gz")
    files, _ = find_files(tmp_path)
    masks, why = choose_masks({file: mask_role(file, {}) for file in files})
    return [file.source for file in masks], list(why.values())


def test_a_mask_by_hand_comes_before_one_of_a_network(tmp_path):
    places = [f"derivatives/{name}/sub-7/anat/sub-7_label-tumour_mask" for name in ("auto_nnunet", "manual")]
    taken, (why,) = _choose_from(tmp_path, *places)
    assert taken == ["derivatives/manual/sub-7/anat/sub-7_label-tumour_mask.nii.gz"] and "another was taken" in why


def test_among_masks_of_one_kind_a_person_has_to_choose(tmp_path):
    places = [f"derivatives/{name}/sub-7/anat/sub-7_label-tumour_mask" for name in ("anna", "bert")]
    taken, whys = _choose_from(tmp_path, *places)
    assert taken == [] and all(why.startswith("cannot tell") and "anna" in why and "bert" in why for why in whys)


def test_a_label_map_of_tissues_is_never_the_tumour(tmp_path):
    for place in ("fmriprep/sub-7/anat/sub-7_dseg", "seg/sub-7/anat/sub-7_desc-tumour_dseg"):
        save_image(lesion(head()), tmp_path / f"derivatives/{place}.nii.gz")
    tissues, tumour = find_files(tmp_path)[0]
    unsure = mask_role(tissues, {})
    assert label_map_role(tissues, unsure, "1,2", 0).kind is None
    assert label_map_role(tumour, mask_role(tumour, {}), "1,2", 1).kind == "tumour"
    assert label_map_role(tumour, mask_role(tumour, {}), None, 0).kind is None
    assert label_map_role(tumour, Role(None, "", ""), "1", 1).kind is None
