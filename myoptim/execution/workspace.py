"""Lists whose new values are made in memory that is kept and used again.

The pages of fresh memory may take longer to come from the system than what is computed takes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from myoptim.execution.columns import dtype_of, shape_of
from myoptim.execution.foreach import CpuTensorList, TensorList
from myoptim.execution.operators import BY_NAME, Operator


class Workspace:
    """Memory on the CPU for the values that an update makes, as many as it needs at once."""

    def __init__(self, length: int, dtype: torch.dtype) -> None:
        self.length = length
        self.dtype = dtype
        self.unused: dict[torch.dtype, list[Block]] = {dtype: [], torch.bool: []}

    def take(self, dtype: torch.dtype) -> Block:
        """A block that is not in use, for values or for what a comparison gives."""
        unused = self.unused[dtype]
        return unused.pop() if unused else Block(self.length, dtype)

    def give_back(self, block: Block) -> None:
        """Say that a block is in use no more."""
        self.unused[block.dtype].append(block)


class Block:
    """Memory, and views of it, which take longer to make than what is small to update.

    Attributes:
        dtype: of the values.
        views: makes tensors of given shapes that lie in it one after the other.
    """

    def __init__(self, length: int, dtype: torch.dtype) -> None:
        self.dtype = dtype
        with torch.inference_mode(False):
            flat = torch.empty(length, dtype=dtype, device="cpu")

        def views(shapes: tuple[torch.Size, ...]) -> list[Tensor]:
            sizes = [shape.numel() for shape in shapes]
            with torch.inference_mode(False):
                parts = flat[: sum(sizes)].split(sizes)
                return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

        self.views = functools.lru_cache(maxsize=64)(views)


class WorkspaceList(CpuTensorList):
    """Several tensors of one type on a CPU, whose operators make new values in a workspace.

    A value gives its memory back when the rule drops it: Python then deletes it at once.
    """

    __slots__ = ("block", "workspace")

    def __init__(
        self, tensors: Sequence[Tensor], workspace: Workspace, block: Block | None = None
    ) -> None:
        super().__init__(tensors)
        self.workspace = workspace
        self.block = block

    def __del__(self) -> None:
        if self.block is not None:
            self.workspace.give_back(self.block)

    def made(self, values: Sequence[Tensor]) -> CpuTensorList:
        return CpuTensorList(values)

    def fits(self, lists: Sequence[Any]) -> bool:
        """Whether operators make of these what a block has room for.

        Values are of one shape and type with all operands, and laid out like the first of them.
        """
        shapes = list(map(shape_of, self.tensors))
        for tensors in lists:
            if {*map(dtype_of, tensors)} != {self.workspace.dtype}:
                return False
            if tensors is not self.tensors and list(map(shape_of, tensors)) != shapes:
                return False
        return all(map(Tensor.is_contiguous, self.tensors))


_ALSO = ("mul", "div", "maximum", "minimum", "square")


def _into(name: str) -> Callable[..., Any]:
    """A method out of place that writes its values to a block."""
    function = getattr(torch, name)
    fresh = getattr(CpuTensorList, name)
    compares = BY_NAME[name].compares

    def method(self: WorkspaceList, *others: Any, **scalars: Any) -> CpuTensorList:
        lists = [other.tensors for other in others if isinstance(other, TensorList)]
        if not self.fits([self.tensors, *lists]):
            return fresh(self, *others, **scalars)
        block = self.workspace.take(torch.bool if compares else self.workspace.dtype)
        values = block.views(tuple(map(shape_of, self.tensors)))
        if len(lists) == len(others):
            for value, *row in zip(values, self.tensors, *lists, strict=True):
                function(*row, **scalars, out=value)
        else:
            columns = [
                other.tensors
                if isinstance(other, TensorList)
                else [self.number(other)] * len(values)
                for other in others
            ]
            for value, *row in zip(values, self.tensors, *columns, strict=True):
                function(*row, **scalars, out=value)
        return WorkspaceList(values, self.workspace, block)

    method.__name__ = name
    return method


def _writes_values(op: Operator) -> bool:
    """Whether torch has the operator as a function that writes numbers of the operands' type."""
    return op.variants != "in place" and op.form in ("unary", "scaled", "product") and op.kernel


for _name in [name for name in BY_NAME if not name.endswith("_")]:
    _op = BY_NAME[_name]
    if _writes_values(_op) or _op.compares or _name in _ALSO:
        setattr(WorkspaceList, _name, _into(_name))
