"""A page for every mistake and dialect of the catalogue, and their index; never the answer.

What a page shows in numbers is run when the site is built: the right solution beside the wrong one,
on given gradients, at the first of some settings where they differ.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from optimizer_pages import page_of
from playground import settings_of, slips

import myoptim
from myoptim.course import mistakes
from myoptim.course.mistakes import CATALOGUE, Mistake
from myoptim.course.probes import EVERY_OPTION, SHAPES, VARIANTS
from myoptim.lab.prescribed import AMPLIFIED
from myoptim.optimizer import declaration_of
from myoptim.rules import ElementwiseRule

#: Two elements: one of everyday size, one tiny and for one step exactly zero.
START = (1.0, -0.5)
GRADIENTS = ((0.8, 0.02), (-0.3, 0.0), (0.6, 0.05), (0.2, -0.04), (0.1, 0.02), (0.9, 0.03))


def scenarios(optimizer: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """Settings that bring one branch after another into play, and whether lr changes on the way."""
    base = AMPLIFIED[optimizer]
    for variant in VARIANTS[optimizer].values():
        yield base | variant, False
    yield base | {"weight_decay": 0.2, "maximize": True}, False
    yield base | next(iter(VARIANTS[optimizer].values())), True
    yield base | {"momentum": 0.6} if "momentum" in base else base, True
    yield base | EVERY_OPTION[optimizer], False
    yield {"lr": base["lr"]}, False


def as_matrix(pair: tuple[float, float]) -> list[list[float]]:
    """A tall matrix that is not of rank 1, for rules that look at rows and columns."""
    a, b = pair
    return [[a, b], [b - a / 2, a / 4], [a / 2, -b]]


def as_block(pair: tuple[float, float]) -> list[list[list[float]]]:
    """Two such matrices."""
    a, b = pair
    return [as_matrix((a, b)), as_matrix((b + 0.1, a))]


AS = (list, as_matrix, as_block)
"""What makes a parameter or gradient of a pair, by the number of its dimensions, from one on."""


def path(
    cls: Any, settings: dict[str, Any], lr_changes: bool, shape: Callable[[Any], Any]
) -> torch.Tensor:
    """The parameter before each step and after the last, on the given gradients."""
    param = torch.tensor(shape(START), dtype=torch.float64, requires_grad=True)
    optimizer = cls([param], **settings)
    points = [param.detach().clone()]
    for step, grad in enumerate(GRADIENTS, 1):
        if lr_changes and step == 3:
            optimizer.param_groups[0]["lr"] /= 4
        param.grad = torch.tensor(shape(grad), dtype=torch.float64)
        optimizer.step()
        points.append(param.detach().clone())
    return torch.stack(points)


@functools.cache
def shown(mistake: Mistake, optimizer: str) -> tuple[dict[str, Any], bool, Any, Any] | None:
    """The first settings at which it shows, with the right path and the wrong one."""
    right = mistakes.load(mistakes.source(optimizer), optimizer)
    wrong = mistakes.load(next(mistakes.forms(mistake, optimizer)), optimizer)
    shapes = (as_matrix,) if optimizer in SHAPES else AS
    for shape, (settings, lr_changes) in itertools.product(shapes, scenarios(optimizer)):
        try:
            paths = [path(cls, settings, lr_changes, shape) for cls in (right, wrong)]
        except (RuntimeError, TypeError, ValueError, AttributeError, KeyError):
            continue  # it raises, or refuses these settings: no numbers to show
        if not torch.allclose(*paths, rtol=1e-9, atol=0, equal_nan=True):
            return settings, lr_changes, *paths
    return None


def numbers(mistake: Mistake, optimizer: str) -> str:
    """The table of a page, and the settings that it was made with."""
    found = shown(mistake, optimizer)
    if found is None:
        return "On this page's gradients the numbers are those of the right optimizer."
    settings, lr_changes, right, wrong = found
    given = ", ".join(f"{name}={value}" for name, value in settings.items())
    change = ", lr a quarter of it from step 3 on" if lr_changes else ""
    rows = [
        f"`{optimizer}({given})`{change}, the same gradients for both:",
        "",
        "| step | gradient | right θ | this θ | this step / right step |",
        "|---|---|---|---|---|",
    ]
    shape = AS[right[0].dim() - 1]
    for step, grad in enumerate(GRADIENTS, 1):
        moves = [points[step] - points[step - 1] for points in (wrong, right)]
        ratio = moves[0] / moves[1]
        cells = [_cells(shape(grad)), _cells(right[step]), _cells(wrong[step]), _cells(ratio, 3)]
        rows.append(f"| {step} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cells(values: Any, digits: int = 5) -> str:
    """The elements; those of a matrix row by row, each on a line of its own."""
    rows = torch.as_tensor(values, dtype=torch.float64)
    between = ",\N{NO-BREAK SPACE}" if rows.dim() > 1 else ", "
    rows = rows.reshape(-1, rows.shape[-1]).tolist()
    written = [between.join(f"{number:.{digits}g}" for number in row) for row in rows]
    return "<br>".join(written).replace("-", "−")


def play(mistake: Mistake, optimizer: str) -> str:
    """A small playground with the mistake switched on, where it can be seen there."""
    known = next((slip for slip in slips()[0].get(optimizer, []) if slip["id"] == mistake.id), None)
    if known is None:
        return ""
    found = shown(mistake, optimizer)
    settings = (
        {} if found is None or "replays" in known else switched_on(mistake, optimizer, found[0])
    )
    there = known.get("replays", ("ravine",))
    problem = "ravine" if "ravine" in there else next(iter(there))
    options = [
        f":optimizers: {optimizer}",
        f":problem: {problem}",
        f":mistake: {mistake.id}",
        f":settings: {json.dumps(settings)}",
        ":small:",
    ]
    return "\n".join(["## See it", "", "```{playground}", *options, "```", ""])


def switched_on(mistake: Mistake, optimizer: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What differs from the defaults and must, for the mistake to be seen on the map."""
    usual = settings_of(myoptim.OPTIMIZERS[optimizer])
    return {
        name: value
        for name, value in settings.items()
        if name in usual and value != usual[name] and (not usual[name] or name in mistake.id)
    }


def example(mistake: Mistake) -> str:
    """The optimizer to show it in: Adam, or the last of torch's in which there is something to see,
    or of those that torch has not."""

    def known(name: str) -> tuple[bool, bool, bool]:
        cls = myoptim.OPTIMIZERS[name]
        by_element = issubclass(cls, ElementwiseRule)
        return declaration_of(cls).twin is not None, by_element, name == "Adam"

    names = sorted(mistake.optimizers, key=known)
    return next((name for name in reversed(names) if shown(mistake, name)), names[-1])


def page(mistake: Mistake) -> str:
    """One page, in Markdown."""
    optimizer = example(mistake)
    whose = f" So computes: {mistake.whose}." if mistake.whose else ""
    also = ", ".join(mistake.optimizers)
    return "\n".join(
        [
            f"# {mistake.id}",
            "",
            f"*{mistake.kind.capitalize()}*, in {also}.{whose}",
            "",
            mistake.what,
            "",
            "## In numbers",
            "",
            numbers(mistake, optimizer),
            "",
            f"It shows at: {mistake.shows}.",
            "",
            play(mistake, optimizer),
            "## A question that helps",
            "",
            f"*{mistake.hint}*",
            "",
            f"On the command line: `myoptim explain {mistake.id}`. All of them: "
            "[the catalogue](index.md). Formula and source of the right one: "
            f"[{optimizer}](../{page_of(optimizer)}.md).",
            "",
        ]
    )


def groups() -> dict[str, list[Mistake]]:
    """The rows under the name of the shortest list of the catalogue that has them."""
    lists = [
        (name, {one.id for one in value})
        for name, value in vars(mistakes).items()
        if isinstance(value, (tuple, list)) and value and isinstance(value[0], Mistake)
    ]
    lists.sort(key=lambda item: len(item[1]))
    found: dict[str, list[Mistake]] = {}
    for mistake in CATALOGUE.values():
        name = next((name for name, ids in lists if mistake.id in ids), "OTHERS")
        found.setdefault(name.replace("_", " ").capitalize(), []).append(mistake)
    return found


def index() -> str:
    """The page that lists them."""
    lines = [
        "# Mistakes and dialects",
        "",
        "What goes wrong in hand-written optimizers, and what other frameworks do on purpose: "
        f"{len(CATALOGUE)} rows, each of which `myoptim check` knows by name. A *bug* is wrong by "
        "everybody's definition; a *dialect* is somebody's convention, which a teacher may accept.",
        "",
    ]
    for heading, group in groups().items():
        lines += [f"## {heading}", "", "| name | what | kind |", "|---|---|---|"]
        lines += [
            f"| [{mistake.id}]({mistake.id}.md) | {_cell(mistake.what)} | {mistake.kind} |"
            for mistake in group
        ]
        lines.append("")
    names = "\n".join(CATALOGUE)
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", names, "```", ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


@functools.cache
def pages() -> dict[str, str]:
    """Every page by its file's name."""
    return {"index.md": index()} | {f"{one.id}.md": page(one) for one in CATALOGUE.values()}


def write(folder: Path) -> None:
    """Put the pages where Sphinx reads; only what has changed."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        if old.name not in pages():
            old.unlink()
    for name, text in pages().items():
        target = folder / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
