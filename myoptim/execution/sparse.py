"""Sparse gradients: the rule on only the elements that the gradient names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from myoptim.execution.operators import Operator, Proxy, implement


def view_elements(param: Tensor, grad: Tensor, *buffers: Tensor) -> list[Any]:
    """A row with a sparse gradient as the row of only the elements that the gradient names."""
    mask = grad.coalesce()  # the rule is not linear, so an index must not occur twice
    return [
        Elements(param, mask),
        mask.values(),
        *(Elements(buffer, mask) for buffer in buffers),
    ]


def _values(operand: Any) -> Any:
    return operand.values_now() if isinstance(operand, Elements) else operand


def _method(name: str, op: Operator) -> Callable[..., Any]:
    method = getattr(Tensor, name)

    def makes(self: Elements, *args: Any, **kwargs: Any) -> Tensor:
        return method(self.values_now(), *map(_values, args), **kwargs)

    def changes(self: Elements, *args: Any, **kwargs: Any) -> Elements:
        self.set_values(makes(self, *args, **kwargs))
        return self

    return changes if name.endswith("_") else makes


@implement(_method)
class Elements(Proxy):
    """The elements of a dense tensor that a sparse gradient names, as one flat tensor.

    What is added is added as torch does it: as a sparse tensor.
    """

    __slots__ = ("dense", "mask")

    def __init__(self, dense: Tensor, mask: Tensor) -> None:
        self.dense = dense
        self.mask = mask

    def values_now(self) -> Tensor:
        """The elements, copied out."""
        return self.dense.sparse_mask(self.mask).values()

    def set_values(self, values: Tensor) -> None:
        """Put elements in the place of those that are there."""
        self.dense[tuple(self.mask.indices())] = values

    def add_(self, values: Any, *, alpha: float = 1) -> Elements:
        if not isinstance(values, Tensor):
            self.set_values(self.values_now().add_(_values(values), alpha=alpha))
            return self
        indices, shape = self.mask.indices(), self.mask.shape
        added = torch.sparse_coo_tensor(indices, values, shape, check_invariants=False)
        self.dense.add_(added, alpha=alpha)
        return self

    def addcmul_(self, a: Any, b: Any, *, value: float = 1) -> Elements:
        return self.add_(_values(a) * _values(b), alpha=value)

    def addcdiv_(self, a: Any, b: Any, *, value: float = 1) -> Elements:
        return self.add_(_values(a) / _values(b), alpha=value)
