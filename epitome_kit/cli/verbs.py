"""How a verb ends: errors, interrupts and signals become lines and exit codes."""

import warnings
from contextlib import suppress
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from epitome_kit.cli.options import FAILED
from epitome_kit.cli.terminal import print_anywhere, say
from epitome_kit.errors import EpitomeError, EpitomeWarning
from epitome_kit.processes import Ended, signals_as_ctrl_c

INTERRUPTED = 130
"""Exit code after Ctrl-C; after a signal it is 128 plus the number of the signal."""


class Verbs(TyperGroup):
    """Group of verbs; prints errors of the kit in three lines, and how to continue after Ctrl-C or a signal."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run with output that any terminal can encode."""
        print_anywhere()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:  # typer's copy of click has no public name for its Context
        """Run one verb, and convert errors to exit codes."""
        from epitome_kit.temporary import clear_temporary

        try:
            with signals_as_ctrl_c(forced=_show_end), warnings.catch_warnings():
                warnings.simplefilter("always", EpitomeWarning)
                warnings.showwarning = _show_warning
                clear_temporary()
                return super().invoke(ctx)
        except BaseException as error:
            if interrupt := _find_interrupt(error):
                _show_end(interrupt)
                raise typer.Exit(128 + interrupt.number if isinstance(interrupt, Ended) else INTERRUPTED) from error
            if not isinstance(error, EpitomeError):
                raise
            say(error, err=True)
            raise typer.Exit(FAILED) from error


def _find_interrupt(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt that an error is, or that it hides, as where a closed terminal takes no more output."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ if error.__suppress_context__ else error.__context__
    return error


def _show_end(interrupt: KeyboardInterrupt) -> None:
    """Print one sentence about the end, unless the terminal is gone."""
    why = f"Ended by {interrupt}" if isinstance(interrupt, Ended) else "Interrupted"
    with suppress(OSError):
        say(f"{why}. Finished results are kept: repeat the command to continue.", err=True)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print warnings of the kit as one sentence, and others as Python does."""
    known = issubclass(category, EpitomeWarning)
    usual = warnings.formatwarning(message, category, filename, lineno, line).rstrip()
    text = f"Warning: {str(message).removesuffix('.')}." if known else usual
    say(text, err=True)
