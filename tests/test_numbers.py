"""Numbers as people write them: read in one way, or asked about; codes for what is missing are said."""

import numpy as np
import pandas as pd
import pytest
from tiny import raises_three_lines

from epitome_kit.errors import TableError
from epitome_kit.grade.numbers import odd_values, require_one_notation
from epitome_kit.grade.table import TableColumns, read_features


def _frame(**columns):
    return pd.DataFrame({name: texts.split() for name, texts in columns.items()}, dtype="str")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"size": "812 640 1.204 77"}, ["1.204 and 812 in column size", "--drop size"]),
        ({"size": "812 640 1.204.500"}, ["not read"]),
        ({"size": "812 640 1,204", "a": "0,5 1,25 3,75"}, ["1,204 and 812"]),
        ({"a": "0,5 1,25", "size": "1.204 2.711"}, ["0,5 in column a and 1.204 in column size"]),
        ({"size": "1.25 3.5", "a": "7,5 NA"}, ["7,5 in column a and 1.25"]),
    ],
)
def test_marks_that_can_be_read_in_two_ways_are_asked_about(columns, words):
    if words == ["not read"]:
        return require_one_notation(_frame(**columns))
    with raises_three_lines(TableError, *words):
        require_one_notation(_frame(**columns))


@pytest.mark.parametrize(
    "columns",
    [
        {"a": "1.204 2.711 0.5", "b": "812 640 1204"},
        {"a": "0,204 1,25 3", "b": "812 640 77"},
        {"a": "0.204 812 640", "b": "1.5 2.25 812"},
        {"a": "1.204 2.711 3.911"},
        {"a": "1,204 812 640", "b": "0.5 1.5 2.25"},
        {"a": "3 4 2.125"},
        {"a": "1.204 812 2640"},
    ],
)
def test_marks_that_can_be_read_in_one_way_are_not(columns):
    require_one_notation(_frame(**columns))


def test_codes_of_missing_values_and_too_large_ones_are_said():
    values = np.random.default_rng(0).normal(50, 9, 30)
    frame = pd.DataFrame({"age": values, "cells": values * 100, "z": values - 50, "one": values, "big": values})
    frame.loc[[2, 4], ["age", "cells", "z"]] = -999
    frame.loc[5, ["one", "big"]] = [-999, 1e45]
    found = odd_values(frame)
    assert [line.split(",")[0] for line in found[:3]] == [f"-999 in 2 rows of {name}" for name in ("age", "cells", "z")]
    assert len(found) == 4 and found[3].startswith("1 values of big are over 3.4e38")
    steps = pd.DataFrame({"a": np.linspace(-2000, 2000, 41), "b": np.resize([9, 99, 500, 999.0], 41)})
    assert not odd_values(steps)


def _table():
    rng = np.random.default_rng(1)
    return pd.DataFrame({"a": rng.normal(size=40), "b": rng.normal(size=40), "kind": ["x", "y"] * 20})


@pytest.mark.parametrize("word", ["NA", "None", "-", "?"])
def test_a_class_that_may_mean_missing_is_asked_about(word):
    with raises_three_lines(TableError, repr(word), "word"):
        read_features(_table().replace("y", word), TableColumns(label="kind"))
    assert read_features(_table().replace({"x": "+", "y": "-"}), TableColumns(label="kind"))[1]["classes"] == ["+", "-"]


def test_a_word_that_was_read_as_no_label_is_said():
    table = _table()
    table.loc[:3, "kind"] = "None"
    _, notes = read_features(table, TableColumns(label="kind"))
    assert notes["reading"] == ["'None' in column kind was read as no label"]


def test_cells_of_several_values_and_no_cells_are_three_lines():
    for cell in ([1, 2], {"k": 1}, np.zeros(2)):
        with raises_three_lines(TableError, "column c", "one value per cell"):
            read_features(_table().assign(c=[cell] * 40), TableColumns(label="kind"))
    with raises_three_lines(TableError, "0 rows and 0 columns"):
        read_features(pd.DataFrame(), TableColumns(label="kind"))


def test_columns_of_times_and_categories_are_left_out_and_said():
    times = pd.Series(pd.date_range("2019-03-01", periods=40))
    table = _table().assign(when=times, long=times - times[0], kind_of=pd.Categorical(["p", "p", "q", "q"] * 10))
    assert read_features(table, TableColumns(label="kind"))[1]["not_numbers"] == ["when", "long", "kind_of"]
