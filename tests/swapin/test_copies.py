"""Copies in the middle of a run: deepcopy, pickle, files, checkpoints handed over."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bits import EXECUTOR_FLAGS
from registry import EXECUTORS, Row, each_elementwise
from swapin.training import Pair, Run, assert_same_runs
from twins import save_and_load


def through_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def through_file(value: Any) -> Any:
    """The whole object, as scripts save it that do not know of state_dict."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


each_way = pytest.mark.parametrize("way", [copy.deepcopy, through_pickle, through_file])
each_executor = pytest.mark.parametrize("executor", EXECUTORS)


@each_elementwise
@each_way
@each_executor
def test_copy_goes_on_and_leaves_the_original_alone(
    row: Row, way: Callable[[Run], Run], executor: str
) -> None:
    pair = Pair(row, executor=EXECUTORS[executor])
    pair.train(0, 1, 2)
    copies = Pair(row)
    copies.ours, copies.torchs = map(way, pair)
    copies.compare()
    copies.train(3, 4, 5)
    pair.compare()
    pair.train(3, 4, 5)
    assert_same_runs(copies.ours, pair.ours, row)


@each_elementwise
@each_way
def test_copy_of_an_optimizer_alone(row: Row, way: Callable[[Any], Any]) -> None:
    """It has parameters of its own."""
    pair = Pair(row)
    pair.train(0, 1)
    for run in pair:
        alone = way(run.optimizer)
        for group in alone.param_groups:
            for param in group["params"]:
                param.grad = torch.ones_like(param)
        alone.step()
    pair.train(2, 3)


@each_elementwise
@each_executor
def test_checkpoints_are_handed_over(row: Row, executor: str) -> None:
    """Three times, each going on with what the other has written."""
    pair = Pair(row, executor=EXECUTORS[executor])
    for start in (0, 4, 8):
        pair.train(*range(start, start + 4))
        ours, torchs = [
            save_and_load((run.model.state_dict(), run.optimizer.state_dict())) for run in pair
        ]
        new = Pair(row, {}, executor=EXECUTORS[executor])
        for run, old, (model, optimizer) in zip(new, pair, (torchs, ours), strict=True):
            flags = {flag: run.optimizer.defaults.get(flag) for flag in EXECUTOR_FLAGS}
            run.losses = old.losses
            run.model.load_state_dict(model)
            run.optimizer.load_state_dict(optimizer)
            run.optimizer.defaults = old.optimizer.defaults
            for group in run.optimizer.param_groups:  # a checkpoint carries the writer's flags
                group.update(flags)
        pair = new
    pair.train(12, 13)
