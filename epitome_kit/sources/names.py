"""Names in a table matched with names of subjects, where only one reading is possible."""

import re
import unicodedata
from collections import Counter


def match_names(names, subjects):
    """Match names of a table with subjects.

    A name is taken as it is written; then without ``sub-``, without case, without
    separators and without leading zeros, each only where one name and one subject
    come out alike.

    Parameters
    ----------
    names : sequence of str
    subjects : sequence of str

    Returns
    -------
    dict of str to (str or None, str)
        For each name: its subject, and the rule that found it; or None, and why.
    """
    found, taken, left = {}, {}, list(dict.fromkeys(names))
    for rule, key in _RULES.items():
        homes, callers = {}, Counter(map(key, left))
        for subject in subjects:
            homes.setdefault(key(subject), []).append(subject)
        for name in left:
            alike = homes.get(key(name), []) if key(name) else []
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
    found = {name: found.get(name, (None, "no subject of that name")) for name in names}
    return _without_counts(found)


def _without_counts(found):
    """Take back what was matched by number alone where a name is 0: such numbers may count rows."""
    if not any(name.strip("0") == "" and not subject for name, (subject, _) in found.items()):
        return found
    reason = "a number that may count rows, for one of them is 0"
    loose = {name for name, (subject, rule) in found.items() if subject and name.isdigit() and rule == _LOOSEST}
    return {name: (None, reason) if name in loose else match for name, match in found.items()}


def strictness(rule):
    """Rank a rule of :func:`match_names`: the higher, the less was changed."""
    return len(_RULES) - list(_RULES).index(rule)


def _without_sub(name):
    return re.sub(r"^sub(?:[-_ ]|(?=\d))", "", unicodedata.normalize("NFKC", name.strip()), flags=re.IGNORECASE)


def _letters_and_digits(name):
    return re.sub(r"[\W_]", "", _without_sub(name).casefold())


def _without_zeros(name):
    """Letters and numbers by their value; numbers that a separator parts stay two."""
    parts = re.findall(r"[^\W\d_]+|\d+", _without_sub(name).casefold())
    numbers = [part.lstrip("0") or "0" if part.isdigit() else part for part in parts]
    return "".join(
        f".{part}" if part.isdigit() and before.isdigit() else part
        for before, part in zip(["", *numbers], numbers, strict=False)
    )


_RULES = {
    "as it is written": str.strip,
    "without `sub-`": _without_sub,
    "without case": lambda name: _without_sub(name).casefold(),
    "without separators": _letters_and_digits,
    "without leading zeros": _without_zeros,
}
_LOOSEST = list(_RULES)[-1]
