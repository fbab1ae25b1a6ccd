"""Training runs that differ in nothing but the optimizer: ours, and torch's beside it."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from bits import assert_same_optimizers, assert_same_tensor
from registry import Options, Row
from torch import Tensor, nn
from torch.optim import Optimizer


def network() -> nn.Module:
    """A small network, the same one each time."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def batch(number: int, size: int = 8) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(number)
    data = torch.randn(size, 3, generator=source)
    return data, torch.stack([data.sum(1), data.prod(1)], dim=1)


@dataclass
class Run:
    """A model in training, and the loss of every step so far."""

    model: nn.Module
    optimizer: Optimizer
    losses: list[Tensor] = field(default_factory=list)

    def loss(self, number: int) -> Tensor:
        """The loss of batch `number`, also kept in `losses`."""
        data, target = batch(number)
        loss = nn.functional.mse_loss(self.model(data), target)
        self.losses.append(loss.detach())
        return loss

    def backward(self, number: int) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(number)
        loss.backward()
        return loss

    def train(self, *numbers: int) -> None:
        for number in numbers:
            self.backward(number)
            self.optimizer.step()


def groups(model: nn.Module, lr: float | Tensor = 0.02) -> list[Options]:
    """Weights and biases apart, the latter with a learning rate of their own."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    return [{"params": weights, "lr": copy.deepcopy(lr)}, {"params": biases, "lr": lr / 2}]


class Pair:
    """Ours and torch's, from equal weights; iterating gives the one, then the other.

    Args:
        options: hyper-parameters of both; by default those that need every optional buffer.
        executor: flags of ours alone. torch's runs its loop.
    """

    def __init__(
        self,
        row: Row,
        options: Options | None = None,
        lr: float | Tensor = 0.02,
        model: Callable[[], nn.Module] = network,
        executor: Options | None = None,
    ) -> None:
        self.row = row
        options = row.full if options is None else options
        ours, torchs = model(), model()
        self.ours = Run(ours, row.make_ours(groups(ours, lr), {**options, **(executor or {})}))
        self.torchs = Run(torchs, row.make_twin(groups(torchs, lr), options))

    def __iter__(self) -> Iterator[Run]:
        return iter((self.ours, self.torchs))

    def train(self, *numbers: int) -> None:
        for run in self:
            run.train(*numbers)
        self.compare()

    def compare(self) -> None:
        """Losses, models and optimizers, in bits."""
        assert_same_runs(self.ours, self.torchs, self.row)


def assert_same_runs(ours: Run, torchs: Run, row: Row) -> None:
    assert len(ours.losses) == len(torchs.losses)
    for step, (a, b) in enumerate(zip(ours.losses, torchs.losses, strict=True)):
        assert_same_tensor(a, b, f"loss {step}")
    assert_same_models(ours.model, torchs.model)
    assert_same_optimizers(ours.optimizer, torchs.optimizer, row.extra)


def assert_same_models(ours: nn.Module, torchs: nn.Module) -> None:
    """Parameters and buffers."""
    a, b = ours.state_dict(), torchs.state_dict()
    assert list(a) == list(b)
    for name in b:
        assert_same_tensor(a[name], b[name], name)
