"""Decide whether a result is finished, intact, and made with the same inputs and settings; explain why not."""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from epitome_kit.errors import EpitomeWarning, OutputError
from epitome_kit.files import checksum, jsonable, read_json, text_digest, write_json

SET_ASIDE = "changed"
"""Folder of files that were changed after the kit had written them, and were made again."""

_SHOWN = 3
_LONGEST = 40
_PARTS = ("finished", "settings", "inputs", "outputs", "checksum")


@dataclass(frozen=True)
class Record:
    """A JSON file next to a result, with its checksums, its settings and the checksums of its inputs.

    Only content decides, never the modification time of a file, so a copied folder is
    as valid as the original. A damaged record, one of an earlier version, and one whose
    files were changed since count as not finished.

    Attributes
    ----------
    path : Path
        File of the record, written after everything else.
    settings : dict
        JSON values that the result depends on, besides the inputs.
    inputs : dict of str to str
        Checksum of each input by name, as from :func:`checksums`.
    outputs : sequence of Path, default=()
        Files that a finished result must have, unchanged.
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
        if changed := changed_outputs(self.path, found, self.outputs):
            return changed[0]
        return None

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
        outputs = {_relative(path, self.path): checksum(path) for path in map(Path, self.outputs)}
        write_sealed(self.path, {**statement(self.settings, self.inputs), **results, "outputs": outputs})

    def set_aside_changed(self) -> None:
        """Set recorded files aside that were changed, so that they are made again, and nothing of a person is lost."""
        for name, was in (read_record(self.path).get("outputs") or {}).items():
            path = self.path.parent / name
            if path.is_file() and _checksum_now(path) != was:
                set_aside(path)

    def results(self) -> dict[str, Any]:
        """Return the values given to :meth:`finish`; empty unless the record is valid."""
        found = read_record(self.path)
        if self._difference(found) is not None:
            return {}
        return {key: value for key, value in found.items() if key not in _PARTS}


def statement(settings: Mapping[str, Any], inputs: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the part of a record that states settings and inputs, for results that store it themselves."""
    return {"finished": True, "settings": dict(settings), "inputs": dict(inputs)}


def set_aside(path: Path) -> None:
    """Move a file into the folder :data:`SET_ASIDE` next to it, in place of one that was moved there before."""
    (path.parent / SET_ASIDE).mkdir(exist_ok=True)
    path.replace(path.parent / SET_ASIDE / path.name)


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file with a checksum of its own content, by which :func:`is_sealed` finds changes."""
    content = json.loads(json.dumps(jsonable(dict(content))))  # as it will be read
    write_json(path, {**content, "checksum": _own_checksum(content)})


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Return whether the content of a JSON file is that of :func:`write_sealed`."""
    return content.get("checksum") == _own_checksum(content)


def _own_checksum(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "checksum"}
    return text_digest(json.dumps(rest, sort_keys=True))


def changed_outputs(record: Path, found: Mapping[str, Any] | None = None, required: Sequence[Path] = ()) -> list[str]:
    """List what was changed of a finished result since its record was written.

    Parameters
    ----------
    record : Path
        File of the record.
    found : dict, default=None
        Its content; None reads it.
    required : sequence of Path, default=()
        Files that the record must list.

    Returns
    -------
    list of str
        Such as ``"features.tsv was changed"``; empty if nothing was.
    """
    found = read_record(record) if found is None else found
    if not isinstance(found.get("outputs"), dict):
        return [f"{record.name} was written by an earlier version, or not finished"]
    if not is_sealed(found):
        return [f"{record.name} was changed"]
    reasons = []
    for name in dict.fromkeys([*found["outputs"], *(_relative(path, record) for path in required)]):
        path = record.parent / name
        if not path.is_file():
            reasons.append(f"{path.name} is missing")
        elif _checksum_now(path) != found["outputs"].get(name):
            reasons.append(f"{path.name} was changed")
    return reasons


def require_intact(record: Path, where: str, hint: str) -> None:
    """Refuse a finished result whose files were changed since its record was written.

    Parameters
    ----------
    record : Path
        File of the record; a result without one, or with one of an earlier version, is not checked.
    where, hint : str
        For the error: the verb that reads the result, and how it is made again.

    Raises
    ------
    OutputError
        A file was changed or is missing.
    """
    if not record.is_file():
        return
    found = read_record(record)
    changed = changed_outputs(record, found) if "outputs" in found else [] if found else [f"{record.name} was changed"]
    if changed:
        raise OutputError(
            where, f"the files of {record.parent} as they were written", ", ".join(changed[:_SHOWN]), hint
        )


def _relative(path: Path, record: Path) -> str:
    return Path(os.path.relpath(path, record.parent)).as_posix()


def _checksum_now(path: Path) -> str | None:
    with suppress(OSError):  # whatever reads the file next says why
        return checksum(path)
    return None


def checksums(*paths: Path) -> dict[str, str]:
    """Return the checksum of each file by name; missing files are left out."""
    found: dict[str, str] = {}
    for path in map(Path, paths):
        if path.is_file():
            name = path.name if path.name not in found else f"{path.name} ({len(found)})"
            found[name] = _checksum_now(path) or "cannot be read"
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
    if not all(isinstance(found.get(part), dict) for part in ("settings", "inputs")) or "finished" not in found:
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
