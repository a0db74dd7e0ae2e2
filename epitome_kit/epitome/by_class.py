"""Learn one epitome for each class, and classify held-out subjects by their likelihoods."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.special import expit

from epitome_kit.cohort import TARGETS, Cohort
from epitome_kit.epitome.baselines import METHODS, compare_codebooks
from epitome_kit.epitome.by_subject import draw_patches
from epitome_kit.epitome.files import record_path, save_epitome
from epitome_kit.epitome.model import LearnedEpitome, learn_epitome, log_likelihood
from epitome_kit.errors import CohortError
from epitome_kit.files import Json, PathLike, text_digest
from epitome_kit.folds import assign_folds, require_disjoint
from epitome_kit.grade.scores import score
from epitome_kit.lock import locks
from epitome_kit.parallel import for_each
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.resume import Record, report_again
from epitome_kit.workspace import Workspace

_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class GradeEpitomeSettings:
    """Settings of the epitomes of the classes.

    They are given to :func:`learn_grade_epitomes`. The epitomes are larger than those of
    single tumours, because they are learned from the patches of many subjects.

    Parameters
    ----------
    shape, patch : int, default=12 and 5
        Sides of the epitomes and of a patch, in voxels of the template grid.
    iterations : int, default=12
        Number of iterations of the common epitome; half as many for each class.
    most : int, default=60
        Maximum number of patches of each subject.
    repeats : int, default=2
        Repeats of the cross-validation.
    use_annotations : bool, default=False
        Use the annotated masks instead of the segmented ones.

    See Also
    --------
    learn_grade_epitomes : Learn one epitome for each class.
    EpitomeSettings : Settings of the epitomes of single tumours.

    Examples
    --------
    >>> import epitome_kit as ek
    >>> ek.GradeEpitomeSettings(repeats=1)
    GradeEpitomeSettings(shape=12, patch=5, iterations=12, most=60, repeats=1, use_annotations=False)
    """

    shape: int = 12
    patch: int = 5
    iterations: int = 12
    most: int = 60
    repeats: int = 2
    use_annotations: bool = False


@dataclass(frozen=True)
class _Data:
    """Patches and labels by subject, and the settings in the records of the epitomes."""

    patches: Mapping[str, np.ndarray]
    labels: pd.Series
    settings: Json


@locks("extract")
def learn_grade_epitomes(
    cohort: Cohort,
    preprocessed: PathLike,
    out: PathLike,
    *,
    target: str = "grade",
    settings: GradeEpitomeSettings | None = None,
    folds: int = 5,
    seed: int = 0,
    workers: int = 1,
) -> tuple[pd.DataFrame, Json]:
    """Learn one epitome for each class, and classify held-out subjects by likelihood.

    A common epitome is learned from all training subjects; the epitome of each class
    starts from it, so that corresponding voxels can be compared. The log-likelihood ratio
    of a subject is the mean over its patches of the log-likelihood under the epitome of
    the positive class minus that of the negative class, in nats; a subject is classified
    as positive from 0. Finished folds are kept.

    Parameters
    ----------
    cohort : Cohort
        Segmented subjects with labels.
    preprocessed : path
        Folder written by :func:`epitome_kit.preprocess_cohort`.
    out : path
        Workspace with the ``masks/`` of :func:`epitome_kit.segment_cohort`, to which
        the epitomes of all subjects are written: ``epitomes/grade-2/`` and so on.
    target : {"grade", "codeletion"}, default="grade"
        Label to predict.
    settings : GradeEpitomeSettings, default=None
        Sizes, iterations, repeats and masks; None means the defaults of
        :class:`GradeEpitomeSettings`.
    folds : int, default=5
        Folds of each repeat of the cross-validation, stratified by class.
    seed : int, default=0
        Seed of patches, folds and epitomes.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    table : DataFrame
        One row for each subject with a label and a tumour: ``participant_id``,
        ``log_likelihood_ratio``, and ``mse_epitome``, ``mse_kmeans``, ``mse_random`` for
        its class, held out, means over the repeats.
    scores : dict
        Scores of :func:`epitome_kit.grade.scores.score`, with ``classes``, ``mse`` (means
        over subjects) and ``better_than`` (number of subjects for which the epitome has
        the smaller error).

    Raises
    ------
    CohortError
        A class has fewer subjects with a tumour than folds.

    See Also
    --------
    learn_epitomes : Learn an epitome from every tumour.
    grade_features : Predict the grade from features.

    Examples
    --------
    Segmentation takes a minute for each subject:

    >>> import epitome_kit as ek
    >>> cohort = ek.open_cohort("bids")  # doctest: +SKIP
    >>> tumours = ek.predict_tumours(cohort, "run/preprocessed", "run")  # doctest: +SKIP
    >>> table, scores = ek.learn_grade_epitomes(cohort, "run/preprocessed", "run")  # doctest: +SKIP
    """
    out, preprocessed = Path(out), Path(preprocessed)
    settings = settings or GradeEpitomeSettings()
    labels = cohort.labels(target)
    draw = partial(
        draw_patches,
        preprocessed=preprocessed,
        out=out,
        contrasts=cohort.contrasts,
        patch=settings.patch,
        most=settings.most,
        seed=seed,
        use_annotations=settings.use_annotations,
    )
    subjects = [cohort[name] for name in labels.index]
    sampled = for_each(draw, subjects, title="Drawing patches", workers=workers)
    patches = {each.id: found for each, found in zip(subjects, sampled, strict=True) if len(found)}
    labels = labels[list(patches)]
    if labels.nunique() < 2:
        raise CohortError(
            "learn_grade_epitomes",
            f"tumours of both classes of {target}",
            f"{len(labels)} subjects with a tumour and a label",
            "segment the cohort first, and inspect its masks",
        )
    splits = [assign_folds(labels, folds=folds, seed=seed + number) for number in range(settings.repeats)]
    held_out = [(number, fold, each.index[each == fold]) for number, each in enumerate(splits) for fold in range(folds)]
    recorded = {"target": target, "shape": settings.shape, "iterations": settings.iterations}
    recorded |= {"seed": seed, "folds": folds}
    inputs = {"labels": text_digest(labels.to_json()), "patches": _digest(patches)}
    folder = Workspace(out).epitomes
    kept = _class_records(folder, recorded, inputs, cohort.contrasts, labels)
    tested = [Record(_fold_path(folder, target, repeat, fold), recorded, inputs) for repeat, fold, _ in held_out]
    report_again("learn_grade_epitomes", [record.difference() for record in (*kept, *tested)])
    first = Preprocessed(preprocessed, labels.index[0]).scan(cohort.contrasts[0])
    spacing_mm = nib.affines.voxel_sizes(nib.Nifti1Image.from_filename(first).affine).tolist()
    data = _Data(patches, labels, recorded)
    jobs: list[Callable[[], list[Json]]] = [
        partial(_learn_all, kept, data, contrasts=cohort.contrasts, spacing_mm=spacing_mm),
        *(
            partial(_test_fold, repeat, test, record, data)
            for (repeat, _, test), record in zip(held_out, tested, strict=True)
        ),
    ]
    _, *parts = for_each(_call, jobs, title=f"Epitomes by {target}", workers=workers)
    return _summarise(pd.DataFrame([row for part in parts for row in part]), labels, target)


def epitome_names(target: str) -> tuple[str, ...]:
    """Return the names of the epitomes of the two classes, such as ``("grade-2", "grade-3")``."""
    return tuple(f"{target}-{value}" for value in TARGETS[target])


def _call(job: Callable[[], list[Json]]) -> list[Json]:
    return job()


def _digest(patches: Mapping[str, np.ndarray]) -> str:
    """Return one checksum of the patches of all subjects."""
    digest = sha256()
    for name, found in patches.items():
        digest.update(f"{name} {found.shape} ".encode())
        digest.update(found.tobytes())
    return digest.hexdigest()[:16]


def _class_records(
    folder: Path, settings: Json, inputs: Mapping[str, str], contrasts: Sequence[str], labels: pd.Series
) -> list[Record]:
    """Return the records of the epitomes of both classes, learned from all subjects."""
    settings = {**settings, "contrasts": list(contrasts), "n": np.bincount(labels).tolist()}
    return [Record(record_path(folder / name, name), settings, inputs) for name in epitome_names(settings["target"])]


def _fold_path(folder: Path, target: str, repeat: int, fold: int) -> Path:
    return folder / "folds" / f"{target}_deal-{repeat + 1}_fold-{fold + 1}.json"


def _learn_all(
    records: Sequence[Record], data: _Data, *, contrasts: Sequence[str], spacing_mm: Sequence[float]
) -> list[Json]:
    """Learn and save the epitomes of all subjects."""
    if all(record.valid() for record in records):
        return []
    epitomes = _learn_classes(data, data.labels, contrasts)
    for name, record, epitome in zip(epitome_names(data.settings["target"]), records, epitomes, strict=True):
        record.path.unlink(missing_ok=True)
        save_epitome(epitome, record.path.parent, name, spacing_mm=spacing_mm, record=record)
    return []


def _test_fold(repeat: int, test: pd.Index, record: Record, data: _Data) -> list[Json]:
    """Learn from the other folds and test on this one; one row for each subject."""
    if rows := record.results().get("rows"):
        return rows
    train = data.labels.drop(test)
    require_disjoint(train.index, test, where="learn_grade_epitomes")
    epitomes = _learn_classes(data, train)
    fits = {name: [log_likelihood(epitome, data.patches[name]).mean() for epitome in epitomes] for name in test}
    rows = [
        {"participant_id": name, "deal": repeat, "log_likelihood_ratio": positive - negative, **errors}
        for label, epitome in enumerate(epitomes)
        for name, errors in _errors(epitome, label, test, train, data).items()
        for negative, positive in [fits[name]]
    ]
    record.finish(rows=rows)
    return rows


def _errors(
    epitome: LearnedEpitome, label: int, test: pd.Index, train: pd.Series, data: _Data
) -> dict[str, dict[str, float]]:
    """Return the mean squared errors of the held-out subjects of one class, by subject and method."""
    tested = [name for name in test if data.labels[name] == label]
    if not tested:
        return {}
    known, new = _pool(data.patches, train.index[train == label]), _pool(data.patches, tested)
    compared = compare_codebooks(known, new, data.settings["shape"], epitome=epitome, seed=data.settings["seed"])
    ends = np.cumsum([len(data.patches[name]) for name in tested])[:-1]
    means = {f"mse_{method}": [part.mean() for part in np.split(compared[method], ends)] for method in METHODS}
    return {name: {key: values[number] for key, values in means.items()} for number, name in enumerate(tested)}


def _learn_classes(data: _Data, labels: pd.Series, contrasts: Sequence[str] | None = None) -> list[LearnedEpitome]:
    """Learn a common epitome, and from it those of the classes."""
    shape, iterations = data.settings["shape"], data.settings["iterations"]
    learn = partial(learn_epitome, shape=shape, contrasts=contrasts, seed=data.settings["seed"])
    common = learn(_pool(data.patches, labels.index), iterations=iterations)
    pooled = [_pool(data.patches, labels.index[labels == label]) for label in (0, 1)]
    return [learn(part, iterations=iterations // 2, start=common) for part in pooled]


def _pool(patches: Mapping[str, np.ndarray], names: Iterable[str]) -> np.ndarray:
    return np.concatenate([patches[name] for name in names])


def _summarise(rows: pd.DataFrame, labels: pd.Series, target: str) -> tuple[pd.DataFrame, Json]:
    """Average the repeats of each subject, and compute the scores of all subjects."""
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
