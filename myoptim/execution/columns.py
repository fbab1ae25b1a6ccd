"""Parameters with their gradients and state, as columns, and which of them may go together.

The columns are `[params, grads, *buffers]`; the i-th entries of all columns are the row of
parameter i. An update is a function of one row that changes it in place, the gradient excepted.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

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


def each_row(update: Update, columns: Columns) -> None:
    """The update on each parameter by itself: the loop that all else is measured against."""
    for row in rows(columns):
        update(*row)


def by_device_and_dtype(columns: Columns) -> Iterator[Columns]:
    """The parameters together that a kernel takes together; all tensors of a row are alike."""
    params = columns[0]
    keys = list(zip(map(device_of, params), map(dtype_of, params), strict=True))
    kinds = dict.fromkeys(keys)
    if len(kinds) <= 1:
        yield columns
        return
    for kind in kinds:
        yield take(columns, [i for i, key in enumerate(keys) if key == kind])


# ------------------------------------------------------------------ which may go together


def in_order(columns: Columns, counters: Columns) -> list[Sequence[int]]:
    """The parameters in runs that may be updated together, in the order in which they come.

    A row that is regular cannot fail, and what one regular row is made of does not depend on
    another: updated together or in turn, the result is the same. Any other row is a run by itself,
    so that it finds what those before it left, and an error leaves those after it untouched.

    Args:
        columns: the parameters, their gradients and buffers.
        counters: the 0-dim tensors of their state.
    """
    everything = range(len(columns[0]))
    if len(everything) == 1 or _all_regular(columns, counters):
        return [everything]
    odd = _overlapping(columns[0]) | _repeated([*columns[2:], *counters])
    regular = [
        i not in odd and _all_regular([[tensor] for tensor in row], [])
        for i, row in enumerate(rows(columns))
    ]
    runs: list[Sequence[int]] = []
    for together, run in itertools.groupby(everything, regular.__getitem__):
        places = list(run)
        runs.extend([places] if together else [[i] for i in places])
    return runs


def _all_regular(columns: Columns, counters: Columns) -> bool:
    """Whether all are plain dense tensors with memory, in each row of one kind, and all apart."""
    params, *others = columns
    if not {*map(type, itertools.chain(*columns))} <= PLAIN or any(map(is_sparse, columns[1])):
        return False
    shapes = list(map(shape_of, params))
    dtypes = list(map(dtype_of, params))
    for column in others:
        if list(map(shape_of, column)) != shapes or list(map(dtype_of, column)) != dtypes:
            return False
    if not all(param.is_cpu for param in params):
        devices = list(map(device_of, params))
        if any(list(map(device_of, column)) != devices for column in others):
            return False
    for column in (*columns[2:], *counters):
        if len({*map(id, column)}) < len(column):
            return False
    try:
        pointers = tuple(map(Tensor.data_ptr, params))
    except RuntimeError:  # no memory: functorch, fake tensors
        return False
    return _are_apart(pointers, tuple(map(_extent, params)))


def _extent(tensor: Tensor) -> int:
    """How many bytes lie between the first and the last element, both included."""
    if tensor.is_contiguous():
        return tensor.nbytes
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return (reach + 1) * tensor.itemsize if tensor.numel() else 0


@functools.lru_cache(maxsize=64)
def _are_apart(pointers: tuple[int, ...], extents: tuple[int, ...]) -> bool:
    """Whether no two pieces of memory overlap. Where there is memory, it has an address."""
    end = 0
    for pointer, extent in sorted(zip(pointers, extents, strict=True)):
        if extent and (pointer < end or not pointer):
            return False
        end = max(end, pointer + extent)
    return True


def _overlapping(params: list[Tensor]) -> set[int]:
    """The places of plain parameters whose memory overlaps with that of another."""
    plain = [(i, param) for i, param in enumerate(params) if type(param) in PLAIN]
    try:
        spans = sorted((param.data_ptr(), _extent(param), i) for i, param in plain)
    except RuntimeError:
        return set(range(len(params)))
    found: set[int] = set()
    furthest, end = -1, 0
    for pointer, extent, i in spans:
        if extent and pointer < end:
            found |= {furthest, i}
        if pointer + extent > end:
            furthest, end = i, pointer + extent
    return found


def _repeated(columns: Columns) -> set[int]:
    """The places of parameters that have a tensor of their state in common with another."""
    found: set[int] = set()
    for column in columns:
        first: dict[int, int] = {}
        for i, tensor in enumerate(column):
            j = first.setdefault(id(tensor), i)
            if j != i:
                found |= {i, j}
    return found


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


def size(columns: Columns) -> int:
    """How many elements the parameters have together."""
    return sum(map(Tensor.numel, columns[0]))
