"""Show one line of progress per notebook."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from epitome_kit.errors import plain
from epitome_kit.escaping import label_column, plain_console
from epitome_kit.files import Json


class ProgressLines:
    """Show a progress bar for the running notebook, and one line when it ends.

    If the output is not a terminal, only the lines are written.

    Parameters
    ----------
    names : sequence of str
        All notebooks of the run, to align the columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.console = plain_console()
        self.width = max(map(len, names), default=0)

    @contextmanager
    def running(self, name: str, cells: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes the number of cells started, out of `cells`."""
        if not self.console.is_terminal:
            yield lambda reached: None
            return
        columns = (
            SpinnerColumn(),
            label_column(self.width),
            BarColumn(bar_width=24),
            TextColumn("cell {task.completed}/{task.total}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(plain(name), total=cells)
            yield lambda reached: progress.update(task, completed=reached)

    def ended(self, name: str, status: str, record: Json | None) -> None:
        """Write the final line of a notebook."""
        colour = {"done": "green", "kept": "blue", "failed": "red"}[status]
        sizes = f"{record['seconds']:8.1f} s {record['tree_peak_rss_mb']:7.0f} MB" if record else ""
        line = Text.assemble((f"{status:>6}", colour), f"  {plain(name):<{self.width}} {sizes}".rstrip())
        self.console.print(line)
