"""Which parameters may go together: found by looking at every tensor, and remembered.

Looking takes longer than updating small tensors, and from one step to the next nothing but the
gradients is another as a rule.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from myoptim.execution.columns import PLAIN, Columns, is_sparse, kinds, rows
from myoptim.execution.cpu import fit_lists


class Layout:
    """How the tensors of a group lie.

    Attributes:
        runs: the places of parameters that may be updated together, in the order in which they
            come.
        kinds: the classes, types and devices of the parameters.
        regular: whether all are plain dense tensors, those of a row of one kind, and all apart.
        fits_lists: whether lists are the fastest for all of them, and for any part of them.
    """

    def __init__(self, columns: Columns, counters: Columns) -> None:
        self.regular = _all_regular(columns, counters)
        alone = len(columns[0]) == 1
        together = self.regular or alone
        self.runs = [range(len(columns[0]))] if together else in_order(columns, counters)
        self.fits_lists = self.regular and fit_lists(columns)
        self.kinds = kinds(columns[0])
        self._before = _description(columns, counters) if self.regular else None

    def holds(self, columns: Columns, counters: Columns) -> bool:
        """Whether these are the same tensors in the same places, the gradients excepted, which need
        only be of the same kinds."""
        return self._before is not None and _description(columns, counters) == self._before


_kind = operator.attrgetter("shape", "dtype", "device")
#: What may be another though the tensor and its place in memory are not.
_shape_and_type = operator.attrgetter("shape", "dtype")
_kind_of_gradient = operator.attrgetter("__class__", "is_sparse", "is_cpu", "dtype", "shape")


def _description(columns: Columns, counters: Columns) -> tuple[list[Any], ...]:
    """What is another if a parameter, a buffer or a counter is another, or has moved, or if a
    gradient is of another kind."""
    params, grads, *buffers = columns
    tensors = list(itertools.chain(params, *buffers))
    return (
        list(map(id, itertools.chain(tensors, *counters))),
        _pointers(tensors),
        list(map(_shape_and_type, params)),
        list(map(_kind_of_gradient, grads)),
    )


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
    """Whether all are plain dense tensors with memory, in each row of one kind, and all apart.

    None is kept with its sign the other way, as a view of a conjugate may be.
    """
    params, *others = columns
    if not {*map(type, itertools.chain(*columns))} <= PLAIN or any(map(is_sparse, columns[1])):
        return False
    each = list(map(_kind, params))
    if any(list(map(_kind, column)) != each for column in others):
        return False
    if any(map(Tensor.is_neg, itertools.chain(*columns))):
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
