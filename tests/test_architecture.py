"""The house: imports run one way, public names are documented, the kit loads quickly."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from functools import cache
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
    "ipywidgets": ("widgets/", "case/page.py"),
    "tornado": ("case/access.py", "case/handlers.py", "case/server.py"),
    "anywidget": ("widgets/image_widget.py",),
    "ipyniivue": ("widgets/niivue.py",),
    "papermill": ("run/",),
    "distributed": ("cluster.py",),
    "keras": ("backend.py",),
    "tensorflow": ("backend.py",),
    "torch": ("backend.py",),
    "jax": ("backend.py",),
    "epitome_kit.backend": (
        *("learn/", "grade/ann.py", "grade/grader.py", "grade/nested.py", "preprocess/skull_stripping.py"),
        *("teach/seed2018.py", "tumour/network.py", "tumour/fit.py", "tumour/outline_cohort.py"),
    ),
}
HEAVY = ("numpy", "pandas", "nibabel", "scipy", "sklearn", "matplotlib", "keras", "tensorflow")


@cache
def _tree(name):
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def _room(name):
    """Room of a file name such as ``learn/cnn.py`` or of a dotted name such as ``learn.cnn``."""
    return re.split(r"[/.]", name)[0]


def _imports(name):
    """Dotted names that a module imports, at its top or inside its functions, or takes from the package."""
    package = ["epitome_kit", *name.split("/")[:-1]]
    for node in ast.walk(_tree(name)):
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


def _backwards(name):
    """Names of the kit that a module imports from rooms that stand to its right."""
    allowed = ROOMS[: ROOMS.index(_room(name)) + 1]
    ours = [imported for imported in _imports(name) if re.match(r"epitome_kit\.(?!__)", imported)]
    return [imported for imported in ours if _home(imported) not in allowed]


def test_imports_run_one_way():
    names = [name for name in MODULES if name != "__init__.py"]
    assert not [name for name in names if _room(name) not in ROOMS], "these have no place in the order of imports"
    assert not {name: _backwards(name) for name in names if _backwards(name)}, f"imports run one way: {ROOMS}"


def test_the_architecture_page_names_every_room_in_the_order_of_imports():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page.partition("\n## Rooms\n")[2].partition("\nAn *epitome*")[0], re.MULTILINE)
    assert [name.rstrip("/") for row in rows for name in re.findall(r"`(\w+/?)`", row)] == ROOMS


def test_the_files_that_the_architecture_page_names_are_there():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.pyi?)`", page)) - {"sources/NAME.py"}
    assert not [name for name in named if not any((root / name).is_file() for root in (PACKAGE, PACKAGE.parent))]


def test_the_package_itself_imports_none_of_its_rooms():
    assert not [imported for imported in _imports("__init__.py") if imported.startswith("epitome_kit")]


def _guests(name):
    """Packages that a module imports although they belong elsewhere."""
    imported = [f"{name}." for name in _imports(name)]
    guests = {guest for guest in GUESTS if any(dotted.startswith(f"{guest}.") for dotted in imported)}
    return {guest for guest in guests if not name.startswith(GUESTS[guest])}


def test_guests_stay_in_their_rooms():
    assert not {name: _guests(name) for name in MODULES if _guests(name)}


def test_a_module_holds_one_concept():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert not {name: lines for name, lines in lengths.items() if lines > 350}


def _parameters(function):
    """Names of what a function takes, without those of an object or a class."""
    given = function.args
    taken = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {argument.arg for argument in taken if argument} - {"self", "cls"}


def test_a_function_takes_at_most_eight_parameters():
    functions = [
        (f"{name}: {node.name}", len(_parameters(node)))
        for name in MODULES
        if _room(name) != "cli"  # there a parameter is an option
        for node in ast.walk(_tree(name))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert not {where: n for where, n in functions if n > 8}, "group those that belong together in a dataclass"


def _documented(name):
    """Public functions, classes and methods of a module: (qualified name, node)."""
    nodes = [("", node) for node in _tree(name).body]
    for owner, node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield owner + node.name, node
            if isinstance(node, ast.ClassDef):
                nodes += [(f"{node.name}.", child) for child in node.body]


def _section(docstring, title):
    """Lines of one numpydoc section, or None."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", docstring + "\n", re.MULTILINE | re.DOTALL)
    return found and found.group(1)


def test_public_names_are_documented():
    silent = [name for name in MODULES if not ast.get_docstring(_tree(name))]
    silent += [(name, label) for name in MODULES for label, node in _documented(name) if not ast.get_docstring(node)]
    assert not silent


def _undescribed(node):
    """What a function takes and what it describes, where it describes anything and the two differ."""
    section = _section(ast.get_docstring(node) or "", "Parameters")
    if section is None or isinstance(node, ast.ClassDef):
        return None
    described = re.findall(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: :|$)", section, re.MULTILINE)
    described = {word.strip("* ") for words in described for word in words.split(",")}
    taken = _parameters(node)
    return None if described == taken else f"takes {sorted(taken)} and describes {sorted(described)}"


def test_parameters_are_documented_all_or_not_at_all():
    documented = [(f"{name}: {label}", node) for name in MODULES for label, node in _documented(name)]
    assert not {where: _undescribed(node) for where, node in documented if _undescribed(node)}


def test_a_verb_loads_and_explains_itself():
    verbs = {name: getattr(epitome_kit, name) for name in epitome_kit.__all__ if name != "__version__"}
    assert not [verb for verb, function in verbs.items() if function.__name__ != verb]
    returning = [verb for verb, function in verbs.items() if not inspect.isclass(function)]
    for title, expected in (("Parameters", verbs), ("Returns", returning)):
        assert not [verb for verb in expected if not _section(inspect.getdoc(verbs[verb]), title)], title


def test_an_unknown_verb_is_an_attribute_error():
    assert not hasattr(epitome_kit, "no_such_verb")
    assert set(VERBS) <= set(dir(epitome_kit))


def _in_a_new_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("module", ["epitome_kit", "epitome_kit.cli"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    assert _in_a_new_python(code) == ""


WORDS = [*PACKAGE.rglob("*.py"), *PACKAGE.parent.glob("notebooks/**/*.ipynb"), *PACKAGE.parent.glob("*.md")]
WORDS += [*PACKAGE.parent.glob("book/*.md"), PACKAGE.parent / "data" / "README.md"]


def _claims_too_much(path):
    text = " ".join(path.read_text(encoding="utf-8").lower().split()).replace("not for diagnosis", "")
    return re.search("benign|diagnos", text)


def test_words_claim_no_more_than_the_kit_can():
    assert not [path for path in WORDS if _claims_too_much(path)]


def test_inference_imports_nothing_that_draws_training_data():
    drawing = ("epitome_kit.simulate.random_head", "epitome_kit.simulate.random_patient")
    users = [name for name in MODULES if any(imported.startswith(drawing) for imported in _imports(name))]
    assert {_room(name) for name in users} <= {"simulate"}
