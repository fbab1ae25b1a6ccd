"""The directive `race`: the picture of a race, run when the site is built.

```{race} ravine SGD Adam
:alt: what there is to see
```
"""

from __future__ import annotations

import os
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Race(SphinxDirective):
    """A problem and optimizers, as `myoptim race` draws them; the content is the caption."""

    required_arguments = 2
    final_argument_whitespace = True
    has_content = True
    option_spec = {"alt": directives.unchanged_required, "steps": directives.positive_int}

    def run(self) -> list[nodes.Node]:
        from myoptim.lab.problems import get_problem
        from myoptim.lab.race import draw, line_up, race

        problem, names = get_problem(self.arguments[0]), self.arguments[1].split()
        steps = self.options.get("steps")
        folder = Path(self.env.doctreedir) / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / f"{'-'.join([problem.name, *names, str(steps or problem.steps)])}.png"
        figure = draw(problem, race(problem, line_up(names), steps=steps))
        figure.savefig(picture, dpi=90)
        here = Path(self.env.doc2path(self.env.docname)).parent
        image = nodes.image(
            uri=Path(os.path.relpath(picture, here)).as_posix(), alt=self.options["alt"]
        )
        caption = nodes.caption()
        text, messages = self.parse_inline(" ".join(self.content))
        caption += text
        figure_node = nodes.figure("", image, caption)
        return [figure_node, *messages]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("race", Race)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
