"""Probes: what is known beside the pictures, matched by subject, and never counted as a feature."""

import numpy as np
import pandas as pd
from tiny import write_cohort

from epitome_kit.cohort import open_cohort
from epitome_kit.files import read_tsv, write_tsv
from epitome_kit.learn.probes import add_probe, add_probes, feature_columns, probe_columns


def _features(names):
    return pd.DataFrame({"participant_id": names, "fold": 1, "role": "train", "label": 0.0, "size": np.arange(4.0)})


def _cohort(tmp_path, **columns):
    root = write_cohort(tmp_path / "cohort")
    write_tsv(root / "participants.tsv", read_tsv(root / "participants.tsv").assign(**columns))
    return open_cohort(root)


def test_a_probe_is_matched_by_subject_and_is_no_feature():
    features = _features(["b", "a", "d", "c"])
    probed = add_probe(features, "age", pd.Series({"a": 1.0, "b": 2.0, "c": 3.0}))
    assert probed.probe_age_1.fillna(-1).tolist() == [2, 1, -1, 3]
    assert feature_columns(probed) == ["size"] and probe_columns(probed) == {"age": ["probe_age_1"]}
    assert "probe_age_1" not in features


def test_a_cohort_gives_age_sex_and_the_size_of_the_tumour(tmp_path):
    cohort = _cohort(tmp_path, age=[30, 40, 50, 60], sex=["F", "M", "M", "F"])
    probed = add_probes(_features(list(cohort.subjects)), cohort)
    assert set(probe_columns(probed)) == {"age", "sex", "volume"}, "every head has the same geometry"
    assert probed.probe_age_1.tolist() == [30, 40, 50, 60] and probed.probe_sex_1.tolist() == [0, 1, 1, 0]
    assert probed.probe_volume_1.tolist() == [0, 1, 2, 3]


def test_what_is_the_same_for_everybody_or_missing_for_most_is_left_out(tmp_path):
    cohort = _cohort(tmp_path, age=[30, None, None, None], sex=["F"] * 4)
    assert set(probe_columns(add_probes(_features(list(cohort.subjects)), cohort))) == {"volume"}
