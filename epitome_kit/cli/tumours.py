"""`epitome segment`: outline tumours, by a network that is trained here, that was before, or as it comes."""

from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.answers import show_outlines
from epitome_kit.cli.options import Json, Workers
from epitome_kit.errors import BadParameter


def segment(
    sources: Annotated[list[str], typer.Argument(help="A cohort, or scans of one head: `flair.nii.gz T1ce=post.nii`.")],
    out: Annotated[Path | None, typer.Option(help="Workspace.  [default: runs/NAME_segment]")] = None,
    train: Annotated[
        Path | None, typer.Option(help="Train on the masks of the cohort, test out of fold, write the network here.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Predict with a network that `--train` wrote.")] = None,
    folds: Annotated[int, typer.Option(help="With `--train`: deals of the subjects.", min=2)] = 5,
    epochs: Annotated[int, typer.Option(help="With `--train`: rounds through the subjects.", min=1)] = 15,
    seed: Annotated[int, typer.Option(help="With `--train`: seed of everything random.")] = 0,
    workers: Workers = 2,
    as_json: Json = False,
):
    """Outline the tumour in a cohort, or in the scans of one head; any of T1, T1 after contrast, T2, FLAIR.

    Without `--train` and `--weights` the network has seen simulated patients
    alone. Masks go to OUT/masks, on each subject's own grid; sizes, with a 90 %
    interval, to OUT/tumours.tsv. Where there is a mask to compare with, so does the Dice.

    For example:

    - `epitome segment runs/tcga --train tcga.keras`
    - `epitome segment runs/others --weights tcga.keras --out runs/others_outlined`
    - `epitome segment flair.nii.gz t1.nii.gz T1ce=post.nii.gz --out runs/one`
    """
    from epitome_kit.cohort import open_cohort
    from epitome_kit.tumour import one_head

    if train and weights:
        raise BadParameter("segment", "`--train` or `--weights`", "both", "leave one of them out")
    name = Path(sources[0].partition("=")[2] or sources[0]).absolute().name.split(".")[0]
    out = out or Path("runs") / f"{name}_segment"
    if len(sources) == 1 and Path(sources[0]).is_dir():
        tumours = _segment_cohort(open_cohort(sources[0]), out, train, weights, folds, epochs, seed, workers)
    elif train:
        raise BadParameter("segment", "a cohort to train on", f"{len(sources)} scans", "import them: `epitome cohort`")
    else:
        tumours = _segment_head(one_head.name_contrasts(sources), out, weights)
    show_outlines(tumours, out, as_json)


def _segment_cohort(cohort, out, train, weights, folds, epochs, seed, workers):
    from epitome_kit.preprocess.pipeline import preprocess_cohort
    from epitome_kit.tumour.segment import predict_tumours, segment_cohort

    preprocessed = out / "preprocessed"
    preprocess_cohort(cohort, preprocessed, workers=workers)
    if train:
        return segment_cohort(cohort, preprocessed, out, folds=folds, epochs=epochs, seed=seed, weights=train)
    return predict_tumours(cohort, preprocessed, out, weights=weights)


def _segment_head(images, out, weights):
    from epitome_kit.teach.figures import show_planes
    from epitome_kit.teach.style import save_figure
    from epitome_kit.tumour.one_head import leading, segment_head
    from epitome_kit.tumour.outline import mask_path

    tumours = segment_head(images, out, weights=weights)
    lead, name = leading(images), tumours.participant_id[0]
    figure = show_planes({lead: images[lead]}, {"tumour": mask_path(out, name)}, title=name)
    save_figure(figure, out / "figures" / f"{name}_tumour.png", f"The {lead} of {name} with its tumour outlined.")
    return tumours
