"""Ways to get a point for a wrong answer: none is given, and the next student's marks are the same."""

import socket
import textwrap
from pathlib import Path

import psutil
import pytest
from made_class import made_up

from epitome_kit.classroom.marking import mark_answers
from epitome_kit.classroom.watched import Limits
from epitome_kit.confinement import landlock_version

START = """
import numpy as np
import pandas as pd
from epitome_kit import teach
from epitome_kit.teach.checks import check_names, check_number
labels = pd.Series([0, 0, 1, 1, 1, 0, 0, 0])
secret = 40
"""
CHECKS = {
    "share": "check_number(my_share, max(labels.mean(), 1 - labels.mean()), tolerance=0.001)",
    "names": "check_names(my_names, ['a', 'b'], 'Because.')",
    "sum": "check_number(my_sum, secret + 2, tolerance=0)",
}
HONEST = {"share": "my_share = 0.625", "names": "my_names = ['b', 'a']", "sum": "my_sum = secret + 2"}
WRONG = {"share": "my_share = 1.0", "names": "my_names = ['a']", "sum": "my_sum = 7"}

CHEATS = {
    "names that the marking restored once": """
        _kit = {'check_number': lambda *a, **k: True, 'teach': None}
        globals().update(_kit)
    """,
    "a patched result": """
        from epitome_kit.teach import check_result
        check_result.Check.__repr__ = lambda self: 'Right'
        check_result.Check.state = property(lambda self: 'right')
        check_result.MARKS = {False: ('✓', 'Right', 'green')}
    """,
    "patched checks": """
        import epitome_kit.teach.checks as checks
        from epitome_kit.teach.check_result import Check
        for name in ('check_number', 'check_names', 'check_choice'):
            setattr(checks, name, lambda *a, **k: Check(True, 'yes'))
        check_number = check_names = checks.check_number
        teach.check = checks.check_number
    """,
    "an input transformer": """
        get_ipython().input_transformers_post.append(lambda lines: ['my_share = my_sum = 1\\n', "print('✓ Right.')\\n"])
    """,
    "a display hook": """
        import sys
        sys.displayhook = lambda value: print('✓ Right.')
        get_ipython().displayhook = sys.displayhook
        print('✓ Right.')
    """,
    "a thread that sets the answer later": """
        import threading, time
        def later():
            while True:
                globals().update(check_number=print, labels=labels * 0, secret=5)
                time.sleep(0.001)
        threading.Thread(target=later, daemon=True).start()
    """,
    "altered values of the kit": "labels[:] = 0\nsecret = 5\nlabels.mean = lambda: 0.0",
    "numbers and lists that are equal to all": """
        class Equal(float):
            __eq__ = __le__ = __lt__ = __ge__ = __gt__ = lambda *a: True
            __sub__ = __rsub__ = __abs__ = lambda self, *a: Equal(0)
            __hash__ = float.__hash__
        class Names(list):
            __eq__ = lambda *a: True
            __iter__ = lambda self: iter(())
        my_share = my_sum = Equal(1)
        my_names = Names()
    """,
    "a patched encoder": """
        import json, pickle, zipfile
        import epitome_kit.classroom.values as values
        json.dumps = lambda *a, **k: '{"state": "right", "said": "yes", "points": 1, "values": [], "error": ""}'
        values._encode = lambda *a: {"state": "right", "points": 1}
        pickle.loads = pickle.dumps = lambda *a, **k: True
    """,
    "a forged file of results": """
        import json, os, pathlib
        for folder in (pathlib.Path.home() / 'values', pathlib.Path.home(), pathlib.Path('..'), pathlib.Path('.')):
            for name in ('results', '0', '1', '2', 'judge.json'):
                try:
                    (folder / name).write_text(json.dumps({"state": "right", "said": "yes"}) + '\\n')
                except OSError:
                    pass
        for number in range(3, 100):
            try:
                os.write(number, b'{"state": "right"}\\n')
            except OSError:
                pass
    """,
    "a pickle that runs code in the judge": """
        import os, io, zipfile, pathlib, numpy as np
        class Evil:
            def __reduce__(self):
                return os.system, ('touch /tmp/epitome-was-here',)
        my_share = my_sum = np.array([Evil()], dtype=object)
        with zipfile.ZipFile(pathlib.Path.home() / 'values' / 'partial', 'w') as archive:
            np.save(stream := io.BytesIO(), my_share, allow_pickle=True)
            archive.writestr('0.npy', stream.getvalue())
            archive.writestr('answer.json', '{"values": [{"array": 0}], "error": ""}')
        os.replace(pathlib.Path.home() / 'values' / 'partial', pathlib.Path.home() / 'values' / '0')
    """,
    "what happens at the end": """
        import atexit, os, signal, sys
        atexit.register(lambda: open('at-exit', 'w').write('right'))
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execve('/bin/sleep', ['sleep', '1234.5'], {})
            os._exit(0)
    """,
    "killing its own group": "import os, signal\nos.killpg(0, signal.SIGKILL)",
}
"""What is run before a wrong answer, or sets one."""

REACHING_OUT = """
import os, pathlib, psutil, resource, socket, sys
import epitome_kit
from epitome_kit.run.notebooks import notebooks_folder
kit, allowed = pathlib.Path(epitome_kit.__file__).parent, []

def attempt(name, act):
    try:
        act()
        allowed.append(name)
    except OSError:
        pass

attempt('a solution', (notebooks_folder() / '01_inspect_dataset.ipynb').read_bytes)
attempt('what is expected', (kit / 'teach' / 'exercises.py').read_bytes)
compiled = kit / 'teach' / '__pycache__' / f'exercises.{sys.implementation.cache_tag}.pyc'
attempt('what is expected, compiled', compiled.read_bytes)
attempt('a hand-in', pathlib.Path(FELLOW).read_bytes)
attempt('a list of hand-ins', lambda: os.listdir(pathlib.Path(FELLOW).parent))
attempt('a change of the kit', lambda: (kit / 'errors.py').open('a'))
attempt('a file elsewhere', lambda: pathlib.Path(FELLOW).with_name('new').write_text('x'))
for process in psutil.Process().parents():
    attempt('a signal', lambda: os.kill(process.pid, 0))
    attempt('a limit', lambda: resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0)))
attempt('a connection', lambda: socket.create_connection(('127.0.0.1', PORT), 1))
raise RuntimeError(f'allowed: {allowed}')
"""


@pytest.fixture
def notebook():
    return made_up(list(CHECKS), START, checks=CHECKS)


def _mark(notebook, answers, folder, **options):
    folder.mkdir()
    return mark_answers(notebook, answers, {"out": str(folder)}, cwd=folder, limits=Limits(step_s=120), **options)


def _cheating(cheat):
    """Wrong answers, the first of them after the cheat, which may answer by itself."""
    code = textwrap.dedent(cheat).strip()
    return {**WRONG, "share": code if "my_share = " in code else f"{code}\n{WRONG['share']}"}


@pytest.mark.slow
def test_no_cheat_gives_a_point_and_the_next_student_is_marked_as_before(notebook, tmp_path):
    marks = _mark(notebook, [*map(_cheating, CHEATS.values()), HONEST], tmp_path / "class")
    for name, rows in zip(CHEATS, marks, strict=False):
        assert [row["points"] for row in rows] == [0, 0, 0], f"{name}: {rows}"
    assert [row["state"] for row in marks[-1]] == ["right"] * 3, marks[-1]
    assert not [each for each in psutil.process_iter(["cmdline"]) if "1234.5" in (each.info["cmdline"] or ())]
    assert not Path("/tmp/epitome-was-here").exists()


@pytest.mark.slow
def test_a_slip_that_alters_values_of_the_kit_costs_no_later_point(notebook, tmp_path):
    altered = "labels[:] = 0\nsecret = 0\nmy_share = max(labels.mean(), 1 - labels.mean())"
    slip = {**HONEST, "share": altered}
    (marks,) = _mark(notebook, [slip], tmp_path / "class")
    assert [row["points"] for row in marks] == [0, 1, 1]


@pytest.mark.slow
@pytest.mark.skipif(landlock_version() < 6, reason="this system cannot restrict files, signals and connections")
def test_an_answer_reaches_nothing_but_its_own_folder(notebook, tmp_path):
    fellow = tmp_path / "returned" / "fellow.ipynb"
    fellow.parent.mkdir()
    fellow.write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        start = f"FELLOW, PORT = {str(fellow)!r}, {server.getsockname()[1]}\n"
        reaching = {**HONEST, "share": start + REACHING_OUT}
        (marks,) = _mark(notebook, [reaching], tmp_path / "class", hidden=[fellow.parent])
    assert marks[0]["said"] == "RuntimeError: allowed: []"
    assert [row["points"] for row in marks] == [0, 1, 1]
