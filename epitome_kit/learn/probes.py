"""Probes: what should not suffice to tell the classes apart, and often does."""

import numpy as np
import pandas as pd

from epitome_kit.images import load_image

_SEX = {"F": 0.0, "M": 1.0}


def add_probes(features, cohort):
    """Add what a cohort knows beside the pictures: age, sex, geometry of the scans, and the size of the tumour.

    Where one of these alone scores as well as the network, the network may have
    learned no more than that.

    Parameters
    ----------
    features : DataFrame
        As :func:`epitome_kit.learn_features` returns it, or merged with others.
    cohort : Cohort

    Returns
    -------
    DataFrame
        A copy with columns of probes; a probe that is the same for everybody, or
        missing for most, is left out. The size is that of the network's own map.
    """
    people = cohort.participants
    known = {
        "age": pd.to_numeric(people["age"], errors="coerce") if "age" in people else None,
        "sex": people["sex"].map(_SEX) if "sex" in people else None,
        "geometry": pd.DataFrame.from_dict({each.id: _geometry(each) for each in cohort}, orient="index"),
    }
    for name, values in known.items():
        if values is not None and values.notna().to_numpy().mean() > 0.5 and len(values.drop_duplicates()) > 1:
            features = add_probe(features, name, values)
    if "size" in features:
        features = features.assign(**{f"{PROBE}volume_1": features["size"]})
    return features


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
    return table.assign(**{f"{PROBE}{name}_{number + 1}": column for number, column in enumerate(matched.T)})


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
        if column.startswith(PROBE):
            probes.setdefault(column.removeprefix(PROBE).rpartition("_")[0], []).append(column)
    return probes


def _geometry(subject):
    """Size of the voxels and of the grid of a subject's first scan."""
    image = load_image(next(iter(subject.images.values())), check_voxels=False)
    return np.array([*image.header.get_zooms()[:3], *image.shape[:3]], float)


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
