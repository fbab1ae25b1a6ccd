"""How one rule runs over many tensors; the one place that says who runs what.

An update is a function `update(param, grad, *buffers)` that changes its tensors in place, the
gradient excepted. It is run by an executor, on columns `[params, grads, *buffers]` (`columns.py`);
the executor gives it tensors, or proxies that behave like tensors (`operators.py`). Nothing here
knows an algorithm or a hyper-parameter, and no algorithm knows what is here.

`row_executor` and `executor` look at the flags of the group, and at the scalars of the rule:

=====================================================  ======================  ================
`differentiable`, `capturable`, inside torch.compile   one by one, a function  `functional.py`
                                                       of tensors
`fused=True`, where a kernel pays                      a compiled kernel       `fused.py`
`foreach=False`; a scalar that is a tensor; forward    one by one, as they     `columns.directly`
mode of autograd                                       are: the loop
all else                                               by kind of tensor       `by_kind`
=====================================================  ======================  ================

and `by_kind` at the tensors, which `layout.py` has found to be alike and apart:

=====================================================  ======================  ================
sparse, of a subclass, without memory, overlapping,    tensor by tensor        `columns.each_row`
complex; in half precision on a CPU
on a CPU, few and small                                over lists              `foreach.py`
on a CPU, many and small                               packed into one         `cpu.packed`
on a CPU, large                                        in chunks               `cpu.in_chunks`
on an accelerator                                      over lists              `foreach.py`
=====================================================  ======================  ================

On a CPU, parameters and state have the bits of torch's eager loop (`foreach=False, fused=False`)
after any number of steps: in float32, float64, bfloat16, float16 and complex64, by default and with
`foreach=True` or `False`. Only the functional and the fused way may round in another way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from myoptim.execution import private
from myoptim.execution.columns import (
    PLAIN,
    Columns,
    Row,
    Update,
    by_device_and_dtype,
    directly,
    each_row,
    local,
)
from myoptim.execution.cpu import EXACT, cache_sized
from myoptim.execution.foreach import over_lists
from myoptim.execution.functional import as_function
from myoptim.execution.fused import checked_and_compiled, compiled, is_worth_a_kernel
from myoptim.execution.layout import Layout

RowExecutor = Callable[[Update, Row], None]
Executor = Callable[[Update, Columns], None]


def row_executor(flags: dict[str, Any], alone: bool) -> RowExecutor | None:
    """What runs the update of one parameter; None if it may be updated with others.

    Args:
        flags: the group, read for `foreach`, `fused`, `differentiable`, `capturable`.
        alone: whether the parameters cannot go together, as where a scalar of the update is a
            tensor: list kernels take only numbers.
    """
    if records(flags):
        return as_function
    if flags.get("fused"):
        return None
    foreach = flags.get("foreach")
    as_asked = foreach is False or (foreach is None and flags.get("fused") is False)
    # Kernels that write to given memory give no tangents.
    return directly if as_asked or alone or private.within_forward_mode() else None


def executor(flags: dict[str, Any], alone: bool, zeros_tie: bool, layout: Layout) -> Executor:
    """What runs the update of several parameters.

    Args:
        flags: the group, read for `fused`.
        alone: as for `row_executor`; a kernel takes scalars that are tensors.
        zeros_tie: whether 0.0 may meet -0.0 in a maximum or minimum of the rule.
        layout: how the tensors lie.
    """
    if alone:
        by_tensors = each_row
    elif layout.fits_lists:
        by_tensors = over_lists
    else:
        by_tensors = functools.partial(by_kind, zeros_tie=zeros_tie)
    if not flags.get("fused"):
        return by_tensors
    kernel = compiled if layout.regular else checked_and_compiled
    return functools.partial(fused_if_worth, kernel=kernel, otherwise=by_tensors)


def records(flags: dict[str, Any]) -> bool:
    """Whether a graph is recorded, in which scalars that are tensors stay tensors."""
    asked = flags.get("differentiable") or flags.get("capturable")
    return bool(asked) or torch.compiler.is_compiling()


def by_kind(update: Update, columns: Columns, zeros_tie: bool) -> None:
    """Each parameter in the fastest way that gives, on a CPU, the bits of the loop."""
    if len(columns[0]) == 1 and not is_plain_row([column[0] for column in columns]):
        update(*local([column[0] for column in columns]))
        return
    for alike in by_device_and_dtype(columns):
        param = alike[0][0]
        if param.is_cpu and param.dtype in EXACT:
            cache_sized(update, alike, zeros_tie)
        elif param.device.type in private.list_devices() and not param.is_complex():
            over_lists(update, alike)
        else:
            each_row(update, alike)


def is_plain_row(row: list[Tensor]) -> bool:
    """Whether the tensors of one parameter are of one kind, and have memory."""
    param = row[0]
    if not all(type(tensor) in PLAIN and not tensor.is_sparse for tensor in row):
        return False
    kind = param.shape, param.dtype, param.device
    if any((tensor.shape, tensor.dtype, tensor.device) != kind for tensor in row):
        return False
    try:
        return bool(param.data_ptr()) or not param.numel()
    except RuntimeError:
        return False


def fused_if_worth(update: Update, columns: Columns, kernel: Executor, otherwise: Executor) -> None:
    """The compiled kernel where it pays, else the default way."""
    if is_worth_a_kernel(columns):
        kernel(update, columns)
    else:
        otherwise(update, columns)


__all__ = [
    "Columns",
    "Executor",
    "Layout",
    "RowExecutor",
    "Update",
    "executor",
    "records",
    "row_executor",
]
