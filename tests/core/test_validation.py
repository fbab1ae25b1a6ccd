"""Bad hyper-parameters: refused wherever a group comes in, by name, range and value."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bits import assert_same_groups
from registry import ROWS, Options, Row, each_elementwise, each_row
from torch import Tensor
from torch.optim import Optimizer
from twins import attempt

# Whichever of these torch chooses, a wrong type or length is a wrong argument.
WRONG_ARGUMENT = (ValueError, TypeError, IndexError)

NOT_A_NUMBER = ("0.1", None, [0.1], {"lr": 0.1})


def weight() -> Tensor:
    return torch.zeros(2, 1, requires_grad=True)


def construct(row: Row, options: Options) -> Optimizer:
    return row.ours([weight()], **options)


def construct_group(row: Row, options: Options) -> Optimizer:
    """A group after another, where there may be another."""
    before = [{"params": [weight()]}] if row.groups else []
    return row.ours([*before, {"params": [weight()], **options}])


def add_group(row: Row, options: Options) -> Optimizer:
    if not row.groups:
        return construct_group(row, options)
    optimizer = row.ours([weight()])
    optimizer.add_param_group({"params": [weight()], **options})
    return optimizer


WAYS_IN = [construct, construct_group, add_group]
each_way_in = pytest.mark.parametrize("way_in", WAYS_IN, ids=lambda way: way.__name__)


def cases(kind: str) -> list[Any]:
    """A case for each row, hyper-parameter and value of its range."""
    return [
        pytest.param(row, name, value, id=f"{row}-{name}-{value}".replace("\n", ""))
        for row in ROWS
        for name, allowed in row.ranges.items()
        for value in getattr(allowed, kind)
    ]


@each_way_in
@pytest.mark.parametrize(("row", "name", "value"), cases("bad"))
def test_out_of_range(way_in: Callable[..., Any], row: Row, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=says(row, name)) as raised:
        way_in(row, {name: value})
    members = value if isinstance(value, tuple) else (value,)
    wrong = [v for v in members if not 0 <= v < 1] if name == "betas" else members
    assert any(str(member) in str(raised.value) for member in wrong)


def says(row: Row, name: str) -> str:
    """What a message about a hyper-parameter must match: its name, and its range."""
    return row.ranges[name].says or rf"Invalid {spoken(name)}.*\(allowed is \S+ <=? \S+"


def spoken(name: str) -> str:
    """The name under which torch's messages speak of a hyper-parameter."""
    said = {"lr": "learning rate", "eps": "epsilon", "betas": "beta", "etas": "eta"}
    return said.get(name, name)


@each_way_in
@pytest.mark.parametrize(("row", "name", "value"), cases("good"))
def test_edge_of_the_range(way_in: Callable[..., Any], row: Row, name: str, value: Any) -> None:
    """What torch takes, ours takes."""
    nesterov = row.twin_kwargs.get("nesterov", False)
    if nesterov and name == "momentum" and not value:
        with pytest.raises(ValueError, match="Nesterov momentum requires a momentum"):
            way_in(row, {name: value})
        return
    row.make_twin([weight()], {name: value})
    optimizer = way_in(row, {name: value})
    assert optimizer.param_groups[-1][name] is value or optimizer.param_groups[-1][name] == value


@each_row
@each_way_in
@pytest.mark.parametrize("value", [float("nan"), torch.tensor(-0.5), torch.tensor(float("nan"))])
def test_learning_rate_of_no_sense(way_in: Callable[..., Any], row: Row, value: Any) -> None:
    with pytest.raises(ValueError, match=r"(?i)learning rate.*allowed is"):
        way_in(row, {"lr": value})


@each_row
@each_way_in
def test_tensor_lr_of_two_elements(way_in: Callable[..., Any], row: Row) -> None:
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        way_in(row, {"lr": torch.tensor([0.1, 0.2])})


@each_way_in
@pytest.mark.parametrize("value", NOT_A_NUMBER, ids=str)
@pytest.mark.parametrize(
    ("row", "name"), [pytest.param(r, n, id=f"{r}-{n}") for r in ROWS for n in r.ranges]
)
def test_not_a_number(way_in: Callable[..., Any], row: Row, name: str, value: Any) -> None:
    default = inspect.signature(row.ours).parameters[name].default
    if value is None and default is None and way_in is construct:
        return  # it is settled from others there
    with pytest.raises(WRONG_ARGUMENT, match=name) as raised:
        way_in(row, {name: value})
    assert repr(value) in str(raised.value)
    if way_in is construct:
        _, error = attempt(lambda: row.make_twin([weight()], {name: value}))
        several = isinstance(row.ranges[name].good[0], tuple)
        assert error is None or type(raised.value) is type(error) or several


@each_way_in
@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if "betas" in row.ranges and len(row.ranges["betas"].good[0]) == 2],
    ids=str,
)
@pytest.mark.parametrize("betas", [(), (0.9,), (0.9, 0.99, 0.999), 0.9, (0.9, None), ("0.9", 0.9)])
def test_betas_that_are_no_pair(way_in: Callable[..., Any], row: Row, betas: Any) -> None:
    with pytest.raises(WRONG_ARGUMENT, match="betas"):
        way_in(row, {"betas": betas})


@each_way_in
@pytest.mark.parametrize("row", [row for row in ROWS if row.tensor_betas], ids=str)
@pytest.mark.parametrize("betas", [(0.9, torch.tensor(0.9)), (torch.tensor(0.9), 0.9), (0, 0.9)])
def test_betas_of_two_kinds(way_in: Callable[..., Any], row: Row, betas: Any) -> None:
    with pytest.raises(ValueError, match="betas must be either both floats or both Tensors"):
        way_in(row, {"betas": betas})


@each_way_in
@pytest.mark.parametrize("row", [row for row in ROWS if row.twin is torch.optim.SGD], ids=str)
@pytest.mark.parametrize("options", [{"momentum": 0}, {"momentum": 0.9, "dampening": 0.5}])
def test_nesterov_needs_undamped_momentum(
    way_in: Callable[..., Any], row: Row, options: Options
) -> None:
    with pytest.raises(ValueError, match="requires a momentum and zero dampening"):
        way_in(row, {**options, "nesterov": True})


@each_row
def test_every_numeric_hyper_parameter_has_a_range(row: Row) -> None:
    """But dampening, which may be any number."""
    defaults = row.ours([weight()]).defaults
    arguments = inspect.signature(row.ours).parameters
    numeric = {name for name in arguments if type(defaults.get(name)) in (int, float, tuple)}
    assert numeric - {"dampening"} == set(row.ranges)


@each_row
@pytest.mark.parametrize(
    "group",
    [
        {"lr": -1.0},
        {"lr": "fast"},
        {"params": "weight"},
        {"params": [1.0]},
        {"params": {torch.zeros(1)}},
        {"params": [torch.zeros(1, requires_grad=True) * 2]},
        {"params": [("named", torch.zeros(1))]},
    ],
    ids=str,
)
def test_failing_group_leaves_all_as_it_was(row: Row, group: Options) -> None:
    """The optimizer goes on after the error as if the group had never been given."""
    twin_weight, our_weight = weight(), weight()
    twin, ours = row.make_twin([twin_weight], {}), row.ours([our_weight])
    given = {"params": [weight()], **group}
    with pytest.raises((ValueError, TypeError)):
        ours.add_param_group(given)
    assert len(ours.param_groups) == 1
    assert_same_groups(ours.param_groups, twin.param_groups, row.extra)
    our_weight.grad, twin_weight.grad = torch.ones(2, 1), torch.ones(2, 1)
    row.step(ours)
    row.step(twin)
    assert torch.equal(our_weight, twin_weight)


@each_row
def test_parameter_of_two_groups(row: Row) -> None:
    shared = weight()
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        row.ours([{"params": [shared]}, {"params": [shared]}])


@each_row
@pytest.mark.parametrize("params", [[], (), iter([]), None, torch.zeros(1), [None], {"a": 1}])
def test_params_of_no_use(row: Row, params: Any) -> None:
    """Refused with torch's exception, and where it has one its message."""
    _, error = attempt(lambda: row.make_twin(params, {}))
    assert error is not None
    with pytest.raises(type(error), match=re.escape(str(error))):
        row.ours(params)


@each_row
def test_generator_of_parameters(row: Row) -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = row.ours(model.parameters(), lr=0.1)
    for _ in range(2):  # a second time: nothing is left of the generator
        before = model.weight.detach().clone()
        model(torch.ones(2)).backward()
        for _ in range(1 + row.waits):
            row.step(optimizer)
        assert not torch.equal(before, model.weight)


@each_elementwise
@pytest.mark.parametrize("flags", [("foreach", "fused"), ("fused", "differentiable")])
def test_flags_that_exclude_each_other(row: Row, flags: tuple[str, str]) -> None:
    for way_in in WAYS_IN:
        with pytest.raises(RuntimeError, match=r"`fused`.*(foreach|differentiable)"):
            way_in(row, dict.fromkeys(flags, True))


@each_row
def test_unknown_argument(row: Row) -> None:
    with pytest.raises(TypeError, match="learning_rate"):
        row.ours([weight()], learning_rate=0.1)
