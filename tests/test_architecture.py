"""The house: imports run one way, public names are documented, the kit loads quickly."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import epitome_kit

PACKAGE = Path(epitome_kit.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
LAYERS = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
ROOMS = LAYERS["contracts"][0]["layers"][::-1]
"""Modules and subpackages of the package; each may import those that stand before it."""
STUB = (PACKAGE / "__init__.pyi").read_text(encoding="utf-8")
VERBS = {verb: module for module, verb in re.findall(r"^from \.([\w.]+) import (\w+)", STUB, re.MULTILINE)}
GUESTS = {
    "ipywidgets": ("widgets/slice_viewer.py", "case/page.py"),
    "voila": ("case/server.py",),
    "anywidget": ("widgets/image_widget.py",),
    "ipyniivue": ("widgets/niivue.py",),
    "papermill": ("run/",),
    "distributed": ("cluster.py",),
    "keras": ("backend.py",),
    "tensorflow": ("backend.py",),
    "torch": ("backend.py",),
    "jax": ("backend.py",),
    "epitome_kit.backend": (
        *("learn/", "grade/ann.py", "preprocess/skull_stripping.py"),
        *("teach/seed2018.py", "tumour/network.py", "tumour/fit.py"),
    ),
}
HEAVY = ("numpy", "pandas", "nibabel", "scipy", "sklearn", "matplotlib", "keras", "tensorflow")


def _room(name):
    """Room of a file name such as ``learn/cnn.py`` or of a dotted name such as ``learn.cnn``."""
    return re.split(r"[/.]", name)[0]


def _imports(name):
    """Dotted names that a module imports, at its top or inside its functions, or takes from the package."""
    package = ["epitome_kit", *name.split("/")[:-1]]
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "epitome_kit":
            yield f"epitome_kit.{node.attr}"


def _home(imported):
    """Room that a name of the kit comes from; a verb counts where it lives."""
    name = imported.removeprefix("epitome_kit.")
    return _room(VERBS.get(name, name))


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__init__.py"])
def test_imports_run_one_way(name):
    assert _room(name) in ROOMS, f"{name} has no place in the order of imports"
    above = ROOMS[: ROOMS.index(_room(name)) + 1]
    ours = [imported for imported in _imports(name) if re.match(r"epitome_kit\.(?!__)", imported)]
    backwards = [imported for imported in ours if _home(imported) not in above]
    assert not backwards, f"{name} may import {', '.join(above)} only"


def test_the_package_itself_imports_none_of_its_rooms():
    assert not [imported for imported in _imports("__init__.py") if imported.startswith("epitome_kit")]


@pytest.mark.parametrize("name", MODULES)
def test_guests_stay_in_their_rooms(name):
    imported = [f"{name}." for name in _imports(name)]
    guests = {guest for guest in GUESTS if any(dotted.startswith(f"{guest}.") for dotted in imported)}
    assert not {guest for guest in guests if not name.startswith(GUESTS[guest])}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_holds_one_concept(name):
    lines = MODULES[name].read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 350


def _documented(name):
    """Public functions, classes and methods of a module: (qualified name, node)."""
    nodes = [("", node) for node in ast.parse(MODULES[name].read_text(encoding="utf-8")).body]
    for owner, node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield owner + node.name, node
            if isinstance(node, ast.ClassDef):
                nodes += [(f"{node.name}.", child) for child in node.body]


def _section(docstring, title):
    """Lines of one numpydoc section, or None."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", docstring + "\n", re.MULTILINE | re.DOTALL)
    return found and found.group(1)


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_documented(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module says nothing of itself"
    silent = [label for label, node in _documented(name) if not ast.get_docstring(node)]
    assert not silent


@pytest.mark.parametrize("name", MODULES)
def test_parameters_are_documented_all_or_not_at_all(name):
    for label, node in _documented(name):
        section = _section(ast.get_docstring(node) or "", "Parameters")
        if section is None or isinstance(node, ast.ClassDef):
            continue
        described = re.findall(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: :|$)", section, re.MULTILINE)
        described = {word.strip("* ") for words in described for word in words.split(",")}
        accepted = node.args
        taken = [*accepted.posonlyargs, *accepted.args, *accepted.kwonlyargs, accepted.vararg, accepted.kwarg]
        taken = {argument.arg for argument in taken if argument} - {"self", "cls"}
        assert described == taken, f"{label} takes {sorted(taken)} and describes {sorted(described)}"


@pytest.mark.parametrize("verb", [name for name in epitome_kit.__all__ if name != "__version__"])
def test_a_verb_loads_and_explains_itself(verb):
    function = getattr(epitome_kit, verb)
    assert function.__name__ == verb
    docstring = inspect.getdoc(function)
    assert _section(docstring, "Parameters"), f"{verb} does not explain its parameters"
    assert _section(docstring, "Returns"), f"{verb} does not say what it returns"


def test_an_unknown_verb_is_an_attribute_error():
    assert not hasattr(epitome_kit, "no_such_verb")
    assert set(VERBS) <= set(dir(epitome_kit))


def _in_a_new_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("module", ["epitome_kit", "epitome_kit.cli"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    assert _in_a_new_python(code) == ""


def test_importing_is_quick():
    code = "from time import perf_counter as now; start = now(); import epitome_kit; print(now() - start)"
    assert min(float(_in_a_new_python(code)) for _ in range(3)) < 0.25


WORDS = [*PACKAGE.rglob("*.py"), *PACKAGE.parent.glob("notebooks/**/*.ipynb"), *PACKAGE.parent.glob("*.md")]
WORDS += PACKAGE.parent.glob("book/*.md")


@pytest.mark.parametrize("path", [*WORDS, PACKAGE.parent / "data" / "README.md"], ids=lambda path: path.name)
def test_words_claim_no_more_than_the_kit_can(path):
    text = " ".join(path.read_text(encoding="utf-8").lower().split()).replace("not for diagnosis", "")
    assert not re.search("benign|diagnos", text)
