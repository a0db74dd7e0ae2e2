"""`epitome segment`, `measure` and `extract`: segment tumours, measure them, extract their epitomes."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from epitome_kit.cli.options import Json, MaskLabels, Scheduler, Trust, Workers
from epitome_kit.cli.printing import show_epitomes, show_outlines, show_size
from epitome_kit.cli.terminal import say
from epitome_kit.contrast_table import CONTRASTS, by_conspicuity
from epitome_kit.errors import ParameterError, collect_warnings, plain

if TYPE_CHECKING:
    import pandas as pd


def segment(
    sources: Annotated[
        list[str],
        typer.Argument(
            help=f"A cohort, or scans of one subject: `flair.nii.gz T1ce=post.nii`. Contrasts: {', '.join(CONTRASTS)}."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Workspace.  [default: runs/NAME_segment]")] = None,
    train: Annotated[
        Path | None,
        typer.Option(help="Train on the masks of the cohort, predict out of fold, write the network here."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Predict with a network written by `--train`.")] = None,
    folds: Annotated[int, typer.Option(help="With `--train`: number of folds.", min=2)] = 5,
    epochs: Annotated[int, typer.Option(help="With `--train`: number of epochs.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="With `--train`: random seed.")] = 0,
    learn_from: Annotated[
        str, typer.Option(help="With `--train`: `annotation`, or `truth` (simulated cohorts only).")
    ] = "annotation",
    trust: Trust = None,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Segment the tumours of a cohort, or in the scans of one subject, with any available contrasts.

    Without `--train` and `--weights` a network trained on simulated patients only
    is used. Masks are written to OUT/masks, on the grid of each subject; sizes,
    intervals of the volumes and, where there is a reference mask, Dice to
    OUT/tumours.tsv. The contrasts determined for the scans of one subject are
    printed and written to OUT/contrasts.tsv; `epitome contrasts` prints them
    beforehand.

    For example:

    - `epitome segment runs/tcga --train tcga.keras`
    - `epitome segment runs/others --weights tcga.keras --out runs/others_outlined`
    - `epitome segment flair.nii.gz t1.nii.gz T1ce=post.nii.gz --out runs/one`
    """
    from epitome_kit.cohort import open_cohort
    from epitome_kit.lock import folder_lock
    from epitome_kit.preprocess.pipeline import preprocess_cohort
    from epitome_kit.tumour.fit import UNetSettings
    from epitome_kit.tumour.segment import predict_tumours, segment_cohort
    from epitome_kit.workspace import Workspace

    if train and weights:
        raise ParameterError("segment", "`--train` or `--weights`", "both", "omit one of them")
    if trust and Path(sources[0]).is_dir():
        hint = "use it when the cohort is imported: `epitome cohort bids --trust`"
        raise ParameterError("segment", "`--trust` with scans", f"it with {sources[0]}, a folder", hint)
    name = Path(sources[0].partition("=")[2] or sources[0]).absolute().name.split(".")[0]
    out = out or Path("runs") / f"{name}_segment"
    scans = None
    alone = len(sources) > 1 or not Path(sources[0]).is_dir()
    if alone and train:
        raise ParameterError(
            "segment", "a cohort to train on", f"{len(sources)} scans", "import them: `epitome cohort`"
        )
    with folder_lock(out, "segment"):
        if alone:
            tumours, scans = _segment_scans(sources, out, weights, trust)
        else:
            cohort, preprocessed = open_cohort(sources[0]), Workspace(out).preprocessed
            preprocess_cohort(cohort, preprocessed, workers=workers)
            if train:
                tumours = segment_cohort(
                    cohort,
                    preprocessed,
                    out,
                    weights=train,
                    folds=folds,
                    settings=UNetSettings(epochs=epochs, learn_from=learn_from),
                    seed=seed,
                    workers=workers,
                )
            else:
                tumours = predict_tumours(cohort, preprocessed, out, weights=weights, workers=workers)
    show_outlines(tumours, out, as_json, scans)


def measure(
    mask: Path,
    slices: Annotated[
        str | None,
        typer.Option(
            metavar="10,11,12",
            help="Annotated axial slices, or `all`.  [default: from the sidecar, or all]",
        ),
    ] = None,
    voxels: Annotated[bool, typer.Option("--voxels", help="Count voxels only; works without a voxel size.")] = False,
    mask_labels: MaskLabels = None,
    enhancing: Annotated[
        Path | None,
        typer.Option(metavar="MASK", help="Mask of the enhancing part, to measure it apart, as RANO does."),
    ] = None,
    enhancing_labels: Annotated[
        str | None, typer.Option(metavar="LABELS", help="Its labels to use, such as `brats21:ET`.")
    ] = None,
    trust: Trust = None,
    as_json: Json = False,
) -> None:
    """Measure a tumour mask: volume, surface, diameters and axes.

    If only some slices were annotated, the volume on them and an estimate of the
    whole are printed separately. Fractional masks are thresholded at 0.5; several
    labels are merged only with `--mask-labels`.

    For example:

    - `epitome measure tumour.nii.gz --json`
    - `epitome measure three_slices.nii.gz --slices 21,22,23`
    - `epitome measure BraTS_seg.nii.gz --mask-labels brats21:WT --enhancing BraTS_seg.nii.gz --enhancing-labels
      brats21:ET`
    """
    from epitome_kit.errors import ParameterError
    from epitome_kit.tumour.measure import count_voxels, measure_tumour
    from epitome_kit.tumour.size import TumourSize, VoxelCount
    from epitome_kit.tumour.sparse_volume import find_annotated_slices

    if enhancing and voxels:
        raise ParameterError("measure", "`--enhancing` or `--voxels`", "both", "count each mask by itself")
    if enhancing_labels and not enhancing:
        raise ParameterError("measure", "`--enhancing-labels` with `--enhancing`", "it alone", "name the mask as well")
    with collect_warnings() as remarks:
        annotated = find_annotated_slices(mask, trust=trust) if slices is None else _indices(slices)
        size: TumourSize | VoxelCount
        if voxels:
            size = count_voxels(mask, annotated_slices=annotated, labels=mask_labels, trust=trust)
        else:
            size = measure_tumour(
                mask,
                annotated_slices=annotated,
                labels=mask_labels,
                trust=trust,
                enhancing=enhancing,
                enhancing_labels=enhancing_labels,
            )
    if slices is None and annotated is not None:
        remarks.append(f"annotated on slices {', '.join(map(str, annotated))} by the sidecar; others unknown")
    for remark in remarks:
        say(f"Warning: {remark}.", err=True)
    show_size(asdict(size) | {"notes": remarks}, as_json)


def extract(
    cohort: Path,
    out: Path,
    target: Annotated[str, typer.Option(help="Classes to compare: `grade` or `codeletion`.")] = "grade",
    folds: Annotated[int, typer.Option(help="Number of folds.", min=2)] = 5,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Crop every tumour, and learn its epitome: a small image from whose parts its patches can be rebuilt.

    OUT is the workspace of a run, with `preprocessed/` and `masks/`; missing ones
    are computed. Finished subjects are kept: repeat the command to continue after
    an interruption. OUT/epitomes.tsv compares each epitome with k-means and random
    patches with the same number of voxels, on held-out patches.

    Example: `epitome extract runs/tcga runs/tcga_quick_grade`
    """
    from epitome_kit.cohort import open_cohort
    from epitome_kit.report.epitomes_page import extract_cohort

    table, scores = extract_cohort(open_cohort(cohort), out, target=target, folds=folds, seed=seed, workers=workers)
    show_epitomes(table, scores, out, as_json)


def _segment_scans(
    sources: list[str], out: Path, weights: Path | None, trust: str | None
) -> tuple["pd.DataFrame", list[dict[str, str]]]:
    import pandas as pd

    from epitome_kit.files import write_tsv
    from epitome_kit.images import load_image, load_mask
    from epitome_kit.large import working_image, working_mask
    from epitome_kit.plotting.scans import show_planes
    from epitome_kit.plotting.style import is_drawn_as_now, save_figure
    from epitome_kit.resume import made_from
    from epitome_kit.tumour.outline import mask_path
    from epitome_kit.tumour.single_case import predict_scan, segment_head
    from epitome_kit.workspace import Workspace

    judged = predict_scan(sources)
    for contrast, (path, evidence) in judged.items():
        say(f"{plain(path.name)}: {contrast} ({evidence})", err=True)
    images = {contrast: path for contrast, (path, _) in judged.items()}
    images = _apply_affine(images, out, trust) if trust else images
    tumours = segment_head(images, out, weights=weights)
    contrast, name = by_conspicuity(images)[0], tumours.participant_id[0]
    picture = Workspace(out).figures / f"{name}_tumour.png"
    record = made_from(picture, Path(images[contrast]), mask_path(out, name))
    if not (record.valid() and is_drawn_as_now(picture)):
        scan = working_image(load_image(images[contrast], check_voxels=False), where="segment")
        mask = working_mask(load_mask(mask_path(out, name)))
        figure = show_planes({contrast: scan}, {"tumour": mask}, title=name)
        save_figure(figure, picture, f"The {contrast} of {name} with its tumour outlined.")
        record.finish()
    scans = [{"file": str(path), "contrast": name, "evidence": why} for name, (path, why) in judged.items()]
    write_tsv(out / "contrasts.tsv", pd.DataFrame(scans).drop(columns="file"))
    return tumours, scans


def _apply_affine(images: dict[str, Path], out: Path, trust: str) -> dict[str, Path]:
    """Write copies of the scans with the trusted affine."""
    from epitome_kit.images import load_image, save_image
    from epitome_kit.tumour.single_case import head_name

    places = {contrast: out / "scans" / f"{head_name(images)}_{contrast}.nii.gz" for contrast in images}
    for contrast, place in places.items():
        save_image(load_image(images[contrast], where="segment", trust=trust), place)
    return places


def _indices(text: str) -> tuple[int, ...] | None:
    """Parse ``10,11,12`` as slice indices, and ``all`` as None."""
    if text == "all":
        return None
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise ParameterError(
            "measure", "`--slices` as indices from 0", repr(text), "write `--slices 10,11,12`"
        ) from None
