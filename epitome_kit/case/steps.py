"""Steps of the analysis of one case, as shown to a visitor."""

STEPS = (
    "Reading the scans",
    "Skull-stripping, bias correction and registration to the template",
    "Segmenting the tumour",
    "Measuring",
    "Extracting the epitome",
    "Grading",
    "Writing the sheet",
)
"""Steps of :func:`epitome_kit.case.report.case_report`."""
