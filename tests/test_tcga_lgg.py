"""TCGA-LGG slices: any way they are packed, whole patients in, broken ones out by name."""

import io
import os
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import raises_three_lines

from epitome_kit.cohort import image_path
from epitome_kit.errors import CohortError, EpitomeWarning, OutputError, ParameterError, collect_warnings
from epitome_kit.files import read_json
from epitome_kit.images import axis_codes, load_image, load_mask, same_grid, save_image, voxel_size_known
from epitome_kit.sidecars import sidecar_path
from epitome_kit.sources.tcga_lgg import import_tcga_lgg

FIRST, SECOND, THIRD = (f"TCGA_AB_{number}_19990101" for number in ("1111", "2222", "A333"))
IDS = ["sub-AB1111", "sub-AB2222", "sub-ABA333"]


def slice_pixels(number, *, shape=(20, 24), copies=()):
    """Slice `number` of a scan: channel c at (row, column) is told apart from every other place."""
    rows, columns = np.indices(shape)
    pixels = np.stack([rows + 3 * columns + 5 * number, 2 * rows + columns + number, 100 + rows - columns], axis=-1)
    for channel in copies:
        pixels[..., channel] = pixels[..., 1]
    return pixels.astype(np.uint8)


def mask_pixels(number, *, shape=(20, 24)):
    """A mask of the rows 5 and 6, columns 7 to 9, on slices 3 and 4."""
    pixels = np.zeros(shape, np.uint8)
    pixels[5:7, 7:10] = 255 * (number in (3, 4))
    return pixels


def tiff(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "TIFF")
    return stream.getvalue()


def patient(folder, *, slices=12, **options):
    """Files of one patient: path from the folder of patients to content."""
    numbers = range(1, slices + 1)
    scans = {f"{folder}/{folder}_{n}.tif": tiff(slice_pixels(n, **options)) for n in numbers}
    return scans | {f"{folder}/{folder}_{n}_mask.tif": tiff(mask_pixels(n)) for n in numbers}


TABLE = (
    "Patient,histological_type,neoplasm_histologic_grade,gender,age_at_initial_pathologic\n"
    "TCGA_AB_1111,1,1,1,31\nTCGA_AB_2222,3,2,2,62\nTCGA_AB_A333,,,,\nTCGA_ZZ_9999,2,2,1,50\n"
)


def write_folder(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_zip(path, files, *, prefixes=("",)):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for prefix in prefixes:
            for name, content in files.items():
                archive.writestr(prefix + name, content)
    return path


def three_patients():
    return patient(FIRST) | patient(SECOND, copies=[0]) | patient(THIRD, copies=[0, 2]) | {"data.csv": TABLE.encode()}


@pytest.fixture
def source(tmp_path):
    return write_folder(tmp_path / "kaggle_3m", three_patients())


def _packed(tmp_path, how):
    files, table = three_patients(), {"data.csv": TABLE.encode()}
    if how == "folder":
        return write_folder(tmp_path / "in", files)
    if how == "nested folder":
        return write_folder(tmp_path / "in" / "kaggle_3m", files).parent
    if how == "zip":
        return write_zip(tmp_path / "archive.zip", files, prefixes=["kaggle_3m/"])
    if how == "zip with every file twice":
        return write_zip(tmp_path / "archive.zip", files, prefixes=["kaggle_3m/", "lgg-mri-segmentation/kaggle_3m/"])
    if how == "zip beside its table":
        write_folder(tmp_path, table)
        return write_zip(tmp_path / "archive.zip", {name: files[name] for name in files if name != "data.csv"})
    write_zip(tmp_path / "in" / "one.zip", patient(FIRST) | patient(SECOND, copies=[0]))
    write_zip(tmp_path / "in" / "two.zip", patient(THIRD, copies=[0, 2]))
    return write_folder(tmp_path / "in", table)


PACKINGS = ["folder", "nested folder", "zip", "zip with every file twice", "zip beside its table", "folder of zips"]


@pytest.mark.parametrize("how", PACKINGS)
def test_every_packing_gives_the_same_cohort(tmp_path, how):
    cohort = import_tcga_lgg(_packed(tmp_path, how), tmp_path / "out")
    assert list(cohort.subjects) == IDS and cohort.excluded.empty
    assert [list(subject.images) for subject in cohort] == [["T1w", "T1ce", "FLAIR"], ["T1ce", "FLAIR"], ["FLAIR"]]
    assert cohort.participants.grade.tolist()[:2] == [2, 3]
    assert cohort.participants.source_id.tolist() == [FIRST, SECOND, THIRD]


def test_voxels_lie_where_the_slices_say(source, tmp_path):
    subject = import_tcga_lgg(source, tmp_path / "out")["sub-AB1111"]
    for contrast, channel in (("T1w", 0), ("FLAIR", 1), ("T1ce", 2)):
        image = load_image(subject.images[contrast])
        data = np.asarray(image.dataobj)
        assert image.shape == (24, 20, 12) and data.dtype == np.uint8
        assert axis_codes(image) == "LPS" and not voxel_size_known(image)
        for number in (1, 2, 10, 12):
            assert np.array_equal(data[:, :, number - 1].T, slice_pixels(number)[..., channel])
        assert read_json(subject.images[contrast].with_suffix("").with_suffix(".json"))["CoregisteredAtOrigin"] is True
    assert subject.annotated_on == "FLAIR" and subject.annotated_slices is None
    mask = load_mask(subject.annotation, like=load_image(subject.images["FLAIR"]))
    assert np.argwhere(np.asarray(mask.dataobj)).min(0).tolist() == [7, 5, 2]
    assert np.argwhere(np.asarray(mask.dataobj)).max(0).tolist() == [9, 6, 3]
    assert not voxel_size_known(load_image(subject.annotation, check_voxels=False))


def test_all_contrasts_share_one_grid(source, tmp_path):
    images = [load_image(path) for path in import_tcga_lgg(source, tmp_path / "out")["sub-AB1111"].images.values()]
    assert all(same_grid(image, images[0]) for image in images) and len(images) == 3


def test_codes_become_words_and_what_is_missing_stays_missing(source, tmp_path):
    table = import_tcga_lgg(source, tmp_path / "out").participants
    assert table.histology.tolist()[:2] == ["astrocytoma", "oligodendroglioma"]
    assert table.sex.tolist()[:2] == ["F", "M"] and table.age.tolist()[:2] == [31, 62]
    assert table.loc["sub-ABA333", ["grade", "histology", "sex", "age"]].isna().all()
    assert table.codeletion.isna().all()
    lines = (tmp_path / "out" / "participants.tsv").read_text().splitlines()
    assert lines[1] == f"sub-AB1111\t2\tn/a\tastrocytoma\t31\tF\t{FIRST}"


def test_without_a_table_there_are_no_labels_and_the_readme_says_so(source, tmp_path):
    (source / "data.csv").unlink()
    cohort = import_tcga_lgg(source, tmp_path / "out")
    assert len(cohort) == 3 and cohort.participants.grade.isna().all()
    assert "No data.csv" in (cohort.root / "README.md").read_text()


def test_unknown_codes_and_rows_that_differ_give_no_label(source, tmp_path):
    (source / "data.csv").write_text(
        "Patient,neoplasm_histologic_grade\nTCGA_AB_1111,7\nTCGA_AB_2222,1\nTCGA_AB_2222,2\nTCGA_AB_A333,2\nTCGA_AB_A333,2\n"
    )
    grades = import_tcga_lgg(source, tmp_path / "out").participants.grade
    assert grades[:2].isna().all() and grades["sub-ABA333"] == 3


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\xff", b"Patient,x\na,1,2\n"])
def test_a_damaged_table_is_three_lines(source, tmp_path, content):
    (source / "data.csv").write_bytes(content)
    with raises_three_lines(CohortError, "data.csv", "`Patient`"):
        import_tcga_lgg(source, tmp_path / "out")


def _spoil(source, what):
    """Damage the second patient; return words that the reason must have."""
    stem = source / SECOND / SECOND
    damage = {
        "gap": lambda: [stem.with_name(f"{SECOND}_5{end}.tif").unlink() for end in ("", "_mask")],
        "no first slice": lambda: [stem.with_name(f"{SECOND}_1{end}.tif").unlink() for end in ("", "_mask")],
        "no mask": lambda: stem.with_name(f"{SECOND}_6_mask.tif").unlink(),
        "number twice": lambda: shutil.copy(f"{stem}_3.tif", f"{stem}_03.tif"),
        "few slices": lambda: [path.unlink() for path in (source / SECOND).iterdir() if "_1" not in path.name[-12:]],
        "sizes": lambda: stem.with_name(f"{SECOND}_4.tif").write_bytes(tiff(slice_pixels(4, shape=(20, 23)))),
        "grey scan": lambda: stem.with_name(f"{SECOND}_4.tif").write_bytes(tiff(mask_pixels(4))),
        "colour mask": lambda: stem.with_name(f"{SECOND}_4_mask.tif").write_bytes(tiff(slice_pixels(4))),
        "no tiff": lambda: stem.with_name(f"{SECOND}_4.tif").write_bytes(b"not a picture"),
        "truncated": lambda: stem.with_name(f"{SECOND}_4.tif").write_bytes(tiff(slice_pixels(4))[:200]),
        "huge file": lambda: stem.with_name(f"{SECOND}_4.tif").write_bytes(bytes(2**24 + 1)),
        "huge picture": lambda: stem.with_name(f"{SECOND}_4.tif").write_bytes(tiff(np.zeros((8, 1025, 3), np.uint8))),
        "black": lambda: [
            path.write_bytes(tiff(np.zeros((20, 24, 3), np.uint8)))
            for path in (source / SECOND).iterdir()
            if "mask" not in path.name
        ],
    }
    damage[what]()


REASONS = {
    "gap": ["slice 5 missing"],
    "no first slice": ["slice 1 missing"],
    "no mask": ["one mask a slice", "slice 6"],
    "number twice": ["twice"],
    "few slices": ["8 to 512 slices"],
    "sizes": ["one size", "(20, 23)"],
    "grey scan": ["three-channel", "mode L", "_4.tif"],
    "colour mask": ["grey mask", "mode RGB", "_4_mask.tif"],
    "no tiff": ["readable TIFF", "_4.tif"],
    "truncated": ["readable TIFF", "_4.tif"],
    "huge file": ["16 MB", "_4.tif"],
    "huge picture": ["1024 pixels", "1025"],
    "black": ["every voxel equal to 0"],
}


@pytest.mark.parametrize("what", REASONS)
def test_a_broken_patient_is_left_out_by_name_and_the_rest_goes_on(source, tmp_path, what):
    _spoil(source, what)
    cohort = import_tcga_lgg(source, tmp_path / "out")
    assert list(cohort.subjects) == ["sub-AB1111", "sub-ABA333"] == list(cohort.participants.index)
    ((name, reason),) = cohort.excluded.to_numpy().tolist()
    assert name == SECOND
    assert all(word in reason for word in REASONS[what]), reason


def test_a_damaged_zip_and_a_damaged_member_are_left_out_by_name(tmp_path):
    good = write_zip(tmp_path / "in" / "good.zip", patient(FIRST) | patient(SECOND)).read_bytes()
    place = good.index(f"{SECOND}_7.tif".encode()) + len(f"{SECOND}_7.tif") + 10
    (tmp_path / "in" / "good.zip").write_bytes(good[:place] + bytes(20) + good[place + 20 :])
    (tmp_path / "in" / "torn.zip").write_bytes(good[: len(good) // 2])
    cohort = import_tcga_lgg(tmp_path / "in", tmp_path / "out")
    assert list(cohort.subjects) == ["sub-AB1111"]
    reasons = dict(cohort.excluded.to_numpy().tolist())
    assert set(reasons) == {SECOND, "torn.zip"}
    assert f"{SECOND}_7.tif" in reasons[SECOND] and "readable zip" in reasons["torn.zip"]


def test_nothing_is_written_where_a_name_in_the_zip_points(tmp_path):
    files = {f"../../../escape/{name}": content for name, content in patient(FIRST).items()}
    cohort = import_tcga_lgg(write_zip(tmp_path / "in" / "a.zip", files), tmp_path / "deep" / "out")
    assert list(cohort.subjects) == ["sub-AB1111"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "in"]


def test_of_two_copies_the_fuller_is_taken(tmp_path):
    torn = {name: content for name, content in patient(FIRST).items() if "_9" not in name}
    write_folder(tmp_path / "in" / "a", torn)
    write_folder(tmp_path / "in" / "b", patient(FIRST))
    assert list(import_tcga_lgg(tmp_path / "in", tmp_path / "out").subjects) == ["sub-AB1111"]


def test_a_second_exam_of_a_patient_is_left_out(source, tmp_path):
    later = FIRST.replace("1999", "2005")
    write_folder(source, patient(later))
    cohort = import_tcga_lgg(source, tmp_path / "out")
    assert cohort.participants.source_id["sub-AB1111"] == FIRST
    ((name, reason),) = cohort.excluded.to_numpy().tolist()
    assert name == later and FIRST in reason


def test_an_import_goes_on_where_it_stopped(source, tmp_path):
    out = tmp_path / "out"
    import_tcga_lgg(source, out)
    kept, torn = image_path(out, "sub-AB1111", "T1w"), image_path(out, "sub-AB2222", "FLAIR")
    before = kept.stat().st_mtime_ns
    torn.unlink()
    cohort = import_tcga_lgg(source, out)
    assert kept.stat().st_mtime_ns == before
    assert torn.is_file() and len(cohort) == 3 and len(cohort.participants) == 3


def test_another_slice_or_a_damaged_sidecar_imports_its_patient_again_and_says_why(source, tmp_path):
    out = tmp_path / "out"
    import_tcga_lgg(source, out)
    kept = [image_path(out, name, "FLAIR").stat().st_mtime_ns for name in ("sub-AB1111", "sub-AB2222")]
    with collect_warnings() as remarks:
        import_tcga_lgg(source, out)
    assert not [text for text in remarks if "again" in text]
    mask = next(path for path in source.rglob(f"{FIRST}_*_mask.tif"))
    other = next(path for path in source.rglob(f"{FIRST}_*_mask.tif") if path.read_bytes() != mask.read_bytes())
    mask.write_bytes(other.read_bytes())
    with collect_warnings() as remarks:
        import_tcga_lgg(source, out)
    assert [text for text in remarks if "again" in text] == [
        "import: 1 of 3 computed again: its files changed, or how they are taken"
    ]
    now = [image_path(out, name, "FLAIR").stat().st_mtime_ns for name in ("sub-AB1111", "sub-AB2222")]
    assert now[0] != kept[0] and now[1] == kept[1]
    sidecar_path(image_path(out, "sub-AB2222", "FLAIR")).write_text("{")
    with collect_warnings() as remarks:
        assert len(import_tcga_lgg(source, out)) == 3
    assert "sub-AB2222_FLAIR.json cannot be read" in " ".join(remarks)


def test_a_patient_that_was_interrupted_is_not_taken_for_finished(source, tmp_path, monkeypatch):
    def interrupted(image, path):
        if "ce-gadolinium" in path.name:
            raise KeyboardInterrupt
        save_image(image, path)

    monkeypatch.setattr("epitome_kit.sources.tcga_lgg.save_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_tcga_lgg(source, tmp_path / "out")
    monkeypatch.undo()
    assert list(import_tcga_lgg(source, tmp_path / "out")["sub-AB1111"].images) == ["T1w", "T1ce", "FLAIR"]


def test_workers_change_nothing(source, tmp_path):
    one, two = (import_tcga_lgg(source, tmp_path / str(workers), workers=workers) for workers in (1, 2))
    pd.testing.assert_frame_equal(one.participants, two.participants)
    for subject in one:
        for contrast, path in subject.images.items():
            other = load_image(two[subject.id].images[contrast])
            assert np.array_equal(np.asarray(load_image(path).dataobj), np.asarray(other.dataobj))


def test_no_worker_is_three_lines(source, tmp_path):
    with raises_three_lines(ParameterError, "workers=0"):
        import_tcga_lgg(source, tmp_path / "out", workers=0)


@pytest.mark.parametrize("content", [None, {}, {"notes.txt": b"", "brain/scan.tif": b""}])
def test_a_source_without_patients_is_three_lines(tmp_path, content):
    source = tmp_path / "in"
    if content is not None:
        source.mkdir()
        write_folder(source, content)
    with raises_three_lines(CohortError, source):
        import_tcga_lgg(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_zip_is_three_lines(tmp_path):
    (tmp_path / "a.zip").write_text("no zip")
    with raises_three_lines(CohortError, "a.zip", "readable zip"):
        import_tcga_lgg(tmp_path / "a.zip", tmp_path / "out")


def test_a_pipe_and_a_link_to_itself_are_three_lines(source, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, words in {"pipe": "neither a folder nor a file", "loop": "does not exist"}.items():
        with raises_three_lines(CohortError, tmp_path / name, words):
            import_tcga_lgg(tmp_path / name, tmp_path / "out")
    with raises_three_lines(OutputError, tmp_path / "loop"):
        import_tcga_lgg(source, tmp_path / "loop")


def test_when_every_patient_is_broken_it_is_three_lines(tmp_path):
    source = write_folder(tmp_path / "in", patient(FIRST, slices=3))
    with raises_three_lines(CohortError, FIRST, "3 slices", source):
        import_tcga_lgg(source, tmp_path / "out")


def test_output_inside_the_source_is_three_lines(source):
    with raises_three_lines(ParameterError, source):
        import_tcga_lgg(source, source / "out")


def test_output_with_other_subjects_is_three_lines(source, tmp_path):
    (tmp_path / "out" / "sub-other" / "anat").mkdir(parents=True)
    with raises_three_lines(OutputError, "sub-other", tmp_path / "out"):
        import_tcga_lgg(source, tmp_path / "out")


@pytest.mark.parametrize("out", ["taken", "taken/deeper", "/proc/epitome"])
def test_unwritable_output_is_three_lines(source, tmp_path, out):
    (tmp_path / "taken").write_text("a file")
    with raises_three_lines(OutputError, tmp_path / out):
        import_tcga_lgg(source, tmp_path / out)


def test_names_in_any_case_and_links_to_patient_folders_are_found(tmp_path):
    store, source = tmp_path / "store", tmp_path / "in"
    files = patient(FIRST) | {name.lower(): content for name, content in patient(SECOND).items()}
    renamed = {"renamed/" + name.split("/")[1]: content for name, content in patient(THIRD).items()}
    write_folder(store, {name.replace(".tif", ".TIFF"): content for name, content in (files | renamed).items()})
    source.mkdir()
    for folder in store.iterdir():
        (source / folder.name).symlink_to(folder)
        write_folder(folder, {"._x_1.tif": b"Mac", ".DS_Store": b"Mac"})
    (source / "Data.CSV").write_text(TABLE.replace(",", ";").replace("TCGA_AB_2222", "tcga-ab-2222"), encoding="utf-16")
    cohort = import_tcga_lgg(source, tmp_path / "out")
    assert list(cohort.subjects) == IDS and cohort.participants.grade.tolist()[:2] == [2, 3]
    assert cohort.participants.source_id.tolist() == [FIRST, SECOND, THIRD]


def _ledger(cohort, kind):
    rows = cohort.ledger[cohort.ledger.kind == kind]
    return {row.source: row.taken_as or row.reason for row in rows.itertuples()}


def test_the_ledger_tells_of_every_channel_copy_and_stray_file(source, tmp_path):
    write_folder(source / "again", {name: content for name, content in patient(FIRST).items() if "_12" not in name})
    write_folder(source, {f"{FIRST}/notes.png": b"x", "survival.csv": b"a,b"})
    (source / "gone.tif").symlink_to("nowhere.tif")
    cohort = import_tcga_lgg(source, tmp_path / "out")
    scans, masks, files = (_ledger(cohort, kind) for kind in ("scan", "mask", "file"))
    copies = {name: said for name, said in scans.items() if name.startswith(SECOND)}
    assert copies == {
        f"{SECOND}, channel 1": "a copy of FLAIR, in the place of a missing T1w",
        f"{SECOND}, channel 2": "FLAIR",
        f"{SECOND}, channel 3": "T1ce",
    }
    assert len(scans) == 10 and f"{FIRST} is taken" in scans[f"again/{FIRST}"]
    assert set(masks.values()) == {"tumour"} and len(masks) == 3
    assert "a broken link" in files["gone.tif"] and "not named as a slice" in files[f"{FIRST}/notes.png"]
    assert _ledger(cohort, "table") == {"data.csv": "labels", "survival.csv": "not named `data.csv`"}


def test_the_ledger_tells_of_every_row_of_the_table(source, tmp_path):
    (source / "data.csv").write_text(
        "Patient,neoplasm_histologic_grade,gender\nTCGA_AB_1111,7,1\nTCGA_AB_2222,1,1\nTCGA_AB_2222,2,1\nTCGA_ZZ_9,1,1\n"
    )
    with pytest.warns(EpitomeWarning, match=r"data.csv is there, but gives no subject a grade"):
        cohort = import_tcga_lgg(source, tmp_path / "out")
    assert list(_ledger(cohort, "label").items()) == [
        ("data.csv, row 1, TCGA_AB_1111", "sex"),
        ("data.csv, row 2, TCGA_AB_2222", "rows of this patient differ: none is taken"),
        ("data.csv, row 3, TCGA_AB_2222", "rows of this patient differ: none is taken"),
        ("data.csv, row 4, TCGA_ZZ_9", "no such patient among the scans that were taken"),
        ("data.csv", "no column age_at_initial_pathologic in the table"),
        ("TCGA_AB_A333", "no row in the table"),
    ]
    assert "not understood: neoplasm_histologic_grade 7" in set(cohort.ledger.reason)


def test_two_tables_that_differ_are_not_chosen_from(source, tmp_path):
    write_folder(source / "other", {"data.csv": TABLE.encode()})
    assert len(import_tcga_lgg(source, tmp_path / "same")) == 3
    write_folder(source / "other", {"data.csv": TABLE.replace("1,1,1,31", "1,2,1,31").encode()})
    with raises_three_lines(CohortError, "other/data.csv", "differ"):
        import_tcga_lgg(source, tmp_path / "out")


def test_a_folder_of_something_else_says_what_is_in_it(tmp_path):
    write_folder(tmp_path / "in", {"brain/scan.tif": b"x", "p/scan.nii.gz": b"x"})
    with raises_three_lines(CohortError, "brain/scan.tif", "p/scan.nii.gz", "not named as a slice"):
        import_tcga_lgg(tmp_path / "in", tmp_path / "out")
