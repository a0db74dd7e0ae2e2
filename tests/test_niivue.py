"""The head in 3D: what is sent to NiiVue, and what is said where it is missing."""

import sys

import ellipsoids
import nibabel as nib
import numpy as np
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import MissingExtraError
from epitome_kit.widgets.niivue import view_3d


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyniivue", None)
    with raises_three_lines(MissingExtraError, "ipyniivue", "epitome-kit[view3d]"):
        view_3d(ellipsoids.head())


def test_scan_and_masks_are_sent_as_they_are():
    pytest.importorskip("ipyniivue", reason="the extra view3d is not installed")
    viewer = view_3d(ellipsoids.head(), {"tumour": ellipsoids.tumour()})
    scan, tumour = (nib.Nifti1Image.from_bytes(volume.data) for volume in viewer.volumes)
    assert np.allclose(scan.get_fdata(), ellipsoids.head().get_fdata())
    assert np.array_equal(tumour.get_fdata() > 0, np.asarray(ellipsoids.tumour().dataobj) > 0)
    assert np.allclose(tumour.affine, ellipsoids.tumour().affine)
    assert viewer.volumes[1].colormap == "kit tumour"
