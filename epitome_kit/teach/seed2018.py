"""The 2018 student project, rebuilt with its faults, so that each can be mended and measured."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.transform import resize

from epitome_kit.backend import Model, keras, layers
from epitome_kit.images import image_like, load_image, resample, spacing_mm
from epitome_kit.learn.model_state import reset_model, snapshot
from epitome_kit.metrics import auc, bootstrap_change
from epitome_kit.preprocess.intensity import normalise_intensity
from epitome_kit.preprocess.pipeline import Preprocessed, registration_reference
from epitome_kit.preprocess.registration import template_grid

SHAPE = (64, 64, 20)
"""Input of the 2018 network: columns, rows, and slices averaged in chunks."""

WEIGHTS = 42_016_257
"""Weights of the 2018 network, as its saved file counts them."""


@dataclass(frozen=True)
class AutopsySize:
    """How far the project is shrunk, so that many networks can be trained."""

    shape: tuple
    dense: int
    grid_mm: float
    epochs: int


SIZES = {
    "smoke": AutopsySize((16, 16, 20), 16, 12.0, 1),
    "quick": AutopsySize((32, 32, 20), 128, 6.0, 5),
    "full": AutopsySize(SHAPE, 512, 4.0, 5),
}
"""Input, dense layer, voxels once mended, and epochs, by profile; ``full`` is not shrunk."""


def build_seed_network(shape=SHAPE, *, activation=None, flatten=True, dense=512):
    """Build the network of 2018: two convolutions, two poolings, three dense layers.

    Kernels of 3 x 3 x 3 that keep the size, and pooling by 2, follow from its
    number of weights. That the pooling took the maximum, and that the dense
    layers had ReLU and the last a sigmoid, is taken from the tutorials of its
    time.

    Parameters
    ----------
    shape : tuple of 3 int, default=(64, 64, 20)
    activation : str, default=None
        Of the convolutions. The project gave none.
    flatten : bool, default=True
        Give the first dense layer every voxel; False: the mean of each filter.
    dense : int, default=512
        Units of the first dense layer.

    Returns
    -------
    keras.Model
        Shape (n, i, j, k, 1) in, (n, 1) probabilities out.
    """
    inputs = layers.Input((*shape, 1))
    x = inputs
    for filters in (32, 64):
        x = layers.Conv3D(filters, 3, padding="same", activation=activation, name=f"convolution_{filters}")(x)
        x = layers.MaxPooling3D(2)(x)
    x = layers.Flatten()(x) if flatten else layers.GlobalAveragePooling3D()(x)
    x = layers.Dense(dense, activation="relu", name="dense_first")(x)
    x = layers.Dense(32, activation="relu", name="dense_second")(x)
    return Model(inputs, layers.Dense(1, activation="sigmoid", name="answer")(x), name="seed_2018")


def count_weights(shape=SHAPE, *, flatten=True, dense=512):
    """Count the weights of each layer without making room for them: 42 million take half a gigabyte.

    Parameters
    ----------
    shape, flatten, dense
        As for :func:`build_seed_network`.

    Returns
    -------
    dict of str to int
    """
    small = [build_seed_network(shape, flatten=flatten, dense=units) for units in (1, 2)]
    one, two = ({layer.name: layer.count_params() for layer in model.layers if layer.weights} for model in small)
    return {name: count + (dense - 1) * (two[name] - count) for name, count in one.items()}


def merge_convolutions(first, second):
    """Merge two convolutions that have nothing between them into the one that they add up to.

    Parameters
    ----------
    first : ndarray, shape (3, 3, 3, channels, between)
    second : ndarray, shape (3, 3, 3, between, filters)

    Returns
    -------
    ndarray, shape (5, 5, 5, channels, filters)
    """
    merged = np.zeros((5, 5, 5, first.shape[3], second.shape[4]))
    for i, j, k in np.ndindex(first.shape[:3]):
        merged[i : i + 3, j : j + 3, k : k + 3] += np.einsum("cb,xyzbf->xyzcf", first[i, j, k], second)
    return merged


def chunk_slices(volume, shape=SHAPE):
    """Squeeze a volume into a box as the project did, whatever the size of its voxels.

    Parameters
    ----------
    volume : ndarray, shape (i, j, k)
    shape : tuple of 3 int, default=(64, 64, 20)

    Returns
    -------
    ndarray of float32
        Each slice resized to the first two numbers of `shape`, then runs of
        neighbouring slices averaged.
    """
    flat = resize(volume, (*shape[:2], volume.shape[2]), order=1, anti_aliasing=False, preserve_range=True)
    chunks = [flat[..., part].mean(axis=-1) for part in np.array_split(np.arange(flat.shape[2]), shape[2])]
    return np.stack(chunks, axis=-1).astype(np.float32)


def isotropic_smooth(volume, spacing, *, fwhm_mm=4.0):
    """Blur a volume by the same width in every direction, as the project did for want of a bias correction.

    Parameters
    ----------
    volume : ndarray, shape (i, j, k)
    spacing : sequence of 3 float
        Voxel size in mm.
    fwhm_mm : float, default=4.0
        Full width at half maximum of the Gaussian.

    Returns
    -------
    ndarray
    """
    return ndimage.gaussian_filter(volume, fwhm_mm / np.sqrt(8 * np.log(2)) / np.array(spacing))


def read_scans(cohort, preprocessed, ids, *, shape=SHAPE, grid_mm=4.0, mended=()):
    """Read the scans that lead as the project did, or with some of its faults mended.

    The project took away what is not brain, blurred the scan under the name of
    inhomogeneity correction, and squeezed the grey values, as they came, into a
    box.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote: brain masks,
        bias fields and mended scans are taken from there.
    ids : sequence of str
        Subjects to read.
    shape : tuple of 3 int, default=(64, 64, 20)
    grid_mm : float, default=4.0
        Voxel size where the grid is mended.
    mended : sequence out of {"normalise", "bias", "grid"}, default=()
        ``normalise``: median 0 and robust standard deviation 1 in the brain;
        ``bias``: divided by the bias field instead of blurred; ``grid``: all
        three, on the template in cubic voxels, instead of chunks of slices.

    Returns
    -------
    ndarray of float32, shape (n, i, j, k, 1)
        In the order of `ids`.
    """
    folder = Path(preprocessed)
    volumes = [_read_scan(cohort[name], Preprocessed(folder, name), shape, grid_mm, mended) for name in ids]
    return np.stack(volumes)[..., None]


def cross_validate(model, scans, labels, fold_of, *, tested=None, epochs=5, batch=2, seed=0):
    """Train a network afresh for each fold, and predict the fold after every epoch.

    Parameters
    ----------
    model : keras.Model
        From :func:`build_seed_network`; left with the weights it came with.
        Adam at 1e-4, as in 2018.
    scans : ndarray, shape (n, i, j, k, 1)
    labels : array of 0 and 1, shape (n,)
    fold_of : array of int, shape (n,)
        The fold in which each subject is tested.
    tested : ndarray, default=None
        What test subjects are predicted from; None means `scans`.
    epochs : int, default=5
    batch : int, default=2
    seed : int, default=0

    Returns
    -------
    ndarray, shape (n, epochs)
        Out-of-fold probabilities after each epoch.
    """
    tested, labels, fold_of = scans if tested is None else tested, np.asarray(labels), np.asarray(fold_of)
    model.compile(keras.optimizers.Adam(1e-4), "binary_crossentropy")
    state, answers = snapshot(model), np.zeros((len(scans), epochs), np.float32)
    for fold in np.unique(fold_of):
        reset_model(model, state)
        keras.utils.set_random_seed(seed)
        train, test = fold_of != fold, fold_of == fold
        for epoch in range(epochs):
            model.fit(scans[train], labels[train].astype(np.float32), batch_size=batch, epochs=1, verbose=0)
            answers[test, epoch] = model.predict(tested[test], batch_size=8, verbose=0)[:, 0]
    reset_model(model, state)
    return answers


def auc_change(labels, before, after, *, draws=2000, seed=0):
    """Change of the AUC from one set of answers to another, for the same subjects.

    Parameters
    ----------
    labels : array of 0 and 1, shape (n,)
    before, after : array, shape (n,)
        Probabilities.
    draws : int, default=2000
        Bootstrap draws of subjects, stratified by class.
    seed : int, default=0

    Returns
    -------
    (float, float, float)
        Change, and its 95 % interval.
    """
    rng = np.random.default_rng(seed)
    return bootstrap_change(auc, labels, np.asarray(before), np.asarray(after), draws=draws, rng=rng)


def _read_scan(subject, files, shape, grid_mm, mended):
    """One volume, as the project would have read it or better."""
    lead = registration_reference(subject)
    if "grid" in mended:
        return np.asarray(resample(load_image(files.scan(lead)), *template_grid(grid_mm), smooth=True).dataobj)
    image, brain = load_image(subject.images[lead]), load_image(files.mask("desc-brain", space=lead))
    data = np.asarray(image.dataobj, np.float32)
    inside = np.asarray(brain.dataobj) > 0
    if "bias" in mended:
        data = data / np.asarray(load_image(files.bias(lead)).dataobj, np.float32) * inside
    else:
        data = isotropic_smooth(data * inside, spacing_mm(image))
    if "normalise" in mended:
        data = np.asarray(normalise_intensity(image_like(data, image), brain).dataobj)
    return chunk_slices(data, shape)
