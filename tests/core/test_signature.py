"""What a program sees of an optimizer before its first step: signature, defaults, groups, repr."""

import inspect
from pathlib import Path

import pytest
import torch
from bits import assert_same_value
from registry import OLD, ROWS, Row, each_elementwise, each_row
from torch import Tensor

import myoptim
from myoptim.optimizer import declaration_of

KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY


def weight() -> Tensor:
    return torch.zeros(2, 1, requires_grad=True)


def groups(row: Row) -> list[dict[str, object]]:
    """Two, where there may be two."""
    return [{"params": [weight()]}, {"params": [weight()], "lr": 0.5}][: 2 if row.groups else 1]


def test_every_optimizer_has_its_row() -> None:
    listed = [cls for cls in myoptim.OPTIMIZERS.values() if not (OLD and cls is myoptim.Muon)]
    assert [row.ours for row in ROWS] == listed
    assert list(myoptim.OPTIMIZERS) == [cls.__name__ for cls in myoptim.OPTIMIZERS.values()]


def test_public_names() -> None:
    assert set(myoptim.OPTIMIZERS) < set(myoptim.__all__)
    assert all(hasattr(myoptim, name) for name in myoptim.__all__)
    assert myoptim.RMSProp is myoptim.RMSprop


def test_all_that_torch_exports() -> None:
    assert set(torch.optim.__all__) <= set(myoptim.__all__)


@each_row
def test_class_knows_its_twin(row: Row) -> None:
    assert declaration_of(row.ours).twin is (row.twin if row.torchs else None)
    assert declaration_of(row.ours).twin_settings == row.twin_kwargs
    assert issubclass(row.ours, myoptim.Optimizer)
    assert issubclass(row.ours, torch.optim.Optimizer)
    # Whatever is computed, torch's class does not compute it.
    assert not issubclass(row.ours, row.twin)


@each_row
def test_signature(row: Row) -> None:
    """Names, order, kinds and defaults; beyond torch's only keywords, at the end."""
    ours = list(inspect.signature(row.ours).parameters.values())
    theirs = list(inspect.signature(row.twin).parameters.values())
    for a, b in zip(ours, theirs, strict=False):
        expected = row.twin_kwargs.get(b.name, b.default)
        assert (a.name, a.kind) == (b.name, b.kind)
        assert_same_value(a.default, expected, a.name)
    extra = ours[len(theirs) :]
    assert [parameter.name for parameter in extra] == list(row.extra)
    assert all(p.kind is KEYWORD_ONLY and p.default in (None, False) for p in extra)


@each_row
def test_positional_arguments(row: Row) -> None:
    """In torch's order, as far as torch takes them by position."""
    parameters = list(inspect.signature(row.twin).parameters.values())[1:]
    values = [row.twin_kwargs.get(p.name, p.default) for p in parameters if p.kind != KEYWORD_ONLY]
    ours, theirs = row.ours([weight()], *values), row.twin([weight()], *values)
    assert_same_value({k: ours.defaults[k] for k in theirs.defaults}, theirs.defaults, "defaults")


@each_row
def test_defaults_and_groups(row: Row) -> None:
    ours = row.ours(groups(row))
    theirs = row.twin(groups(row), **row.twin_kwargs)
    assert_same_value(ours.defaults, theirs.defaults, "defaults")
    for a, b in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert_same_value(a, b, "group")


@each_row
def test_representation(row: Row) -> None:
    ours = row.ours(groups(row))
    theirs = row.twin(groups(row), **row.twin_kwargs)
    assert repr(ours) == repr(theirs).replace(row.twin.__name__, row.ours.__name__, 1)


@each_elementwise
def test_fused_is_a_key_only_where_it_is_given(row: Row) -> None:
    """Most classes of torch have no such key, and a checkpoint of ours is to be one of torch's."""
    torchs = "fused" in inspect.signature(row.twin).parameters
    assert ("fused" in row.ours([weight()]).defaults) == torchs
    given = row.ours([weight()], fused=False)
    assert given.param_groups[0]["fused"] is False
    theirs = row.twin([weight()])
    theirs.load_state_dict(given.state_dict())  # an extra key does no harm there
    theirs.step()
    given.load_state_dict(theirs.state_dict())
    given.step()


@each_row
def test_documentation_names_every_argument(row: Row) -> None:
    """A class that refers to another one's arguments says so by inheriting from it."""
    documented = " ".join(inspect.getdoc(cls) or "" for cls in row.ours.__mro__[:-1])
    for name in inspect.signature(row.ours).parameters:
        assert f"{name}:" in documented, name


@pytest.mark.parametrize(
    ("cls", "kwargs"),
    [
        (myoptim.Momentum, {"momentum": 0.9}),
        (myoptim.Nesterov, {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_momentum_and_nesterov_are_sgd(cls: type[myoptim.SGD], kwargs: dict[str, object]) -> None:
    assert issubclass(cls, myoptim.SGD)
    p, q = weight(), weight()
    named, plain = cls([p], lr=0.1), myoptim.SGD([q], lr=0.1, **kwargs)
    assert named.defaults == plain.defaults
    for _ in range(3):
        p.grad, q.grad = torch.ones(2, 1), torch.ones(2, 1)
        named.step()
        plain.step()
    assert torch.equal(p, q)
    plain.load_state_dict(named.state_dict())
    assert_same_value(plain.state_dict(), named.state_dict(), "state_dict")


def test_version_is_cited() -> None:
    citation = (Path(__file__).parents[2] / "CITATION.cff").read_text()
    assert f"\nversion: {myoptim.__version__}\n" in citation
