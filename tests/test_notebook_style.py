"""Every notebook follows one template: short cells, honest parameters, exercises in turn."""

import ast
import json
import re
from functools import cache
from statistics import median

import nbformat
import pytest
from tiny import ROOT

STEPS = (
    *("01_inspect_dataset", "02_preprocess", "03_learn_cnn_features", "04_grade_with_ann", "05_extract_tumour"),
    "06_case_report",
)
LABS = ("labs/interval_coverage", "labs/leakage", "labs/seed_autopsy")
FOUND = [path.stem for path in (ROOT / "notebooks").glob("0?_*.ipynb")]
FOUND += [f"labs/{path.stem}" for path in (ROOT / "notebooks" / "labs").glob("*.ipynb")]
PARAMETERS = {
    "cohort": "phantom",
    "out": "../runs/notebooks",
    "profile": "quick",
    "target": "grade",
    "subjects": 0,
    "seed": 0,
    "workers": 2,
}
ONE_HEAD = {"scan": "", "contrast": "", "out": "../runs/notebooks", "profile": "quick"}
every_notebook = pytest.mark.parametrize("name", sorted({*STEPS, *LABS, *FOUND}))


@cache
def _read(name):
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.is_file(), f"there is no notebooks/{path.name}"
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def _code(name):
    return [cell for cell in _read(name).cells if cell.cell_type == "code"]


def _tagged(name, tag):
    return [cell for cell in _code(name) if tag in cell.metadata.get("tags", [])]


def _lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def _stored(cell):
    """Names that a cell sets or imports."""
    nodes = list(ast.walk(ast.parse(cell.source)))
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in nodes
        for alias in getattr(node, "names", ())
        if isinstance(alias, ast.alias)
    }
    return imported | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _loaded(cell):
    """Names that a cell reads."""
    nodes = ast.walk(ast.parse(cell.source))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _nodes(name):
    """Everything that the code cells say, line magics left out."""
    source = "\n".join(re.sub(r"^\s*%.*$", "", cell.source, flags=re.MULTILINE) for cell in _code(name))
    return list(ast.walk(ast.parse(source)))


@every_notebook
def test_it_is_valid_and_every_cell_has_its_id(name):
    nbformat.validate(_read(name))
    stored = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert (stored["nbformat"], stored["nbformat_minor"]) >= (4, 5)
    ids = [cell.get("id") for cell in stored["cells"]]
    assert all(ids)
    assert len(set(ids)) == len(ids)


@every_notebook
def test_it_carries_no_output(name):
    assert not [cell.id for cell in _code(name) if cell.outputs or cell.execution_count is not None]
    assert "widgets" not in _read(name).metadata


@every_notebook
def test_parameters_are_literals_with_a_comment_each(name):
    (cell,) = _tagged(name, "parameters")
    assert cell is _code(name)[0]
    statements = ast.parse(cell.source).body
    assert {node.targets[0].id: ast.literal_eval(node.value) for node in statements} == (
        ONE_HEAD if name == "06_case_report" else PARAMETERS | ({"out": "../../runs/notebooks"} if name in LABS else {})
    )
    assert json.loads(json.dumps(PARAMETERS)) == PARAMETERS
    assert all(re.search(r"  # \w", line) for line in _lines(cell))


@every_notebook
def test_cells_are_short(name):
    lengths = [len(_lines(cell)) for cell in _code(name)]
    assert 15 <= len(lengths) <= 30
    assert median(lengths) <= 5
    assert max(lengths) <= 15


@every_notebook
def test_exercise_solution_and_check_come_in_turn(name):
    turn = ("exercise", "solution", "check")
    tags = [tag for cell in _code(name) for tag in cell.metadata.get("tags", []) if tag in turn]
    rounds = len(tags) // len(turn)
    assert rounds >= 3
    assert tags == list(turn) * rounds


@every_notebook
def test_an_exercise_is_blank_and_its_solution_runs_when_it_is(name):
    for exercise, solution in zip(_tagged(name, "exercise"), _tagged(name, "solution"), strict=True):
        assert re.fullmatch(r"my_\w+(, my_\w+)* = None(, None)*", exercise.source)
        (condition,) = ast.parse(solution.source).body
        assert ast.unparse(condition.test) == f"{re.match('my_[a-z]+', exercise.source)[0]} is None"


@every_notebook
def test_no_later_cell_needs_an_answer_so_a_class_gets_no_solution(name):
    learned = {cell.id for tag in ("exercise", "solution") for cell in _tagged(name, tag)}
    checks = {cell.id for cell in _tagged(name, "check")}
    elsewhere = set().union(*(_stored(cell) for cell in _code(name) if cell.id not in learned))
    only_there = set().union(*(_stored(cell) for cell in _code(name) if cell.id in learned)) - elsewhere
    for cell in _code(name):
        needed = only_there & _loaded(cell)
        if cell.id not in learned:
            assert {each for each in needed if not each.startswith("my_") or cell.id not in checks} == set()


@every_notebook
def test_solutions_are_folded(name):
    assert all(cell.metadata.get("jupyter", {}).get("source_hidden") for cell in _tagged(name, "solution"))


@every_notebook
def test_it_installs_nothing_and_never_exits(name):
    lines = [line.strip() for cell in _code(name) for line in _lines(cell)]
    assert not [line for line in lines if re.match(r"!|%%|%(sx|system|pip|conda|mamba)\b", line)]
    called = {ast.unparse(node.func) for node in _nodes(name) if isinstance(node, ast.Call)}
    assert not called & {"sys.exit", "exit", "quit", "os._exit", "os.system"}
    assert not [node for node in _nodes(name) if isinstance(node, ast.Name) and node.id == "SystemExit"]


@every_notebook
def test_it_has_no_absolute_path(name):
    texts = [node.value for node in _nodes(name) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [text for text in texts if re.match(r"/\w|~[/\\]|[A-Za-z]:[/\\]", text)]


@every_notebook
def test_it_swallows_no_error_and_defines_next_to_nothing(name):
    assert not [node.lineno for node in _nodes(name) if isinstance(node, ast.ExceptHandler) and node.type is None]
    functions = [node for node in _nodes(name) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert not [node.name for node in functions if node.end_lineno - node.lineno + 1 > 8]


@every_notebook
def test_it_opens_with_its_limits_and_closes_with_references(name):
    first, last = _read(name).cells[0], _read(name).cells[-1]
    assert first.cell_type == last.cell_type == "markdown"
    assert "not for diagnosis" in first.source.lower()
    assert "references" in last.source.lower()
    assert re.search(r"\b10\.\d{4,9}/\S+", last.source)


def test_notebooks_import_public_names_alone():
    package = ROOT / "epitome_kit"
    private = []
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("epitome_kit."):
                room, *deeper = node.module.split(".")[1:]
                stub = package / room / "__init__.pyi"
                known = (
                    stub.read_text(encoding="utf-8") if stub.is_file() else (package / f"{room}.py").read_text("utf-8")
                )
                names = [each.name for each in node.names]
                modules = {each.stem for each in (package / room).glob("*.py")} if room == "teach" else set()
                private += [(path.name, node.module, name) for name in names if deeper]
                private += [(path.name, room, name) for name in names if name not in known and name not in modules]
    assert not private, "import from a subpackage, whose __init__.pyi lists its public names"
