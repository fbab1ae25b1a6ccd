"""Rules that nobody here knew: they run in every way, with the bits of their own loop."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bits import assert_same_tensor
from torch import Tensor

from myoptim.algorithms.weight_decay import decoupled
from myoptim.declaration import Declaration
from myoptim.execution.operators import BY_NAME, NotElementwiseError
from myoptim.hyperparameters import AT_LEAST_ZERO, BETAS, LEARNING_RATE, ZERO_TO_ONE
from myoptim.rules import ElementwiseRule, TensorRule

pytestmark = [
    pytest.mark.xdist_group("fused"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the compiler about itself
]


def lion(param, grad, exp_avg, *, lr, betas):
    beta1, beta2 = betas
    blend = exp_avg.lerp(grad, 1 - beta1)
    param.add_(blend.sign_(), alpha=-lr)
    exp_avg.lerp_(grad, 1 - beta2)


class Lion(ElementwiseRule):
    _declaration = Declaration(
        rule=lion,
        ranges={"lr": LEARNING_RATE, "betas": BETAS, "weight_decay": AT_LEAST_ZERO},
        buffers=("exp_avg",),
        weight_decay=decoupled,
    )

    def __init__(self, params, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1, **flags):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, **flags})


def forgetful(param, grad, memory, *, lr, rho):
    memory.lerp_(grad, 1 - rho)
    param.add_(memory, alpha=-lr)
    memory.mul_(1.0)


class Forgetful(ElementwiseRule):
    """An average under another name, which may keep nothing, and no weight decay at all."""

    _declaration = Declaration(
        rule=forgetful, ranges={"lr": LEARNING_RATE, "rho": ZERO_TO_ONE}, buffers=("memory",)
    )

    def __init__(self, params, lr=1e-2, rho=0.0, **flags):
        super().__init__(params, {"lr": lr, "rho": rho, **flags})


def written_out(param, grad, mean, *, step, lr, decay):
    """In Python's operators and torch's functions."""
    mean *= decay
    mean += (1 - decay) * grad
    bound = torch.where(mean > 0.5, mean, torch.abs(mean) + 1) / (1 - decay**step)
    shrunk = torch.where(grad.lt(0), 0.25, bound.maximum(mean))
    param -= lr * shrunk.clamp(-2, 2).square().add(1e-3).rsqrt()


class WrittenOut(ElementwiseRule):
    _declaration = Declaration(rule=written_out, buffers=("mean",))

    def __init__(self, params, lr=1e-2, decay=0.9, **flags):
        super().__init__(params, {"lr": lr, "decay": decay, **flags})


RULES = [Lion, Forgetful, WrittenOut]
COUNTS = {"1": [7], "2": [3, 5], "3": [4, 1, 6], "40": [11] * 40, "300": [5] * 300}
COUNTS["3 million"] = [3_000_000]


def trained(make: Callable[..., Any], sizes: list[int], kinds: str = "nz-") -> list[Tensor]:
    """The parameters after a few steps, some with gradients that are zeros of both signs."""
    torch.manual_seed(1)
    params = [torch.randn(size).requires_grad_() for size in sizes]
    optimizer = make(params)
    for kind in kinds:
        for param in params:
            random = torch.randn(param.shape)
            zeros = torch.zeros_like(param)
            param.grad = {"n": random, "z": zeros, "-": -zeros}[kind]
        optimizer.step()
    state = [value for kept in optimizer.state.values() for value in kept.values()]
    return [param.detach() for param in params] + [value.detach() for value in state]


@pytest.mark.parametrize("sizes", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("cls", RULES)
def test_default_and_lists_have_the_bits_of_the_loop(cls: Any, sizes: list[int]) -> None:
    loop = trained(lambda params: cls(params, foreach=False), sizes)
    for flags in ({}, {"foreach": True}, {"foreach": None, "fused": None}):
        ours = trained(functools.partial(cls, **flags), sizes)
        for a, b in zip(ours, loop, strict=True):
            assert_same_tensor(a, b, str(flags))


@pytest.mark.parametrize("sizes", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("cls", RULES)
@pytest.mark.parametrize("flag", ["fused", "differentiable"])
def test_compiled_and_functional_are_close(cls: Any, sizes: list[int], flag: str) -> None:
    if flag == "differentiable":
        sizes = sizes[:3]
    loop = trained(lambda params: cls(params, foreach=False), sizes, "nn")

    if flag == "differentiable":
        torch.manual_seed(1)
        params = [torch.randn(size) for size in sizes]
        optimizer = cls(params, differentiable=True)
        for _ in range(2):
            for param in params:
                param.grad = torch.randn(param.shape)
            optimizer.step()
        ours = params
    else:
        ours = trained(lambda params: cls(params, fused=True), sizes, "nn")
    for a, b in zip(ours, loop, strict=False):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


# What is not elementwise --------------------------------------------------------------------------


def normed(param, grad, *, lr):
    param.add_(grad / grad.norm(), alpha=-lr)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_rule_that_is_not_elementwise_is_told_where_to_go(count: int) -> None:
    class Normed(ElementwiseRule):
        _declaration = Declaration(rule=normed, numbers={})

    params = [torch.ones(3, requires_grad=True) for _ in range(count)]
    optimizer = Normed(params, {"lr": 0.1})
    for param in params:
        param.grad = torch.ones(3)
    with pytest.raises(NotElementwiseError, match=r"'norm' is not an elementwise.*TensorRule"):
        optimizer.step()
    assert all(torch.equal(param, torch.ones(3)) for param in params)


def test_on_tensors_any_rule_runs() -> None:
    class Normed(TensorRule):
        _declaration = Declaration(rule=normed, numbers={})

    params = [torch.ones(3, requires_grad=True), torch.ones(2, 2, requires_grad=True)]
    optimizer = Normed(params, {"lr": 1.0})
    for param in params:
        param.grad = torch.full_like(param, 2.0)
    optimizer.step()
    torch.testing.assert_close(params[0].detach(), torch.full((3,), 1 - 3**-0.5))
    torch.testing.assert_close(params[1].detach(), torch.full((2, 2), 0.5))


# Every operator of the table ----------------------------------------------------------------------


def arguments(name: str, tensors: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments for an operator, with a tensor wherever it takes one."""
    form = BY_NAME[name].form
    a, b, _ = tensors
    if name in ("fill_",):
        return (0.5,), {}
    if name.startswith("clamp") and form == "any":
        return (-0.5, 0.5), {}
    if name.startswith("masked_fill"):
        return (a > 0, 0.25), {}
    if name == "where":
        return (a > b, b), {}
    return {
        "unary": ((), {}),
        "binary": ((a,), {}),
        "scaled": ((a,), {"alpha": 0.5}),
        "product": ((a, b), {"value": 0.5}),
        "lerp": ((a, 0.3), {}),
    }[form]


@pytest.mark.parametrize("name", sorted(BY_NAME))
@pytest.mark.parametrize("sizes", [[5, 3], [40] * 40, [1_500_000]], ids=["few", "many", "large"])
def test_every_operator_in_every_way(name: str, sizes: list[int]) -> None:
    def rule(param, grad, buffer):
        positive = param.abs().add_(1.0)
        positive.mul_(1.0)
        args, kwargs = arguments(name, [grad, buffer, param])
        made = getattr(positive, name)(*args, **kwargs)
        param.copy_(positive.where(made, grad) if name in COMPARISONS else made)
        buffer.add_(grad)

    class Every(ElementwiseRule):
        _declaration = Declaration(rule=rule, numbers={}, buffers=("buffer",))

    def run(**flags: Any) -> list[Tensor]:
        torch.manual_seed(2)
        params = [torch.randn(size) for size in sizes]
        optimizer = Every(params, flags)
        for _ in range(2):
            for param in params:
                param.grad = torch.randn(param.shape)
            optimizer.step()
        return params

    loop = run(foreach=False)
    for a, b in zip(run(), loop, strict=True):
        assert_same_tensor(a, b, name)
    for a, b in zip(run(differentiable=True), loop, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)


COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge", "isnan", "logical_and", "logical_or"}
COMPARISONS |= {"logical_not"}


# Numbers of the state ----------------------------------------------------------------------------


def halve(product, *, step, lr):
    product.mul_(lr * 5)


def remember(last, *, step):
    last.fill_(step)


def scaled_by_numbers(param, grad, *, step, product, last):
    param.add_(grad, alpha=-product * (step - last))


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)], ids=["number", "tensor"])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_rules_for_numbers_run_before_and_after(count: int, lr: float | torch.Tensor) -> None:
    """A product of 0.5, and the step of the time before: θ moves by 0.5ᵗ · 1."""

    class Numbers(ElementwiseRule):
        _declaration = Declaration(
            rule=scaled_by_numbers,
            numbers={"step": 0.0, "product": 1.0, "last": lambda group: group["begin"]},
            before=halve,
            after=remember,
        )

    params = [torch.zeros(3) for _ in range(count)]
    optimizer = Numbers(params, {"lr": lr, "begin": 0.0})
    for step in range(4):
        for i, param in enumerate(params):
            param.grad = torch.ones(3) if step >= i % 2 else None
        optimizer.step()
    for i, param in enumerate(params):
        steps = 4 - i % 2
        state = optimizer.state[param]
        assert [state[name].item() for name in state] == [steps, 0.5**steps, steps]
        assert_same_tensor(param, torch.full((3,), 0.5**steps - 1), "parameter")
