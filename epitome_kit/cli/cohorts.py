"""`epitome cohort`: simulate a cohort, or import one."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cli.cohort_summary import show_cohort
from epitome_kit.cli.options import Decisions, Deface, Json, MaskLabels, Scheduler, Trust, Workers
from epitome_kit.contrast_table import CONTRASTS

cohorts = typer.Typer(no_args_is_help=True, help="Simulate a cohort, or import one: `epitome cohort phantom heads`.")


@cohorts.command()
def phantom(
    out: Path,
    subjects: Annotated[int, typer.Option(help="Number of subjects.")] = 48,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same voxels.")] = 0,
    profile: Annotated[str, typer.Option(help="`smoke` 3 mm, `quick` 2 mm, `full` clinical.")] = "quick",
    contrasts: Annotated[str, typer.Option(help=f"Comma-separated list of {', '.join(CONTRASTS)}.")] = "T1ce,T2w",
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Simulate a cohort of heads with tumours and known truth.

    Example: `epitome cohort phantom heads --subjects 12`
    """
    from epitome_kit.simulate.phantom import make_phantom_cohort

    names = tuple(contrasts.replace(",", " ").split())
    made = make_phantom_cohort(out, subjects=subjects, seed=seed, profile=profile, contrasts=names, workers=workers)
    show_cohort(made, as_json)


@cohorts.command("tcga-lgg")
def tcga_lgg(source: Path, out: Path, workers: Workers = 2, scheduler: Scheduler = None, as_json: Json = False) -> None:
    """Import the TCGA-LGG slices: a folder, the zip as downloaded, or a folder of zips.

    Example: `epitome cohort tcga-lgg archive.zip runs/tcga`
    """
    from epitome_kit.sources.tcga_lgg import import_tcga_lgg

    show_cohort(import_tcga_lgg(source, out, workers=workers), as_json)


@cohorts.command()
def bids(
    source: Path,
    out: Path,
    session: Annotated[str | None, typer.Option(help="Session to import from every subject, such as `preop`.")] = None,
    mask_labels: MaskLabels = None,
    trust: Trust = None,
    decisions: Decisions = None,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Check and import a BIDS folder; OUT/sources.tsv lists how every file was classified, and why.

    Contrasts are determined from names and sidecars. Among several sessions, one
    with a tumour mask is preferred, then one before surgery, then the earliest. A
    tumour mask is marked by `label-tumour`, `label-lesion`, or `Type: Lesion` in its
    sidecar. Unclear files are left out: fill in the column `decision` of
    OUT/sources.tsv, and import again with `--decisions`.

    For example:

    - `epitome cohort bids my_bids runs/mine`
    - `epitome cohort bids my_bids runs/mine --decisions runs/mine/sources.tsv`
    - `epitome cohort bids my_bids runs/mine --session preop --mask-labels brats21:WT`
    """
    from epitome_kit.ledger import read_decisions
    from epitome_kit.sources.bids import import_bids

    made = import_bids(
        source,
        out,
        session=session,
        mask_labels=mask_labels,
        trust=trust,
        decisions=read_decisions(decisions),
        workers=workers,
    )
    show_cohort(made, as_json)


@cohorts.command()
def dicom(
    source: Path,
    out: Path,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Use PatientIDs, which must be pseudonyms, as subject ids.")
    ] = False,
    person_folders: Annotated[
        bool,
        typer.Option(
            "--person-folders", help="Each folder directly below SOURCE is one person, regardless of headers."
        ),
    ] = False,
    decisions: Decisions = None,
    deface: Deface = False,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Import DICOM files from any folders; OUT/sources.tsv lists how every series was classified, and why.

    Names, dates and identifiers are removed: subjects are numbered in the order of
    their PatientID. People are distinguished by PatientID, sex, age, identifiers and
    folders; those that cannot be distinguished are left out, unless each has a
    folder and `--person-folders` is given. Contrasts are determined from headers.
    Unclear series are left out: fill in the column `decision` of OUT/sources.tsv, and
    import again with `--decisions`. Among several studies, one before surgery is
    preferred, then the one with most contrasts, then the earliest. Series with
    missing or uneven slices are left out. For labels, put a table into SOURCE, with
    the PatientID and columns such as `grade` and `codeletion`.

    For example:

    - `epitome cohort dicom exams runs/exams`
    - `epitome cohort dicom exams runs/again --decisions runs/exams/sources.tsv`
    """
    from epitome_kit.ledger import read_decisions
    from epitome_kit.sources.dicom import import_dicom

    made = import_dicom(
        source,
        out,
        keep_ids=keep_ids,
        person_folders=person_folders,
        decisions=read_decisions(decisions),
        deface=_face_remover(deface),
        workers=workers,
    )
    show_cohort(made, as_json)


@cohorts.command("lgg-1p19q")
def lgg_1p19q(
    source: Path,
    out: Path,
    download: Annotated[bool, typer.Option("--download", help="Download missing series to SOURCE first.")] = False,
    deface: Deface = False,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Import LGG-1p19qDeletion: DICOM series, masks of three slices and the spreadsheet, in any folders of SOURCE.

    Known errors of the collection are detected, fixed and listed: swapped files, two
    studies, proton density with T2, flipped masks, missing slices. Download the
    spreadsheet of labels by hand from the page of the collection. An interrupted
    download continues where it stopped.

    For example:

    - `epitome cohort lgg-1p19q data/lgg runs/lgg`
    - `epitome cohort lgg-1p19q data/lgg runs/lgg --download`
    """
    from epitome_kit.sources.lgg_1p19q import import_lgg_1p19q
    from epitome_kit.sources.tcia import API

    archive, remover = API if download else None, _face_remover(deface)
    show_cohort(import_lgg_1p19q(source, out, archive=archive, deface=remover, workers=workers), as_json)


def _face_remover(requested: bool) -> Callable | None:
    """Return the function that removes faces, if asked for."""
    if not requested:
        return None
    from epitome_kit.preprocess.defacing import deface

    return deface
