"""Whether two rules are the same up to rounding, at settings of one's own.

`compare` amplifies hyper-parameters and counts units in the last place. Here the hyper-parameters
are given, as in a call that somebody uses, so the gradients must bring out each of them: some are
as small as ε and its root, some all but vanish after three steps, so that even an average with
β₂ = 0.999 falls below its maximum. What counts is the distance beside the way that a
parameter has gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from myoptim.lab.compare import PARAM, Divergence
from myoptim.lab.prescribed import Schedule, Snapshot, amplified_schedule, drive
from myoptim.lab.ulp import ulp_distance

NAMES = ("weight", "bias", "tiny", "vanishing")
"""The parameters of the schedule."""
STEPS = 12
LR_CHANGE_AFTER = 4
_VANISHING = (1.0, 1.0, 1.0, *[1e-6] * (STEPS - 3))

TOLERANCE = 1e-9
"""The relative distance up to which two rules in float64 are the same; correct ones stay below
1e-11, and the nearest that is not the same (an ε of 1e-10 elsewhere) is above 1e-3."""

Make = Callable[[list[torch.nn.Parameter]], Any]


@dataclass(frozen=True)
class Agreement:
    """How far apart two rules came.

    Attributes:
        distance: the largest |a - b| beside the largest |θ - θ₀| of its element, rounding of θ
            itself taken off.
        first: where it was first above the tolerance; None if nowhere.
        telling: whether a parameter moved, and all stayed finite.
    """

    distance: float
    first: Divergence | None
    telling: bool


def telling_schedule(
    epsilons: Sequence[float] = (), *, lr_changes: bool, matrices: bool = False
) -> Schedule:
    """Gradients at which each hyper-parameter shows, in float64.

    Args:
        epsilons: the values of ε that may be used: some gradients are of their size, and of that
            of their roots.
        lr_changes: multiply the learning rate by 3/8, which no type rounds, after step 4.
        matrices: every parameter has two rows.
    """
    schedule = amplified_schedule(
        shapes=((2, 3), (4,), (4,), (2,)),
        steps=STEPS,
        zeros=True,
    )
    if lr_changes:
        later = STEPS - LR_CHANGE_AFTER
        schedule = replace(schedule, lr_factors=(1.0,) * LR_CHANGE_AFTER + (0.375,) * later)
    eps = max(epsilons, default=0.0)
    sizes = torch.tensor([eps, 8 * eps, math.sqrt(eps), 8 * math.sqrt(eps)], dtype=torch.float64)
    schedule = replace(
        schedule,
        starts=(*schedule.starts[:2], torch.zeros_like(sizes), schedule.starts[3]),
        gradients=tuple(
            (weight, bias, sizes.mul(tiny), torch.mul(last, factor))
            for (weight, bias, tiny, last), factor in zip(
                cast("Any", schedule.gradients), _VANISHING, strict=True
            )
        ),
    )
    return _in_two_rows(schedule) if matrices else schedule


def _in_two_rows(schedule: Schedule) -> Schedule:
    """The same values in matrices."""
    return replace(
        schedule,
        starts=tuple(start.reshape(2, -1) for start in schedule.starts),
        gradients=tuple(
            tuple(cast("Tensor", gradient).reshape(2, -1) for gradient in row)
            for row in schedule.gradients
        ),
    )


def agreement(a: Make, b: Make, schedule: Schedule, tolerance: float = TOLERANCE) -> Agreement:
    """Run two optimizers over a schedule.

    Args:
        a: makes one from a list of parameters.
        b: makes the other.
        schedule: start values and gradients.
        tolerance: the distance that is allowed.
    """
    way = [torch.zeros_like(start) for start in schedule.starts]
    largest, first = 0.0, None
    runs = zip(drive(a, schedule), drive(b, schedule), strict=True)
    for step, (one, other) in enumerate(runs, 1):
        for index, start in enumerate(schedule.starts):
            values = one.parameters[index], other.parameters[index]
            distances = _distances(*values, start, way[index])
            largest = max(largest, distances.max().item())
            if first is None and bool((distances > tolerance).any()):
                first = _divergence(step, index, one, other, distances > tolerance, tolerance)
    moved = torch.cat([gone.flatten() for gone in way])
    return Agreement(largest, first, bool(moved.isfinite().all() and moved.any()))


def _distances(a: Tensor, b: Tensor, start: Tensor, way: Tensor) -> Tensor:
    """Each element's distance beside its way, which is kept up to date; infinite from NaN."""
    torch.maximum(way, torch.maximum((a - start).abs(), (b - start).abs()), out=way)
    rounding = 8 * torch.finfo(a.dtype).eps * torch.maximum(a.abs(), b.abs())
    apart = ((a - b).abs() - rounding).clamp_min(0)
    apart = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, apart.nan_to_num(math.inf))
    return torch.where(apart == 0, 0.0, apart / way)


def _divergence(
    step: int, index: int, a: Snapshot, b: Snapshot, differs: Tensor, tolerance: float
) -> Divergence:
    """Where it was, and in which quantity: the first buffer of one name that differs, or θ."""
    element = tuple(differs.nonzero()[0].tolist())
    mine, others = a.buffers[index], b.buffers[index]
    shape = a.parameters[index].shape
    pairs = {
        name: (buffer[element], others[name][element])
        for name, buffer in mine.items()
        if name in others and buffer.shape == others[name].shape == shape
    }
    apart = (
        name
        for name, (x, y) in pairs.items()
        if not (x - y).abs() <= tolerance * torch.maximum(x.abs(), y.abs())
    )
    quantity = next(apart, PARAM)
    here = (a.parameters[index][element], b.parameters[index][element])
    x, y = pairs.get(quantity, here)
    ulp = int(ulp_distance(x, y))
    return Divergence(step, NAMES[index], element, quantity, x.item(), y.item(), ulp)
