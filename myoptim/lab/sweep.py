"""A sweep over several seeds: how optimizers do at each value, and how far that is chance.

>>> from myoptim.lab.problems import get_problem
>>> from myoptim.lab.race import line_up
>>> racers = line_up(["SGD"], sweep=("lr", [0.001, 0.01]))
>>> found = sweep(get_problem("noisy_line"), racers, "lr", seeds=range(3))
>>> found.best()["SGD"].value
0.01
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myoptim.lab.problems import Problem
from myoptim.lab.race import Racer, described, finite, or_infinite, train
from myoptim.lab.tables import as_html
from myoptim.lab.trace import check_steps
from myoptim.lab.values import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """One optimizer at one value of the swept hyper-parameter.

    Attributes:
        optimizer: its name.
        value: of the hyper-parameter.
        settings: all that were given, the value among them.
        losses: over all the data at the end, for every seed; infinite where a run diverged.
    """

    optimizer: str
    value: float
    settings: Mapping[str, Any]
    losses: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the losses; of an even number the mean of the two in the middle."""
        return statistics.median(self.losses)

    def as_dict(self) -> dict[str, Any]:
        """The point for JSON; null stands for what is not finite."""
        return {
            "optimizer": self.optimizer,
            "value": self.value,
            "settings": dict(self.settings),
            "median": finite(self.median),
            "lowest": finite(min(self.losses)),
            "highest": finite(max(self.losses)),
            "losses": [finite(loss) for loss in self.losses],
        }


class Sweep(list[Point]):
    """All optimizers at all values, in the order of the line-up."""

    def __init__(
        self, problem: Problem, name: str, seeds: Sequence[int], steps: int, points: Iterable[Point]
    ) -> None:
        super().__init__(points)
        self.problem = problem
        self.name = name
        self.seeds = seeds
        self.steps = steps

    def curves(self) -> dict[str, list[Point]]:
        """For each optimizer its points, by value."""
        found: dict[str, list[Point]] = {}
        for point in sorted(self, key=lambda point: point.value):
            found.setdefault(point.optimizer, []).append(point)
        return {
            optimizer: found[optimizer] for optimizer in dict.fromkeys(p.optimizer for p in self)
        }

    def best(self) -> dict[str, Point]:
        """For each optimizer the point whose median is lowest."""
        return {
            optimizer: min(points, key=lambda point: point.median)
            for optimizer, points in self.curves().items()
        }

    def at_an_end(self) -> list[str]:
        """The optimizers whose best value is the smallest or the largest that they were given."""
        best = self.best()
        return [
            optimizer
            for optimizer, points in self.curves().items()
            if best[optimizer] in (points[0], points[-1])
        ]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column headings and a row for each optimizer, at its best value."""
        headings = ["optimizer", f"best {self.name}", "median loss", "lowest", "highest"]
        curves = self.curves()
        rows = [
            [optimizer, f"{point.value:.4g}"]
            + [f"{loss:.4g}" for loss in (point.median, min(point.losses), max(point.losses))]
            + [_diverged(curves[optimizer])]
            for optimizer, point in self.best().items()
        ]
        return [*headings, "diverged"], rows

    def record(self, pictures: Sequence[Path]) -> dict[str, Any]:
        """What to keep beside the picture: enough to run it again."""
        return {
            **described(self.problem),
            "swept": self.name,
            "seeds": list(self.seeds),
            "steps": self.steps,
            "pictures": [picture.name for picture in pictures],
            "best": {optimizer: point.as_dict() for optimizer, point in self.best().items()},
            "points": [point.as_dict() for point in self],
        }

    def __repr__(self) -> str:
        optimizers = counted(len(self.curves()), "optimizer")
        return f"<sweep of {self.name} with {optimizers} on {self.problem.name}>"

    def _repr_html_(self) -> str:
        return as_html(f"{self.problem.title}: {self.problem.formula}", *self.table())


def _diverged(points: Sequence[Point]) -> str:
    losses = [loss for point in points for loss in point.losses]
    return f"{sum(finite(loss) is None for loss in losses)} of {len(losses)}"


def sweep(
    problem: Problem,
    racers: Sequence[Racer],
    name: str,
    *,
    seeds: Sequence[int],
    steps: int | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Sweep:
    """Run every racer once from every seed. No twins run along.

    Args:
        problem: what to minimize.
        racers: of `line_up` with a sweep: each optimizer with each value.
        name: of the hyper-parameter that was swept.
        seeds: of the data, the start and the random numbers; the same for every racer.
        steps: how many; by default what the problem suggests.
        progress: wraps the range of steps of each run.

    Raises:
        UsageError: a hyper-parameter that an optimizer refuses, or code of a user that raises.
    """
    steps = check_steps(steps, problem.steps)

    def loss(racer: Racer, seed: int) -> float:
        finish = train(problem, racer, progress(range(1, steps + 1)), seed)
        return math.inf if finish.diverged_at else or_infinite(finish.loss)

    points: list[Point] = []
    for racer in racers:
        racer = racer.on(problem)
        optimizer = racer.label.rpartition(" ")[0]
        losses = tuple(loss(racer, seed) for seed in seeds)
        points.append(Point(optimizer, float(racer.settings[name]), racer.settings, losses))
    return Sweep(problem, name, seeds, steps, points)


def draw(found: Sweep) -> Figure:
    """For each optimizer the median over the values, in a band from the lowest to the highest."""
    from myoptim.lab import plots

    figure = plots.new_figure(found.problem.title, panel_size=(8.0, 4.8))
    bands = {
        optimizer: [(p.value, min(p.losses), p.median, max(p.losses)) for p in points]
        for optimizer, points in found.curves().items()
    }
    plots.bands(figure.axes[0], bands)
    figure.axes[0].set_xlabel(found.name)
    figure.axes[0].set_ylabel(
        f"loss after {found.steps} steps, {counted(len(found.seeds), 'seed')}"
    )
    plots.legend(figure)
    return figure
