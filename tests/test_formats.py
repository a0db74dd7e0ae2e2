"""Formats: the same voxels in the same places whatever holds them, and nothing guessed where a header is silent."""

import gzip
import struct
import zlib

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from tiny import affine as straight
from tiny import head, lesion, raises_three_lines

from epitome_kit.errors import ImageError, collect_warnings
from epitome_kit.images import load_image, load_mask, same_grid, voxel_size_known

SHAPE = (5, 6, 7)
TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")


def voxels(dtype="int16"):
    return np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype) % 100


def oblique(turn=(0.7, -0.4, 2.2), spacing=(0.8, 1.1, 5.0), flip=1):
    return nib.affines.from_matvec(nib.eulerangles.euler2mat(*turn) * spacing * np.array([flip, 1, 1]), (30, -41.5, 9))


def nrrd(data, affine, space="right-anterior-superior", turn=(1, 1, 1), extra=""):
    """Bytes of a NRRD file, written from its specification and by no library."""
    numbers = [f"({','.join(map(repr, map(float, column * np.array(turn))))})" for column in affine[:3].T]
    kind = {"i": "int", "u": "uint"}.get(data.dtype.kind, "") + f"{8 * data.itemsize}"
    lines = ["NRRD0005", f"type: {kind}", f"dimension: {data.ndim}", f"space: {space}"]
    lines += [f"sizes: {' '.join(map(str, data.shape))}", f"space directions: {' '.join(numbers[:3])}"]
    lines += ["endian: little", "encoding: raw", f"space origin: {numbers[3]}"]
    return "\n".join([*lines, *filter(None, [extra]), "", ""]).encode() + data.tobytes("F")


def meta(data, affine, **changed):
    """Bytes of a MetaImage, written from its description and by no library; None leaves a line out."""
    flipped = np.diag([-1, -1, 1]) @ affine[:3]
    sizes = nib.affines.voxel_sizes(affine)
    numbers = {"TransformMatrix": (flipped[:, :3] / sizes).T.ravel(), "Offset": flipped[:, 3], "ElementSpacing": sizes}
    fields = {"ObjectType": "Image", "NDims": data.ndim, "BinaryData": "True", "BinaryDataByteOrderMSB": "False"}
    fields |= {name: " ".join(map(repr, map(float, each))) for name, each in numbers.items()}
    fields |= {"DimSize": " ".join(map(str, data.shape)), "ElementType": "MET_SHORT"}
    fields |= changed | {"ElementDataFile": changed.get("ElementDataFile", "LOCAL")}
    order = [name for name in fields if name != "ElementDataFile"] + ["ElementDataFile"]
    text = "".join(f"{name} = {fields[name]}\n" for name in order if fields[name] is not None)
    return text.encode() + (data.tobytes("F") if fields["ElementDataFile"] == "LOCAL" else b"")


def written(path, data, affine):
    """Write voxels in the format that a name asks for, with the library that people use for it."""
    if path.suffix == ".mgz":
        nib.save(nib.MGHImage(data.astype(np.int32), affine), path)
        return path
    if path.suffix in (".hdr", ".img"):
        nib.save(nib.Nifti1Pair(data, affine), path)
        return path
    image = sitk.GetImageFromArray(data.T)
    flipped = np.diag([-1, -1, 1]) @ affine[:3]
    sizes = nib.affines.voxel_sizes(affine)
    image.SetSpacing(sizes.tolist())
    image.SetOrigin(flipped[:, 3].tolist())
    image.SetDirection((flipped[:, :3] / sizes).ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=data.dtype != np.uint8)
    return path


def assert_holds(found, data, affine):
    assert np.array_equal(np.asarray(found.dataobj), data)
    np.testing.assert_allclose(found.affine, affine, atol=1e-3)


NAMES = ("a.nrrd", "a.seg.nrrd", "a.nhdr", "a.mha", "a.mhd", "a.mgz", "a.hdr", "a.img", "a.nii", "a.nii.gz")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flip", [1, -1])
def test_voxels_and_their_places_are_those_of_the_nifti_twin(tmp_path, name, flip):
    path = written(tmp_path / name, voxels(), oblique(flip=flip))
    with collect_warnings() as remarks:
        found = load_image(path)
    assert_holds(found, voxels(), oblique(flip=flip))
    assert remarks == []
    twin = nib.Nifti1Image(voxels(), oblique(flip=flip))
    assert same_grid(found, twin)


@given(turn=st.tuples(*[st.floats(-3.1, 3.1)] * 3), flip=st.sampled_from([1, -1]))
@pytest.mark.parametrize(
    ("space", "side"),
    [("right-anterior-superior", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1)), ("LPS", (-1, -1, 1))],
)
def test_each_space_of_nrrd_has_its_sides(tmp_path_factory, turn, flip, space, side):
    path = tmp_path_factory.getbasetemp() / "sides.nrrd"
    path.write_bytes(nrrd(voxels(), oblique(turn, flip=flip), space, side))
    assert_holds(load_image(path), voxels(), oblique(turn, flip=flip))


@given(turn=st.tuples(*[st.floats(-3.1, 3.1)] * 3), flip=st.sampled_from([1, -1]))
def test_a_meta_image_has_its_sides(tmp_path_factory, turn, flip):
    path = tmp_path_factory.getbasetemp() / "sides.mha"
    path.write_bytes(meta(voxels(), oblique(turn, flip=flip)))
    assert_holds(load_image(path), voxels(), oblique(turn, flip=flip))


def test_compressed_voxels_of_a_meta_image_are_read(tmp_path):
    (tmp_path / "a.mha").write_bytes(_compressed())
    assert_holds(load_image(tmp_path / "a.mha"), voxels(), oblique())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha"])
def test_every_type_of_number_is_read(tmp_path, dtype, name):
    if name == "a.nii":
        nib.save(nib.Nifti1Image(voxels(dtype), oblique(), dtype=dtype), tmp_path / name)
    else:
        written(tmp_path / name, voxels(dtype), oblique())
    found = load_image(tmp_path / name)
    assert_holds(found, voxels(dtype), oblique())
    nib.save(found, tmp_path / "again.nii.gz")
    assert_holds(load_image(tmp_path / "again.nii.gz"), voxels(dtype), oblique())


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "SCAN.NII", "SCAN.NII.GZ", "scan.dcm", "scan", "x.mha"])
@pytest.mark.parametrize("content", ["plain", "gzip", "nrrd", "mgh"])
def test_the_content_tells_what_a_file_is_and_the_name_does_not(tmp_path, name, content):
    plain = nib.Nifti1Image(voxels("int32"), oblique()).to_bytes()
    mgh = nib.MGHImage(voxels("int32"), oblique()).to_bytes()
    kinds = {"plain": plain, "gzip": gzip.compress(plain), "nrrd": nrrd(voxels("int32"), oblique()), "mgh": mgh}
    (tmp_path / name).write_bytes(kinds[content])
    assert_holds(load_image(tmp_path / name), voxels(), oblique())


@pytest.mark.parametrize(("hdr", "img"), [("A.HDR", "A.IMG"), ("a.hdr", "a.img.gz"), ("a.b.hdr", "a.b.img")])
def test_a_pair_is_found_from_either_of_its_files(tmp_path, hdr, img):
    made = nib.Nifti1Pair(voxels(), oblique())
    made.to_filename(tmp_path / "made.hdr")
    (tmp_path / "made.hdr").rename(tmp_path / hdr)
    content = (tmp_path / "made.img").read_bytes()
    (tmp_path / "made.img").unlink()
    (tmp_path / img).write_bytes(gzip.compress(content) if img.endswith("gz") else content)
    for name in (hdr, img):
        assert_holds(load_image(tmp_path / name), voxels(), oblique())
    (tmp_path / img).unlink()
    with raises_three_lines(ImageError, ".img", hdr):
        load_image(tmp_path / hdr)


def test_analyze_knows_sizes_and_says_that_it_knows_no_sides(tmp_path):
    nib.save(nib.AnalyzeImage(voxels(), np.diag([1.0, 2.0, 5.5, 1.0])), tmp_path / "old.img")
    for name in ("old.img", "old.hdr"):
        with collect_warnings() as remarks:
            found = load_image(tmp_path / name)
        assert np.allclose(nib.affines.voxel_sizes(found.affine), (1, 2, 5.5))
        assert len(remarks) == 1 and "left and right" in remarks[0]


def test_analyze_without_a_voxel_size_is_three_lines(tmp_path):
    nib.save(nib.AnalyzeImage(voxels(), np.diag([1.0, 2.0, 5.5, 1.0])), tmp_path / "old.img")
    content = bytearray((tmp_path / "old.hdr").read_bytes())
    content[80:92] = bytes(12)
    (tmp_path / "old.hdr").write_bytes(content)
    with raises_three_lines(ImageError, "0 x 0 x 0", "old.hdr"):
        load_image(tmp_path / "old.img")


SILENT = {
    "nrrd": (lambda: nrrd(voxels(), oblique()).replace(b"space directions", b"# left out"), False),
    "nrrd with spacings": (lambda: _without_directions("spacings: 0.8 1.1 5"), True),
    "nrrd with spacings of nan": (lambda: _without_directions("spacings: nan nan nan"), False),
    "nrrd in an unknown space": (lambda: nrrd(voxels(), oblique(), "scanner-xyz"), True),
    "meta": (lambda: meta(voxels(), oblique(), ElementSpacing=None, TransformMatrix=None), False),
    "meta with a size": (lambda: meta(voxels(), oblique(), TransformMatrix=None), True),
    "mgh": (lambda: _mgh_without_places(), False),
    "nrrd without a place or sides": (lambda: _without_directions("spacings: 0.8 1.1 5"), True),
}


def _without_directions(line):
    lines = nrrd(voxels(), oblique()).split(b"\n")
    kept = [each for each in lines[:9] if not each.startswith((b"space", b"space directions", b"space origin"))]
    return b"\n".join([*kept, line.encode(), b"", b""]) + voxels().tobytes("F")


def _mgh_without_places():
    content = bytearray(nib.MGHImage(voxels("int32"), oblique()).to_bytes())
    content[28:30] = bytes(2)
    return bytes(content)


@pytest.mark.parametrize("kind", SILENT)
def test_what_a_header_leaves_out_is_unknown_and_said(tmp_path, kind):
    make, size_known = SILENT[kind]
    (tmp_path / "silent").write_bytes(make())
    with collect_warnings() as remarks:
        found = load_image(tmp_path / "silent")
    assert voxel_size_known(found) is size_known
    assert len(remarks) == 1 and "orientation" in remarks[0] and "silent" in remarks[0]
    assert np.array_equal(np.asarray(found.dataobj), voxels())


def _nrrd_packed(more=b"", extra=""):
    content = nrrd(voxels(), oblique(), extra=extra)[: -voxels().nbytes].replace(b"encoding: raw", b"encoding: gzip")
    return content + gzip.compress(more + voxels().tobytes("F"))


def _layers():
    two = nrrd(np.stack([voxels()] * 2), oblique(), extra="kinds: list domain domain domain")
    return two.replace(b"directions: ", b"directions: none ")


def _compressed(**changed):
    packed = zlib.compress(voxels().tobytes("F"))
    told = {"CompressedData": "True", "CompressedDataSize": len(packed)} | changed
    return meta(voxels(), oblique(), **told)[: -voxels().nbytes] + packed


def _mgh(sizes=(0.8, 1.1, 5.0), scale=1):
    content = bytearray(nib.MGHImage(voxels("int32"), oblique()).to_bytes())
    content[30:42] = struct.pack(">3f", *sizes)
    content[42:78] = (np.frombuffer(content[42:78], ">f4") * np.repeat([scale, 1, 1], 3)).astype(">f4").tobytes()
    return bytes(content)


TURN = "0 1 0 -1 0 0 0 0 1"
BAD = {
    "meta of long axes": (meta(voxels(), oblique(), TransformMatrix="2 0 0 0 2 0 0 0 2"), "length one"),
    "meta of slanted axes": (meta(voxels(), oblique(), TransformMatrix="1 0 0 0.3 0.954 0 0 0 1"), "perpendicular"),
    "meta of too few axes": (meta(voxels(), oblique(), TransformMatrix="1 0 0 1"), "bad.nrrd"),
    "meta turned twice": (meta(voxels(), oblique(), TransformMatrix=TURN, Rotation="1 0 0 0 1 0 0 0 1"), "differ"),
    "meta in two places": (meta(voxels(), oblique(), Position="30 41.5 8"), "Offset and Position"),
    "meta in no place": (meta(voxels(), oblique(), Offset="a b c"), "could not convert"),
    "mgh of negative size": (_mgh((0.8, -1.1, 5)), "-1.1"),
    "mgh of size zero": (_mgh((0.8, 0, 5)), "above zero"),
    "mgh of long axes": (_mgh(scale=2), "length one"),
    "nrrd with more": (nrrd(voxels(), oblique()) + b"\1" * 77, "bytes more"),
    "nrrd with zeros": (nrrd(voxels(), oblique()) + bytes(77), "77 bytes more"),
    "meta with more": (meta(voxels(), oblique()) + b"\1" * 77, "bytes more"),
    "nrrd that unpacks to more": (_nrrd_packed(b"\0" * 40), "does not match"),
    "nifti with more": (nib.Nifti1Image(voxels(), oblique()).to_bytes() + b"\0\1", "bytes more"),
    "nrrd of 64 TB": (nrrd(voxels(), oblique()).replace(b"5 6 7", b"90000 90000 9000"), "voxels"),
    "nrrd that is cut": (nrrd(voxels(), oblique())[:-9], "requires"),
    "nrrd with a size twice": (nrrd(voxels(), oblique(), extra="sizes: 50 60 70"), "sizes twice"),
    "nrrd in micrometres": (nrrd(voxels(), oblique(), extra='space units: "um" "um" "um"'), "a header in mm"),
    "nrrd in bzip2": (nrrd(voxels(), oblique()).replace(b"encoding: raw", b"encoding: bz2"), "encoding bz2"),
    "nrrd of blocks": (nrrd(voxels(), oblique()).replace(b"type: int16", b"type: block"), "header"),
    "nrrd without an end": (nrrd(voxels(), oblique())[:60], "header"),
    "nrrd of negative size": (nrrd(voxels(), oblique()).replace(b"5 6 7", b"5 -6 -7"), "sizes"),
    "nrrd of two layers": (_layers(), "3-D"),
    "nrrd elsewhere": (nrrd(voxels(), oblique(), extra="data file: ../secret.raw"), "in the folder"),
    "nrrd at the root": (nrrd(voxels(), oblique(), extra="data file: /etc/passwd"), "in the folder"),
    "nrrd in many files": (nrrd(voxels(), oblique(), extra="data file: slice%03d.raw 1 7 1"), "one file"),
    "meta of 64 TB": (meta(voxels(), oblique(), DimSize="90000 90000 9000"), "voxels"),
    "meta that is cut": (meta(voxels(), oblique())[:-9], "requires"),
    "meta of text": (meta(voxels(), oblique(), BinaryData="False"), "BinaryData False"),
    "meta of colours": (
        meta(voxels("uint8"), oblique(), ElementNumberOfChannels=2, ElementType="MET_UCHAR"),
        "requires",
    ),
    "meta without a type": (meta(voxels(), oblique(), ElementType=None), "ElementType"),
    "meta of a type that is not known": (meta(voxels(), oblique(), ElementType="MET_OTHER"), "MET_OTHER"),
    "meta elsewhere": (meta(voxels(), oblique(), ElementDataFile="../secret.raw"), "in the folder"),
    "meta in many files": (meta(voxels(), oblique(), ElementDataFile="LIST"), "one file"),
    "meta in micrometres": (meta(voxels(), oblique(), DistanceUnits="um"), "a header in mm"),
    "meta of no size": (meta(voxels(), oblique(), ElementSpacing="0 0 0"), "0 x 0 x 0"),
    "meta of negative size": (meta(voxels(), oblique(), ElementSpacing="-1 1 1"), "-1 x 1 x 1"),
    "meta of two sizes": (meta(voxels(), oblique(), ElementSpacing="1 1"), "1 x 1"),
    "meta cut in its compressed voxels": (_compressed()[:-40], "truncated"),
    "meta that is compressed and is not": (meta(voxels(), oblique(), CompressedData="True"), "truncated"),
    "meta of no compressed size": (_compressed(CompressedDataSize=None), "unknown size"),
    "meta of a compressed size that is too large": (_compressed(CompressedDataSize=10**12), "unknown size"),
    "meta with a header in front that is too long": (meta(voxels(), oblique(), HeaderSize=10**9), "HeaderSize"),
    "meta with a line that is too long": (meta(voxels(), oblique(), Name="x" * 9000), "9007 characters"),
    "meta that unpacks to less": (_compressed(DimSize="5 6 70"), "truncated"),
    "meta that unpacks to more": (_compressed(DimSize="5 6 3"), "truncated"),
    "mgh of 64 TB": (b"\0\0\0\1" + b"\0\1\0\0" * 3 + b"\0\0\0\1" + bytes(600), "voxels"),
    "mgh that is cut": (nib.MGHImage(voxels("int32"), oblique()).to_bytes()[:-300], "requires"),
    "nrrd in gzip": (gzip.compress(nrrd(voxels(), oblique())), "unpack"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_header_that_lies_is_three_lines(tmp_path, kind, capfd):
    content, words = BAD[kind]
    (tmp_path / "secret.raw").write_bytes(bytes(10_000))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.nrrd").write_bytes(content)
    with raises_three_lines(ImageError, "bad.nrrd", words):
        load_image(tmp_path / "in" / "bad.nrrd")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content", [meta(voxels(), oblique(), Offset=None), nrrd(voxels(), oblique()).replace(b"space origin", b"# origin")]
)
def test_a_scan_without_a_place_is_said_to_be_at_zero(tmp_path, content):
    (tmp_path / "placeless").write_bytes(content)
    with collect_warnings() as remarks:
        found = load_image(tmp_path / "placeless")
    assert np.allclose(found.affine[:3, 3], 0) and remarks == ["placeless has no origin and is placed at 0 0 0"]


@pytest.mark.parametrize("front", [0, 77])
def test_voxels_in_a_file_of_their_own_begin_where_the_header_says(tmp_path, front):
    apart = {
        "a.mhd": meta(voxels(), oblique(), ElementDataFile="a.raw", HeaderSize=front),
        "a.nhdr": nrrd(voxels(), oblique(), extra=f"byte skip: {front}\ndata file: a.raw")[: -voxels().nbytes],
    }
    for name, content in apart.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / "a.raw").write_bytes(b"\7" * front + voxels().tobytes("F"))
        assert_holds(load_image(tmp_path / name), voxels(), oblique())
        for more in (b"\7" * 30, bytes(30)):
            (tmp_path / "a.raw").write_bytes(b"\7" * front + more + voxels().tobytes("F"))
            with raises_three_lines(ImageError, "30 bytes more", "a.raw"):
                load_image(tmp_path / name)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "b.img"])
def test_bytes_before_or_behind_the_voxels_are_not_taken_for_them(tmp_path, name, pack):
    whole = nib.Nifti1Image(voxels(), oblique()).to_bytes()
    head, body = whole[:352], whole[352:]
    if name == "b.img":
        nib.save(nib.Nifti1Pair(voxels(), oblique()), tmp_path / name)
        head, body = b"", (tmp_path / name).read_bytes()
    path = tmp_path / name
    for content in (head + b"\0" * 9 + body, head + body + bytes(600), head + body + b"\1"):
        path.write_bytes(pack(content))
        if name != "b.img" or pack is bytes:
            with raises_three_lines(ImageError, "more", name):
                load_image(path)
    if name == "b.img" and pack is not bytes:
        return
    path.write_bytes(pack(head + body + bytes(-len(head + body) % 512)))
    with collect_warnings() as remarks:
        assert_holds(load_image(path), voxels(), oblique())
    assert len(remarks) == 1 and "padding" in remarks[0]
    path.write_bytes(pack(head) + pack(body))  # gzip in two pieces is gzip
    assert_holds(load_image(path), voxels(), oblique())


@pytest.mark.parametrize("bits", [8, 32, 0])
def test_two_lengths_of_a_voxel_are_three_lines(tmp_path, bits):
    content = bytearray(nib.Nifti1Image(voxels(), oblique()).to_bytes())
    content[72:74] = struct.pack("<h", bits)
    (tmp_path / "a.nii").write_bytes(content)
    with raises_three_lines(ImageError, f"{bits} bits per voxel of type int16", "a.nii"):
        load_image(tmp_path / "a.nii")


@given(data=st.data())
@pytest.mark.parametrize("make", [nrrd, meta])
def test_changed_bytes_are_read_or_refused_in_three_lines(tmp_path_factory, make, data):
    content = bytearray(make(voxels(), oblique()))
    for place in data.draw(st.lists(st.integers(0, 330), max_size=4)):
        content[place] = data.draw(st.sampled_from([*b"0159 -.\n:=", 0, 0xFF]))
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), 200, 400]))])
    try:
        load_image(path)
    except ImageError as error:
        assert len(str(error).splitlines()) == 3


def test_a_link_to_voxels_outside_is_not_followed(tmp_path):
    (tmp_path / "secret.raw").write_bytes(voxels().tobytes("F"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "here.raw").symlink_to(tmp_path / "secret.raw")
    (tmp_path / "in" / "a.mhd").write_bytes(meta(voxels(), oblique(), ElementDataFile="here.raw"))
    with raises_three_lines(ImageError, "in the folder", "here.raw"):
        load_image(tmp_path / "in" / "a.mhd")


@pytest.mark.parametrize("name", ["m.nrrd", "m.mha", "m.mgz", "m.hdr"])
def test_a_mask_in_any_format_fits_its_scan(tmp_path, name):
    scan = head()
    mask = np.asarray(lesion(scan).dataobj)
    path = written(tmp_path / name, mask.astype(np.int16), straight())
    assert np.array_equal(np.asarray(load_mask(path, like=scan).dataobj), mask)
