"""The simulated heads that the case page offers, and what is known of them."""

from epitome_kit.files import read_json
from epitome_kit.simulate.phantom import load_cohort

PHANTOMS = {"Simulated head A": "sub-001", "Simulated head B": "sub-002"}
"""Name of each on the page, and in its cohort."""

_SEED = 2026


def load_phantoms(folder, profile="quick"):
    """Open the simulated heads of the page, made once; no model has learned from them.

    Parameters
    ----------
    folder : path
        Where built-in cohorts are kept.
    profile : str, default="quick"
        Decides the size of their voxels.

    Returns
    -------
    Cohort
    """
    return load_cohort("phantom", folder=folder, profile=profile, subjects=len(PHANTOMS), seed=_SEED)


def known_truth(cohort, name):
    """Tell grade and volume of a simulated head, as :func:`epitome_kit.case.report.case_report` takes them."""
    (latents,) = cohort[name].truth.glob("[!.]*_latents.json")
    return {"grade": str(cohort.participants.grade[name]), "volume_ml": read_json(latents)["volume_ml"]}
