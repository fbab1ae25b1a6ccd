"""How one rule runs over many tensors: one by one, over lists, in slices, as pure functions.

An `update` is a function `update(param, grad, *buffers, **scalars)` that changes its tensors in
place, the gradient excepted; a row is the list `[param, grad, *buffers]` of one parameter. Nothing
here knows an algorithm, and no algorithm knows what is here: an executor hands the update tensors,
or things that behave like tensors. Which one a parameter gets is decided in `run`:

===========================================================  ==============
`differentiable`, `capturable`, inside torch.compile         `pure`
`fused=True`                                                 `fused`
`foreach=False`; sparse, complex, half precision on a CPU,   `one_by_one`
tensor subclasses
all other tensors on an accelerator                          `over_lists`
all other tensors on a CPU                                   `cache_sized`
===========================================================  ==============

On a CPU all but `pure` and `fused` give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils._foreach_utils import (
    _get_foreach_kernels_supported_devices as foreach_devices,  # pyright: ignore[reportPrivateUsage]
)

Update = Callable[..., None]
Row = list[Tensor]
Scalars = dict[str, Any]
Flags = dict[str, Any]

#: Elements of a tensor that are updated at once, so that the temporaries of a rule stay in the
#: cache: 512 KiB in float32. On one tensor of 10 million, Adam takes a third of the time.
SLICE = 131_072

#: In these a CPU gives the same bits in a list as by itself, and wherever in a tensor an element
#: stands. In half precision list kernels round their scalars in another way, and the vectorised
#: and the left-over elements of a tensor may differ.
EXACT = (torch.float32, torch.float64)

CAPTURABLE_DEVICES = ("cuda", "xpu", "hpu", torch._C._get_privateuse1_backend_name(), "xla")


# --------------------------------------------------------------------------- choosing


def by_count(
    rows: list[Row], counters: list[Tensor], flags: Flags
) -> list[tuple[float | Tensor, list[Row]]]:
    """The rows together whose counters are equal, so that a rule gets the count as a number.

    Reading a counter would end a graph: there every row stays by itself, with its own tensor.
    """
    if torch.compiler.is_compiling() or flags.get("capturable"):
        return [(counter, [row]) for row, counter in zip(rows, counters, strict=True)]
    rows_of_count: dict[float, list[Row]] = {}
    for row, counter in zip(rows, counters, strict=True):
        rows_of_count.setdefault(counter.item(), []).append(row)
    return list(rows_of_count.items())


def run(update: Update, rows: list[Row], scalars: Scalars, flags: Flags) -> None:
    """Run the update over rows that have their scalars in common, each row in the best way.

    Args:
        update: changes the tensors of a row in place.
        rows: for each parameter its tensors.
        scalars: the other arguments of the update.
        flags: a parameter group, read for `foreach`, `fused`, `differentiable`, `capturable`.
    """
    if torch.compiler.is_compiling() or flags["differentiable"] or flags.get("capturable"):
        for row in rows:
            pure(update, row, scalars)
        return
    foreach = flags["foreach"]
    by_default = foreach is None and flags.get("fused") is None
    if not (foreach or by_default) or has_tensor(scalars):
        one_by_one(update, rows, scalars)
        return
    on_cpu: list[Row] = []
    on_accelerator: list[Row] = []
    other: list[Row] = []
    for row in rows:
        param = row[0]
        if not is_plain(row):
            other.append(row)
        elif param.is_cpu and param.dtype in EXACT:
            on_cpu.append(row)
        elif param.device.type in foreach_devices():
            on_accelerator.append(row)
        else:
            other.append(row)
    one_by_one(update, other, scalars)
    over_lists(update, on_accelerator, scalars)
    cache_sized(update, on_cpu, scalars)


def is_plain(row: Row) -> bool:
    """Whether lists and slices of these tensors mean what the tensors mean."""
    param, grad = row[0], row[1]
    return (
        type(param) in (Parameter, Tensor)
        and type(grad) is Tensor
        and not grad.is_sparse
        and not param.is_complex()
    )


def has_tensor(scalars: Scalars) -> bool:
    """Whether a scalar is a tensor (or holds one): list kernels take only numbers."""
    return any(
        isinstance(value, Tensor) or (isinstance(value, tuple) and isinstance(value[0], Tensor))
        for value in scalars.values()
    )


def check_capturable(rows: list[Row], counters: list[Tensor]) -> None:
    """Raise, as torch does, unless a graph can hold the update of these parameters."""
    for row, counter in zip(rows, counters, strict=True):
        device = row[0].device.type
        if device not in CAPTURABLE_DEVICES or counter.device.type != device:
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: "
                f"{CAPTURABLE_DEVICES}; given were {device} and {counter.device.type}."
            )


def count_up(counters: list[Tensor]) -> None:
    """Add one to every step counter."""
    if not counters:
        return
    if counters[0].is_cpu and not torch.compiler.is_compiling():
        # With a tensor, made once, instead of a number, which would be made a tensor every time.
        torch._foreach_add_(counters, torch.ones(()), alpha=1.0)
    else:
        torch._foreach_add_(counters, 1)


def is_not_zero(value: float | Tensor) -> bool:
    """Whether a hyper-parameter asks for its term to be computed; a tensor always does when it is
    to be differentiated or traced."""
    if isinstance(value, Tensor) and (value.requires_grad or torch.compiler.is_compiling()):
        return True
    return bool(value != 0)


# --------------------------------------------------------------------------- one by one


def one_by_one(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """The update on each parameter by itself: the loop that all others are measured against."""
    for row in rows:
        update(*row, **scalars)


# --------------------------------------------------------------------------- lists


def _in_place(kernel: Callable[..., Any]) -> Callable[..., TensorList]:
    def method(self: TensorList, *args: Any, **kwargs: Any) -> TensorList:
        kernel(self, *args, **kwargs)
        return self

    return method


def _out_of_place(kernel: Callable[..., Any]) -> Callable[..., TensorList]:
    def method(self: TensorList, *args: Any, **kwargs: Any) -> TensorList:
        return TensorList(kernel(self, *args, **kwargs))

    return method


class TensorList(tuple[Tensor, ...]):
    """Several tensors that behave as one in the operators that rules use, each one kernel call."""

    __slots__ = ()

    is_sparse = False

    def is_complex(self) -> bool:
        return False

    add = _out_of_place(torch._foreach_add)
    addcmul = _out_of_place(torch._foreach_addcmul)
    neg = _out_of_place(torch._foreach_neg)
    sqrt = _out_of_place(torch._foreach_sqrt)
    add_ = _in_place(torch._foreach_add_)
    addcdiv_ = _in_place(torch._foreach_addcdiv_)
    addcmul_ = _in_place(torch._foreach_addcmul_)
    clamp_min_ = _in_place(torch._foreach_clamp_min_)
    copy_ = _in_place(torch._foreach_copy_)
    div_ = _in_place(torch._foreach_div_)
    lerp_ = _in_place(torch._foreach_lerp_)
    mul_ = _in_place(torch._foreach_mul_)


def over_lists(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """The update on all parameters of one device and type at once: few kernel launches."""
    alike: dict[tuple[torch.device, torch.dtype], list[Row]] = {}
    for row in rows:
        alike.setdefault((row[0].device, row[0].dtype), []).append(row)
    for group in alike.values():
        update(*map(TensorList, zip(*group, strict=True)), **scalars)


# --------------------------------------------------------------------------- cache-sized


def cache_sized(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """The update on pieces of about `SLICE` elements: large tensors cut, small ones in lists.

    Most of a step on a CPU is waiting, for memory when tensors are large and for Python when they
    are small. Temporaries of this size stay in the cache, and do not grow with the model.
    """
    for piece in cache_sized_pieces(rows):
        if len(piece) == 1:
            update(*piece[0], **scalars)
        else:
            update(*map(TensorList, zip(*piece, strict=True)), **scalars)


def cache_sized_pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows, or slices of one, that together hold about `SLICE` elements."""
    piece: list[Row] = []
    elements = 0
    for row in rows:
        size = row[0].numel()
        if size > SLICE:
            yield from slices(row)
            continue
        if elements + size > SLICE:
            yield piece
            piece, elements = [], 0
        piece.append(row)
        elements += size
    if piece:
        yield piece


def slices(row: Row) -> Iterator[list[Row]]:
    """The row cut into pieces; whole where its bits or its layout do not allow a cut."""
    if not all(t.is_contiguous() and t.dtype == row[0].dtype for t in row):
        yield [row]
        return
    flat = [tensor.detach().view(-1).split(SLICE) for tensor in row]
    for piece in zip(*flat, strict=True):
        yield [list(piece)]


# --------------------------------------------------------------------------- sparse gradients


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


def view_elements(param: Tensor, grad: Tensor, *buffers: Tensor) -> list[Any]:
    """A row with a sparse gradient as the row of only the elements that the gradient names."""
    mask = grad.coalesce()  # the rule is not linear, so an index must not occur twice
    return [
        Elements(param, mask),
        mask.values(),
        *(Elements(buffer, mask) for buffer in buffers),
    ]


# --------------------------------------------------------------------------- pure


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
        self.tensor = torch.view_as_real(self.tensor)
        return self

    def write_to(self, target: Tensor) -> None:
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


def pure(update: Update, row: Row, scalars: Scalars) -> None:
    """The update as a function from tensors to tensors, its results written back at the end."""
    # Autograd keeps what it was given: that must not be what is written to.
    inputs = [tensor.clone() if torch.is_grad_enabled() else tensor for tensor in row]
    values = [Pure(tensor) for tensor in inputs]
    param, grad, *buffers = values
    update(param, grad, *buffers, **scalars)
    for target, value in zip((row[0], *row[2:]), (param, *buffers), strict=True):
        value.write_to(target)


def view_as_real(tensor: Any) -> Any:
    """A complex tensor as pairs of real numbers."""
    return tensor.view_as_real() if isinstance(tensor, Pure) else torch.view_as_real(tensor)
