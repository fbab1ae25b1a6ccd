"""skorch: an optimizer built from keyword arguments, schedulers, pickled nets, saved state."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bits import assert_same_optimizers
from registry import Row, each_plain
from swapin.training import assert_same_models, batch, network

skorch = pytest.importorskip("skorch", reason="skorch is not installed")

# skorch's own deprecations are no errors of ours.
pytestmark = pytest.mark.filterwarnings("default")


def net(row: Row, ours: bool) -> Any:
    options = row.full if ours else {**row.twin_kwargs, **row.loop, **row.full}
    return skorch.NeuralNetRegressor(
        network(),
        optimizer=row.ours if ours else row.twin,
        lr=0.02,
        optimizer__param_groups=[("0.*", {"lr": 0.01})],
        **{f"optimizer__{name}": value for name, value in options.items()},
        batch_size=8,
        train_split=None,
        verbose=0,
        max_epochs=3,
        callbacks=[("schedule", skorch.callbacks.LRScheduler("StepLR", step_size=2))],
    )


def nets(row: Row) -> Iterator[Any]:
    return (net(row, ours) for ours in (True, False))


def data() -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = batch(0, 40)
    return inputs.numpy(), targets.numpy()


def assert_same(row: Row, ours: Any, torchs: Any) -> None:
    assert ours.history[:, "train_loss"] == torchs.history[:, "train_loss"]
    assert len(ours.history) > 0
    assert_same_models(ours.module_, torchs.module_)
    assert_same_optimizers(ours.optimizer_, torchs.optimizer_, row.extra)


@each_plain
def test_fit(row: Row) -> None:
    ours, torchs = [net.fit(*data()) for net in nets(row)]
    assert type(ours.optimizer_) is row.ours
    assert_same(row, ours, torchs)


@each_plain
def test_pickled_and_fitted_further(row: Row) -> None:
    ours, torchs = [
        pickle.loads(pickle.dumps(net.fit(*data()))).partial_fit(*data()) for net in nets(row)
    ]
    assert len(ours.history) == 6
    assert_same(row, ours, torchs)


@each_plain
def test_saved_state_handed_over(row: Row, tmp_path: Path) -> None:
    """`f_optimizer` of the one loaded into the other."""

    def files(name: str) -> dict[str, Path]:
        return {f"f_{part}": tmp_path / f"{name}.{part}" for part in ("params", "optimizer")}

    for net_, name in zip(nets(row), ("ours", "torchs"), strict=True):
        net_.fit(*data()).save_params(**files(name))
    ours, torchs = [net.initialize() for net in nets(row)]
    for net_, name in ((ours, "torchs"), (torchs, "ours")):
        net_.load_params(**files(name))
        net_.partial_fit(*data())
    assert_same(row, ours, torchs)


@each_plain
def test_parameters_set_before_fitting_again(row: Row) -> None:
    """As a grid search does."""
    ours, torchs = [net.fit(*data()) for net in nets(row)]
    for net_ in (ours, torchs):
        net_.set_params(optimizer__weight_decay=0.2, lr=0.05)
        net_.partial_fit(*data())
    assert ours.optimizer_.param_groups[0]["weight_decay"] == 0.2
    assert_same(row, ours, torchs)
    assert torch.isfinite(next(ours.module_.parameters())).all()
