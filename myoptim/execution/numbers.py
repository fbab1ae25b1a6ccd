"""The numbers per parameter that are kept in its state as 0-dim tensors, such as `step`.

A rule is given them as plain numbers, so parameters go together where they are equal. Where nothing
may be read, because a graph is recorded, each parameter stays by itself with its own tensors.
"""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from myoptim.execution import private
from myoptim.execution.columns import Columns, dtype_of
from myoptim.execution.foreach import number_as_tensor

_ONE_FLOAT = ({torch.float32}, {torch.float64})
_add_to_each: Any = getattr(torch, "_foreach_add_", None)


def new(
    value: Any, device: torch.device | str, fused: bool, dtype: torch.dtype | None = None
) -> Tensor:
    """A number as a 0-dim tensor of its own, which autograd follows where it records.

    Args:
        value: the number.
        device: where it is kept.
        fused: whether a kernel is to read it.
        dtype: of the tensor; by default that of torch's counters.
    """
    dtype = dtype or private.scalar_dtype(fused)
    if isinstance(value, Tensor):
        return value.clone().to(dtype=dtype, device=device)
    return torch.tensor(value, dtype=dtype, device=device)


def count_up(counters: list[Tensor]) -> None:
    """Add one to each counter, whatever its type."""
    if len(counters) == 1 or _add_to_each is None:
        for counter in counters:
            counter += 1
    elif counters[0].is_cpu and are_floats([counters]):
        # A number would be made a tensor anew for every counter.
        _add_to_each(counters, number_as_tensor(1.0, counters[0].dtype), alpha=1.0)
    else:
        _add_to_each(counters, 1)


def are_floats(columns: Columns) -> bool:
    """Whether all are of one type in which lists have the bits of single numbers."""
    return set(map(dtype_of, itertools.chain(*columns))) in _ONE_FLOAT


def read(counters: Sequence[Tensor]) -> list[float]:
    """The counters as numbers; from an accelerator all at once, since each time waits for it."""
    if counters[0].is_cpu or len({counter.device for counter in counters}) > 1:
        return list(map(Tensor.item, counters))
    return torch.stack(list(counters)).tolist()


def value_of(number: Any) -> Any:
    """A number of the state as one of Python, or as what autograd may keep if it follows it."""
    if not isinstance(number, Tensor):
        return number
    return number.clone() if number.requires_grad else number.item()


def by_value(
    by_name: Mapping[str, Sequence[Any]], takes: Sequence[str], count: int
) -> list[tuple[dict[str, Any], Sequence[int]]]:
    """What a rule takes of the numbers, each with the places of the parameters where it is so.

    Args:
        by_name: 0-dim tensors, or values of Python, one for each parameter.
        takes: the names of those that the rule takes, and of others.
        count: how many parameters there are.
    """
    given: dict[str, Any] = {}
    columns: list[Sequence[Any]] = []
    for name, column in by_name.items():
        if name in takes:
            values = read(column) if isinstance(column[0], Tensor) else column
            given[name] = values[0]
            columns.append(values)
    if all(values.count(values[0]) == count for values in columns):
        return [(given, range(count))]
    places: dict[Any, list[int]] = {}
    for i, key in enumerate(zip(*columns, strict=True)):
        places.setdefault(key, []).append(i)
    return [(dict(zip(given, key, strict=True)), where) for key, where in places.items()]


def check_capturable(params: list[Tensor], numbers: Columns) -> None:
    """Raise, as torch does, unless a graph can hold the update of these parameters."""
    allowed = private.capturable_devices()
    for param, *kept in zip(params, *numbers, strict=True):
        device = param.device.type
        given = [device, *[number.device.type for number in kept]]
        if device not in allowed or len(set(given)) > 1:
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: "
                f"{allowed}; given were {', '.join(dict.fromkeys(given))}."
            )
