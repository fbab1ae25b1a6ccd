"""Which parameters go to Muon and which to AdamW, and why."""

import pytest
import torch
from torch import nn

from myoptim import AdamW, Muon, split_for_muon


class Tied(nn.Module):
    """A language model whose output layer is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.inside = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.words.weight
        self.scale = nn.Parameter(torch.ones(()))


def names(part: list[tuple[str, nn.Parameter]]) -> list[str]:
    return [name for name, _ in part]


def test_each_parameter_goes_one_way_and_has_a_reason() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.Linear(4, 5),
        nn.LayerNorm(5),
        nn.Linear(5, 6, dtype=torch.complex64),
        nn.Linear(6, 2),
    )
    parts = split_for_muon(model)
    assert names(parts.muon) == ["1.weight"]
    assert {name: parts.reasons[name] for name in names(parts.others)} == {
        "0.weight": "4 dimensions",
        "0.bias": "a vector",
        "1.bias": "a vector",
        "2.weight": "a vector",
        "2.bias": "a vector",
        "3.weight": "complex",
        "3.bias": "a vector",
        "4.weight": "the last matrix: the output layer",
        "4.bias": "a vector",
    }


def test_output_layer_that_is_the_embedding() -> None:
    parts = split_for_muon(Tied())
    assert names(parts.muon) == ["inside.weight"]
    assert parts.reasons["words.weight"] == "a table of an embedding"


def test_others_by_name_of_parameter_or_module() -> None:
    model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(4)])
    parts = split_for_muon(model, others=["0", "1.weight"])
    assert names(parts.muon) == ["2.weight"]
    assert parts.reasons["0.weight"] == parts.reasons["1.weight"] == "as given"
    with pytest.raises(ValueError, match=r"no parameter or module '4'; it has 0.weight, 0.bias"):
        split_for_muon(model, others=["4"])


def test_frozen_parameters_go_nowhere() -> None:
    model = nn.Sequential(*[nn.Linear(3, 3, bias=False) for _ in range(3)])
    model[0].requires_grad_(False)
    assert split_for_muon(model).reasons.keys() == {"1.weight", "2.weight"}


def test_nothing_for_muon() -> None:
    with pytest.raises(ValueError, match=r"no parameter of the model is for Muon.*0.bias \(a vec"):
        split_for_muon(nn.Sequential(nn.Linear(3, 3)))


def test_both_optimizers_take_their_part() -> None:
    model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(3)])
    parts = split_for_muon(model)
    before = [param.detach().clone() for param in model.parameters()]
    model(torch.ones(2, 3)).square().sum().backward()
    for optimizer in (Muon(parts.muon), AdamW(parts.others)):
        optimizer.step()
    for old, param in zip(before, model.parameters(), strict=True):
        assert not torch.equal(old, param)
