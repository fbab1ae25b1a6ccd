"""Sparse gradients: the rule on only the elements that the gradient names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from myoptim.execution.operators import Operator, Proxy, implement


def view_elements(param: Tensor, grad: Tensor, *buffers: Tensor) -> list[Any]:
    """A row with a sparse gradient as the row of only the elements that the gradient names."""
    grad = grad.coalesce()  # the rule is not linear, so an index must not occur twice
    indices = grad.indices()
    return [
        Elements(param, indices),
        grad.values(),
        *[Elements(buffer, indices) for buffer in buffers],
    ]


def _values(operand: Any) -> Any:
    return operand.values_now() if isinstance(operand, Elements) else operand


def _method(name: str, op: Operator) -> Callable[..., Any]:
    method = getattr(Tensor, name)

    def makes(self: Elements, *args: Any, **kwargs: Any) -> Tensor:
        return method(self.values_now(), *map(_values, args), **kwargs)

    def changes(self: Elements, *args: Any, **kwargs: Any) -> Elements:
        self.set_values(method(self.values_now().clone(), *map(_values, args), **kwargs))
        return self

    return changes if name.endswith("_") else makes


@implement(_method)
class Elements(Proxy):
    """The elements of a dense tensor that a sparse gradient names, as one flat tensor.

    What is added is added as torch does it: as a sparse tensor. What was copied out is kept as
    long as it is known to be what is there.
    """

    __slots__ = ("dense", "indices", "kept")

    def __init__(self, dense: Tensor, indices: Tensor) -> None:
        self.dense = dense
        self.indices = indices
        self.kept: Tensor | None = None

    def values_now(self) -> Tensor:
        """The elements, copied out; not to be changed."""
        if self.kept is None:
            rows = len(self.indices) == 1  # as of an embedding, for which there is a faster kernel
            self.kept = (
                self.dense.index_select(0, self.indices[0])
                if rows
                else self.dense[tuple(self.indices)]
            )
        return self.kept

    def set_values(self, values: Tensor) -> None:
        """Put elements in the place of those that are there."""
        self.dense[tuple(self.indices)] = self.kept = values

    def add_(self, values: Any, *, alpha: float = 1) -> Elements:
        if not isinstance(values, Tensor):
            self.set_values(self.values_now().clone().add_(_values(values), alpha=alpha))
            return self
        shape = self.dense.shape
        added = torch.sparse_coo_tensor(self.indices, values, shape, check_invariants=False)
        self.dense.add_(added, alpha=alpha)
        # With a factor a processor may round the sum once or twice, and a type to another.
        known = alpha == 1 and values.dtype == self.dense.dtype
        self.kept = self.kept + values if known and self.kept is not None else None
        return self

    def addcmul_(self, a: Any, b: Any, *, value: float = 1) -> Elements:
        return self.add_(_values(a) * _values(b), alpha=value)

    def addcdiv_(self, a: Any, b: Any, *, value: float = 1) -> Elements:
        return self.add_(_values(a) / _values(b), alpha=value)
