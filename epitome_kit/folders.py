"""Walk through folders in natural order; follow links, skip system files; open regular files alone."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from epitome_kit.errors import OutputError

_LITTER = re.compile(
    r"\._.*|\.DS_Store|\.AppleDouble|\.Spotlight-V100|\.Trashes|\.fseventsd|__MACOSX|Icon\r|Thumbs\.db|desktop\.ini|"
    r"\$RECYCLE\.BIN|System Volume Information|@eaDir|\.git|\.datalad|\.svn|\.hg|\.ipynb_checkpoints|\.nfs[0-9a-f]+|"
    r"~\$.*|\.~lock\..*|\.partial-.*|(\..+)?\.lock|(\..+)?\.owner\.json",
    re.IGNORECASE | re.DOTALL,
)
"""Files that systems and programs leave in folders: macOS, Windows, network disks, Git, Jupyter, Office, this kit."""


def is_litter(name: str) -> bool:
    """Check by its name whether a file or folder was left by a system or a program."""
    return _LITTER.fullmatch(name) is not None


def natural_key(text: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Make a sort key that compares numbers in a text by value: ``run-2`` before ``run-10``.

    Parameters
    ----------
    text : str
        Such as the name of a file.

    Returns
    -------
    tuple
        For ``sorted(..., key=natural_key)``; different texts have different keys.
    """
    parts: list[str | tuple[int, str]] = list(re.split("([0-9]+)", text))
    numbers = [str(digits).lstrip("0") for digits in parts[1::2]]
    parts[1::2] = [(len(digits), digits) for digits in numbers]
    return tuple(part.casefold() if isinstance(part, str) else part for part in parts), text


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file of somebody else for reading; whatever is no file is refused before it is opened.

    Parameters
    ----------
    path : path
        A link is followed.

    Returns
    -------
    binary stream

    Raises
    ------
    OSError
        A pipe, a device or a socket, which can wait for ever or have no end; no such file.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "a pipe, a device or a socket, not a file", os.fspath(path))
    return open(path, "rb")


def links_out(folder: str | os.PathLike[str]) -> list[Path]:
    """List the links below a folder that lead out of it: to files, or to folders that are walked.

    Parameters
    ----------
    folder : path

    Returns
    -------
    list of Path
        In natural order; a link inside a folder behind another one is not listed.
    """
    root = Path(folder)
    home, leads = os.path.realpath(root), dict.fromkeys([root], False)
    found: dict[Path, None] = {}
    for path, _ in walk_entries(root):
        way = [path, *(parent for parent in path.parents if parent.is_relative_to(root))]
        for place in reversed(way):
            if place not in leads:
                target = Path(os.path.realpath(place)) if place.is_symlink() else None
                leads[place] = leads[place.parent] or (target is not None and not target.is_relative_to(home))
                if leads[place] and not leads[place.parent]:
                    found[place] = None
    return list(found)


def refuse_links(out: str | os.PathLike[str], *, where: str) -> None:
    """Raise an error if a folder to write to holds a link that leads out of it, such as ``out/sub-01``.

    Parameters
    ----------
    out : path
        May not exist yet; it may be a link itself.
    where : str
        The step to name in the error.

    Raises
    ------
    OutputError
        There is such a link: what is written to it would land in another folder.
    """
    root = os.path.realpath(out)
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            place = os.path.join(folder, name)
            if os.path.islink(place) and not Path(os.path.realpath(place)).is_relative_to(root):
                received = f"{place}, a link to {os.path.realpath(place)}"
                raise OutputError(
                    where, "a folder without links that lead out of it", received, "remove the link, or choose another"
                )


def walk_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield every file below a folder in natural order, including files behind links to folders.

    System files (``._*``, ``.DS_Store``, ``Thumbs.db``, ``.git``), devices, pipes and
    broken links are skipped; see :func:`walk_entries`.

    Parameters
    ----------
    folder : path
        Where to start.

    Yields
    ------
    Path
        Starts with `folder` as it was given; never resolved.
    """
    return (path for path, kind in walk_entries(folder) if kind == "file")


def walk_entries(folder: str | os.PathLike[str], *, links_out: bool = True) -> Iterator[tuple[Path, str]]:
    """Yield every entry below a folder in natural order, with its kind.

    A link to a folder is followed once. A link to a folder that is walked anyway, or
    to a parent folder, is not followed.

    Parameters
    ----------
    folder : path
        Where to start; nothing is yielded if it is not a folder.
    links_out : bool, default=True
        Follow links that lead out of the folder.

    Yields
    ------
    path : Path
        Starts with `folder` as it was given.
    kind : {"file", "litter", "broken link", "link out", "folder again", "folder closed", "folder empty", "no file"}
        A folder is yielded only if it is litter, unreadable, empty or a repeat of a walked
        one. "no file" is a device, a pipe or a socket.
    """
    root = Path(folder)
    if not root.is_dir():
        return
    around, seen, waiting = root.resolve(), {_identity(root.stat())}, [root]
    while waiting:
        path = waiting.pop()
        kind = "folder" if path == root else _kind(path, around, seen)
        if kind in ("file", "folder") and not links_out and path.is_symlink() and not _leads_into(path, around):
            kind = "link out"
        if kind == "folder":
            try:
                inside = sorted(path.iterdir(), key=lambda path: natural_key(path.name), reverse=True)
            except OSError:
                yield path, "folder closed"
                continue
            if path != root and all(is_litter(each.name) for each in inside):
                yield path, "folder empty"
            waiting += inside
        else:
            yield path, kind


def _kind(path: Path, root: Path, seen: set[tuple[int, int]]) -> str:
    """Return the kind of one entry; the identity of a new folder is added to `seen`."""
    if is_litter(path.name):
        return "litter"
    try:
        status = path.stat()
    except OSError:
        return "broken link" if path.is_symlink() else "no file"
    if not stat.S_ISDIR(status.st_mode):
        return "file" if stat.S_ISREG(status.st_mode) else "no file"
    if _identity(status) in seen or (path.is_symlink() and _walked_anyway(path.resolve(), root)):
        return "folder again"
    seen.add(_identity(status))
    return "folder"


def _leads_into(link: Path, root: Path) -> bool:
    return link.resolve().is_relative_to(root)


def _walked_anyway(target: Path, root: Path) -> bool:
    """Whether the target of a link is a parent of the root, or a folder below it that is not litter."""
    if root.is_relative_to(target):
        return True
    return target.is_relative_to(root) and not any(map(is_litter, target.relative_to(root).parts))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
