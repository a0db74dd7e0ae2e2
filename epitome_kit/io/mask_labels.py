"""What the values of a mask mean: inside and outside, fractions, or labels of several parts, joined where asked for."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from epitome_kit.errors import ImageError, ParameterError

SCHEMES = {
    "brats15": {"NCR": (1,), "ED": (2,), "NET": (3,), "ET": (4,), "TC": (1, 3, 4), "WT": (1, 2, 3, 4)},
    "brats18": {"NCR": (1,), "ED": (2,), "ET": (4,), "TC": (1, 4), "WT": (1, 2, 4)},
    "brats21": {"NCR": (1,), "ED": (2,), "ET": (4,), "TC": (1, 4), "WT": (1, 2, 4)},
    "brats23": {"NCR": (1,), "ED": (2,), "ET": (3,), "TC": (1, 3), "WT": (1, 2, 3)},
    "brats24": {"NCR": (1,), "ED": (2,), "ET": (3,), "RC": (4,), "TC": (1, 3), "WT": (1, 2, 3)},
    "msd": {"ED": (1,), "NCR": (2,), "ET": (3,), "TC": (2, 3), "WT": (1, 2, 3)},
}
"""Numbers that public collections give the parts of a glioma.

ED oedema, NCR necrosis and what else does not enhance, NET not enhancing, ET
enhancing, RC resection cavity, TC core, WT whole tumour. `brats15` holds for BraTS
2013 to 2015, `brats18` for 2017 to 2020 and for UCSF-PDGM and UPENN-GBM, `msd` for
Task01 of the Medical Segmentation Decathlon.
"""

MOST_LABELS = 32
"""Values of a mask: more are those of a scan."""

_ALMOST = 0.005
_WHOLE = 1e-3
_OVERSHOOT = 0.25
_SHOWN = 8
_BROAD = 0.5


class Inside(NamedTuple):
    """What a mask holds.

    Attributes
    ----------
    voxels : ndarray of bool
    remarks : list of str
        What was assumed, in sentences without the name of the file.
    """

    voxels: np.ndarray
    remarks: list


class Labels(NamedTuple):
    """Labels that count as inside.

    Attributes
    ----------
    wanted : frozenset of int or None
        None for all above zero.
    known : frozenset of int or None
        Those that the scheme has; None where none was named.
    """

    wanted: frozenset | None
    known: frozenset | None = None


def read_labels(labels, *, where="load_mask"):
    """Understand which labels were asked for.

    Parameters
    ----------
    labels : str or collection of int
        ``"1,2,4"``, ``"all"`` for all above zero, or ``"SCHEME:PART"`` with one of
        :data:`SCHEMES`, such as ``"brats21:WT"``.
    where : str, default="load_mask"
        The step to name in an error.

    Returns
    -------
    Labels

    Raises
    ------
    ParameterError
        Neither numbers nor a scheme with that part.
    """
    if not isinstance(labels, str):
        labels = ",".join(map(str, labels))
    text = labels.strip().lower()
    if text == "all":
        return Labels(None)
    scheme, colon, part = text.partition(":")
    parts = SCHEMES.get(scheme.strip(), {})
    if colon and part.strip().upper() in parts:
        known = frozenset(label for each in parts.values() for label in each)
        return Labels(frozenset(parts[part.strip().upper()]), known)
    try:
        return Labels(frozenset(int(each) for each in text.split(",")))
    except ValueError:
        schemes = f"{', '.join(SCHEMES)} with {', '.join(SCHEMES['brats21'])}"
        offer = f"for instance `1,2,4`, or `brats21:WT`; schemes are {schemes}"
        raise ParameterError(where, "labels of a mask, `all`, or SCHEME:PART", repr(labels), offer) from None


def voxels_inside(data, labels=None, *, where="load_mask", name="a mask in memory", voxel_ml=None):
    """Decide which voxels of a mask are inside.

    Parameters
    ----------
    data : ndarray
        Numbers; NaN is outside.
    labels : str or collection of int, default=None
        As :func:`read_labels` has them. None where the mask has only one part.
    where, name : str
        The step and the file to name in an error.
    voxel_ml : float, default=None
        Volume of a voxel, to list the labels with; None counts voxels.

    Returns
    -------
    Inside

    Raises
    ------
    ImageError
        Several labels and none asked for; no label that was asked for; one that the
        scheme does not have; a scan; nothing above zero but something below; or
        nearly everything inside, as where 0 marks the tumour.
    """
    asked = None if labels is None else read_labels(labels, where=where)
    data = np.nan_to_num(data, nan=0, posinf=np.inf, neginf=-np.inf) if data.dtype.kind == "f" else data
    values, counts = _values(data)
    if data.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError(where, "finite voxels in a mask", f"infinite ones in {name}", "export the mask again")
    table = _Table(values, counts, where, name, voxel_ml)
    if asked is not None:
        return _asked_for(data, asked, table)
    found = _unasked(data, table)
    whole = ["has every voxel inside"] if found.voxels.all() else _check_inverted(found.voxels, table)
    return Inside(found.voxels, [*found.remarks, *whole])


class _Table(NamedTuple):
    """The values of a mask, how often each stands there, and what to call it in an error."""

    values: np.ndarray
    counts: np.ndarray
    where: str
    name: str
    voxel_ml: float | None

    def listed(self):
        """Say how much of each value above zero there is."""
        above = [(value, count) for value, count in zip(self.values, self.counts, strict=True) if value > 0]
        shown = [f"{value:g}: {self.amount(count)}" for value, count in above[:_SHOWN]]
        return ", ".join(shown) + (f" and {len(above) - _SHOWN} more" if len(above) > _SHOWN else "")

    def amount(self, count):
        """Say a number of voxels in mL where that can be."""
        return f"{count} voxels" if self.voxel_ml is None else f"{count * self.voxel_ml:.3g} mL"

    def error(self, expected, received, hint):
        """Make an error about this mask."""
        return ImageError(self.where, expected, received, hint)


def _values(data):
    """Different values of a mask, in order, and how often each stands there."""
    if not data.size:
        return np.zeros(1), np.zeros(1, int)
    lowest, highest = data.min(), data.max()
    ends = np.array([lowest] if lowest == highest else [lowest, highest])
    counts = np.array([np.count_nonzero(data == each) for each in ends])
    return (ends, counts) if counts.sum() == data.size else np.unique(data, return_counts=True)


def _asked_for(data, asked, table):
    """Join the labels that somebody named."""
    values, where = table.values, table.where
    rounded = np.rint(values)
    if (np.abs(values - rounded) > _WHOLE).any():
        expected = "whole numbers in a mask whose labels are named"
        received = f"fractions from {values[0]:.4g} to {values[-1]:.4g} in {table.name}"
        raise ImageError(where, expected, received, "leave out the labels: fractions are cut at one half")
    here = {int(value) for value in rounded}
    if asked.wanted is None and len(values) > MOST_LABELS:
        raise _scan(table)
    if asked.known is not None and (strange := sorted(here - asked.known - {0})):
        received = f"{', '.join(map(str, strange))} too, in {table.name}, which holds {table.listed()}"
        raise table.error("the labels of that scheme and no others", received, "name the labels: `--mask-labels 1,2`")
    wanted = {value for value in here if value > 0} if asked.wanted is None else asked.wanted
    if wanted and not wanted & here and here != {0}:
        received = f"{table.listed() or f'nothing above {values[-1]:g}'} in {table.name}"
        expected = f"a mask with label {' or '.join(map(str, sorted(wanted)))}"
        raise table.error(expected, received, "name the labels that it has, with `--mask-labels`")
    inside = np.isin(np.rint(data) if data.dtype.kind == "f" else data, sorted(wanted))
    absent = sorted(wanted - here)
    return Inside(inside, [f"has no label {', '.join(map(str, absent))}"] if absent else [])


def _unasked(data, table):
    """Tell inside from outside where that can only mean one thing."""
    values = table.values
    above = values[values > 0]
    if not len(above):
        if values[0] < 0:
            hint = "name the label of the tumour with `--mask-labels`, or write the mask again as 0 and 1"
            raise table.error("a mask with a value above zero", f"{_span(values)} in {table.name}", hint)
        return Inside(np.zeros(data.shape, bool), [])
    if len(above) == 1:
        remarks = ["has values below zero, which count as outside"] if values[0] < 0 and len(values) > 2 else []
        if above[0] < 0.5:
            remarks.append(f"has one value above zero, {above[0]:.3g}, which counts as inside")
        return Inside(data > 0, remarks)
    if _almost_two(values):
        half = (values[-1] + max(values[0], 0)) / 2
        return _cut(data, half, f"has values near {max(values[0], 0):.3g} and {values[-1]:.4g} only", table)
    whole = np.abs(values - np.rint(values)) <= _WHOLE
    if whole.all():
        return _one_label(data, values, table)
    if values[0] >= -_OVERSHOOT and values[-1] <= 1 + _OVERSHOOT:
        return _cut(data, 0.5, f"holds fractions, from {values[0]:.3g} to {values[-1]:.4g}", table)
    if len(values) > MOST_LABELS:
        raise _scan(table)
    hint = "write it again with whole numbers: resample label maps with the nearest neighbour"
    raise table.error("whole numbers or fractions in a mask", f"{_span(values)} in {table.name}", hint)


def _one_label(data, values, table):
    """Take the one label that whole numbers hold; several are a question."""
    labels = sorted({int(value) for value in np.rint(values) if value >= 0.5})
    if len(values) > MOST_LABELS:
        raise _scan(table)
    if len(labels) == 1:
        return Inside(data > 0.5, [])
    schemes = [name for name, parts in SCHEMES.items() if set(labels) <= set(parts["WT"])]
    offers = [f"`--mask-labels {labels[-1]}`", f"`{','.join(map(str, labels[:2]))}`", "`all`"]
    offers += [f"a part of a scheme, `{name}:WT`" for name in schemes if name in ("brats21", "brats23")][:1]
    received = f"{len(labels)} labels ({table.listed()}) in {table.name}"
    raise table.error("a mask of one part", received, f"say which are the tumour: {', '.join(offers)}")


def _cut(data, level, what, table):
    """Cut fractions, and say it; where nothing reaches the level, say that instead."""
    inside = data > level
    kept, above = int(np.count_nonzero(inside)), int(np.count_nonzero(data > 0))
    if not kept:
        received = f"fractions of at most {table.values[-1]:.4g} in {table.name}"
        raise table.error("a mask that reaches one half somewhere", received, "cut it at the level that you mean")
    how = f"cut at {level:g}: {table.amount(kept)} inside of {table.amount(above)} above zero"
    return Inside(inside, [f"{what}; {how}"])


def _check_inverted(inside, table):
    """Refuse a mask that is a block with a hole, for 0 may mark the tumour in it; say of another that it has holes."""
    if inside.all() or inside.mean() <= 0.5:
        return []
    cut_off = table.amount(int(inside.size - np.count_nonzero(inside)))
    share = f"{inside.mean():.0%} of the image inside"
    if not (_is_block(inside) or inside[np.ix_(*[[0, -1]] * inside.ndim)].all()):
        holes = int(np.count_nonzero(ndimage.binary_fill_holes(inside) & ~inside))
        return [f"has {share}, around holes of {table.amount(holes)}: does 0 mark the tumour?"] if holes else []
    received = f"{share}, up to its edges, and {cut_off} outside in {table.name}"
    low, high = (f"`--mask-labels {value:g}`" for value in table.values[[0, -1]])
    raise table.error("the tumour inside of the mask", received, f"say which value marks it: {low} or {high}")


def _is_block(inside):
    """Whether a mask fills most faces of the box around it, as no part of a head does, and not all of the box."""
    ends = [np.flatnonzero(inside.any(tuple(set(range(inside.ndim)) - {axis})))[[0, -1]] for axis in range(inside.ndim)]
    box = inside[tuple(slice(first, last + 1) for first, last in ends)]
    faces = [box.take(end, axis).mean() for axis in range(box.ndim) for end in (0, -1)]
    return sum(share > _BROAD for share in faces) >= len(faces) - 1 and not box.all()


def _almost_two(values):
    """Whether all values lie near the lowest or the highest, as rounding and ringing leave them."""
    low, high = max(values[0], 0), values[-1]
    fractions = (values != np.rint(values)).any()
    if low > _ALMOST * high or not (fractions or high == 255):
        return False
    share = values / high
    return bool(((np.abs(share) <= _ALMOST) | (share >= 1 - _ALMOST)).all())


def _span(values):
    return f"values from {values[0]:.4g} to {values[-1]:.4g}"


def _scan(table):
    values = table.values
    return table.error(
        f"a mask, with at most {MOST_LABELS} different values",
        f"values from {values[0]:g} to {values[-1]:g} in {table.name}, as in a scan",
        "give the mask of the scan; of several regions, the one that is meant",
    )
