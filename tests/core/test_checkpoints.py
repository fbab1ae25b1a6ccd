"""Checkpoints: ours in torch's optimizer, torch's in ours, old ones, and training that goes on."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bits import assert_same_optimizers, assert_same_value, bits
from registry import OLD, ROWS, Options, Row, each_row
from tensors import DTYPES, Spec, channels_last, contiguous, strided, transposed
from torch.optim import Optimizer
from torch.testing._internal.common_optimizers import optim_db
from twins import Twins, attempt, save_and_load

from myoptim.optimizer import declaration_of

SPECS = [((), contiguous), ((0,), contiguous), ((4, 3), transposed), ((5,), strided)]
SPECS += [((2, 3, 4, 5), channels_last)]

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
each_choice = pytest.mark.parametrize("choice", ["default", "full"])


def options_of(row: Row, choice: str) -> Options:
    return row.full if choice == "full" else {}


def specs_of(dtype: torch.dtype) -> list[Spec]:
    return [Spec(shape, dtype, layout) for shape, layout in SPECS]


@each_row
@each_dtype
@each_choice
def test_exchanged_again_and_again(row: Row, dtype: torch.dtype, choice: str) -> None:
    """Each goes on from the other's file, in bits, before the first step too."""
    twins = Twins(row, specs_of(dtype), options_of(row, choice), {})
    twins.exchange_checkpoints()
    for _ in range(4):
        for _ in range(3):
            twins.step(twins.random_gradients(missing=0.2))
        twins.exchange_checkpoints()
    assert not twins.failed


@each_row
@each_choice
def test_checkpoint_is_torchs(row: Row, choice: str) -> None:
    """The same keys in the same order, of plain types."""
    twins = Twins(row, specs_of(torch.float32), options_of(row, choice), {})
    for _ in range(2):
        twins.step(twins.random_gradients())
    ours, theirs = twins.ours.state_dict(), twins.twin.state_dict()
    assert list(ours) == list(theirs) == ["state", "param_groups"]
    assert_same_value(ours["state"], theirs["state"], "state")
    for a, b in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert [key for key in a if key not in row.extra] == list(b)
        assert a["params"] == b["params"]


@each_row
def test_loading_does_not_change_what_is_loaded(row: Row) -> None:
    """Not even an old checkpoint, which is completed as it is loaded."""
    checkpoint, twins = trained(row, row.full)
    for group in checkpoint["param_groups"]:
        group.pop("maximize", None)
    for state in checkpoint["state"].values():
        if "step" in state:
            state["step"] = 3
    before = copy.deepcopy(checkpoint)
    twins.ours.load_state_dict(checkpoint)
    assert_same_value(checkpoint, before, "checkpoint")


@each_row
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_counting_beyond_what_half_precision_can_count(row: Row, dtype: torch.dtype) -> None:
    """256 + 1 = 256 in bfloat16: a counter in the parameter's dtype would stick."""
    twins = Twins(row, [Spec((3,), dtype)], {"lr": 1e-4}, {})
    for step in range(270):
        if step in (100, 257, 260):
            twins.exchange_checkpoints()
        twins.step(twins.random_gradients())
    for state in twins.ours.state.values():
        assert "step" not in state or state["step"] == 270


@each_row
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.complex64], ids=str)
def test_into_a_model_of_another_dtype(row: Row, dtype: torch.dtype) -> None:
    """State follows the parameter's dtype, but for the counter."""
    twins = Twins(row, [Spec((5,), torch.float32)], row.full, {})
    for _ in range(3):
        twins.step(twins.random_gradients())
    checkpoint = save_and_load(twins.ours.state_dict())
    other = Twins(row, [Spec((5,), dtype)], row.full, {})
    for optimizer in (other.ours, other.twin):
        optimizer.load_state_dict(copy.deepcopy(checkpoint))
    other.restore_flags()
    other.compare()
    if not dtype.is_complex:  # real state of complex parameters is of no use, in torch either
        other.step(other.random_gradients())
        assert not other.failed


@each_row
def test_step_counters_are_not_shared(row: Row) -> None:
    """One tensor for two counters would be saved as one, and where it is loaded count twice."""
    twins = Twins(row, [Spec((3,), torch.float32)] * 5, {}, {})
    twins.step(twins.random_gradients())
    counters = [s["step"] for s in twins.ours.state.values() if "step" in s]
    addresses = [counter.data_ptr() for counter in counters if isinstance(counter, torch.Tensor)]
    assert len(addresses) == len(set(addresses))


# Old checkpoints ----------------------------------------------------------------------------------


def trained(row: Row, options: Options) -> tuple[dict[str, Any], Twins]:
    twins = Twins(row, specs_of(torch.float32), options, {})
    for _ in range(3):
        twins.step(twins.random_gradients())
    return save_and_load(twins.twin.state_dict()), twins


def goes_on_from(twins: Twins, checkpoint: dict[str, Any]) -> None:
    for optimizer in (twins.ours, twins.twin):
        optimizer.load_state_dict(copy.deepcopy(checkpoint))
    twins.compare()
    for _ in range(3):
        twins.step(twins.random_gradients(missing=0.2))
    assert not twins.failed


@each_row
@each_choice
def test_before_the_newer_flags(row: Row, choice: str) -> None:
    """Keys that torch added later: ours are as the user gave them, torch's as by default."""
    checkpoint, twins = trained(row, options_of(row, choice))
    known = [info.not_og_supported_flags for info in optim_db if info.optim_cls is row.twin]
    newer = known[0] if row.torchs else ("maximize",)
    for group in checkpoint["param_groups"]:
        for flag in (*newer, "decoupled_weight_decay"):
            group.pop(flag, None)
    known = set(twins.twin.defaults)  # to which torch adds one as it loads
    twins.ours.load_state_dict(copy.deepcopy(checkpoint))
    twins.twin.load_state_dict(copy.deepcopy(checkpoint))
    for flag in {*newer, "decoupled_weight_decay"} & known:
        for group in twins.twin.param_groups:
            group[flag] = {**twins.twin.defaults, **row.loop}[flag]
    twins.compare()
    for _ in range(3):
        twins.step(twins.random_gradients(missing=0.2))
    assert not twins.failed


@each_row
def test_missing_any_one_key(row: Row) -> None:
    """Switches are completed as the user gave them; without a number it is another's checkpoint."""
    checkpoint, twins = trained(row, {})
    later = declaration_of(row.ours).later
    for key, value in list(twins.ours.defaults.items()):
        thinned = copy.deepcopy(checkpoint)
        for group in thinned["param_groups"]:
            group.pop(key, None)
        if not isinstance(value, (bool, type(None))) and key not in later:
            before = copy.deepcopy(twins.ours.state_dict())
            with pytest.raises(ValueError, match=f"lacks {key}"):
                twins.ours.load_state_dict(thinned)
            assert_same_value(twins.ours.state_dict(), before, "after the error")
            continue
        twins.ours.load_state_dict(thinned)
        if key in ("foreach", "fused"):
            assert not twins.ours.param_groups[0].get(key)
        else:
            assert twins.ours.param_groups[0][key] == twins.ours.defaults[key]
        row.step(twins.ours)


@each_row
@pytest.mark.parametrize("number", [int, float])
@pytest.mark.parametrize("default", [torch.float32, torch.float64], ids=str)
def test_step_that_is_a_number(
    row: Row, number: Callable[[Any], Any], default: torch.dtype
) -> None:
    checkpoint, twins = trained(row, {})
    torch.set_default_dtype(default)
    for state in checkpoint["state"].values():
        if "step" in state:
            state["step"] = number(state["step"])
    goes_on_from(twins, checkpoint)


@pytest.mark.parametrize("row", [row for row in ROWS if row.twin is torch.optim.SGD], ids=str)
def test_momentum_buffer_that_is_none(row: Row) -> None:
    """So older versions stored the state of a parameter that had no gradient yet."""
    options = {"momentum": 0.9}
    checkpoint, twins = trained(row, options)
    for index in (0, 2):
        checkpoint["state"][index] = {"momentum_buffer": None}
    for optimizer in (twins.ours, twins.twin):
        optimizer.load_state_dict(copy.deepcopy(checkpoint))
    for _ in range(3):
        twins.step(twins.random_gradients())
    assert not twins.failed


@each_row
def test_state_of_only_some_parameters(row: Row) -> None:
    """The others get theirs at their next gradient."""
    if OLD and str(row) == "Adagrad":
        pytest.skip("torch completes no state here")
    checkpoint, twins = trained(row, row.full)
    checkpoint["state"].pop(2, None)
    goes_on_from(twins, checkpoint)


@each_row
def test_foreign_entries_are_kept(row: Row) -> None:
    """Schedulers write into groups, and some libraries into state under a name."""
    checkpoint, twins = trained(row, {})
    checkpoint["param_groups"][0].update(initial_lr=0.5, max_lr=0.7, swa_lr=0.1, name="backbone")
    checkpoint["state"]["note"] = {"epoch": 3}
    for optimizer in (twins.ours, twins.twin):
        optimizer.load_state_dict(copy.deepcopy(checkpoint))
        assert optimizer.param_groups[0]["max_lr"] == 0.7
        assert optimizer.state["note"] == {"epoch": 3}  # type: ignore[index]
        row.step(optimizer)
    assert twins.ours.state_dict()["state"]["note"] == {"epoch": 3}


# What does not fit --------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [row for row in ROWS if row.groups], ids=str)
@pytest.mark.parametrize("groups", [[3, 1], [2], [1, 1]])
def test_checkpoint_of_another_model(row: Row, groups: list[int]) -> None:
    """Torch's error, and the optimizer is as it was."""
    twins = Twins(row, [Spec((2,), torch.float32)] * 3, {}, {})
    twins.step(twins.random_gradients())
    other = row.ours([{"params": [torch.zeros(2, 1) for _ in range(n)]} for n in groups])
    _, ours = attempt(lambda: twins.ours.load_state_dict(other.state_dict()))
    _, theirs = attempt(lambda: twins.twin.load_state_dict(other.state_dict()))
    assert type(ours) is type(theirs) is ValueError
    assert str(ours) == str(theirs)
    twins.step(twins.random_gradients())


# Names --------------------------------------------------------------------------------------------


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(n, m, bias=False) for n, m in ((3, 4), (4, 5), (5, 2))]
    return torch.nn.Sequential(*layers)


def train(row: Row, module: torch.nn.Module, optimizer: Optimizer, steps: int = 2) -> None:
    data = torch.arange(6.0).view(2, 3)
    for _ in range(steps):
        optimizer.zero_grad()
        module(data).square().mean().backward()
        row.step(optimizer)


@each_row
def test_named_parameters(row: Row) -> None:
    ours_model, twin_model = model(), model()
    ours = row.make_ours(ours_model.named_parameters(), {})
    twin = row.make_twin(twin_model.named_parameters(), {})
    train(row, ours_model, ours)
    train(row, twin_model, twin)
    assert ours.param_groups[0]["param_names"] == [name for name, _ in model().named_parameters()]
    assert_same_optimizers(ours, twin, row.extra)
    names = ours.state_dict()["param_groups"][0]["param_names"]
    ours.load_state_dict(save_and_load(twin.state_dict()))
    assert ours.state_dict()["param_groups"][0]["param_names"] == names
    assert names == twin.state_dict()["param_groups"][0]["param_names"]


@each_row
def test_names_come_and_go_with_checkpoints(row: Row) -> None:
    """A checkpoint with names gives them; one without takes none away."""
    named = row.make_ours(model().named_parameters(), {})
    unnamed = row.make_ours(model().parameters(), {})
    unnamed.load_state_dict(named.state_dict())
    assert unnamed.param_groups[0]["param_names"] == named.param_groups[0]["param_names"]
    named.load_state_dict(row.make_ours(model().parameters(), {}).state_dict())
    assert len(named.param_groups[0]["param_names"]) == 3


# Interrupted training -----------------------------------------------------------------------------


@each_row
@pytest.mark.parametrize("how", ["ours", "torch's"])
def test_resumed_training_is_uninterrupted_training(row: Row, how: str) -> None:
    straight, interrupted = model(), model()
    first = row.make_ours(straight.parameters(), row.full)
    train(row, straight, first, 20)
    second = row.make_ours(interrupted.parameters(), row.full)
    train(row, interrupted, second, 10)
    saved = save_and_load({"model": interrupted.state_dict(), "optimizer": second.state_dict()})
    resumed = model()
    resumed.load_state_dict(saved["model"])
    make = row.make_ours if how == "ours" else row.make_twin
    third = make(resumed.parameters(), row.full)
    third.load_state_dict(saved["optimizer"])
    train(row, resumed, third, 10)
    for p, q in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(bits(p), bits(q))
    assert_same_value(third.state_dict()["state"], first.state_dict()["state"], "state")
