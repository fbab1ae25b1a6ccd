"""The site: `make docs`. Needs no network, to build or to read."""

import importlib.util
import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.fileutil import copy_asset

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "myoptim"
author = "The myoptim authors"
copyright = author

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "two_columns",
    "pictures",
    "commands",
    "reference",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "tutorials/*.py"]

myst_enable_extensions = ["attrs_inline", "deflist", "dollarmath", "smartquotes"]
myst_heading_anchors = 3
# Tutorials come with their outputs, `make tutorials` runs them; pages that say so run at each build.
nb_execution_mode = "off"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True

default_role = "code"  # single backticks in docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature has them
autodoc_default_options = {"members": True}
napoleon_use_ivar = True
napoleon_custom_sections = [("Public", "notes_style")]
toc_object_entries = False

html_theme = "furo"
html_title = "myoptim"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"

# MathJax comes with a package instead of from a server: of it, what pages load.
mathjax_path = "mathjax/tex-chtml.js"


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax and its fonts into the built site."""
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if error or app.builder.format != "html":
        return
    assert package and package.origin
    source = Path(package.origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    for part in ("tex-chtml.js", "output/chtml/fonts"):
        to = target / part if (source / part).is_dir() else (target / part).parent
        copy_asset(source / part, to)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("build-finished", copy_mathjax)
