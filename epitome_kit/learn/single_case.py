"""Compute the features of one new scan with the networks of a workspace."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from epitome_kit.backend import Model, load_model
from epitome_kit.errors import ParameterError
from epitome_kit.files import PathLike, checksum, read_tsv
from epitome_kit.learn.arrays import load_scans
from epitome_kit.learn.channels import read_channels
from epitome_kit.learn.cnn import feature_names
from epitome_kit.learn.explain import tumour_map
from epitome_kit.learn.handcrafted import describe_region, find_region
from epitome_kit.learn.train import fold_model_path
from epitome_kit.preprocess.derivative import Preprocessed
from epitome_kit.workspace import Workspace


def learned_features(workspace: PathLike) -> tuple[pd.DataFrame, Model, tuple[str, ...]]:
    """Read the features and the CNN of the last fold of a workspace.

    Parameters
    ----------
    workspace : path
        Workspace in which notebooks 03 and 04, or ``make run``, have been run.

    Returns
    -------
    features : DataFrame
        Training and test rows of the last fold, with the features of the CNN and the
        handcrafted ones.
    network : keras.Model
        CNN of that fold.
    contrasts : tuple of str
        Channels of the CNN.
    """
    run = Workspace(Path(workspace))
    tables = [read_tsv(path) for path in (run.features, run.handcrafted)]
    cnn, handcrafted = (table[table.fold == table.fold.max()] for table in tables)
    path = fold_model_path(workspace, int(cnn.fold.iloc[0]) - 1)
    network = _network(path, checksum(path) if path.is_file() else "")
    named = [
        name.removesuffix("_mean") for name in cnn if name.endswith("_mean")
    ]  # for networks without recorded channels
    columns = ["participant_id", "fold", "role", "label"]
    table = cnn.merge(handcrafted.drop(columns="label"), on=columns[:3], validate="one_to_one")
    return table, network, read_channels(network) or tuple(named)


@lru_cache(maxsize=1)
def _network(path: Path, _checksum: str) -> Model:
    """Load a network once in each process, and again if its file has changed."""
    return load_model(path, where="grade_head")


def features_of_scan(files: Preprocessed, network: Model, contrasts: Sequence[str]) -> dict[str, float]:
    """Compute the features of one subject in the same way as for the test subjects of a fold.

    The region is that of the CNN, as in training, and not the segmentation of
    :func:`epitome_kit.tumour.single_case.segment_head`.

    Parameters
    ----------
    files : Preprocessed
        Derivative of the subject.
    network : keras.Model
        From :func:`learned_features`.
    contrasts : sequence of str
        Channels of the network; a missing one is 0, the median of the brain.

    Returns
    -------
    dict of str to float
        Features of the CNN and handcrafted ones, by name.

    Raises
    ------
    ParameterError
        The grid differs from that of the network.
    """
    brain = nib.Nifti1Image.from_filename(files.mask("desc-brain"))
    if network.input_shape[1:4] != brain.shape:
        received = f"{brain.shape} for {files.id}"
        hint = "preprocess at the voxel size of the workspace"
        raise ParameterError("features_of_scan", f"a scan on the grid {network.input_shape[1:4]}", received, hint)
    scans = load_scans(files, contrasts)
    features = np.asarray(network.predict(scans[None], verbose=0)["features"])[0]
    region = find_region(tumour_map(network, scans), np.any(scans, axis=-1))
    spacing = nib.affines.voxel_sizes(brain.affine)
    measured = describe_region(scans, region, spacing, contrasts)
    return {**dict(zip(feature_names(contrasts), map(float, features), strict=True)), **measured}
