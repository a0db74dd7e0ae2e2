"""The real spreadsheet's rows, and a real T2 of the collection under turned masks."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from made_lgg import write_nifti, write_spreadsheet

from epitome_kit.images import load_image
from epitome_kit.sources.lgg_1p19q import import_lgg_1p19q
from epitome_kit.sources.lgg_masks import fit_mask


@pytest.fixture(scope="module")
def rows(real_data):
    (path,) = (real_data / "seed-sample").glob("*.csv")
    return pd.read_csv(path, dtype=str).rename(columns={"1p19q": "1p/19q"}).drop(columns="radML_Target")


def test_every_row_of_the_spreadsheet_is_understood(rows, tmp_path):
    for name in rows.Filename:
        write_nifti(tmp_path / "in", name)
    write_spreadsheet(tmp_path / "in", rows)
    table = import_lgg_1p19q(tmp_path / "in", tmp_path / "out").participants.set_index("source_id").loc[rows.Filename]
    assert table.grade.tolist() == rows.Grade.astype(int).tolist()
    assert (table.codeletion == "codeleted").tolist() == (rows["1p/19q"] == "d/d").tolist()
    assert table.histology.tolist() == rows.Type.str.lower().tolist()


@pytest.mark.parametrize("turn", [(), 0, 1, 2, (0, 1), (1, 2), (0, 1, 2)])
def test_a_turn_of_a_real_scan_is_found(real_data, turn):
    scan = load_image(next((real_data / "seed-sample").glob("*_T2.nii.gz")))
    data = np.asarray(scan.dataobj)
    mask = np.zeros(data.shape, np.uint8)
    mask[60:80, 90:95, data.shape[2] // 3] = 1
    turned = [nib.Nifti1Image(np.flip(part, turn), scan.affine) for part in (mask, data)]
    fitted, repairs = fit_mask(*turned, scan)
    assert np.array_equal(np.asarray(fitted.dataobj), mask)
    assert bool(repairs) == (turn != ())
