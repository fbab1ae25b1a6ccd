"""`differentiable=True`: gradients through a step, compared with torch's and with differences."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from registry import ROWS, Options, Row, each_elementwise
from torch import Tensor
from torch.autograd import gradcheck
from torch.optim import Optimizer


def each_variant(test: Callable[..., None]) -> Callable[..., None]:
    cases = [
        pytest.param(row, options, id=f"{row}-{options}")
        for row in ROWS
        if row.elementwise
        for options in row.variants
    ]
    return pytest.mark.parametrize(("row", "options"), cases)(test)


def draw(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64) + 0.5


def state_after_zeros(row: Row, optimizer: Optimizer) -> dict[str, Tensor]:
    """The state under these settings, of a step on zeros; its numbers as precise as parameters."""
    probe = torch.zeros(1, requires_grad=True)
    group = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    twin = row.twin([probe])
    twin.param_groups[0].update(group, differentiable=False)
    probe.grad = torch.zeros(1)
    twin.step()
    return {name: value.double() for name, value in twin.state[probe].items()}


def needed_buffers(row: Row, optimizer: Optimizer) -> list[str]:
    return [name for name, value in state_after_zeros(row, optimizer).items() if value.dim()]


def step_from(
    row: Row, cls: type[Optimizer], options: Options, param: Tensor, grad: Tensor, *buffers: Tensor
) -> tuple[Tensor, ...]:
    """One step as a function from parameter, gradient and state to parameter and state."""
    param = param.clone()
    param.grad = grad
    optimizer = cls([param], differentiable=True, lr=0.3, **options)
    names = needed_buffers(row, optimizer)
    state = optimizer.state[param]
    state.update(state_after_zeros(row, optimizer))
    state.update(zip(names, [buffer.clone() for buffer in buffers], strict=True))
    if row.counts:
        state["step"] = torch.tensor(10.0, dtype=torch.float64)
    optimizer.step()
    return param, *[state[name] for name in names]


def inputs_for(row: Row, options: Options) -> list[Tensor]:
    torch.manual_seed(1)
    optimizer = row.ours([torch.zeros(1)], **options)
    count = 2 + len(needed_buffers(row, optimizer))
    tensors = [draw(4) for _ in range(count)]
    if options.get("centered"):  # a variance that is positive after the step, too
        tensors[2] += 4
    return [tensor.requires_grad_() for tensor in tensors]


@each_variant
def test_gradcheck(row: Row, options: Options) -> None:
    inputs = inputs_for(row, options)
    assert gradcheck(lambda *given: step_from(row, row.ours, options, *given), inputs)


@each_variant
def test_gradients_are_torchs(row: Row, options: Options) -> None:
    inputs = inputs_for(row, options)
    torchs = {**row.twin_kwargs, **options}
    ours = step_from(row, row.ours, options, *inputs)
    theirs = step_from(row, row.twin, torchs, *inputs)
    weights = [draw(4) for _ in ours]
    gradients = [torch.autograd.grad(outputs, inputs, weights) for outputs in (ours, theirs)]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-14)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def after_steps(optimizer_of: Callable[[Tensor], Optimizer], steps: int) -> Tensor:
    """The parameter after training on a quadratic, as a function of the hyper-parameters."""
    target = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    start = torch.tensor([0.5, 0.5, 0.5], dtype=torch.float64, requires_grad=True)
    param = start.clone()
    optimizer = optimizer_of(param)
    for _ in range(steps):
        loss = (param - target).pow(4).sum()
        (param.grad,) = torch.autograd.grad(loss, param, create_graph=True)
        optimizer.step()
    return (param - target).square().sum()


@each_elementwise
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_hyper_gradient_of_the_learning_rate(row: Row, steps: int) -> None:
    """The derivative of a trained loss by the learning rate: torch's, and that of differences."""
    torch.set_default_dtype(torch.float64)  # that of torch's step counter, and so its precision

    def loss_at(cls: type[Optimizer], lr: Tensor, **options: Any) -> Tensor:
        return after_steps(lambda p: cls([p], lr=lr, differentiable=True, **options), steps)

    lr = torch.tensor(1e-3, dtype=torch.float64, requires_grad=True)
    (ours,) = torch.autograd.grad(loss_at(row.ours, lr), lr)
    if row.learns_lr:
        (theirs,) = torch.autograd.grad(loss_at(row.twin, lr, **row.twin_kwargs), lr)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        above, below = (lr.detach() * factor for factor in (1 + 1e-4, 1 - 1e-4))
    slope = (loss_at(row.ours, above) - loss_at(row.ours, below)) / (above - below)
    torch.testing.assert_close(ours, slope.detach(), rtol=1e-5, atol=1e-8)


@each_elementwise
def test_values_are_those_of_the_plain_step(row: Row) -> None:
    """To rounding, over many steps; and without the flag nothing is recorded."""

    def train(**options: Any) -> Tensor:
        param = torch.ones(3, dtype=torch.float64, requires_grad=True)
        moved = param.clone() if options else param
        optimizer = row.ours([moved], lr=0.01, **options)
        for k in range(20):
            moved.grad = torch.arange(1.0, 4.0, dtype=torch.float64) / (k + 1)
            optimizer.step()
        assert (moved.grad_fn is not None) == bool(options)
        return moved.detach()

    torch.testing.assert_close(train(differentiable=True), train(), rtol=1e-12, atol=1e-12)


@each_elementwise
def test_plain_step_records_nothing(row: Row) -> None:
    param = torch.ones(3, requires_grad=True)
    optimizer = row.ours([param], lr=0.01)
    for _ in range(2):
        param.grad = torch.ones(3)
        optimizer.step()
    assert param.is_leaf
    tensors = [v for v in optimizer.state[param].values() if isinstance(v, Tensor)]
    assert not any(tensor.requires_grad for tensor in tensors)
