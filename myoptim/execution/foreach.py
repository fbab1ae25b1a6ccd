"""Over lists: the rule on many tensors at once, one list kernel per statement.

On an accelerator that is one launch for all parameters instead of one for each; on a CPU it saves
most of Python's part.
"""

# List kernels have no public names in torch; its own optimizers use these.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from myoptim.execution import private
from myoptim.execution.columns import Columns, Update, each_row
from myoptim.execution.operators import NotElementwiseError, Operator, Proxy, implement


def over_lists(update: Update, columns: Columns) -> None:
    """The update on parameters of one device and type at once."""
    if len(columns[0]) == 1:
        each_row(update, columns)
    else:
        kind = CpuTensorList if columns[0][0].is_cpu else TensorList
        update(*map(kind, columns))


def copy_each(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy each source to its target."""
    kernel = getattr(torch, "_foreach_copy_", None)
    if kernel is not None:
        kernel(targets, sources)
        return
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


def by_rows(method: Callable[..., Tensor]) -> Callable[..., list[Tensor]]:
    """A method of tensors carried out on one tensor of the lists after the other."""

    def over(tensors: Sequence[Tensor], *others: Any, **named: Any) -> list[Tensor]:
        columns = [tensors, *map(_for_each, others)]
        if not named:
            return list(map(method, *columns))
        values = zip(*map(_for_each, named.values()), strict=False)
        return [
            method(*row, **dict(zip(named, given, strict=True)))
            for *row, given in zip(*columns, values, strict=False)
        ]

    return over


def _for_each(operand: Any) -> Iterable[Any]:
    """An operand for each tensor of the lists: its own one, or the same number."""
    return operand.tensors if isinstance(operand, TensorList) else itertools.repeat(operand)


def _unary(kernel: Callable[..., Any], in_place: bool) -> Callable[..., Any]:
    def changes(self: TensorList) -> TensorList:
        kernel(self.tensors)
        return self

    def makes(self: TensorList) -> TensorList:
        return self.made(kernel(self.tensors))

    return changes if in_place else makes


def _binary(kernel: Callable[..., Any], in_place: bool) -> Callable[..., Any]:
    def changes(self: TensorList, other: Any) -> TensorList:
        kernel(self.tensors, other.tensors if isinstance(other, TensorList) else self.number(other))
        return self

    def makes(self: TensorList, other: Any) -> TensorList:
        other = other.tensors if isinstance(other, TensorList) else self.number(other)
        return self.made(kernel(self.tensors, other))

    return changes if in_place else makes


def _power(kernel: Callable[..., Any], in_place: bool) -> Callable[..., Any]:
    """An exponent stays a number: torch has kernels of their own for squares and roots."""

    def power(self: TensorList, exponent: Any) -> TensorList:
        exponent = exponent.tensors if isinstance(exponent, TensorList) else exponent
        made = kernel(self.tensors, exponent)
        return self if in_place else self.made(made)

    return power


def _scaled(kernel: Callable[..., Any], in_place: bool) -> Callable[..., Any]:
    def run(self: TensorList, other: Any, alpha: float) -> Any:
        if isinstance(other, TensorList):
            return kernel(self.tensors, other.tensors, alpha=alpha)
        if alpha != 1:
            return kernel(self.tensors, self.number(other * alpha))
        number = self.number(other)
        if isinstance(number, Tensor):
            # Without alpha, torch tries three other kernels before it finds this one.
            return kernel(self.tensors, number, alpha=1.0)
        return kernel(self.tensors, number)

    def changes(self: TensorList, other: Any, *, alpha: float = 1) -> TensorList:
        run(self, other, alpha)
        return self

    def makes(self: TensorList, other: Any, *, alpha: float = 1) -> TensorList:
        return self.made(run(self, other, alpha))

    return changes if in_place else makes


def _product(kernel: Callable[..., Any], in_place: bool) -> Callable[..., Any]:
    def changes(self: TensorList, a: TensorList, b: TensorList, *, value: float = 1) -> TensorList:
        kernel(self.tensors, a.tensors, b.tensors, value=value)
        return self

    def makes(self: TensorList, a: TensorList, b: TensorList, *, value: float = 1) -> TensorList:
        return self.made(kernel(self.tensors, a.tensors, b.tensors, value=value))

    return changes if in_place else makes


def _lerp(kernel: Callable[..., Any], in_place: bool) -> Callable[..., Any]:
    def changes(self: TensorList, end: TensorList, weight: Any) -> TensorList:
        weight = weight.tensors if isinstance(weight, TensorList) else weight
        kernel(self.tensors, end.tensors, weight)
        return self

    def makes(self: TensorList, end: TensorList, weight: Any) -> TensorList:
        weight = weight.tensors if isinstance(weight, TensorList) else weight
        return self.made(kernel(self.tensors, end.tensors, weight))

    return changes if in_place else makes


def _any(name: str, in_place: bool) -> Callable[..., Any]:
    """For what torch has no list kernel: tensor by tensor."""
    over = by_rows(getattr(torch.Tensor, name))

    def run(self: TensorList, *others: Any, **named: Any) -> TensorList:
        made = over(self.tensors, *others, **named)
        return self if in_place else self.made(made)

    return run


_FORMS = {
    "unary": _unary,
    "binary": _binary,
    "scaled": _scaled,
    "product": _product,
    "lerp": _lerp,
}


def _method(name: str, op: Operator) -> Callable[..., Any]:
    in_place = name.endswith("_")
    kernel = getattr(torch, f"_foreach_{name}", None) if op.kernel else None
    if kernel is None:
        return _any(name, in_place)
    form = _power if op.name == "pow" else _FORMS[op.form]
    return form(kernel, in_place)


@implement(_method)
class TensorList(Proxy):
    """Several tensors that behave as one in the operators of the table.

    It holds a plain list, not is one, because the kernels take twice as long for a subclass.
    """

    __slots__ = ("tensors",)

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors: Any = tensors

    def made(self, values: Sequence[Tensor]) -> TensorList:
        """New values, for operators that are not in place."""
        return type(self)(values)

    def number(self, value: Any) -> Any:
        """What the kernels get for a number."""
        return value

    def fill_(self, value: Any) -> TensorList:
        """torch has no list kernel for it, but one that copies what has the value."""
        source = value if isinstance(value, Tensor) else self.tensors[0].new_full((), value)
        copy_each(self.tensors, [source] * len(self.tensors))
        return self


class CpuTensorList(TensorList):
    """Several tensors of one type on a CPU.

    There a kernel makes a tensor of a number anew for every tensor of the list, which takes longer
    than the operation on a small one: here it is made once.
    """

    __slots__ = ()

    def number(self, value: Any) -> Any:
        if not isinstance(value, (int, float)):
            raise NotElementwiseError(f"an operand of type {type(value).__name__}")
        try:
            return number_as_tensor(value, self.tensors[0].dtype)
        except RuntimeError:  # too large for the type: the kernels make it infinite
            return value


#: Numbers that were made tensors: decay rates and the like are the same at every step.
_kept: dict[tuple[float, torch.dtype], Tensor] = {}


def number_as_tensor(value: float, dtype: torch.dtype) -> Tensor:
    """A number as a tensor on the CPU."""
    within_mode = private.dispatch_modes() > 0
    tensor = None if within_mode else _kept.get((value, dtype))
    if tensor is not None:
        return tensor
    tensor = torch.scalar_tensor(value, dtype=dtype, device="cpu")
    # What is made within a mode may belong to it, and a zero may have a sign.
    if value and not (within_mode or private.is_functional(tensor)):
        if len(_kept) >= 128:
            _kept.clear()
        _kept[value, dtype] = tensor
    return tensor
