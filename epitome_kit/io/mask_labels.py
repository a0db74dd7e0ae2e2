"""Decide from the values of a mask which voxels are inside: two values, fractions, or labels of several parts."""

from collections.abc import Collection
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
"""Labels of the parts of a glioma in public collections.

ED oedema, NCR necrosis and other parts without enhancement, NET non-enhancing, ET
enhancing, RC resection cavity, TC core, WT whole tumour. `brats15` is used by BraTS
2013 to 2015, `brats18` for 2017 to 2020 and for UCSF-PDGM and UPENN-GBM, `msd` for
Task01 of the Medical Segmentation Decathlon.
"""

MOST_LABELS = 32
"""Maximum number of different values of a mask; a scan has more."""

_ALMOST = 0.005
_WHOLE = 1e-3
_OVERSHOOT = 0.25
_SHOWN = 8
_BROAD = 0.5


class MaskVoxels(NamedTuple):
    """Voxels inside a mask.

    Attributes
    ----------
    voxels : ndarray of bool
        True inside.
    remarks : list of str
        Assumptions, each to follow the name of the file.
    """

    voxels: np.ndarray
    remarks: list[str]


class Labels(NamedTuple):
    """Labels that count as inside.

    Attributes
    ----------
    wanted : frozenset of int or None
        None for all above zero.
    known : frozenset of int or None
        All labels of the scheme; None without a scheme.
    """

    wanted: frozenset[int] | None
    known: frozenset[int] | None = None


def read_labels(labels: str | Collection[int], *, where: str = "load_mask") -> Labels:
    """Parse a selection of labels.

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
        Selected labels, and all labels of the scheme.

    Raises
    ------
    ParameterError
        Neither numbers nor a part of a known scheme.
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
        hint = f"for instance `1,2,4`, or `brats21:WT`; schemes are {schemes}"
        raise ParameterError(where, "labels of a mask, `all`, or SCHEME:PART", repr(labels), hint) from None


def voxels_inside(
    data: np.ndarray,
    labels: str | Collection[int] | None = None,
    *,
    where: str = "load_mask",
    name: str = "a mask in memory",
    voxel_ml: float | None = None,
) -> MaskVoxels:
    """Decide which voxels of a mask are inside.

    Parameters
    ----------
    data : ndarray
        Numbers; NaN is outside.
    labels : str or collection of int, default=None
        As for :func:`read_labels`. None if the mask has only one part.
    where, name : str
        The step and the file to name in an error.
    voxel_ml : float, default=None
        Volume of a voxel, to list the labels with their volumes; None to count voxels.

    Returns
    -------
    MaskVoxels
        Voxels inside the mask, and remarks.

    Raises
    ------
    ImageError
        Several labels and none selected; none of the selected labels present; a label
        that is not in the scheme; a scan; values below but none above zero; or nearly
        all voxels inside, which suggests that 0 marks the tumour.
    """
    selected = None if labels is None else read_labels(labels, where=where)
    data = np.nan_to_num(data, nan=0, posinf=np.inf, neginf=-np.inf) if data.dtype.kind == "f" else data
    values, counts = _values(data)
    if data.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageError(where, "finite voxels in a mask", f"infinite ones in {name}", "export the mask again")
    table = _Table(values, counts, where, name, voxel_ml)
    if selected is not None:
        return _select_labels(data, selected, table)
    found = _infer_inside(data, table)
    whole = ["has every voxel inside"] if found.voxels.all() else _check_inverted(found.voxels, table)
    return MaskVoxels(found.voxels, [*found.remarks, *whole])


class _Table(NamedTuple):
    """Values of a mask with their counts, and its name for errors."""

    values: np.ndarray
    counts: np.ndarray
    where: str
    name: str
    voxel_ml: float | None

    def listed(self) -> str:
        """List the values above zero with their amounts."""
        above = [(value, count) for value, count in zip(self.values, self.counts, strict=True) if value > 0]
        shown = [f"{value:g}: {self.amount(count)}" for value, count in above[:_SHOWN]]
        return ", ".join(shown) + (f" and {len(above) - _SHOWN} more" if len(above) > _SHOWN else "")

    def amount(self, count: int) -> str:
        """Format a number of voxels, in mL if the voxel size is known."""
        return f"{count} voxels" if self.voxel_ml is None else f"{count * self.voxel_ml:.3g} mL"

    def error(self, expected: str, received: str, hint: str) -> ImageError:
        """Make an error about this mask."""
        return ImageError(self.where, expected, received, hint)


def _values(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted unique values of a mask and their counts."""
    if not data.size:
        return np.zeros(1), np.zeros(1, int)
    lowest, highest = data.min(), data.max()
    ends = np.array([lowest] if lowest == highest else [lowest, highest])
    counts = np.array([np.count_nonzero(data == each) for each in ends])
    return (ends, counts) if counts.sum() == data.size else np.unique(data, return_counts=True)


def _select_labels(data: np.ndarray, selected: Labels, table: _Table) -> MaskVoxels:
    """Return the union of the selected labels."""
    values, where = table.values, table.where
    rounded = np.rint(values)
    if (np.abs(values - rounded) > _WHOLE).any():
        expected = "integers in a mask with selected labels"
        received = f"fractions from {values[0]:.4g} to {values[-1]:.4g} in {table.name}"
        raise ImageError(where, expected, received, "leave out the labels: fractions are thresholded at 0.5")
    here = {int(value) for value in rounded}
    if selected.wanted is None and len(values) > MOST_LABELS:
        raise _scan_error(table)
    if selected.known is not None and (unknown := sorted(here - selected.known - {0})):
        received = f"also {', '.join(map(str, unknown))} in {table.name}, which holds {table.listed()}"
        raise table.error("only labels of the scheme", received, "give the labels as numbers: `--mask-labels 1,2`")
    wanted = {value for value in here if value > 0} if selected.wanted is None else selected.wanted
    if wanted and not wanted & here and here != {0}:
        received = f"{table.listed() or f'nothing above {values[-1]:g}'} in {table.name}"
        expected = f"a mask with label {' or '.join(map(str, sorted(wanted)))}"
        raise table.error(expected, received, "select labels that it has with `--mask-labels`")
    inside = np.isin(np.rint(data) if data.dtype.kind == "f" else data, sorted(wanted))
    absent = sorted(wanted - here)
    return MaskVoxels(inside, [f"has no label {', '.join(map(str, absent))}"] if absent else [])


def _infer_inside(data: np.ndarray, table: _Table) -> MaskVoxels:
    """Decide which voxels are inside if the values are unambiguous."""
    values = table.values
    above = values[values > 0]
    if not len(above):
        if values[0] < 0:
            hint = "select the label of the tumour with `--mask-labels`, or save the mask again as 0 and 1"
            raise table.error("a mask with a value above zero", f"{_span(values)} in {table.name}", hint)
        return MaskVoxels(np.zeros(data.shape, bool), [])
    if len(above) == 1:
        remarks = ["has values below zero, which count as outside"] if values[0] < 0 and len(values) > 2 else []
        if above[0] < 0.5:
            remarks.append(f"has one value above zero, {above[0]:.3g}, which counts as inside")
        return MaskVoxels(data > 0, remarks)
    if _is_nearly_binary(values):
        half = (values[-1] + max(values[0], 0)) / 2
        return _threshold(data, half, f"has only values near {max(values[0], 0):.3g} and {values[-1]:.4g}", table)
    whole = np.abs(values - np.rint(values)) <= _WHOLE
    if whole.all() and values[-1] >= 0.5:
        return _single_label(data, values, table)
    if values[0] >= -_OVERSHOOT and values[-1] <= 1 + _OVERSHOOT:
        return _threshold(data, 0.5, f"holds fractions, from {values[0]:.3g} to {values[-1]:.4g}", table)
    if len(values) > MOST_LABELS:
        raise _scan_error(table)
    hint = "save it again with integers: resample label maps by nearest neighbour"
    raise table.error("integers or fractions in a mask", f"{_span(values)} in {table.name}", hint)


def _single_label(data: np.ndarray, values: np.ndarray, table: _Table) -> MaskVoxels:
    """Take the only label of a mask of integers; reject several labels."""
    labels = sorted({int(value) for value in np.rint(values) if value >= 0.5})
    if len(values) > MOST_LABELS:
        raise _scan_error(table)
    if len(labels) == 1:
        return MaskVoxels(data > 0.5, [])
    schemes = [name for name, parts in SCHEMES.items() if set(labels) <= set(parts["WT"])]
    offers = [f"`--mask-labels {labels[-1]}`", f"`{','.join(map(str, labels[:2]))}`", "`all`"]
    offers += [f"a part of a scheme, `{name}:WT`" for name in schemes if name in ("brats21", "brats23")][:1]
    received = f"{len(labels)} labels ({table.listed()}) in {table.name}"
    raise table.error("a mask of one part", received, f"select those of the tumour: {', '.join(offers)}")


def _threshold(data: np.ndarray, level: float, values: str, table: _Table) -> MaskVoxels:
    """Threshold fractions, with a remark; reject a mask that does not reach the level."""
    inside = data > level
    kept, above = int(np.count_nonzero(inside)), int(np.count_nonzero(data > 0))
    if not kept:
        received = f"fractions of at most {table.values[-1]:.4g} in {table.name}"
        raise table.error("fractions above 0.5", received, "threshold the mask at a suitable level")
    kept_volume = f"{table.amount(kept)} inside of {table.amount(above)} above zero"
    return MaskVoxels(inside, [f"{values}; thresholded at {level:g}: {kept_volume}"])


def _check_inverted(inside: np.ndarray, table: _Table) -> list[str]:
    """Reject a block with a hole, in which 0 may mark the tumour; return a remark on other large masks with holes."""
    if inside.all() or inside.mean() <= 0.5:
        return []
    cut_off = table.amount(int(inside.size - np.count_nonzero(inside)))
    share = f"{inside.mean():.0%} of the image inside"
    if not (_is_block(inside) or inside[np.ix_(*[[0, -1]] * inside.ndim)].all()):
        holes = int(np.count_nonzero(ndimage.binary_fill_holes(inside) & ~inside))
        return [f"has {share}, around holes of {table.amount(holes)}: does 0 mark the tumour?"] if holes else []
    received = f"{share}, up to its edges, and {cut_off} outside in {table.name}"
    low, high = (f"`--mask-labels {value:g}`" for value in table.values[[0, -1]])
    raise table.error("the tumour inside the mask", received, f"select the value that marks it: {low} or {high}")


def _is_block(inside: np.ndarray) -> bool:
    """Whether a mask fills most faces of its bounding box, unlike part of a head, but not the whole box."""
    ends = [np.flatnonzero(inside.any(tuple(set(range(inside.ndim)) - {axis})))[[0, -1]] for axis in range(inside.ndim)]
    box = inside[tuple(slice(first, last + 1) for first, last in ends)]
    faces = [box.take(end, axis).mean() for axis in range(box.ndim) for end in (0, -1)]
    return sum(share > _BROAD for share in faces) >= len(faces) - 1 and not box.all()


def _is_nearly_binary(values: np.ndarray) -> bool:
    """Whether all values are near the lowest or the highest, as after rounding or ringing."""
    low, high = max(values[0], 0), values[-1]
    fractions = (values != np.rint(values)).any()
    if low > _ALMOST * high or not (fractions or high == 255):
        return False
    share = values / high
    return bool(((np.abs(share) <= _ALMOST) | (share >= 1 - _ALMOST)).all())


def _span(values: np.ndarray) -> str:
    return f"values from {values[0]:.4g} to {values[-1]:.4g}"


def _scan_error(table: _Table) -> ImageError:
    values = table.values
    return table.error(
        f"a mask, with at most {MOST_LABELS} different values",
        f"values from {values[0]:g} to {values[-1]:g} in {table.name}, as in a scan",
        "give a mask instead of a scan, or a mask of one region instead of many",
    )
