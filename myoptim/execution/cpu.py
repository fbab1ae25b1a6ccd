"""On a CPU: pieces of a good size, large tensors cut into chunks, small ones packed together.

Most of a step on a CPU is waiting, for memory when tensors are large and for Python when they are
small. The temporaries of a piece stay in the cache, and do not grow with the model.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from myoptim.execution.columns import (
    Columns,
    Row,
    Update,
    by_device_and_dtype,
    each_row,
    rows,
    shape_of,
    size,
    take,
)
from myoptim.execution.foreach import copy_each, over_lists
from myoptim.execution.graph import trace
from myoptim.execution.workspace import Workspace, WorkspaceList

#: Where a row has n tensors, three at least, those of more than IN_CACHE / (n - 1) elements are cut
#: into chunks of so many, and others put together up to so many: what a rule reads and makes then
#: stays in the cache. On one tensor of 10 million elements Adam takes a third of the time. A
#: multiple of every vector's length.
IN_CACHE = 1_966_080

#: Up to this many elements most of the time of an update is Python's.
SMALL = 2_048

#: Small tensors are packed together up to this many elements.
PACK = 32_768

#: So many parameters are taken at a time: of so many tensors all but the elements stays in the
#: cache, and what is asked of them again and again.
AT_A_TIME = 256

#: In these a CPU gives the same bits in a list as by itself. In half precision list kernels round
#: their scalars in another way.
EXACT = (torch.float32, torch.float64)

#: Copying so many small tensors into one, and the results back, costs less than list kernels if a
#: rule has more statements than a row has tensors.
WORTH_PACKING = 32


def some_at_a_time(columns: Columns) -> Iterator[Columns]:
    """The parameters, some at a time."""
    for i in range(0, len(columns[0]), AT_A_TIME):
        yield [column[i : i + AT_A_TIME] for column in columns]


def cache_sized(update: Update, columns: Columns, zeros_tie: bool) -> None:
    """The update on pieces of a good size.

    Args:
        update: the update.
        columns: parameters of one type, whose bits are the same in a list.
        zeros_tie: whether 0.0 may meet -0.0 in a maximum or minimum of the rule.
    """
    width = len(columns)
    if fit_in_cache(columns):
        over_lists(update, columns)  # in fresh memory: of so little, it is likely in the cache
        return
    graph = trace(update, width)
    if len(graph.nodes) == 1:  # one pass over memory as it is
        over_lists(update, columns)
    elif not graph.splits(zeros_tie):
        each_row(update, columns)
    else:
        for part in some_at_a_time(columns):
            _in_pieces(update, part, packs=len(graph.nodes) > width)


def fit_in_cache(columns: Columns) -> bool:
    """Whether the parameters are so few and small that lists of all of them are best."""
    few = len(columns[0]) < WORTH_PACKING or len(columns) == 2
    return few and size(columns) <= in_cache(len(columns))


def in_cache(width: int) -> int:
    """How many elements of a row of `width` tensors stay in the cache."""
    return IN_CACHE // max(width - 1, 2)


def fit_lists(columns: Columns) -> bool:
    """Whether regular parameters are of one exact kind, few and small."""
    param = columns[0][0]
    exact = param.is_cpu and param.dtype in EXACT
    return exact and len(by_device_and_dtype(columns)) == 1 and fit_in_cache(columns)


def _in_pieces(update: Update, columns: Columns, packs: bool) -> None:
    sizes = [param.numel() for param in columns[0]]
    limit = in_cache(len(columns))
    workspace = _of_thread.workspace(limit, columns[0][0].dtype)
    small, others = by_size(sizes) if packs else ([], range(len(sizes)))
    for places in pieces(small, sizes, PACK):
        packed(update, take(columns, places))
    for places in pieces(others, sizes, limit):
        piece = take(columns, places)
        if sizes[places[0]] > limit:
            in_chunks(update, next(rows(piece)), workspace)
        else:
            update(*[WorkspaceList(column, workspace) for column in piece])


def by_size(sizes: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """The places of the small tensors, if they are enough to pack, and of all others."""
    small = [i for i, size in enumerate(sizes) if size <= SMALL]
    if len(small) < WORTH_PACKING:
        return [], range(len(sizes))
    return small, [i for i, size in enumerate(sizes) if size > SMALL]


def pieces(places: Sequence[int], sizes: Sequence[int], limit: int) -> list[list[int]]:
    """The places in pieces that hold at most `limit` elements or are a single one."""
    found: list[list[int]] = []
    room = -1
    for i in places:
        if sizes[i] > room:
            found.append([])
            room = limit
        found[-1].append(i)
        room -= sizes[i]
    return found


def in_chunks(update: Update, row: Row, workspace: Workspace) -> None:
    """The update on one chunk after the other, or on the whole if it cannot be cut."""
    if not is_contiguous(row):
        update(*row)
        return
    for chunk in cut(row, workspace.length):
        update(*[WorkspaceList([tensor], workspace) for tensor in chunk])


def cut(row: Row, size: int) -> Iterator[tuple[Tensor, ...]]:
    """Contiguous tensors in chunks of at most `size` elements."""
    return zip(*(flat(tensor).split(size) for tensor in row), strict=True)


def is_contiguous(tensors: Sequence[Tensor]) -> bool:
    """Whether the elements of each tensor lie in memory in their order, as they are."""
    return all(map(Tensor.is_contiguous, tensors)) and not any(map(Tensor.is_neg, tensors))


def flat(tensor: Tensor) -> Tensor:
    """The elements in one dimension; of a contiguous tensor in the same memory."""
    return tensor if tensor.dim() == 1 else tensor.ravel()


def packed(run: Callable[..., None], columns: Columns) -> None:
    """Run an update on the parameters copied into flat tensors, and copy the results back."""
    param = columns[0][0]
    make = _of_thread.pack if param.is_cpu and len(columns[0]) > 1 else Pack
    pack = make(tuple(map(shape_of, columns[0])), len(columns), param.device, param.dtype)
    for i, column in enumerate(columns):
        pack.fill(i, column)
    run(*pack.flats)
    for i in (0, *range(2, len(columns))):
        copy_each(columns[i], pack.views[i])


class Pack:
    """Flat tensors to pack columns in, and views of them in the shapes of what is packed."""

    def __init__(
        self, shapes: Sequence[torch.Size], width: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        sizes = [shape.numel() for shape in shapes]
        with torch.inference_mode(False):
            self.flats = [torch.empty(sum(sizes), dtype=dtype, device=device) for _ in range(width)]
            self.views = [
                [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
                for flat in self.flats
            ]
        self.of_flat = all(len(shape) == 1 for shape in shapes)

    def fill(self, i: int, column: list[Tensor]) -> None:
        """Copy a column into the i-th flat tensor."""
        if self.of_flat:
            torch.cat(column, out=self.flats[i])  # twice as fast as copying one after the other
        else:
            copy_each(self.views[i], column)


class _OfThread(threading.local):
    """Of each thread its own memory to work in, kept until the thread ends.

    In float32 that is 2.6 to 4 MB for each value that a rule makes at once, and up to two megabytes
    for small tensors packed, whose views take longer to make than the copying. Not for
    accelerators, where the work of one thread may still be under way on another stream.
    """

    def __init__(self) -> None:
        self.pack = functools.lru_cache(maxsize=16)(Pack)
        self.workspace = functools.lru_cache(maxsize=4)(Workspace)


_of_thread = _OfThread()
