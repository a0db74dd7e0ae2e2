"""The 2018 student project, rebuilt with its errors, so that the effect of fixing each can be measured."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.transform import resize

from epitome_kit.backend import Model, keras, layers
from epitome_kit.cohort import Cohort, Subject
from epitome_kit.files import PathLike
from epitome_kit.images import load_image, new_image_like, resample, spacing_mm
from epitome_kit.large import working_image, working_mask
from epitome_kit.learn.model_state import reset_model, snapshot
from epitome_kit.metrics import auc, bootstrap_change
from epitome_kit.preprocess.intensity import normalise_intensity
from epitome_kit.preprocess.pipeline import Preprocessed, registration_reference
from epitome_kit.preprocess.registration import template_grid

SHAPE = (64, 64, 20)
"""Input of the 2018 network: columns, rows, and chunks of averaged slices."""

WEIGHTS = 42_016_257
"""Number of weights in the saved 2018 network."""

_Shape = tuple[int, int, int]


@dataclass(frozen=True)
class AutopsySize:
    """Size of the reduced project, so that many networks can be trained.

    Attributes
    ----------
    shape : (int, int, int)
        Input of the network.
    dense : int
        Units of the first dense layer.
    grid_mm : float
        Voxel size when the grid is fixed.
    epochs : int
    """

    shape: _Shape
    dense: int
    grid_mm: float
    epochs: int


SIZES = {
    "smoke": AutopsySize((16, 16, 20), 16, 12.0, 1),
    "quick": AutopsySize((32, 32, 20), 128, 6.0, 5),
    "full": AutopsySize(SHAPE, 512, 4.0, 5),
}
"""Size of the project by profile; ``full`` is the original size."""


def build_seed_network(
    shape: _Shape = SHAPE, *, activation: str | None = None, flatten: bool = True, dense: int = 512
) -> Model:
    """Build the network of 2018: two convolutions, two pooling layers, three dense layers.

    Padded kernels of 3 x 3 x 3 and pooling by 2 follow from its number of
    weights. Maximum pooling, ReLU in the dense layers and a sigmoid in the last
    are assumptions, taken from the tutorials of its time.

    Parameters
    ----------
    shape : tuple of 3 int, default=(64, 64, 20)
        Input of the network.
    activation : str, default=None
        Activation of the convolutions. The project had none.
    flatten : bool, default=True
        Connect the first dense layer to every voxel; False: to the mean of each
        filter.
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


def count_weights(shape: _Shape = SHAPE, *, flatten: bool = True, dense: int = 512) -> dict[str, int]:
    """Count the weights of each layer without allocating them: 42 million take half a gigabyte.

    Parameters
    ----------
    shape, flatten, dense
        See :func:`build_seed_network`.

    Returns
    -------
    dict of str to int
        Number of weights by layer.
    """
    small = [build_seed_network(shape, flatten=flatten, dense=units) for units in (1, 2)]
    one, two = ({layer.name: layer.count_params() for layer in model.layers if layer.weights} for model in small)
    return {name: count + (dense - 1) * (two[name] - count) for name, count in one.items()}


def merge_convolutions(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Merge two successive convolutions without an activation into the single one that is equal to them.

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


def chunk_slices(volume: np.ndarray, shape: _Shape = SHAPE) -> np.ndarray:
    """Resize a volume as the project did, regardless of its voxel size.

    Parameters
    ----------
    volume : ndarray, shape (i, j, k)
    shape : tuple of 3 int, default=(64, 64, 20)
        Shape of the result.

    Returns
    -------
    ndarray of float32
        Each slice resized to the first two numbers of `shape`, then runs of
        neighbouring slices averaged.
    """
    flat = resize(volume, (*shape[:2], volume.shape[2]), order=1, anti_aliasing=False, preserve_range=True)
    chunks = [flat[..., part].mean(axis=-1) for part in np.array_split(np.arange(flat.shape[2]), shape[2])]
    return np.stack(chunks, axis=-1).astype(np.float32)


def isotropic_smooth(volume: np.ndarray, spacing: Sequence[float], *, fwhm_mm: float = 4.0) -> np.ndarray:
    """Blur a volume isotropically, as the project did in place of a bias correction.

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


def read_scans(
    cohort: Cohort,
    preprocessed: PathLike,
    ids: Sequence[str],
    *,
    shape: _Shape = SHAPE,
    grid_mm: float = 4.0,
    fixed: Collection[str] = (),
) -> np.ndarray:
    """Read the scans of the reference contrast as the project did, or with some of its errors fixed.

    The project removed non-brain tissue, blurred the scan under the name of
    inhomogeneity correction, and resized the unscaled grey values to a fixed
    shape.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder written by :func:`epitome_kit.preprocess_cohort`, which holds the
        brain masks, bias fields and preprocessed scans.
    ids : sequence of str
        Subjects to read.
    shape : tuple of 3 int, default=(64, 64, 20)
        Shape of each scan unless the grid is fixed.
    grid_mm : float, default=4.0
        Voxel size if the grid is fixed.
    fixed : sequence out of {"normalise", "bias", "grid"}, default=()
        ``normalise``: median 0 and robust standard deviation 1 in the brain;
        ``bias``: divided by the bias field instead of blurred; ``grid``: both,
        and on the template in cubic voxels instead of chunks of slices.

    Returns
    -------
    ndarray of float32, shape (n, i, j, k, 1)
        In the order of `ids`.
    """
    folder = Path(preprocessed)
    volumes = [_read_scan(cohort[name], Preprocessed(folder, name), shape, grid_mm, fixed) for name in ids]
    return np.stack(volumes)[..., None]


def cross_validate(
    model: Model,
    scans: np.ndarray,
    labels: np.ndarray,
    fold_of: np.ndarray,
    *,
    tested: np.ndarray | None = None,
    epochs: int = 5,
    batch: int = 2,
    seed: int = 0,
) -> np.ndarray:
    """Train a network from the same initial weights for each fold, and predict the fold after every epoch.

    Parameters
    ----------
    model : keras.Model
        From :func:`build_seed_network`; its weights are restored at the end. It
        is trained by Adam at 1e-4, as in 2018.
    scans : ndarray, shape (n, i, j, k, 1)
    labels : array of 0 and 1, shape (n,)
    fold_of : array of int, shape (n,)
        The fold in which each subject is tested.
    tested : ndarray, default=None
        Scans from which test subjects are predicted. Default: `scans`.
    epochs : int, default=5
    batch : int, default=2
        Batch size.
    seed : int, default=0

    Returns
    -------
    ndarray, shape (n, epochs)
        Out-of-fold probabilities after each epoch.
    """
    tested, labels, fold_of = scans if tested is None else tested, np.asarray(labels), np.asarray(fold_of)
    model.compile(keras.optimizers.Adam(1e-4), "binary_crossentropy")
    state, probabilities = snapshot(model), np.zeros((len(scans), epochs), np.float32)
    for fold in np.unique(fold_of):
        reset_model(model, state)
        keras.utils.set_random_seed(seed)
        train, test = fold_of != fold, fold_of == fold
        for epoch in range(epochs):
            model.fit(scans[train], labels[train].astype(np.float32), batch_size=batch, epochs=1, verbose=0)
            probabilities[test, epoch] = model.predict(tested[test], batch_size=8, verbose=0)[:, 0]
    reset_model(model, state)
    return probabilities


def auc_change(
    labels: np.ndarray, before: np.ndarray, after: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Return the change of the AUC between two sets of predictions for the same subjects.

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


def _read_scan(
    subject: Subject, files: Preprocessed, shape: _Shape, grid_mm: float, fixed: Collection[str]
) -> np.ndarray:
    """Read one scan as the project did, or with errors fixed."""
    reference = registration_reference(subject)
    if "grid" in fixed:
        return np.asarray(resample(load_image(files.scan(reference)), *template_grid(grid_mm), smooth=True).dataobj)
    image = working_image(load_image(subject.images[reference]), where="seed2018")  # the grid of the bias field
    brain = working_mask(load_image(files.mask("desc-brain", space=reference)))
    data: np.ndarray = np.asarray(image.dataobj, np.float32)
    inside = np.asarray(brain.dataobj) > 0
    if "bias" in fixed:
        data = data / np.asarray(load_image(files.bias(reference)).dataobj, np.float32) * inside
    else:
        data = isotropic_smooth(data * inside, spacing_mm(image))
    if "normalise" in fixed:
        data = np.asarray(normalise_intensity(new_image_like(data, image), brain).dataobj)
    return chunk_slices(data, shape)
