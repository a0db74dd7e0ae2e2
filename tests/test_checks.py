"""Checks of exercises: right is right, wrong is explained, nothing a student does is an exception."""

import base64
import io
import re

import ellipsoids
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from ellipsoids import words
from PIL import Image

from epitome_kit.errors import ImageError
from epitome_kit.images import mark_voxel_size_unknown, new_image_like, save_image
from epitome_kit.teach.checks import check_choice, check_model, check_names, check_number, check_split
from epitome_kit.teach.image_checks import check_field, check_mask, check_transform

HEAD, TUMOUR, BRAIN = ellipsoids.head(), ellipsoids.tumour(), ellipsoids.brain()
X = np.indices(HEAD.shape)[0] / HEAD.shape[0]
FIELD = new_image_like(np.exp(0.4 * (X - 0.5)).astype(np.float32), HEAD)
SHIFT = nib.affines.from_matvec(np.eye(3), (5, 0, 0))

BLANK = {
    "number": lambda: check_number(None, 1, tolerance=1),
    "choice": lambda: check_choice(None, "A", "Because."),
    "names": lambda: check_names(None, ["A"], "Because."),
    "model": lambda: check_model(None, float, 0.5, tolerance=0.1),
    "mask": lambda: check_mask(None, TUMOUR),
    "field": lambda: check_field(None, FIELD, BRAIN),
    "transform": lambda: check_transform(None, np.eye(4), BRAIN),
    "split": lambda: check_split(["sub-01"], None),
}


@pytest.mark.parametrize("name", BLANK)
def test_a_blank_answer_is_neither_right_nor_an_error(name):
    check = BLANK[name]()
    assert check.blank and not check.passed and check.figure is None
    assert repr(check).startswith("○ Blank.") and "Nothing to check yet" in check.message


def test_numbers():
    right = check_number(34.4, 34.0, tolerance=0.5, unit="mL", what="the volume")
    assert right.passed and right.message == "The volume is 34.4 mL, within 0.5 mL of the truth."
    assert check_number(34.5, 34.0, tolerance=0.5).passed
    wrong = check_number(34400, 34.4, tolerance=0.5, unit="mL", what="the volume")
    assert not wrong.passed and not wrong.blank
    assert "1000 times too large" in wrong.message and "34.4" not in wrong.message.replace("3.44e+04", "")


@pytest.mark.parametrize("value, words", [(106, "about 106 times too large."), (0.3, "about 3.3 times too small.")])
def test_a_factor_is_written_out(value, words):
    assert words in check_number(value, 1, tolerance=0.1).message


@pytest.mark.parametrize("number", [3, 3.0, np.float32(3), np.int64(3), np.array([3.0]), np.array(3)])
def test_every_kind_of_number_is_a_number(number):
    assert check_number(number, 3, tolerance=0).passed


@pytest.mark.parametrize("answer", ["3", [3], True, np.array([3, 3]), {}, 3j, np.nan, np.inf])
def test_what_is_not_one_finite_number(answer):
    check = check_number(answer, 3, tolerance=0, what="the count")
    assert not check.passed and check.message.startswith("The count ")


def test_choices():
    right = check_choice("  grade  III ", "Grade III", "It enhances.")
    assert right.passed and right.message.endswith("It enhances.")
    wrong = check_choice("B", "C", "It enhances.", hint="Look at the rim.")
    assert not wrong.passed and wrong.message.endswith("Look at the rim.")
    assert not check_choice(7, "C", "").passed


def test_names_in_any_order():
    right = check_names(pd.Index(["b", "a"]), ["a", "b"], "They differ.")
    assert right.passed and right.message.endswith("They differ.")


@pytest.mark.parametrize(
    "answer, words",
    [
        (["a", "c", "d"], "wrong: c, d. Look"),
        (["a"], "1 of 2"),
        ([], "0 of 2"),
        ("a", "should be a list of names; this is of type str"),
        (5, "should be a list of names; this is of type int"),
    ],
)
def test_what_is_off_with_names(answer, words):
    check = check_names(answer, ["a", "b"], "They differ.", what="your list")
    assert not check.passed and words in check.message
    assert not re.search(r"\bb\b", check.message), "the right names are not given away"


def test_models():
    assert check_model("0.72", float, 0.7, tolerance=0.05, what="the AUC").passed
    wrong = check_model("0.98", float, 0.5, tolerance=0.05, what="the AUC", hint="Select inside.")
    assert not wrong.passed and wrong.message == "The AUC is 0.98, which is too large by about 96%. Select inside."
    broken = check_model("ridge", float, 0.5, tolerance=0.05)
    assert not broken.passed and broken.message.startswith("The model cannot be scored: ValueError: could not convert")


def test_a_good_mask_passes_with_its_picture():
    check = check_mask(TUMOUR, TUMOUR, what="the tumour")
    assert check.passed and "Dice 1.00 (11.4 mL; truth 11.4 mL)" in check.message
    assert "missed: 0 voxels" in words(check.figure)


@pytest.mark.parametrize("kind", ["image", "path", "bool", "float", "int64", "float16"])
def test_a_mask_may_come_in_any_form(kind, tmp_path):
    save_image(TUMOUR, tmp_path / "mask.nii.gz")
    data = np.asarray(TUMOUR.dataobj)
    forms = {"image": TUMOUR, "path": str(tmp_path / "mask.nii.gz"), "bool": data > 0, "float": data * 0.5}
    forms |= {"int64": data.astype(np.int64), "float16": data.astype(np.float16)}
    assert check_mask(forms[kind], TUMOUR).passed


@pytest.mark.parametrize(
    "answer, words",
    [
        (ellipsoids.tumour(radius=18), "too large"),
        (ellipsoids.tumour(radius=10), "too small"),
        (ellipsoids.tumour(centre=(18, 10, 14)), "12 mm too far towards the back of the head"),
        (new_image_like(1 - np.asarray(TUMOUR.dataobj), TUMOUR), "inverted"),
        (np.asarray(TUMOUR.dataobj)[::-1], "mirrored along axis i"),
    ],
)
def test_what_is_off_with_a_mask(answer, words):
    check = check_mask(answer, TUMOUR, image=HEAD)
    assert not check.passed and words in check.message and "0.90" in check.message
    assert check.figure is not None


def test_a_low_bar_makes_no_mirror_image():
    other_side = np.asarray(ellipsoids.tumour(radius=24).dataobj)[::-1]
    assert "too large" in check_mask(other_side, TUMOUR, at_least=0.2).message


@pytest.mark.parametrize(
    "answer, words",
    [
        (ellipsoids.tumour(shape=(44, 52, 30)), "has shape (44, 52, 30), the truth (44, 52, 36)"),
        (np.zeros((3, 3, 3)), "has shape (3, 3, 3)"),
        (nib.Nifti1Image(TUMOUR.dataobj, np.diag([3, 3, 4, 1])), "another affine"),
        (np.zeros(HEAD.shape), "is empty"),
        (np.zeros((*HEAD.shape, 2)), "expected a 3-D image"),
        (np.zeros(HEAD.shape, complex), "plain numbers"),
        (np.full(HEAD.shape, "a"), "plain numbers"),
        (np.full(HEAD.shape, None), "plain numbers"),
        (nib.Nifti1Image(np.zeros(HEAD.shape, [(band, "u1") for band in "RGB"]), HEAD.affine), "plain numbers"),
        ("no/such/file.nii.gz", "does not exist"),
        ([[1, 2], [3, 4]], "this is of type list"),
        (0.9, "this is of type float"),
    ],
)
def test_what_cannot_be_a_mask_of_this_scan(answer, words):
    check = check_mask(answer, TUMOUR, what="your mask")
    assert not check.passed and check.message.startswith("Your mask ") and words in check.message
    assert "\n" not in check.message


def test_no_millilitre_where_the_voxel_size_is_unknown():
    lost = mark_voxel_size_unknown(TUMOUR)
    for answer in (TUMOUR, ellipsoids.tumour(centre=(18, 10, 14))):
        message = check_mask(answer, lost).message
        assert "voxels" in message and not re.search(r"\d m[lm]\b", message)


def test_a_mistake_of_the_author_is_an_error():
    with pytest.raises(ImageError):
        check_mask(TUMOUR, "no/such/truth.nii.gz")


def test_a_field_is_compared_whatever_its_scale():
    check = check_field(np.asarray(FIELD.dataobj) * 7, FIELD, BRAIN)
    assert check.passed and "0.000" in check.message
    assert any("answer / truth" in text for text in words(check.figure))


@pytest.mark.parametrize(
    "answer, words",
    [
        (1 / np.asarray(FIELD.dataobj), "inverted"),
        (np.ones(HEAD.shape), "too flat"),
        (np.asarray(FIELD.dataobj) ** 3, "too strong"),
        (np.zeros(HEAD.shape), "above zero everywhere"),
        (np.full(HEAD.shape, np.nan), "above zero everywhere"),
        (np.ones((5, 5, 5)), "has shape (5, 5, 5)"),
        ("field", "does not exist"),
        (3.0, "this is of type float"),
    ],
)
def test_what_is_off_with_a_field(answer, words):
    check = check_field(answer, FIELD, BRAIN, at_most=0.03)
    assert not check.passed and words in check.message


def test_transforms():
    assert "1.0 mm" in check_transform(nib.affines.from_matvec(np.eye(3), (6, 0, 0)), SHIFT, BRAIN).message
    assert check_transform(SHIFT.tolist(), SHIFT, BRAIN).passed
    wrong = check_transform(np.eye(4), SHIFT, BRAIN)
    assert not wrong.passed and "5.0 mm" in wrong.message and "identity" in wrong.message
    assert "at most 2 mm" in wrong.message


@pytest.mark.parametrize("answer", [np.eye(3), np.full((4, 4), np.nan), "matrix", [[1, 2], [3]], 1.0, {}])
def test_what_is_no_transform(answer):
    check = check_transform(answer, SHIFT, BRAIN)
    assert not check.passed and "4 x 4 matrix" in check.message


def test_a_clean_split():
    check = check_split(["sub-01", "sub-02"], pd.Index(["sub-03"]), everyone=["sub-01", "sub-02", "sub-03"])
    assert check.passed and check.message.startswith("2 subjects to train on, 1 to test on")


@pytest.mark.parametrize(
    "train, test, words",
    [
        (["sub-01", "sub-02"], ["sub-02"], "1 subject (sub-02) is in both"),
        (["sub-01_slice-12.png", "b/sub-02_T1w.nii.gz"], ["sub-01_slice-13.png"], "1 subject (sub-01) is in both"),
        (list("abcde"), list("abcd"), "4 subjects (a, b, c, ...) are in both"),
        (["sub-01"], [], "test set is empty"),
        ([], ["sub-01"], "training set is empty"),
        (["sub-01"], ["sub-02"], "1 subject (sub-03) is in neither"),
        ("sub-01", ["sub-02"], "lists of subjects"),
        (5, ["sub-02"], "lists of subjects"),
        ([["sub-01"]], ["sub-02"], "1 subject (sub-03) is in neither"),
    ],
)
def test_what_is_off_with_a_split(train, test, words):
    check = check_split(train, test, everyone=["sub-01", "sub-02", "sub-03"][: 3 if "neither" in words else 0])
    assert not check.passed and words in check.message


def test_a_check_shows_itself_with_a_mark_a_word_and_its_picture():
    right, wrong = check_mask(TUMOUR, TUMOUR), check_number("<b>3</b>", 3, tolerance=0, what="<i>n</i>")
    assert repr(right).startswith("✓ Right. ") and repr(wrong).startswith("✗ Not yet. ")
    html = right._repr_html_()
    assert "<b>✓ Right.</b>" in html and 'alt="' in html
    data = re.search(r"data:image/png;base64,([^']+)'", html).group(1)
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.width > 600
    html = wrong._repr_html_()
    assert "<b>✗ Not yet.</b>" in html and "&lt;i&gt;" in html and "<img" not in html
