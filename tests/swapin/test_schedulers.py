"""Every scheduler of torch.optim.lr_scheduler drives ours as it drives torch's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from registry import Row, each_elementwise
from swapin.training import Pair, Run
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler
from twins import attempt, save_and_load

STEPS = 14

Make = Callable[[Optimizer], Any]


def cyclic(**options: Any) -> Make:
    return lambda optimizer: lr_scheduler.CyclicLR(
        optimizer, 0.01, 0.1, step_size_up=3, mode="triangular2", **options
    )


def one_cycle(**options: Any) -> Make:
    return lambda optimizer: lr_scheduler.OneCycleLR(
        optimizer, [0.1, 0.05], total_steps=STEPS + 1, **options
    )


def sequential(optimizer: Optimizer) -> LRScheduler:
    warm_up = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4)
    annealing = lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    return lr_scheduler.SequentialLR(optimizer, [warm_up, annealing], milestones=[4])


def chained(optimizer: Optimizer) -> LRScheduler:
    constant = lr_scheduler.ConstantLR(optimizer, 0.1, total_iters=4)
    return lr_scheduler.ChainedScheduler([constant, lr_scheduler.ExponentialLR(optimizer, 0.9)])


# Names as in torch; where a scheduler also turns momentum, with and without that.
SCHEDULERS: dict[str, dict[str, Make]] = {
    "LambdaLR": {"": lambda o: lr_scheduler.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1 / (t + 1)])},
    "MultiplicativeLR": {"": lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: 0.95)},
    "StepLR": {"": lambda o: lr_scheduler.StepLR(o, step_size=4)},
    "MultiStepLR": {"": lambda o: lr_scheduler.MultiStepLR(o, milestones=[3, 3, 9])},
    "ConstantLR": {"": lambda o: lr_scheduler.ConstantLR(o, total_iters=5)},
    "LinearLR": {
        "": lambda o: lr_scheduler.LinearLR(o, total_iters=5),
        "to zero": lambda o: lr_scheduler.LinearLR(o, 1.0, end_factor=0.0, total_iters=5),
    },
    "ExponentialLR": {"": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.8)},
    "SequentialLR": {"": sequential},
    "CosineAnnealingLR": {"": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=5)},
    "ChainedScheduler": {"": chained},
    "ReduceLROnPlateau": {"": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1)},
    "CyclicLR": {
        "with momentum": cyclic(base_momentum=0.7, max_momentum=0.95),
        "without momentum": cyclic(cycle_momentum=False),
    },
    "CosineAnnealingWarmRestarts": {
        "": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2)
    },
    "OneCycleLR": {
        "with momentum": one_cycle(),
        "without momentum": one_cycle(cycle_momentum=False),
        "three phases": one_cycle(three_phase=True, anneal_strategy="linear"),
    },
    "PolynomialLR": {"": lambda o: lr_scheduler.PolynomialLR(o, total_iters=8, power=2)},
}

CASES = [
    pytest.param(name, make, id=f"{name} {variant}".strip())
    for name, variants in SCHEDULERS.items()
    for variant, make in variants.items()
]


def test_every_scheduler_is_here() -> None:
    public = set(lr_scheduler.__all__)
    public |= {
        name
        for name, value in vars(lr_scheduler).items()
        if isinstance(value, type) and issubclass(value, LRScheduler) and not name.startswith("_")
    }
    assert set(SCHEDULERS) == public - {"LRScheduler"}


def advance(run: Run, scheduler: Any, numbers: range) -> list[list[float]]:
    """Train, and return the learning rates of every step."""
    rates: list[list[float]] = []
    for number in numbers:
        run.train(number)
        if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
            scheduler.step(abs(number - 4))  # falls, then rises
        else:
            scheduler.step()
        rates.append([float(group["lr"]) for group in run.optimizer.param_groups])
    return rates


@each_elementwise
@pytest.mark.parametrize("lr", [0.02, torch.tensor(0.02)], ids=["number", "tensor"])
@pytest.mark.parametrize(("name", "make"), CASES)
def test_scheduler(row: Row, name: str, make: Make, lr: float | torch.Tensor) -> None:
    """Half of the way, then the rest from the checkpoint that the other wrote."""
    first = Pair(row, lr=lr)
    made = [attempt(lambda run=run: make(run.optimizer)) for run in first]
    schedulers, errors = zip(*made, strict=True)
    if errors[1] is not None:  # there is no momentum to turn
        assert not {"momentum", "betas"} & first.torchs.optimizer.defaults.keys()
        assert repr(errors[0]) == repr(errors[1])
        return
    ours, torchs = [
        advance(run, scheduler, range(STEPS // 2))
        for run, scheduler in zip(first, schedulers, strict=True)
    ]
    assert ours == torchs
    assert len({tuple(rates) for rates in ours}) > 1, "the scheduler did nothing"
    first.compare()

    second = Pair(row, lr=lr)
    rates = []
    for run, other, scheduler in zip(second, reversed([*first]), reversed(schedulers), strict=True):
        run.model.load_state_dict(other.model.state_dict())
        resumed = make(run.optimizer)
        resumed.load_state_dict(scheduler.state_dict())
        run.optimizer.load_state_dict(save_and_load(other.optimizer.state_dict()))
        rates.append(advance(run, resumed, range(STEPS // 2, STEPS)))
    assert rates[0] == rates[1]
    second.compare()
