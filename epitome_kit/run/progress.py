"""One line of progress for each notebook."""

from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class ProgressLines:
    """Show the running notebook as it goes, and one plain line when it ends.

    Where the output is no terminal, only the plain lines are written.

    Parameters
    ----------
    names : sequence of str
        Notebooks to come, so that the columns line up.
    """

    def __init__(self, names):
        self.console = Console(stderr=True, highlight=False)
        self.width = max(map(len, names), default=0)

    @contextmanager
    def running(self, name, cells):
        """Yield a function to call with the number of cells reached, out of `cells`."""
        if not self.console.is_terminal:
            yield lambda reached: None
            return
        columns = (
            SpinnerColumn(),
            TextColumn(f"{{task.description:<{self.width}}}"),
            BarColumn(bar_width=24),
            TextColumn("cell {task.completed}/{task.total}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(name, total=cells)
            yield lambda reached: progress.update(task, completed=reached)

    def ended(self, name, status, record):
        """Write the line that stays."""
        colour = {"done": "green", "kept": "blue", "failed": "red"}[status]
        sizes = f"{record['seconds']:8.1f} s {record['tree_peak_rss_mb']:7.0f} MB" if record else ""
        self.console.print(f"[{colour}]{status:>6}[/]  {name:<{self.width}} {sizes}".rstrip())
