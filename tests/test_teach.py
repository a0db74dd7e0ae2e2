"""The public names of figures, widgets and teaching aids: each loads when first used, and nothing before."""

import subprocess
import sys

import pytest

from epitome_kit import plotting, teach, widgets

PACKAGES = (plotting, teach, widgets)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_name_loads_and_explains_itself(package):
    for name in package.__all__:
        found = getattr(package, name)
        assert found.__name__ == name and "Parameters\n" in found.__doc__


def test_an_unknown_aid_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_aid"):
        _ = teach.no_such_aid
    assert all(set(package.__all__) <= set(dir(package)) for package in PACKAGES)


@pytest.mark.slow
def test_figures_need_no_widgets_and_names_need_nothing():
    code = (
        "import sys\nfrom epitome_kit import plotting, teach\nprint('matplotlib' in sys.modules)\n"
        "plotting.show_slices, teach.check_mask, plotting.roc\nprint('ipywidgets' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
