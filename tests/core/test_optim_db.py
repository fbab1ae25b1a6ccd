"""Ours over PyTorch's own table of optimizer inputs: every row, in bits, and every error."""

import contextlib

import pytest
import torch
from registry import EXECUTORS, ROWS, Options, Row, runs_with_foreach
from tensors import Spec, channels_last, contiguous, strided, transposed, view
from torch.testing._internal.common_optimizers import (
    ErrorOptimizerInput,
    OptimizerErrorEnum,
    OptimizerInfo,
    optim_db,
)
from twins import Twins

STEPS = 25
MISSING = 0.15

LAYOUTS = [
    ((), contiguous),
    ((0,), contiguous),
    ((1,), contiguous),
    ((10, 5), contiguous),
    ((5, 10), transposed),
    ((10,), strided),
    ((7, 3), view),
    ((2, 3, 4, 5), channels_last),
]


def info(row: Row) -> OptimizerInfo:
    return next(info for info in optim_db if info.optim_cls is row.twin)


CASES = [
    pytest.param(row, dtype, executor, id=f"{executor}-{dtype}-{row}")
    for row in ROWS
    if row.torchs
    for dtype in row.dtypes
    for executor in row.executors
]


@pytest.mark.parametrize(("row", "dtype", "executor"), CASES)
def test_every_input_row(row: Row, dtype: torch.dtype, executor: str) -> None:
    inputs = info(row).optim_inputs_func(device="cpu", dtype=dtype)
    assert inputs
    for given in inputs:
        if executor == "foreach" and not runs_with_foreach(given.kwargs):
            continue  # which Adam refuses: see the error inputs
        specs = [Spec(shape, dtype, layout) for shape, layout in LAYOUTS]
        twins = Twins(row, specs, complete(row, given.kwargs), EXECUTORS[executor])
        for _ in range(STEPS // 5 if row.closure else STEPS):  # there a step is 20 iterations
            twins.step(twins.random_gradients(missing=MISSING))
        assert not twins.failed, given.desc


def complete(row: Row, kwargs: Options) -> Options:
    """The dampened row of torch's table, for a class that looks ahead by default."""
    looks_ahead = row.twin_kwargs.get("nesterov", False)
    return {**kwargs, "nesterov": False} if looks_ahead and "dampening" in kwargs else kwargs


def error_inputs() -> list[object]:
    return [
        pytest.param(row, number, id=f"{row}-{error.optimizer_error_input.desc}")
        for row in ROWS
        if row.torchs
        for number, error in enumerate(info(row).optim_error_inputs_func("cpu", torch.float32))
    ]


@pytest.mark.parametrize(("row", "number"), error_inputs())
def test_every_error_input(row: Row, number: int) -> None:
    """The same exception, its message matched by torch's own pattern for it."""
    error: ErrorOptimizerInput = info(row).optim_error_inputs_func("cpu", torch.float32)[number]
    given = error.optimizer_error_input
    params = [torch.zeros(1, requires_grad=True)] if given.params is None else given.params
    with expected(error):
        optimizer = row.ours(params, **given.kwargs)
        if error.error_on is OptimizerErrorEnum.STEP_ERROR:
            optimizer.step()


def expected(error: ErrorOptimizerInput) -> contextlib.AbstractContextManager[object]:
    if issubclass(error.error_type, Warning):
        return pytest.warns(error.error_type, match=error.error_regex)
    return pytest.raises(error.error_type, match=error.error_regex)
