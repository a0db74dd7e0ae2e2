"""What a copy of the kit with a further contrast, PDw, does with it.

python on_new_contrast.py FOLDER      prints answers as JSON; run with the copy first in PYTHONPATH
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from made_dicom import PD, T2, series, write_series

from epitome_kit.case.choices import OPTIONS
from epitome_kit.case.report import case_report
from epitome_kit.cli.cohorts import phantom
from epitome_kit.errors import EpitomeError
from epitome_kit.learn.arrays import load_arrays, load_scans
from epitome_kit.learn.cnn import build_cnn
from epitome_kit.learn.pretrained import start_from_simulation
from epitome_kit.ledger import DECISIONS
from epitome_kit.preprocess.pipeline import Preprocessed, preprocess_cohort
from epitome_kit.simulate.phantom import make_phantom_cohort
from epitome_kit.sources.bids import import_bids
from epitome_kit.sources.contrasts import judge_scan
from epitome_kit.sources.dicom import import_dicom
from epitome_kit.tumour.segment import predict_tumours
from epitome_kit.tumour.single_case import predict_scan

NAMES = ("sub-1_PDw.nii.gz", "ax_pd_tse.nii.gz", "pd_t2.nii.gz", "sub-1_ce-gadolinium_PDw.nii.gz", "t1.nii.gz")


def answer(folder):
    heads = make_phantom_cohort(
        folder / "heads", subjects=2, profile="smoke", contrasts=("T2w", "PDw"), spacing_mm=(4, 4, 4)
    )
    cohort = import_bids(folder / "heads", folder / "cohort")
    write_series(folder / "exam", [*series(number=1, **T2), *series(number=2, **PD)])
    exam = import_dicom(folder / "exam", folder / "converted", deface=None)
    found = {
        "phantoms": heads.contrasts,
        "bids": [list(subject.images) for subject in cohort],
        "dicom": [list(subject.images) for subject in exam],
        "names": {name: judge_scan(folder / name).contrast for name in NAMES},
        "stated": list(predict_scan(["PDw=a.nii", "b_flair.nii"])),
        "decisions": [kind for kind, allowed in DECISIONS.items() if "PDw" in allowed],
        "menu": {label: name for label, name in OPTIONS.items() if name == "PDw"},
        "help": phantom.__annotations__["contrasts"].__metadata__[0].help,
    }
    return found | _preprocess_and_outline(cohort, folder) | _one_scan(cohort, folder)


def _preprocess_and_outline(cohort, folder):
    cohort = replace(cohort, subjects={"sub-001": cohort["sub-001"]}, participants=cohort.participants.iloc[:1])
    preprocess_cohort(cohort, folder / "ready")
    tumours = predict_tumours(cohort, folder / "ready", folder / "outlined")
    arrays = load_arrays(cohort, folder / "ready")
    start_from_simulation(build_cnn(arrays.contrasts, arrays.scans.shape[1:4]))
    ready = Preprocessed(folder / "ready", "sub-001")
    found = {
        "preprocessed": ready.scan("PDw").name,
        "outlined": len(tumours),
        "channels": arrays.contrasts,
        "loaded": load_scans(ready, ("PDw", "FLAIR")).any((0, 1, 2)).tolist(),
    }
    ready.scan("T2w").unlink()
    ready.record.unlink()
    try:
        predict_tumours(cohort, folder / "ready", folder / "outlined_alone")
        return found
    except EpitomeError as error:
        return found | {"alone": str(error)}


def _one_scan(cohort, folder):
    report = case_report(cohort["sub-001"].images, folder / "case")
    return {"case": [report.main_contrast, list(report.scans), list(report.facts["scans"])]}


if __name__ == "__main__":
    print(json.dumps(answer(Path(sys.argv[1]))))
