"""The table of features: which of its columns are features."""

NOT_FEATURES = ("participant_id", "fold", "role", "label", "cnn_probability")


def feature_columns(table):
    """List the features of a table as :func:`epitome_kit.learn_features` gives it.

    Parameters
    ----------
    table : DataFrame

    Returns
    -------
    list of str
    """
    return [name for name in table.columns if name not in NOT_FEATURES]
