"""Walk through folders in natural order; follow links, skip system files."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

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
