"""How one rule runs over many tensors: one by one, over lists, in slices, as pure functions.

An `update` is a function `update(param, grad, *buffers, **scalars)` that changes its tensors in
place, the gradient excepted; a row is the list `[param, grad, *buffers]` of one parameter. Nothing
here knows an algorithm, and no algorithm knows what is here: an executor hands the update tensors,
or things that behave like tensors (`stand_ins.py`). Which executor a parameter gets is decided in
`choose` and `by_device`:

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

# List kernels and the names of devices have no public names in torch; its optimizers use these.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FunctionType
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils._foreach_utils import (
    _get_foreach_kernels_supported_devices as foreach_devices,
)

from myoptim.stand_ins import Elements, Program, Pure, Recorder, TensorList

Update = Callable[..., None]
Row = list[Tensor]
Scalars = dict[str, Any]
Flags = dict[str, Any]
Executor = Callable[[Update, list[Row], Scalars], None]

#: A large tensor is updated in slices that with its gradient and buffers hold this many elements,
#: so that what a rule reads and makes stays in the cache: on one tensor of 10 million elements Adam
#: then takes a third of the time.
IN_CACHE = 2_097_152

#: Small tensors are updated together, up to this many elements, since most of their time is
#: Python's; for larger ones that does not matter, and one after the other they stay in the cache.
TOGETHER = 32_768

#: In these a CPU gives the same bits in a list as by itself, and wherever in a tensor an element
#: stands. In half precision list kernels round their scalars in another way, and the vectorised
#: and the left-over elements of a tensor may differ.
EXACT = (torch.float32, torch.float64)

#: A list kernel takes longer to start than a kernel: up to this many tensors go one by one.
WORTH_A_LIST = 2

#: With this many tensors to a row the rule has so many statements that copying small tensors into
#: one, and the results back, costs less than a list kernel for each statement.
WORTH_GATHERING = 4

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
    if min((*scalars.get("betas", ()), scalars.get("alpha", 1.0))) < 2**-24:
        # An average that keeps nothing takes over the sign of a zero, or not, depending on where
        # in a tensor the element stands: lerp with weight 1.
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
            update(*local(row), **scalars)
        elif param.is_cpu and param.dtype in EXACT and grad.dtype is param.dtype:
            on_cpu.append(row)
        elif param.device.type in foreach_devices() and not param.is_complex():
            on_accelerator.append(row)
        else:
            update(*row, **scalars)
    if on_cpu:
        cache_sized(update, on_cpu, scalars)
    if on_accelerator:
        over_lists(update, on_accelerator, scalars)


def local(row: Row) -> Row:
    """The parts of distributed tensors that lie here, if all are cut alike; else the row as it is.

    A rule works element by element, so that the parts can be updated without any communication.
    """
    placements = getattr(row[0], "placements", None)
    if placements is None or any(placement.is_partial() for placement in placements):
        return row
    if any(getattr(tensor, "placements", None) != placements for tensor in row):
        return row
    return [cast("Any", tensor).to_local() for tensor in row]


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
    if not counters or torch.compiler.is_compiling() or flags.get("capturable"):
        return [(counter, [row]) for row, counter in zip(rows, counters, strict=True)]
    rows_of_count: dict[float, list[Row]] = {}
    for row, count in zip(rows, read(counters), strict=True):
        rows_of_count.setdefault(count, []).append(row)
    return rows_of_count.items()


def read(counters: list[Tensor]) -> list[float]:
    """The counters as numbers; from an accelerator all at once, since each time waits for it."""
    if counters[0].is_cpu or len({counter.device for counter in counters}) > 1:
        return [counter.item() for counter in counters]
    return torch.stack(counters).tolist()


# --------------------------------------------------------------------------- one by one


def one_by_one(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """The update on each parameter by itself: the loop that all others are measured against."""
    for row in rows:
        update(*row, **scalars)


# --------------------------------------------------------------------------- lists


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
    """The update on pieces of a good size: large tensors cut, small ones in lists.

    Most of a step on a CPU is waiting, for memory when tensors are large and for Python when they
    are small. The temporaries of a piece stay in the cache, and do not grow with the model.
    """
    for alike in by_device_and_dtype(rows).values():
        for piece in pieces(alike, TOGETHER):
            if len(piece) <= WORTH_A_LIST:
                for row in piece:
                    in_slices(update, row, scalars)
            elif len(piece[0]) < WORTH_GATHERING:
                update(*map(TensorList, zip(*piece, strict=True)), **scalars)
            else:
                gathered(functools.partial(update, **scalars), piece)


def pieces(rows: list[Row], limit: int) -> Iterator[list[Row]]:
    """The rows in pieces that hold at most `limit` elements or are a single row."""
    piece: list[Row] = []
    elements = 0
    for row in rows:
        size = row[0].numel()
        if piece and elements + size > limit:
            yield piece
            piece, elements = [], 0
        piece.append(row)
        elements += size
    if piece:
        yield piece


def in_slices(update: Update, row: Row, scalars: Scalars) -> None:
    """The update on one slice after the other, or on the whole if it is small or not contiguous."""
    size = IN_CACHE // len(row)
    if row[0].numel() <= size or not is_contiguous(row):
        update(*row, **scalars)
        return
    for part in zip(*(flat(tensor).split(size) for tensor in row), strict=True):
        update(*part, **scalars)


def is_contiguous(row: Row) -> bool:
    """Whether the tensors lie in memory alike, so that they may be cut or taken as flat."""
    return all(tensor.is_contiguous() and tensor.dtype == row[0].dtype for tensor in row)


def flat(tensor: Tensor) -> Tensor:
    """The elements in one dimension; of a contiguous tensor in the same memory."""
    return tensor if tensor.dim() == 1 else tensor.reshape(-1)


def gathered(run: Callable[..., None], rows: list[Row]) -> None:
    """Run an update on the rows copied into flat tensors, and copy the results back."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    flats = [torch.cat([flat(tensor) for tensor in column]) for column in columns]
    run(*flats)
    sizes = [row[0].numel() for row in rows]
    for column, result in zip((columns[0], *columns[2:]), (flats[0], *flats[2:]), strict=True):
        if all(tensor.is_contiguous() for tensor in column):
            torch.split_with_sizes_copy(result, sizes, out=[flat(tensor) for tensor in column])
        else:
            for target, source in zip(column, result.split(sizes), strict=True):
                target.copy_(source.view_as(target))


# --------------------------------------------------------------------------- sparse gradients


def view_elements(param: Tensor, grad: Tensor, *buffers: Tensor) -> list[Any]:
    """A row with a sparse gradient as the row of only the elements that the gradient names."""
    mask = grad.coalesce()  # the rule is not linear, so an index must not occur twice
    return [
        Elements(param, mask),
        mask.values(),
        *(Elements(buffer, mask) for buffer in buffers),
    ]


# --------------------------------------------------------------------------- pure


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

#: A kernel saves a pass over the elements for each statement of the rule but the first. On a CPU
#: that must be this many elements, or calling the kernel takes longer than it saves.
WORTH_A_KERNEL = 1_048_576

#: Small tensors are gathered for a kernel up to this many elements.
TOGETHER_FUSED = 262_144


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
) -> Callable[..., None]:
    """One kernel that carries out a program on flat tensors of any length, in one pass over memory.

    It takes a tensor of the scalars, then `width` tensors.

    Raises:
        RuntimeError: torch.compile does not work here.
    """

    def kernel(scalars: Tensor, *tensors: Tensor) -> None:
        values = [Pure(tensor) for tensor in tensors]
        replay(program, values, scalars.unbind())
        write_back(tensors, values[:width])

    # A code object of its own, because torch.compile limits the number of kernels per code object.
    own = FunctionType(kernel.__code__.replace(), globals(), "kernel", None, kernel.__closure__)
    # What the guards would check is known: flat contiguous tensors of this device and type, at
    # least two elements long (torch.compile makes 0 and 1 constants).
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    compiled = torch.compile(own, dynamic=True, fullgraph=True, options=options)
    # Compiled on a stand-in, so that the kernel is the same whichever tensor comes first.
    stand_in = [torch.zeros(IN_CACHE, dtype=dtype, device=device) for _ in range(width)]
    scalars = torch.ones(count_scalars(program), dtype=scalar_dtype(dtype), device=device)
    try:
        compiled(scalars, *stand_in)
    except Exception as error:
        raise RuntimeError(
            f"fused=True needs torch.compile to work for {device.type} (a C++ compiler on a CPU, "
            f"Triton on a GPU), and it failed: {error}. Without fused=True none is needed."
        ) from error
    return compiled


def count_scalars(program: Program) -> int:
    """How many scalars the statements of a program use."""
    arguments = (a for _, _, args, kw in program for a in (*args, *(value for _, value in kw)))
    return sum(kind == "scalar" for kind, _ in arguments)


def scalar_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type in which a kernel on tensors of this type computes."""
    return torch.float64 if dtype is torch.float64 else torch.float32


def fused(update: Update, rows: list[Row], scalars: Scalars) -> None:
    """The update as one compiled kernel: a large tensor by itself, small ones gathered into one.

    What is too small for a kernel to pay on a CPU goes the way that it goes by default.
    """
    rows = [local(row) for row in rows]
    check_fusible(rows)
    for (device, dtype), alike in by_device_and_dtype(rows).items():
        program, numbers = record(update, len(alike[0]), scalars)
        worth = WORTH_A_KERNEL if device.type == "cpu" else 0
        kernel: Callable[..., None] | None = None
        small: list[Row] = []
        for piece in pieces(alike, TOGETHER_FUSED):
            elements = sum(row[0].numel() for row in piece)
            if elements < 2 or elements * (len(program) - 1) < worth:
                small += piece
                continue
            if kernel is None:
                on_device = torch.tensor(numbers, dtype=scalar_dtype(dtype), device=device)
                compiled = compile_kernel(program, len(alike[0]), device, dtype)
                kernel = functools.partial(compiled, on_device)
            if len(piece) == 1 and is_contiguous(piece[0]):
                kernel(*map(flat, piece[0]))
            else:
                gathered(kernel, piece)
        if small:
            cache_sized(update, small, scalars)


def check_fusible(rows: list[Row]) -> None:
    """Raise, as torch does, unless all parameters are plain tensors of real numbers."""
    for row in rows:
        param = row[0]
        if type(param) not in PLAIN or not param.is_floating_point():
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors of supported "
                f"devices, but got {type(param).__name__}, {param.dtype} and {param.device.type}"
            )
