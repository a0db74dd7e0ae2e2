"""Print the points of submissions."""

from typing import TYPE_CHECKING

from epitome_kit.cli.printing import show, show_frame
from epitome_kit.cli.terminal import say

if TYPE_CHECKING:
    import pandas as pd


def show_points(marks: "pd.DataFrame", as_json: bool) -> None:
    """Print the points of submissions, one line per exercise of a single file, else one line per file.

    Parameters
    ----------
    marks : DataFrame
        From :func:`epitome_kit.classroom.marking.mark_folder`.
    as_json : bool
        Print JSON instead of a table.
    """
    files = marks.groupby("file", sort=False)
    if as_json or len(files) == 1:
        show_frame(marks, as_json, ["exercise", "points", "state", "said", "note"])
    else:
        header = ("file", "notebook", "points", "exercises", "")
        show(None, False, [(file, *_class_line(rows)) for file, rows in files], header=header)
    marked = marks.exercise.notna()
    refused = int((~marked).sum())
    say(f"{marks.points.sum()} of {marked.sum()} points", err=as_json)
    counted = f"{len(files)} files: {len(files) - refused} marked, {refused} refused"
    same = int(marks.alike.notna().sum()) if "alike" in marks else 0
    if same:
        say(f"{same} answers have nearly the same code as others: `alike` in `--out` and `--json`", err=as_json)
    passed_over = marks.attrs.get("passed_over")
    if passed_over:
        counted += f"; skipped {passed_over} system files, such as .DS_Store"
    say(counted, err=as_json)


def _class_line(marks: "pd.DataFrame") -> tuple[str | None, int | str, str | None, str]:
    """Return notebook, points, one mark per exercise, and remarks or the reason of a refusal."""
    from epitome_kit.teach.check_result import MARKS

    first = marks.iloc[0].fillna("")
    if marks.exercise.isna().any():
        return None, 0, None, "; ".join(filter(None, (first.said, first.note)))
    mark_of = {word.lower(): mark for mark, word, _ in MARKS.values()}
    shown = " ".join(mark_of.get(state, "!") for state in marks.state)
    return first.notebook, f"{marks.points.sum()}/{len(marks)}", shown, first.note
