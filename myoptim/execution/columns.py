"""Parameters with their gradients and state, as columns.

The columns are `[params, grads, *buffers]`; the i-th entries of all columns are the row of
parameter i. An update is a function of one row that changes it in place, the gradient excepted.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

Update = Callable[..., None]
Row = Sequence[Tensor]
Columns = list[list[Tensor]]

PLAIN = frozenset((Parameter, Tensor))

is_sparse = operator.attrgetter("is_sparse")
dtype_of = operator.attrgetter("dtype")
device_of = operator.attrgetter("device")
shape_of = operator.attrgetter("shape")


def rows(columns: Columns) -> Iterator[tuple[Tensor, ...]]:
    """The tensors of one parameter after the other."""
    return zip(*columns, strict=True)


def take(columns: Columns, indices: Sequence[int]) -> Columns:
    """The parameters at some places."""
    return [[column[i] for i in indices] for column in columns]


def directly(update: Update, row: Row) -> None:
    """The update on the tensors themselves."""
    update(*row)


def each_row(update: Update, columns: Columns) -> None:
    """The update on each parameter by itself."""
    for row in rows(columns):
        update(*row)


def by_device_and_dtype(columns: Columns) -> list[Columns]:
    """The parameters together that a kernel takes together; all tensors of a row are alike."""
    params = columns[0]
    keys = list(zip(map(device_of, params), map(dtype_of, params), strict=True))
    if keys.count(keys[0]) == len(keys):
        return [columns]
    return [
        take(columns, [i for i, key in enumerate(keys) if key == kind])
        for kind in dict.fromkeys(keys)
    ]


def local(row: Row) -> Row:
    """The parts of distributed tensors that lie here, if all are cut alike; else the row as it is.

    A rule works element by element, so that the parts can be updated without any communication.
    """
    placements = getattr(row[0], "placements", None)
    if placements is None or any(placement.is_partial() for placement in placements):
        return row
    if any(getattr(tensor, "placements", None) != placements for tensor in row):
        return row
    distributed: Any = row
    return [tensor.to_local() for tensor in distributed]


def kinds(params: Sequence[Tensor]) -> set[tuple[type, torch.dtype, torch.device]]:
    """The classes, types and devices of the parameters, or of their parts that lie here."""
    if not PLAIN.issuperset(map(type, params)):
        params = [local([param])[0] for param in params]
    return set(map(_kind, params))


_kind = operator.attrgetter("__class__", "dtype", "device")


def size(columns: Columns) -> int:
    """How many elements the parameters have together."""
    return sum(map(Tensor.numel, columns[0]))
