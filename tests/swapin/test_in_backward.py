"""The optimizer inside the backward pass: a parameter is stepped as soon as it has its gradient."""

from collections.abc import Callable

import pytest
import torch
from bits import assert_same_optimizers
from registry import Options, Row, each_plain
from swapin.training import Pair, Run, assert_same_models, network
from torch import nn
from torch.optim import Optimizer

# torch.distributed.optim is itself written with what torch calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated")


def apply_in_backward(model: nn.Module, cls: type[Optimizer], options: Options) -> list[Optimizer]:
    """torch's own way. Returns the optimizers, one for each parameter."""
    from torch.distributed.optim import apply_optimizer_in_backward as in_backward

    in_backward._apply_optimizer_in_backward(cls, model.parameters(), options)
    return in_backward._get_in_backward_optimizers(model)


def apply_by_hooks(model: nn.Module, cls: type[Optimizer], options: Options) -> list[Optimizer]:
    """The tutorial's way: each gradient has a hook that steps and clears."""
    optimizers = {p: cls([p], **options) for p in model.parameters()}

    def step(param: torch.Tensor) -> None:
        optimizers[param].step()
        optimizers[param].zero_grad()

    for param in optimizers:
        param.register_post_accumulate_grad_hook(step)
    return list(optimizers.values())


def train(run: Run) -> None:
    """There is no step to call."""
    for number in range(6):
        run.loss(number).backward()


@each_plain
@pytest.mark.parametrize("apply", [apply_by_hooks, apply_in_backward])
def test_optimizer_in_backward(row: Row, apply: Callable[..., list[Optimizer]]) -> None:
    options = {"lr": 0.02, **row.full}
    pair = Pair(row)
    ours = apply(pair.ours.model, row.ours, options)
    torchs = apply(pair.torchs.model, row.twin, {**options, **row.twin_kwargs, **row.loop})
    for run in pair:
        train(run)
        assert all(p.grad is None for p in run.model.parameters())
    assert len(ours) == len(list(pair.ours.model.parameters()))
    for a, b in zip(ours, torchs, strict=True):
        assert_same_optimizers(a, b, row.extra)
    assert_same_models(pair.ours.model, pair.torchs.model)
    assert torch.equal(pair.ours.losses[-1], pair.torchs.losses[-1])


@each_plain
def test_same_as_one_optimizer_after_backward(row: Row) -> None:
    options = {"lr": 0.02, **row.full}
    inside, after = network(), network()
    apply_in_backward(inside, row.ours, options)
    run = Run(after, row.ours(after.parameters(), **options))
    train(Run(inside, run.optimizer))
    run.train(*range(6))
    assert_same_models(inside, after)
