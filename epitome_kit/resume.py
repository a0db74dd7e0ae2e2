"""Decide whether a result is finished with the same inputs and settings, and explain why not."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from epitome_kit.errors import EpitomeWarning
from epitome_kit.files import checksum, jsonable, read_json, write_json

_SHOWN = 3
_LONGEST = 40
_PARTS = ("finished", "settings", "inputs")


@dataclass(frozen=True)
class Record:
    """A JSON file next to a result, with the settings and the checksums of the inputs it was made from.

    Only content decides, never the modification time of a file, so a copied folder is
    as valid as the original. A damaged record, or one of an earlier version, counts as
    not finished.

    Attributes
    ----------
    path : Path
        File of the record, written after everything else.
    settings : dict
        JSON values that the result depends on, besides the inputs.
    inputs : dict of str to str
        Checksum of each input by name, as from :func:`checksums`.
    outputs : sequence of Path, default=()
        Files that a finished result must have.
    """

    path: Path
    settings: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Sequence[Path] = ()

    def difference(self) -> str | None:
        """Explain why the result must be computed again.

        Returns
        -------
        str or None
            None if it is finished; empty if it is computed for the first time, or resumed.
        """
        return self._difference(read_record(self.path))

    def _difference(self, found: Mapping[str, Any]) -> str | None:
        if not found:
            return "its record cannot be read" if self.path.is_file() else ""
        if reason := explain_difference(found, self.settings, self.inputs):
            return reason
        if not found["finished"]:
            return ""
        missing = [path.name for path in self.outputs if not path.is_file()]
        return f"{missing[0]} is missing" if missing else None

    def valid(self) -> bool:
        """Return whether the result is finished with these settings and inputs."""
        return self.difference() is None

    def begun(self) -> bool:
        """Return whether the result was begun with these settings and inputs, finished or not."""
        found = read_record(self.path)
        return bool(found) and not explain_difference(found, self.settings, self.inputs)

    def begin(self) -> None:
        """Record that the result is begun, so that finished parts can be kept."""
        write_json(self.path, {**statement(self.settings, self.inputs), "finished": False})

    def finish(self, **results: Any) -> None:
        """Record that the result is finished, with values that :meth:`results` returns."""
        write_json(self.path, {**statement(self.settings, self.inputs), **results})

    def results(self) -> dict[str, Any]:
        """Return the values given to :meth:`finish`; empty unless the record is valid."""
        found = read_record(self.path)
        if self._difference(found) is not None:
            return {}
        return {key: value for key, value in found.items() if key not in _PARTS}


def statement(settings: Mapping[str, Any], inputs: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the part of a record that states settings and inputs, for results that store it themselves."""
    return {"finished": True, "settings": dict(settings), "inputs": dict(inputs)}


def checksums(*paths: Path) -> dict[str, str]:
    """Return the checksum of each file by name; missing files are left out."""
    found: dict[str, str] = {}
    for path in map(Path, paths):
        if path.is_file():
            name = path.name if path.name not in found else f"{path.name} ({len(found)})"
            try:
                found[name] = checksum(path)
            except OSError:  # whatever reads the file next says why
                found[name] = "cannot be read"
    return found


def made_from(path: Path, *sources: Path) -> Record:
    """Return the record, stored next to it, of a file that depends on `sources` only, such as a picture."""
    return Record(path.with_suffix(".json"), {}, checksums(*sources), (path,))


def read_record(path: Path) -> dict[str, Any]:
    """Read a record; empty if it is missing or cannot be read."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def explain_difference(found: Mapping[str, Any], settings: Mapping[str, Any], inputs: Mapping[str, str | None]) -> str:
    """Describe how settings and inputs differ from those of a record.

    Parameters
    ----------
    found : dict
        The record, with ``settings`` and ``inputs``.
    settings, inputs : dict
        Present settings and inputs.

    Returns
    -------
    str
        For example ``"seed was 0, is 1"``; empty if nothing differs.
    """
    if not all(isinstance(found.get(part), dict) for part in _PARTS[1:]) or "finished" not in found:
        return "an earlier version recorded it differently"
    before, now = dict(_flat(found["settings"])), dict(_flat(jsonable(settings)))
    changes = [
        f"{name} was {_shown(before, name)}, is {_shown(now, name)}"
        for name in dict.fromkeys([*before, *now])
        if name not in before or name not in now or before[name] != now[name]
    ]
    before, now = found["inputs"], dict(inputs)
    changes += [
        f"input {name} {'is new' if name not in before else 'is gone' if name not in now else 'changed'}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    more = f", and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return ", ".join(changes[:_SHOWN]) + more


def report_again(where: str, differences: Iterable[str | None], *, stacklevel: int = 3) -> None:
    """Warn on one line that something is computed again, and why; a first computation is not reported.

    Parameters
    ----------
    where : str
        The verb.
    differences : iterable of str or None
        From :meth:`Record.difference`, one for each part of the result.
    stacklevel : int, default=3
        As for :func:`warnings.warn`.
    """
    differences = list(differences)
    reasons = Counter(filter(None, differences))
    if reasons:
        (reason, _), *others = reasons.most_common()
        what = f"{where}: {reasons.total()} of {len(differences)}" if len(differences) > 1 else f"{where}:"
        also = f" (and {len(others)} more)" if others else ""
        warnings.warn(f"{what} computed again: {reason}{also}", EpitomeWarning, stacklevel=stacklevel)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of nested dictionaries, named by its keys."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}".lstrip("."))
    else:
        yield name, value


def _shown(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return "not stated"
    text = str(values[name])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
