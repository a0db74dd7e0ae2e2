"""Tables of features like those of the built-in cohort, of any number of subjects; used by `selection.py`."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scipy.stats import norm, rankdata
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from epitome_kit.files import read_tsv, write_tsv
from epitome_kit.learn.cnn import build_cnn, feature_names
from epitome_kit.learn.explain import tumour_maps
from epitome_kit.learn.handcrafted import describe_region, find_region
from epitome_kit.learn.pretrained import start_from_simulation
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.intensity import normalise_intensity
from epitome_kit.preprocess.registration import template_grid
from epitome_kit.simulate.anatomy import age_head, head_model, random_deformation
from epitome_kit.simulate.labels import TUMOUR_TYPES, TumourType
from epitome_kit.simulate.latents import LATENTS, draw_latents
from epitome_kit.simulate.mass_effect import push_tissue
from epitome_kit.simulate.scanner import Artefacts, acquire
from epitome_kit.simulate.tumour import grow_tumour

CONTRASTS = ("T1ce", "T2w")
_LATENTS = [f"latent_{name}" for name in LATENTS]
_SPACING_MM = 3.0
_PART = 50
_SEED = 2413  # of no other simulation of the kit
_RESIDUAL_BIAS = Artefacts(bias_sd=0.025)


class FeatureModel(NamedTuple):
    """Distribution of the features given the latent variables of the tumour.

    Normal scores of the features are a quadratic function of the latent variables plus
    Gaussian noise with the covariance that remains; the label acts through the latent
    variables alone, as in the simulation.
    """

    mean: Pipeline
    noise: np.ndarray
    scores: np.ndarray
    values: np.ndarray

    def draw(self, kinds: Sequence[TumourType], rng: np.random.Generator) -> np.ndarray:
        """Draw the features of subjects with tumours of these types, shape (n, p)."""
        grade_3, codeleted = np.array([(kind.grade_3, kind.codeleted) for kind in kinds]).T
        latents = draw_latents(grade_3, codeleted, rng)
        noise = rng.multivariate_normal(np.zeros(len(self.noise)), self.noise, len(kinds), method="cholesky")
        drawn = self.mean.predict(latents) + noise
        columns = zip(drawn.T, self.scores.T, self.values.T, strict=True)
        return np.column_stack([np.interp(column, *known) for column, *known in columns]).astype(np.float32)


@lru_cache(maxsize=2)  # here, as processes cannot be given a cached function of the script
def feature_model(heads: int, folder: Path, workers: int = 1) -> FeatureModel:
    """Fit the distribution of the features to heads that are simulated unless they are in the folder."""
    return fit_features(simulate_features(heads, folder, workers=workers))


def fit_features(table: pd.DataFrame) -> FeatureModel:
    """Fit the distribution of the features to simulated heads, from :func:`simulate_features`."""
    features, latents = table.drop(columns=["label", *_LATENTS]).to_numpy(), table[_LATENTS].to_numpy()
    scores = norm.ppf((rankdata(features, axis=0) - 0.5) / len(features))
    ridge = RidgeCV(np.logspace(-1, 4, 16), alpha_per_target=True)
    mean = make_pipeline(PolynomialFeatures(2, include_bias=False), StandardScaler(), ridge).fit(latents, scores)
    noise = LedoitWolf().fit(scores - mean.predict(latents)).covariance_
    return FeatureModel(mean, noise, np.sort(scores, axis=0), np.sort(features, axis=0))


def simulate_features(heads: int, folder: Path, *, workers: int = 1) -> pd.DataFrame:
    """Simulate heads and compute their features, part by part; finished parts are kept.

    The heads have the anatomy, tumours, signals and noise of the built-in cohort, and are
    scanned on the template grid with errors such as preprocessing leaves. The shipped
    network describes them as it is: it is not fine-tuned in folds.

    Returns a table with ``label`` (1 for grade 3), the latent variables, and the
    features of the network and the handcrafted ones.
    """
    parts = [folder / f"heads-{start:05d}.tsv" for start in range(0, heads, _PART)]
    missing = [number for number, path in enumerate(parts) if not path.is_file()]
    for_each(partial(_write_part, folder=folder), missing, title="Simulating heads", workers=workers)
    return pd.concat([read_tsv(path) for path in parts], ignore_index=True)[:heads]


def _write_part(number: int, folder: Path) -> None:
    start = number * _PART
    scans, rows = zip(*(_simulate(head) for head in range(start, start + _PART)), strict=True)
    network = build_cnn(CONTRASTS, scans[0].shape[:3])
    start_from_simulation(network)
    stacked = np.stack(scans)
    learned = np.asarray(network.predict(stacked, batch_size=4, verbose=0)["features"])
    maps = tumour_maps(network, stacked)
    regions = [find_region(heat, np.any(each, axis=-1)) for heat, each in zip(maps, scans, strict=True)]
    measured = [describe_region(each, mask, _SPACING_MM, CONTRASTS) for each, mask in zip(scans, regions, strict=True)]
    known, learned = pd.DataFrame(rows), pd.DataFrame(learned, columns=feature_names(CONTRASTS))
    write_tsv(folder / f"heads-{start:05d}.tsv", pd.concat([known, learned, pd.DataFrame(measured)], axis=1))


def _simulate(number: int) -> tuple[np.ndarray, dict[str, float]]:
    """Simulate the normalised scans of a head on the template grid, shape (i, j, k, 2), and what it was grown from."""
    rng = np.random.default_rng([_SEED, number])
    grid, kinds = template_grid(_SPACING_MM), list(TUMOUR_TYPES)
    kind = kinds[rng.choice(len(kinds), p=list(TUMOUR_TYPES.values()))]
    head = age_head(head_model(2.0), float(np.clip(rng.normal(42, 12), 18, 80)), rng.normal(0, 0.3))
    latents = draw_latents(kind.grade_3, kind.codeleted, rng)
    tumour = grow_tumour(head, latents, rng)
    head = push_tissue(head, tumour, rng.uniform(0, 0.25) * tumour.parameters["radius_mm"])
    deformation, pose = random_deformation(rng), _registration_error(rng, degrees=1.0, mm=0.7, scale=0.01)
    scans = []
    for contrast in CONTRASTS:
        moved = _registration_error(rng, degrees=0.3, mm=0.3, scale=0.0) @ pose
        scan = acquire(head, tumour, deformation, moved, grid, contrast=contrast, rng=rng, artefacts=_RESIDUAL_BIAS)
        scans.append(ndimage.gaussian_filter(scan.image.get_fdata(dtype=np.float32), 0.8 / _SPACING_MM))
    mask = nib.Nifti1Image(scan.brain, grid[0])
    normalised = [normalise_intensity(nib.Nifti1Image(each, grid[0]), mask) for each in scans]
    known = {"label": float(kind.grade_3), **dict(zip(_LATENTS, latents.tolist(), strict=True))}
    return np.stack([each.get_fdata(dtype=np.float32) for each in normalised], -1), known


def _registration_error(rng: np.random.Generator, *, degrees: float, mm: float, scale: float) -> np.ndarray:
    rotation = Rotation.from_euler("xyz", rng.normal(0, degrees, 3), degrees=True).as_matrix()
    return nib.affines.from_matvec(rotation * rng.normal(1, scale, 3), rng.normal(0, mm, 3))
