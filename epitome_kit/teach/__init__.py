"""Teaching aids: figures, widgets and checks of exercises, loaded when first used."""

from importlib import import_module

_NAMES = {
    "style": ("save_figure",),
    "figures": ("show_slices", "show_planes", "montage", "before_after", "missed_and_extra", "epitome_sheet"),
    "cohort_charts": ("class_balance", "intensity_histograms", "audit_overview", "quality_strip"),
    "learning_charts": ("training_curves", "feature_map", "selection_frequency", "attention_shares"),
    "grading_charts": ("rivals_chart", "calibration_chart", "grading_board"),
    "score_charts": ("roc", "confusion", "reliability", "scoreboard", "dice_and_volume"),
    "outline_charts": ("outline_rivals", "volume_intervals"),
    "epitome_charts": (
        *("epitome_picture", "epitome_difference", "rebuilt_tumour"),
        *("error_chart", "ratio_chart"),
    ),
    "flow_chart": ("flow",),
    "case_charts": ("grade_chart",),
    "preprocess_charts": ("strip_thresholds", "bias_levels", "compare_corrections", "ablation_chart"),
    "overview": ("five_steps",),
    "lab_charts": ("leak_chart", "mend_chart", "reading_chart"),
    "widgets": ("SliceViewer",),
    "explorers": ("before_after_wipe", "threshold_explorer", "strip_explorer", "bias_explorer"),
    "cohort_explorers": ("cohort_explorer", "prediction_explorer"),
    "solid": ("view_3d",),
    "checks": (
        *("check_number", "check_choice", "check_names", "check_mask", "check_field", "check_transform"),
        *("check_split", "check_model"),
    ),
    "questions": ("quiz",),
}
"""Public names of each module."""

__all__ = [name for names in _NAMES.values() for name in names]


def __getattr__(name):
    """Load a teaching aid on first use."""
    for module, names in _NAMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    """List the teaching aids beside what is already loaded."""
    return sorted({*globals(), *__all__})
