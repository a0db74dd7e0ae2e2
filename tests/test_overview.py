"""The kit at a glance: five panels, with the figures that were measured."""

import nibabel as nib
import numpy as np
import pandas as pd

from epitome_kit.plotting.overview import HEAD_MM, TUMOUR_MM, five_steps


def test_the_five_steps_show_one_tumour_and_the_score():
    i, j, k = np.mgrid[:60, :70, :50]
    head = ((i - 30) / 28) ** 2 + ((j - 35) / 33) ** 2 + ((k - 25) / 24) ** 2 < 1
    tumour = (i - 40) ** 2 + (j - 45) ** 2 + (k - 30) ** 2 < 36
    scan, mask = (
        nib.Nifti1Image(each.astype(np.float32), np.diag([3, 3, 3, 1])) for each in (head + 1.0 * tumour, tumour)
    )
    answers = pd.DataFrame({"label": [0, 0, 1, 1], "probability": [0.1, 0.6, 0.4, 0.9]})
    figure = five_steps(scan, mask, scan, mask, mask, {"auc": 0.75}, answers, captions=[*"abcde"])
    inspect, _, _, grade, extract = figure.axes
    assert [text.get_text() for text in figure.texts[::2]] == [
        *("1  Inspect", "2  Preprocess", "3  Learn", "4  Grade", "5  Extract")
    ]
    assert [text.get_text() for text in figure.texts[1::2]] == [*"abcde"]
    assert [text.get_text() for text in grade.texts] == ["AUC 0.75"]
    for panel, height in ((inspect, HEAD_MM), (extract, TUMOUR_MM)):
        assert np.isclose(np.ptp(panel.get_ylim()), height)
    # The patient's right is on the left, the front on top; the tumour, 6 voxels about (40, 45), fills the last panel.
    assert np.isclose(np.mean(extract.get_xlim()), (60 - 40.5) * 3) and np.isclose(
        np.mean(extract.get_ylim()), (70 - 45.5) * 3
    )
    (bar,) = extract.get_lines()
    assert np.ptp(bar.get_xdata()) == 20
