"""Viewers with a list of subjects, which load one subject at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image, ImageDraw

from epitome_kit.cohort import Cohort, Subject
from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import TableError
from epitome_kit.files import Json, PathLike
from epitome_kit.images import ImageLike
from epitome_kit.plotting.scores import roc
from epitome_kit.plotting.style import RED
from epitome_kit.preprocess.derivative import Preprocessed
from epitome_kit.widgets.image_widget import Picture
from epitome_kit.widgets.render import encode_jpeg
from epitome_kit.widgets.slice_viewer import SliceViewer

_DPI, _RING = 96, 9

_Files = tuple[Mapping[str, ImageLike], Mapping[str, ImageLike] | None]
"""Scans and masks of a subject."""


def cohort_explorer(cohort: Cohort, *, size: int = 320) -> SliceViewer:
    """View the scans of a cohort, subject by subject.

    Parameters
    ----------
    cohort : Cohort
    size : int, default=320
        Pixels of the longest side of a scan.

    Returns
    -------
    SliceViewer
        With an additional attribute: ``subject`` (list of subjects).
    """

    def files(subject: Subject) -> _Files:
        return subject.images, {"annotation": subject.annotation} if subject.annotation else None

    subjects = list(cohort)
    viewer = SliceViewer(*files(subjects[0]), size=size)
    viewer.subject = viewer.add_list(
        "Subject",
        [subject.id for subject in subjects],
        lambda: viewer.load(*files(cohort[viewer.subject.value])),
        tip="Subject to show",
    )
    return viewer


def prediction_explorer(
    predictions: pd.DataFrame,
    scores: Json,
    preprocessed: PathLike,
    *,
    names: Sequence[str] | None = None,
    size: int = 260,
) -> SliceViewer:
    """Select a subject on the ROC curve and view its scans and prediction.

    Subjects are listed from the highest to the lowest probability. The ring on
    the curve is the threshold at which the selected subject is the last to be
    called positive.

    Parameters
    ----------
    predictions : DataFrame
        Content of ``predictions.tsv``; only the first repeat is shown.
    scores : dict
        Content of ``scores.json``.
    preprocessed : path
        Derivative with the scans and annotations.
    names : (str, str), optional
        Names of classes 0 and 1. Default: those in `scores`.
    size : int, default=260
        Pixels of the longest side of a scan.

    Returns
    -------
    SliceViewer
        With three additional attributes: ``subject`` (list of subjects),
        ``curve`` (ROC curve to click on) and ``readout`` (prediction of the
        subject).

    Raises
    ------
    TableError
        There are no predictions, or only those of one class.
    ImageError
        A scan of the selected subject cannot be read.
    """
    table = (
        predictions[predictions["repeat"] == predictions["repeat"].min()] if "repeat" in predictions else predictions
    )
    table = table.sort_values("probability", ascending=False, kind="stable").reset_index(drop=True)
    if table.label.nunique() != 2:
        raise TableError(
            "prediction_explorer",
            "predictions of both classes",
            f"{len(table)} predictions, labels {sorted(table.label.unique().tolist())}",
            "pass all of predictions.tsv",
        )
    classes = names or tuple(scores["class_counts"])
    curve, points = _draw_curve(table, scores)

    def files(row: int) -> _Files:
        derivative = Preprocessed(Path(preprocessed), table.participant_id[row])
        scans = {name: derivative.scan(name) for name in CONTRASTS if derivative.scan(name).is_file()}
        annotation = derivative.mask("label-tumour")
        return scans, {"annotation": annotation} if annotation.is_file() else None

    def mark() -> None:
        row = viewer.subject.value
        viewer.curve.value = _draw_ring(curve, points[row])
        viewer.curve.index = row
        viewer.curve.text = viewer.readout.value = _describe(table.iloc[row], classes)

    def choose() -> None:
        mark()
        viewer.load(*files(viewer.subject.value))

    def step() -> None:
        viewer.subject.value = viewer.curve.index

    def pick() -> None:
        place = np.multiply(viewer.curve.clicked, curve.shape[1::-1])
        viewer.subject.value = int(np.linalg.norm(points - place, axis=1).argmin())

    viewer = SliceViewer(*files(0), size=size)
    viewer.curve = Picture(label="ROC curve", last=len(table) - 1, layout={"width": "auto"})
    viewer.subject = viewer.add_list(
        "Subject",
        [(_line(row, classes), place) for place, row in table.iterrows()],
        choose,
        tip="Subject to show, in order of probability",
        rows=16,
        beside=viewer.curve,
    )
    viewer.readout = viewer.add_readout()
    viewer.respond(viewer.curve, step, "index")
    viewer.respond(viewer.curve, pick, "clicked")
    mark()
    return viewer


def _predicted(row: pd.Series) -> int:
    return int(row.probability >= 0.5)


def _line(row: pd.Series, names: Sequence[str]) -> str:
    wrong = "" if _predicted(row) == row.label else "  ✗ wrong"
    return f"{row.probability:.2f}  {row.participant_id}  {names[int(row.label)]}{wrong}"


def _describe(row: pd.Series, names: Sequence[str]) -> str:
    """Describe the prediction of a subject, and whether it was right."""
    outcome = "correctly" if _predicted(row) == row.label else "wrongly"
    return (
        f"{row.participant_id}: true class {names[int(row.label)]}; probability of {names[1]} "
        f"{row.probability:.2f}, {outcome} predicted as {names[_predicted(row)]}"
    )


def _draw_curve(table: pd.DataFrame, scores: Json) -> tuple[np.ndarray, np.ndarray]:
    """Draw the ROC curve; return its pixels, and the pixel (x, y) of the threshold of each subject."""
    figure = roc(table.label, table.probability, scores["auc"], scores["auc_ci95"], oracle=scores.get("oracle_auc"))
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    reached = [table[table.probability >= probability].label for probability in table.probability]
    rates = [((found == 0).sum() / (table.label == 0).sum(), found.sum() / table.label.sum()) for found in reached]
    across, up = figure.axes[0].transData.transform(rates).T
    return pixels, np.stack([across, len(pixels) - up], axis=1)


def _draw_ring(curve: np.ndarray, place: np.ndarray) -> bytes:
    """Draw a ring on the curve, and return the picture as JPEG."""
    image = Image.fromarray(curve)
    box = [*(place - _RING), *(place + _RING)]
    ImageDraw.Draw(image).ellipse(box, outline=RED, width=4)
    return encode_jpeg(np.asarray(image))
