"""The room of teaching aids: every name loads when first used, and nothing before."""

import subprocess
import sys

import pytest

from epitome_kit import teach


@pytest.mark.parametrize("name", teach.__all__)
def test_every_aid_loads_and_explains_itself(name):
    aid = getattr(teach, name)
    assert aid.__name__ == name and "Parameters\n" in aid.__doc__


def test_an_unknown_aid_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_aid"):
        _ = teach.no_such_aid
    assert set(teach.__all__) <= set(dir(teach))


def test_figures_need_no_widgets_and_names_need_nothing():
    code = (
        "import sys\nfrom epitome_kit import teach\nprint('matplotlib' in sys.modules)\n"
        "teach.show_slices, teach.check_mask, teach.roc\nprint('ipywidgets' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
