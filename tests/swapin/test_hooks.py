"""Hooks: around every optimizer's step, around one's, around state dicts."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from registry import Row, each_plain
from swapin.training import Pair, Run
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.profiler import ProfilerActivity, profile

Event = tuple[str, Any]


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """What was called, by global hooks too, which are taken away again."""
    log: list[Event] = []

    def hook(name: str) -> Callable[..., None]:
        return lambda optimizer, args, kwargs: log.append((name, (args[1:], kwargs)))

    handles = [
        register_optimizer_step_pre_hook(hook("global pre")),
        register_optimizer_step_post_hook(hook("global post")),
    ]
    yield log
    for handle in handles:
        handle.remove()


def watch(optimizer: Optimizer, log: list[Event]) -> None:
    """Register every hook that an optimizer of torch has."""

    def of_step(name: str) -> Callable[..., None]:
        return lambda _, args, kwargs: log.append((name, (args[1:], kwargs)))

    def of_state(name: str) -> Callable[..., None]:
        return lambda *args: log.append((name, [sorted(a) for a in args if isinstance(a, dict)]))

    optimizer.register_step_pre_hook(of_step("pre"))
    optimizer.register_step_post_hook(of_step("post"))
    optimizer.register_state_dict_pre_hook(of_state("state_dict pre"))
    optimizer.register_state_dict_post_hook(of_state("state_dict post"))
    optimizer.register_load_state_dict_pre_hook(of_state("load_state_dict pre"))
    optimizer.register_load_state_dict_post_hook(of_state("load_state_dict post"))


def test_all_hooks_of_torch_are_watched() -> None:
    registering = {name for name in dir(Optimizer) if name.startswith("register_")}
    assert len(registering) == 6


@each_plain
def test_same_calls_in_the_same_order(row: Row, events: list[Event]) -> None:
    def closure() -> torch.Tensor:
        events.append(("closure", torch.is_grad_enabled()))
        return run.backward(2)

    logs = []
    pair = Pair(row)
    for run in pair:
        watch(run.optimizer, events)
        run.train(0)
        run.optimizer.step(closure)
        run.optimizer.step(closure=closure)
        run.optimizer.load_state_dict(run.optimizer.state_dict())
        logs.append(list(events))
        events.clear()
    assert logs[0] == logs[1]
    once = ["global pre", "pre", "post", "global post"]
    with_closure = ["global pre", "pre", "closure", "post", "global post"]
    state = ["state_dict pre", "state_dict post", "load_state_dict pre", "load_state_dict post"]
    assert [name for name, _ in logs[0]] == [*once, *with_closure, *with_closure, *state]
    pair.compare()


@each_plain
def test_hook_that_replaces_the_arguments(row: Row) -> None:
    pair = Pair(row)
    for run in pair:

        def give_closure(_: Any, args: Any, kwargs: Any, run: Run = run) -> Any:
            return args[:1], {**kwargs, "closure": lambda: run.backward(1)}

        run.optimizer.register_step_pre_hook(give_closure)
        assert run.optimizer.step() is not None
    pair.compare()


@each_plain
def test_hook_that_changes_gradients_before_the_step(row: Row) -> None:
    """Clipping, as libraries hang it on the optimizer."""

    def clip(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        for group in optimizer.param_groups:
            torch.nn.utils.clip_grad_value_(group["params"], 0.01)

    pair = Pair(row)
    for run in pair:
        run.optimizer.register_step_pre_hook(clip)
    pair.train(0, 1, 2)
    largest = max(p.grad.abs().max() for p in pair.ours.model.parameters())
    assert largest == torch.tensor(0.01)


@each_plain
def test_hook_that_changes_the_state_dict(row: Row) -> None:
    pair = Pair(row)
    loaded = Pair(row)
    for run, other in zip(pair, loaded, strict=True):
        run.train(0)
        other.model.load_state_dict(run.model.state_dict())
        run.optimizer.register_state_dict_post_hook(lambda _, state: {**state, "note": 3})
        other.optimizer.register_load_state_dict_pre_hook(
            lambda _, state: {key: state[key] for key in ("state", "param_groups")}
        )
        checkpoint = run.optimizer.state_dict()
        assert checkpoint["note"] == 3
        other.optimizer.load_state_dict(checkpoint)
    loaded.compare()
    loaded.train(1, 2)


@each_plain
def test_removed_hook_is_silent(row: Row) -> None:
    calls: list[int] = []
    run = Pair(row).ours
    handle = run.optimizer.register_step_post_hook(lambda *_: calls.append(1))
    run.train(0)
    handle.remove()
    run.train(1)
    assert calls == [1]


@each_plain
def test_profiler_finds_each_step_once_and_by_name(row: Row) -> None:
    run = Pair(row).ours
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as trace:
        run.train(0, 1)
    counts = {event.key: event.count for event in trace.key_averages()}
    assert counts[f"Optimizer.step#{row}.step"] == 2
    assert counts[f"Optimizer.zero_grad#{row}.zero_grad"] == 2


@each_plain
def test_a_step_that_nobody_watches_does_without_the_label(
    row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entering it takes as long as the update of several small parameters."""
    labels: list[str] = []

    class Label(torch.autograd.profiler.record_function):
        def __init__(self, name: str) -> None:
            labels.append(name)
            super().__init__(name)

    monkeypatch.setattr(torch.autograd.profiler, "record_function", Label)
    run = Pair(row).ours
    run.optimizer.step()
    assert labels == []
    with run.optimizer.register_step_pre_hook(lambda *_: None):
        run.optimizer.step()
    assert labels == [f"Optimizer.step#{row}.step"]


@each_plain
def test_hook_registered_by_a_closure_is_called_after_the_same_step(row: Row) -> None:
    for run in Pair(row):
        calls: list[int] = []

        def closure(run: Run = run, calls: list[int] = calls) -> Any:
            run.optimizer.register_step_post_hook(lambda *_: calls.append(1))
            return run.backward(0)

        run.optimizer.step(closure)
        assert calls == [1]
