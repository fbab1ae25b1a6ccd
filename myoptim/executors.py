"""How one rule runs over many tensors: one by one, over lists, in slices, as pure functions.

An `update` is a function `update(param, grad, *buffers, **scalars)` that changes its tensors in
place, the gradient excepted; a row is the list `[param, grad, *buffers]` of one parameter. Nothing
here knows an algorithm, and no algorithm knows what is here: an executor hands the update tensors,
or things that behave like tensors. Which one a parameter gets is decided in `choose` and
`by_device`:

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

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors as flatten  # pyright: ignore[reportPrivateUsage]
from torch._utils import (
    _unflatten_dense_tensors as unflatten,  # pyright: ignore[reportPrivateUsage]
)
from torch.nn import Parameter
from torch.utils._foreach_utils import (
    _get_foreach_kernels_supported_devices as foreach_devices,  # pyright: ignore[reportPrivateUsage]
)

Update = Callable[..., None]
Row = list[Tensor]
Scalars = dict[str, Any]
Flags = dict[str, Any]
Executor = Callable[[Update, list[Row], Scalars], None]

#: Elements of a tensor that are updated at once, so that the temporaries of a rule stay in the
#: cache: 512 KiB in float32. On one tensor of 10 million, Adam takes a third of the time.
SLICE = 131_072

#: In these a CPU gives the same bits in a list as by itself, and wherever in a tensor an element
#: stands. In half precision list kernels round their scalars in another way, and the vectorised
#: and the left-over elements of a tensor may differ.
EXACT = (torch.float32, torch.float64)

PLAIN = (Parameter, Tensor)
ONE = torch.ones((), device="cpu")
CAPTURABLE_DEVICES = ("cuda", "xpu", "hpu", torch._C._get_privateuse1_backend_name(), "xla")


# --------------------------------------------------------------------------- choosing


def choose(flags: Flags, scalars: Scalars) -> Executor:
    """The executor for a parameter group.

    Args:
        flags: the group, read for `foreach`, `fused`, `differentiable`, `capturable`.
        scalars: the scalar arguments of the update; list kernels take only numbers.
    """
    if torch.compiler.is_compiling() or flags["differentiable"] or flags.get("capturable"):
        return pure
    if flags.get("fused"):
        return fused
    foreach = flags["foreach"]
    if foreach is False or (foreach is None and flags.get("fused") is False):
        return one_by_one
    if isinstance(flags["weight_decay"], Tensor):
        return one_by_one
    for value in scalars.values():
        if isinstance(value[0] if isinstance(value, tuple) else value, Tensor):
            return one_by_one
    return by_device


def by_device(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """Each row in the fastest way that gives, on a CPU, the bits of `one_by_one`."""
    on_cpu: list[Row] = []
    on_accelerator: list[Row] = []
    for row in rows:
        param, grad = row[0], row[1]
        if type(param) not in PLAIN or type(grad) is not Tensor or grad.is_sparse:
            update(*row, **scalars)
        elif param.is_cpu and param.dtype in EXACT:
            on_cpu.append(row)
        elif param.device.type in foreach_devices() and not param.is_complex():
            on_accelerator.append(row)
        else:
            update(*row, **scalars)
    if on_cpu:
        cache_sized(update, on_cpu, scalars)
    if on_accelerator:
        over_lists(update, on_accelerator, scalars)


# --------------------------------------------------------------------------- counting steps


def count_up(rows: list[Row], counters: list[Tensor], flags: Flags) -> None:
    """Add one to the step counter of every row."""
    if not counters:
        return
    if torch.compiler.is_compiling():
        torch._foreach_add_(counters, 1)
        return
    if flags.get("capturable"):
        check_capturable(rows, counters)
    if counters[0].is_cpu:
        # A number would be made a tensor anew for every counter.
        torch._foreach_add_(counters, ONE, alpha=1.0)
    else:
        torch._foreach_add_(counters, 1)


def check_capturable(rows: list[Row], counters: list[Tensor]) -> None:
    """Raise, as torch does, unless a graph can hold the update of these parameters."""
    for row, counter in zip(rows, counters, strict=True):
        device = row[0].device.type
        if device not in CAPTURABLE_DEVICES or counter.device.type != device:
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: "
                f"{CAPTURABLE_DEVICES}; given were {device} and {counter.device.type}."
            )


def by_count(
    rows: list[Row], counters: list[Tensor], flags: Flags
) -> Iterable[tuple[float | Tensor, list[Row]]]:
    """The rows together whose counters are equal, so that a rule gets the count as a number.

    Reading a counter would end a graph: there every row stays by itself, with its own tensor.
    """
    if torch.compiler.is_compiling() or flags.get("capturable"):
        return [(counter, [row]) for row, counter in zip(rows, counters, strict=True)]
    rows_of_count: dict[float, list[Row]] = {}
    for row, counter in zip(rows, counters, strict=True):
        rows_of_count.setdefault(counter.item(), []).append(row)
    return rows_of_count.items()


# --------------------------------------------------------------------------- one by one


def one_by_one(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """The update on each parameter by itself: the loop that all others are measured against."""
    for row in rows:
        update(*row, **scalars)


# --------------------------------------------------------------------------- lists


def _in_place(kernel: Callable[..., Any]) -> Callable[..., TensorList]:
    def method(self: TensorList, *args: Any, **kwargs: Any) -> TensorList:
        kernel(self.tensors, *[a.tensors if type(a) is TensorList else a for a in args], **kwargs)
        return self

    return method


def _out_of_place(kernel: Callable[..., Any]) -> Callable[..., TensorList]:
    def method(self: TensorList, *args: Any, **kwargs: Any) -> TensorList:
        others = [a.tensors if type(a) is TensorList else a for a in args]
        return TensorList(kernel(self.tensors, *others, **kwargs))

    return method


class TensorList:
    """Several tensors that behave as one in the operators that rules use, each one kernel call.

    It holds a plain list, not is one, because the kernels take twice as long for a subclass.
    """

    __slots__ = ("tensors",)

    is_sparse = False

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors

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
    for alike in by_device_and_dtype(rows).values():
        update(*map(TensorList, zip(*alike, strict=True)), **scalars)


def by_device_and_dtype(rows: list[Row]) -> dict[tuple[torch.device, torch.dtype], list[Row]]:
    """The rows together whose parameters a kernel takes together."""
    alike: dict[tuple[torch.device, torch.dtype], list[Row]] = {}
    for row in rows:
        alike.setdefault((row[0].device, row[0].dtype), []).append(row)
    return alike


# --------------------------------------------------------------------------- cache-sized


def cache_sized(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """The update on pieces of about `SLICE` elements: large tensors cut, small ones in lists.

    Most of a step on a CPU is waiting, for memory when tensors are large and for Python when they
    are small. Temporaries of this size stay in the cache, and do not grow with the model.
    """
    for piece in pieces(rows):
        if len(piece) > 1:
            update(*map(TensorList, zip(*piece, strict=True)), **scalars)
            continue
        row = piece[0]
        if row[0].numel() > SLICE and is_contiguous(row):
            for part in zip(*(flat(tensor).split(SLICE) for tensor in row), strict=True):
                update(*part, **scalars)
        else:
            update(*row, **scalars)


def pieces(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows in pieces that hold at most `SLICE` elements or are a single row."""
    piece: list[Row] = []
    elements = 0
    for row in rows:
        size = row[0].numel()
        if piece and elements + size > SLICE:
            yield piece
            piece, elements = [], 0
        piece.append(row)
        elements += size
    if piece:
        yield piece


def is_contiguous(row: Row) -> bool:
    """Whether the tensors lie in memory alike, so that they may be cut or taken as flat."""
    return all(tensor.is_contiguous() and tensor.dtype == row[0].dtype for tensor in row)


def flat(tensor: Tensor) -> Tensor:
    """A contiguous tensor as one of one dimension, in the same memory."""
    return tensor.detach().view(-1)


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


def pure(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """The update as a function from tensors to tensors, its results written back at the end."""
    for row in rows:
        # Autograd keeps what it was given: that must not be what is written to.
        inputs = [tensor.clone() if torch.is_grad_enabled() else tensor for tensor in row]
        values = [Pure(tensor) for tensor in inputs]
        update(*values, **scalars)
        write_back(row, values)


def write_back(row: Sequence[Tensor], values: Sequence[Pure]) -> None:
    """Copy to the parameter and its buffers what became of them; the gradient stays."""
    param, _, *buffers = row
    new_param, _, *new_buffers = values
    for target, value in zip((param, *buffers), (new_param, *new_buffers), strict=True):
        if value.tensor is not target:
            value.write_to(target)


def view_as_real(tensor: Any) -> Any:
    """A complex tensor as pairs of real numbers."""
    return tensor.view_as_real() if isinstance(tensor, Pure) else torch.view_as_real(tensor)


# --------------------------------------------------------------------------- fused

#: A value or a scalar by its number, and a statement: the operator, the number of the value that it
#: was called on, its arguments, its named arguments.
Argument = tuple[str, int]
Statement = tuple[str, int, tuple[Argument, ...], tuple[tuple[str, Argument], ...]]
Program = tuple[Statement, ...]

#: Below this many elements calling a kernel takes longer than the rule does by itself.
WORTH_A_KERNEL = 4096


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
        self.values += 1
        return Recorded(self, self.values - 1)

    def argument(self, value: Any) -> Argument:
        if isinstance(value, Recorded):
            return ("value", value.number)
        self.scalars.append(float(value))
        return ("scalar", len(self.scalars) - 1)


def _recorded(operator: str) -> Callable[..., Recorded]:
    in_place = operator.endswith("_")

    def method(self: Recorded, *args: Any, **kwargs: Any) -> Recorded:
        recorder = self.recorder
        arguments = tuple(recorder.argument(value) for value in args)
        keywords = tuple((name, recorder.argument(value)) for name, value in kwargs.items())
        recorder.statements.append((operator, self.number, arguments, keywords))
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


def record(update: Update, width: int, scalars: Scalars) -> tuple[Program, list[float]]:
    """The statements of an update of `width` tensors, and the scalars that they use."""
    recorder = Recorder()
    update(*(recorder.new_value() for _ in range(width)), **scalars)
    return tuple(recorder.statements), recorder.scalars


def replay(program: Program, values: list[Pure], scalars: Sequence[Tensor]) -> None:
    """Carry out recorded statements."""
    given = {"value": values, "scalar": scalars}
    for operator, number, arguments, keywords in program:
        result = getattr(values[number], operator)(
            *(given[kind][i] for kind, i in arguments),
            **{name: given[kind][i] for name, (kind, i) in keywords},
        )
        if not operator.endswith("_"):
            values.append(result)


@functools.cache
def compile_kernel(
    program: Program, width: int, device: torch.device, dtype: torch.dtype
) -> Callable[[Sequence[Tensor], Tensor], None]:
    """One kernel that carries out a program on flat tensors of any length, in one pass over memory.

    Raises:
        RuntimeError: torch.compile does not work here.
    """

    def kernel(tensors: Sequence[Tensor], scalars: Tensor) -> None:
        values = [Pure(tensor) for tensor in tensors]
        replay(program, values, scalars.unbind())
        write_back(tensors, values[:width])

    # A code object of its own, because torch.compile limits the number of kernels per code object.
    own = FunctionType(kernel.__code__.replace(), globals(), "kernel", None, kernel.__closure__)
    # What the guards would check is known: flat contiguous tensors of this device and type, at
    # least two elements long (torch.compile makes 0 and 1 constants).
    options = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    compiled = torch.compile(own, dynamic=True, fullgraph=True, options=options)
    # Compiled on a stand-in, so that the kernel is the same whichever tensor comes first.
    stand_in = [torch.zeros(SLICE, dtype=dtype, device=device) for _ in range(width)]
    scalars = torch.ones(count_scalars(program), dtype=scalar_dtype(dtype), device=device)
    try:
        compiled(stand_in, scalars)
    except Exception as error:
        raise RuntimeError(
            f"fused=True needs torch.compile to work for {device.type} (a C++ compiler on a CPU, "
            f"Triton on a GPU), and it failed: {error}. Without fused=True none is needed."
        ) from error
    return compiled


def count_scalars(program: Program) -> int:
    arguments = (a for _, _, args, kw in program for a in (*args, *(value for _, value in kw)))
    return sum(kind == "scalar" for kind, _ in arguments)


def scalar_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type in which a kernel on tensors of this type computes."""
    return torch.float64 if dtype is torch.float64 else torch.float32


def fused(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """The update as one compiled kernel: a large tensor by itself, small ones gathered into one."""
    if not rows:
        return
    check_fusible(rows)
    program, numbers = record(update, len(rows[0]), scalars)
    for (device, dtype), alike in by_device_and_dtype(rows).items():
        kernel = compile_kernel(program, len(rows[0]), device, dtype)
        on_device = torch.tensor(numbers, dtype=scalar_dtype(dtype), device=device)
        for piece in pieces(alike):
            if sum(row[0].numel() for row in piece) < WORTH_A_KERNEL:
                update(*map(TensorList, zip(*piece, strict=True)), **scalars)
            elif len(piece) == 1 and is_contiguous(piece[0]):
                kernel([flat(tensor) for tensor in piece[0]], on_device)
            else:
                run_gathered(kernel, piece, on_device)


def run_gathered(
    kernel: Callable[[Sequence[Tensor], Tensor], None], rows: list[Row], scalars: Tensor
) -> None:
    """Run a kernel on flat copies of the rows, and copy the results back."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    gathered = [flatten(column) for column in columns]
    kernel(gathered, scalars)
    for i, (column, result) in enumerate(zip(columns, gathered, strict=True)):
        if i != 1:  # the gradient
            torch._foreach_copy_(column, unflatten(result, column))


def check_fusible(rows: list[Row]) -> None:
    """Raise, as torch does, unless all parameters are plain tensors of real numbers."""
    for row in rows:
        param = row[0]
        if type(param) not in PLAIN or not param.is_floating_point():
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors of supported "
                f"devices, but got {type(param).__name__}, {param.dtype} and {param.device.type}"
            )
