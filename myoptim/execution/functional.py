"""As a function: in-place operators make new tensors, and the row is written at the end.

Autograd and compilers need the old values; and where list and in-place kernels take only numbers,
a graph, a gradient or a compiler needs a scalar that stays a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from myoptim.execution.columns import Row, Update
from myoptim.execution.operators import Operator, Proxy, implement


def as_function(update: Update, row: Row) -> None:
    """The update as a function from tensors to tensors, its results written back at the end."""
    # Autograd keeps what it was given: that must not be what is written to.
    inputs = [tensor.clone() if torch.is_grad_enabled() else tensor for tensor in row]
    values = [Functional(tensor) for tensor in inputs]
    update(*values)
    write_back(row, values)


def write_back(row: Sequence[Tensor], values: Sequence[Functional]) -> None:
    """Copy to the parameter and its buffers what became of them; the gradient stays."""
    param, _, *buffers = row
    new_param, _, *new_buffers = values
    for target, value in zip((param, *buffers), (new_param, *new_buffers), strict=True):
        if value.tensor is not target:
            value.write_to(target)


def view_as_real(tensor: Any) -> Any:
    """A complex tensor as pairs of real numbers."""
    return tensor.view_as_real() if isinstance(tensor, Functional) else torch.view_as_real(tensor)


def as_pairs(row: Sequence[Any]) -> list[Any]:
    """A row of complex tensors as pairs of real numbers."""
    return [view_as_real(t.resolve_conj() if t.is_conj() else t) for t in row]


def decayed_pairs(
    way: str, decay: Callable[[Any, Any], Any] | None, row: Sequence[Any]
) -> Sequence[Any]:
    """A complex row after weight decay, as pairs of real numbers where `Declaration.complex` says
    so. The elements of a sparse gradient are taken as they are."""
    param, grad, *buffers = as_pairs(row) if way == "as pairs from the decay on" else row
    if decay is not None:
        grad = decay(param, grad)
    if way == "as pairs" and not grad.is_sparse:
        return as_pairs((param, grad, *buffers))
    if way == "pairs added" and not grad.is_sparse:
        return [PairsAdded(param), *as_pairs((grad, *buffers))]
    return param, grad, *buffers


class PairsAdded:
    """A complex parameter to which a rule on pairs of real numbers adds what it has computed."""

    def __init__(self, param: Any) -> None:
        self.param = param

    def add_(self, pairs: Any, *, alpha: Any = 1) -> None:
        """Add the pairs as complex numbers."""
        self.param.add_(torch.view_as_complex(_tensor(pairs)), alpha=alpha)


def _tensor(value: Any) -> Any:
    return value.tensor if isinstance(value, Functional) else value


def _add(tensor: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    scaled = isinstance(alpha, Tensor)
    return tensor + alpha * other if scaled else torch.add(tensor, other, alpha=alpha)


def _sub(tensor: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    return _add(tensor, other, alpha=-alpha)


def _addcmul(tensor: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Tensor:
    if isinstance(value, Tensor):
        return tensor + value * a * b
    return torch.addcmul(tensor, a, b, value=value)


def _addcdiv(tensor: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Tensor:
    if isinstance(value, Tensor):
        return tensor + value * a / b
    return torch.addcdiv(tensor, a, b, value=value)


def _lerp(tensor: Tensor, end: Tensor, weight: Any) -> Tensor:
    if isinstance(weight, Tensor):
        weight = weight.to(tensor.dtype)
    return torch.lerp(tensor, end, weight)


def _sqrt(tensor: Tensor) -> Tensor:
    """The root, with slope 0 at 0, where its own is infinite.

    A gradient of 0 enters as its square, whose slope is 0: autograd would make of the two a NaN,
    where the limit is 0.
    """
    if not torch.is_grad_enabled():
        return tensor.sqrt()
    zero = tensor == 0
    return torch.where(zero, tensor.detach(), tensor.masked_fill(zero, 1).sqrt())


def _clamp(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A bound that is a tensor has a slope too."""

    def clamp(tensor: Tensor, bound: Any) -> Tensor:
        bound = bound if isinstance(bound, Tensor) else torch.full_like(tensor, bound)
        return kernel(tensor, bound)

    return clamp


def _pow(tensor: Tensor, exponent: Any) -> Tensor:
    """A half power is a root."""
    if isinstance(exponent, float) and exponent == 0.5:
        return _sqrt(tensor)
    return torch.pow(tensor, exponent)


def _copy(tensor: Tensor, source: Any) -> Tensor:
    if isinstance(source, Tensor) and source.dtype == tensor.dtype:
        return source
    return tensor.clone().copy_(source)


#: Where scalars may be tensors, or slopes need care; all others are torch's functions.
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "add": _add,
    "sub": _sub,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "lerp": _lerp,
    "sqrt": _sqrt,
    "pow": _pow,
    "rsqrt": lambda tensor: _sqrt(tensor).reciprocal(),
    "clamp_min": _clamp(torch.maximum),
    "clamp_max": _clamp(torch.minimum),
    "copy": _copy,
    "fill": lambda tensor, value: torch.zeros_like(tensor) + value,
    "zero": torch.zeros_like,
}


def _method(name: str, op: Operator) -> Callable[..., Any]:
    function = _FUNCTIONS.get(op.name) or getattr(Tensor, op.name)

    def changes(self: Functional, *args: Any, **kwargs: Any) -> Functional:
        given = {key: _tensor(value) for key, value in kwargs.items()}
        self.tensor = function(self.tensor, *map(_tensor, args), **given)
        return self

    def makes(self: Functional, *args: Any, **kwargs: Any) -> Functional:
        return changes(Functional(self.tensor), *args, **kwargs)

    return changes if name.endswith("_") else makes


@implement(_method)
class Functional(Proxy):
    """A tensor whose in-place operators make a new tensor, and whose scalars may be tensors."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    @property
    def dtype(self) -> torch.dtype:
        return self.tensor.dtype

    def is_complex(self) -> bool:
        return self.tensor.is_complex()

    def is_conj(self) -> bool:
        return self.tensor.is_conj()

    def resolve_conj(self) -> Functional:
        """The same values, none of them waiting to be conjugated."""
        return Functional(self.tensor.resolve_conj())

    def view_as_real(self) -> Functional:
        """Go on with a complex tensor as pairs of real numbers."""
        self.tensor = torch.view_as_real(self.tensor)
        return self

    def write_to(self, target: Tensor) -> None:
        """Copy what became of the tensor to where it stays."""
        if self.tensor.is_complex() != target.is_complex():
            self.tensor = torch.view_as_complex(self.tensor.contiguous())
        target.copy_(self.tensor)
