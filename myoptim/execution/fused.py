"""Fused: the rule compiled into one kernel, which takes several parameters at a time."""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy
import torch
from torch import Tensor

from myoptim.execution import private
from myoptim.execution.columns import (
    PLAIN,
    Columns,
    Row,
    Update,
    by_device_and_dtype,
    local,
    rows,
    take,
)
from myoptim.execution.cpu import (
    IN_CACHE,
    PACK,
    by_size,
    cut,
    is_contiguous,
    packed,
    pieces,
    some_at_a_time,
)
from myoptim.execution.functional import Functional, write_back
from myoptim.execution.graph import Node, replay, trace

#: Tracing and calling a kernel takes as long as a few statements on this many elements: on a CPU
#: fewer go the way that they go by default.
WORTH_A_KERNEL = 16_384

#: So many rows a kernel takes on a CPU, where calling it takes longer than updating a small row. An
#: accelerator would be given them one by one all the same; small ones are packed for it.
ROWS = 8

#: A kernel may count elements in 32 bits.
LONGEST = 2**30

#: The types of parameters that a kernel takes.
FLOATING = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))


def is_worth_a_kernel(columns: Columns) -> bool:
    """Whether a kernel pays: on a CPU not for little, nor for a rule without buffers, which is one
    pass over memory as it is."""
    params = columns[0]
    if not params[0].is_cpu:
        return True
    return len(columns) > 2 and sum(map(Tensor.numel, params)) >= WORTH_A_KERNEL


def checked_and_compiled(update: Update, columns: Columns) -> None:
    """The update as a compiled kernel, of tensors that may be no good for it."""
    if not PLAIN.issuperset(map(type, columns[0])):
        columns = [list(column) for column in zip(*map(local, rows(columns)), strict=True)]
    check_alike(columns)
    compiled(update, columns)


def compiled(update: Update, columns: Columns) -> None:
    """The update as one compiled kernel, which takes several rows at a time.

    Args:
        update: the update.
        columns: plain tensors on devices that kernels are made for, those of a row alike.
    """
    graph = trace(update, len(columns))
    for alike in by_device_and_dtype(columns):
        device, dtype = alike[0][0].device, alike[0][0].dtype
        height = ROWS if device.type == "cpu" else 1
        kernel = compile_kernel(graph.nodes, len(alike), height, device, dtype)
        numbers = as_tensor(graph.numbers, device, dtype)
        for part in some_at_a_time(alike):
            in_kernels(functools.partial(call, kernel, height, numbers), part, packs=height == 1)


def check_fusible(kinds: Iterable[tuple[type, torch.dtype, torch.device]]) -> None:
    """Raise, as torch does, unless the parameters are plain tensors of real numbers on a device
    that kernels are made for.

    Args:
        kinds: their classes, types and devices.
    """
    devices = private.fused_devices()
    for kind, dtype, device in kinds:
        if kind not in PLAIN or dtype not in FLOATING or device.type not in devices:
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors of supported "
                f"devices: {sorted(devices)}, but got {kind.__name__}, {dtype} and {device.type}"
            )


def unscaled(
    group: Mapping[str, Any],
    grads: list[Tensor],
    scale: Tensor | None,
    overflow: Tensor | None,
) -> list[Tensor]:
    """The gradients in their true size, where a `GradScaler` leaves that to the step.

    Args:
        group: the parameter group, which must say `fused=True`.
        grads: the gradients of its parameters.
        scale: by what the gradients were multiplied, None if they were not.
        overflow: other than 0 if one of them is not finite: none is returned then.
    """
    if not group.get("fused"):
        raise AssertionError(
            "Expected grad_scale and found_inf to be None: only fused=True unscales gradients"
        )
    if overflow is not None and overflow.item():
        return []
    return grads if scale is None else [grad / scale.to(grad.device) for grad in grads]


def check_alike(columns: Columns) -> None:
    """Raise unless a kernel, which takes memory as it is, will find there what it expects."""
    params, *others = columns
    if PLAIN.issuperset(map(type, itertools.chain(*others))) and all(
        (tensor.shape, tensor.dtype, tensor.device) == (param.shape, param.dtype, param.device)
        for column in others
        for param, tensor in zip(params, column, strict=True)
    ):
        return
    param = params[0]
    raise RuntimeError(
        "`fused=True` requires gradients and state to be plain tensors of their parameter's "
        f"shape, device and type, {param.device} and {param.dtype}, but some are not"
    )


def as_tensor(numbers: Sequence[float], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Numbers in the type in which a kernel on tensors of a type computes."""
    kind = numpy.float64 if dtype is torch.float64 else numpy.float32
    tensor = torch.from_numpy(numpy.array(numbers, kind))
    return tensor if device.type == "cpu" else tensor.to(device)


def in_kernels(run: Callable[[Sequence[Row]], None], columns: Columns, packs: bool) -> None:
    """The update of parameters of one device and type by a kernel that does the same to rows.

    Args:
        run: the kernel.
        columns: the parameters.
        packs: whether small ones are packed: the kernel takes one row at a time.
    """
    if packs:
        sizes = [param.numel() for param in columns[0]]
        small, large = by_size(sizes)
        for places in pieces(small, sizes, PACK):
            packed(lambda *flats: run([flats]), take(columns, places))
        columns = take(columns, large)
    if not all(map(is_contiguous, columns)):
        straight = [i for i, row in enumerate(rows(columns)) if is_contiguous(row)]
        for i in sorted({*range(len(columns[0]))} - {*straight}):
            packed(lambda *flats: run([flats]), take(columns, [i]))
        columns = take(columns, straight)
    run([*rows(columns)])


def call(
    kernel: Callable[[list[Any]], Any], height: int, numbers: Tensor, todo: Sequence[Row]
) -> None:
    """Call a kernel on rows, several at a time; rows of no elements fill up the last call."""
    if any(row[0].numel() > LONGEST for row in todo):
        todo = [part for row in todo for part in cut(row, LONGEST)]
    for i in range(0, len(todo), height):
        batch = todo[i : i + height]
        missing = height - len(batch)
        lengths = [row[0].numel() for row in batch] + [0] * missing
        nothing = [numbers] * (missing * len(batch[0]))
        kernel([numbers, *lengths, *itertools.chain(*batch), *nothing])


# ------------------------------------------------------------------------------- compiling

#: The compiler can do one thing at a time.
_compiling = threading.Lock()


@functools.cache
def compile_kernel(
    nodes: tuple[Node, ...], width: int, height: int, device: torch.device, dtype: torch.dtype
) -> Callable[[list[Any]], Any]:
    """A kernel that carries out a graph on `height` rows, each in one pass over memory.

    It takes a list, which it empties: a tensor of the numbers, the number of elements of each row,
    and then, row after row, `width` tensors. Of these it is only told where they begin, so they may
    be of any shape, if their elements lie in memory in order and without gaps.

    Raises:
        RuntimeError: there is no compiler that works here.
    """

    def on_row(numbers: Tensor, *row: Tensor) -> None:
        values = [Functional(tensor) for tensor in row]
        replay(nodes, values, numbers.unbind())
        write_back(row, values[:width])

    count = sum(node.arguments.count(None) for node in nodes)
    numbers = as_tensor([1.0] * count, device, dtype)
    # All different: tensors of one length get one symbol for it, which must be that of their row
    # and of no other. Long, so that the kernel is made for what takes time.
    lengths = [IN_CACHE - i for i in range(height)]
    try:
        with _compiling, torch.inference_mode(False), torch.no_grad():
            # Tracing asks only for their shapes: no page of this memory is ever touched.
            tensors = [
                torch.empty(length, dtype=dtype, device=device)
                for length in lengths
                for _ in range(width)
            ]
            compiled = _compile(on_row, width, numbers, lengths, tensors)
            few = [torch.zeros(2, dtype=dtype, device=device) for _ in tensors]
            compiled([numbers, *[2] * height, *few])
    except Exception as error:
        raise RuntimeError(
            f"fused=True needs torch's compiler to work for {device.type} (with a C++ compiler on "
            f"a CPU, Triton on a GPU), and it failed: {error}. Without fused=True none is needed."
        ) from error
    return compiled


def _compile(
    on_row: Callable[..., None],
    width: int,
    numbers: Tensor,
    lengths: Sequence[int],
    tensors: Sequence[Tensor],
) -> Callable[[list[Any]], Any]:
    """What torch.compile does, without its guards if that can be.

    Guards check at each call what is known here, which takes longer than the kernel on a tensor of
    middling size. What compiles without them is private in torch.
    """
    try:
        return _compile_without_guards(on_row, width, numbers, lengths, tensors)
    except (ImportError, AttributeError, TypeError):  # another torch, with other private names
        return _compile_with_guards(on_row, width, len(lengths))


def _compile_without_guards(
    on_row: Callable[..., None],
    width: int,
    numbers: Tensor,
    lengths: Sequence[int],
    tensors: Sequence[Tensor],
) -> Callable[[list[Any]], Any]:
    # Loading a compiler takes seconds, and most programs need none.
    from torch._guards import TracingContext, tracing
    from torch._inductor import config
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.decomposition import select_decomp_table
    from torch._inductor.virtualized import V
    from torch.fx.experimental import _config as tracing_config
    from torch.fx.experimental.proxy_tensor import make_fx

    height = len(lengths)

    def kernel(numbers: Tensor, *lengths_and_tensors: Any) -> tuple[()]:
        tensors = lengths_and_tensors[height:]
        for i in range(0, len(tensors), width):
            on_row(numbers, *tensors[i : i + width])
        return ()

    trace_shapes = make_fx(kernel, select_decomp_table(), tracing_mode="symbolic")
    with cast("Any", tracing_config).patch(use_duck_shape=True):
        module = trace_shapes(numbers, *lengths, *tensors)
    inputs = [node.meta["val"] for node in module.graph.find_nodes(op="placeholder")]
    check_lengths(inputs[1 : 1 + height], inputs[1 + height :])
    fake_mode = inputs[0].fake_mode
    context = tracing(TracingContext(fake_mode))
    with V.set_fake_mode(fake_mode), context, config.patch(size_asserts=False):
        return cast("Any", compile_fx_inner(module, inputs))


def _compile_with_guards(
    on_row: Callable[..., None], width: int, height: int
) -> Callable[[list[Any]], Any]:
    per_row: Any = torch.compile(on_row, dynamic=True)

    def call_rows(arguments: list[Any]) -> None:
        numbers, lengths, tensors = arguments[0], arguments[1 : 1 + height], arguments[1 + height :]
        for i, length in enumerate(lengths):
            if length:
                per_row(numbers, *tensors[i * width : (i + 1) * width])

    return call_rows


def check_lengths(lengths: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    """Raise unless each row of traced tensors has a length of its own, the one that was given."""
    width = len(tensors) // len(lengths)
    given = [str(length) for length in lengths for _ in range(width)]
    traced = [str(tensor.shape[0]) for tensor in tensors]
    if traced != given or len({*given}) < len(lengths):
        raise RuntimeError(f"tensors of lengths {given} were traced with lengths {traced}")
