"""Probes: columns that should not separate the classes but often do, such as age or voxel size."""

import numpy as np
import pandas as pd

from epitome_kit.cohort import Cohort, Subject
from epitome_kit.images import load_image

_SEX = {"F": 0.0, "M": 1.0}


def add_probes(features: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    """Add probes: age, sex, geometry of the scans and size of the tumour.

    If one of these alone scores as well as the network, the network may have
    learned nothing else.

    Parameters
    ----------
    features : DataFrame
        From :func:`epitome_kit.learn_features`, or merged with others.
    cohort : Cohort
        Cohort with the participants and scans.

    Returns
    -------
    DataFrame
        A copy with columns of probes. A probe that is constant, or missing for half
        of the subjects, is left out. The size is that of the map of the network.
    """
    participants = cohort.participants
    known = {
        "age": pd.to_numeric(participants["age"], errors="coerce") if "age" in participants else None,
        "sex": participants["sex"].map(_SEX) if "sex" in participants else None,
        "geometry": pd.DataFrame.from_dict({each.id: _geometry(each) for each in cohort}, orient="index"),
    }
    for name, values in known.items():
        if values is not None and values.notna().to_numpy().mean() > 0.5 and len(values.drop_duplicates()) > 1:
            features = add_probe(features, name, values)
    if "size" in features:
        features = features.assign(**{f"{PROBE}volume_1": features["size"]})
    return features


def add_probe(table: pd.DataFrame, name: str, values: pd.Series | pd.DataFrame) -> pd.DataFrame:
    """Add a probe, which should not separate the classes, such as age or the geometry of the scan.

    Parameters
    ----------
    table : DataFrame
        Table of features with ``participant_id``.
    name : str
        Name of the probe, without underscores.
    values : Series or DataFrame
        Numbers, indexed by participant_id.

    Returns
    -------
    DataFrame
        A copy with columns ``probe_NAME_1``, ``probe_NAME_2``, ...
    """
    frame = values.to_frame() if isinstance(values, pd.Series) else values
    matched = frame.reindex(table.participant_id).to_numpy(float)
    return table.assign(**{f"{PROBE}{name}_{number + 1}": column for number, column in enumerate(matched.T)})


def probe_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """List the columns of each probe of a table.

    Parameters
    ----------
    table : DataFrame
        Table of features.

    Returns
    -------
    dict of str to list of str
        Columns by name of the probe.
    """
    probes: dict[str, list[str]] = {}
    for column in table.columns:
        if column.startswith(PROBE):
            probes.setdefault(column.removeprefix(PROBE).rpartition("_")[0], []).append(column)
    return probes


def _geometry(subject: Subject) -> np.ndarray:
    """Return voxel size and grid of the first scan of a subject."""
    image = load_image(next(iter(subject.images.values())), check_voxels=False)
    return np.array([*image.header.get_zooms()[:3], *image.shape[:3]], float)


GROUP = "group_id"
"""Column of the group of a row, such as the patient of a scan; tables with one row per subject have none."""

NOT_FEATURES = ("participant_id", "repeat", "fold", "role", "label", "cnn_probability", GROUP)

PROBE = "probe_"
"""Prefix of the columns of probes."""


def feature_columns(table: pd.DataFrame) -> list[str]:
    """List the feature columns of a table.

    Parameters
    ----------
    table : DataFrame
        Table of features, such as from :func:`epitome_kit.learn_features`.

    Returns
    -------
    list of str
        All columns except those in :data:`NOT_FEATURES` and those of probes.
    """
    return [name for name in table.columns if name not in NOT_FEATURES and not name.startswith(PROBE)]
