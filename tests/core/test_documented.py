"""The documented examples, with the documented figures to the last digit."""

import io

import numpy as np
import pytest
import torch
from registry import Row, each_row
from torch import Tensor

import myoptim

# x, f and the gradient before each update; the rows beyond 5 are documented to three decimals.
SQUARE = {
    1: ([5, 10], 125, [10, 20]),
    2: ([4, 8], 80, [8, 16]),
    3: ([3.2, 6.4], 51.2, [6.4, 12.8]),
    4: ([2.56, 5.12], 32.768, [5.12, 10.24]),
    5: ([2.048, 4.096], 20.972, [4.096, 8.192]),
    10: ([0.671, 1.342], 2.252, [1.342, 2.684]),
    20: ([0.072, 0.144], 0.026, [0.144, 0.288]),
    30: ([0.008, 0.015], 0.000, [0.015, 0.031]),
}

# x, the gradient and f before each update, as float32 prints them.
FOUR_SQUARE = {
    0: (2.0, 16.0, 16.0),
    1: (1.840000033378601, 14.720000267028809, 13.542400360107422),
    2: (1.6928000450134277, 13.542400360107422, 11.462287902832031),
    3: (1.5573760271072388, 12.45900821685791, 9.701680183410645),
    4: (1.432785987854004, 11.462287902832031, 8.211503028869629),
    5: (1.3181631565093994, 10.545305252075195, 6.950216293334961),
    6: (1.2127101421356201, 9.701681137084961, 5.882663726806641),
    7: (1.1156933307647705, 8.925546646118164, 4.979086399078369),
    8: (1.0264378786087036, 8.211503028869629, 4.214298725128174),
    9: (0.9443228244781494, 7.554582595825195, 3.5669822692871094),
    10: (0.8687769770622253, 6.950215816497803, 3.0190937519073486),
    11: (0.7992748022079468, 6.394198417663574, 2.555360794067383),
    12: (0.7353328466415405, 5.882662773132324, 2.1628575325012207),
    19: (0.41020292043685913, 3.281623363494873, 0.673065721988678),
}

# x after so many iterations on 4x², from 2.
WITH_MOMENTUM = {
    1: 1.840000033378601,
    2: 1.548799991607666,
    3: 1.162816047668457,
    10: -1.1242536306381226,
    50: -0.021917372941970825,
    100: -0.009711924940347672,
}
WITHOUT_MOMENTUM = {
    1: 1.5199999809265137,
    2: 1.1552000045776367,
    3: 0.8779520392417908,
    10: 0.12857778370380402,
    50: 2.196391278630472e-06,
    100: 2.4120677243749666e-12,
}


def square_rows(optimizer: type[myoptim.SGD]) -> list[tuple[Tensor, Tensor, Tensor]]:
    x = torch.tensor([5.0, 10.0], dtype=torch.float64, requires_grad=True)
    descent = optimizer([x], lr=0.1)
    rows = []
    for _ in range(30):
        descent.zero_grad()
        loss = x.square().sum()
        loss.backward()
        rows.append((x.detach().clone(), loss.detach(), x.grad.clone()))
        descent.step()
    return rows


def test_square() -> None:
    rows = square_rows(myoptim.SGD)
    for number, (x, f, gradient) in SQUARE.items():
        for value, documented in zip(rows[number - 1], (x, f, gradient), strict=True):
            np.testing.assert_allclose(value.numpy(), documented, rtol=0, atol=5.01e-4)


def test_square_equals_the_loop_by_hand() -> None:
    """To rounding: numpy rounds the product and the difference, torch only their sum."""
    x = np.array([5.0, 10.0])
    for theirs, f, gradient in square_rows(myoptim.SGD):
        np.testing.assert_allclose(theirs.numpy(), x, rtol=1e-14)
        np.testing.assert_allclose(gradient.numpy(), 2 * x, rtol=1e-14)
        np.testing.assert_allclose(f.item(), (x**2).sum(), rtol=1e-14)
        x -= 0.1 * (2 * x)


def four_square(optimizer: type[myoptim.SGD], steps: int, **options: float) -> list[tuple]:
    x = torch.tensor(2.0, requires_grad=True)
    descent = optimizer([x], **options)
    rows = []
    for _ in range(steps + 1):
        descent.zero_grad()
        loss = (2 * x).square()
        loss.backward()
        rows.append((x.item(), x.grad.item(), loss.item()))
        descent.step()
    return rows


def test_four_square() -> None:
    rows = four_square(myoptim.SGD, 20, lr=0.01)
    assert {number: rows[number] for number in FOUR_SQUARE} == FOUR_SQUARE


@pytest.mark.parametrize(
    ("optimizer", "lr", "documented"),
    [(myoptim.Momentum, 0.01, WITH_MOMENTUM), (myoptim.SGD, 0.03, WITHOUT_MOMENTUM)],
)
def test_momentum_overshoots(
    optimizer: type[myoptim.SGD], lr: float, documented: dict[int, float]
) -> None:
    rows = four_square(optimizer, 100, lr=lr)
    assert {number: rows[number][0] for number in documented} == documented


# The optimizer object -----------------------------------------------------------------------------


def weight_and(optimizer: type[myoptim.SGD] = myoptim.SGD, **options: float) -> tuple:
    weight = torch.full((2, 2), 3.0, requires_grad=True)
    weight.grad = torch.ones(2, 2)
    return weight, optimizer([weight], lr=0.1, **options)


def test_each_step_moves_by_the_gradient_that_is_still_there() -> None:
    weight, optimizer = weight_and()
    moved = torch.full((2, 2), 3.0)
    for _ in range(2):
        optimizer.step()
        moved -= 0.1
        assert torch.equal(weight, moved)


@each_row
def test_group_holds_the_parameter_itself(row: Row) -> None:
    weight = torch.zeros(2, 2, requires_grad=True)
    optimizer = row.ours([weight])
    assert optimizer.param_groups[0]["params"][0] is weight


@each_row
def test_zero_grad(row: Row) -> None:
    weight = torch.zeros(2, 2, requires_grad=True)
    optimizer = row.ours([weight])
    weight.grad = torch.ones(2, 2)
    optimizer.zero_grad(set_to_none=False)
    assert torch.equal(weight.grad, torch.zeros(2, 2))
    optimizer.zero_grad()
    assert weight.grad is None


def test_added_group_takes_the_other_settings_of_the_first() -> None:
    _, optimizer = weight_and(momentum=0.5)
    second = torch.zeros(3, requires_grad=True)
    optimizer.add_param_group({"params": second, "lr": 1e-4})
    first, added = optimizer.param_groups
    assert added["params"] == [second]
    assert added["lr"] == 1e-4
    assert {k: v for k, v in added.items() if k not in ("params", "lr")} == {
        k: v for k, v in first.items() if k not in ("params", "lr")
    }


def test_state_begins_with_the_first_step() -> None:
    weight, optimizer = weight_and(momentum=0.9)
    assert optimizer.state_dict()["state"] == {}
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state["state"]) == [0] == state["param_groups"][0]["params"]
    assert list(state["state"][0]) == ["momentum_buffer"]
    assert torch.equal(state["state"][0]["momentum_buffer"], weight.grad)


def test_saved_and_loaded_it_goes_on_as_if_never_interrupted() -> None:
    weight, optimizer = weight_and(momentum=0.9)
    other = weight.detach().clone().requires_grad_()
    optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    with torch.no_grad():
        other.copy_(weight)
    resumed = myoptim.SGD([other])
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(3):
        weight.grad, other.grad = torch.ones(2, 2), torch.ones(2, 2)
        optimizer.step()
        resumed.step()
    assert torch.equal(weight, other)


def test_the_four_attributes() -> None:
    weight, optimizer = weight_and(momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.defaults["lr"] == 0.1
    assert optimizer.param_groups[0]["lr"] == 0.05
    assert list(optimizer.state) == [weight]
    assert optimizer._opt_called  # what a scheduler keeps on the optimizer
    assert scheduler._step_count == 2
