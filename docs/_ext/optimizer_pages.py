"""Pages of optimizers: a page for each that nobody has written one for, and the list of all.

What such a page says is read from the package: the class's docstring, its rule, its runs.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from playground import optimizers
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import myoptim
from myoptim.lab.problems import PROBLEMS
from myoptim.lab.race import line_up, race
from myoptim.optimizer import declaration_of

DOCS = Path(__file__).resolve().parents[1]
#: Where pages are written to that are made when the site is built.
MADE = "made"


def page_of(name: str) -> str:
    """The page of an optimizer, from the root of the site."""
    written = {path.stem.replace("_", ""): path.stem for path in (DOCS / "optimizers").glob("*.md")}
    file = name.lower()
    return f"optimizers/{written[file]}" if file in written else f"{MADE}/{file}"


def page(name: str) -> str:
    """A page, in Markdown."""
    cls = myoptim.OPTIMIZERS[name]
    lines = ["---", "hide-toc: true", "---", f"# {name}", ""]
    lines += ["```{eval-rst}", f".. autoclass:: myoptim.{name}", "   :no-index:", "   :no-members:"]
    lines += ["```", ""]
    rule = declaration_of(cls).rule
    if rule is not None:
        place = f"{rule.__module__}:{rule.__qualname__}"
        path = "/".join(rule.__module__.split("."))
        lines += ["## The source", "", f"Read from `{path}.py` when this page was built.", ""]
        lines += ["```{two-columns} " + place, "```", ""]
    lines += ["## What it does", ""]
    if name in optimizers()[0]:
        options = [f":optimizers: {name}", ":problem: ravine", ":small:"]
        lines += ["```{playground}", *options, "```", ""]
    if runs(name):
        lines += ["```{race} ravine " + ("SGD " if name != "SGD" else "") + name]
        lines += [f":alt: The loss and the path of SGD and {name} in a ravine.", ""]
        lines += [f"{name} beside SGD, each at its own learning rate.", "```", ""]
    return "\n".join(lines)


def runs(name: str) -> bool:
    """Whether it takes the two numbers of a ravine."""
    try:
        race(PROBLEMS["ravine"], line_up([name]), steps=1)
    except (ValueError, RuntimeError, TypeError):
        return False
    return True


def write(folder: Path) -> None:
    """Put the pages where Sphinx reads; only what has changed."""
    folder.mkdir(exist_ok=True)
    missing = [name for name in myoptim.OPTIMIZERS if page_of(name).startswith(MADE)]
    for old in folder.glob("*.md"):
        if old.stem not in map(str.lower, missing):
            old.unlink()
    for name in missing:
        text, target = page(name), folder / f"{name.lower()}.md"
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


class OptimizerPages(SphinxDirective):
    """The pages of the optimizers as a table of contents, in the list's order."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # one may have come
        pages = ["optimizers/index", "optimizers/family", *map(page_of, myoptim.OPTIMIZERS)]
        lines = [".. toctree::", "   :hidden:", "   :caption: Optimizers", ""]
        lines += [f"   {page}" for page in (*pages, "optimizers/shared", "optimizers/dialects")]
        container = nodes.container()
        self.state.nested_parse(StringList(lines, source="myoptim"), 0, container)
        return container.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("optimizer-pages", OptimizerPages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
