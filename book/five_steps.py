"""Draw the picture of README.md from the phantoms of a finished run: `python book/five_steps.py WORKSPACE`."""

import sys
from pathlib import Path

import keras
import nibabel as nib
import numpy as np

from epitome_kit import plotting
from epitome_kit.cohort import open_cohort
from epitome_kit.confidence import interval_label
from epitome_kit.files import read_json, read_tsv
from epitome_kit.learn import cnn  # noqa: F401  knows the layers of the network that is loaded
from epitome_kit.learn.arrays import load_arrays
from epitome_kit.learn.explain import tumour_map
from epitome_kit.preprocess.pipeline import Preprocessed, registration_reference
from epitome_kit.tumour.intervals import VOLUME_LEVEL
from epitome_kit.tumour.outline import mask_path

PICTURE = Path(__file__).resolve().parent / "five_steps.png"
ALT = (
    "One simulated head through the five steps. Inspect: a slice of the scan as it comes. Preprocess: the brain alone,"
    " evenly bright. Learn: the same brain, the tumour lit up by a network. Grade: a ROC curve. Extract: the tumour,"
    " outlined, with a scale bar of 20 mm."
)


def draw(workspace, cohort):
    """Draw the subject whose outline fits as well as the median of the cohort."""
    workspace, group = Path(workspace), open_cohort(cohort)
    tumours = read_tsv(workspace / "tumours.tsv").set_index("participant_id")
    subject = (tumours.dice - tumours.dice.median()).abs().idxmin()
    row, scores = tumours.loc[subject], read_json(workspace / "scores.json")
    lead, files = registration_reference(group[subject]), Preprocessed(workspace / "preprocessed", subject)
    features = read_tsv(workspace / "features.tsv")
    fold = features[(features.participant_id == subject) & (features.role == "test")].fold.iloc[0]
    arrays = load_arrays(group, workspace / "preprocessed")
    model = keras.saving.load_model(workspace / "cnn" / f"fold-{fold}.keras", compile=False)
    heat = tumour_map(model, arrays.scans[arrays.ids.index(subject)])
    grid = nib.load(files.scan(lead))
    low, high = scores["auc_ci95"]
    captions = (
        f"{len(group)} simulated heads\nwith known truth;\nor your own scans",
        "brain alone, evenly\nbright, on a template\nof 3 mm voxels",
        "a 3D network, tested\non heads that it\nnever saw",
        f"{interval_label()} {low:.2f} to {high:.2f},\n"
        f"oracle on latents {scores['oracle_auc']:.2f},\nn = {scores['n']} phantoms",
        f"{row.volume_ml:.0f} mL, {interval_label(VOLUME_LEVEL)}\n"
        f"{row.volume_low_ml:.0f} to {row.volume_high_ml:.0f} mL;\n"
        f"RANO {row.rano_long_mm:.0f} x {row.rano_perpendicular_mm:.0f} mm",
    )
    return plotting.five_steps(
        group[subject].images[lead],
        mask_path(workspace, subject),
        grid,
        files.mask("label-tumour"),
        nib.Nifti1Image(np.asarray(heat, dtype=np.float32), grid.affine),
        scores,
        read_tsv(workspace / "predictions.tsv"),
        captions=captions,
    )


if __name__ == "__main__":
    run = Path(sys.argv[1])
    folder = sys.argv[2] if len(sys.argv) > 2 else run.resolve().parent / "cohorts" / "phantom_quick_n48_seed0"
    plotting.save_figure(draw(run, folder), PICTURE, ALT, dpi=200)
    print(f"Wrote {PICTURE}")
