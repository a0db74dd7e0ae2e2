"""Draw the latent variables of simulated gliomas, and compute how well the best classifier of them does."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from epitome_kit.simulate.labels import TUMOUR_TYPES, TumourType, draw_type_indices


class Latent(NamedTuple):
    """Normal variable of unit variance: shifts of its mean by type, its mean without them, and its floor."""

    grade_3: float = 0.0
    codeletion: float = 0.0
    mean: float = 0.0
    floor: float = -np.inf


LATENTS = {
    "growth": Latent(grade_3=1.0),
    "infiltration": Latent(grade_3=0.7, codeletion=0.5),
    "enhancement": Latent(grade_3=1.3, mean=-1.0, floor=0.0),
    "necrosis": Latent(mean=-0.4, floor=0.0),
    "border": Latent(grade_3=0.65, codeletion=0.7),
    "heterogeneity": Latent(codeletion=1.1),
    "location": Latent(codeletion=1.0),
}
"""Latent variables of a tumour.

A floor of 0 means that the tumour shows nothing below it: enhancement in one of
six tumours of grade 2 (Pallud 2009), necrosis in no tumour but oligodendrogliomas
of grade 3, as it would make an IDH-mutant astrocytoma grade 4 (Louis 2021). Speed
of growth rises with grade (Fan 2020). Indistinct border and heterogeneous T2
signal with codeletion: Jenkinson 2006; calcification and frontal site: Smits
2016. The sizes of the other shifts are chosen so that the best classifier of
grade reaches an AUC of 0.90.

References
----------
Pallud et al., Neuro Oncol 2009, doi:10.1215/15228517-2008-066
Louis et al., Neuro Oncol 2021, doi:10.1093/neuonc/noab106
Fan et al., Aging 2020, doi:10.18632/aging.103110
Jenkinson et al., Brain 2006, doi:10.1093/brain/awl108
Smits, Br J Radiol 2016, doi:10.1259/bjr.20150857
"""

_CERTAIN = 50.0  # limit of the log likelihood ratio, which is infinite where one class is impossible
_FLOORS = np.array([latent.floor for latent in LATENTS.values()])


def _means(grade_3: bool | np.ndarray, codeleted: bool | np.ndarray) -> np.ndarray:
    """Return the mean of each latent variable, shape (..., 7); -inf where a part never occurs."""
    table = np.array([latent[:3] for latent in LATENTS.values()]).T
    mean = np.multiply.outer(grade_3, table[0]) + np.multiply.outer(codeleted, table[1]) + table[2]
    mean[..., list(LATENTS).index("necrosis")] -= np.where(np.logical_and(grade_3, codeleted), 0, np.inf)
    return mean


def draw_latents(grade_3: bool | np.ndarray, codeleted: bool | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the latent variables of one or more subjects.

    Parameters
    ----------
    grade_3, codeleted : bool or array of bool, shape (n,)
        Labels of the subjects.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (n, 7) or (7,)
        In the order of :data:`LATENTS`; at its floor where the tumour shows nothing.
    """
    mean = _means(grade_3, codeleted)
    return np.maximum(mean + rng.standard_normal(mean.shape), _FLOORS)


def _log_density(latents: np.ndarray, kind: TumourType) -> np.ndarray:
    """Return the log density of latent variables with one type; at a floor, the probability of lying below."""
    mean = _means(kind.grade_3, kind.codeleted)
    shown = norm.logpdf(latents, np.where(np.isfinite(mean), mean, 1e9))
    return np.where(latents > _FLOORS, shown, norm.logcdf(_FLOORS, mean)).sum(-1)


def oracle_score(latents: np.ndarray, target: str) -> np.ndarray:
    """Compute the log likelihood ratio of the best possible classifier on the latent variables.

    Parameters
    ----------
    latents : ndarray, shape (n, 7)
        From :func:`draw_latents`.
    target : {"grade", "codeletion"}
        Label to predict.

    Returns
    -------
    ndarray, shape (n,)
        Higher values mean grade 3, or codeleted; between -50 and 50. The type is otherwise
        unknown to the classifier and marginalised.
    """
    logs = np.stack([_log_density(np.asarray(latents), kind) for kind in TUMOUR_TYPES])
    positive, shares = _positive(target), np.array(list(TUMOUR_TYPES.values()))
    high, low = (
        logsumexp(logs[side], axis=0, b=shares[side, None] / shares[side].sum()) for side in (positive, ~positive)
    )
    return np.clip(high - low, -_CERTAIN, _CERTAIN)


def _positive(target: str) -> np.ndarray:
    """Return whether each of the types is positive."""
    return np.array([each.grade_3 if target == "grade" else each.codeleted for each in TUMOUR_TYPES])


def oracle_auc(target: str, *, draws: int = 100_000, seed: int = 0) -> float:
    """Estimate the AUC of the best possible classifier on the latent variables in a large population.

    A model may pass it in a cohort of a few dozen by chance.

    Parameters
    ----------
    target : {"grade", "codeletion"}
        Label to predict.
    draws : int, default=100_000
        Number of simulated tumours.
    seed : int, default=0
        Seed of the simulation.

    Returns
    -------
    float
        Area under the ROC curve.
    """
    rng = np.random.default_rng(seed)
    drawn = draw_type_indices(draws, rng)
    labels = {label: _positive(label)[drawn] for label in ("grade", "codeletion")}
    latents = draw_latents(labels["grade"], labels["codeletion"], rng)
    return float(roc_auc_score(labels[target], oracle_score(latents, target)))
