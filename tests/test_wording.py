"""Wording: sizes in ml only where the voxel size is known."""

import ellipsoids

from epitome_kit.images import mark_voxel_size_unknown
from epitome_kit.tumour.measure import size_text


def test_size_in_the_unit_that_is_known():
    grid = ellipsoids.head(spacing=(3.0, 3.0, 4.0), turn=(10, 0, 5))
    assert size_text(1000, grid) == "36.0 mL"
    assert size_text(12345, mark_voxel_size_unknown(grid)) == "12,345 voxels"
