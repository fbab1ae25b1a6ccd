"""Prescribed gradients: the same fixed gradients for every optimizer, whatever its parameters do.

If an optimizer is given gradients at its own parameters, its errors feed back into its gradients
and the first cause is lost. Here they are fixed beforehand, so that two optimizers can differ only
by their rules. At default hyper-parameters most mistakes are smaller than rounding; at the
`AMPLIFIED` ones a correct rule in float64 stays within 1e-15 of its reference while the wrong ones
are orders of magnitude away.

Public: `AMPLIFIED`, `Schedule`, `amplified_schedule`, `Snapshot`, `drive`, `advance`. The module
imports torch and nothing of myoptim: the course runs it alone in the process that holds a
student's code.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

AMPLIFIED: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1, "momentum": 0.6},
    "Momentum": {"lr": 0.1, "momentum": 0.6},
    "Nesterov": {"lr": 0.1, "momentum": 0.6},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.5, "eps": 0.1},
    "RMSprop": {"lr": 0.1, "alpha": 0.7, "eps": 0.1},
    "Adam": {"lr": 0.1, "betas": (0.6, 0.8), "eps": 0.1},
    "AdamW": {"lr": 0.1, "betas": (0.6, 0.8), "eps": 0.1, "weight_decay": 0.2},
    "Lion": {"lr": 0.1, "betas": (0.6, 0.8), "weight_decay": 0.2},
    "ScheduleFreeSGD": {
        "lr": 0.1,
        "momentum": 0.6,
        "warmup_steps": 3,
        "r": 0.7,
        "weight_lr_power": 1.3,
    },
    "Muon": {"lr": 0.1, "weight_decay": 0.2, "momentum": 0.6, "eps": 1.5, "ns_steps": 3},
    "Adafactor": {"lr": 0.6, "beta2_decay": -0.7, "eps": (0.1, 0.8), "d": 1.1},
}
"""Hyper-parameters that make every term count. No two of one optimizer are equal or each other's
complement, since equal values hide mistakes (dampening 0.5 hides its complement)."""

# Magnitude of the gradients at each step: they fall, so that AMSGrad's maximum differs from v, and
# rise again, so that what was stored matters.
_MAGNITUDES = (1.0, 0.2, 0.9, 1.6, 0.5, 0.25, 0.35, 1.3)


@dataclass(frozen=True)
class Schedule:
    """What is prescribed for one run.

    Attributes:
        starts: start value of each parameter.
        gradients: for every step one gradient (or None: missing) per parameter, of its shape.
        lr_factors: for every step the factor on each group's initial lr. The lr is written only
            at a step whose factor differs from the one before, as a scheduler would.
        reuse_gradients: write each gradient into the tensor that held the one before, as a loop
            with `zero_grad(set_to_none=False)` does, instead of giving a new tensor.
    """

    starts: tuple[Tensor, ...]
    gradients: tuple[tuple[Tensor | None, ...], ...]
    lr_factors: tuple[float, ...]
    reuse_gradients: bool = False

    def __post_init__(self) -> None:
        if len(self.lr_factors) != len(self.gradients):
            raise ValueError(
                f"one lr factor per step is needed: {len(self.gradients)} steps, "
                f"{len(self.lr_factors)} factors"
            )
        for step, gradients in enumerate(self.gradients, 1):
            if len(gradients) != len(self.starts) or any(
                g is not None and g.shape != p.shape
                for g, p in zip(gradients, self.starts, strict=True)
            ):
                raise ValueError(f"gradients of step {step} do not fit the parameters' shapes")

    def part(self, first: int, last: int, starts: tuple[Tensor, ...]) -> "Schedule":
        """Steps first to last (counted from 1, both included), begun at other start values."""
        return replace(
            self,
            starts=starts,
            gradients=self.gradients[first - 1 : last],
            lr_factors=self.lr_factors[first - 1 : last],
        )

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.gradients)

    def without_gradient(self, step: int, parameter: int) -> "Schedule":
        """The same schedule with one gradient missing. `step` counts from 1."""
        return self._with(step, parameter, None)

    def with_zero_gradient(self, step: int, parameter: int) -> "Schedule":
        """The same schedule with one gradient that is zero. `step` counts from 1."""
        return self._with(step, parameter, torch.zeros_like(self.starts[parameter]))

    def scaled(self, factor: float) -> "Schedule":
        """The same schedule with every gradient times a factor."""
        rows = [
            tuple(None if gradient is None else factor * gradient for gradient in row)
            for row in self.gradients
        ]
        return replace(self, gradients=tuple(rows))

    def _with(self, step: int, parameter: int, gradient: Tensor | None) -> "Schedule":
        rows = [list(row) for row in self.gradients]
        rows[step - 1][parameter] = gradient
        return replace(self, gradients=tuple(tuple(row) for row in rows))


def amplified_schedule(
    seed: int = 0,
    shapes: Sequence[tuple[int, ...]] = ((2, 3), (4,)),
    *,
    steps: int = 8,
    dtype: torch.dtype = torch.float64,
    zeros: bool = False,
    lr_change_after: int | None = None,
) -> Schedule:
    """Random gradients that tell apart rules which ordinary training does not.

    Values are independent of each other, with magnitudes that fall and rise. The first element of
    the first parameter always has a tiny gradient, which shows where eps stands. With `zeros`, its
    last element starts at zero and has gradient zero for two steps, which shows whether eps is
    there at all. With `lr_change_after=k`, the lr is multiplied by 0.4 after step k.

    Args:
        seed: the same seed gives the same values, for every dtype up to its rounding.
        shapes: shape of each parameter; the first needs two elements or more.
    """
    if steps < 1 or not shapes or math.prod(shapes[0]) < 2:
        raise ValueError(
            "a schedule needs a step or more, and a first parameter of two elements or more; "
            f"given steps={steps}, shapes={tuple(shapes)}"
        )
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...]) -> Tensor:
        """Magnitudes in [0.5, 1.5) with random signs: never near zero by accident."""
        size = torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5
        sign = torch.randint(0, 2, shape, generator=generator, dtype=torch.float64) * 2 - 1
        return size * sign

    starts = [draw(shape) for shape in shapes]
    rows = [
        [_MAGNITUDES[step % len(_MAGNITUDES)] * draw(shape) for shape in shapes]
        for step in range(steps)
    ]
    for row in rows:
        row[0].view(-1)[0] *= 0.03
    if zeros:
        starts[0].view(-1)[-1] = 0.0
        for row in rows[:2]:
            row[0].view(-1)[-1] = 0.0
    changed = steps if lr_change_after is None else lr_change_after
    return Schedule(
        starts=tuple(p.to(dtype) for p in starts),
        gradients=tuple(tuple(g.to(dtype) for g in row) for row in rows),
        lr_factors=tuple(1.0 if step < changed else 0.4 for step in range(steps)),
    )


@dataclass(frozen=True)
class Snapshot:
    """What stands after one step; all tensors are copies.

    Attributes:
        parameters: value of each parameter.
        gradients: what each parameter's `.grad` holds after the step; a rule leaves it alone.
        buffers: each parameter's entries in the optimizer's `state` that are tensors or numbers.
    """

    parameters: tuple[Tensor, ...]
    gradients: tuple[Tensor | None, ...]
    buffers: tuple[dict[str, Tensor], ...]


def drive(
    make: Callable[[list[torch.nn.Parameter]], Any],
    schedule: Schedule,
    closure: Callable[[], Any] | None = None,
) -> Iterator[Snapshot]:
    """Run an optimizer over a schedule, one `Snapshot` after each step.

    The optimizer gets parameters and gradients of its own, so that nothing it does to them reaches
    the schedule. An exception of the optimizer comes out at the step that raised it, after the
    snapshots of the steps before.

    Args:
        make: builds the optimizer from the list of parameters. Where `schedule` changes the lr, it
            needs `param_groups` with an "lr", or an attribute `lr` (otherwise AttributeError).
        closure: for steps that must have one; by default none is given.
    """
    parameters = [torch.nn.Parameter(start.clone()) for start in schedule.starts]
    optimizer = make(parameters)
    initial: dict[int, Any] = {}
    factor = 1.0
    for gradients, next_factor in zip(schedule.gradients, schedule.lr_factors, strict=True):
        for p, g in zip(parameters, gradients, strict=True):
            _give_gradient(p, g, schedule.reuse_gradients)
        if next_factor != factor:
            _scale_lr(optimizer, next_factor, initial)
            factor = next_factor
        advance(optimizer, closure)
        yield Snapshot(
            parameters=tuple(p.detach().clone() for p in parameters),
            gradients=tuple(None if p.grad is None else p.grad.clone() for p in parameters),
            buffers=tuple(read_state(optimizer, p) for p in parameters),
        )


def advance(optimizer: Any, closure: Callable[[], Any] | None) -> None:
    """A step; with the closure only if there must be one, as L-BFGS must evaluate the loss."""
    argument = inspect.signature(optimizer.step).parameters.get("closure") if closure else None
    if argument is not None and argument.default is inspect.Parameter.empty:
        optimizer.step(closure)
    else:
        optimizer.step()


def _give_gradient(p: Tensor, gradient: Tensor | None, reuse: bool) -> None:
    if reuse and gradient is not None and p.grad is not None:
        p.grad.copy_(gradient)
    else:
        p.grad = None if gradient is None else gradient.clone()


def _scale_lr(optimizer: Any, factor: float, initial: dict[int, Any]) -> None:
    """Write initial lr · factor, where `initial` remembers each holder's lr at first sight."""
    groups: list[dict[str, Any]] = getattr(optimizer, "param_groups", None) or []
    for index, group in enumerate(groups):
        if "lr" not in group:
            raise AttributeError("the optimizer has no lr that could be changed during the run")
        group["lr"] = initial.setdefault(index, group["lr"]) * factor
    if not groups:  # an AttributeError if there is none, and slots are no dictionary
        optimizer.lr = initial.setdefault(0, optimizer.lr) * factor


def read_state(optimizer: Any, param: Tensor) -> dict[str, Tensor]:
    """Copies of a parameter's buffers: its state's tensors and numbers, by name."""
    state = getattr(optimizer, "state", None)
    # Not state[param]: a state keyed by id has keys of the same hash, which tensors compare by ==.
    entries = state.items() if isinstance(state, Mapping) else ()
    own = next((entry for key, entry in entries if key is param), None)
    if isinstance(own, Tensor):
        own = {"state": own}
    return {
        str(name): torch.as_tensor(value).detach().clone()
        for name, value in (own.items() if isinstance(own, Mapping) else ())
        if isinstance(value, Tensor | int | float)
    }
