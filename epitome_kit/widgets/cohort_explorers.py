"""Explorers of a cohort: one subject is in memory at a time, opened when it is chosen."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image, ImageDraw

from epitome_kit.contrast_table import CONTRASTS
from epitome_kit.errors import TableError
from epitome_kit.plotting.scores import roc
from epitome_kit.plotting.style import RED
from epitome_kit.preprocess.derivative import Preprocessed
from epitome_kit.widgets.image_widget import Picture
from epitome_kit.widgets.render import encode_jpeg
from epitome_kit.widgets.slice_viewer import SliceViewer

_DPI, _RING = 96, 9


def cohort_explorer(cohort, *, size=320):
    """Look through the scans of a cohort, subject by subject.

    Parameters
    ----------
    cohort : Cohort
    size : int, default=320
        Pixels of the longest side of a scan.

    Returns
    -------
    SliceViewer
        With one more attribute: ``subject`` (list to choose from).
    """

    def files(subject):
        return subject.images, {"annotation": subject.annotation} if subject.annotation else None

    subjects = list(cohort)
    viewer = SliceViewer(*files(subjects[0]), size=size)
    viewer.subject = viewer.add_list(
        "Subject",
        [subject.id for subject in subjects],
        lambda: viewer.load(*files(cohort[viewer.subject.value])),
        tip="Subject whose scans are shown",
    )
    return viewer


def prediction_explorer(predictions, scores, preprocessed, *, names=None, size=260):
    """Pick a subject on the ROC curve, and see what the network was right or wrong about.

    The list runs from the highest probability to the lowest. So does the
    curve: calling everybody positive down to the chosen subject gives the ring.

    Parameters
    ----------
    predictions : DataFrame
        As in ``predictions.tsv``; of several repeats the first is shown.
    scores : dict
        As in ``scores.json``.
    preprocessed : path
        Derivative with the scans and annotations.
    names : (str, str), optional
        What label 0 and 1 stand for. Default: as `scores` counts them.
    size : int, default=260
        Pixels of the longest side of a scan.

    Returns
    -------
    SliceViewer
        With three more attributes: ``subject`` (list to choose from), ``curve``
        (picture to click on) and ``readout`` (what was said of the subject).

    Raises
    ------
    TableError
        No prediction, or only of one class.
    ImageError
        A scan of the chosen subject cannot be read.
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
            "pass the whole of predictions.tsv",
        )
    names = names or tuple(scores["class_counts"])
    ground, points = _draw_curve(table, scores)

    def files(row):
        of = Preprocessed(Path(preprocessed), table.participant_id[row])
        scans = {name: of.scan(name) for name in CONTRASTS if of.scan(name).is_file()}
        drawn = of.mask("label-tumour")
        return scans, {"annotation": drawn} if drawn.is_file() else None

    def mark():
        row = viewer.subject.value
        viewer.curve.value = _ring(ground, points[row])
        viewer.curve.index = row
        viewer.curve.text = viewer.readout.value = _say(table.iloc[row], names)

    def choose():
        mark()
        viewer.load(*files(viewer.subject.value))

    def step():
        viewer.subject.value = viewer.curve.index

    def pick():
        place = np.multiply(viewer.curve.clicked, ground.shape[1::-1])
        viewer.subject.value = int(np.linalg.norm(points - place, axis=1).argmin())

    viewer = SliceViewer(*files(0), size=size)
    viewer.curve = Picture(label="ROC curve", last=len(table) - 1, layout={"width": "auto"})
    viewer.subject = viewer.add_list(
        "Subject",
        [(_line(row, names), place) for place, row in table.iterrows()],
        choose,
        tip="Subject whose scans are shown, the most probable first",
        rows=16,
        beside=viewer.curve,
    )
    viewer.readout = viewer.add_readout()
    viewer.respond(viewer.curve, step, "index")
    viewer.respond(viewer.curve, pick, "clicked")
    mark()
    return viewer


def _called(row):
    return int(row.probability >= 0.5)


def _line(row, names):
    wrong = "" if _called(row) == row.label else "  ✗ wrong"
    return f"{row.probability:.2f}  {row.participant_id}  {names[int(row.label)]}{wrong}"


def _say(row, names):
    """Say what the network said of a subject, and whether it was right."""
    verdict = "rightly" if _called(row) == row.label else "wrongly"
    return (
        f"{row.participant_id}: truly {names[int(row.label)]}; probability of {names[1]} {row.probability:.2f}, "
        f"so {verdict} called {names[_called(row)]}"
    )


def _draw_curve(table, scores):
    """Draw the ROC curve once; return its pixels, and the pixel (x, y) of each subject's threshold."""
    figure = roc(table.label, table.probability, scores["auc"], scores["auc_ci95"], oracle=scores.get("oracle_auc"))
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    reached = [table[table.probability >= probability].label for probability in table.probability]
    rates = [((found == 0).sum() / (table.label == 0).sum(), found.sum() / table.label.sum()) for found in reached]
    across, up = figure.axes[0].transData.transform(rates).T
    return pixels, np.stack([across, len(pixels) - up], axis=1)


def _ring(ground, place):
    """Mark a place on the curve."""
    image = Image.fromarray(ground)
    box = [*(place - _RING), *(place + _RING)]
    ImageDraw.Draw(image).ellipse(box, outline=RED, width=4)
    return encode_jpeg(np.asarray(image))
