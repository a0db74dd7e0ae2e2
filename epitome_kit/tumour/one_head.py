"""One head, straight from its scans: preprocess, outline, measure."""

import re
from pathlib import Path

from joblib import cpu_count

from epitome_kit.cohort import CONTRASTS, Subject
from epitome_kit.errors import BadParameter
from epitome_kit.files import write_json
from epitome_kit.preprocess.pipeline import Preprocessed
from epitome_kit.preprocess.subject import describe_steps, preprocess_subject
from epitome_kit.tumour.classical import BRIGHT
from epitome_kit.tumour.segment import predict_tumours

SPACING_MM = 3.0
"""Voxel size of the template grid that the shipped network learned on."""

_PLAIN = r"(?!.*\b(pre\b|(pre|non?) ?contrast))"
_ENHANCED = r"t1w? ?(ce|c|gd|km)\b|t1.*\b(gad|post|contrast)|\b(ce|gd|gad\w*|post\w*|contrast)\b.*t1"
_WORDS = {
    "FLAIR": r"flair|dark ?fluid|t2f\b",
    "T1ce": f"^{_PLAIN}.*({_ENHANCED})",
    "T2w": r"t2",
    "T1w": r"t1|mprage|spgr|bravo",
}


def segment_head(images, out, *, weights=None):
    """Preprocess the scans of one head, outline its tumour and measure it.

    Parameters
    ----------
    images : dict of str to path
        By contrast, any of :data:`epitome_kit.cohort.CONTRASTS`. The mask lies
        on the grid of the one that shows gliomas best: FLAIR, T2w, T1ce, T1w.
    out : path
        ``masks/``, ``preprocessed/`` and ``tumours.tsv``.
    weights : path, default=None
        As for :func:`epitome_kit.predict_tumours`.

    Returns
    -------
    DataFrame
        One row, as from :func:`epitome_kit.predict_tumours`.

    Raises
    ------
    BadImage
        A scan cannot be used.
    """
    subject, files = prepare_head(images, out)
    return predict_tumours([subject], files.folder, out, weights=weights)


def prepare_head(images, out, *, spacing_mm=SPACING_MM):
    """Preprocess the scans of one head.

    Parameters
    ----------
    images : dict of str to path
        As for :func:`segment_head`.
    out : path
        ``preprocessed/`` is made there.
    spacing_mm : float, default=3.0
        Voxel size of the template grid.

    Returns
    -------
    (Subject, Preprocessed)
        The head, and where its files are.

    Raises
    ------
    BadImage
        A scan cannot be used.
    """
    images = {name: Path(path) for name, path in images.items()}
    subject = Subject(head_name(images), images, annotated_on=leading(images))
    files = Preprocessed(Path(out) / "preprocessed", subject.id)
    files.record.unlink(missing_ok=True)
    quality = preprocess_subject(subject, files, steps=describe_steps(), spacing_mm=spacing_mm, threads=cpu_count())
    write_json(files.record, {"quality": quality})
    return subject, files


def name_contrasts(scans):
    """Tell which contrast each scan of a head is, by what its name says.

    Parameters
    ----------
    scans : sequence of str or path
        File names as in BIDS or like ``flair.nii.gz``; or ``T1ce=FILE``, which
        says it outright.

    Returns
    -------
    dict of str to Path
        In the order of :data:`epitome_kit.cohort.CONTRASTS`.

    Raises
    ------
    BadParameter
        A name that tells nothing, or two scans of one contrast.
    """
    found = {}
    for scan in map(str, scans):
        stated, equals, path = scan.partition("=")
        contrast = stated if equals and stated in CONTRASTS else contrast_by_name(Path(scan).name)
        path = Path(path if equals and stated in CONTRASTS else scan)
        if contrast is None or contrast in found:
            trouble = f"{path.name}, whose name tells none" if contrast is None else f"{path.name}, a second {contrast}"
            raise BadParameter(
                "segment",
                f"one scan of each contrast out of {', '.join(CONTRASTS)}",
                trouble,
                f"say what it is: `FLAIR={path.name}`; several heads make a cohort: `epitome cohort bids`",
            )
        found[contrast] = path
    return {name: found[name] for name in CONTRASTS if name in found}


def contrast_by_name(name):
    """Guess the contrast of a scan by its file name; None where the name tells nothing."""
    words = re.sub(r"[\W_]+", " ", re.sub("^sub-[^_]+", "", name.lower().split(".nii")[0]))
    return next((contrast for contrast, pattern in _WORDS.items() if re.search(pattern, words)), None)


def leading(images):
    """Name the contrast whose grid the mask of a head lies on: the one that shows gliomas best."""
    return next(name for name in BRIGHT if name in images)


def head_name(images):
    """Name a head by the ``sub-`` of its files, else by the folder that they lie in."""
    first = next(iter(images.values()))
    stated = re.match(r"sub-[A-Za-z0-9]+", first.name)
    return stated[0] if stated else "sub-" + (re.sub("[^A-Za-z0-9]", "", first.resolve().parent.name) or "1")
