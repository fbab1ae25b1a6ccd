"""Where two optimizers first differ: the step, the parameter, the element, and which buffer.

    >>> print(compare("SGD", "torch.optim:SGD"))
    A = SGD, B = torch.optim:SGD: equal bits over 20 steps.
    Settings of both: lr=0.1, momentum=0.6, weight_decay=0.2, dampening=0.3.

By default both are given the same prescribed gradients (`myoptim.lab.prescribed`), so that what
differs is the rule and not its consequences, and amplified hyper-parameters, so that every term
of the rule counts. With a problem, each follows its own path.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from myoptim.lab.errors import UsageError
from myoptim.lab.prescribed import (
    AMPLIFIED,
    Schedule,
    Snapshot,
    advance,
    amplified_schedule,
    drive,
    read_state,
)
from myoptim.lab.problems import Problem, load_problem
from myoptim.lab.resolve import (
    construct,
    given_settings,
    hyperparameters,
    label_of,
    resolve,
    skips_missing,
    user_code,
)
from myoptim.lab.tables import as_html
from myoptim.lab.trace import backward, check_steps, problem_rate
from myoptim.lab.ulp import NAN_DISTANCE, ulp_distance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARAM = "param"
"""The quantity that is no buffer: the parameter itself."""

# The prescribed run: steps count from 1.
_SHAPES = {"weight": (2, 3), "bias": (4,), "scale": ()}
_STEPS = 20
_LR_CHANGE_AFTER = 4
_MISSING_STEP, _MISSING_PARAM = 3, 1
_PAIRS = [pair for values in AMPLIFIED.values() for pair in values.items()]
_AMPLIFIED = {
    **dict(_PAIRS),
    **dict(reversed(_PAIRS)),  # what a name means to the first that has it
    "dampening": 0.3,
    "rho": 0.7,
    "momentum_decay": 0.3,
    "lambd": 0.05,
}

# Buffers in the order in which a step updates them. Others follow in the order of the state, which
# is the order they were made in.
_UPDATE_ORDER = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "sum", "square_avg", "grad_avg")

# Buffers of different names are taken for the same where this share of their entries agrees.
_MATCH = 0.02
# Relative distances up to this many machine epsilons are called rounding: some twenty operations
# a step, over a short run.
_ROUNDING = 64
# More units in the last place than these say less than the difference itself.
_COUNTABLE = 9_999


@dataclass(frozen=True)
class Divergence:
    """The first place where two optimizers differ by more than was allowed.

    Buffers are updated before the parameter, so of those that differ at the same step the first in
    that order is named.

    Attributes:
        step: from 1.
        param: the parameter's name.
        index: the element's place in it, one number per dimension.
        quantity: the name of the buffer (in A, where the names differ), or "param".
        a: the value in A; a complex one as (real, imaginary).
        b: the value in B.
        ulp: how many units in the last place they are apart.
    """

    step: int
    param: str
    index: tuple[int, ...]
    quantity: str
    a: float | tuple[float, float]
    b: float | tuple[float, float]
    ulp: int

    @property
    def difference(self) -> float:
        """|a - b|."""
        a, b = (complex(*x) if isinstance(x, tuple) else x for x in (self.a, self.b))
        return abs(a - b)


@dataclass(frozen=True)
class Distances:
    """How far apart two optimizers are after a step.

    Attributes:
        step: from 1.
        ulps: for each quantity, the largest distance over all parameters and elements.
        differences: for each quantity, the largest |a - b|; infinite where only one was finite.
        relative: the largest |a - b| of any quantity, divided by the largest |a| that its tensor
            has held up to this step: where a sum cancels to nearly 0, many ulp are still little.
    """

    step: int
    ulps: dict[str, int]
    differences: dict[str, float]
    relative: float

    def cell(self, quantity: str) -> str:
        """The distance of a quantity to read: in ulp, or |a - b| where those are too many."""
        if quantity not in self.ulps:
            return ""
        return _size(self.ulps[quantity], self.differences[quantity])

    def is_gross(self, quantity: str) -> bool:
        """Whether ulp would say less than the difference itself."""
        return _COUNTABLE < self.ulps.get(quantity, 0) < NAN_DISTANCE


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        a: the name of optimizer A.
        b: the name of optimizer B.
        task: the problem's name, or "prescribed gradients".
        dtype: of the parameters.
        tolerance: how many units in the last place were allowed.
        settings_a: the hyper-parameters that A was given.
        settings_b: the hyper-parameters that B was given.
        buffers: which buffer of B was compared with which of A, by A's names.
        growth: the distances after each step.
        first_divergence: None where the two are equal up to the tolerance.
        notes: what else to know: hyper-parameters left out, buffers without counterpart,
            gradients that an optimizer changed.
    """

    a: str
    b: str
    task: str
    dtype: torch.dtype
    tolerance: int
    settings_a: dict[str, Any]
    settings_b: dict[str, Any]
    buffers: dict[str, str]
    growth: Sequence[Distances]
    first_divergence: Divergence | None
    notes: Sequence[str]

    @property
    def equal(self) -> bool:
        """Whether the two were never farther apart than the tolerance."""
        return self.first_divergence is None

    @property
    def max_ulp(self) -> int:
        """The largest distance over the run; `ulp.NAN_DISTANCE` where only one was NaN."""
        return max(max(row.ulps.values()) for row in self.growth)

    @property
    def only_rounding(self) -> bool:
        """Whether the relative distance stayed within 64 machine epsilons."""
        return max(row.relative for row in self.growth) <= self._rounding

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON holds it."""
        return {
            "equal": self.equal,
            "max_ulp": self.max_ulp,
            "first_divergence": self.first_divergence and asdict(self.first_divergence),
            "only_rounding": self.only_rounding,
            "a": self.a,
            "b": self.b,
            "task": self.task,
            "steps": len(self.growth),
            "dtype": str(self.dtype).removeprefix("torch."),
            "tolerance": self.tolerance,
            "settings_a": self.settings_a,
            "settings_b": self.settings_b,
            "buffers": self.buffers,
            "growth": [asdict(row) for row in self.growth],
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        found = self._verdict() if self.equal else f"they differ from step {self._first.step} on."
        return f"<comparison of {self.a} and {self.b}: {found.removesuffix('.')}>"

    def __str__(self) -> str:
        """The finding in sentences."""
        verdict = f"A = {self.a}, B = {self.b}: {self._verdict()}"
        found = "" if self.equal else self._describe(self._first)
        notes = (f"Note: {note}" for note in self.notes)
        return "\n".join(filter(None, [verdict, found, *self.settings(), *notes]))

    def _repr_html_(self) -> str:
        title = f"A = {self.a}, B = {self.b}: {self._verdict()}"
        notes = [*str(self).splitlines()[1:], *(self.legend() if self.max_ulp else ())]
        headings, rows = self.table() if self.max_ulp else ([], [])
        return as_html(title, headings, rows, notes)

    def settings(self) -> list[str]:
        """The hyper-parameters: those that both had, then those of each alone."""
        both = {k: v for k, v in self.settings_a.items() if self.settings_b.get(k, _ABSENT) == v}
        sides = {"both": both, "A": self.settings_a, "B": self.settings_b}
        lines = {
            name: _in_words({k: v for k, v in given.items() if given is both or k not in both})
            for name, given in sides.items()
        }
        return [f"Settings of {name}: {words}." for name, words in lines.items() if words]

    def _verdict(self) -> str:
        steps = f"over {len(self.growth)} steps"
        if self.max_ulp == 0:
            return f"equal bits {steps}."
        if self.equal:
            return f"equal up to {self.max_ulp:,} ulp {steps} ({self.tolerance:,} allowed)."
        return "they differ."

    @property
    def _first(self) -> Divergence:
        assert self.first_divergence is not None
        return self.first_divergence

    def _describe(self, at: Divergence) -> str:
        place = at.param + (f"[{', '.join(map(str, at.index))}]" if at.index else "")
        other = self.buffers.get(at.quantity, at.quantity)
        what = "the parameter itself" if at.quantity == PARAM else f"the buffer {at.quantity}"
        what += f" ({other} in B)" if other != at.quantity else ""
        relative = max(row.relative for row in self.growth)
        largest = max(max(row.differences.values()) for row in self.growth)
        size = "no more than rounding" if self.only_rounding else "more than rounding"
        distance = _size(self.max_ulp, largest, "|a - b| = ")
        return (
            f"First divergence: step {at.step}, {place}, in {what}:\n"
            f"  A  {at.a!r}\n"
            f"  B  {at.b!r}\n"
            f"  distance: {_size(at.ulp, at.difference, '|a - b| = ')}\n"
            f"Largest distance over {len(self.growth)} steps: {distance}, "
            f"relative {relative:.2g}: {size}."
        )

    def legend(self) -> list[str]:
        """What the numbers of the table are."""
        gross = any(row.is_gross(name) for row in self.growth for name in row.ulps)
        plain = f"Numbers without a unit are |a - b|, where that is more than {_COUNTABLE:,} ulp."
        return [
            *([plain] if gross else []),
            "relative: the largest |a - b| of any quantity beside the largest |a| that its tensor "
            f"has held up to this step. Up to {self._rounding:.2g} it is called rounding.",
        ]

    def save_csv(self, path: Path | str) -> None:
        """Write a row for every step: for each quantity `NAME ulp` and `NAME difference`, and
        `relative`."""
        rows = [
            {
                "step": row.step,
                **{f"{name} ulp": ulp for name, ulp in row.ulps.items()},
                **{f"{name} difference": value for name, value in row.differences.items()},
                "relative": row.relative,
            }
            for row in self.growth
        ]
        columns = sorted(dict.fromkeys(key for row in rows for key in row), key=_column_order)
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def table(self, at_most: int = 20) -> tuple[list[str], list[list[str]]]:
        """How the distance grows: column headings and, for some of the steps, the cells to read.

        The steps are evenly spaced, and the first divergence and the largest distance are among
        them. Quantities that are equal throughout have no column.
        """
        quantities = self._differing()
        headings = ["step", *quantities, "relative"]
        cells = [
            [
                str(row.step),
                *map(row.cell, quantities),
                f"{row.relative:.2g}",
            ]
            for row in self._some(at_most)
        ]
        return headings, cells

    def _some(self, at_most: int) -> list[Distances]:
        every = -(-len(self.growth) // at_most)
        chosen = set(range(0, len(self.growth), every))
        chosen.add(max(range(len(self.growth)), key=lambda i: max(self.growth[i].ulps.values())))
        if self.first_divergence:
            chosen.add(self.first_divergence.step - 1)
        return [self.growth[i] for i in sorted(chosen)]

    def plot(self) -> Figure:
        """Draw how the distances grow: in units in the last place, and relative to the values."""
        from matplotlib.ticker import MaxNLocator

        from myoptim.lab import plots

        figure = plots.new_figure(f"{self.a} (A) and {self.b} (B)", 2)
        in_ulp, relative = figure.axes
        colours = list(plots.COLOURS.values())
        in_ulp.set_prop_cycle(color=colours, marker=plots.MARKERS[: len(colours)])
        steps = [row.step for row in self.growth]
        for name in self._differing() or [PARAM]:
            in_ulp.plot(steps, [row.ulps.get(name, 0) for row in self.growth], label=name)
        in_ulp.set_yscale("symlog", linthresh=1)
        in_ulp.set_ylabel("largest distance (ulp)")
        relative.plot(steps, [row.relative for row in self.growth], color="black")
        relative.axhline(self._rounding, color="grey", linestyle=":", label="rounding, at most")
        relative.set_yscale("symlog", linthresh=torch.finfo(self.dtype).eps)
        relative.set_ylabel("largest relative distance")
        for axes in figure.axes:
            if self.first_divergence:
                at = self.first_divergence.step
                axes.axvline(at, color="grey", linestyle="--", label="first divergence")
            axes.set_xlabel("step")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.25)
            axes.legend(frameon=False)
        return figure

    def _differing(self) -> list[str]:
        """The quantities that are not equal throughout."""
        names = dict.fromkeys(name for row in self.growth for name in row.ulps)
        return [name for name in names if any(row.ulps.get(name) for row in self.growth)]

    @property
    def _rounding(self) -> float:
        return _ROUNDING * torch.finfo(self.dtype).eps


def _size(ulp: int, difference: float, what: str = "") -> str:
    """A distance to read: in ulp or, after what it is, the difference."""
    if ulp == NAN_DISTANCE:
        return "NaN in one of them"
    return f"{ulp:,} ulp" if ulp <= _COUNTABLE else f"{what}{difference:.4g}"


_ABSENT = object()


def _in_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def _column_order(name: str) -> int:
    """Step, quantities as they come, relative."""
    return {"step": 0, "relative": 2}.get(name, 1)


def compare(
    a: str | Callable[..., Any],
    b: str | Callable[..., Any],
    *,
    problem: str | Problem | None = None,
    steps: int | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    tolerance: int = 0,
    settings: Mapping[str, Any] | None = None,
    settings_a: Mapping[str, Any] | None = None,
    settings_b: Mapping[str, Any] | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Comparison:
    """Run two optimizers and find the first place where they differ.

    The prescribed run has three parameters, of shapes (2, 3), (4,) and (); gradients that fall and
    rise, one entry of them always tiny, one zero for two steps; no gradient for the second
    parameter at step 3; and the learning rate multiplied by 0.4 after step 4. Hyper-parameters
    that both constructors have are amplified. Neither can disturb the other: each has its own
    parameters, gradients and random numbers. NaN and divergence are results like any others.

    Args:
        a: a class, a function from parameters to an optimizer, or a name as `resolve` takes it.
        b: the other.
        problem: follow this one's gradients, each optimizer at its own parameters, instead.
        steps: how many; by default 20, or what the problem suggests.
        seed: of the gradients or the problem, and of torch's random numbers in each run.
        dtype: of the parameters; by default float32, or the problem's own.
        tolerance: the distance, in units in the last place, up to which numbers count as equal.
        settings: hyper-parameters for both.
        settings_a: hyper-parameters for A alone.
        settings_b: hyper-parameters for B alone.
        progress: wraps the range of steps of each of the two runs, as `tqdm` does.

    Raises:
        UsageError: there is no such optimizer, problem or hyper-parameter, or code of the user's
            raises; the message says whether A's or B's.
    """
    if tolerance < 0:
        raise UsageError(f"the tolerance must be 0 ulp or more; got {tolerance}")
    problem = load_problem(problem) if isinstance(problem, str) else problem
    sides = [
        _side(letter, optimizer, {**(settings or {}), **(own or {})})
        for letter, optimizer, own in (("A", a, settings_a), ("B", b, settings_b))
    ]
    if problem is None:
        notes = _amplify(sides)
        schedule = _schedule(sides, check_steps(steps, _STEPS), seed, dtype or torch.float32, notes)
        runs = [_prescribed_run(side, schedule, progress, seed) for side in sides]
        names = list(_SHAPES)
    else:
        notes = []
        _share_rate(sides, problem)
        steps = check_steps(steps, problem.steps)
        params = problem.start(seed, dtype=dtype).params
        runs = [_problem_run(side, problem, steps, progress, seed, dtype) for side in sides]
        names = list(params)
        dtype = next(iter(params.values())).dtype
    for side, run in zip(sides, runs, strict=True):
        notes += _changed_gradients(side, run, names)
    run_a, run_b = runs
    buffers = _match_buffers(run_a, run_b)
    notes += _buffer_notes(run_a, run_b, buffers)
    growth, first = _differences(run_a, run_b, names, buffers, tolerance)
    return Comparison(
        a=label_of(a),
        b=label_of(b),
        task=problem.name if problem else "prescribed gradients",
        dtype=dtype or torch.float32,
        tolerance=tolerance,
        settings_a=sides[0].settings,
        settings_b=sides[1].settings,
        buffers=buffers,
        growth=growth,
        first_divergence=first,
        notes=notes,
    )


# The two runs ---------------------------------------------------------------------------------


@dataclass
class _Side:
    """One of the two optimizers: its class, what to call it, what it is constructed with."""

    cls: Callable[..., Any]
    name: str
    settings: dict[str, Any]

    def construct(self, params: Sequence[Tensor]) -> Any:
        return construct(self.cls, params, self.settings, self.name)


def _side(letter: str, optimizer: str | Callable[..., Any], settings: dict[str, Any]) -> _Side:
    cls = resolve(optimizer) if isinstance(optimizer, str) else optimizer
    return _Side(cls, f"{letter} ({label_of(optimizer)})", {**given_settings(cls), **settings})


@dataclass(frozen=True)
class _Step:
    """The gradients an optimizer was given, and what stands after its step."""

    given: Sequence[Tensor | None]
    after: Snapshot


_Run = Sequence[_Step]


def _amplify(sides: Sequence[_Side]) -> list[str]:
    """Add amplified values for what both constructors have, and say what was left out.

    What one of the two was given is the user's to choose for both, so it is left alone.
    """
    known = [_amplifiable(side.cls) for side in sides]
    given = {name for side in sides for name in side.settings}
    # Nesterov's momentum allows no dampening.
    nesterov = any(
        {"nesterov": False, **hyperparameters(side.cls), **side.settings}["nesterov"] is True
        for side in sides
    )
    values = {k: v for k, v in _AMPLIFIED.items() if not (nesterov and k == "dampening")}
    shared = {k: v for k, v in values.items() if k in known[0] and k in known[1]}
    notes: list[str] = []
    for side, mine, others in zip(sides, known, reversed(known), strict=True):
        alone = [k for k in values if k in mine and k not in {**others, **side.settings}]
        if alone:
            notes.append(f"only {side.name} has {', '.join(alone)}: left at the default.")
    notes += [
        f"the defaults of {k} differ: {known[0][k]!r} in A, {known[1][k]!r} in B."
        for k in shared
        if Parameter.empty not in (known[0][k], known[1][k]) and known[0][k] != known[1][k]
    ]
    for side in sides:
        amplified = {k: v for k, v in shared.items() if k not in given}
        side.settings = {**amplified, **side.settings}
    return notes


def _amplifiable(cls: Callable[..., Any]) -> dict[str, Any]:
    """The hyper-parameters with an amplified value, where their default is of the same kind.

    Not so Adafactor's `eps`, which is a pair.
    """
    return {
        name: default
        for name, default in hyperparameters(cls).items()
        if name in _AMPLIFIED
        and (default is Parameter.empty or _numbers(default) == _numbers(_AMPLIFIED[name]))
    }


def _numbers(value: Any) -> int | None:
    """How many numbers are in a hyper-parameter; None where it is one by itself."""
    return len(value) if isinstance(value, tuple | list) else None


def _share_rate(sides: Sequence[_Side], problem: Problem) -> None:
    """Give both the problem's learning rate, where they take one and were given none."""
    rate = problem_rate(problem, *(side.cls for side in sides))
    for side in sides:
        side.settings = {**rate, **side.settings}


def _schedule(
    sides: Sequence[_Side], steps: int, seed: int, dtype: torch.dtype, notes: list[str]
) -> Schedule:
    """The prescribed gradients; without a change of lr if one of the two has no lr to change."""
    without = [side.name for side in sides if not _has_lr(side)]
    notes += [f"{name} has no param_groups with an lr: it stays the same." for name in without]
    schedule = amplified_schedule(
        seed,
        tuple(_SHAPES.values()),
        steps=steps,
        dtype=dtype,
        zeros=True,
        lr_change_after=None if without else _LR_CHANGE_AFTER,
    )
    needing = [side.name for side in sides if not skips_missing(side.cls)]
    notes += [f"{name} needs every gradient: none is missing." for name in needing]
    if steps < _MISSING_STEP or needing:
        return schedule
    return schedule.without_gradient(_MISSING_STEP, _MISSING_PARAM)


def _has_lr(side: _Side) -> bool:
    optimizer = side.construct([torch.nn.Parameter(torch.zeros(s)) for s in _SHAPES.values()])
    groups = getattr(optimizer, "param_groups", [vars(optimizer)])
    return all("lr" in group for group in groups)


def _prescribed_run(
    side: _Side, schedule: Schedule, progress: Callable[[range], Iterable[int]], seed: int
) -> _Run:
    with _own_random_numbers(seed):
        snapshots = drive(side.construct, schedule, lambda: 0.0)
        run: list[_Step] = []
        for step in progress(range(1, schedule.steps + 1)):
            with user_code(f"step {step} of {side.name}"):
                after = next(snapshots)
            run.append(_Step(schedule.gradients[step - 1], after))
        return run


def _problem_run(
    side: _Side,
    problem: Problem,
    steps: int,
    progress: Callable[[range], Iterable[int]],
    seed: int,
    dtype: torch.dtype | None,
) -> _Run:
    with _own_random_numbers(seed):
        start = problem.start(seed, dtype=dtype)
        params = list(start.params.values())
        optimizer = side.construct(params)
        run: list[_Step] = []
        for step in progress(range(1, steps + 1)):
            doing = f"{problem.name} before step {step} of {side.name}"
            closure = functools.partial(backward, start, doing)
            closure()
            given = _gradients(params)
            with user_code(f"step {step} of {side.name}"):
                advance(optimizer, closure)
            values = tuple(param.detach().clone() for param in params)
            buffers = tuple(read_state(optimizer, param) for param in params)
            run.append(_Step(given, Snapshot(values, _gradients(params), buffers)))
        return run


def _gradients(params: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    return tuple(None if param.grad is None else param.grad.clone() for param in params)


@contextlib.contextmanager
def _own_random_numbers(seed: int) -> Generator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _changed_gradients(side: _Side, run: _Run, names: Sequence[str]) -> list[str]:
    """A note on the first gradient that the optimizer did not leave as it was given."""
    for number, step in enumerate(run, 1):
        for name, given, left in zip(names, step.given, step.after.gradients, strict=True):
            if not _same(given, left):
                what = "removed" if left is None else "changed"
                return [f"{side.name} {what} the gradient of {name}, first at step {number}."]
    return []


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and a.dtype == b.dtype and not ulp_distance(a, b).any()


# Which buffer of B is which of A --------------------------------------------------------------


def _match_buffers(a: _Run, b: _Run) -> dict[str, str]:
    """B's name for each of A's buffers: the same one, or else that of the values most alike."""
    names_a, names_b = _buffer_names(a), _buffer_names(b)
    matched = {name: name for name in names_a if name in names_b and _comparable(a, b, name, name)}
    alike = [
        (_agreement(a, b, name_a, name_b), name_a, name_b)
        for name_a, name_b in itertools.product(names_a, names_b)
        if not {name_a, name_b} & matched.keys() and _comparable(a, b, name_a, name_b)
    ]
    for share, name_a, name_b in sorted(alike, key=lambda row: -row[0]):
        if share >= _MATCH and name_a not in matched and name_b not in matched.values():
            matched[name_a] = name_b
    return {name: matched[name] for name in names_a if name in matched}


def _buffer_names(run: _Run) -> list[str]:
    """The names of the buffers at any step, in the order in which a step updates them."""
    names = dict.fromkeys(n for step in run for buffers in step.after.buffers for n in buffers)
    known = [name for name in _UPDATE_ORDER if name in names]
    return [*known, *(name for name in names if name not in known)]


def _both(a: _Run, b: _Run, name_a: str, name_b: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The two buffers wherever both exist: at every step, for every parameter."""
    for step_a, step_b in zip(a, b, strict=True):
        for own, other in zip(step_a.after.buffers, step_b.after.buffers, strict=True):
            if name_a in own and name_b in other:
                yield own[name_a], other[name_b]


def _comparable(a: _Run, b: _Run, name_a: str, name_b: str) -> bool:
    """Whether the two have as many elements as each other everywhere."""
    return all(x.numel() == y.numel() for x, y in _both(a, b, name_a, name_b))


def _agreement(a: _Run, b: _Run, name_a: str, name_b: str) -> float:
    """The share of entries, zeros apart, that agree to a thousandth."""
    pairs = [_aligned(x, y) for x, y in _both(a, b, name_a, name_b)]
    if not pairs:
        return 0.0
    x, y = (torch.cat([pair[i].reshape(-1).to(torch.complex128) for pair in pairs]) for i in (0, 1))
    filled = (x != 0) | (y != 0)
    agree = (x - y).abs() <= 1e-3 * torch.maximum(x.abs(), y.abs())
    return float((agree & filled).sum() / filled.sum().clamp(min=1))


def _buffer_notes(a: _Run, b: _Run, buffers: Mapping[str, str]) -> list[str]:
    renamed = [f"{x} is {y} in B" for x, y in buffers.items() if x != y]
    notes = [f"buffers matched by their values: {', '.join(renamed)}."] if renamed else []
    for letter, run, matched in (("A", a, buffers.keys()), ("B", b, buffers.values())):
        alone = [name for name in _buffer_names(run) if name not in matched]
        if alone:
            notes.append(f"buffers of {letter} without counterpart: {', '.join(alone)}.")
    return notes


# Where they differ ----------------------------------------------------------------------------


def _differences(
    a: _Run, b: _Run, names: Sequence[str], buffers: Mapping[str, str], tolerance: int
) -> tuple[list[Distances], Divergence | None]:
    growth: list[Distances] = []
    first = None
    scales: dict[tuple[str, str], float] = {}
    for number, (step_a, step_b) in enumerate(zip(a, b, strict=True), 1):
        ulps: dict[str, int] = {}
        apart: dict[str, float] = {}
        relative = 0.0
        for name, quantity, x, y in _quantities(step_a.after, step_b.after, names, buffers):
            distance = ulp_distance(x, y)
            if not distance.numel():
                continue
            largest = int(distance.max())
            ulps[quantity] = max(ulps.get(quantity, 0), largest)
            difference = _largest_difference(x, y)
            apart[quantity] = max(apart.get(quantity, 0.0), difference)
            scale = max(scales.get((name, quantity), 0.0), _largest(x))
            scales[name, quantity] = scale
            relative = max(relative, difference / scale if scale else 0.0)
            if first is None and largest > tolerance:
                first = _divergence(number, name, quantity, x, y, distance > tolerance)
        growth.append(Distances(number, ulps, apart, relative))
    return growth, first


def _quantities(
    a: Snapshot, b: Snapshot, names: Sequence[str], buffers: Mapping[str, str]
) -> Iterator[tuple[str, str, Tensor, Tensor]]:
    """Parameter's name, quantity, and its two values; the quantities in the order of updates."""
    for i, name in enumerate(names):
        for own, other in buffers.items():
            if own in a.buffers[i] and other in b.buffers[i]:
                yield name, own, *_aligned(a.buffers[i][own], b.buffers[i][other])
        yield name, PARAM, *_aligned(a.parameters[i], b.parameters[i])


def _aligned(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The two in x's shape, densely, and in the coarser of their dtypes."""
    x, y = (tensor.to_dense() if tensor.is_sparse else tensor for tensor in (x, y))
    dtype = min((x.dtype, y.dtype), key=_precision)
    return x.to(dtype), y.reshape(x.shape).to(dtype)


def _precision(dtype: torch.dtype) -> float:
    floating = dtype.is_floating_point or dtype.is_complex
    return -torch.finfo(dtype).eps if floating else 0.0


def _largest(x: Tensor) -> float:
    """The largest finite |x|."""
    return float(x.abs().double().nan_to_num(0.0, 0.0).max())


def _largest_difference(x: Tensor, y: Tensor) -> float:
    """The largest |x - y|; infinite where one is infinite or NaN and the other is not."""
    same = (x == y) | (x.isnan() & y.isnan())
    wide = torch.complex128 if x.is_complex() else torch.float64
    difference = (x.to(wide) - y.to(wide)).abs().nan_to_num(torch.inf)
    return float(torch.where(same, 0.0, difference).max())


def _divergence(
    step: int, param: str, quantity: str, x: Tensor, y: Tensor, differs: Tensor
) -> Divergence:
    index = tuple(differs.nonzero()[0].tolist())
    ulp = int(ulp_distance(x[index], y[index]))
    return Divergence(step, param, index, quantity, _number(x[index]), _number(y[index]), ulp)


def _number(x: Tensor) -> float | tuple[float, float]:
    return (x.real.item(), x.imag.item()) if x.is_complex() else float(x.item())
