"""Things that behave like tensors in the operators that rules use, so that one rule can be run in
several ways: over lists of tensors, over some elements only, as a pure function, on paper.

The operators are those of `torch.Tensor`: `add`, `addcmul`, `neg`, `sqrt`, and in place `add_`,
`addcdiv_`, `addcmul_`, `clamp_min_`, `copy_`, `div_`, `lerp_`, `mul_`. A rule that needs another
one adds it to the classes here.
"""

# List kernels have no public names in torch; its own optimizers use these.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

#: A statement: the operator, the number of the value that it was called on, its arguments (the
#: number of a value, or None for the next scalar), and the names of the last of them.
Statement = tuple[str, int, tuple[int | None, ...], tuple[str, ...]]
Program = tuple[Statement, ...]


# --------------------------------------------------------------------------- lists


class TensorList:
    """Several tensors that behave as one in the operators that rules use, each one kernel call.

    It holds a plain list, not is one, because the kernels take twice as long for a subclass.
    """

    __slots__ = ("tensors",)

    is_sparse = False

    def __init__(self, tensors: list[Tensor] | tuple[Tensor, ...]) -> None:
        self.tensors = tensors

    def is_complex(self) -> bool:
        """Complex tensors are not put in lists."""
        return False

    def made(self, values: list[Tensor] | tuple[Tensor, ...]) -> TensorList:
        """New values, for operators that are not in place."""
        return type(self)(values)

    def neg(self) -> TensorList:
        return self.made(torch._foreach_neg(self.tensors))

    def sqrt(self) -> TensorList:
        return self.made(torch._foreach_sqrt(self.tensors))

    def add(self, other: TensorList, alpha: float = 1) -> TensorList:
        return self.made(torch._foreach_add(self.tensors, other.tensors, alpha=alpha))

    def addcmul(self, a: TensorList, b: TensorList, value: float = 1) -> TensorList:
        return self.made(torch._foreach_addcmul(self.tensors, a.tensors, b.tensors, value=value))

    def add_(self, other: TensorList | float, alpha: float = 1) -> TensorList:
        if isinstance(other, TensorList):
            torch._foreach_add_(self.tensors, other.tensors, alpha=alpha)
        else:
            torch._foreach_add_(self.tensors, self.number(other))
        return self

    def mul_(self, factor: float) -> TensorList:
        torch._foreach_mul_(self.tensors, self.number(factor))
        return self

    def div_(self, divisor: float) -> TensorList:
        torch._foreach_div_(self.tensors, self.number(divisor))
        return self

    def copy_(self, source: TensorList) -> TensorList:
        torch._foreach_copy_(self.tensors, source.tensors)
        return self

    def clamp_min_(self, low: TensorList) -> TensorList:
        torch._foreach_clamp_min_(self.tensors, low.tensors)
        return self

    def lerp_(self, end: TensorList, weight: float) -> TensorList:
        torch._foreach_lerp_(self.tensors, end.tensors, weight)
        return self

    def addcmul_(self, a: TensorList, b: TensorList, value: float = 1) -> TensorList:
        torch._foreach_addcmul_(self.tensors, a.tensors, b.tensors, value=value)
        return self

    def addcdiv_(self, a: TensorList, b: TensorList, value: float = 1) -> TensorList:
        torch._foreach_addcdiv_(self.tensors, a.tensors, b.tensors, value=value)
        return self

    def number(self, value: float) -> Any:
        """What the kernels get for a number."""
        return value


class CpuTensorList(TensorList):
    """Several tensors of one type on a CPU.

    There a kernel makes a tensor of a number anew for every tensor of the list, which takes longer
    than the operation on a small one: here it is made once.
    """

    __slots__ = ()

    def add_(self, other: TensorList | float, alpha: float = 1) -> TensorList:
        number = None if isinstance(other, TensorList) else self.number(other)
        if not isinstance(number, Tensor):
            return super().add_(other, alpha)
        # Without alpha, torch tries three other kernels before it finds this one.
        torch._foreach_add_(self.tensors, number, alpha=1.0)
        return self

    def number(self, value: float) -> Any:
        try:
            return number_as_tensor(value, self.tensors[0].dtype)
        except RuntimeError:  # too large for the type: the kernels make it infinite
            return value


#: Numbers that were made tensors: decay rates and the like are the same at every step.
_kept: dict[tuple[float, torch.dtype], Tensor] = {}


def number_as_tensor(value: float, dtype: torch.dtype) -> Tensor:
    """A number as a tensor on the CPU."""
    within_mode = torch._C._len_torch_dispatch_stack() > 0
    tensor = None if within_mode else _kept.get((value, dtype))
    if tensor is not None:
        return tensor
    tensor = torch.scalar_tensor(value, dtype=dtype, device="cpu")
    # What is made within a mode may belong to it, and a zero may have a sign.
    if value and not (within_mode or torch._is_functional_tensor(tensor)):
        if len(_kept) >= 128:
            _kept.clear()
        _kept[value, dtype] = tensor
    return tensor


class Spare:
    """Memory for the values that an update makes on the way, as many as it needs at once.

    It is kept and used again: the pages of fresh memory may take longer to come from the system
    than what is computed takes.
    """

    def __init__(self, length: int, dtype: torch.dtype) -> None:
        self.length = length
        self.dtype = dtype
        self.unused: list[Block] = []

    def take(self) -> Block:
        """A block that is not in use."""
        return self.unused.pop() if self.unused else Block(self.length, self.dtype)

    def give_back(self, block: Block) -> None:
        """Say that a block is in use no more."""
        self.unused.append(block)


class Block:
    """Memory on the CPU, and views of it, which take longer to make than what is small to update.

    Attributes:
        views: makes tensors of given shapes that lie in it one after the other.
    """

    def __init__(self, length: int, dtype: torch.dtype) -> None:
        with torch.inference_mode(False):
            flat = torch.empty(length, dtype=dtype, device="cpu")

        def views(shapes: tuple[torch.Size, ...]) -> list[Tensor]:
            sizes = [shape.numel() for shape in shapes]
            with torch.inference_mode(False):
                parts = flat[: sum(sizes)].split(sizes)
                return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

        self.views = functools.lru_cache(maxsize=64)(views)


class SpareTensorList(CpuTensorList):
    """Several tensors of one type on a CPU, whose operators make new values in spare memory.

    A value gives its memory back when the rule drops it: Python then deletes it at once.
    """

    __slots__ = ("mine", "spare")

    def __init__(
        self, tensors: list[Tensor] | tuple[Tensor, ...], spare: Spare, mine: Block | None = None
    ) -> None:
        super().__init__(tensors)
        self.spare = spare
        self.mine = mine

    def __del__(self) -> None:
        if self.mine is not None:
            self.spare.give_back(self.mine)

    def made(self, values: list[Tensor] | tuple[Tensor, ...]) -> CpuTensorList:
        return CpuTensorList(values)

    def _make(self, operator: Callable[..., Tensor], *others: TensorList, **scalar: float) -> Any:
        operands = (self.tensors, *[other.tensors for other in others])
        shapes = [tuple([tensor.shape for tensor in tensors]) for tensors in operands]
        if not self._fits(operands, shapes):
            return self.made([operator(*row, **scalar) for row in zip(*operands, strict=True)])
        mine = self.spare.take()
        values = mine.views(shapes[0])
        for value, *row in zip(values, *operands, strict=True):
            operator(*row, **scalar, out=value)
        return SpareTensorList(values, self.spare, mine)

    def _fits(
        self, operands: tuple[Sequence[Tensor], ...], shapes: list[tuple[torch.Size, ...]]
    ) -> bool:
        """Whether operators make of these what a block has room for.

        Values are of one shape and type with all operands, and laid out like the first of them.
        """
        if any(others != shapes[0] for others in shapes[1:]):
            return False
        dtypes = {tensor.dtype for tensors in operands for tensor in tensors}
        return dtypes == {self.spare.dtype} and all(map(Tensor.is_contiguous, self.tensors))

    def neg(self) -> CpuTensorList:
        return self._make(torch.neg)

    def sqrt(self) -> CpuTensorList:
        return self._make(torch.sqrt)

    def add(self, other: TensorList, alpha: float = 1) -> CpuTensorList:
        return self._make(torch.add, other, alpha=alpha)

    def addcmul(self, a: TensorList, b: TensorList, value: float = 1) -> CpuTensorList:
        return self._make(torch.addcmul, a, b, value=value)


# --------------------------------------------------------------------------- elements


class Elements:
    """The elements of a dense tensor that a sparse gradient names, as one flat tensor."""

    def __init__(self, dense: Tensor, mask: Tensor) -> None:
        self.dense = dense
        self.mask = mask

    def _add(self, values: Tensor, alpha: float) -> None:
        indices, shape = self.mask.indices(), self.mask.shape
        self.dense.add_(torch.sparse_coo_tensor(indices, values, shape), alpha=alpha)

    def addcmul_(self, a: Tensor, b: Tensor, value: float = 1) -> Elements:
        self._add(a * b, alpha=value)
        return self

    def addcdiv_(self, a: Tensor, b: Tensor, value: float = 1) -> Elements:
        self._add(a / b, alpha=value)
        return self

    def sqrt(self) -> Tensor:
        return self.dense.sparse_mask(self.mask).values().sqrt()


# --------------------------------------------------------------------------- pure functions


class Pure:
    """A tensor whose in-place operators make a new tensor, and whose scalars may be tensors.

    Autograd and compilers need the old values; kernels such as addcdiv_ take only numbers as their
    `value`, while a graph, a gradient or a compiler needs a scalar that stays a tensor.
    """

    is_sparse = False

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def is_complex(self) -> bool:
        return self.tensor.is_complex()

    def view_as_real(self) -> Pure:
        """Go on with a complex tensor as pairs of real numbers."""
        self.tensor = torch.view_as_real(self.tensor)
        return self

    def write_to(self, target: Tensor) -> None:
        """Copy what became of the tensor to where it stays."""
        if self.tensor.is_complex() != target.is_complex():
            self.tensor = torch.view_as_complex(self.tensor)
        target.copy_(self.tensor)

    def neg(self) -> Pure:
        return Pure(self.tensor.neg())

    def sqrt(self) -> Pure:
        return Pure(self.tensor.sqrt())

    def add(self, other: Any, alpha: Any = 1) -> Pure:
        return Pure(self.tensor).add_(other, alpha)

    def addcmul(self, a: Pure, b: Pure, value: Any = 1) -> Pure:
        return Pure(self.tensor).addcmul_(a, b, value)

    def add_(self, other: Any, alpha: Any = 1) -> Pure:
        other = other.tensor if isinstance(other, Pure) else other
        if isinstance(alpha, Tensor):
            self.tensor = self.tensor + alpha * other
        else:
            self.tensor = torch.add(self.tensor, other, alpha=alpha)
        return self

    def mul_(self, factor: Any) -> Pure:
        self.tensor = self.tensor * factor
        return self

    def div_(self, divisor: Any) -> Pure:
        self.tensor = self.tensor / divisor
        return self

    def copy_(self, source: Pure) -> Pure:
        self.tensor = source.tensor
        return self

    def clamp_min_(self, low: Pure) -> Pure:
        self.tensor = torch.maximum(self.tensor, low.tensor)
        return self

    def lerp_(self, end: Pure, weight: Any) -> Pure:
        if isinstance(weight, Tensor):
            weight = weight.to(self.tensor.dtype)
        self.tensor = torch.lerp(self.tensor, end.tensor, weight)
        return self

    def addcmul_(self, a: Pure, b: Pure, value: Any = 1) -> Pure:
        if isinstance(value, Tensor):
            self.tensor = self.tensor + value * a.tensor * b.tensor
        else:
            self.tensor = torch.addcmul(self.tensor, a.tensor, b.tensor, value=value)
        return self

    def addcdiv_(self, a: Pure, b: Pure, value: Any = 1) -> Pure:
        if isinstance(value, Tensor):
            self.tensor = self.tensor + value * a.tensor / b.tensor
        else:
            self.tensor = torch.addcdiv(self.tensor, a.tensor, b.tensor, value=value)
        return self


# --------------------------------------------------------------------------- writing down


class Recorder:
    """Writes down the statements of an update, and apart from them the scalars that they use.

    The statements are the same at every step, the scalars are not: they become an argument of the
    compiled kernel, so that neither a learning rate nor a step count compiles anything anew.
    """

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.scalars: list[float] = []
        self.values = 0

    def new_value(self) -> Recorded:
        """A stand-in for the next value."""
        self.values += 1
        return Recorded(self, self.values - 1)


def _recorded(operator: str) -> Callable[..., Recorded]:
    in_place = operator.endswith("_")

    def method(self: Recorded, *args: Any, **kwargs: Any) -> Recorded:
        recorder = self.recorder
        arguments: list[int | None] = []
        for value in (*args, *kwargs.values()):
            if isinstance(value, Recorded):
                arguments.append(value.number)
            else:
                arguments.append(None)
                recorder.scalars.append(float(value))
        recorder.statements.append((operator, self.number, tuple(arguments), tuple(kwargs)))
        return self if in_place else recorder.new_value()

    return method


class Recorded:
    """Stands for a tensor while an update is written down."""

    is_sparse = False

    def __init__(self, recorder: Recorder, number: int) -> None:
        self.recorder = recorder
        self.number = number

    def is_complex(self) -> bool:
        return False

    add = _recorded("add")
    addcmul = _recorded("addcmul")
    neg = _recorded("neg")
    sqrt = _recorded("sqrt")
    add_ = _recorded("add_")
    addcdiv_ = _recorded("addcdiv_")
    addcmul_ = _recorded("addcmul_")
    clamp_min_ = _recorded("clamp_min_")
    copy_ = _recorded("copy_")
    div_ = _recorded("div_")
    lerp_ = _recorded("lerp_")
    mul_ = _recorded("mul_")
