"""Several optimizers on one problem, each of ours beside its twin from torch.

>>> from myoptim.lab.problems import get_problem
>>> (result,) = race(get_problem("square"), [Racer("SGD", myoptim.SGD, {})])
>>> result.finish.steps, round(result.finish.loss, 6), result.difference
(30, 0.000192, '')
"""

from __future__ import annotations

import functools
import inspect
import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import myoptim
from myoptim.lab.errors import UsageError
from myoptim.lab.prescribed import advance, read_state
from myoptim.lab.problems import Params, Problem, Run, distance, flatten
from myoptim.lab.resolve import (
    construct,
    given_settings,
    label_of,
    resolve,
    takers_of_vectors,
    user_code,
)
from myoptim.lab.tables import as_html
from myoptim.lab.trace import backward, check_steps, problem_rate
from myoptim.lab.ulp import ulp_distance
from myoptim.lab.values import counted
from myoptim.optimizer import declaration_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]

#: Who runs along with optimizers that are not ours.
BASELINES = ("SGD", "Adam")


class Multiple(float):
    """A learning rate as a multiple of the problem's own for an optimizer; written 0.1x."""

    def __format__(self, spec: str) -> str:
        return f"{float(self):{spec}}x"


@dataclass(frozen=True)
class Racer:
    """An optimizer and its hyper-parameters.

    Attributes:
        label: what to call it.
        cls: the class.
        settings: hyper-parameters; without "lr", the problem's rate for optimizers of this name;
            with a `Multiple` for "lr", so many times that.
    """

    label: str
    cls: Callable[..., Any]
    settings: Mapping[str, Any]

    def on(self, problem: Problem) -> Racer:
        """The same with the learning rate that it has on this problem.

        Raises:
            UsageError: it is a multiple, and the problem has no rate for this optimizer.
        """
        own = problem_rate(problem, self.cls)
        settings = {**own, **self.settings}
        if isinstance(factor := settings.get("lr"), Multiple):
            if not own:
                raise UsageError(
                    f"{problem.name} has no learning rate for {self.label} of which lr={factor:g} "
                    "could be a multiple; give numbers without x"
                )
            settings["lr"] = factor * own["lr"]
        return Racer(self.label, self.cls, settings)

    def twin(self) -> Racer | None:
        """What torch has under this name, run as its plain loop; None for others' optimizers."""
        if self.cls not in myoptim.OPTIMIZERS.values():
            return None
        declared = declaration_of(self.cls)
        if declared.twin is None:
            return None
        loop = (
            {"foreach": False} if "foreach" in inspect.signature(declared.twin).parameters else {}
        )
        settings = {**declared.twin_settings, **self.settings, **loop}
        return Racer(f"torch.optim.{declared.twin.__name__}", declared.twin, settings)


@dataclass(frozen=True)
class Finish:
    """How one optimizer did.

    Attributes:
        lr: the learning rate it ran with; None if it has no such thing.
        losses: the loss before every step.
        loss: the loss over all the data at the end.
        diverged_at: the step before which the loss was not finite, and the run ended; None where
            it always was.
        params: the parameters at the end, those of `eval()` where the optimizer has such a mode.
        state: each parameter's buffers at the end.
        path: of two real parameters all values, shape (steps + 1, 2); else None.
        prints: a number for the bits of all parameters after every step.
    """

    lr: float | None
    losses: Array
    loss: float
    diverged_at: int | None
    params: Params
    state: dict[str, dict[str, Tensor]]
    path: Array | None
    prints: Sequence[int]

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.prints)


@dataclass(frozen=True)
class Result:
    """How one racer did, and its twin.

    Attributes:
        racer: who ran.
        finish: how it did.
        twin: how torch's did; None where there is none.
        distance: from the parameters at the end to the nearest minimum; None if none is known.
        difference: the first thing whose bits were not the twin's, such as "parameters at step
            7"; empty where every bit was equal: the parameters and the loss at every step, and
            the state at the end. None where there is no twin.
    """

    racer: Racer
    finish: Finish
    twin: Finish | None
    distance: float | None
    difference: str | None

    def as_dict(self) -> dict[str, Any]:
        """What is worth keeping, for JSON; null stands for what is not finite."""
        return {
            "optimizer": self.racer.label,
            "settings": {**self.racer.settings, "lr": self.finish.lr},
            "steps": self.finish.steps,
            "loss": finite(self.finish.loss),
            "distance": finite(self.distance),
            "diverged_at": self.finish.diverged_at,
            "equals_torch": None if self.difference is None else not self.difference,
            "difference": self.difference or None,
        }

    def row(self) -> list[str]:
        """The cells of a table."""
        finish = self.finish
        at = f", at step {finish.diverged_at}" if finish.diverged_at else ""
        return [
            self.racer.label,
            "" if finish.lr is None else f"{finish.lr:.4g}",
            str(finish.steps),
            f"{finish.loss:.6g}{at}",
            "" if self.distance is None else f"{self.distance:.3g}",
            {None: "", "": "yes"}.get(self.difference, f"NO: {self.difference}"),
        ]


class Results(list[Result]):
    """How all racers did on a problem, in the order of the line-up."""

    def __init__(self, problem: Problem, results: Iterable[Result]) -> None:
        super().__init__(results)
        self.problem = problem

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column headings and a row for each racer."""
        headings = ["optimizer", "lr", "steps", "final loss", "distance", "all bits as torch's"]
        return headings, [result.row() for result in self]

    def __repr__(self) -> str:
        best = min(self, key=lambda result: or_infinite(result.finish.loss), default=None)
        found = f", lowest loss {best.finish.loss:.6g} of {best.racer.label}" if best else ""
        return f"<race of {counted(len(self), 'optimizer')} on {self.problem.name}{found}>"

    def _repr_html_(self) -> str:
        return as_html(f"{self.problem.title}: {self.problem.formula}", *self.table())


def or_infinite(value: float) -> float:
    """NaN as infinity: a loss that is worse than any number."""
    return value if math.isfinite(value) else math.inf


def finite(value: float | None) -> float | None:
    """None for what JSON has no number for."""
    return value if value is not None and math.isfinite(value) else None


def line_up(
    optimizers: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    sweep: tuple[str, Sequence[float]] | None = None,
) -> list[Racer]:
    """The racers of these names.

    Args:
        optimizers: names as `resolve` takes them; by default all of ours that take vectors.
            Whoever brings one that is not ours gets the baselines too.
        settings: hyper-parameters for all.
        sweep: a hyper-parameter and its values: each optimizer runs once with each. Those of a
            learning rate may be `Multiple`.

    Raises:
        UsageError: there is no such optimizer.
    """
    labels = [label_of(name) for name in optimizers or takers_of_vectors()]
    if not set(labels) <= set(myoptim.OPTIMIZERS):
        labels += BASELINES
    settings = settings or {}
    classes = {label: resolve(label) for label in labels}
    racers = [
        Racer(label, cls, {**given_settings(cls), **settings}) for label, cls in classes.items()
    ]
    if sweep is None:
        return racers
    name, values = sweep
    return [
        Racer(f"{racer.label} {name}={value:.4g}", racer.cls, {**racer.settings, name: value})
        for racer in racers
        for value in values
    ]


def race(
    problem: Problem,
    racers: Sequence[Racer],
    *,
    steps: int | None = None,
    seed: int = 0,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Results:
    """Run every racer, and its twin if it has one, for the same number of steps.

    Each has its own fresh parameters, minibatches and random numbers, all from the same seed.
    A run that is no longer finite is ended; that is a result, not an error.

    Args:
        problem: what to minimize.
        racers: who runs.
        steps: how many; by default what the problem suggests.
        seed: of the problem's data and start, and of torch's random numbers during each run.
        progress: wraps the range of steps of each run.

    Raises:
        UsageError: a hyper-parameter that an optimizer refuses, or code of a user that raises.
    """
    steps = check_steps(steps, problem.steps)
    minima = problem.minima(seed)

    def run(racer: Racer) -> Finish:
        return train(problem, racer, progress(range(1, steps + 1)), seed)

    results: list[Result] = []
    for racer in racers:
        racer = racer.on(problem)
        twin = racer.twin()
        finish, torchs = run(racer), run(twin) if twin else None
        difference = _difference(finish, torchs) if torchs else None
        left = distance(finish.params, minima)
        results.append(Result(racer, finish, torchs, left, difference))
    return Results(problem, results)


def train(problem: Problem, racer: Racer, steps: Iterable[int], seed: int) -> Finish:
    """Run one racer, as it is, from a fresh start; `race` says what is fair and what it raises."""
    losses: list[float] = []
    prints: list[int] = []
    diverged_at = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        run = problem.start(seed)
        optimizer = construct(racer.cls, list(run.params.values()), racer.settings, racer.label)
        start = flatten(run.params)
        points = [start.tolist()] if len(start) == 2 and start.is_floating_point() else []
        for step in steps:
            closure = functools.partial(backward, run, f"{problem.name} before step {step}")
            losses.append(closure().item())
            if not math.isfinite(losses[-1]):
                diverged_at = step
                break
            with user_code(f"step {step} of {racer.label}"):
                advance(optimizer, closure)
            point = flatten(run.params)
            prints.append(_print(point))
            if points:
                points.append(point.tolist())
        if callable(getattr(optimizer, "eval", None)):  # what it has found may lie elsewhere
            optimizer.eval()
    return Finish(
        lr=_lr(optimizer),
        losses=np.array(losses),
        loss=run.at(run.params),
        diverged_at=diverged_at,
        params={name: param.detach() for name, param in run.params.items()},
        state={name: read_state(optimizer, param) for name, param in run.params.items()},
        path=np.array(points) if points else None,
        prints=prints,
    )


def _print(point: Tensor) -> int:
    """A number that two vectors share if their bits are equal, all NaN being one."""
    bits = point.masked_fill(point.isnan(), torch.nan).view(torch.uint8)
    return hash(bits.numpy().tobytes())


def _lr(optimizer: Any) -> float | None:
    groups = getattr(optimizer, "param_groups", None)
    return float(groups[0]["lr"]) if groups and "lr" in groups[0] else None


def _difference(ours: Finish, twins: Finish) -> str:
    """The first thing that differs in its bits; empty if nothing does."""
    for step, (a, b) in enumerate(zip(ours.prints, twins.prints, strict=False), start=1):
        if a != b:
            return f"parameters at step {step}"
    if not np.array_equal(ours.losses, twins.losses, equal_nan=True):
        return "loss"
    for name, state in ours.state.items():
        if list(state) != list(twins.state[name]):
            return f"state of {name}: {list(state)}, torch's {list(twins.state[name])}"
        for buffer, a in state.items():
            if ulp_distance(a, twins.state[name][buffer]).any():
                return f"{buffer} of {name}"
    return ""


def record(
    problem: Problem, results: Sequence[Result], seed: int, pictures: Sequence[Path]
) -> dict[str, Any]:
    """What to keep beside the pictures of a race: enough to run it again."""
    return {
        **described(problem),
        "seed": seed,
        "minima": [flatten(point).tolist() for point in problem.minima(seed)],
        "pictures": [picture.name for picture in pictures],
        "results": [result.as_dict() for result in results],
    }


def described(problem: Problem) -> dict[str, str]:
    """What a problem says of itself, for JSON."""
    return {"problem": problem.name, "formula": problem.formula, "source": problem.source}


def versions() -> dict[str, str]:
    """What the numbers of a race may depend on."""
    found = {"python": platform.python_version(), "torch": torch.__version__}
    found["numpy"] = np.__version__
    try:
        found["myoptim"] = metadata.version("myoptim")
    except metadata.PackageNotFoundError:  # run from its source, not installed
        found["myoptim"] = "source"
    return found


def draw(
    problem: Problem, results: Sequence[Result], seed: int = 0, narrow: bool = False
) -> Figure:
    """Loss curves; of two parameters their trajectories; of a fit, what was found.

    Args:
        problem: what was run on.
        results: of `race`.
        seed: what the problem was started with.
        narrow: panels below one another, for a phone.
    """
    from myoptim.lab import plots

    paths = _paths(results)
    run = problem.start(seed)
    panels = 1 + bool(paths) + bool(run.data)
    shape: dict[str, Any] = {"columns": 1, "panel_size": (4.4, 3.6)} if narrow else {}
    figure = plots.new_figure(problem.title, panels, **shape)
    panels = iter(figure.axes)
    finishes = {result.racer.label: result.finish for result in results}
    twins = {result.racer.label: result.twin for result in results if result.twin}
    plots.loss_curves(
        next(panels),
        {label: finish.losses for label, finish in finishes.items()},
        {label: finish.losses for label, finish in twins.items()},
        window=_window(run, results),
        least=_least(problem, seed) if run.epoch == 1 else None,
    )
    if paths:
        different = {
            result.racer.label: result.twin.path
            for result in results
            if result.difference and result.twin and result.twin.path is not None
        }
        plots.trajectories(next(panels), problem, paths, different, seed=seed)
    if run.data:
        found = {label: finish.params for label, finish in finishes.items()}
        plots.fits(next(panels), run.data, found)
    rates = {label: f"lr {finish.lr:g}" for label, finish in finishes.items() if finish.lr}
    plots.legend(figure, with_twins=bool(twins), notes=rates, below=narrow)
    return figure


def draw_sweep(problem: Problem, results: Sequence[Result], seed: int = 0) -> Figure:
    """For each optimizer of a sweep a panel, with a loss curve for every value."""
    from myoptim.lab import plots

    panels: dict[str, dict[str, Array]] = {}
    for result in results:
        optimizer, _, value = result.racer.label.rpartition(" ")
        panels.setdefault(optimizer, {})[value] = result.finish.losses
    figure = plots.new_figure(problem.title, len(panels))
    run = problem.start(seed)
    window = _window(run, results)
    least = _least(problem, seed) if run.epoch == 1 else None
    for axes, (optimizer, curves) in zip(figure.axes, panels.items(), strict=True):
        styled = plots.sweep_styles(list(curves))
        plots.loss_curves(axes, curves, styled=styled, window=window, least=least)
        axes.set_title(optimizer, fontsize="medium")
    plots.legend(figure)
    return figure


def film(path: Path, problem: Problem, results: Sequence[Result], seed: int = 0) -> Path | None:
    """Write the trajectories as an animation, a GIF; None unless there are two parameters."""
    from myoptim.lab import plots

    paths = _paths(results)
    return plots.animate(path, problem, paths, seed=seed) if paths else None


def _paths(results: Sequence[Result]) -> dict[str, Array]:
    return {
        result.racer.label: result.finish.path
        for result in results
        if result.finish.path is not None
    }


def _window(run: Run, results: Sequence[Result]) -> int:
    """How many losses a point of a curve is the mean of: an epoch's, if the runs have twenty."""
    longest = max(len(result.finish.losses) for result in results)
    return max(1, min(run.epoch, longest // 20))


def _least(problem: Problem, seed: int) -> float | None:
    """The loss at the minimum, where that is known."""
    minima = problem.minima(seed)
    return problem.start(seed, dtype=torch.float64).at(minima[0]) if minima else None
