"""Every notebook, headless, through the runner, at the smallest profile: none is skipped."""

from PIL import Image

from epitome_kit.files import read_json
from epitome_kit.run.notebooks import find_notebooks, kit_notebooks, run_notebooks
from epitome_kit.workspace import executed_notebooks

STEPS = [
    *("01_inspect_dataset", "02_preprocess", "03_learn_cnn_features", "04_grade_with_ann", "05_extract_tumour"),
    "06_case_report",
]
LABS = ["interval_coverage", "leakage", "seed_autopsy"]


def test_the_steps_are_there():
    assert list(find_notebooks()) == STEPS


def test_the_labs_are_known_by_name():
    assert list(find_notebooks(LABS)) == LABS
    assert list(kit_notebooks()) == [*STEPS, *LABS]


def test_the_first_notebook_runs(tmp_path):
    run_notebooks(["01"], out=tmp_path / "first", profile="smoke", parameters={"subjects": 4})
    (notebook,) = executed_notebooks(tmp_path / "first")
    assert (notebook["name"], notebook["status"]) == (STEPS[0], "done")
    assert list((tmp_path / "first" / "figures").glob("01_*.png"))


def test_every_notebook_ran_to_its_end(smoke_run):
    executed = executed_notebooks(smoke_run)
    assert [notebook["name"] for notebook in executed] == [*STEPS, *LABS]
    assert {notebook["status"] for notebook in executed} == {"done"}
    assert max(notebook["peak_rss_mb"] for notebook in executed) < 1800


def test_the_summary_is_complete(smoke_run):
    summary = read_json(smoke_run / "summary.json")
    assert summary["cohort"]["n_subjects"] == 10 and summary["cohort"]["simulated"]
    assert sum(summary["cohort"]["class_counts"].values()) == 10
    for part in ("preprocess", "grading", "tumour"):
        empty = [name for name, value in summary[part].items() if value is None]
        assert not empty, f"{part} has no {', '.join(empty)}"
    assert summary["grading"]["n"] == 10 and summary["tumour"]["n"] > 0
    assert summary["provenance"]["parameters"]["profile"] == "smoke"


def test_every_step_left_a_described_picture(smoke_run):
    for start in [*(step[:2] for step in STEPS), *LABS]:
        pictures = list((smoke_run / "figures").glob(f"{start}_*.png"))
        assert pictures, f"{start} saved no picture"
        for path in pictures:
            with Image.open(path) as picture:
                assert len(picture.info.get("Description", "")) > 20, f"{path.name} has no alternative text"
