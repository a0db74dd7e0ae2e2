"""`epitome cohort`: make a cohort, or import one."""

from pathlib import Path
from typing import Annotated

import typer

from epitome_kit.cli.cohort_summary import show_cohort
from epitome_kit.cli.options import Decisions, Deface, Json, MaskLabels, Scheduler, Trust, Workers
from epitome_kit.contrast_table import CONTRASTS

cohorts = typer.Typer(no_args_is_help=True, help="Make a cohort, or import one: `epitome cohort phantom heads`.")


@cohorts.command()
def phantom(
    out: Path,
    subjects: Annotated[int, typer.Option(help="Number of heads.")] = 48,
    seed: Annotated[int, typer.Option(help="Same seed, same voxels.")] = 0,
    profile: Annotated[str, typer.Option(help="`smoke` 3 mm, `quick` 2 mm, `full` clinical.")] = "quick",
    contrasts: Annotated[str, typer.Option(help=f"Out of {', '.join(CONTRASTS)}.")] = "T1ce,T2w",
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
):
    """Simulate heads with tumours whose truth is known.

    Example: `epitome cohort phantom heads --subjects 12`
    """
    from epitome_kit.simulate.phantom import make_phantom_cohort

    names = tuple(contrasts.replace(",", " ").split())
    made = make_phantom_cohort(out, subjects=subjects, seed=seed, profile=profile, contrasts=names, workers=workers)
    show_cohort(made, as_json)


@cohorts.command("tcga-lgg")
def tcga_lgg(source: Path, out: Path, workers: Workers = 2, scheduler: Scheduler = None, as_json: Json = False):
    """Import the TCGA-LGG slices: a folder, the zip as downloaded, or a folder of zips.

    Example: `epitome cohort tcga-lgg archive.zip runs/tcga`
    """
    from epitome_kit.sources.tcga_lgg import import_tcga_lgg

    show_cohort(import_tcga_lgg(source, out, workers=workers), as_json)


@cohorts.command()
def bids(
    source: Path,
    out: Path,
    session: Annotated[str | None, typer.Option(help="Session to take of every subject, such as `preop`.")] = None,
    mask_labels: MaskLabels = None,
    trust: Trust = None,
    decisions: Decisions = None,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
):
    """Check and adopt a BIDS folder; OUT/sources.tsv says of every file what it was taken for, and why.

    Contrasts are judged by names and sidecars. Of several sessions one with a tumour
    mask is taken, one before surgery rather than after it, the earliest. A tumour
    mask is one that says so: by `label-tumour`, `label-lesion`, or `Type: Lesion` in
    its sidecar. What cannot be told is left out: answer in the column `decision` of
    OUT/sources.tsv, and hand it back.

    For example:

    - `epitome cohort bids my_bids runs/mine`
    - `epitome cohort bids my_bids runs/mine --decisions runs/mine/sources.tsv`
    - `epitome cohort bids my_bids runs/mine --session preop --mask-labels brats21:WT`
    """
    from epitome_kit.ledger import read_decisions
    from epitome_kit.sources.bids import import_bids

    how = {"session": session, "mask_labels": mask_labels, "trust": trust, "decisions": read_decisions(decisions)}
    show_cohort(import_bids(source, out, **how, workers=workers), as_json)


@cohorts.command()
def dicom(
    source: Path,
    out: Path,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Call subjects by their PatientID, which must be a pseudonym.")
    ] = False,
    person_folders: Annotated[
        bool,
        typer.Option("--person-folders", help="Each folder directly below SOURCE is one person, whatever headers say."),
    ] = False,
    decisions: Decisions = None,
    deface: Deface = False,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
):
    """Import DICOM files in any folders; OUT/sources.tsv says of every series what it was taken for, and why.

    Names, dates and identifiers stay behind: subjects are numbered in the order of
    their PatientID. People are told apart by PatientID, sex, age, identifiers and
    folders; where nothing tells them apart they are left out, until each has a folder
    of their own and `--person-folders` says so. Contrasts are judged by headers; what
    cannot be told is left out: answer in the column `decision` of OUT/sources.tsv, and
    hand it back. Of several studies one before surgery is taken, with most contrasts,
    the earliest. Missing or uneven slices are never taken. For labels, put a table
    into SOURCE, with the PatientID and columns such as `grade` and `codeletion`.

    For example:

    - `epitome cohort dicom exams runs/exams`
    - `epitome cohort dicom exams runs/again --decisions runs/exams/sources.tsv`
    """
    from epitome_kit.ledger import read_decisions
    from epitome_kit.sources.dicom import import_dicom

    how = {"keep_ids": keep_ids, "person_folders": person_folders, "decisions": read_decisions(decisions)}
    show_cohort(import_dicom(source, out, **how, deface=_face_remover(deface), workers=workers), as_json)


@cohorts.command("lgg-1p19q")
def lgg_1p19q(
    source: Path,
    out: Path,
    download: Annotated[bool, typer.Option("--download", help="First download missing series into SOURCE.")] = False,
    deface: Deface = False,
    workers: Workers = 2,
    scheduler: Scheduler = None,
    as_json: Json = False,
):
    """Import LGG-1p19qDeletion: DICOM series, masks of three slices and the spreadsheet, in any folders of SOURCE.

    The known faults of the collection are found by rule, repaired and listed: swapped
    files, two studies, proton density beside T2, flipped masks, missing slices. The
    spreadsheet of labels comes from the page of the collection, by hand. A download
    that was stopped goes on where it stopped.

    For example:

    - `epitome cohort lgg-1p19q data/lgg runs/lgg`
    - `epitome cohort lgg-1p19q data/lgg runs/lgg --download`
    """
    from epitome_kit.sources.lgg_1p19q import import_lgg_1p19q
    from epitome_kit.sources.tcia import API

    archive, remover = API if download else None, _face_remover(deface)
    show_cohort(import_lgg_1p19q(source, out, archive=archive, deface=remover, workers=workers), as_json)


def _face_remover(wanted):
    """Return the function that takes a face off, where it is wanted."""
    if not wanted:
        return None
    from epitome_kit.preprocess.defacing import deface

    return deface
