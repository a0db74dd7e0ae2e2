"""The table of features: which of its columns are features."""

GROUP = "group_id"
"""Column of what several rows have in common, such as the patient of a scan; tables of one row a subject have none."""

NOT_FEATURES = ("participant_id", "repeat", "fold", "role", "label", "cnn_probability", GROUP)

PROBE = "probe_"
"""How the columns of probes begin; see :mod:`epitome_kit.learn.probes`."""


def feature_columns(table):
    """List the features of a table as :func:`epitome_kit.learn_features` gives it.

    Parameters
    ----------
    table : DataFrame

    Returns
    -------
    list of str
        All columns that are neither in :data:`NOT_FEATURES` nor of a probe.
    """
    return [name for name in table.columns if name not in NOT_FEATURES and not name.startswith(PROBE)]
