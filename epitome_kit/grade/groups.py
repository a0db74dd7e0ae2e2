"""Detect rows of the same person by names, ids and files, and require a column that groups them."""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence

import pandas as pd

from epitome_kit.errors import LeakageError, TableError
from epitome_kit.grade.columns import files_columns, is_id, people_column, whole_or_text

_OCCASIONS = (
    *("ses", "sess", "session", "sitzung", "scan", "rescan", "visit", "visite", "vis", "week", "wk", "day", "month"),
    *("mo", "year", "time", "timepoint", "tp", "t", "d", "w", "m", "v", "baseline", "base", "bl", "followup", "follow"),
    *("fu", "up", "pre", "post", "preop", "postop", "before", "after", "vor", "nach", "left", "right", "links"),
    *("rechts", "l", "r", "run", "acq", "acquisition", "repeat", "rep", "test", "retest", "lesion", "laesion", "tumor"),
    *("tumour", "roi", "exam", "examination", "slice", "slc", "first", "second", "date"),
)
"""Words for one of several scans, lesions or sides of a person."""

_BEFORE = re.compile(
    r"(pre|post|preop|postop|before|after|baseline|followup|fu|left|right|links|rechts|scan|ses|session|visit|week|day"
    r"|month|tp|timepoint|t|l|r|first|second)[-_ ]?\d*[-_ ./]+(?=.*\d)"
)
_FILE = re.compile(r"(\.(nii|nrrd|nhdr|mha|mhd|mgz|mgh|dcm|img|hdr|csv|tsv|txt|npy|gz|zip|png|jpe?g|tiff?))+$")
_DATE = re.compile(
    r"(?<=[-_./\\\s])(?:(?:19|20)\d\d([-_.]?)[01]\d\1[0-3]\d|[0-3]?\d[-_.][01]?\d[-_.](?:19|20)\d\d)(?=$|\.[a-z])"
)
_PARTS = re.compile(r"[-_./\\\s:]+")
_FEWEST, _SHARE = 5, 0.2


def require_disjoint(
    frame: pd.DataFrame,
    label: str,
    id: str | None,
    group: str | None,
    no_group: bool,
    drop: Sequence[str],
) -> list[str]:
    """Raise an error if rows of one person could be assigned to different folds.

    Parameters
    ----------
    frame : DataFrame
        Labelled rows.
    label : str
        Column of the class.
    id, group : str or None
        Columns that name the rows, and the groups of rows.
    no_group : bool
        Whether the user states that all rows are of different persons.
    drop : sequence of str
        Columns that the user drops.

    Returns
    -------
    list of str
        Remarks on names that look alike but were accepted.

    Raises
    ------
    TableError
        A row has no name or no group, a group is spelt in two ways, or no column is given for the names of rows.
    LeakageError
        Rows of one person could be in several folds.
    """
    if id:
        _require_names(frame[id], id)
    people = None if no_group else people_column(frame, exclude=(label, id, group, *(drop if group else ())))
    if people and group:
        shared = frame.groupby(people)[group].nunique()
        if shared.max() > 1:
            received = f"{people} {shared.idxmax()} in {shared.max()} groups of {group}"
            hint = f"`--group {people}`, or `--drop {people}` if it does not name persons"
            raise LeakageError("grade", "all rows of a person in one group", received, hint)
    elif people:
        _ask_for_group(frame, people)
    if no_group:
        return []
    notes = []
    if group:
        _require_consistent_spelling(frame[group], group)
    else:
        _require_no_blanks(frame, (label, id))
        _require_unique_index(frame, id)
        files = files_columns(frame, exclude=(label, id))
        notes = _require_distinct_stems(frame, [id, *files] if id else files)
    likely = [
        name for name in frame if is_id(name) and name not in (label, group, *drop) and whole_or_text(frame[name])
    ]
    likely = [name for name in likely if frame[name].nunique() > 0.9 * len(frame)]
    if id is None and likely:
        received = f"no `--id`, and a column {likely[0]} that looks like it"
        hint = f"`--id {likely[0]}`, or `--drop {likely[0]}` if rows are subjects and it is not a feature"
        raise TableError("grade", "the column that names the subject", received, hint)
    return notes


def subjects_of_ids(names: pd.Series) -> tuple[tuple[str, ...], float]:
    """Find two ids that look like scans of one person.

    They begin with the same stem and end in a session, a side, a date, or one of a
    few endings that most subjects share; or they differ in spelling only.

    Parameters
    ----------
    names : Series of str
        Unique ids such as ``sub-01_ses-02`` or ``P01_b``, or paths.

    Returns
    -------
    ids : tuple of str
        Two of them, or none.
    share : float
        Share of the ids with such a counterpart.
    """
    names = names.drop_duplicates().reset_index(drop=True)
    plain = names.map(_plain)
    subjects = _match_groups(plain, r"(?:.*[/\\])?(sub-[0-9a-z]+)(?=[_/\\])")[0]
    if subjects.dropna().duplicated().any():
        return _pair(names, subjects.fillna(plain))[0], 1.0
    spelt = plain.str.replace(r"(?<=[a-z])[-_ ]+(?=\d)", "", regex=True)
    found = [_pair(names, spelt)] if spelt.duplicated().any() else []
    for stems, tails in _split_names(names.str.replace(_DATE, "date", regex=True).map(_plain)):
        sizes = stems.map(stems.value_counts())
        repeated = sizes > 1
        count, endings = stems.nunique(), tails[repeated & (tails != "")]
        if count < _FEWEST or not len(endings):
            continue
        words = endings.map(lambda tail: any(word in _OCCASIONS for word in re.split(r"[^a-z]+", tail)))
        few = endings.nunique() <= count / 2
        numbered = count >= len(names) / 4 and stems[repeated].str.contains(r"\d").mean() > 0.9
        if words.mean() > 0.5 or few or numbered and repeated.mean() > 0.5:
            found.append(_pair(names, stems))
    return max(found, key=lambda each: each[1], default=((), 0.0))


def _split_names(dated: pd.Series) -> Iterator[tuple[pd.Series, pd.Series]]:
    """Yield ways to split ids into person and occasion: last parts, a final letter or word, or a first word."""
    parts = dated.map(lambda name: [part for part in _PARTS.split(name) if part])
    for cut in (1, 2):
        whole = parts.map(len) <= cut
        stems = parts.map(lambda each, cut=cut: "-".join(each[:-cut] if len(each) > cut else each))
        yield stems, parts.map(lambda each, cut=cut: "-".join(each[-cut:])).mask(whole, "")
    letters = _match_groups(dated, r"(.*\d)([a-z])$")
    if letters[1].nunique() <= 3:
        yield letters[0].fillna(dated), letters[1].fillna("")
    words = _match_groups(dated, r"(.*\d)([a-z]+\d+|[a-z]{3,})$")
    known = words[1].str.replace(r"\d", "", regex=True).isin(_OCCASIONS)
    yield words[0].where(known, dated), words[1].where(known, "")
    yield dated.str.replace(_BEFORE, "", regex=True), dated.map(lambda name: (_BEFORE.match(name) or [""])[0])


def _match_groups(names: pd.Series, pattern: str) -> pd.DataFrame:
    """Return the groups of a pattern at the start of each name as columns; missing where it does not match."""
    matches = names.map(re.compile(pattern).match)
    width = re.compile(pattern).groups
    rows = [match.groups() if match else (None,) * width for match in matches]
    return pd.DataFrame(rows, index=names.index, columns=range(width), dtype=object)


def _plain(name: str) -> str:
    """Normalise an id: lower case, without file extension and without leading zeros."""
    name = unicodedata.normalize("NFKC", name).strip().casefold()
    return re.sub(r"(?<!\d)0+(?=\d)", "", _FILE.sub("", name))


def _pair(names: pd.Series, stems: pd.Series) -> tuple[tuple[str, ...], float]:
    again = stems.duplicated(keep=False)
    first = stems[again].iloc[0]
    return tuple(names[stems == first].iloc[:2]), float(again.mean())


def _require_names(values: pd.Series, id: str) -> None:
    """Raise an error if a row has no name, or two rows have the same."""
    missing = int(values.isna().sum())
    if missing:
        received = f"{missing} rows without one"
        hint = f"fill column {id}, down from the cell above where cells were merged, or leave `--id` out"
        raise TableError("grade", f"a name for every row in {id}", received, hint)
    if values.duplicated().any():
        repeated = values[values.duplicated()].unique()
        received = f"{len(repeated)} repeated names in column {id}, such as {repeated[0]}"
        hint = f"average the rows of a subject, keep one of them, or use `--group {id}` instead of `--id {id}`"
        raise LeakageError("grade", "one row per subject", received, hint)


def _ask_for_group(frame: pd.DataFrame, people: str) -> None:
    counts = frame[people].value_counts()
    received = f"a column {people} with repeated names, such as {counts.index[0]} in {counts.iloc[0]} rows"
    hint = f"`--group {people}`, or `--no-group` if each row is of a different person"
    raise LeakageError("grade", "all rows of a person in one fold", received, hint)


def _require_no_blanks(frame: pd.DataFrame, exclude: Collection[str | None]) -> None:
    """Raise an error if names of persons have many empty cells, like merged cells of a spreadsheet."""
    for name in frame:
        blank = frame[name].isna()
        filled = frame.loc[~blank, name]
        if name in exclude or blank.iloc[0] or not _SHARE < blank.mean() < 1:
            continue
        if people_column(pd.DataFrame({name: pd.concat([filled, filled])})):
            received = f"a column {name} with {int(blank.sum())} empty cells, like merged cells"
            hint = f"fill it down and use `--group {name}`, or use `--no-group` if each row is of a different person"
            raise LeakageError("grade", "all rows of a person in one fold", received, hint)


def _require_unique_index(frame: pd.DataFrame, id: str | None) -> None:
    names = frame.index[frame.index.map(lambda value: isinstance(value, str))] if id is None else frame.index[:0]
    if names.has_duplicates:
        received = f"an index with repeated names, such as {names[names.duplicated()][0]}"
        hint = "use `reset_index()`, and name its column by `group`, or use `no_group`"
        raise LeakageError("grade", "all rows of a person in one fold", received, hint)


def _require_distinct_stems(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Raise an error if many ids look like several scans of a person; return remarks if they are few."""
    notes = []
    for name in columns:
        ids, share = subjects_of_ids(frame[name].dropna().astype(str))
        if share > _SHARE:
            received = f"ids in column {name} that could be of one person, such as {ids[0]} and {ids[1]}"
            hint = "add a column of the subject and name it by `--group`, or use `--no-group`"
            raise LeakageError("grade", "all rows of a person in one fold", received, hint)
        if share:
            notes.append(f"{ids[0]} and {ids[1]} in column {name} look like one person, but were treated as two")
    return notes


def _require_consistent_spelling(groups: pd.Series, name: str) -> None:
    """Raise an error if a row has no group, or one group is spelt in two ways."""
    if groups.isna().any():
        received = f"{int(groups.isna().sum())} rows without one"
        raise TableError("grade", f"a group for every row in {name}", received, "fill the column, or drop the rows")
    spelt = pd.Series(groups.astype(str).unique())
    folded = spelt.str.strip().str.casefold().str.replace(r"\.0+$|(?<!\d)0+(?=\d)", "", regex=True)
    variants = spelt[folded.duplicated(keep=False)].groupby(folded).agg(list)
    if len(variants):
        received = " and ".join(map(repr, variants.iloc[0][:3]))
        hint = "use one spelling for one group, and different names for different groups"
        raise TableError("grade", f"one spelling for each group of {name}", received, hint)
