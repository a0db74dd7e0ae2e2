"""How big a run is: every size that depends on time and memory, in one table."""

from dataclasses import dataclass

from epitome_kit.errors import ParameterError


@dataclass(frozen=True)
class Profile:
    """Sizes of one run; see :data:`PROFILES` for the values."""

    subjects: int
    phantom_spacing_mm: tuple
    template_spacing_mm: float
    cnn_epochs: int
    unet_epochs: int
    folds: int
    ablation_subjects: int
    meaning: str


PROFILES = {
    "smoke": Profile(10, (3.0, 3.0, 3.0), 4.0, 1, 1, 2, 2, "does everything once, proves nothing; for tests"),
    "quick": Profile(48, (2.0, 2.0, 2.0), 3.0, 5, 3, 5, 3, "minutes on a laptop; for teaching"),
    "full": Profile(159, (0.94, 0.94, 3.0), 3.0, 8, 8, 5, 12, "clinical resolution, about an hour; for research"),
}


def profile(name):
    """Look up a profile by name.

    Parameters
    ----------
    name : {"smoke", "quick", "full"}

    Returns
    -------
    Profile

    Raises
    ------
    ParameterError
        There is no such profile.
    """
    if name not in PROFILES:
        raise ParameterError("profile", f"one of {', '.join(PROFILES)}", repr(name), "use `--profile quick`")
    return PROFILES[name]
