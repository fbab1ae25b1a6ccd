"""Lightning: the Trainer drives ours as it drives torch's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from bits import assert_same_optimizers, assert_same_value
from registry import Row, each_plain
from swapin.training import assert_same_models, batch, network
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

L = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")

# Lightning's own advice and deprecations are no errors of ours.
pytestmark = pytest.mark.filterwarnings("default")


class Regression(L.LightningModule):
    """The network in training under one optimizer."""

    def __init__(self, row: Row, ours: bool) -> None:
        super().__init__()
        self.network = network()
        self.row = row
        self.ours = ours
        self.losses: list[torch.Tensor] = []

    def configure_optimizers(self) -> dict[str, Any]:
        make = self.row.make_ours if self.ours else self.row.make_twin
        optimizer = make(self.network.parameters(), {"lr": 0.02, **self.row.full})
        turns_momentum = {"momentum", "betas"} & set(optimizer.defaults)
        scheduler = (
            OneCycleLR(optimizer, 0.1, total_steps=100)
            if turns_momentum
            else CosineAnnealingLR(optimizer, 50)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def training_step(self, given: list[torch.Tensor], number: int) -> torch.Tensor:
        loss = torch.nn.functional.mse_loss(self.network(given[0]), given[1])
        self.losses.append(loss.detach())
        return loss


class ByHand(Regression):
    """Manual optimisation, with a closure."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.automatic_optimization = False

    def training_step(self, given: list[torch.Tensor], number: int) -> None:
        optimizer = self.optimizers()
        assert isinstance(optimizer, torch.optim.Optimizer)

        def closure() -> torch.Tensor:
            loss = super(ByHand, self).training_step(given, number)
            optimizer.zero_grad()
            self.manual_backward(loss)
            return loss

        optimizer.step(closure=closure)
        self.lr_schedulers().step()


def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(*batch(0, 40)), batch_size=8)


def fit(
    module: Regression, epochs: int = 2, resume: Path | None = None, **options: Any
) -> L.Trainer:
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, loader(), ckpt_path=resume)
    return trainer


def pair(row: Row, cls: type[Regression] = Regression) -> list[Regression]:
    return [cls(row, ours) for ours in (True, False)]


def assert_same(row: Row, modules: list[Regression], trainers: list[L.Trainer]) -> None:
    assert len(modules[0].losses) > 0
    assert_same_value(*[module.losses for module in modules], "losses")
    assert_same_models(*modules)
    assert_same_optimizers(*[trainer.optimizers[0] for trainer in trainers], row.extra)


@each_plain
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gradient_clip_val": 0.1, "accumulate_grad_batches": 2},
        {"precision": "bf16-mixed"},
        {"precision": "64-true"},
    ],
    ids=["plain", "clipped and accumulated", "bf16-mixed", "64-true"],
)
def test_trainer(row: Row, options: dict[str, Any]) -> None:
    modules = pair(row)
    assert_same(row, modules, [fit(module, **options) for module in modules])


@each_plain
def test_manual_optimisation_with_a_closure(row: Row) -> None:
    modules = pair(row, ByHand)
    assert_same(row, modules, [fit(module) for module in modules])


@each_plain
def test_resumed_from_the_others_checkpoint(row: Row, tmp_path: Path) -> None:
    """Epoch 0 by the one, epochs 1 and 2 by the other."""
    for module in pair(row):
        fit(module, epochs=1).save_checkpoint(tmp_path / f"{module.ours}.ckpt")
    modules = pair(row)
    trainers = [fit(m, epochs=3, resume=tmp_path / f"{not m.ours}.ckpt") for m in modules]
    assert len(modules[0].losses) == 10
    assert_same(row, modules, trainers)
