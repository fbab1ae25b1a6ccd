"""differentiable=True: gradients through the steps, to gradients and hyper-parameters."""

import itertools
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from registry import ROWS, Options, Row, each_elementwise
from torch import Tensor
from torch.autograd import gradcheck
from torch.optim import Optimizer

STEPS = 3

# Numbers only: the hyper-parameters that are differentiated come from `hypers`.
CASES = [
    pytest.param(row, options, id=f"{row} {' '.join(options)}".strip())
    for row in ROWS
    if row.elementwise
    for options in row.unrolled
]

each_case = pytest.mark.parametrize(("row", "options"), CASES)


def hypers(row: Row) -> dict[str, Tensor]:
    """The hyper-parameters that can be a tensor, and so be differentiated; all by name."""
    values = {"lr": 0.1, **row.decaying(0.05)}
    if row.tensor_betas:
        values |= {"beta1": 0.8, "beta2": 0.9}
    return {name: leaf(torch.tensor(value)) for name, value in values.items()}


def leaf(values: Tensor) -> Tensor:
    return values.double().requires_grad_()


def inputs(steps: int) -> dict[str, Tensor]:
    """A parameter, and a gradient for every step; no element near zero, where √ has no slope."""
    source = torch.Generator().manual_seed(0)

    def draw() -> Tensor:
        values = torch.randn(4, generator=source)
        return leaf(values.sign() * (values.abs() + 0.1))

    return {"start": draw(), **{f"gradient {i}": draw() for i in range(steps)}}


def unroll(cls: type[Optimizer], options: Options, given: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """The parameter and its state after all steps: a differentiable function of what is given."""
    tensors = dict(given)
    param = tensors.pop("start").clone()
    gradients = [tensors.pop(name) for name in given if name.startswith("gradient")]
    if "beta1" in tensors:
        tensors["betas"] = tensors.pop("beta1"), tensors.pop("beta2")
    optimizer = cls([param], differentiable=True, **options, **tensors)
    for gradient in gradients:
        param.grad = gradient.clone()  # torch writes to it, where weight decay is a tensor
        optimizer.step()
    state = optimizer.state[param]
    return param, *(state[key] for key in state if key != "step")


def slopes(cls: type[Optimizer], options: Options, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of a sum of the parameter's elements, each with its own weight."""
    param, *_ = unroll(cls, options, given)
    loss = param @ torch.arange(1.0, 5.0).double()
    grads = torch.autograd.grad(loss, list(given.values()), materialize_grads=True)
    return dict(zip(given, grads, strict=True))


@each_case
@pytest.mark.parametrize("through", ["gradients", "hyper-parameters too"])
def test_finite_differences(row: Row, options: Options, through: str) -> None:
    given = inputs(STEPS) if through == "gradients" else {**inputs(STEPS), **hypers(row)}

    def outputs(*values: Tensor) -> tuple[Tensor, ...]:
        return unroll(row.ours, options, dict(zip(given, values, strict=True)))

    assert gradcheck(outputs, tuple(given.values()))


def of_torch(row: Row, options: Options, given: dict[str, Tensor]) -> dict[str, Tensor]:
    return slopes(row.twin, {**row.twin_kwargs, **row.loop, **options}, given)


def overwritten() -> AbstractContextManager[Any]:
    """Some of torch's rules overwrite in the second step what the backward pass of the first
    needs. Ours do not, and finite differences are their judge."""
    return pytest.raises(RuntimeError, match="modified by an inplace operation")


def detaches(row: Row, options: Options) -> bool:
    """Whether torch detaches the first gradient: SGD does, where it starts the momentum."""
    return row.twin is torch.optim.SGD and bool({**row.twin_kwargs, **options}.get("momentum"))


@pytest.fixture(autouse=True)
def double() -> None:
    """torch corrects the bias in the type of the step counter, which is the default one."""
    torch.set_default_dtype(torch.float64)  # taken back by the fixture of all tests


@each_case
@pytest.mark.parametrize("steps", [1, STEPS])
def test_same_slopes_as_torch(row: Row, options: Options, steps: int) -> None:
    given = inputs(steps)
    ours = slopes(row.ours, options, given)
    if steps > 1 and (row.overwrites or "centered" in options or "amsgrad" in options):
        with overwritten():
            of_torch(row, options, given)
        return
    torchs = of_torch(row, options, given)
    for name in given:
        if detaches(row, options) and name == "gradient 0":
            assert not torch.allclose(ours[name], torchs[name])
        else:
            torch.testing.assert_close(ours[name], torchs[name], rtol=1e-12, atol=1e-15)


@each_case
@pytest.mark.parametrize("steps", [1, STEPS])
def test_same_hyper_gradients_as_torch(row: Row, options: Options, steps: int) -> None:
    given = {**inputs(steps), **hypers(row)}
    ours = slopes(row.ours, options, given)
    assert all(ours[name] != 0 for name in hypers(row) if steps > 1)
    if row.twin is not torch.optim.SGD and not row.tensor_betas:
        with pytest.raises(TypeError, match="must be Number, not Tensor"):
            of_torch(row, options, given)
        return
    heavy_ball = detaches(row, options) and not {**row.twin_kwargs, **options}.get("nesterov")
    if steps > 1 and (heavy_ball or "amsgrad" in options):
        with overwritten():
            of_torch(row, options, given)
        return
    torchs = of_torch(row, options, given)
    for name in hypers(row):
        if not detaches(row, options) or (name == "lr" and steps == 1):
            torch.testing.assert_close(ours[name], torchs[name], rtol=1e-12, atol=1e-15)


@each_elementwise
def test_learning_the_learning_rate(row: Row) -> None:
    """Descent on the learning rate, through three steps on a quadratic, lowers the loss."""

    def loss_after(lr: Tensor) -> Tensor:
        param = torch.tensor([3.0, -2.0], requires_grad=True).clone()
        optimizer = row.ours([param], lr=lr, differentiable=True)
        for _ in range(STEPS):
            point = param.clone()  # the step overwrites the parameter, and the loss needs the old
            (param.grad,) = torch.autograd.grad(point.square().sum(), point, create_graph=True)
            optimizer.step()
        return param.square().sum()

    lr = torch.tensor(0.02, requires_grad=True)
    losses = []
    for _ in range(5):
        loss = loss_after(lr)
        losses.append(loss.item())
        (slope,) = torch.autograd.grad(loss, lr)
        lr = (lr - 1e-4 * slope).detach().requires_grad_()
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))
