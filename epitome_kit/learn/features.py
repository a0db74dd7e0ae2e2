"""The table of features: which of its columns are features."""

NOT_FEATURES = ("participant_id", "repeat", "fold", "role", "label", "cnn_probability")

_PROBE = "probe_"


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
    return [name for name in table.columns if name not in NOT_FEATURES and not name.startswith(_PROBE)]


def add_probe(table, name, values):
    """Add what should not be enough to tell the classes apart, such as age or the geometry of the scan.

    Parameters
    ----------
    table : DataFrame
        With ``participant_id``.
    name : str
        Of the probe, without underscores.
    values : Series or DataFrame
        Numbers, indexed by participant_id.

    Returns
    -------
    DataFrame
        A copy with columns ``probe_NAME_1``, ``probe_NAME_2``, ...
    """
    values = values.to_frame() if values.ndim == 1 else values
    matched = values.reindex(table.participant_id).to_numpy(float)
    return table.assign(**{f"{_PROBE}{name}_{number + 1}": column for number, column in enumerate(matched.T)})


def probe_columns(table):
    """Columns of each probe of a table.

    Parameters
    ----------
    table : DataFrame

    Returns
    -------
    dict of str to list of str
        By name of the probe.
    """
    probes = {}
    for column in table.columns:
        if column.startswith(_PROBE):
            probes.setdefault(column.removeprefix(_PROBE).rpartition("_")[0], []).append(column)
    return probes
