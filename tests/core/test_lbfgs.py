"""What L-BFGS does where torch's fails."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from myoptim import LBFGS

SEARCH: dict[str, Any] = {"line_search_fn": "strong_wolfe"}
WOLFE = {**SEARCH, "max_iter": 3}


def ravine(x: Tensor) -> Tensor:
    return (torch.linspace(1, 50, x.numel()).view(x.shape) * (x - 1) ** 2).sum()


def closure_of(optimizer: LBFGS) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = ravine(optimizer.param_groups[0]["params"][0])
        loss.backward()
        return loss

    return closure


def started(start: Tensor, **options: Any) -> LBFGS:
    return LBFGS([start.clone(memory_format=torch.preserve_format).requires_grad_()], **options)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_goes_on(way: Callable[[Any], Any]) -> None:
    optimizer = started(torch.zeros(6), **WOLFE)
    optimizer.step(closure_of(optimizer))
    clone = way(optimizer)
    for each in (optimizer, clone):
        each.step(closure_of(each))
    a, b = optimizer.param_groups[0]["params"][0], clone.param_groups[0]["params"][0]
    assert a is not b
    assert torch.equal(a, b)


@pytest.mark.parametrize("options", [{"max_iter": 3}, WOLFE], ids=["no search", "strong Wolfe"])
def test_ascent_is_descent_of_the_negative(options: dict[str, Any]) -> None:
    up, down = [started(torch.zeros(6), maximize=up, **options) for up in (True, False)]

    def negative() -> Tensor:
        up.zero_grad()
        loss = -ravine(up.param_groups[0]["params"][0])
        loss.backward()
        return loss

    for _ in range(3):
        assert torch.equal(up.step(negative), -down.step(closure_of(down)))
    a, b = [optimizer.param_groups[0]["params"][0] for optimizer in (up, down)]
    assert torch.equal(a, b)
    assert a.abs().max() > 0


def test_gradients_that_are_not_contiguous() -> None:
    start = torch.randn(2, 3, 4, 5)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        optimizer = started(start.to(memory_format=layout), **WOLFE)
        optimizer.step(closure_of(optimizer))
        results.append(optimizer.param_groups[0]["params"][0])
    torch.testing.assert_close(results[0], results[1])


def test_after_an_error_in_the_first_iteration() -> None:
    optimizer = started(torch.zeros(6), **WOLFE)
    calls = iter([closure_of(optimizer)])
    with pytest.raises(StopIteration):
        optimizer.step(lambda: next(calls)())
    optimizer.param_groups[0]["params"][0].data.zero_()
    fresh = started(torch.zeros(6), **WOLFE)
    for each in (optimizer, fresh):
        each.step(closure_of(each))
    assert torch.equal(*(each.param_groups[0]["params"][0] for each in (optimizer, fresh)))


def test_a_group_without_parameters() -> None:
    assert LBFGS([{"params": []}]).step(lambda: 7.0) == 7.0


def test_a_second_group_is_refused_and_changes_nothing() -> None:
    optimizer = started(torch.zeros(6))
    with pytest.raises(ValueError, match=r"parameter groups.*give it one group, not 2"):
        optimizer.add_param_group({"params": [torch.zeros(2)]})
    optimizer.step(closure_of(optimizer))


def test_after_loading_nothing_is_shared() -> None:
    a, b = (started(torch.zeros(6), **WOLFE) for _ in range(2))
    a.step(closure_of(a))
    b.load_state_dict(a.state_dict())

    def addresses(optimizer: LBFGS) -> set[int]:
        (state,) = optimizer.state.values()
        lists = [value if isinstance(value, list) else [value] for value in state.values()]
        return {t.data_ptr() for each in lists for t in each if isinstance(t, Tensor)}

    assert len(addresses(a)) > 6
    assert not addresses(a) & addresses(b)


@pytest.mark.parametrize("name", ["armijo", True])
def test_an_unknown_line_search(name: Any) -> None:
    with pytest.raises(ValueError, match=r"only 'strong_wolfe' is supported.*allowed"):
        started(torch.zeros(2), line_search_fn=name)


def test_a_loss_that_is_nan_where_the_line_search_may_stop() -> None:
    """torch then looks for the lower end of a bracket that has one end."""

    def step(cls: Any) -> Tensor:
        x = torch.ones(2, requires_grad=True)
        optimizer = cls([x], lr=0.5, max_iter=1, max_eval=5, **SEARCH)
        values = iter([(1.0, 1.0), (math.nan, 0.0)])

        def closure() -> Tensor:
            loss, slope = next(values)
            x.grad = torch.full_like(x, slope)
            return torch.tensor(loss)

        optimizer.step(closure)
        return x.detach()

    with pytest.raises(IndexError):
        step(torch.optim.LBFGS)
    assert step(LBFGS).tolist() == [0.75, 0.75]  # 1 - min(1, 1 / 2) * 0.5
