"""The site: `make docs`. Needs no network, to build or to read."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.fileutil import copy_asset

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
import catalogue  # noqa: E402
import optimizer_pages  # noqa: E402

project = "myoptim"
author = "The myoptim authors"
copyright = author

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "two_columns",
    "family",
    "optimizer_pages",
    "pictures",
    "playground",
    "commands",
    "reference",
    "runs",
    "samples",
]
exclude_patterns = ["_build", "jupyter_execute", "**.ipynb_checkpoints"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath", "smartquotes"]
myst_heading_anchors = 3
# Tutorials come with their outputs: `make tutorials` runs them. Pages that say so run now.
nb_execution_mode = "off"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_code_prompt_show = "The figures above, asserted"
nb_code_prompt_hide = "Hide"

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


def copy_tutorials() -> None:
    """Bring the tutorials, which lie beside docs/, to where Sphinx reads; only what has changed."""
    target = HERE / "tutorials"
    target.mkdir(exist_ok=True)
    sources = {path.name: path for path in (HERE.parent / "tutorials").glob("[!.]*")}
    wanted = {name for name in sources if name.endswith((".md", ".ipynb"))}
    for path in target.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name in wanted:
        new, old = sources[name].read_bytes(), target / name
        if not old.exists() or old.read_bytes() != new:
            old.write_bytes(new)


def offer_downloads(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Below the heading of every tutorial, its notebook and its script to take along."""
    script = HERE.parent / "tutorials" / f"{Path(pagename).name}.py"
    if not re.match(r"tutorials/\d\d_", pagename) or "body" not in context:
        return
    links = []
    target = Path(app.outdir) / "_downloads"
    target.mkdir(exist_ok=True)
    for file, word in ((script.with_suffix(".ipynb"), "notebook"), (script, "script")):
        shutil.copy(file, target)
        links.append(f'<a download href="../_downloads/{file.name}">{word}</a>')
    line = f'</h1>\n<p class="downloads">Take it along: {", ".join(links)}.</p>'
    context["body"] = context["body"].replace("</h1>", line, 1)


def fit_phones(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Let names in code break after a dot or an underscore; mark pictures of several panels."""

    def breakable(found: re.Match[str]) -> str:
        return re.sub(r"(?<=\w)[._](?=\w)", r"\g<0><wbr>", found[0])

    def marked(found: re.Match[str]) -> str:
        with Image.open(sources[found[1]]) as picture:
            is_wide = picture.width > WIDE * picture.height
        return found[0].replace("<img ", '<img class="wide" ') if is_wide else found[0]

    sources = {name: Path(app.srcdir, path) for path, (_, name) in app.env.images.items()}
    body = re.sub(r'(?<=<span class="pre">)[^<]+(?=</span>)', breakable, context.get("body", ""))
    context["body"] = re.sub(r'<img alt=[^>]*src="(?:\.\./)*_images/([^"]+)" />', marked, body)


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax and its fonts into the built site."""
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if error or app.builder.format != "html":
        return
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    for part in ("tex-chtml.js", "output/chtml/fonts"):
        to = target / part if (source / part).is_dir() else (target / part).parent
        copy_asset(source / part, to)


def escape_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Let `|x|`, `addcdiv_` and `a*b` in the prose of a docstring mean themselves.

    In reStructuredText they are a substitution, a link and emphasis; docstrings here have neither
    of the first two, and the last not within a word.
    """
    for number, line in enumerate(lines):
        if not line.startswith("    "):  # code and mathematics
            parts = re.split(r"(`+[^`]*`+)", line)
            parts[::2] = [re.sub(SIGNS, r"\\\g<0>", part) for part in parts[::2]]
            lines[number] = "".join(parts)


def keep_attribute(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Keep the comment on an attribute as written: to napoleon a colon ends a type."""
    if what in ("attribute", "data"):
        before = WRITTEN.setdefault(name, list(lines))
        lines[:] = before


#: Width beside height of a picture of several panels.
WIDE = 1.8
SIGNS = r"\||(?<=\w)_(?!\w)|(?<=\w)\*(?=\w)"
WRITTEN: dict[str, list[str]] = {}
copy_tutorials()
catalogue.write(HERE / "mistakes")
optimizer_pages.write(HERE / optimizer_pages.MADE)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    for priority in (400, 600):  # before napoleon and after it
        app.connect("autodoc-process-docstring", keep_attribute, priority)
    app.connect("autodoc-process-docstring", escape_docstring, 700)
    app.connect("html-page-context", offer_downloads)
    app.connect("html-page-context", fit_phones)
    app.connect("build-finished", copy_mathjax)
