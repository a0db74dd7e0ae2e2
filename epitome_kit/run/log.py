"""What happened in a run, event by event: `log.jsonl`."""

import json

from epitome_kit.files import read_tsv
from epitome_kit.provenance import now
from epitome_kit.workspace import Workspace


def log_event(workspace, event, notebook, seconds=None, reason=None):
    """Append one event to ``log.jsonl``."""
    entry = {"time": now(), "event": event, "notebook": notebook, "seconds": seconds, "reason": reason}
    with open(workspace / "log.jsonl", "a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry, ensure_ascii=False) + "\n")


def excluded_so_far(workspace):
    """List the subjects that preprocessing left out so far."""
    path = Workspace(workspace).excluded
    return read_tsv(path).to_dict("records") if path.is_file() else []
