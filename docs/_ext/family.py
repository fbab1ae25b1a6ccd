"""The directive `family`: who descends from whom, and which fault each one cures.

Shown are the optimizers of `myoptim.OPTIMIZERS`; one that `ORIGINS` does not know stands alone.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import myoptim
from myoptim.lab import plots


@dataclass(frozen=True)
class Origin:
    """Where an optimizer comes from.

    Attributes:
        parent: the one whose fault it cures, or "".
        fault: what goes wrong with the parent.
        cure: what it does about it.
        other: the one from which it takes something besides, or "".
    """

    parent: str
    fault: str
    cure: str
    other: str = ""


ORIGINS = {
    "SGD": Origin("", "", "steps against the gradient, and remembers nothing"),
    "Momentum": Origin(
        "SGD", "zigzags across a ravine", "adds the gradients up, so that the zigzag cancels"
    ),
    "Nesterov": Origin(
        "Momentum", "overshoots", "takes the gradient where the buffer is about to lead"
    ),
    "Muon": Origin(
        "Momentum",
        "a few directions make up nearly all of a matrix's step",
        "makes all singular values of the step equal",
    ),
    "Adagrad": Origin(
        "SGD",
        "one learning rate for every element",
        "divides each by the root of the sum of its squares",
    ),
    "RMSprop": Origin(
        "Adagrad", "the sum never forgets: steps only shrink", "averages the squares", "Rprop"
    ),
    "Adadelta": Origin(
        "Adagrad",
        "the sum never forgets, and a step does not have the parameter's unit",
        "averages, and multiplies by the size of past steps",
    ),
    "Adam": Origin(
        "RMSprop",
        "an average that starts at zero is too small at first",
        "corrects it, and averages the gradient too",
        "Momentum",
    ),
    "AdamW": Origin(
        "Adam", "weight decay is divided by √v̂ like a gradient", "shrinks the parameter itself"
    ),
    "Adamax": Origin(
        "Adam", "v̂ must be corrected and rooted", "divides by the largest |g| of late instead"
    ),
    "NAdam": Origin("Adam", "its momentum looks back only", "looks ahead", "Nesterov"),
    "RAdam": Origin(
        "Adam",
        "in the first steps v̂ is known from too few gradients",
        "does without v̂ until it can be trusted",
    ),
    "Adafactor": Origin(
        "Adam",
        "v takes as much memory as the parameter",
        "keeps the means of a matrix's rows and columns only",
    ),
    "SparseAdam": Origin(
        "Adam",
        "every element is updated, also where a sparse gradient names none",
        "touches only the elements that the gradient names",
    ),
    "Rprop": Origin(
        "SGD",
        "how far it steps depends on how large the gradient is",
        "looks at the sign only; each element's step grows while the sign stays",
    ),
    "ASGD": Origin(
        "SGD", "at the end it hops about the minimum", "averages the points it has been at"
    ),
    "Lion": Origin(
        "AdamW",
        "keeps a second average only to make all steps about as long",
        "takes the sign, and steps along an average that knows the gradient better",
        "Rprop",
    ),
    "AdEMAMix": Origin(
        "AdamW",
        "an average that remembers thousands of gradients does not see the last ones",
        "steps along two averages, a fast and a slow one",
    ),
    "ScheduleFreeSGD": Origin(
        "ASGD",
        "the average is good in theory, and in practice behind a falling learning rate",
        "takes gradients near the average",
        "Momentum",
    ),
    "ScheduleFreeAdamW": Origin(
        "AdamW",
        "needs a learning rate that falls, to an end that must be known",
        "averages its path instead",
        "ScheduleFreeSGD",
    ),
    "Prodigy": Origin(
        "AdamW",
        "its learning rate must be found by trying",
        "estimates the distance to the solution, and takes that",
    ),
    "SOAP": Origin(
        "AdamW",
        "scales each element of a matrix as if it had nothing to do with the others",
        "works in the directions in which they are independent",
    ),
    "LBFGS": Origin(
        "SGD",
        "knows the slope and not the curvature",
        "estimates the curvature from the last steps and gradients",
    ),
}


def parent_of(name: str) -> str:
    """The parent, or the nearest forebear that is shown."""
    parent = ORIGINS[name].parent if name in ORIGINS else ""
    return parent if not parent or parent in myoptim.OPTIMIZERS else parent_of(parent)


def tree(parent: str, pages: dict[str, str]) -> str:
    """The descendants of one, or those without a parent, as nested lists."""
    children = [name for name in myoptim.OPTIMIZERS if parent_of(name) == parent]
    items = "".join(f"<li>{entry(name, pages)}{tree(name, pages)}</li>" for name in children)
    return f"<ul>{items}</ul>" if items else ""


def entry(name: str, pages: dict[str, str]) -> str:
    """One optimizer, what was wrong before it, and what it does."""
    origin = ORIGINS.get(name, Origin("", "", ""))
    colour = plots.styles(myoptim.OPTIMIZERS)[name]["color"]
    label = f'<a class="name" style="--colour: {colour}" href="{pages[name]}">{name}</a>'
    if origin.other in myoptim.OPTIMIZERS:
        label += f' <span class="other">with {link(origin.other, pages)}</span>'
    fault = (
        f' <span class="fault">{html.escape(origin.parent)}: {html.escape(origin.fault)}</span>'
        if origin.fault
        else ""
    )
    return f'<div>{label}{fault} <span class="cure">{html.escape(origin.cure)}</span></div>'


def link(name: str, pages: dict[str, str]) -> str:
    return f'<a href="{pages[name]}">{name}</a>'


class Family(SphinxDirective):
    """The family, as a tree that is also a list."""

    def run(self) -> list[nodes.Node]:
        from optimizer_pages import page_of

        self.env.note_reread()  # one may have come
        root = "../" * self.env.docname.count("/")
        pages = {name: f"{root}{page_of(name)}.html" for name in myoptim.OPTIMIZERS}
        return [nodes.raw("", f'<div class="family">{tree("", pages)}</div>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("family", Family)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
