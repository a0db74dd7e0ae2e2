"""N4: takes a known field out of a scan, on any grid."""

import sys

import nibabel as nib
import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import ImageError, MissingExtraError, ParameterError
from epitome_kit.images import same_grid
from epitome_kit.preprocess.bias_field import METHODS, correct_bias

SHAPE = (40, 44, 36)
SHEARED = nib.affines.from_matvec([[4.0, 0.3, 0.0], [-0.4, 4.0, 0.5], [0.2, 0.0, 4.0]], (-80, -90, -70))


def _head(affine, bias_sd=0.15):
    """Two tissues in an ellipsoid, a field of known spread, and noise; returns scan, mask and field."""
    rng = np.random.default_rng(0)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    inside = (x / 0.8) ** 2 + (y / 0.8) ** 2 + (z / 0.8) ** 2 < 1
    tissue = np.where(np.sin(9 * x) * np.sin(8 * y) * np.sin(7 * z) > 0, 1.0, 0.7)
    log_field = x - 0.7 * y * z + 0.8 * z**2
    log_field = (log_field - log_field[inside].mean()) / log_field[inside].std() * bias_sd
    signal = 800 * tissue * np.exp(log_field) + rng.normal(0, 15, SHAPE)
    scan = nib.Nifti1Image(np.where(inside, signal, 40).astype(np.float32), affine)
    return scan, nib.Nifti1Image(inside.astype(np.uint8), affine), np.exp(log_field)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("affine", [np.diag([4.0, 4.0, 4.0, 1.0]), SHEARED], ids=["straight", "sheared"])
def test_most_of_a_known_field_is_taken_out(affine, method):
    if method == "ants":
        pytest.importorskip("ants", reason="ANTsPy is an extra: `make bench` installs it")
    scan, mask, truth = _head(affine)
    corrected, field = correct_bias(scan, mask, method=method)
    inside = mask.get_fdata() > 0
    residual = np.log(truth[inside]) - np.log(field.get_fdata()[inside])
    assert residual.std() < 0.5 * np.log(truth[inside]).std()
    assert corrected.get_fdata() * field.get_fdata() == pytest.approx(scan.get_fdata(), rel=1e-4)
    assert same_grid(corrected, scan) and same_grid(field, scan)
    assert np.log(field.get_fdata()[inside]).mean() == pytest.approx(0, abs=1e-4)


def test_a_scan_without_a_field_stays_as_it_is():
    scan, mask, _ = _head(np.diag([4.0, 4.0, 4.0, 1.0]), bias_sd=0.0)
    field = correct_bias(scan, mask)[1].get_fdata()[mask.get_fdata() > 0]
    assert np.log(field).std() < 0.03


def test_the_gain_of_the_scanner_does_not_change_the_field():
    scan, mask, _ = _head(np.diag([4.0, 4.0, 4.0, 1.0]))
    louder = nib.Nifti1Image(scan.get_fdata(dtype=np.float32) * 3, scan.affine)
    quick = {"iterations": (10,)}
    assert correct_bias(louder, mask, **quick)[1].get_fdata() == pytest.approx(
        correct_bias(scan, mask, **quick)[1].get_fdata(), abs=0.01
    )


def test_a_mask_on_another_grid_is_three_lines():
    scan, mask, _ = _head(np.diag([4.0, 4.0, 4.0, 1.0]))
    with raises_three_lines(ImageError, "correct_bias", "(40, 44, 36)"):
        correct_bias(scan, mask.slicer[1:])


def test_a_method_that_is_not_there_is_three_lines(monkeypatch):
    scan, mask, _ = _head(np.diag([4.0, 4.0, 4.0, 1.0]))
    with raises_three_lines(ParameterError, "correct_bias", "n3"):
        correct_bias(scan, mask, method="n3")
    monkeypatch.setitem(sys.modules, "ants", None)
    with raises_three_lines(MissingExtraError, "epitome-kit[ants]", "choose `n4`"):
        correct_bias(scan, mask, method="ants")
