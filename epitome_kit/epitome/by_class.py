"""One epitome for each grade: how well they explain new subjects, and tell the grades apart."""

from functools import partial
from hashlib import sha256
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.special import expit

from epitome_kit.cohort import TARGETS
from epitome_kit.epitome.baselines import METHODS, compare_codebooks
from epitome_kit.epitome.by_subject import draw_patches
from epitome_kit.epitome.files import record_path, save_epitome
from epitome_kit.epitome.model import learn_epitome, log_likelihood
from epitome_kit.errors import CohortError
from epitome_kit.files import text_digest
from epitome_kit.folds import assign_folds, require_apart
from epitome_kit.grade.scores import score
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.resume import Record, report_again, statement
from epitome_kit.workspace import Workspace

_DIGITS = 6


def learn_grade_epitomes(
    cohort,
    preprocessed,
    out,
    *,
    target="grade",
    shape=12,
    patch=5,
    iterations=12,
    most=60,
    folds=5,
    repeats=2,
    drawn=False,
    seed=0,
    workers=1,
):
    """Learn one epitome for each class, and test them on subjects that they were not learned from.

    First a common epitome is learned from all training subjects, then each
    class's own, beginning with the common one: so the same place means the
    same part in both, and they can be subtracted. The log-likelihood ratio of a
    subject is the mean over its patches of how much better the epitome of the
    positive class explains them, in nats; from 0 on the subject is called
    positive. Finished folds are kept.

    Parameters
    ----------
    cohort : Cohort
    preprocessed : path
        Folder that :func:`epitome_kit.preprocess_cohort` wrote.
    out : path
        Workspace with the ``masks/`` of :func:`epitome_kit.segment_cohort`; gets
        ``epitomes/grade-2/``, ``epitomes/grade-3/``, learned from all subjects.
    target : {"grade", "codeletion"}, default="grade"
    shape, patch : int, default=12 and 5
        Sides of the epitomes and of a patch, in voxels of the template grid.
    iterations : int, default=12
        For the common epitome; half as many for each class.
    most : int, default=60
        Patches of each subject.
    folds, repeats : int, default=5 and 2
        Deals of the subjects to folds, stratified by class.
    drawn : bool, default=False
        Take the annotated masks instead of those that were found.
    seed : int, default=0
    workers : int, default=1
        Processes.

    Returns
    -------
    (DataFrame, dict)
        One row a subject with a label and a tumour: ``participant_id``,
        ``log_likelihood_ratio`` and ``mse_epitome``, ``mse_kmeans``,
        ``mse_random`` under its own class, means over the deals, held out. And
        the scores of :func:`epitome_kit.grade.scores.score`, with ``classes``,
        ``mse`` (means over subjects) and ``better_than`` (for how many subjects
        the epitome has the smaller error).

    Raises
    ------
    CohortError
        Fewer subjects of a class with a tumour than folds.
    """
    out, preprocessed = Path(out), Path(preprocessed)
    labels = cohort.labels(target)
    places = {"preprocessed": preprocessed, "out": out, "contrasts": cohort.contrasts}
    draw = partial(draw_patches, **places, patch=patch, most=most, seed=seed, drawn=drawn)
    subjects = [cohort[name] for name in labels.index]
    drawn_patches = for_each(draw, subjects, title="Drawing patches", workers=workers)
    patches = {each.id: found for each, found in zip(subjects, drawn_patches, strict=True) if len(found)}
    labels = labels[list(patches)]
    if labels.nunique() < 2:
        raise CohortError(
            "learn_grade_epitomes",
            f"tumours of both classes of {target}",
            f"{len(labels)} subjects with a tumour and a label",
            "segment the cohort first, and look at its masks",
        )
    deals = [assign_folds(labels, folds=folds, seed=seed + number) for number in range(repeats)]
    held_out = [(number, fold, deal.index[deal == fold]) for number, deal in enumerate(deals) for fold in range(folds)]
    settings = {"target": target, "shape": shape, "iterations": iterations, "seed": seed, "folds": folds}
    inputs = {"labels": text_digest(labels.to_json()), "patches": _digest(patches)}
    folder = Workspace(out).epitomes
    kept = _class_records(folder, settings, inputs, cohort.contrasts, labels)
    tested = [Record(_fold_path(folder, target, *each[:2]), settings, inputs) for each in held_out]
    report_again("learn_grade_epitomes", [record.difference() for record in (*kept, *tested)])
    first = Preprocessed(preprocessed, labels.index[0]).scan(cohort.contrasts[0])
    spacing_mm = nib.affines.voxel_sizes(nib.load(first).affine).tolist()
    shared = {"patches": patches, "labels": labels, "settings": settings}
    jobs = [
        partial(_learn_all, kept, contrasts=cohort.contrasts, spacing_mm=spacing_mm, **shared),
        *(partial(_test_fold, *each, record, **shared) for each, record in zip(held_out, tested, strict=True)),
    ]
    _, *parts = for_each(_call, jobs, title=f"Epitomes by {target}", workers=workers)
    return _summarise(pd.DataFrame([row for part in parts for row in part]), labels, target)


def epitome_names(target):
    """Names of the epitomes of the two classes, such as ``("grade-2", "grade-3")``."""
    return tuple(f"{target}-{value}" for value in TARGETS[target])


def _call(job):
    return job()


def _digest(patches):
    """One checksum of the patches of all subjects."""
    digest = sha256()
    for name, found in patches.items():
        digest.update(f"{name} {found.shape} ".encode())
        digest.update(found.tobytes())
    return digest.hexdigest()[:16]


def _class_records(folder, settings, inputs, contrasts, labels):
    """Give the records of the epitomes of both classes, learned from all subjects."""
    settings = {**settings, "contrasts": list(contrasts), "n": np.bincount(labels).tolist()}
    return [Record(record_path(folder / name, name), settings, inputs) for name in epitome_names(settings["target"])]


def _fold_path(folder, target, deal, fold):
    return folder / "folds" / f"{target}_deal-{deal + 1}_fold-{fold + 1}.json"


def _learn_all(records, *, patches, labels, settings, contrasts, spacing_mm):
    """Learn the epitomes that are kept, from all subjects."""
    if all(record.valid() for record in records):
        return
    epitomes = _learn_classes(patches, labels, settings, contrasts)
    for name, record, epitome in zip(epitome_names(settings["target"]), records, epitomes, strict=True):
        record.path.unlink(missing_ok=True)
        notes = statement(record.settings, record.inputs)
        save_epitome(epitome, record.path.parent, name, spacing_mm=spacing_mm, notes=notes)


def _test_fold(deal, fold, test, record, *, patches, labels, settings):
    """Learn from the other folds and test on this one; one row a subject."""
    if rows := record.results().get("rows"):
        return rows
    train = labels.drop(test)
    require_apart(train.index, test, where="learn_grade_epitomes")
    epitomes = _learn_classes(patches, train, settings)
    fits = {name: [log_likelihood(epitome, patches[name]).mean() for epitome in epitomes] for name in test}
    rows = [
        {"participant_id": name, "deal": deal, "log_likelihood_ratio": positive - negative, **errors}
        for own, epitome in enumerate(epitomes)
        for name, errors in _errors(epitome, own, test, train, patches, labels, settings).items()
        for negative, positive in [fits[name]]
    ]
    record.finish(rows=rows)
    return rows


def _errors(epitome, own, test, train, patches, labels, settings):
    """Mean squared errors of the held-out subjects of one class, by subject and method."""
    tested = [name for name in test if labels[name] == own]
    if not tested:
        return {}
    known = _pool(patches, train.index[train == own])
    how = {"epitome": epitome, "seed": settings["seed"]}
    compared = compare_codebooks(known, _pool(patches, tested), settings["shape"], **how)
    ends = np.cumsum([len(patches[name]) for name in tested])[:-1]
    means = {f"mse_{method}": [part.mean() for part in np.split(compared[method], ends)] for method in METHODS}
    return {name: {key: values[number] for key, values in means.items()} for number, name in enumerate(tested)}


def _learn_classes(patches, labels, settings, contrasts=None):
    """Learn a common epitome, and from there that of each class."""
    how = {"shape": settings["shape"], "contrasts": contrasts, "seed": settings["seed"]}
    iterations = settings["iterations"]
    common = learn_epitome(_pool(patches, labels.index), iterations=iterations, **how)
    pooled = [_pool(patches, labels.index[labels == own]) for own in (0, 1)]
    return [learn_epitome(part, iterations=iterations // 2, start=common, **how) for part in pooled]


def _pool(patches, names):
    return np.concatenate([patches[name] for name in names])


def _summarise(rows, labels, target):
    """Mean over the deals of each subject, and the scores over all subjects."""
    ratios = rows.pivot(index="deal", columns="participant_id", values="log_likelihood_ratio")[labels.index]
    table = rows.drop(columns="deal").groupby("participant_id").mean().loc[labels.index].round(_DIGITS)
    errors = table[[f"mse_{name}" for name in METHODS]].set_axis(METHODS, axis=1)
    scores = {
        "classes": list(epitome_names(target)),
        "deals": len(ratios),
        **score(labels, expit(ratios.to_numpy())),
        "mse": errors.mean().round(_DIGITS).to_dict(),
        "better_than": {name: int((errors.epitome < errors[name]).sum()) for name in METHODS[1:]},
    }
    return table.reset_index(), scores
