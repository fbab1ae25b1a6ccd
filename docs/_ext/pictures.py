"""The directive `race`: the picture of a race, run when the site is built.

```{race} ravine SGD Adam
:alt: what there is to see
```

It is drawn four times: for a wide page and for a phone, for a light page and for a dark one.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import matplotlib as mpl
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from myoptim.lab import plots
from myoptim.lab.problems import get_problem
from myoptim.lab.race import draw, line_up, race

FOLDER = "_images"
PHONE = "(max-width: 45em)"


class Race(SphinxDirective):
    """A problem and optimizers, as `myoptim race` draws them; the content is the caption."""

    required_arguments = 2
    final_argument_whitespace = True
    has_content = True
    option_spec = {"alt": directives.unchanged_required, "steps": directives.positive_int}

    def run(self) -> list[nodes.Node]:
        problem, names = get_problem(self.arguments[0]), self.arguments[1].split()
        steps = self.options.get("steps")
        results = race(problem, line_up(names), steps=steps)
        stem = "-".join([problem.name, *names, str(steps or problem.steps)])
        folder = Path(self.env.app.outdir) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        root = "../" * self.env.docname.count("/") + FOLDER
        pictures = ""
        for theme, settings in (("light", {}), ("dark", plots.DARK)):
            sources: dict[str, str] = {}
            for shape in ("wide", "narrow"):
                name = f"{stem}-{theme}-{shape}.png"
                with mpl.rc_context(settings):
                    figure = draw(problem, results, narrow=shape == "narrow")
                    figure.savefig(folder / name, dpi=90 if shape == "wide" else 110)
                sources[shape] = f"{root}/{name}"
            pictures += self.picture(theme, sources)
        caption = nodes.caption()
        text, messages = self.parse_inline(" ".join(self.content))
        caption += text
        figure_node = nodes.figure("", nodes.raw("", pictures, format="html"), caption)
        return [figure_node, *messages]

    def picture(self, theme: str, sources: dict[str, Any]) -> str:
        alt = html.escape(self.options["alt"])
        return (
            f'<picture class="only-{theme}"><source media="{PHONE}" srcset="{sources["narrow"]}">'
            f'<img src="{sources["wide"]}" alt="{alt}"></picture>'
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("race", Race)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
