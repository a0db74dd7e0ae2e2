"""What a trained workspace sees in one new head."""

import nibabel as nib
import numpy as np

from epitome_kit.backend import keras
from epitome_kit.errors import ParameterError
from epitome_kit.files import read_tsv
from epitome_kit.learn.arrays import load_scans
from epitome_kit.learn.channels import read_channels
from epitome_kit.learn.cnn import feature_names
from epitome_kit.learn.explain import tumour_map
from epitome_kit.learn.handcrafted import describe_region, find_region
from epitome_kit.learn.train import fold_model_path
from epitome_kit.workspace import Workspace


def learned_features(workspace):
    """Read what the last fold of a workspace learned from, and what it was tested on.

    Parameters
    ----------
    workspace : path
        Where notebooks 03 and 04, or ``make run``, have been.

    Returns
    -------
    (DataFrame, keras.Model, tuple of str)
        Rows of the last fold with the features of the CNN and the handcrafted
        ones, the CNN of that fold, and the contrasts that it looks at.
    """
    run = Workspace(workspace)
    tables = [read_tsv(path) for path in (run.features, run.handcrafted)]
    cnn, handcrafted = (table[table.fold == table.fold.max()] for table in tables)
    network = keras.saving.load_model(fold_model_path(workspace, int(cnn.fold.iloc[0]) - 1), compile=False)
    named = [name.removesuffix("_mean") for name in cnn if name.endswith("_mean")]  # older networks do not tell
    columns = ["participant_id", "fold", "role", "label"]
    table = cnn.merge(handcrafted.drop(columns="label"), on=columns[:3], validate="one_to_one")
    return table, network, read_channels(network) or tuple(named)


def features_of_scan(files, network, contrasts):
    """Describe one head as the network of a fold does for those that it was tested on.

    The region is the network's own, as it was in training: it is not the
    outline of :func:`epitome_kit.tumour.single_case.segment_head`.

    Parameters
    ----------
    files : Preprocessed
    network : keras.Model
        From :func:`learned_features`.
    contrasts : sequence of str
        Its channels; one that is missing is 0, the brain's median.

    Returns
    -------
    dict of str to float
        Features of the CNN and handcrafted ones, by name.

    Raises
    ------
    ParameterError
        The head lies on another grid than the network learned on.
    """
    brain = nib.load(files.mask("desc-brain"))
    if network.input_shape[1:4] != brain.shape:
        received = f"{brain.shape} for {files.id}"
        hint = "preprocess at the voxel size of the workspace"
        raise ParameterError("features_of_scan", f"a head on the grid {network.input_shape[1:4]}", received, hint)
    scans = load_scans(files, contrasts)
    seen = np.asarray(network.predict(scans[None], verbose=0)["features"])[0]
    region = find_region(tumour_map(network, scans), np.any(scans, axis=-1))
    spacing = nib.affines.voxel_sizes(brain.affine)
    measured = describe_region(scans, region, spacing, contrasts)
    return {**dict(zip(feature_names(contrasts), map(float, seen), strict=True)), **measured}
