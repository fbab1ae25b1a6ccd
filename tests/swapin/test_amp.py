"""Mixed precision: torch.amp.GradScaler and autocast."""

import copy

import pytest
import torch
from bits import assert_same_value
from registry import ROWS, Row, each_plain
from swapin.training import Pair, Run
from torch import nn
from torch.amp import GradScaler
from torch.nn.utils import clip_grad_norm_

OVERFLOW = (1, 4)  # the steps with an infinite gradient


def scaler() -> GradScaler:
    return GradScaler("cpu", init_scale=2.0**10, growth_interval=2)


def wide() -> nn.Module:
    """Wide enough for the compiled kernel to be worth its call."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 3000), nn.Tanh(), nn.Linear(3000, 2))


def train_scaled(run: Run, scaler: GradScaler, numbers: range, clip: bool = False) -> list[float]:
    """Train with a scaled loss; return the scales."""
    scales = []
    for number in numbers:
        run.optimizer.zero_grad()
        scaler.scale(run.loss(number)).backward()
        if number in OVERFLOW:
            next(run.model.parameters()).grad[0, 0] = float("inf")
        if clip:
            scaler.unscale_(run.optimizer)
            clip_grad_norm_(run.model.parameters(), 0.1)
        scaler.step(run.optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    return scales


@each_plain
@pytest.mark.parametrize("clip", [False, True], ids=["", "unscaled and clipped"])
def test_overflow(row: Row, clip: bool) -> None:
    """The step of an infinite gradient is left out, and the scale halved; both grow again."""
    pair = Pair(row)
    ours, torchs = [train_scaled(run, scaler(), range(8), clip) for run in pair]
    assert ours == torchs
    assert ours[1] == ours[0] / 2
    assert max(ours[5:]) > ours[4]
    pair.compare()
    for state in pair.ours.optimizer.state.values():
        assert state.get("step", 6) == 8 - len(OVERFLOW)


@each_plain
def test_overflow_changes_nothing(row: Row) -> None:
    pair = Pair(row)
    pair.train(0)
    before = copy.deepcopy((pair.ours.model.state_dict(), pair.ours.optimizer.state_dict()))
    train_scaled(pair.ours, scaler(), range(OVERFLOW[0], OVERFLOW[0] + 1))
    after = pair.ours.model.state_dict(), pair.ours.optimizer.state_dict()
    assert_same_value(after, before, "model and optimizer")


@each_plain
def test_scaled_equals_unscaled(row: Row) -> None:
    """A scale that is a power of two cancels out exactly."""
    pair = Pair(row)
    train_scaled(pair.ours, GradScaler("cpu"), range(10, 16))
    pair.torchs.train(*range(10, 16))
    pair.compare()


@each_plain
def test_autocast(row: Row) -> None:
    pair = Pair(row)
    for run in pair:
        for number in range(6):
            run.optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert run.model(torch.ones(1, 3)).dtype == torch.bfloat16
                loss = run.loss(number)
            loss.backward()
            run.optimizer.step()
    pair.compare()


@each_plain
def test_closure_is_refused_as_by_torch(row: Row) -> None:
    pair = Pair(row)
    for run in pair:
        scaling = scaler()
        scaling.scale(run.loss(0)).backward()
        with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
            scaling.step(run.optimizer, closure=lambda: None)


@pytest.mark.xdist_group("compile")
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
def test_overflow_of_the_fused_step() -> None:
    """It too is left out, unlike torch's fused kernels by the scaler and not by the step."""
    row = next(row for row in ROWS if str(row) == "AdamW")
    pair = Pair(row, model=wide, executor={"fused": True})
    ours, torchs = [train_scaled(run, scaler(), range(6)) for run in pair]
    assert ours == torchs
    torch.testing.assert_close(pair.ours.losses, pair.torchs.losses, rtol=1e-5, atol=1e-5)
    for state in pair.ours.optimizer.state.values():
        assert state["step"] == 6 - len(OVERFLOW)
