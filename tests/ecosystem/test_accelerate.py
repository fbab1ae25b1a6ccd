"""Accelerate: prepare(), accumulation, clipping, save_state() and load_state()."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bits import assert_same_optimizers, assert_same_value
from registry import Row, each_plain
from swapin.training import Pair, Run, assert_same_models, batch
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")

# Accelerate's own deprecations are no errors of ours.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """Accelerate keeps its settings in a singleton."""
    yield
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()


class Prepared:
    """A run in the hands of an Accelerator."""

    def __init__(self, run: Run, **options: Any) -> None:
        self.inner = run.optimizer
        self.accelerator = accelerate.Accelerator(cpu=True, **options)
        data = DataLoader(TensorDataset(*batch(0, 40)), batch_size=8)
        scheduler = StepLR(run.optimizer, 3)
        self.model, self.optimizer, self.data, self.scheduler = self.accelerator.prepare(
            run.model, run.optimizer, data, scheduler
        )
        self.losses: list[torch.Tensor] = []

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            for inputs, targets in self.data:
                with self.accelerator.accumulate(self.model):
                    loss = torch.nn.functional.mse_loss(self.model(inputs), targets)
                    self.accelerator.backward(loss)
                    if self.accelerator.sync_gradients:
                        self.accelerator.clip_grad_norm_(self.model.parameters(), 0.5)
                    self.optimizer.step()
                    self.scheduler.step()
                    self.optimizer.zero_grad()
                self.losses.append(loss.detach())


def assert_same(row: Row, ours: Prepared, torchs: Prepared) -> None:
    assert_same_value(ours.losses, torchs.losses, "losses")
    assert_same_models(ours.model, torchs.model)
    assert_same_optimizers(ours.inner, torchs.inner, row.extra)


@each_plain
@pytest.mark.parametrize(
    "options",
    [{}, {"gradient_accumulation_steps": 2}, {"mixed_precision": "bf16"}],
    ids=["plain", "accumulated", "bf16"],
)
def test_training(row: Row, options: dict[str, Any]) -> None:
    ours, torchs = [Prepared(run, **options) for run in Pair(row)]
    for run in (ours, torchs):
        run.train(epochs=2)
    assert ours.optimizer.optimizer is ours.inner
    assert_same(row, ours, torchs)


@each_plain
def test_state_handed_over(row: Row, tmp_path: Path) -> None:
    for run, name in zip(Pair(row), ("ours", "torchs"), strict=True):
        first = Prepared(run)
        first.train(epochs=1)
        first.accelerator.save_state(str(tmp_path / name))
    ours, torchs = [Prepared(run) for run in Pair(row)]
    for run, name in ((ours, "torchs"), (torchs, "ours")):
        run.accelerator.load_state(str(tmp_path / name))
        run.train(epochs=2)
    assert_same(row, ours, torchs)
