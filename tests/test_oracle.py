"""The oracle on one cohort: its AUC is that of its scores, on the subjects that were asked for."""

from dataclasses import replace

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from epitome_kit.simulate import cohort_oracle_auc


@pytest.mark.parametrize("target", ["grade", "codeletion"])
def test_it_is_the_auc_of_the_scores_in_the_cohort(phantom, target):
    latents = pd.read_csv(phantom.root / "derivatives/truth/latents.tsv", sep="\t", index_col="participant_id")
    labels = phantom.labels(target)
    expected = roc_auc_score(labels, latents.loc[labels.index, f"oracle_{target}"])
    assert cohort_oracle_auc(phantom, target) == pytest.approx(expected)
    some = [*labels.index[labels == 0][:2], *labels.index[labels == 1][:2]]
    expected = roc_auc_score(labels[some], latents.loc[some, f"oracle_{target}"])
    assert cohort_oracle_auc(phantom, target, subjects=some) == pytest.approx(expected)


def test_without_latents_or_a_second_class_there_is_none(phantom, tmp_path):
    labels = phantom.labels("grade")
    assert cohort_oracle_auc(phantom, "grade", subjects=labels.index[labels == 1]) is None
    assert cohort_oracle_auc(replace(phantom, root=tmp_path), "grade") is None
