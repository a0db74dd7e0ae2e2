"""Score the oracle, a classifier that knows the latent variables, on the subjects of one phantom cohort."""

from collections.abc import Iterable
from typing import NamedTuple

from epitome_kit.cohort import Cohort
from epitome_kit.files import read_tsv
from epitome_kit.metrics import auc
from epitome_kit.simulate.latents import oracle_auc


class Oracle(NamedTuple):
    """AUC of the oracle, an upper bound on latents for the expected AUC of a model.

    Attributes
    ----------
    auc : float or None
        Expected AUC in a population of phantoms.
    auc_cohort : float or None
        AUC on the subjects of one cohort, which varies around the expected one.
    """

    auc: float | None = None
    auc_cohort: float | None = None

    def named(self) -> dict[str, float | None]:
        """Return both by their names in ``scores.json``."""
        return {"oracle_auc": self.auc, "oracle_auc_cohort": self.auc_cohort}


def score_oracle(cohort: Cohort, target: str, *, subjects: Iterable[str] | None = None) -> Oracle:
    """Compute the AUC of the oracle in a population of phantoms, and on the subjects of one cohort.

    Parameters
    ----------
    cohort : Cohort
        Cohort of phantoms, or of other subjects, for which nothing is known.
    target : {"grade", "codeletion"}
        Label to predict.
    subjects : iterable of str, default=None
        Subjects to score, such as those that were graded; None takes all.

    Returns
    -------
    Oracle
        Without values if the cohort is not simulated.
    """
    if not cohort.simulated:
        return Oracle()
    return Oracle(oracle_auc(target), cohort_oracle_auc(cohort, target, subjects=subjects))


def cohort_oracle_auc(cohort: Cohort, target: str, *, subjects: Iterable[str] | None = None) -> float | None:
    """Compute the AUC of the oracle on the subjects of one cohort.

    The value of :func:`epitome_kit.simulate.oracle_auc` is that of a population: no
    model has a higher expected AUC. The AUC in a finite cohort varies around it, that of
    the oracle as well as that of a model.

    Parameters
    ----------
    cohort : Cohort
        Cohort of phantoms.
    target : {"grade", "codeletion"}
        Label to predict.
    subjects : iterable of str, default=None
        Subjects to score, such as those that were graded; None takes all.

    Returns
    -------
    float or None
        None if the cohort has no latent variables, or subjects of one class only.
    """
    path = cohort.root / "derivatives" / "truth" / "latents.tsv"
    if not path.is_file():
        return None
    latents = read_tsv(path).set_index("participant_id")
    labels = cohort.labels(target)
    scored = labels.index.intersection(latents.index)
    if subjects is not None:
        scored = scored.intersection(list(subjects))
    if f"oracle_{target}" not in latents or labels[scored].nunique() < 2:
        return None
    return auc(labels[scored].to_numpy(), latents.loc[scored, f"oracle_{target}"].to_numpy())
