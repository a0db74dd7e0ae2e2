"""Checksums of the files that each notebook of a run wrote, by which later changes are found."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from epitome_kit.errors import OutputError, ParameterError
from epitome_kit.files import Json, PathLike
from epitome_kit.provenance import cached_checksum
from epitome_kit.resume import SET_ASIDE, is_sealed, read_record, set_aside, write_sealed
from epitome_kit.workspace import LOG, Workspace

RUN, REPORT = "run", "report"
"""Writers of the files that no notebook writes: parameters and provenance; pages and summary."""

_OF_THE_RUN = {Workspace.parameters.name, Workspace.provenance.name, Workspace.manifest.name, LOG}
_NOT_READ = (".png", ".svg", ".html", ".ipynb", ".xlsx", "_timing.json")
"""Endings of files that no notebook reads; some hold the time when they were written."""
_MAX_NAMED = 3


@dataclass
class Manifest:
    """The file ``manifest.json`` of a workspace.

    Attributes
    ----------
    folder : Path
        Workspace of a run.
    files : dict of str to dict
        ``checksum`` and ``by``, the notebook that wrote it, of each file by its path in the workspace.
    started_from : dict of str to dict
        For each finished notebook the checksums of the files of earlier notebooks when it began.
    damaged : bool
        Whether the file was changed or cannot be read; then nothing is known.
    """

    folder: Path
    files: dict[str, Json] = field(default_factory=dict)
    started_from: dict[str, Json] = field(default_factory=dict)
    damaged: bool = False
    _before: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, folder: PathLike) -> "Manifest":
        """Read the manifest of a workspace; empty if there is none."""
        path = Workspace(folder).manifest
        found = read_record(path)
        if not is_sealed(found):
            return cls(Path(folder), damaged=path.exists())
        return cls(Path(folder), found["files"], found["started_from"])

    def changes(self, *writers: str) -> dict[str, str]:
        """Find the files that were changed or removed since they were written.

        Parameters
        ----------
        *writers : str
            Notebooks, :data:`RUN` or :data:`REPORT`; none means all.

        Returns
        -------
        dict of str to str
            ``"was changed"`` or ``"is missing"``, by path in the workspace.
        """
        found = {}
        for name, about in self.files.items():
            if not writers or about["by"] in writers:
                now = cached_checksum(self.folder / name)
                if now != about["checksum"]:
                    found[name] = "was changed" if now else "is missing"
        return found

    def difference(self, notebook: str) -> str | None:
        """Explain why an executed notebook is executed again; None if it is kept.

        Parameters
        ----------
        notebook : str
            Name without extension.

        Returns
        -------
        str or None
        """
        if self.damaged:
            return f"{Workspace.manifest.name} was changed or cannot be read"
        if notebook not in self.started_from:
            return "its files were not recorded"
        if changed := self.changes(notebook):
            return _named(changed)
        earlier = {
            name: was
            for name, was in self.started_from[notebook].items()
            if name not in self.files or self.files[name]["by"] < notebook  # else a later notebook wrote it again
        }
        other = {name: "" for name, was in earlier.items() if cached_checksum(self.folder / name) != was}
        return f"{_named(other)}, which it started from, differs now" if other else None

    def begin(self, notebook: str) -> None:
        """Forget the files of a notebook that is about to be executed, and set those aside that were changed.

        Parameters
        ----------
        notebook : str
            Name without extension.
        """
        for name, state in self.changes(notebook).items():
            if state == "was changed":
                set_aside(self.folder / name)
        self.files = {name: about for name, about in self.files.items() if about["by"] != notebook}
        self.started_from.pop(notebook, None)
        self._before = dict(self._checksums())
        self.write()

    def finish(self, notebook: str, *, done: bool) -> None:
        """Record the files of a notebook: those that it wrote, and those of the kit that nobody recorded.

        Parameters
        ----------
        notebook : str
            Name without extension.
        done : bool
            False if it failed or was interrupted: it will be executed again.
        """
        products = {path.relative_to(self.folder).as_posix() for path in Workspace(self.folder).products()}
        for name, now in self._checksums():
            unrecorded = name not in self.files and {name, name.split("/")[0]} & products
            if unrecorded or self._before.get(name) != now:
                self.files[name] = {"checksum": now, "by": notebook}
        if done:
            self.started_from[notebook] = {
                name: about["checksum"]
                for name, about in self.files.items()
                if about["by"] < notebook and about["by"] not in (RUN, REPORT) and not name.endswith(_NOT_READ)
            }
        self.write()

    def record(self, writer: str, paths: list[Path]) -> None:
        """Record files that no notebook writes, in place of those that the same writer wrote before."""
        self.files = {name: about for name, about in self.files.items() if about["by"] != writer}
        for path in paths:
            if checksum := cached_checksum(path):
                self.files[path.relative_to(self.folder).as_posix()] = {"checksum": checksum, "by": writer}
        self.write()

    def write(self) -> None:
        """Write the manifest."""
        write_sealed(Workspace(self.folder).manifest, {"files": self.files, "started_from": self.started_from})

    def _checksums(self) -> Iterator[tuple[str, str]]:
        """Yield path and checksum of every file in the workspace, without hidden ones and those of the run itself."""
        for folder, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".") and name != SET_ASIDE]
            for name in names:
                path = Path(folder, name)
                relative = path.relative_to(self.folder).as_posix()
                if not name.startswith(".") and relative not in _OF_THE_RUN and (now := cached_checksum(path)):
                    yield relative, now


def require_recorded(workspace: PathLike, where: str, *names: str) -> None:
    """Refuse results that were changed since a notebook wrote them.

    Parameters
    ----------
    workspace : path
        Workspace of a run; one without a manifest is not checked.
    where : str
        Name of the caller, for the error.
    *names : str
        Paths in the workspace; none means all results.

    Raises
    ------
    OutputError
        A file was changed or is missing.
    """
    manifest = Manifest.read(workspace)
    changed = {
        name: state
        for name, state in manifest.changes().items()
        if manifest.files[name]["by"] != REPORT and name != LOG and (not names or name in names)
    }
    if changed:
        steps = sorted({manifest.files[name]["by"] for name in changed} - {RUN})
        again = f"`epitome run {' '.join(steps)} --out {workspace}`" if steps else "`epitome run`"
        raise OutputError(
            where,
            f"the files of {workspace} as the run wrote them",
            _named(changed),
            f"{again}, with the settings of the run, makes them again; `epitome verify {workspace}` lists all",
        )


def verify_products(folder: PathLike) -> pd.DataFrame:
    """Compare the files of a run, or of any folder that the kit wrote, with their recorded checksums.

    A file that was changed is made again by the call that made it first; with
    :func:`run_notebooks` a changed file is kept in a folder ``changed`` next to it.

    Parameters
    ----------
    folder : path
        Workspace of a run, preprocessed cohort, or simulated cohort.

    Returns
    -------
    DataFrame
        One row for each recorded file: ``file``, ``state`` ("as written", "was changed",
        "is missing" or "cannot be read") and ``by``, the notebook or record.

    Raises
    ------
    ParameterError
        The folder holds no record of the kit.

    See Also
    --------
    run_notebooks : Execute notebooks; makes files again that were changed.

    Examples
    --------
    >>> import tempfile
    >>> import epitome_kit as ek
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = ek.make_phantom_cohort(folder, subjects=2, spacing_mm=(8, 8, 8))
    ...     _ = cohort["sub-001"].images["T2w"].write_bytes(b"other")
    ...     verified = ek.verify_products(folder)
    >>> verified.state.value_counts().to_dict()
    {'as written': 31, 'was changed': 1}
    """
    folder, rows = Path(folder), {}
    manifest = Manifest.read(folder)
    if manifest.damaged:
        rows[Workspace.manifest.name] = ("was changed", RUN)
    changed = manifest.changes()
    rows |= {name: (changed.get(name, "as written"), about["by"]) for name, about in manifest.files.items()}
    for path in sorted(folder.rglob("[!.]*.json")):
        found = read_record(path)
        if SET_ASIDE not in path.parts and isinstance(found.get("outputs"), dict) and "checksum" in found:
            rows |= _verify_record(folder, path, found)
    if not rows:
        raise ParameterError(
            "verify", "a folder that the kit wrote", f"{folder}, without records", "give the folder of a run"
        )
    table = [{"file": name, "state": state, "by": by} for name, (state, by) in sorted(rows.items())]
    return pd.DataFrame(table, columns=["file", "state", "by"])


def _verify_record(folder: Path, record: Path, found: Json) -> dict[str, tuple[str, str]]:
    """Return state and record of each file of one result, by path in the folder."""
    by = record.relative_to(folder).as_posix()
    if not is_sealed(found):
        return {by: ("was changed", by)}
    rows = {by: ("as written", by)}
    for name, was in found["outputs"].items():
        path = Path(os.path.normpath(record.parent / name))
        now = cached_checksum(path)
        state = "as written" if now == was else "was changed" if now else "is missing"
        rows[Path(os.path.relpath(path, folder)).as_posix()] = (state, by)
    return rows


def _named(changed: Mapping[str, str]) -> str:
    shown = [f"{name} {state}".strip() for name, state in list(changed.items())[:_MAX_NAMED]]
    more = f", and {len(changed) - _MAX_NAMED} more" if len(changed) > _MAX_NAMED else ""
    return ", ".join(shown) + more
