"""Epitome Kit: from brain-tumour MRI to a graded, measured epitome of the tumour.

Every verb is loaded when it is first used, so that importing the kit is quick.
"""

from importlib import import_module

__version__ = "0.1.0"

_VERBS = {
    # cohorts
    "open_cohort": "cohort",  # open a BIDS folder of subjects
    "load_cohort": "simulate.phantom",  # open a folder, or make the built-in phantom once
    "make_phantom_cohort": "simulate.phantom",  # simulate heads whose truth is known
    "import_tcga_lgg": "sources.tcga_lgg",  # read the TCGA-LGG slices in their original layout
    "import_bids": "sources.bids",  # check and adopt a BIDS folder
    "import_lgg_1p19q": "sources.lgg_1p19q",  # read the LGG-1p19qDeletion collection and repair its faults
    "import_dicom": "sources.dicom",  # convert a folder of DICOM files, without the names
    "audit_cohort": "audit",  # look for faults, one row an image
    "write_spreadsheet": "audit",  # the audit as a spreadsheet
    # preprocessing
    "skull_strip": "preprocess.skull_strip",  # find the brain in one scan
    "deface": "preprocess.deface",  # take the face off one scan
    "correct_bias": "preprocess.bias_field",  # remove the slow intensity drift of the coil
    "register_rigid": "preprocess.registration",  # align two scans of one head
    "register_affine": "preprocess.registration",  # align a head with the template
    "register_deformable": "preprocess.deformation",  # find what the affine leaves over, as a displacement field
    "resample": "images",  # carry a scan or mask onto another grid, by an affine or as it is
    "resample_deformed": "preprocess.deformation",  # carry one along such a field
    "normalise_intensity": "preprocess.intensity",  # put grey values on one scale
    "preprocess_cohort": "preprocess.pipeline",  # do all of it, for every subject
    # grading
    "learn_features": "learn.train",  # train a 3-D CNN and keep out-of-fold features
    "grade_features": "grade.evaluate",  # select, classify and score the features by subject
    "grade_table": "run.own_table",  # the same for any table of features
    # the tumour
    "segment_cohort": "tumour.segment",  # train on a cohort, and outline each tumour out of fold
    "predict_tumours": "tumour.segment",  # outline tumours with a network that is there already
    "segment_head": "tumour.one_head",  # the same for the scans of one head, from the start
    "measure_tumour": "tumour.measure",  # volume, surface, diameters and axes of one mask
    "extract_epitome": "tumour.epitome",  # cut one tumour out of its scans
    "extract_epitomes": "tumour.epitome",  # cut out and save every tumour of a cohort
    "learn_epitome": "tumour.learned",  # learn a small image whose parts explain patches
    "learn_epitomes": "tumour.learn_epitomes",  # learn one of every tumour, tested on what it did not see
    "learn_grade_epitomes": "tumour.grade_epitomes",  # learn one of each grade, tested on new subjects
    # runs
    "run_notebooks": "run.notebooks",  # execute the notebooks strictly, as one run
    "profile": "profiles",  # how big a run is
}
"""Public name of each verb, and the module it lives in."""

__all__ = ["__version__", *_VERBS]


def __getattr__(name):
    """Load a verb on first use."""
    if name not in _VERBS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_VERBS[name]}"), name)


def __dir__():
    """List the verbs beside what is already loaded."""
    return sorted({*globals(), *__all__})
