"""Extras: every import is declared where it belongs, the core needs none of them, and a missing one is named."""

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from packaging.utils import canonicalize_name
from test_architecture import MODULES
from test_environment import CORE, EXTRAS, with_included
from tiny import raises_three_lines

from epitome_kit.errors import MissingExtraError, ToolError
from epitome_kit.extras import is_installed, missing_extra, needs

DISTRIBUTIONS = {"ants": ["antspyx"], "ipyniivue": ["ipyniivue"], **packages_distributions()}
BACKENDS = {"keras", "tensorflow", "torch", "jax"}
"""Looked for by `epitome_kit.backend` itself; torch and jax are for whoever sets KERAS_BACKEND."""
PROGRAMS = {"jupyterlab"}
"""Started as a program, never imported."""
READING = ("sources.bids", "sources.dicom", "sources.tcga_lgg", "sources.lgg_1p19q", "audit", "tumour.measure")
GRADING = ("report.graded_table", "grade.evaluate", "grade.single_case", "cli", "cli.doctor")


def _imports(node, extra=None):
    """Packages that are imported below a node, each with the extra of the `with needs(...)` around it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue  # for annotations only
        inner = extra
        if isinstance(child, ast.With):
            stated = [re.match(r"needs\('(\w+)'", ast.unparse(item.context_expr)) for item in child.items]
            inner = next((found[1] for found in stated if found), extra)
        if isinstance(child, ast.Import):
            yield from ((alias.name.partition(".")[0], extra) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:
            yield child.module.partition(".")[0], extra
        yield from _imports(child, inner)


IMPORTS = {
    (package, extra, name)
    for name, path in MODULES.items()
    for package, extra in _imports(ast.parse(path.read_text(encoding="utf-8")))
    if package not in {"epitome_kit", *sys.stdlib_module_names}
}


def _distributions(package):
    return {canonicalize_name(name) for name in DISTRIBUTIONS.get(package, [package])}


def test_every_import_is_declared_where_it_belongs():
    declared = {None: CORE, **{extra: {**CORE, **with_included(extra)} for extra in EXTRAS}}
    undeclared = [
        f"{name} imports {package}, which {f'the extra {extra}' if extra else 'the core'} does not declare"
        for package, extra, name in sorted(IMPORTS, key=str)
        if not _distributions(package) & set(declared[extra]) and (name, package) not in _by_the_backend()
    ]
    assert not undeclared


def _by_the_backend():
    return {("backend.py", package) for package in BACKENDS}


def test_everything_that_is_declared_is_imported_or_started():
    imported = {name for package, _, _ in IMPORTS for name in _distributions(package)}
    declared = {*CORE, *(name for needed in EXTRAS.values() for name in needed)} - {"epitome-kit"}
    assert declared - imported == PROGRAMS


WITHOUT = """
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent)
import {modules}
"""


@pytest.mark.slow
def test_the_core_loads_without_any_extra():
    absent = {package for package, extra, _ in IMPORTS if extra} | BACKENDS
    modules = ", ".join(f"epitome_kit.{name}" for name in (*READING, *GRADING))
    code = WITHOUT.format(absent=absent, modules=modules)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_missing_package_is_named_with_its_extra():
    words = "epitome-kit[lab]", "package no_such_package,", "`pip install 'epitome-kit[lab]'`, or read the file"
    with raises_three_lines(MissingExtraError, *words), needs("lab", otherwise="read the file"):
        import no_such_package.part  # noqa: F401


def test_another_failure_of_an_import_is_not_hidden():
    with pytest.raises(ImportError, match="no_such_name"), needs("lab"):
        from json import no_such_name  # noqa: F401


def test_a_missing_extra_is_a_failed_tool():
    assert isinstance(missing_extra("train", "keras"), ToolError)


def test_a_network_without_keras_names_the_extra():
    code = "import sys, importlib.util as u; u.find_spec = lambda name: None\n"
    code += "try:\n import epitome_kit.backend\nexcept Exception as e: print(type(e).__name__, e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("MissingExtraError epitome-kit[train]: expected the package keras"), done.stderr


def test_what_is_installed_is_found_without_importing_it():
    assert is_installed("numpy") and not is_installed("no_such_package")
