"""Log the events of a run in ``log.jsonl``."""

import json
from pathlib import Path

from epitome_kit.files import Json, read_tsv
from epitome_kit.provenance import now
from epitome_kit.workspace import LOG, Workspace


def log_event(
    workspace: Path, event: str, notebook: str, seconds: float | None = None, reason: str | None = None
) -> None:
    """Append one event to ``log.jsonl``."""
    entry = {"time": now(), "event": event, "notebook": notebook, "seconds": seconds, "reason": reason}
    with open(workspace / LOG, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry, ensure_ascii=False) + "\n")


def excluded_so_far(workspace: Path) -> list[Json]:
    """List the subjects excluded by preprocessing so far, with their reasons."""
    path = Workspace(workspace).excluded
    return read_tsv(path).to_dict("records") if path.is_file() else []
