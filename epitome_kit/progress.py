"""Many subjects, several workers, one progress bar that goes away when done."""

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track

from epitome_kit.errors import BadParameter


def for_each(function, items, *, title, workers=1):
    """Call `function` on every item and return the results in the order of the items.

    Parameters
    ----------
    function : callable
        Takes one item. Importable by name, or a `functools.partial` of one that
        is, when `workers` is more than 1.
    items : sequence
    title : str
        Shown beside the bar, on a terminal (standard error) or in a notebook.
    workers : int, default=1
        Number of processes.

    Returns
    -------
    list

    Raises
    ------
    BadParameter
        `workers` is less than 1.
    """
    if workers < 1:
        raise BadParameter("for_each", "at least one worker", f"workers={workers}", "use `workers=1`")
    results = Parallel(n_jobs=workers, return_as="generator")(delayed(function)(item) for item in items)
    console = Console(stderr=True)
    unseen = not (console.is_terminal or console.is_jupyter)
    return list(track(results, title, total=len(items), console=console, transient=True, disable=unseen))
