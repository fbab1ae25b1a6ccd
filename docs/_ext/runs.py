"""The role `runs`: links to the runs that show a sentence, each with what it came to.

    {runs}`optax-sgd keras-sgd-change`

The runs are the rows of `optimizers/dialects-runs.inc`, which `make test-frameworks` writes. One
that is not there is a warning, which fails the build.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

LOGGER = logging.getLogger(__name__)
FILE = Path("optimizers", "dialects-runs.inc")
RUN = r"^\| \[`(?P<id>[^`]+)`\]\{#(?P<anchor>[^}]+)\} \| .* \| (?P<outcome>.+) \|$"
ROW = re.compile(RUN, re.MULTILINE)
SIGNS = {"equal": "=", "differ": "≠"}


def outcomes(text: str) -> dict[str, tuple[str, str]]:
    """The anchor and the outcome of every run of the file, by its name."""
    return {row["id"]: (row["anchor"], row["outcome"]) for row in ROW.finditer(text)}


class Runs(SphinxRole):
    """Links to runs."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        path = Path(self.env.srcdir, FILE)
        self.env.note_dependency(str(path))
        known = outcomes(path.read_text(encoding="utf-8"))
        links = nodes.inline(classes=["runs"])
        for name in self.text.split():
            if name not in known:
                LOGGER.warning("%s has no run %r", FILE, name, location=self.get_location())
                continue
            anchor, outcome = known[name]
            sign = SIGNS[outcome.partition(" ")[0]]
            link = nodes.reference("", "", refuri=f"#{anchor}", internal=True, reftitle=outcome)
            link += nodes.Text(f"{sign} {name}")
            links += link
            links += nodes.Text(" ")
        return [links], []


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_role("runs", Runs())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
