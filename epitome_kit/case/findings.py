"""State the findings of one case: sizes, grids and notes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pandas as pd

from epitome_kit import __version__
from epitome_kit.files import Json
from epitome_kit.images import load_image, load_mask, voxel_size_known
from epitome_kit.tumour.intervals import describe_volume
from epitome_kit.tumour.measure import measure_tumour
from epitome_kit.tumour.segment import read_card
from epitome_kit.tumour.size import RANO_CRITERIA

if TYPE_CHECKING:
    from epitome_kit.case.report import CaseReport


def state_findings(
    report: "CaseReport", tumour: pd.Series, truth: Json | None, evidence: Mapping[str, str], warnings: Sequence[str]
) -> Json:
    """Collect sizes, grids and notes of one case as JSON values.

    Parameters
    ----------
    report : CaseReport
        With scans and masks.
    tumour : Series
        Row of the segmentation, from :func:`epitome_kit.predict_tumours`.
    truth : dict or None
        Known truth of a simulated scan.
    evidence : dict of str to str
        Contrast to the evidence by which it was determined.
    warnings : list of str
        Warnings of preprocessing.

    Returns
    -------
    dict
        ``size`` is None if no tumour was found.
    """
    scans = {name: load_image(path, check_voxels=False) for name, path in report.scans.items()}
    known = voxel_size_known(scans[report.main_contrast])
    found = int(tumour.volume_voxels)
    size: Json | None = None
    if found:
        parts = ("volume_ml", "volume_low_ml", "volume_high_ml", "volume_voxels", "volume_low_voxels")
        size = {name: float(tumour[name]) for name in (*parts, "volume_high_voxels")}
        size["measured"] = asdict(measure_tumour(report.tumour)) if known else None
    grids = {
        name: {
            "shape": list(image.shape),
            "voxel_mm": [round(float(each), 2) for each in nib.affines.voxel_sizes(image.affine)],
            "known": voxel_size_known(image),
            "evidence": evidence.get(name, "as stated"),
        }
        for name, image in scans.items()
    }
    brain = load_mask(report.brain)
    brain_ml = np.sum(brain.dataobj) * abs(np.linalg.det(brain.affine[:3, :3])) / 1000 if known else None
    return {
        "version": __version__,
        "main_contrast": report.main_contrast,
        "scans": grids,
        "brain_ml": brain_ml,
        "size": size,
        "outline_learned_from": read_card()["trained_on"],
        "truth": truth,
        "notes": [*_notes(grids, size), *warnings],
    }


def _notes(grids: dict[str, Json], size: Json | None) -> list[str]:
    """List warnings to read before the figures."""
    notes = []
    if not all(each["known"] for each in grids.values()):
        notes.append("The voxel size of a scan is unknown, so there are no sizes in mL or mm.")
    thick = [name for name, each in grids.items() if each["known"] and max(each["voxel_mm"]) > 7]
    if thick:
        notes.append(f"{', '.join(thick)}: voxels longer than 7 mm. The networks were trained on smaller ones.")
    if size is None:
        notes.append("No tumour was found. This does not rule out a tumour.")
    elif size["measured"] and size["measured"]["touches_edge"]:
        notes.append("The outline touches the edge of the scan: part of the tumour may lie outside.")
    return notes


def size_lines(size: Json) -> list[str]:
    """Describe the size of a tumour, one line per figure, the volume with its interval.

    Parameters
    ----------
    size : dict
        As in :attr:`CaseReport.facts`.

    Returns
    -------
    list of str
        Lines with units.
    """
    volume, measured = describe_volume(size), size["measured"]
    lines = [f"volume {volume.volume}", volume.interval]
    if measured is None:
        return lines
    return [
        *lines,
        f"RANO {measured['rano_long_mm']:.0f} x {measured['rano_perpendicular_mm']:.0f} mm",
        f"  {RANO_CRITERIA}",
        f"measurable by RANO: {'yes' if measured['measurable'] else 'no'}",
    ]
