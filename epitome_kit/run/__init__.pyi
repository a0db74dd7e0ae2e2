from .notebooks import find_notebooks as find_notebooks
from .notebooks import kit_notebooks as kit_notebooks
from .notebooks import run_notebooks as run_notebooks
from .rerun import compare_runs as compare_runs
from .rerun import rerun_notebooks as rerun_notebooks
from .sweep import read_grid as read_grid
from .sweep import sweep_notebooks as sweep_notebooks
