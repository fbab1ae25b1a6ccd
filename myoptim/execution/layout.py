"""Which parameters may go together: found by looking at every tensor, and remembered.

Looking takes longer than updating small tensors, and from one step to the next nothing but the
gradients is another as a rule.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor

from myoptim.execution.columns import (
    PLAIN,
    Columns,
    device_of,
    dtype_of,
    is_sparse,
    rows,
    shape_of,
)
from myoptim.execution.cpu import fit_lists


class Layout:
    """How the tensors of a group lie.

    Attributes:
        runs: the places of parameters that may be updated together, in the order in which they
            come.
        fits_lists: whether lists are the fastest for all of them, and for any part of them.
    """

    def __init__(self, columns: Columns, counters: Columns) -> None:
        regular = _all_regular(columns, counters)
        alone = len(columns[0]) == 1
        self.runs = [range(len(columns[0]))] if regular or alone else in_order(columns, counters)
        self.fits_lists = regular and fit_lists(columns)
        self._identity = _identity(columns, counters) if regular else None
        self._like = _kinds(columns[0])

    def holds(self, columns: Columns, counters: Columns) -> bool:
        """Whether these are the same tensors in the same places, the gradients excepted, which need
        only be of the same kinds."""
        grads = columns[1]
        return (
            self._identity is not None
            and PLAIN.issuperset(map(type, grads))
            and not any(map(is_sparse, grads))
            and _kinds(grads) == self._like
            and _identity(columns, counters) == self._identity
        )


def _identity(columns: Columns, counters: Columns) -> list[object]:
    """What is another if a parameter, a buffer or a counter is another, or has moved."""
    tensors = [*columns[0], *itertools.chain(*columns[2:])]
    objects = map(id, itertools.chain(tensors, *counters))
    return [*objects, *_pointers(tensors), *_kinds(columns[0])]


def _kinds(tensors: Sequence[Tensor]) -> list[object]:
    """Shapes, types and devices."""
    return [*map(shape_of, tensors), *map(dtype_of, tensors), *map(device_of, tensors)]


def _pointers(tensors: Sequence[Tensor]) -> list[int]:
    """Where the tensors begin in memory; nowhere if one has none, as in functorch, or fake ones."""
    try:
        return list(map(Tensor.data_ptr, tensors))
    except RuntimeError:
        return []


def in_order(columns: Columns, counters: Columns) -> list[Sequence[int]]:
    """The parameters in runs that may be updated together, in the order in which they come.

    A row that is regular cannot fail, and what one regular row is made of does not depend on
    another: updated together or in turn, the result is the same. Any other row is a run by itself,
    so that it finds what those before it left, and an error leaves those after it untouched.

    Args:
        columns: the parameters, their gradients and buffers.
        counters: the 0-dim tensors of their state.
    """
    odd = _overlapping(columns[0]) | _repeated([*columns[2:], *counters])
    regular = [
        i not in odd and _all_regular([[tensor] for tensor in row], [])
        for i, row in enumerate(rows(columns))
    ]
    runs: list[Sequence[int]] = []
    for together, run in itertools.groupby(range(len(regular)), regular.__getitem__):
        places = list(run)
        runs.extend([places] if together else [[i] for i in places])
    return runs


def _all_regular(columns: Columns, counters: Columns) -> bool:
    """Whether all are plain dense tensors with memory, in each row of one kind, and all apart."""
    params, *others = columns
    if not {*map(type, itertools.chain(*columns))} <= PLAIN or any(map(is_sparse, columns[1])):
        return False
    kinds = _kinds(params)
    if any(_kinds(column) != kinds for column in others):
        return False
    for column in itertools.chain(columns[2:], counters):
        if len({*map(id, column)}) < len(column):
            return False
    pointers = _pointers(params)
    return len(pointers) == len(params) and _are_apart(pointers, list(map(_extent, params)))


def _extent(tensor: Tensor) -> int:
    """How many bytes lie between the first and the last element, both included."""
    if tensor.is_contiguous():
        return tensor.nbytes
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return (reach + 1) * tensor.itemsize if tensor.numel() else 0


def _are_apart(pointers: list[int], extents: list[int]) -> bool:
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
