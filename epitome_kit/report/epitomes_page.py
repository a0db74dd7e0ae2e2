"""Extract region and learned epitome of each tumour, with figures, tables and an HTML page."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from epitome_kit.cohort import TARGETS, Cohort
from epitome_kit.epitome.baselines import METHODS
from epitome_kit.epitome.by_class import learn_grade_epitomes
from epitome_kit.epitome.by_subject import learn_epitomes, load_tumour
from epitome_kit.epitome.files import load_epitome, record_path
from epitome_kit.epitome.model import reconstruct
from epitome_kit.epitome.region import extract_epitomes
from epitome_kit.errors import CohortError
from epitome_kit.files import Json, PathLike, read_json, write_json, write_tsv
from epitome_kit.folders import refuse_links
from epitome_kit.images import load_mask, voxel_size_known
from epitome_kit.lock import locks
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed, preprocess_cohort
from epitome_kit.report.html import embed_picture, write_page
from epitome_kit.resume import made_from
from epitome_kit.tumour.measure import measure_tumour
from epitome_kit.tumour.outline import mask_path
from epitome_kit.workspace import QUALITY_TABLE, Workspace

PICTURES = {"sheet": "The region", "learned": "The learned epitome", "rebuilt": "The tumour rebuilt from it"}
"""Figures of each subject: suffix of the file name to title."""


@locks("extract")
def extract_cohort(
    cohort: Cohort, out: PathLike, *, target: str = "grade", folds: int = 5, seed: int = 0, workers: int = 1
) -> tuple[pd.DataFrame, Json]:
    """Crop every tumour, learn epitomes by subject and by class, and write tables, figures and a page.

    Missing preprocessing and masks are computed first; a cohort without
    annotations is segmented by the shipped network. Finished results are kept.

    Parameters
    ----------
    cohort : Cohort
        Subjects with or without annotations.
    out : path
        Workspace; ``preprocessed/`` and ``masks/`` are read or written there, and
        ``epitomes/``, ``epitomes.tsv``, ``epitomes.json`` and ``epitomes.html`` written.
    target : {"grade", "codeletion"}, default="grade"
        Classes whose epitomes are compared.
    folds : int, default=5
        Folds of subjects.
    seed : int, default=0
        Seed of folds, training and patches.
    workers : int, default=1
        Processes.

    Returns
    -------
    table : DataFrame
        One row per subject: ``participant_id``, the label, ``n_patches``,
        the held-out errors ``mse_...`` under its own epitome and under that of its
        class, ``log_likelihood_ratio`` and ``note``.
    scores : dict
        As in ``epitomes.json``; its ``classes`` holds a ``reason`` if the classes
        could not be compared.

    Raises
    ------
    CohortError
        No tumour is large enough to learn an epitome from.
    """
    out = Path(out)
    refuse_links(out, where="extract")
    preprocessed = Workspace(out).preprocessed
    _compute_missing(cohort, preprocessed, out, folds=folds, seed=seed, workers=workers)
    crops = extract_epitomes(cohort, preprocessed, out, workers=workers)
    own = learn_epitomes(cohort, preprocessed, out, seed=seed, workers=workers)
    try:
        graded, classes = learn_grade_epitomes(
            cohort, preprocessed, out, target=target, folds=folds, seed=seed, workers=workers
        )
    except CohortError as error:
        graded, classes = None, {"reason": error.reason}
    table = _join(cohort, own, graded, target)
    tested = own.dropna(subset="mse_epitome")
    errors = tested[[f"mse_{name}" for name in METHODS]].set_axis(METHODS, axis=1)
    scores = {
        "subjects": {
            "n": len(tested),
            "mse": errors.mean().round(6).to_dict(),
            "better_than": {name: int((errors.epitome < errors[name]).sum()) for name in METHODS[1:]},
        },
        "target": target,
        "classes": classes,
    }
    write_tsv(out / "epitomes.tsv", table)
    write_json(out / "epitomes.json", scores)
    for_each(
        partial(_draw_subject, cohort=cohort, preprocessed=preprocessed, out=out),
        list(crops.items()),
        title="Drawing",
        workers=workers,
    )
    figures = _draw_cohort(out, tested, graded, cohort, scores)
    _write_page(cohort, out, table, scores, figures)
    return table, scores


def _compute_missing(cohort: Cohort, preprocessed: Path, out: Path, *, folds: int, seed: int, workers: int) -> None:
    if not (preprocessed / QUALITY_TABLE).is_file():
        preprocess_cohort(cohort, preprocessed, workers=workers)
    ready = [subject.id for subject in cohort if Preprocessed(preprocessed, subject.id).record.is_file()]
    if not all(mask_path(out, name).is_file() for name in ready):
        _segment(cohort, ready, preprocessed, out, folds=folds, seed=seed, workers=workers)


def _segment(
    cohort: Cohort, ready: list[str], preprocessed: Path, out: Path, *, folds: int, seed: int, workers: int
) -> None:
    """Segment the tumours by a network trained on the cohort, or by the shipped one if there are no annotations."""
    from epitome_kit.tumour.segment import predict_tumours, segment_cohort

    if any(cohort[name].annotation for name in ready):
        segment_cohort(cohort, preprocessed, out, folds=folds, seed=seed, workers=workers)
    else:
        predict_tumours(cohort, preprocessed, out, workers=workers)


def _join(cohort: Cohort, own: pd.DataFrame, graded: pd.DataFrame | None, target: str) -> pd.DataFrame:
    """Join the labels, the errors under the subject's own epitome and those under the epitome of its class."""
    label = cohort.participants[[target]] if target in cohort.participants else None
    table = own if label is None else own.merge(label, left_on="participant_id", right_index=True, how="left")
    if graded is not None:
        ofclass = graded.rename(columns={f"mse_{name}": f"mse_{name}_{target}" for name in METHODS})
        table = table.merge(ofclass, on="participant_id", how="left")
    last = ["note"]
    first = [name for name in ("participant_id", target) if name in table]
    return table[[*first, *(name for name in table if name not in (*first, *last)), *last]]


def picture_path(out: PathLike, name: str, kind: str) -> Path:
    """Return the path of a figure of a subject; `kind` is one of :data:`PICTURES`."""
    return Workspace(Path(out)).epitomes / name / f"{name}_{kind}.png"


def _draw_subject(item: tuple[str, dict[str, Path]], *, cohort: Cohort, preprocessed: Path, out: Path) -> None:
    """Draw one subject, unless its figures are up to date with the epitome and the style."""
    from epitome_kit.plotting.epitomes import epitome_picture, rebuilt_tumour
    from epitome_kit.plotting.scans import epitome_sheet
    from epitome_kit.plotting.style import is_drawn_as_now, save_figure

    name, crops = item
    learned = record_path(Workspace(out).epitomes / name, name)
    last = picture_path(out, name, "sheet")
    record = made_from(last, learned)
    if record.valid() and is_drawn_as_now(last):
        return
    row = read_json(learned)["row"]
    if not row.get("note"):
        epitome = load_epitome(learned.parent, name)
        figure = epitome_picture(epitome, title=f"Learned epitome of {name}")
        text = f"{name}: slices of the mean and the variance of its learned epitome, for each contrast."
        save_figure(figure, picture_path(out, name, "learned"), text)
        scans, mask, affine = load_tumour(cohort[name], preprocessed, out, epitome.contrasts)
        rebuilt = reconstruct(epitome, scans, mask)
        figure = rebuilt_tumour(scans, rebuilt, mask, affine, epitome.contrasts, title=f"{name} from its epitome")
        text = f"{name}: an axial slice of the tumour, the same rebuilt from its learned epitome, and the difference."
        save_figure(figure, picture_path(out, name, "rebuilt"), text)
    regions = {contrast: path for contrast, path in crops.items() if contrast != "mask"}
    figure = epitome_sheet(regions, crops["mask"], _facts(name, crops["mask"], row))
    save_figure(figure, last, f"{name}: the tumour cut out of every contrast, in three planes, with its outline.")
    record.finish()


def _facts(name: str, mask: Path, row: Json) -> list[str]:
    """Describe the size of a tumour and the reconstruction error of its epitome, one line each."""
    from epitome_kit.plotting.epitomes import METHOD_NAMES, UNIT

    image = load_mask(mask)
    lines = [name]
    if voxel_size_known(image):
        size = measure_tumour(image)
        across = f"{size.rano_long_mm:.0f} × {size.rano_perpendicular_mm:.0f} mm"
        lines += [f"volume {size.volume_ml:.1f} mL", f"diameters {across}"]
    else:
        lines += [f"{int(np.sum(image.dataobj)):,} voxels,", "their size unknown"]
    if row.get("note"):
        return [*lines, "no learned epitome"]
    errors = [f"{shown} {row[f'mse_{method}']:.2f}" for method, shown in METHOD_NAMES.items()]
    return [*lines, "error on the other half,", f"in {UNIT}²:", *errors]


def _draw_cohort(
    out: Path, tested: pd.DataFrame, graded: pd.DataFrame | None, cohort: Cohort, scores: Json
) -> list[Path]:
    """Draw the charts of the cohort and return their paths."""
    from epitome_kit.plotting.epitomes import epitome_difference, error_chart, ratio_chart
    from epitome_kit.plotting.style import save_figure

    folder, target, classes = Workspace(out).epitomes, scores["target"], scores["classes"]
    text = (
        "Mean squared error of held-out patches: epitome, k-means and random patches of the same number of voxels, {}."
    )
    figures = [
        (error_chart(tested, title="The other half of the tumour"), "errors", text.format("other half of a tumour"))
    ]
    if graded is not None:
        names = tuple(f"{target} {value}" for value in TARGETS[target])
        labels = cohort.labels(target)[graded.participant_id]
        pair = [load_epitome(folder / name, name) for name in classes["classes"]]
        figures += [
            (error_chart(graded, title=f"New subjects, by {target}"), f"{target}_errors", text.format("new subjects")),
            (
                epitome_difference(*pair, names=names, counts=classes["class_counts"]),
                f"{target}_difference",
                f"Slices of the epitomes of {names[0]} and {names[1]}, and their difference.",
            ),
            (
                ratio_chart(graded.log_likelihood_ratio, labels, classes, names=names),
                f"{target}_ratios",
                f"Log-likelihood ratio of each held-out subject, {names[0]} and {names[1]}.",
            ),
        ]
    for figure, name, text in figures:
        save_figure(figure, folder / f"{name}.png", text)
    return [folder / f"{name}.png" for _, name, _ in figures]


def _write_page(cohort: Cohort, out: Path, table: pd.DataFrame, scores: Json, figures: list[Path]) -> None:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    for row in rows:
        kinds = ["sheet"] if row["note"] else list(PICTURES)  # others may be left from an earlier mask
        paths = {PICTURES[kind]: picture_path(out, row["participant_id"], kind) for kind in kinds}
        row["pictures"] = {title: embed_picture(path) for title, path in paths.items() if path.is_file()}
    columns = [name for name in table if name not in ("participant_id", "note")]
    write_page(
        out / "epitomes.html",
        "epitomes.html.j2",
        name=cohort.name,
        simulated=cohort.simulated,
        rows=rows,
        columns=columns,
        scores=scores,
        figures=[embed_picture(path) for path in figures],
    )
