"""What is said can be printed on any terminal."""

import json
import os
import subprocess
import sys

import pytest

ASCII = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "100"}


def _on_ascii(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=ASCII)
    return done.returncode, done.stdout.decode("ascii"), done.stderr.decode("utf-8")


@pytest.mark.parametrize("words", [["--help"], ["grade", "--help"], ["cohort", "--help"], ["segment", "--help"]])
def test_help_is_printed(words):
    code, out, _ = _on_ascii(f"from epitome_kit.cli import app; app({words!r})")
    assert code == 0 and "epitome" in out


def test_like_letters_stand_in_for_what_is_lacking():
    show = "from epitome_kit.cli.terminal import print_anywhere; print_anywhere(); print('Müller 3 × 2 mm², ≥ 1 – 北')"
    assert _on_ascii(show)[1].strip() == "Muller 3 x 2 mm2, >= 1 - ?"


def test_json_keeps_every_letter():
    show = "from epitome_kit.cli.terminal import print_anywhere as p; from epitome_kit.cli.printing import show; p()"
    code, out, _ = _on_ascii(f"{show}; show({{'name': 'Müller 北'}}, True, ())")
    assert code == 0 and json.loads(out) == {"name": "Müller 北"}


def test_an_error_and_a_table_are_printed():
    code, _, err = _on_ascii("from epitome_kit.cli import app; app(['inspect', '/nowhere/Müller'])")
    assert code == 1 and err.count("\n") == 3 and "ller" in err
    show = "from epitome_kit.cli.terminal import print_anywhere as p; from epitome_kit.cli.printing import show; p()"
    assert "u" in _on_ascii(f"{show}; show([], False, [('ü', 1.5)], ('name', 'mm²'))")[1]
