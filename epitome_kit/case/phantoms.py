"""Open the simulated scans of the case page, and read their truth."""

from pathlib import Path

from epitome_kit.cohort import Cohort, truth_folder
from epitome_kit.files import Json, PathLike, read_json

PHANTOMS = {"Simulated head A": "sub-001", "Simulated head B": "sub-002"}
"""Name on the page to id in the cohort."""

_SEED = 2026


def load_phantoms(folder: PathLike, profile: str = "quick") -> Cohort:
    """Open the simulated scans of the page, simulated on first use; no model is trained on them.

    Parameters
    ----------
    folder : path
        Folder of the built-in cohorts.
    profile : str, default="quick"
        Determines the voxel size.

    Returns
    -------
    Cohort
        One subject per scan of :data:`PHANTOMS`.
    """
    from epitome_kit.simulate.phantom import load_cohort  # takes memory that the server of the page can do without

    return load_cohort("phantom", folder=folder, profile=profile, subjects=len(PHANTOMS), seed=_SEED)


def known_truth(cohort: Cohort, name: str) -> Json:
    """Return grade and volume of a simulated scan, for :func:`epitome_kit.case.report.case_report`."""
    (latents,) = truth_folder(cohort.root, name).glob("[!.]*_latents.json")
    return {"grade": str(cohort.participants.grade[name]), "volume_ml": read_json(latents)["volume_ml"]}


def made_before(folder: PathLike, profile: str = "quick") -> bool:
    """Return whether a folder of built-in cohorts holds the simulated scans of the page."""
    return (Path(folder) / f"phantom_{profile}_n{len(PHANTOMS)}_seed{_SEED}" / "participants.tsv").is_file()
