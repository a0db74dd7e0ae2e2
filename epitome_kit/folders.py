"""Walks through folders: every file in natural order, links followed, litter passed over."""

import re
import stat
from pathlib import Path

_LITTER = re.compile(
    r"\._.*|\.DS_Store|\.AppleDouble|\.Spotlight-V100|\.Trashes|\.fseventsd|__MACOSX|Icon\r|Thumbs\.db|desktop\.ini|"
    r"\$RECYCLE\.BIN|System Volume Information|@eaDir|\.git|\.datalad|\.svn|\.hg|\.ipynb_checkpoints|\.nfs[0-9a-f]+|"
    r"~\$.*|\.~lock\..*|\.partial-.*",
    re.IGNORECASE | re.DOTALL,
)
"""What systems and programs leave in folders: Mac, Windows, network disks, Git, Jupyter, Office, the kit itself."""


def is_litter(name):
    """Tell whether a file or folder is one that a system or a program keeps for itself, by its name."""
    return _LITTER.fullmatch(name) is not None


def natural_key(text):
    """Key that sorts numbers in a text by their value: ``run-2`` before ``run-10``.

    Parameters
    ----------
    text : str

    Returns
    -------
    tuple
        For ``sorted(..., key=natural_key)``; texts that differ never have one key.
    """
    parts = re.split("([0-9]+)", text)
    numbers = [digits.lstrip("0") for digits in parts[1::2]]
    parts[1::2] = [(len(digits), digits) for digits in numbers]
    return tuple(part.casefold() if isinstance(part, str) else part for part in parts), text


def walk_files(folder):
    """Yield every file below a folder in natural order, what links to folders lead to included.

    What systems and programs leave (``._*``, ``.DS_Store``, ``Thumbs.db``, ``.git``) is passed
    over, and so are devices, pipes and links that lead nowhere; see :func:`walk_entries`.

    Parameters
    ----------
    folder : path

    Yields
    ------
    Path
        Below `folder`, as it was given; never resolved.
    """
    return (path for path, kind in walk_entries(folder) if kind == "file")


def walk_entries(folder):
    """Yield all there is below a folder in natural order, and say of each what it is.

    A link to a folder is followed, once; one that leads to a place that is walked
    anyway, or to a folder around this one, is not.

    Parameters
    ----------
    folder : path
        Where it is no folder, nothing is yielded.

    Yields
    ------
    path : Path
    kind : {"file", "litter", "broken link", "folder again", "folder closed", "folder empty", "no file"}
        A folder of litter, or one that cannot be read, is empty or was seen before, is one
        entry; other folders are none. "no file" is a device, a pipe or a socket.
    """
    root = Path(folder)
    if not root.is_dir():
        return
    around, seen, waiting = root.resolve(), {_identity(root.stat())}, [root]
    while waiting:
        path = waiting.pop()
        kind = "folder" if path == root else _kind(path, around, seen)
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


def _kind(path, root, seen):
    """Kind of one entry; the identity of a folder that is new is added to `seen`."""
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


def _walked_anyway(target, root):
    """Whether the target of a link to a folder lies below the root in plain sight, or around it."""
    if root.is_relative_to(target):
        return True
    return target.is_relative_to(root) and not any(map(is_litter, target.relative_to(root).parts))


def _identity(status):
    return status.st_dev, status.st_ino
