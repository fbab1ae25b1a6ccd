"""What training programs do with an optimizer besides stepping it, beside the torch twin."""

import copy
import functools
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bits import assert_same_optimizers, assert_same_tensor, assert_same_value
from registry import EXECUTORS, OLD, ROWS, Options, Row, each_elementwise, each_plain, each_row
from tensors import DTYPES, Spec
from torch import Tensor
from torch.optim import Optimizer, lr_scheduler, swa_utils
from torch.optim.optimizer import register_optimizer_step_post_hook
from twins import Twins

import myoptim

STEPS = 12


def pair(row: Row, options: Options) -> Twins:
    return Twins(row, [Spec((3, 2), torch.float32), Spec((4,), torch.float32)], options, {})


def go(twins: Twins, steps: int = 1) -> None:
    for _ in range(steps):
        twins.step(twins.random_gradients())
    assert not twins.failed


# Schedulers ---------------------------------------------------------------------------------------

SCHEDULERS: dict[str, Callable[[Optimizer], Any]] = {
    "step": lambda opt: lr_scheduler.StepLR(opt, 3, 0.5),
    "multi-step": lambda opt: lr_scheduler.MultiStepLR(opt, [2, 5], 0.1),
    "exponential": lambda opt: lr_scheduler.ExponentialLR(opt, 0.9),
    "cosine": lambda opt: lr_scheduler.CosineAnnealingLR(opt, 6),
    "restarts": lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, 4),
    "linear": lambda opt: lr_scheduler.LinearLR(opt, 0.1, total_iters=5),
    "polynomial": lambda opt: lr_scheduler.PolynomialLR(opt, 5, power=2),
    "lambda": lambda opt: lr_scheduler.LambdaLR(opt, lambda epoch: 1 / (1 + epoch)),
    "multiplicative": lambda opt: lr_scheduler.MultiplicativeLR(opt, lambda epoch: 0.9),
    "one cycle": lambda opt: lr_scheduler.OneCycleLR(
        opt, 0.5, STEPS, cycle_momentum=has_momentum(opt)
    ),
    "cyclic": lambda opt: lr_scheduler.CyclicLR(
        opt, 0.01, 0.5, 4, cycle_momentum=has_momentum(opt)
    ),
    "sequential": lambda opt: lr_scheduler.SequentialLR(
        opt,
        [lr_scheduler.ConstantLR(opt, 0.1, 3), lr_scheduler.ExponentialLR(opt, 0.5)],
        milestones=[4],
    ),
    "chained": lambda opt: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(opt, 0.1, 3), lr_scheduler.ExponentialLR(opt, 0.5)]
    ),
    "swa": lambda opt: swa_utils.SWALR(opt, swa_lr=0.05, anneal_epochs=4),
}


def has_momentum(optimizer: Optimizer) -> bool:
    return "momentum" in optimizer.defaults or "betas" in optimizer.defaults


@each_row
@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("lr", ["number", "tensor"])
def test_scheduler(row: Row, name: str, lr: str) -> None:
    """It writes lr, momentum and betas into the groups; the next step uses what stands there."""
    rate = 0.1 if lr == "number" else torch.tensor(0.1)
    twins = pair(row, {**momentum_for(row), "lr": rate})
    schedulers = [SCHEDULERS[name](twins.ours), SCHEDULERS[name](twins.twin)]
    for _ in range(STEPS - 1):
        go(twins)
        for scheduler in schedulers:
            scheduler.step()
        assert_same_value(schedulers[0].get_last_lr(), schedulers[1].get_last_lr(), "last lr")
    twins.compare()


def momentum_for(row: Row) -> Options:
    """A momentum for the schedulers that cycle it, where its buffer must exist from the start."""
    return (
        {"momentum": 0.5}
        if row.ours([torch.zeros(row.shape((1,)))]).defaults.get("momentum") == 0
        else {}
    )


@each_row
def test_plateau(row: Row) -> None:
    twins = pair(row, {"lr": 0.1})
    schedulers = [lr_scheduler.ReduceLROnPlateau(o, patience=1) for o in (twins.ours, twins.twin)]
    for loss in (1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5):
        go(twins)
        for scheduler in schedulers:
            scheduler.step(loss)
    assert twins.ours.param_groups[0]["lr"] < 0.1


@each_row
def test_scheduler_before_the_step_is_noticed(row: Row) -> None:
    optimizer = pair(row, {}).ours
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        scheduler.step()


# Hooks --------------------------------------------------------------------------------------------


@each_row
def test_step_hooks_run_once_and_in_order(row: Row) -> None:
    seen: list[str] = []
    twins = pair(row, {})
    for optimizer in (twins.ours, twins.twin):
        optimizer.register_step_pre_hook(lambda opt, args, kwargs: seen.append("before"))
        optimizer.register_step_post_hook(lambda opt, args, kwargs: seen.append("after"))
    go(twins)
    assert seen == ["before", "after"] * 2


@each_row
def test_step_hook_may_replace_the_arguments(row: Row) -> None:
    optimizer = pair(row, {}).ours
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: ((opt, lambda: 7.0), {}))
    assert optimizer.step() == 7.0


@each_row
def test_global_hooks(row: Row) -> None:
    seen: list[Optimizer] = []
    handle = register_optimizer_step_post_hook(lambda opt, args, kwargs: seen.append(opt))
    try:
        optimizer = pair(row, {}).ours
        row.step(optimizer)
    finally:
        handle.remove()
    row.step(optimizer)
    assert seen == [optimizer]


@each_row
def test_checkpoint_hooks(row: Row) -> None:
    twins = pair(row, {})
    go(twins)
    seen: list[str] = []
    optimizer = twins.ours
    optimizer.register_state_dict_pre_hook(lambda opt: seen.append("pre save"))
    optimizer.register_state_dict_post_hook(lambda opt, state: {**state, "note": 1})
    optimizer.register_load_state_dict_pre_hook(lambda opt, state: halved(state))
    optimizer.register_load_state_dict_post_hook(lambda opt: seen.append("post load"))
    state = optimizer.state_dict()
    assert state["note"] == 1
    rate = optimizer.param_groups[0]["lr"]
    optimizer.load_state_dict(state_dict=state)
    assert optimizer.param_groups[0]["lr"] == rate / 2
    assert seen == ["pre save", "post load"]


@each_row
def test_what_hooks_keep_in_the_state_stays(row: Row) -> None:
    """PyTorch's own tests do so: what belongs to no parameter is nobody's buffers."""
    twins = pair(row, {})
    go(twins)
    kept: dict[Any, Any] = {"seen": True, "counts": {"loads": 1}}
    twins.ours.state.update(kept)
    twins.ours.load_state_dict(twins.ours.state_dict())
    assert {key: twins.ours.state[key] for key in kept} == kept
    copy.deepcopy(twins.ours)
    row.step(twins.ours)


def halved(state: dict[str, Any]) -> dict[str, Any]:
    groups = [{**group, "lr": group["lr"] / 2} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


# Copies -------------------------------------------------------------------------------------------


def public(optimizer: Optimizer) -> set[str]:
    return {name for name in vars(optimizer) if not name.startswith("_")}


@each_row
@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copy_has_all_that_the_original_had(row: Row, way: Callable[[Any], Any]) -> None:
    twins = pair(row, row.full)
    go(twins, 3)
    original = twins.ours
    twins.clone(way)
    assert public(twins.ours) == public(original)
    go(twins, 3)


@each_row
def test_copy_shares_nothing(row: Row) -> None:
    twins = pair(row, row.full)
    go(twins)
    clone = copy.deepcopy(twins.ours)
    for p in clone.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    row.step(clone)
    twins.compare()


@each_row
def test_instance_may_hold_attributes_and_class_may_be_made_at_run_time(row: Row) -> None:
    """Some trainers wrap an optimizer in a subclass made on the spot."""
    twins = pair(row, {})
    wrapper = type(row.ours.__name__, (type("Mixin", (), {}), row.ours), {})
    twins.ours.__class__ = wrapper  # type: ignore[assignment]
    twins.ours.note = "mine"  # type: ignore[attr-defined]
    go(twins, 2)


@each_row
def test_subclass_with_a_step_of_its_own(row: Row) -> None:
    class Counting(row.ours):  # type: ignore[name-defined]
        calls = 0

        def step(self, closure: Any = None) -> Any:
            self.calls += 1
            return super().step(closure)

    twins = pair(row, {})
    twins.ours = Counting(twins.ours.param_groups[0]["params"])
    go(twins, 2)
    assert twins.ours.calls == 2  # type: ignore[attr-defined]


# Steps that do nothing, and parameters of other kinds ---------------------------------------------


@each_row
def test_no_gradient_no_step(row: Row) -> None:
    """Nor any state, but Adagrad's, which is there from the start, and what LBFGS has counted."""
    twins = pair(row, row.full)
    before = copy.deepcopy([p for p, _ in twins.pairs()])
    twins.step([None, None])
    for (p, _), old in zip(twins.pairs(), before, strict=True):
        assert_same_tensor(p, old, "parameter")
    assert bool(twins.ours.state) == (str(row) in ("Adagrad", "LBFGS"))


@each_plain
def test_zero_gradient_moves_nothing(row: Row) -> None:
    """Without weight decay; and at lr 0 nothing moves whatever the gradient."""
    for options, gradient in ((row.decaying(0), 0.0), ({"lr": 0.0}, 1.0), ({"lr": 0}, 1.0)):
        twins = pair(row, {**options, **row.still})
        before = copy.deepcopy([p for p, _ in twins.pairs()])
        for _ in range(3):
            twins.step([torch.full_like(p, gradient) for p, _ in twins.pairs()])
        for (p, _), old in zip(twins.pairs(), before, strict=True):
            assert torch.equal(p, old)


@each_plain
def test_integers_without_gradient_are_let_alone(row: Row) -> None:
    for make in (row.make_ours, row.make_twin):
        counts, weight = torch.arange(6), torch.ones(2, requires_grad=True)
        optimizer = make([counts, weight], {})
        weight.grad = torch.ones(2)
        for _ in range(1 + row.waits):
            optimizer.step()
        assert torch.equal(counts, torch.arange(6))
        assert not torch.equal(weight, torch.ones(2))


@each_plain
def test_group_without_parameters(row: Row) -> None:
    """Sharded training leaves some workers with none."""
    weight = torch.ones(2, requires_grad=True)
    optimizer = row.ours([{"params": []}, {"params": [weight]}, {"params": []}])
    weight.grad = torch.ones(2)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    row.ours([{"params": []}]).step()


# Torch gives a parameter that stands twice in a group two first buffers, and loses one of them.
WITHOUT_A_FIRST_BUFFER = [row for row in ROWS if row.plain and "momentum" not in row.twin_kwargs]


@pytest.mark.parametrize("row", WITHOUT_A_FIRST_BUFFER, ids=str)
@pytest.mark.filterwarnings("ignore:optimizer contains a parameter group with duplicate")
@pytest.mark.parametrize("executor", EXECUTORS)
def test_parameter_given_twice(row: Row, executor: str) -> None:
    """It is updated twice, one after the other, for as long as torch only warns of it."""
    weights = [torch.ones(3, requires_grad=True) for _ in range(2)]
    flags = {flag: on for flag, on in EXECUTORS[executor].items() if flag in row.flags}
    ours = row.make_ours([weights[0]] * 2, {"lr": 0.1, **flags})
    twin = row.make_twin([weights[1]] * 2, {"lr": 0.1})
    for _ in range(3):
        for weight, optimizer in zip(weights, (ours, twin), strict=True):
            weight.grad = torch.tensor([0.1, 0.5, -1.0])
            optimizer.step()
    assert_same_optimizers(ours, twin, row.extra)


@each_row
def test_parameter_that_comes_and_goes(row: Row) -> None:
    """State is kept while a parameter is frozen, and its counter waits."""
    twins = pair(row, row.full)
    for present in (True, False, False, True, False, True):
        first, second = twins.random_gradients()
        twins.step([first, second if present else None])


@each_elementwise
@pytest.mark.parametrize("options", ["default", "full"])
def test_complex_is_a_pair_of_reals(row: Row, options: str) -> None:
    """To rounding: torch's complex sum rounds otherwise than its real one."""
    chosen = row.full if options == "full" else {}
    number = torch.randn(5, 3, dtype=torch.complex64)
    param, parts = number.clone(), torch.view_as_real(number).clone()
    of_complex, of_real = row.make_ours([param], chosen), row.make_ours([parts], chosen)
    for _ in range(4):
        param.grad = torch.randn_like(param)
        parts.grad = torch.view_as_real(param.grad).clone()
        of_complex.step()
        of_real.step()
    torch.testing.assert_close(torch.view_as_real(param), parts, rtol=1e-6, atol=1e-6)


@each_row
@pytest.mark.parametrize("default", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_counter_follows_the_default_dtype(row: Row, default: torch.dtype) -> None:
    """float64 where that is the default, else float32, which counts far enough."""
    torch.set_default_dtype(default)
    twins = pair(row, {})
    go(twins, 2)
    wanted = torch.float64 if default == torch.float64 else torch.float32
    for state in twins.ours.state.values():
        step = state.get("step")
        assert not isinstance(step, Tensor) or step.dtype == wanted


LATER = [
    ("SGD", {"momentum": 0.9}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"amsgrad": True}),
]


@pytest.mark.parametrize(("name", "values"), LATER, ids=str)
def test_buffer_that_is_needed_only_later(name: str, values: Options) -> None:
    """Where torch ends with a KeyError, ours makes the buffer and goes on."""
    weight = torch.ones(3, requires_grad=True)
    optimizer = myoptim.OPTIMIZERS[name]([weight])
    weight.grad = torch.ones(3)
    optimizer.step()
    optimizer.param_groups[0].update(values)
    before, known = weight.detach().clone(), set(optimizer.state[weight])
    optimizer.step()
    assert (weight < before).all()
    assert set(optimizer.state[weight]) > known


def test_adagrads_accumulator_starts_where_its_group_says() -> None:
    """Torch takes the value of the constructor for every group."""
    first, second, third = (torch.zeros(2, requires_grad=True) for _ in range(3))
    groups = [{"params": [first]}, {"params": [second], "initial_accumulator_value": 0.5}]
    optimizer = myoptim.Adagrad(groups, initial_accumulator_value=0.25)
    optimizer.add_param_group({"params": [third], "initial_accumulator_value": 0.75})
    third.grad = torch.zeros(2)
    optimizer.step()
    sums = [optimizer.state[p]["sum"][0].item() for p in (first, second, third)]
    assert sums == [0.25, 0.5, 0.75]


def test_adagrad_can_share_its_memory() -> None:
    optimizer = myoptim.Adagrad([torch.zeros(2, requires_grad=True)])
    optimizer.share_memory()
    assert all(state["sum"].is_shared() for state in optimizer.state.values())


TENSORS: list[Options] = [
    {"lr": torch.tensor(0.1)},
    {"lr": torch.tensor([[0.1]], dtype=torch.float64)},
    {"betas": (torch.tensor(0.9), torch.tensor(0.999))},
    {"betas": (torch.tensor([0.3]), torch.tensor([0.3]))},
    {"betas": (torch.tensor(0.9, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64))},
]


WITH_TENSORS = [
    pytest.param(row, options, id=f"{row}-{options}")
    for row in ROWS
    for options in TENSORS
    if set(options) <= set(row.ranges)
    and row.plain
    and ("betas" not in options or row.tensor_betas)
]


@pytest.mark.parametrize(("row", "options"), WITH_TENSORS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_hyper_parameter_that_is_a_tensor(row: Row, options: Options, dtype: torch.dtype) -> None:
    """With dimensions or none. Torch rounds a beta to the parameter's dtype for one of the two
    averages, ours for none: bits are compared where there is nothing to round."""
    if "betas" in options and options["betas"][0].dtype != dtype.to_real():
        pytest.skip("torch rounds the first beta here")
    if OLD and "betas" in options and options["betas"][0].dim():
        pytest.skip("torch keeps the dimension here")
    more = {key: value for key, value in row.full.items() if key != "betas"}
    twins = Twins(row, [Spec((10,), dtype), Spec((3, 2), dtype)], {**more, **options}, {})
    go(twins, 4)


# Sparse gradients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [row for row in ROWS if row.plain and not row.sparse], ids=str)
def test_sparse_gradient_where_torch_takes_none(row: Row) -> None:
    """Torch's exception, with its advice."""
    for make in (row.make_ours, row.make_twin):
        weight = torch.ones(3, requires_grad=True)
        optimizer = make([weight], {})
        weight.grad = torch.ones(3).to_sparse()
        with pytest.raises(RuntimeError, match="does not support sparse gradients"):
            optimizer.step()
        assert torch.equal(weight, torch.ones(3))


@pytest.mark.parametrize("row", [row for row in ROWS if row.sparse], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_embedding(row: Row, dtype: torch.dtype) -> None:
    """The rows that were looked up, some of them twice."""
    torch.manual_seed(0)
    models = [torch.nn.Embedding(10, 4, sparse=True, dtype=dtype) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    ours = row.make_ours(models[0].parameters(), {"lr": 0.1})
    twin = row.make_twin(models[1].parameters(), {"lr": 0.1})
    for words in ([1, 2, 2], [0], [9, 9, 9, 1]):
        for model, optimizer in zip(models, (ours, twin), strict=True):
            optimizer.zero_grad()
            model(torch.tensor(words)).square().sum().backward()
            optimizer.step()
        assert_same_optimizers(ours, twin, row.extra)


# Closures and mixed precision ---------------------------------------------------------------------


@each_plain
def test_closure_by_position_by_keyword_and_none(row: Row) -> None:
    weight = torch.ones(2, requires_grad=True)
    optimizer = row.ours([weight], lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():  # the closure runs with gradients all the same
        assert optimizer.step(closure).item() == 2.0
        assert not torch.is_grad_enabled()
        losses = [optimizer.step(closure=closure) for _ in range(1 + row.waits)]
        assert losses[-1] < 2.0
    assert optimizer.step(None) is None
    assert optimizer.step() is None
    assert torch.is_grad_enabled()


@each_row
def test_error_in_the_closure_restores_autograd(row: Row) -> None:
    weight = torch.ones(2, 1, requires_grad=True)
    optimizer = row.ours([weight])
    with pytest.raises(ZeroDivisionError):
        optimizer.step(lambda: 1 / 0)
    assert torch.is_grad_enabled()
    assert torch.equal(weight, torch.ones(2, 1))


@each_plain
@pytest.mark.parametrize("overflow", [False, True])
def test_gradient_scaler(row: Row, overflow: bool) -> None:
    """Gradients are unscaled before the step, and a step with an infinite one is skipped."""
    results = []
    for make in (row.make_ours, row.make_twin):
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        weight = torch.ones(2, requires_grad=True)
        optimizer = make([weight], {"lr": 0.1})
        for k in range(3):
            optimizer.zero_grad()
            factor = float("inf") if overflow and k == 1 else 1.0
            scaler.scale(weight.square().sum() * factor).backward()
            scaler.step(optimizer)
            scaler.update()
        results.append((optimizer, scaler.get_scale()))
    (ours, scale), (twin, twin_scale) = results
    assert scale == twin_scale
    assert_same_optimizers(ours, twin, row.extra)


@each_plain
def test_one_optimizer_for_each_parameter(row: Row) -> None:
    """Stepped from the backward pass, as memory-saving programs do."""
    models = [torch.nn.Linear(3, 3) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    for model, make in zip(models, (row.make_ours, row.make_twin), strict=True):
        optimizers = {p: make([p], {}) for p in model.parameters()}

        def step(p: Tensor, optimizers: dict[Tensor, Optimizer]) -> None:
            optimizers[p].step()
            optimizers[p].zero_grad()

        for p in model.parameters():
            p.register_post_accumulate_grad_hook(functools.partial(step, optimizers=optimizers))
        for _ in range(3):
            model(torch.ones(2, 3)).square().sum().backward()
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert_same_tensor(p, q, "parameter")
