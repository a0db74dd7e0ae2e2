"""Print the summary of an import: what was taken, what was left out and why, and what needs a decision."""

from typing import TYPE_CHECKING

from epitome_kit.cli.printing import show
from epitome_kit.cli.terminal import say

if TYPE_CHECKING:
    from epitome_kit.cohort import Cohort


def show_cohort(cohort: "Cohort", as_json: bool) -> None:
    """Print the summary of an imported cohort.

    Parameters
    ----------
    cohort : Cohort
        Written by an import.
    as_json : bool
        Print JSON instead of a table.
    """
    from epitome_kit.ledger import LEDGER, UNDECIDED, summarise_ledger

    excluded = cohort.excluded[["id", "reason"]].to_dict("records")
    repaired = cohort.repaired[["id", "repair"]].to_dict("records")
    summed, labels = summarise_ledger(cohort.ledger), _count_labels(cohort)
    counted = {"name": cohort.name, "path": str(cohort.root), "n_subjects": len(cohort), "labels": labels}
    output = {**counted, "excluded": excluded, "repaired": repaired, "ledger": dict(summed)}
    rows = [("subjects", len(cohort)), ("excluded", len(excluded)), *((row["id"], row["reason"]) for row in excluded)]
    if repaired:
        rows += [("noticed", len(repaired)), *((row["id"], row["repair"]) for row in repaired)]
    rows += [*((f"with {target}", f"{n} of {len(cohort)}") for target, n in labels.items()), *summed]
    show(output, as_json, rows)
    if unclear := int(cohort.ledger.reason.str.startswith(UNDECIDED).sum()):
        hint = f"fill in the column decision of {cohort.root / LEDGER}, and import again with --decisions and that file"
        say(f"Warning: {unclear} of the files left out could not be identified: {hint}.", err=True)
    say(f"Next: epitome inspect {cohort.root}, then epitome run --cohort {cohort.root}", err=as_json)


def _count_labels(cohort: "Cohort") -> dict[str, int]:
    """Count the subjects with each label."""
    from epitome_kit.cohort import TARGETS

    return {
        target: int(cohort.participants[target].notna().sum()) for target in TARGETS if target in cohort.participants
    }
