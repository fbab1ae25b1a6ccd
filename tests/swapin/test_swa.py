"""torch.optim.swa_utils: averaged weights, their learning rate, their batch statistics."""

import pytest
import torch
from registry import Row, each_plain
from swapin.training import Pair, Run, assert_same_models, batch
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn

AVERAGES = {"mean": None, "moving": get_ema_multi_avg_fn(0.9)}


def normalised() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))


def train_averaged(run: Run, average: str, strategy: str) -> AveragedModel:
    """Four steps as usual, six more whose weights are averaged."""
    averaged = AveragedModel(run.model, multi_avg_fn=AVERAGES[average])
    scheduler = SWALR(run.optimizer, swa_lr=0.5, anneal_epochs=3, anneal_strategy=strategy)
    for number in range(10):
        run.train(number)
        if number >= 4:
            averaged.update_parameters(run.model)
            scheduler.step()
    update_bn((batch(number) for number in range(10, 14)), averaged)
    return averaged


@each_plain
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_averaged_weights(row: Row, average: str, strategy: str) -> None:
    pair = Pair(row, row.full, model=normalised)
    start = normalised()
    ours, torchs = [train_averaged(run, average, strategy) for run in pair]
    pair.compare()
    assert_same_models(ours, torchs)
    assert pair.ours.optimizer.param_groups[0]["lr"] == 0.5
    assert not torch.equal(ours.module[1].running_mean, start[1].running_mean)
