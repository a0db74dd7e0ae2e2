"""Score the oracle, a classifier that knows the latent variables, on the subjects of one phantom cohort."""

from collections.abc import Iterable

from epitome_kit.cohort import Cohort
from epitome_kit.files import read_tsv
from epitome_kit.metrics import auc


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
