"""Profiles: the sizes of a run, such as the number of subjects and epochs."""

from dataclasses import dataclass

from epitome_kit.errors import ParameterError


@dataclass(frozen=True)
class Profile:
    """Sizes of one run; see :data:`PROFILES` for the values."""

    subjects: int
    phantom_spacing_mm: tuple[float, float, float]
    template_spacing_mm: float
    cnn_epochs: int
    unet_epochs: int
    folds: int
    ablation_subjects: int
    meaning: str


PROFILES = {
    "smoke": Profile(10, (3.0, 3.0, 3.0), 4.0, 1, 1, 2, 2, "does everything once, for tests; the scores mean nothing"),
    "quick": Profile(48, (2.0, 2.0, 2.0), 3.0, 5, 3, 5, 3, "minutes on a laptop; for teaching"),
    "full": Profile(159, (0.94, 0.94, 3.0), 3.0, 8, 8, 5, 12, "clinical resolution, about an hour; for research"),
}


def profile(name: str) -> Profile:
    """Look up a profile by name.

    A profile holds the sizes of a run: number of simulated subjects, voxel size,
    epochs and folds.

    Parameters
    ----------
    name : {"smoke", "quick", "full"}
        ``"smoke"`` for tests, ``"quick"`` for teaching, ``"full"`` for research.

    Returns
    -------
    Profile
        Sizes of the run.

    Raises
    ------
    ParameterError
        `name` is not a profile.

    See Also
    --------
    run_notebooks : Run the notebooks with the sizes of a profile.
    make_phantom_cohort : Simulate a cohort with the voxel size of a profile.

    Examples
    --------
    >>> import epitome_kit as ek
    >>> ek.profile("quick").subjects
    48
    >>> ek.profile("full").phantom_spacing_mm
    (0.94, 0.94, 3.0)
    """
    if name not in PROFILES:
        raise ParameterError("profile", f"one of {', '.join(PROFILES)}", repr(name), "use `--profile quick`")
    return PROFILES[name]
