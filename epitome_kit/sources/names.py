"""Match the names in a table with subjects, where the match is unambiguous."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

Match = tuple[str | None, str]
"""Subject and the rule by which it matches; or None and the reason."""


def match_names(names: Iterable[str], subjects: Iterable[str]) -> dict[str, Match]:
    """Match the names in a table with subjects.

    Names are compared exactly, then without ``sub-``, ignoring case, without separators
    and without leading zeros. A match counts only if one name and one subject agree.

    Parameters
    ----------
    names : iterable of str
        Names in the table.
    subjects : iterable of str
        Names of the subjects.

    Returns
    -------
    dict of str to (str or None, str)
        :data:`Match` of each name.
    """
    names, subjects = list(names), list(subjects)
    found: dict[str, Match] = {}
    taken: dict[str, str] = {}
    left = list(dict.fromkeys(names))
    for rule, key in _RULES.items():
        by_key: dict[str, list[str]] = {}
        callers = Counter(map(key, left))
        for subject in subjects:
            by_key.setdefault(key(subject), []).append(subject)
        for name in left:
            alike = by_key.get(key(name), []) if key(name) else []
            if not alike:
                continue
            if len(alike) > 1:
                found[name] = None, f"fits {' and '.join(alike[:3])} {rule}"
            elif callers[key(name)] > 1:
                found[name] = None, f"fits {alike[0]} {rule}, as another name does"
            elif alike[0] in taken:
                found[name] = None, f"fits {alike[0]} {rule}, which {taken[alike[0]]} names already"
            else:
                found[name] = alike[0], rule
        taken |= {subject: name for name, (subject, _) in found.items() if subject and subject not in taken}
        left = [name for name in left if name not in found]
    return _without_counts({name: found.get(name, (None, "no subject of that name")) for name in names})


def _without_counts(found: dict[str, Match]) -> dict[str, Match]:
    """Revoke matches by number alone if one of the names is 0, since such numbers may be row counts."""
    if not any(name.strip("0") == "" and not subject for name, (subject, _) in found.items()):
        return found
    reason = "a number that may count rows, for one of them is 0"
    loose = {name for name, (subject, rule) in found.items() if subject and name.isdigit() and rule == _LOOSEST}
    return {name: (None, reason) if name in loose else match for name, match in found.items()}


def strictness(rule: str) -> int:
    """Rank a rule of :func:`match_names`; stricter rules rank higher."""
    return len(_RULES) - list(_RULES).index(rule)


def _without_sub(name: str) -> str:
    return re.sub(r"^sub(?:[-_ ]|(?=\d))", "", unicodedata.normalize("NFKC", name.strip()), flags=re.IGNORECASE)


def _letters_and_digits(name: str) -> str:
    return re.sub(r"[\W_]", "", _without_sub(name).casefold())


def _without_zeros(name: str) -> str:
    """Reduce a name to letters and numbers without leading zeros; a separator between two numbers stays."""
    parts = re.findall(r"[^\W\d_]+|\d+", _without_sub(name).casefold())
    numbers = [part.lstrip("0") or "0" if part.isdigit() else part for part in parts]
    return "".join(
        f".{part}" if part.isdigit() and before.isdigit() else part
        for before, part in zip(["", *numbers], numbers, strict=False)
    )


_RULES: dict[str, Callable[[str], str]] = {
    "as it is written": str.strip,
    "without `sub-`": _without_sub,
    "without case": lambda name: _without_sub(name).casefold(),
    "without separators": _letters_and_digits,
    "without leading zeros": _without_zeros,
}
_LOOSEST = list(_RULES)[-1]
