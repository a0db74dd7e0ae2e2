"""Sphinx reads the staged pages with this; `book/build.py` calls it. Nothing is loaded from the network."""

import re
from pathlib import Path

import epitome_kit

project, author = "Epitome Kit", "The Epitome Kit authors"
version = release = epitome_kit.__version__
copyright = "the Epitome Kit authors, MIT licence. For teaching and research, not for diagnosis"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["README.md", "book/run.md"]
suppress_warnings = ["toc.not_included"]
highlight_language = "text"
templates_path = [str(Path(__file__).parent / "_templates")]

nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_output_stderr = "remove"
myst_heading_anchors = 3

autosummary_generate = True
autodoc_mock_imports = ["epitome_kit.backend"]  # no network is trained here, so none is loaded
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = "Epitome Kit"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_js_files = ["search_from_disk.js"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def link_dois(app, what, name, obj, options, lines):
    """Turn the DOIs of a docstring into links."""
    lines[:] = [re.sub(r"\bdoi:(10\.\S+[^\s.,;)])", r"`doi:\1 <https://doi.org/\1>`__", line) for line in lines]


def setup(app):
    """Join in where Sphinx offers it."""
    app.connect("autodoc-process-docstring", link_dois)
