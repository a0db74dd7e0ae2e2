"""Offer a grader only the features that a second scan would leave as they are, fold by fold."""

import warnings

import numpy as np
import pandas as pd

from epitome_kit.errors import EpitomeWarning, ParameterError
from epitome_kit.files import Json
from epitome_kit.learn.probes import feature_columns

LEAST_ICC = 0.75
"""Least ICC of a feature that is offered; Koo and Li call reliability from here on good."""

FEWEST = 10
"""Number of features that are always offered: the most reliable ones."""


def offer_reliable(
    table: pd.DataFrame, reliability: pd.DataFrame | None, least_icc: float | None = LEAST_ICC
) -> pd.DataFrame:
    """Remove the values of unreliable features from the rows of each fold, before it is graded.

    A feature without any value in a fold is constant once missing values are imputed, so
    no method selects it there, for no model, baseline or permutation.

    Parameters
    ----------
    table : DataFrame
        Rows of every subject in every fold, as for
        :func:`epitome_kit.grade.nested.grade_fold`.
    reliability : DataFrame or None
        From :func:`epitome_kit.learn.feature_reliability`, computed from the training
        subjects of each fold: ``fold``, ``feature``, ``icc``. None returns the table as it
        is.
    least_icc : float or None, default=0.75
        Least ICC of a feature that is offered; None returns the table as it is. The
        :data:`FEWEST` best features of each fold are offered in any case, as are features
        that `reliability` does not list.

    Returns
    -------
    DataFrame
        A copy with missing values.

    Raises
    ------
    ParameterError
        `reliability` lists no feature of a fold.

    See Also
    --------
    grade_features : Grade the table.

    Notes
    -----
    On phantoms the filter did not help: it changed the AUC of the network by 0.006 (95 %
    interval -0.012 to 0.023) in one cohort of 48, and over 27 simulated training sets of
    38 subjects that of a logistic regression by -0.005 (-0.012 to 0.002).

    References
    ----------
    Koo and Li, J Chiropr Med 2016, doi:10.1016/j.jcm.2016.02.012
    Zwanenburg et al., Sci Rep 2019, doi:10.1038/s41598-018-36938-4

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> names = [f"f{number}" for number in range(12)]
    >>> table = pd.DataFrame(np.ones((4, 12)), columns=names).assign(participant_id=list("abcd"), fold=1)
    >>> icc = pd.DataFrame({"fold": 1, "feature": names, "icc": [0.1] + 11 * [0.9]})
    >>> offer_reliable(table, icc).f0.notna().any()
    np.False_
    """
    if reliability is None or least_icc is None:
        return table
    names = feature_columns(table)
    offered = table.astype(dict.fromkeys(names, float))
    listed = reliability[reliability.feature.isin(names)]
    if missing := sorted(set(table.fold) - set(listed.fold)):
        received = f"none for fold {missing[0]}"
        raise ParameterError("grade", "the ICC of features in every fold", received, "use that of the same workspace")
    for fold, rows in listed.groupby("fold"):
        ordered = rows.sort_values("icc", ascending=False, kind="stable")
        reliable, fewest = int((ordered.icc >= least_icc).sum()), FEWEST - (len(names) - len(ordered))
        if reliable < (kept := min(fewest, len(ordered))):
            text = f"fold {fold}: {reliable} features have an ICC of {least_icc:g} or more; the best {kept} are kept"
            warnings.warn(text, EpitomeWarning, stacklevel=2)
        offered.loc[offered.fold == fold, ordered.feature[max(reliable, fewest) :].tolist()] = np.nan
    return offered


def count_offered(table: pd.DataFrame) -> Json:
    """Count the features of a table that have a value, for ``scores.json``.

    Parameters
    ----------
    table : DataFrame
        Table that is graded, such as from :func:`offer_reliable`.

    Returns
    -------
    dict
        ``offered``, the number of features that have a value in at least one fold; if any
        has none, also ``dropped``, the number of features without a value in each fold.
    """
    offered = table[feature_columns(table)].notna().groupby(table.fold).any()
    dropped = (~offered).sum(axis=1)
    by_fold = {str(fold): int(count) for fold, count in dropped.items()}
    return {"offered": int(offered.any().sum()), **({"dropped": by_fold} if dropped.any() else {})}
