"""What a story tells is what happened: the values are the run's, and narrating changes no bit."""

import sys
from typing import Any

import pytest
import torch

import myoptim
from myoptim.lab.errors import UsageError
from myoptim.lab.narrate import Told, narrate
from myoptim.lab.trace import trace
from myoptim.rules import ElementwiseRule

ELEMENTWISE = [name for name, cls in myoptim.OPTIMIZERS.items() if issubclass(cls, ElementwiseRule)]


class Course(torch.optim.Optimizer):
    """A student's."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["m"] = torch.zeros_like(p)
                state["m"].mul_(0.9).add_(p.grad)  # m ← 0.9 m + g
                p.data -= group["lr"] * doubled(state["m"])  # and down we go


def doubled(m: torch.Tensor) -> torch.Tensor:
    twice = m * 2
    return twice.clone()


class Plain:
    """Without a base class."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        self.params, self.lr = list(params), lr

    def step(self) -> None:
        for p in self.params:
            p.data = p.data - self.lr * p.grad


def told_of(optimizer: Any, steps: int = 1) -> list[Told]:
    return [
        told
        for row in trace(optimizer, "square", settings={"lr": 0.5}, steps=steps, narrated=True).rows
        for told in row.statements
    ]


def test_documented_numbers() -> None:
    first, second = trace("Adam", "square", settings={"lr": 0.5}, steps=2, narrated=True).rows
    for row, expected in (
        (first, {"exp_avg": (1, 2), "exp_avg_sq": (0.1, 0.4), "param": (4.5, 9.5)}),
        (
            second,
            {
                "exp_avg": (1.8, 3.7),
                "exp_avg_sq": (0.1809, 0.7606),
                "param": (4.0020609, 9.0008326),
            },
        ),
    ):
        last = {name: value for told in row.statements for name, value in told.values.items()}
        for name, numbers in expected.items():
            assert last[name].tolist() == pytest.approx(numbers, rel=1e-7)
    formulas = {told.code: told.formula for told in first.statements}
    assert formulas["exp_avg.lerp_(grad, 1 - beta1)"] == "m ← β₁ m + (1 − β₁) g"
    assert formulas["beta1, beta2 = betas"] is None


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_narrating_changes_no_bit(name: str) -> None:
    runs = [trace(name, "square", steps=12, narrated=narrated) for narrated in (False, True)]
    plain, narrated = runs
    for before, after in zip(plain.rows, narrated.rows, strict=True):
        for param, value in before.params.items():
            assert value.tobytes() == after.params[param].tobytes()
    for i, row in enumerate(narrated.rows[:-1]):
        made = {key: value for told in row.statements for key, value in told.values.items()}
        reached = torch.from_numpy(narrated.rows[i + 1].params["x"])
        assert torch.equal(made["param"], reached)


def test_what_prodigy_measures_before_it_steps_is_told() -> None:
    told = told_of("Prodigy", steps=2)
    second = {name: value for one in told if one.step == 2 for name, value in one.values.items()}
    names = [name for one in told if one.step == 2 for name in one.values]
    assert names.index("s") < names.index("d_hat") < names.index("param")
    assert second["d_hat"] == pytest.approx(second["d_numerator"] / second["length"])
    assert {one.param for one in told if "d_hat" in one.values} == {None}
    assert "s ← √β₂ s + d w g / d₀" in [one.formula for one in told]


def test_of_torchs_own_code() -> None:
    codes = {told.code: told.values for told in told_of(torch.optim.Adam)}
    assert codes["exp_avg.lerp_(grad, 1 - device_beta1)"]["exp_avg"].tolist() == pytest.approx(
        [1, 2]
    )


def test_of_a_students_code() -> None:
    told = told_of(Course)
    assert [one.code for one in told] == [
        'state["m"] = torch.zeros_like(p)',
        'state["m"].mul_(0.9).add_(p.grad)',
        "twice = m * 2",
        'p.data -= group["lr"] * doubled(state["m"])',
    ]
    assert [one.formula for one in told] == [None, "m ← 0.9 m + g", None, None]
    assert [one.param for one in told] == ["x"] * 4
    assert told[1].values["state['m']"].tolist() == [10, 20]
    assert told[3].values["p"].tolist() == [-5, -10]


def test_of_a_class_without_a_base() -> None:
    told = told_of(Plain, steps=2)
    assert [one.step for one in told] == [1, 2]
    assert told[0].values["p"].tolist() == [0, 0]


def test_parameters_in_a_group_are_told_apart_and_flags_come_back() -> None:
    params = [torch.ones(2, requires_grad=True) for _ in range(3)]
    for param in params:
        param.grad = torch.ones(2)
    optimizer = myoptim.SGD([("a", params[0]), ("b", params[1]), ("c", params[2])], fused=True)
    with narrate(optimizer) as story:
        optimizer.step()
    assert [told.param for told in story.told] == ["a", "a", "b", "b", "c", "c"]
    assert optimizer.param_groups[0]["fused"] is True
    assert optimizer.param_groups[0]["foreach"] is None
    assert repr(story) == "<story of 6 statements in 1 step>"
    assert story._repr_html_().count("<tr>") == 7
    told = len(story.told)
    optimizer.step()
    assert len(story.told) == told


def test_an_error_ends_the_tracing() -> None:
    before = sys.gettrace()
    param = torch.ones(2, requires_grad=True)
    optimizer = myoptim.Adam([param])
    param.grad = torch.ones(2).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"), narrate(optimizer):
        optimizer.step()
    assert sys.gettrace() is before


def test_what_cannot_be_narrated_is_refused() -> None:
    param = torch.ones(2, requires_grad=True)
    with (
        pytest.raises(UsageError, match="differentiable cannot be narrated"),
        narrate(myoptim.Adam([param], differentiable=True)),
    ):
        pass
