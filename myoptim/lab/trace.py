"""What an optimizer does at every step: loss, parameters, gradients and state.

>>> run = trace("SGD", "square", settings={"lr": 0.1}, steps=3)
>>> run.param("x")
array([[ 5. , 10. ],
       [ 4. ,  8. ],
       [ 3.2,  6.4]])
"""

from __future__ import annotations

import contextlib
import csv
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from myoptim.lab.errors import UsageError
from myoptim.lab.narrate import Story, Told, narrate
from myoptim.lab.prescribed import advance, read_state
from myoptim.lab.problems import Problem, Run, load_problem
from myoptim.lab.resolve import (
    construct,
    given_settings,
    hyperparameters,
    label_of,
    namesake,
    resolve,
    user_code,
)
from myoptim.lab.tables import as_html
from myoptim.lab.values import Array, as_array, as_plain, counted, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Arrays = dict[str, Array]

_ALL_ROWS = 100  # up to so many are shown all,
_SOME_ROWS = 50  # of more about so many


@dataclass(frozen=True)
class Row:
    """One step, as it stands before the update.

    Attributes:
        step: the step about to be made; the first is 1.
        loss: the loss at `params`.
        params: the parameters by name.
        grads: the gradient of the loss at `params`; a parameter without one is left out.
        state: for each parameter, the optimizer's buffers by name; empty before they are made.
        statements: what each statement of the update did, if the trace was narrated.
    """

    step: int
    loss: float
    params: Arrays
    grads: Arrays
    state: dict[str, Arrays]
    statements: Sequence[Told] = ()

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON holds it, without the statements."""
        return {
            "step": self.step,
            "loss": self.loss,
            "params": _lists(self.params),
            "grads": _lists(self.grads),
            "state": {name: _lists(buffers) for name, buffers in self.state.items()},
        }


@dataclass(frozen=True)
class Trace:
    """A run of one optimizer on one problem, step by step.

    Attributes:
        optimizer: the optimizer's name.
        problem: what it ran on.
        settings: the hyper-parameters that were given; all others had their defaults.
        seed: what the problem was started with.
        rows: one for each step, before its update.
        end: what stands after the last step, as a row for the step that would follow.
    """

    optimizer: str
    problem: Problem
    settings: dict[str, Any]
    seed: int
    rows: Sequence[Row]
    end: Row

    @property
    def steps(self) -> Array:
        """The steps, from 1; shape (steps,)."""
        return np.array([row.step for row in self.rows])

    @property
    def losses(self) -> Array:
        """The loss before every step; shape (steps,)."""
        return np.array([row.loss for row in self.rows])

    def param(self, name: str) -> Array:
        """A parameter before every step; of shape (steps, …), … its own."""
        return np.stack([row.params[name] for row in self.rows])

    def grad(self, name: str) -> Array:
        """A parameter's gradient at every step; NaN where it had none. KeyError: it never had."""
        return _stack(name, [row.grads.get(name) for row in self.rows])

    def buffer(self, param: str, name: str) -> Array:
        """A buffer of a parameter's state before every step; NaN where it was not there yet.

        Raises:
            KeyError: it was not there at any step; `buffers` says which were.
        """
        return _stack(name, [row.state[param].get(name) for row in self.rows])

    def buffers(self, param: str) -> list[str]:
        """The names of the buffers that the parameter had at any step."""
        return list(dict.fromkeys(name for row in self.rows for name in row.state[param]))

    def as_dict(self) -> dict[str, Any]:
        """The trace as JSON holds it; every tensor is a flat list, its shape is under "shapes"."""
        first = self.rows[0].params
        narrated = any(row.statements for row in self.rows)
        return {
            "optimizer": self.optimizer,
            "problem": self.problem.name,
            "settings": self.settings,
            "seed": self.seed,
            "shapes": {name: list(value.shape) for name, value in first.items()},
            "rows": [
                row.as_dict()
                | ({"statements": [t.as_dict() for t in row.statements]} if narrated else {})
                for row in self.rows
            ],
            "end": self.end.as_dict(),
        }

    @property
    def title(self) -> str:
        """What ran on what."""
        words = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"{self.optimizer}({words}) on {self.problem.formula}"

    def __repr__(self) -> str:
        steps = counted(len(self.rows), "step")
        return (
            f"<trace of {self.optimizer} on {self.problem.name}: {steps}, "
            f"loss {self.rows[0].loss:.6g} to {self.end.loss:.6g}>"
        )

    def _repr_html_(self) -> str:
        return as_html(self.title, *self.table(self.every), notes=self.notes(self.every))

    @property
    def every(self) -> int:
        """Which part of the steps is enough to read: 1 for all, k for every k-th."""
        many = len(self.rows) > _ALL_ROWS
        return math.ceil(len(self.rows) / _SOME_ROWS) if many else 1

    def notes(self, every: int = 1) -> list[str]:
        """What to know of a table of every so many steps."""
        if every == 1 or len(self.rows) == 1:
            return []
        return [f"One step in {every} is shown, of {len(self.rows):,}."]

    def table(self, every: int = 1) -> tuple[list[str], list[list[str]]]:
        """Column headings and, for every so many steps, the cells to read.

        The last row is what stands after the last step. The state's own step is left out.
        """
        rows = [*self.rows[::every], self.end]
        params = list(self.end.params)
        names = {p: dict.fromkeys([*self.buffers(p), *self.end.state[p]]) for p in params}
        buffers = [(p, name) for p in params for name in names[p] if name != "step"]
        headings = ["step", *params, "loss", *(f"gradient of {name}" for name in params)]
        headings += [f"{name} of {param}" for param, name in buffers]
        cells = [
            [
                "end" if row is self.end else str(row.step),
                *(_cell(row.params[name]) for name in params),
                f"{row.loss:.6g}",
                *(_cell(row.grads.get(name)) for name in params),
                *(_cell(row.state[param].get(name)) for param, name in buffers),
            ]
            for row in rows
        ]
        return headings, cells

    def save_csv(self, path: Path | str) -> None:
        """Write a column for every number: `x[0]`, `grad x[0]`, `state x exp_avg[0]`, …

        Every number is written so that it reads back as itself; a missing one is an empty cell.
        """
        rows = [_flat(row) for row in self.rows]
        columns = dict.fromkeys(column for row in rows for column in row)
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def plot(self) -> Figure:
        """Draw the loss, the parameters and their buffers over the steps.

        Where the parameters hold two numbers in all, also their path over the loss's contours.
        """
        from matplotlib.ticker import MaxNLocator

        from myoptim.lab import plots

        params = list(self.rows[0].params)
        buffers = dict.fromkeys(b for param in params for b in self.buffers(param) if b != "step")
        lines = {"parameters": {name: self.param(name) for name in params}}
        for buffer in buffers:
            having = [param for param in params if buffer in self.buffers(param)]
            lines[buffer] = {f"{buffer} of {param}": self.buffer(param, buffer) for param in having}
        path = np.concatenate([self.param(name).reshape(len(self.rows), -1) for name in params], 1)
        title = f"{self.optimizer} on {self.problem.name}"
        two = path.shape[1] == 2
        figure = plots.new_figure(title, 1 + two + len(lines), panel_size=(3.6, 3.4))
        over_steps = figure.axes[:1] + figure.axes[1 + two :]
        plots.loss_curves(figure.axes[0], {self.optimizer: self.losses})
        if two:
            plots.trajectories(figure.axes[1], self.problem, {self.optimizer: path}, seed=self.seed)
        for axes, (heading, series) in zip(over_steps[1:], lines.items(), strict=True):
            axes.set_title(heading, fontsize="medium")
            axes.set_prop_cycle(color=list(plots.COLOURS.values()))
            _draw(axes, series)
        for axes in over_steps:
            axes.set_xlabel("steps made")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return figure


def trace(
    optimizer: str | Callable[..., Any],
    problem: str | Problem,
    *,
    settings: Mapping[str, Any] | None = None,
    steps: int | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    narrated: bool = False,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Trace:
    """Run an optimizer on a problem and keep what stood before every step.

    NaN and divergence are results like any others.

    Args:
        optimizer: a class, or the name of one as `resolve` takes it.
        problem: a problem, or the name of one as `load_problem` takes it.
        settings: hyper-parameters; without "lr", the problem's rate for optimizers of this name.
        steps: how many; by default what the problem suggests.
        seed: of the problem's data and start, and of torch's random numbers during the run.
        dtype: of the parameters; by default the problem's own.
        narrated: keep what each statement of the optimizer did, as well; see `narrate`.
        progress: wraps the range of steps, as `tqdm` does.

    Raises:
        UsageError: there is no such optimizer, problem or hyper-parameter, or the code of the
            optimizer or problem raises.
    """
    problem = load_problem(problem) if isinstance(problem, str) else problem
    label = label_of(optimizer)
    cls = resolve(optimizer) if isinstance(optimizer, str) else optimizer
    settings = {**problem_rate(problem, cls), **given_settings(cls), **(settings or {})}
    rows: list[Row] = []
    with torch.random.fork_rng(devices=[]), contextlib.ExitStack() as stack:
        torch.manual_seed(seed)
        run = problem.start(seed, dtype=dtype)
        instance = construct(cls, list(run.params.values()), settings, label)
        story = stack.enter_context(narrate(instance, run.params)) if narrated else Story()
        steps = check_steps(steps, problem.steps)
        for step in progress(range(1, steps + 1)):
            closure = functools.partial(backward, run, f"{problem.name} before step {step}")
            rows.append(_row(step, closure(), run.params, instance))
            with user_code(f"step {step} of {label}"):
                advance(instance, closure)
            rows[-1] = replace(rows[-1], statements=story.step(step))
        last = backward(run, f"{problem.name} after step {steps}")
        end = _row(steps + 1, last, run.params, instance)
    return Trace(label, problem, settings, seed, rows, end)


def check_steps(steps: int | None, default: int) -> int:
    """The number of steps to make; UsageError where it is not at least 1."""
    if steps is not None and steps < 1:
        raise UsageError(f"steps must be at least 1; got {steps}")
    return default if steps is None else steps


def problem_rate(problem: Problem, *classes: Callable[..., Any]) -> dict[str, float]:
    """The problem's learning rate, as a setting, for the first of the classes that it knows.

    Empty where it knows none of them by name, or where one of them takes no `lr`.
    """
    known = [rate for rate in map(problem.rate, map(namesake, classes)) if rate is not None]
    takes_lr = all("lr" in hyperparameters(cls) for cls in classes)
    return {"lr": known[0]} if known and takes_lr else {}


def backward(run: Run, doing: str) -> Tensor:
    """Put fresh gradients of the loss into the parameters, and return the loss."""
    for param in run.params.values():
        param.grad = None
    with user_code(f"the loss of {doing}"):
        loss = run.loss()
        loss.backward()
    return loss


def _row(step: int, loss: Tensor, params: Mapping[str, Tensor], optimizer: Any) -> Row:
    grads = {name: param.grad for name, param in params.items()}
    return Row(
        step,
        loss.item(),
        {name: as_array(param) for name, param in params.items()},
        {name: as_array(grad) for name, grad in grads.items() if grad is not None},
        {
            name: {key: as_array(value) for key, value in read_state(optimizer, param).items()}
            for name, param in params.items()
        },
    )


def _stack(name: str, arrays: Sequence[Array | None]) -> Array:
    there = [array for array in arrays if array is not None]
    if not there:
        raise KeyError(name)
    missing = np.full(there[0].shape, np.nan)
    return np.stack([missing if array is None else array for array in arrays])


def _lists(arrays: Arrays) -> dict[str, list[Any]]:
    return {name: as_plain(array.ravel()) for name, array in arrays.items()}


_MAX_LINES = 10


def _draw(axes: Axes, series: Mapping[str, Array]) -> None:
    """A line for every element of every series, each of shape (steps, …); at most so many."""
    lines = [
        (f"{name}[{','.join(map(str, index))}]" if index else name, array[(..., *index)])
        for name, array in series.items()
        for index in np.ndindex(array.shape[1:])
    ]
    for number, (label, values) in enumerate(lines[:_MAX_LINES]):
        axes.plot(values, label=label, linestyle=("-", "--", ":", "-.")[number % 4])
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize="small")


def _cell(array: Array | None) -> str:
    return "" if array is None else shown(array)


def _flat(row: Row) -> dict[str, Any]:
    """The row's numbers by column name, as in `save_csv`."""
    flat: dict[str, Any] = {"step": row.step, "loss": row.loss}
    groups = [("", row.params), ("grad ", row.grads)]
    groups += [(f"state {name} ", buffers) for name, buffers in row.state.items()]
    for prefix, arrays in groups:
        for name, array in arrays.items():
            for index, number in np.ndenumerate(array):
                place = f"[{','.join(map(str, index))}]" if index else ""
                flat[f"{prefix}{name}{place}"] = number.item()
    return flat
