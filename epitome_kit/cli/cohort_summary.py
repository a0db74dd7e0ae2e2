"""What `epitome cohort` answers: what was taken, what was left out and why, and what a person has to decide."""

import typer

from epitome_kit.cli.printing import show


def show_cohort(cohort, as_json):
    """Print what an import made, what it took, whom and what it left out, and what it noticed.

    Parameters
    ----------
    cohort : Cohort
    as_json : bool
    """
    from epitome_kit.ledger import LEDGER, UNTOLD, sum_up

    excluded = cohort.excluded[["id", "reason"]].to_dict("records")
    repaired = cohort.repaired[["id", "repair"]].to_dict("records")
    summed, labels = sum_up(cohort.ledger), _count_labels(cohort)
    counted = {"name": cohort.name, "path": str(cohort.root), "n_subjects": len(cohort), "labels": labels}
    answer = {**counted, "excluded": excluded, "repaired": repaired, "ledger": dict(summed)}
    rows = [("subjects", len(cohort)), ("excluded", len(excluded)), *((row["id"], row["reason"]) for row in excluded)]
    if repaired:
        rows += [("noticed", len(repaired)), *((row["id"], row["repair"]) for row in repaired)]
    rows += [*((f"with {target}", f"{n} of {len(cohort)}") for target, n in labels.items()), *summed]
    show(answer, as_json, rows)
    if untold := int(cohort.ledger.reason.str.startswith(UNTOLD).sum()):
        hint = (
            f"say it in the column decision of {cohort.root / LEDGER}, and import again with --decisions and that file"
        )
        typer.echo(
            f"Warning: {untold} of the files left out are such that what they are cannot be told: {hint}.", err=True
        )
    typer.echo(f"Next: epitome inspect {cohort.root}, then epitome run --cohort {cohort.root}", err=as_json)


def _count_labels(cohort):
    """Count the subjects that have each label."""
    from epitome_kit.cohort import TARGETS

    return {
        target: int(cohort.participants[target].notna().sum()) for target in TARGETS if target in cohort.participants
    }
