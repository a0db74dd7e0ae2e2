"""The flow of subjects as a figure: every count is in it, and counts that do not add up are refused."""

import pytest
from ellipsoids import words
from tiny import raises_three_lines

from epitome_kit.errors import ParameterError
from epitome_kit.plotting.flow_chart import describe_flow, flow

STAGES = [("Found", 60, {"no scan": 4}), ("Imported", 56, {"too dark": 2, "cut off": 4}), ("Preprocessed", 50, {})]
ANALYSED = {"grade 2": 30, "grade 3": 20}


def test_every_stage_and_every_reason_is_in_the_figure_with_its_count():
    text = words(flow(STAGES, ANALYSED, title="Flow of subjects: made up"))
    assert {"Flow of subjects: made up", "Found\nn = 60", "Imported\nn = 56", "Preprocessed\nn = 50"} <= set(text)
    assert {"Left out: 4\n4  no scan", "Left out: 6\n4  cut off\n2  too dark", "Left out: none"} <= set(text)
    assert {"Analysed\nn = 50", "grade 2\nn = 30", "grade 3\nn = 20"} <= set(text)


def test_the_boxes_of_the_classes_say_what_each_fold_tests():
    few = flow(STAGES, ANALYSED, folds={"grade 2": [10, 11, 9], "grade 3": [7, 7, 6]})
    assert "grade 2\nn = 30\ntest folds of 10, 11, 9" in words(few)
    many = flow(STAGES, ANALYSED, folds={"grade 2": [2] * 14 + [1, 1], "grade 3": [1] * 16})
    assert "grade 2\nn = 30\n16 test folds of 1 to 2" in words(many)


def test_a_run_that_graded_nothing_ends_with_that():
    text = words(flow(STAGES, {}))
    assert "Not analysed yet" in text
    assert "Left out: none" not in text, "nothing is known of what comes after the last stage"


def test_rare_reasons_are_put_together():
    reasons = {f"reason {number}": number for number in range(1, 8)}
    text = words(flow([("Found", 78, reasons)], ANALYSED))
    assert "Left out: 28\n7  reason 7\n6  reason 6\n5  reason 5\n4  reason 4\n6  for other reasons" in text


def test_no_box_overlaps_another_or_leaves_the_figure():
    long = {f"reason {number} that goes on and on " * 4: 7 for number in range(4)}
    figure = flow([("Screened", 116, long), ("Scanned", 88, long), *STAGES], ANALYSED)
    boxes = [patch.get_window_extent() for patch in figure.axes[0].patches]
    clashes = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert not clashes
    frame = figure.axes[0].get_window_extent()
    assert all(frame.y0 - 1 <= box.y0 and box.y1 <= frame.y1 + 1 for box in boxes)
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    inside = [any(box.contains(*_middle(text)) for box in boxes) for text in texts]
    assert all(inside)


def _middle(text):
    extent = text.get_window_extent()
    return (extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2


@pytest.mark.parametrize("analysed", [{"a": 30, "b": 21}, {"a": 30, "b": 19}])
def test_counts_that_do_not_add_up_are_refused(analysed):
    with raises_three_lines(ParameterError, "50 preprocessed", sum(analysed.values())):
        flow(STAGES, analysed)


def test_the_text_alternative_says_the_same():
    text = describe_flow(STAGES, ANALYSED)
    assert "Imported: 56; left out: 2 too dark, 4 cut off." in text
    assert text.endswith("Analysed: 50 (grade 2: 30, grade 3: 20).")
    assert describe_flow(STAGES, {}).endswith("left out: none. Not analysed yet.")
