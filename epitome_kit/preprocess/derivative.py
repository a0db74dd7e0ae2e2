"""Paths and descriptions of the BIDS derivative written by preprocessing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from epitome_kit import __version__
from epitome_kit.cohort import BIDS_VERSION, Cohort
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.files import Json, PathLike, write_json, write_text, write_tsv
from epitome_kit.io.geometry import SPACE
from epitome_kit.resume import read_record, require_intact
from epitome_kit.workspace import EXCLUDED_TABLE, QUALITY_TABLE

Steps = Mapping[str, Json | None]
"""Parameters of each preprocessing step; None for a step that is left out."""

_OUTPUT_NAME = re.compile("_(space|from|desc)-")
_BEYOND_BIDS = (
    *("*.html", QUALITY_TABLE, EXCLUDED_TABLE, "figures"),
    *("*_quality.json", "*_timing.json", "*_biasfield*", "*_xfm.*"),
)


def quality_records(folder: PathLike) -> list[Path]:
    """List the records of all subjects that were preprocessed.

    Parameters
    ----------
    folder : path
        Folder of the derivative.

    Returns
    -------
    list of Path
        Sorted; their checksums change with the scans of a subject.
    """
    return sorted(Path(folder).glob("sub-*/anat/[!.]*_quality.json"))


@dataclass(frozen=True)
class Preprocessed:
    """Paths of the files of one subject in the derivative.

    Attributes
    ----------
    folder : Path
        Folder of the derivative.
    id : str
        Subject, such as ``"sub-001"``.
    """

    folder: Path
    id: str

    def scan(self, contrast: str) -> Path:
        """Normalised scan on the template grid."""
        *entities, suffix = CONTRASTS[contrast].bids.split("_")
        return self._file("_".join([*entities, f"space-{SPACE}", "desc-preproc", suffix]))

    def mask(self, name: str, *, space: str = SPACE) -> Path:
        """Mask such as ``desc-brain``, ``label-tumour`` or ``desc-annotated``."""
        return self._file(f"space-{space}_{name}_mask")

    def bias(self, contrast: str) -> Path:
        """Bias field of one contrast on the grid of its scan."""
        return self._file(f"space-{contrast}_biasfield")

    def transform(self, contrast: str) -> Path:
        """Affine from scan mm to ICBM152 mm, as text."""
        return self._file(f"from-{contrast}_to-{SPACE}_mode-image_xfm", ".txt")

    def deformation(self, contrast: str) -> Path:
        """Displacement field on the template grid, in mm, to apply after the affine."""
        return self._file(f"from-{contrast}_to-{SPACE}_mode-image_desc-deformable_xfm")

    @property
    def record(self) -> Path:
        """Settings, inputs and quality; written last."""
        return self._file("desc-preproc_quality", ".json")

    @property
    def timing(self) -> Path:
        """Computing time, the only file that differs between runs."""
        return self._file("desc-preproc_timing", ".json")

    @property
    def picture(self) -> Path:
        """Picture for quality control."""
        return self.folder / "figures" / f"{self.id}_desc-preproc_quality.png"

    @property
    def warnings(self) -> list[str]:
        """Warnings about the results of the subject, as recorded."""
        return (read_record(self.record).get("quality") or {}).get("warnings", [])

    def require_intact(self, where: str) -> None:
        """Raise an OutputError if a file was changed since preprocessing; without a record nothing is checked."""
        require_intact(self.record, where, "preprocess the cohort again: only what was changed is computed")

    def clear(self) -> None:
        """Remove the outputs of an earlier call, the record first; other files stay."""
        self.record.unlink(missing_ok=True)
        self.picture.unlink(missing_ok=True)
        for path in self.record.parent.glob(f"{self.id}_*"):
            if _OUTPUT_NAME.search(path.name):
                path.unlink()

    def _file(self, name: str, suffix: str = ".nii.gz") -> Path:
        return self.folder / self.id / "anat" / f"{self.id}_{name}{suffix}"


def describe_derivative(out: Path, cohort: Cohort, steps: Steps) -> None:
    """Write the dataset-level files of the BIDS derivative.

    Parameters
    ----------
    out : Path
        Folder of the derivative.
    cohort : Cohort
        The cohort that was preprocessed.
    steps : dict of str to dict or None
        Parameters of each step; None for a step that was left out.
    """
    done = ", ".join(name for name, parameters in steps.items() if parameters is not None) or "none"
    left_out = ", ".join(name for name, parameters in steps.items() if parameters is None) or "none"
    generator = {
        "Name": "epitome_kit",
        "Version": __version__,
        "Description": f"Steps done: {done}; left out: {left_out}",
    }
    description = {
        "Name": f"{cohort.name}: preprocessed",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [generator],
    }
    write_json(out / "dataset_description.json", description)
    write_text(out / ".bidsignore", "\n".join(_BEYOND_BIDS) + "\n")
    write_tsv(out / "participants.tsv", cohort.participants.reset_index())
