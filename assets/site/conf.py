"""Sphinx's settings for the documentation site; `python -m tests.tools.build_site` builds it.

The pages are the README, the course with its saved outputs, and the docstrings: nothing is written twice. No page
asks another server for anything.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import explorer

project = "explorer"
copyright = "the authors of explorer, Apache-2.0"
version = release = explorer.__version__
language = "en"

extensions = ["docstrings", "myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["site"]
nb_execution_mode = "off"      # outputs are saved: tests/tools/run_notebooks.py
nb_ipywidgets_js = {}          # widgets are dead without a kernel, and their scripts are elsewhere
nb_merge_streams = True
myst_heading_anchors = 3
myst_links_external_new_tab = False
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"     # the docstrings say them, in words
autodoc_class_signature = "mixed"
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "explorer"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": False}
