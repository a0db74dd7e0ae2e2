"""Scans of many voxels: the same results in less memory, and nearly the same at half the resolution."""

import sys
import time
import tracemalloc
from contextlib import suppress

import nibabel as nib
import numpy as np
import psutil
import pytest
from scipy import ndimage
from tiny import raises_three_lines

from epitome_kit import large
from epitome_kit.cohort import Subject
from epitome_kit.errors import ImageError
from epitome_kit.images import load_image, new_image_like, resample, save_image
from epitome_kit.large import (
    bounding_box,
    label_sizes,
    map_above,
    masked_voxels,
    parts,
    read_scan,
    voxel_parts,
    working_image,
    working_mask,
)
from epitome_kit.metrics import dice
from epitome_kit.preprocess.derivative import Preprocessed
from epitome_kit.preprocess.quality import mean_distance
from epitome_kit.preprocess.skull_stripping import strip_with_warnings
from epitome_kit.preprocess.subject import describe_steps, preprocess_subject
from epitome_kit.tumour.outline import describe_outline

RNG = np.random.default_rng(0)


def _resized(image, size_mm, shape=None):
    """A scan at another voxel size, its centre kept."""
    affine, sizes = image.affine, nib.affines.voxel_sizes(image.affine)
    shape = np.array(shape or np.ceil(np.array(image.shape) * sizes / size_mm).astype(int))
    matrix = affine[:3, :3] / sizes * size_mm
    centre = nib.affines.apply_affine(affine, (np.array(image.shape) - 1) / 2)
    return resample(image, nib.affines.from_matvec(matrix, centre - matrix @ ((shape - 1) / 2)), tuple(shape.tolist()))


@pytest.fixture(scope="module")
def scan(phantom):
    """A simulated head at 2 mm, of about a million voxels."""
    return _resized(load_image(phantom["sub-001"].images["T2w"]), 2.0)


@pytest.fixture
def treat_as_large(monkeypatch):
    """Call to have scans like `scan` treated as scans of 512 x 512 x 512 are."""

    def treat():
        monkeypatch.setattr(large, "LARGE", 2**18)
        monkeypatch.setattr(large, "WORKING", 2**18)

    return treat


def test_parts_hold_every_voxel_once(monkeypatch):
    monkeypatch.setattr(large, "_PART", 40)
    seen = np.zeros((4, 5, 7), int)
    for part in parts(seen.shape):
        seen[part] += 1
    assert (seen == 1).all() and len(list(parts(seen.shape))) == 4


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_box_and_the_components_of_a_mask(order, monkeypatch):
    monkeypatch.setattr(large, "_PART", 300)
    mask = np.asarray(ndimage.gaussian_filter(RNG.random((20, 22, 24)), 1) > 0.55, order=order)
    box = bounding_box(mask)
    assert mask[box].sum() == mask.sum() and all(
        mask[box].take(end, axis).any() for axis in range(3) for end in (0, -1)
    )
    labels, sizes = label_sizes(mask)
    assert sizes.tolist() == [0, *np.bincount(labels.ravel())[1:]] and len(sizes) > 3
    nothing = bounding_box(np.zeros((3, 4, 5), bool))
    assert mask[nothing].size == 0 and label_sizes(mask[nothing])[1].tolist() == [0]


@pytest.mark.parametrize("case", range(6))
def test_a_map_above_a_threshold_is_that_of_resample(case, monkeypatch):
    monkeypatch.setattr(large, "_PART", 3000)
    values = ndimage.gaussian_filter(RNG.random((14, 12, 13)).astype(np.float32), 1.5)
    values = (values - values.min()) / np.ptp(values)
    values[: 3 * case] = 0  # from a map that fills its grid to an empty one
    turned = nib.affines.from_matvec(np.linalg.qr(RNG.normal(size=(3, 3)))[0] * 2.1, RNG.normal(size=3) * 8)
    fine = nib.affines.from_matvec(np.diag([0.7, -0.6, 0.9]), RNG.normal(size=3) * 8)
    whole = np.asarray(resample(nib.Nifti1Image(values, turned), fine, (40, 41, 30)).dataobj) > 0.5
    assert np.array_equal(map_above(values, np.linalg.inv(turned) @ fine, (40, 41, 30), 0.5), whole)


def test_a_large_scan_is_halved_where_it_is_finest_and_keeps_its_place(monkeypatch):
    monkeypatch.setattr(large, "LARGE", 4000)
    monkeypatch.setattr(large, "WORKING", 1000)
    turned = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    affine = nib.affines.from_matvec(turned * [0.5, 0.5, 3.0], [5, -7, 11])
    ramp = nib.affines.apply_affine(affine, np.moveaxis(np.indices((41, 40, 10)), 0, -1)) @ [1, 2, 3]
    monkeypatch.setattr(large, "_PART", 8000)
    halved = working_image(nib.Nifti1Image(ramp.astype(np.float32), affine), where="test")
    assert halved.shape == (10, 10, 10) and nib.affines.voxel_sizes(halved.affine) == pytest.approx([2, 2, 3])
    expected = nib.affines.apply_affine(halved.affine, np.moveaxis(np.indices(halved.shape), 0, -1)) @ [1, 2, 3]
    assert np.asarray(halved.dataobj) == pytest.approx(expected, abs=1e-3)
    mask = nib.Nifti1Image((ramp > 0).astype(np.uint8), affine)
    agreement = np.asarray(working_mask(mask).dataobj) == (expected > 0)
    assert agreement.mean() > 0.95
    small = nib.Nifti1Image(np.zeros((10, 20, 20), np.float32), affine)
    assert working_image(small, where="test") is small and working_mask(small) is small


@pytest.mark.parametrize("kind", ["i2", "scaled", "f4", "f8", "extra axis"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_the_parts_of_a_file_are_its_voxels(kind, suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(large, "_PART", 600)
    path = tmp_path / f"scan{suffix}"
    data = np.round(RNG.normal(100, 30, (12, 13, 14)))
    image = nib.Nifti1Image(data.astype(kind if kind in ("f4", "f8") else "i2"), np.eye(4))
    if kind == "scaled":
        image.header.set_slope_inter(0.37, 5)
    if kind == "extra axis":
        image = nib.Nifti1Image(np.asarray(image.dataobj)[..., None], np.eye(4))
    nib.save(image, path)
    usual = np.asarray(load_image(path).dataobj)
    monkeypatch.setattr(large, "LARGE", 1000)
    read = list(voxel_parts(load_image(path), where="test", multiple=2))
    assert [part[2].start for part, _ in read] == [0, 2, 4, 6, 8, 10, 12]
    assert all(np.array_equal(values, usual[part]) and values.dtype == usual.dtype for part, values in read)
    path.write_bytes(path.read_bytes()[:-400])
    with raises_three_lines(ImageError):
        load_image(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e16, None])
def test_the_voxels_of_a_large_scan_are_checked(value, tmp_path, monkeypatch):
    data = np.full((20, 20, 20), 3, np.float32)
    if value is not None:
        data[7, 8, 9] = value
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "scan.nii")

    def refusal(read):
        with pytest.raises(ImageError) as caught:
            read(tmp_path / "scan.nii", where="test")
        return str(caught.value)

    usual = refusal(load_image)
    monkeypatch.setattr(large, "LARGE", 1000)
    monkeypatch.setattr(large, "_PART", 1000)
    assert refusal(load_image) == usual
    assert refusal(lambda path, where: read_scan(load_image(path, check_voxels=False), where=where)) == usual


def _strips(scan, treat):
    usual = strip_with_warnings(scan)
    treat()
    return usual, strip_with_warnings(scan)


def test_the_brain_of_a_large_scan_is_that_of_a_usual_one(scan, treat_as_large):
    usual, found = _strips(scan, treat_as_large)
    assert found.mask.shape == scan.shape and found.taken_as == usual.taken_as == "head"
    assert dice(np.asarray(found.mask.dataobj) > 0, np.asarray(usual.mask.dataobj) > 0) > 0.985


def test_of_a_large_stripped_scan_with_an_outlier_everything_but_air_is_kept(scan, treat_as_large):
    brain = np.asarray(strip_with_warnings(scan).mask.dataobj) * np.asarray(scan.dataobj)
    brain[0, 0, 0] = 1e6
    usual, found = _strips(new_image_like(brain.astype(np.float32), scan), treat_as_large)
    assert found.taken_as == usual.taken_as == "stripped before"
    assert any("1 voxel" in each for each in found.warnings)
    assert dice(np.asarray(found.mask.dataobj) > 0, np.asarray(usual.mask.dataobj) > 0) > 0.96


@pytest.mark.slow
def test_a_large_scan_is_preprocessed_nearly_as_a_usual_one(scan, phantom, treat_as_large, tmp_path):
    save_image(scan, tmp_path / "sub-001_T2w.nii.gz")
    other = _resized(load_image(phantom["sub-001"].images["T1ce"]), 2.0)
    save_image(other, tmp_path / "sub-001_T1ce.nii.gz")
    images = {name: tmp_path / f"sub-001_{name}.nii.gz" for name in ("T1ce", "T2w")}
    subject = Subject("sub-001", images, annotated_on="T2w")
    results, folders = [], [Preprocessed(tmp_path / name, "sub-001") for name in ("usual", "large")]
    for files in folders:
        results.append(preprocess_subject(subject, files, steps=describe_steps(), spacing_mm=4.0))
        treat_as_large()
    usual, found = results
    assert found["warnings"] == usual["warnings"] and found["taken_as"] == usual["taken_as"]
    assert found["brain_volume_ml"] == pytest.approx(usual["brain_volume_ml"], rel=0.02)
    assert found["template_dice"] == pytest.approx(usual["template_dice"], abs=0.01)
    points = RNG.uniform(-60, 60, (100, 3))
    for name in images:
        transforms = [np.loadtxt(files.transform(name)) for files in folders]
        assert mean_distance(*transforms, points) < 1
        pair = [np.asarray(nib.load(files.scan(name)).dataobj).ravel() for files in folders]
        assert np.corrcoef(*pair)[0, 1] > 0.95
    masks = [nib.load(files.mask("desc-brain", space="T2w")) for files in folders]
    assert masks[1].shape == scan.shape and np.array_equal(masks[1].affine, masks[0].affine)


def test_a_large_scan_takes_few_bytes_a_voxel(phantom, monkeypatch, tmp_path):
    """Arrays alone, without libraries and networks: at 512 x 512 x 512, 6 bytes a voxel are 0.8 GB."""
    image = _resized(load_image(phantom["sub-001"].images["T2w"]), 1.2)
    scaled = new_image_like(np.round(np.asarray(image.dataobj) * 10).astype(np.int16), image)
    scaled.header.set_slope_inter(0.1, 0)
    nib.save(scaled, tmp_path / "scan.nii.gz")
    strip_with_warnings(phantom["sub-001"].images["T2w"])  # loads the network
    monkeypatch.setattr(large, "LARGE", 2**20)
    monkeypatch.setattr(large, "WORKING", 2**18)
    monkeypatch.setattr(large, "_PART", 2**15)

    def peak(function, *arguments, **options):
        tracemalloc.start()
        result = function(*arguments, **options)
        most = tracemalloc.get_traced_memory()[1] / np.prod(image.shape)
        tracemalloc.stop()
        return result, most

    opened, most = peak(load_image, tmp_path / "scan.nii.gz")
    assert most < 1
    (mask, *_), most = peak(strip_with_warnings, opened)
    assert most < 6
    brain, most = peak(masked_voxels, opened, mask, where="test")
    assert most < 5 and np.array_equal(brain, (opened.get_fdata() * mask.get_fdata()).astype(np.float32))
    small = np.zeros(image.shape, np.uint8, order="F")
    small[20:40, 30:60, 40:60] = 1
    subject = Subject("sub-001", {"T2w": tmp_path / "scan.nii.gz"})
    row, most = peak(describe_outline, subject, new_image_like(small, image))
    assert most < 5 and row["volume_voxels"] == 20 * 30 * 20


def _measured(*words):
    """Run a command of the kit; return its peak of memory (GB, all processes) and its seconds of processor."""
    started, peak, seconds = time.monotonic(), 0, {}
    command = psutil.Popen([sys.executable, "-c", "from epitome_kit.cli import app; app()", *map(str, words)])
    while command.poll() is None:
        used = 0
        for each in (command, *command.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                used += each.memory_info().rss
                seconds[each.pid] = sum(each.cpu_times()[:2])
        peak = max(peak, used)
        time.sleep(0.1)
    assert command.returncode == 0
    busy = sum(seconds.values())
    print(f"{words[0]}: {peak / 1e9:.2f} GB, {time.monotonic() - started:.0f} s, {busy:.0f} s of processor")
    return peak / 1e9, busy


@pytest.fixture(scope="module")
def whole_head(phantom):
    """Voxels of 0.5 mm, 512 x 512 x 512, with noise everywhere."""
    big = np.asarray(_resized(load_image(phantom["sub-001"].images["T2w"]), 0.5, (512, 512, 512)).dataobj)
    return big + np.random.default_rng(0).standard_normal(big.shape, np.float32)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["float32", "packed"])
def test_a_scan_of_512_cubed_stays_within_bounds(kind, whole_head, tmp_path):
    """`pytest -m soak -s tests/test_large.py` prints memory and seconds; two quiet cores take 30 s and 60 s."""
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    path = tmp_path / f"big_T2w.nii{'.gz' if kind == 'packed' else ''}"
    image = nib.Nifti1Image(whole_head, affine)
    if kind == "packed":
        image = nib.Nifti1Image(np.round(10 * whole_head).astype(np.int16), affine)
        image.header.set_slope_inter(0.1, 0)
    nib.save(image, path)
    del image
    memory, busy = _measured("strip", path, "--mask", tmp_path / "mask.nii.gz", "--brain", tmp_path / "brain.nii.gz")
    assert memory < 2.2 and busy < 60
    memory, busy = _measured("segment", f"T2w={path}", "--out", tmp_path / "segment")
    assert memory < 2.2 and busy < 120
    mask = nib.load(tmp_path / "mask.nii.gz")
    assert mask.shape == (512, 512, 512) and 1.0e6 < np.count_nonzero(mask.dataobj) / 8 < 2.0e6
    assert nib.load(next((tmp_path / "segment" / "masks").glob("*.nii.gz"))).shape == (512, 512, 512)
