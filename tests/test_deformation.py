"""Deformable registration: a known deformation is mostly undone, smoothly, the same way each time."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from tiny import raises_three_lines

from epitome_kit.errors import ImageError
from epitome_kit.images import resample
from epitome_kit.metrics import dice
from epitome_kit.preprocess.deformation import register_deformable, resample_deformed
from epitome_kit.preprocess.registration import load_template, template_grid
from epitome_kit.simulate.anatomy import head_model, random_deformation
from epitome_kit.simulate.latents import draw_latents
from epitome_kit.simulate.scanner import acquire, random_grid, random_pose
from epitome_kit.simulate.tumour import grow_tumour


@dataclass
class Example:
    """A simulated scan without bias, its true white matter, and where its points really lie on the template."""

    scan: nib.Nifti1Image
    white: nib.Nifti1Image
    affine: np.ndarray
    to_template: object
    field: nib.Nifti1Image


@pytest.fixture(scope="module", params=["T1w", pytest.param("T2w", marks=pytest.mark.slow)])
def example(request):
    head, rng = head_model(2.0), np.random.default_rng(7)
    tumour = grow_tumour(head, draw_latents(False, True, rng), rng)
    deformation, pose = random_deformation(rng), random_pose(rng)
    grid = random_grid(rng, (3.0, 3.0, 3.0))
    scan = acquire(head, tumour, deformation, pose, grid, contrast=request.param, rng=rng)

    def to_template(points):
        return deformation.move(nib.affines.apply_affine(np.linalg.inv(pose), points).T.astype(np.float32)).T

    there = to_template(nib.affines.apply_affine(grid[0], np.indices(grid[1]).reshape(3, -1).T))
    white = _sample(head.tissue("white"), head.affine, there).reshape(grid[1])
    image = nib.Nifti1Image((scan.image.get_fdata() / scan.bias).astype(np.float32), grid[0])
    field = register_deformable(image, scan.to_template)
    return Example(image, nib.Nifti1Image(white, grid[0]), scan.to_template, to_template, field)


def _sample(data, affine, points):
    voxels = nib.affines.apply_affine(np.linalg.inv(affine), points)
    return ndimage.map_coordinates(np.asarray(data, np.float32), voxels.T, order=1)


def _points():
    """Every 20th voxel of the template's brain, in mm."""
    mask = load_template()[1]
    return nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0)[::20])


def test_points_of_the_brain_come_closer_to_where_they_belong(example):
    points, scan_to_template = _points(), np.linalg.inv(example.affine)
    moves = np.stack([_sample(part, example.field.affine, points) for part in np.moveaxis(example.field.dataobj, 3, 0)])
    errors = [
        np.linalg.norm(example.to_template(nib.affines.apply_affine(scan_to_template, place)) - points, axis=1).mean()
        for place in (points, points + moves.T)
    ]
    assert errors[0] > 2.0, "an affine alone leaves millimetres"
    assert errors[1] < 0.75 * errors[0]


def test_white_matter_overlaps_better_than_by_the_affine(example):
    grid, head = (example.field.affine, example.field.shape[:3]), head_model(2.0)
    template = resample(nib.Nifti1Image(head.tissue("white"), head.affine), *grid).get_fdata() > 0.5
    by_affine = resample(example.white, *grid, transform=example.affine).get_fdata() > 0.5
    by_field = resample_deformed(example.white, example.affine, example.field).get_fdata() > 0.5
    assert dice(by_field, template) > dice(by_affine, template) + 0.03


def test_nothing_folds(example):
    """The determinant of the Jacobian is positive, in the brain and around it."""
    steps = nib.affines.voxel_sizes(example.field.affine)[:3]
    slopes = np.stack(np.gradient(example.field.get_fdata(), *steps, axis=(0, 1, 2)), -1)
    assert np.linalg.det(np.eye(3) + slopes).min() > 0


def test_the_same_scan_is_deformed_the_same_way_each_time(example):
    first, second = (register_deformable(example.scan, example.affine, spacing_mm=8.0) for _ in range(2))
    assert np.array_equal(first.get_fdata(), second.get_fdata()), "to the last bit"


def test_no_displacement_is_the_affine_alone(example):
    grid = template_grid(6.0)
    still = nib.Nifti1Image(np.zeros((*grid[1], 3), np.float32), grid[0])
    carried = resample_deformed(example.scan, example.affine, still)
    assert carried.get_fdata() == pytest.approx(
        resample(example.scan, *grid, transform=example.affine).get_fdata(), abs=0.5
    )


def test_what_is_no_field_is_three_lines():
    template, mask = load_template()
    with raises_three_lines(ImageError, "resample_deformed", "(i, j, k, 3)"):
        resample_deformed(template, np.eye(4), mask)
