"""Extras: packages that only some verbs need, and the error that names the extra to install."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from epitome_kit.errors import MissingExtraError


@contextmanager
def needs(extra: str, *, otherwise: str | None = None) -> Iterator[None]:
    """Import packages of an extra inside the context; where one is missing, the error names the extra.

    Parameters
    ----------
    extra : str
        As in ``pyproject.toml``.
    otherwise : str, default=None
        What can be done without the extra, as an imperative.

    Raises
    ------
    MissingExtraError
        A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise missing_extra(extra, package, otherwise=otherwise) from error


def missing_extra(extra: str, package: str, *, otherwise: str | None = None) -> MissingExtraError:
    """Make the error for a package of an extra that is not installed.

    Parameters
    ----------
    extra : str
    package : str
    otherwise : str, default=None
        As for :func:`needs`.

    Returns
    -------
    MissingExtraError
    """
    hint = f"`pip install 'epitome-kit[{extra}]'`{f', or {otherwise}' if otherwise else ''}"
    expected = f"the package {package}, which the extra `{extra}` installs"
    return MissingExtraError(f"epitome-kit[{extra}]", expected, f"no such package in {sys.prefix}", hint)


def is_installed(package: str) -> bool:
    """Return whether a package can be found, without importing it.

    Parameters
    ----------
    package : str
        Name that it is imported by.

    Returns
    -------
    bool
    """
    return find_spec(package) is not None
