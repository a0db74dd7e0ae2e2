"""The files of a workspace: each has one name, and that stands in one place."""

import ast
from pathlib import Path

from tiny import raises_three_lines

import epitome_kit
from epitome_kit.errors import ParameterError
from epitome_kit.files import write_json
from epitome_kit.workspace import (
    CASE_FACTS,
    CASE_SHEET,
    EXCLUDED_TABLE,
    QUALITY_PAGE,
    QUALITY_TABLE,
    Workspace,
    find_scan,
    stand_in,
)

PACKAGE = Path(epitome_kit.__file__).parent
FILES = {path.name for path in Workspace("").products() if path.suffix}
OF_EARLIER_IMPORTS = {("ledger.py", "excluded.tsv")}  # a ledger of version 1 is recognised by it


def _literals(path):
    """Texts of a module that are no docstrings."""
    return {
        node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Constant)
    }


def test_a_path_is_that_of_the_folder_and_the_name():
    run = Workspace("runs/one")
    assert run.scores == Path("runs/one/scores.json") and run.quality == Path("runs/one/preprocessed/quality.tsv")
    assert Workspace(Path("runs")).case_facts == Path("runs/case/case.json")


def test_products_are_everything_within_the_folder_once(tmp_path):
    products = Workspace(tmp_path).products()
    assert len(products) == len(set(products)) > 25
    assert all(path.is_relative_to(tmp_path) for path in products)


def test_no_name_of_a_file_stands_in_another_module():
    names = FILES | {CASE_FACTS, CASE_SHEET, EXCLUDED_TABLE, QUALITY_PAGE, QUALITY_TABLE}
    assert {"scores.json", "tumours.tsv", "index.html"} <= names
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "workspace.py"]
    repeated = {(path.name, name) for path in modules for name in names & _literals(path)}
    assert repeated <= OF_EARLIER_IMPORTS


def test_a_scan_is_called_by_a_stand_in_and_found_by_the_private_file(tmp_path):
    names = {"/a/Doe^Jane_T2w.NII.GZ": "scan.nii.gz", "Doe.zip": "scan.zip", "/a/Doe.Jane": "scan", "": ""}
    assert {path: stand_in(path) for path in names} == names
    (tmp_path / "Jane.nii").write_bytes(b"")
    with raises_three_lines(ParameterError, "scan.nii"):
        find_scan("scan.nii", tmp_path)
    write_json(Workspace(tmp_path).private, {"scan": str(tmp_path / "Jane.nii")})
    assert find_scan("scan.nii", tmp_path) == tmp_path / "Jane.nii"
    assert find_scan(str(tmp_path / "Jane.nii"), tmp_path) == tmp_path / "Jane.nii"
