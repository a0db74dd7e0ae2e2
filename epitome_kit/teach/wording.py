"""How large a mask is, in words a student reads."""

import nibabel as nib
import numpy as np

from epitome_kit.images import voxel_size_known


def size_text(voxels, grid):
    """Say how large a number of voxels is: in mL, or in voxels where their size is unknown."""
    if not voxel_size_known(grid):
        return f"{voxels:,} voxels"
    return f"{voxels * np.prod(nib.affines.voxel_sizes(grid.affine)) / 1000:.1f} mL"
