"""Errors: three lines that teach, one line for tables, whole across processes."""

import pickle
import warnings

import pytest

from epitome_kit import errors

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.EpitomeError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_three_lines(kind):
    error = kind("strip", "a 3-D image", "shape (2, 3) from a.nii.gz", "pick one volume")
    assert str(error) == ("strip: expected a 3-D image.\nReceived: shape (2, 3) from a.nii.gz.\nTry: pick one volume.")
    assert error.reason == "expected a 3-D image; received shape (2, 3) from a.nii.gz"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_a_process_boundary(kind):
    error = pickle.loads(pickle.dumps(kind("a", "b", "c", "d")))
    assert type(error) is kind and (error.where, error.expected, error.received, error.hint) == ("a", "b", "c", "d")


def test_every_error_can_be_caught_as_one():
    raisable = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert set(raisable) - set(KINDS) == {errors.EpitomeWarning}
    assert issubclass(errors.UnknownVoxelSizeError, errors.ImageError)


def test_a_warning_is_text_that_can_be_printed_anywhere():
    with errors.collect_warnings() as found:
        warnings.warn("sub-\udcff\n\x1b[2J", errors.EpitomeWarning, stacklevel=1)
        with pytest.warns(DeprecationWarning):
            warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert found == ["sub-\\udcff [2J"]


def test_a_reason_is_read_back_from_the_line_that_it_is_written_as():
    reason = errors.Reason("a 3-D image", "shape (2, 3); of two files")
    assert str(reason) == "expected a 3-D image; received shape (2, 3); of two files"
    assert errors.Reason.read(str(reason)) == reason and reason.kind == "expected a 3-D image"
    other = errors.Reason.read("a copy of FLAIR")
    assert (str(other), other.kind, other.received) == ("a copy of FLAIR", "a copy of FLAIR", None)
