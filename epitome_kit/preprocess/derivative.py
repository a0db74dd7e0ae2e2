"""The preprocessed cohort on disk: a BIDS derivative, and where it keeps each file."""

import re
from dataclasses import dataclass
from pathlib import Path

from epitome_kit import __version__
from epitome_kit.cohort import BIDS_VERSION
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.files import write_json, write_text, write_tsv
from epitome_kit.io.geometry import SPACE
from epitome_kit.resume import read_record
from epitome_kit.workspace import EXCLUDED_TABLE, QUALITY_TABLE

_MADE_HERE = re.compile("_(space|from|desc)-")
_BEYOND_BIDS = (
    *("*.html", QUALITY_TABLE, EXCLUDED_TABLE, "figures"),
    *("*_quality.json", "*_timing.json", "*_biasfield*", "*_xfm.*"),
)


@dataclass(frozen=True)
class Preprocessed:
    """Where the derivative of one subject keeps its files.

    Attributes
    ----------
    folder : Path
    id : str
    """

    folder: Path
    id: str

    def scan(self, contrast):
        """Normalised scan on the template grid."""
        *entities, suffix = CONTRASTS[contrast].bids.split("_")
        return self._file("_".join([*entities, f"space-{SPACE}", "desc-preproc", suffix]))

    def mask(self, name, *, space=SPACE):
        """Mask such as ``desc-brain``, ``label-tumour`` or ``desc-annotated``."""
        return self._file(f"space-{space}_{name}_mask")

    def bias(self, contrast):
        """Bias field of one contrast on the grid of its scan."""
        return self._file(f"space-{contrast}_biasfield")

    def transform(self, contrast):
        """Affine from scan mm to ICBM152 mm, as text."""
        return self._file(f"from-{contrast}_to-{SPACE}_mode-image_xfm", ".txt")

    def deformation(self, contrast):
        """Displacement on the template, in mm, that the affine leaves over."""
        return self._file(f"from-{contrast}_to-{SPACE}_mode-image_desc-deformable_xfm")

    @property
    def record(self):
        """Settings and quality, written when everything else is."""
        return self._file("desc-preproc_quality", ".json")

    @property
    def timing(self):
        """How long the subject took: the one file that is another each time."""
        return self._file("desc-preproc_timing", ".json")

    @property
    def picture(self):
        """Where the picture for quality control goes."""
        return self.folder / "figures" / f"{self.id}_desc-preproc_quality.png"

    @property
    def warnings(self):
        """Sentences that say what makes the results of the subject doubtful, as its record has them."""
        return (read_record(self.record).get("quality") or {}).get("warnings", [])

    def clear(self):
        """Remove what an earlier call made of the subject, the record first; other files stay."""
        self.record.unlink(missing_ok=True)
        self.picture.unlink(missing_ok=True)
        for path in self.record.parent.glob(f"{self.id}_*"):
            if _MADE_HERE.search(path.name):
                path.unlink()

    def _file(self, name, suffix=".nii.gz"):
        return self.folder / self.id / "anat" / f"{self.id}_{name}{suffix}"


def describe_derivative(out, cohort, steps):
    """Write the files that make the folder a BIDS derivative.

    Parameters
    ----------
    out : path
    cohort : Cohort
    steps : dict of str to dict or None
        Parameters of each step, None where it was left out.
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
