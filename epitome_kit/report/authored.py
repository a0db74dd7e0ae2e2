"""Write documents that their author may edit, and keep those that were edited."""

import warnings
from pathlib import Path

from epitome_kit.errors import EpitomeWarning
from epitome_kit.files import text_digest, write_text
from epitome_kit.resume import is_sealed, read_record, write_sealed

_WRITTEN = ".written.json"


def write_authored(path: Path, text: str) -> None:
    """Write a document, unless it was edited since it was written.

    Parameters
    ----------
    path : Path
        Document.
    text : str
        New text.

    Warns
    -----
    EpitomeWarning
        The document was edited: it is kept, and the new text is not written.
    """
    record = path.parent / _WRITTEN
    known = read_record(record)
    written = known.get("files", {}) if is_sealed(known) else {}
    present = text_digest(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
    if present not in (None, text_digest(text), written.get(path.name)):
        warnings.warn(f"{path} was edited and is kept; remove it to get a new one", EpitomeWarning, stacklevel=2)
        return
    write_text(path, text)
    write_sealed(record, {"files": {**written, path.name: text_digest(text)}})
