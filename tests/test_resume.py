"""What is finished is told by content alone, and what differs is said in words."""

import os
import shutil
import warnings

import numpy as np
import pytest

from epitome_kit.errors import EpitomeWarning, collect_warnings
from epitome_kit.files import read_json, write_text
from epitome_kit.resume import Record, checksums, explain_difference, read_record, report_again, statement

SETTINGS = {"seed": 0, "steps": {"strip": {"method": "network"}, "bias": None}, "shape": (3, 4), "ratio": 0.1}


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "in" / "sub-01_T1w.nii.gz"
    write_text(path, "voxels")
    return path


@pytest.fixture
def record(tmp_path, scan):
    made = Record(tmp_path / "out" / "record.json", SETTINGS, checksums(scan), [tmp_path / "out" / "table.tsv"])
    write_text(made.outputs[0], "a\tb\n")
    return made


def test_nothing_is_finished_before_it_is_said_to_be(record):
    assert record.difference() == "" and not record.begun() and record.results() == {}
    record.begin()
    assert record.difference() == "" and record.begun() and not record.valid()
    record.finish(rows=[1, 2], score=np.float32(0.5))
    assert record.valid() and record.begun() and record.results() == {"rows": [1, 2], "score": 0.5}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"steps": {"strip": None, "bias": None}}, "steps.strip.method was network, is not stated"),
        ({"shape": [3, 5]}, "shape was [3, 4], is [3, 5]"),
        ({"ratio": np.nan}, "ratio was 0.1, is None"),
        ({"extra": True}, "extra was not stated, is True"),
    ],
)
def test_another_setting_is_named_with_both_values(record, changed, words):
    record.finish()
    other = Record(record.path, {**SETTINGS, **changed}, record.inputs, record.outputs)
    assert words in other.difference() and not other.begun() and other.results() == {}
    assert Record(record.path, {**SETTINGS, "shape": [3, 4]}, record.inputs).valid(), "a tuple is a list in JSON"


def test_more_than_three_changes_are_counted():
    found = statement(dict.fromkeys("abcde", 0), {})
    words = "a was 0, is 1, b was 0, is 1, c was 0, is 1, and 2 more"
    assert explain_difference(found, dict.fromkeys("abcde", 1), {}) == words


def test_an_input_that_changed_came_or_went_is_named(record, scan):
    record.finish()
    for now, words in [
        ({scan.name: "0" * 16}, f"input {scan.name} changed"),
        ({}, f"input {scan.name} is gone"),
        ({**record.inputs, "mask.nii.gz": "1"}, "input mask.nii.gz is new"),
    ]:
        assert Record(record.path, SETTINGS, now).difference() == words


def test_a_copy_without_its_times_is_as_good(record, scan, tmp_path):
    record.finish()
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "out", copy, copy_function=shutil.copyfile)
    for number, path in enumerate([scan, *copy.iterdir()]):
        os.utime(path, ns=(number, number))
    assert Record(copy / "record.json", SETTINGS, checksums(scan), [copy / "table.tsv"]).valid()


def test_the_same_time_and_size_do_not_hide_another_content(record, scan):
    record.finish()
    before = scan.stat()
    write_text(scan, "VOXELS")
    os.utime(scan, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert scan.stat().st_size == before.st_size
    assert Record(record.path, SETTINGS, checksums(scan)).difference() == f"input {scan.name} changed"


def test_a_result_that_was_removed_is_made_again(record):
    record.finish()
    record.outputs[0].unlink()
    assert record.difference() == "table.tsv is missing" and record.begun() and record.results() == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', '{"settings": {"seed": 0', "\x00"])
def test_a_damaged_record_is_not_finished(record, text):
    record.finish(rows=[])
    write_text(record.path, text)
    assert record.difference() == "its record cannot be read" and not record.begun() and record.results() == {}


@pytest.mark.parametrize("part", ["settings", "inputs", "finished"])
def test_a_record_of_an_earlier_version_is_not_finished(record, part):
    record.finish()
    found = read_json(record.path)
    del found[part]
    assert "earlier version" in explain_difference(found, SETTINGS, record.inputs)
    assert "earlier version" in explain_difference({**found, part: None}, SETTINGS, record.inputs) or part == "finished"


def test_two_inputs_of_one_name_are_both_looked_at(tmp_path):
    paths = [tmp_path / folder / "t1.nii" for folder in "ab"]
    for path in paths:
        write_text(path, path.parent.name)
    found = checksums(*paths, tmp_path / "none.nii")
    assert len(found) == 2 and len(set(found.values())) == 2
    write_text(paths[1], "c")
    assert checksums(*paths) != found


def test_a_first_computation_says_nothing_and_another_says_why_on_one_line():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report_again("verb", ["", None, ""])
    for differences, said in [
        (["seed was 0, is 1"], "verb: computed again: seed was 0, is 1"),
        (["a", "a", "", None], "verb: 2 of 4 computed again: a"),
        (["b", "a", "b"], "verb: 3 of 3 computed again: b (and 1 more)"),
    ]:
        with collect_warnings() as remarks:
            report_again("verb", differences)
        assert remarks == [said]
    with pytest.warns(EpitomeWarning) as caught:
        report_again("verb", ["a"], stacklevel=2)
    assert caught[0].filename == __file__


def test_there_need_not_be_a_record(tmp_path):
    assert read_record(tmp_path / "none.json") == {} == read_record(tmp_path)
