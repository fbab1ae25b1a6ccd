"""Situations from public reports, each beside torch's eager loop or what it should have done."""

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bits import assert_same_optimizers, assert_same_tensor
from registry import ROWS, Options, Row, each_compiled, each_elementwise
from torch import Tensor
from torch.optim import Optimizer
from twins import attempt

import myoptim

pytestmark = [
    pytest.mark.xdist_group("fused"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the compiler about itself
]

WITH_STEP = [row for row in ROWS if row.elementwise and row.counts]
each_way = pytest.mark.parametrize("flags", [{}, {"foreach": True}, {"foreach": False}], ids=str)


def pair(row: Row, params: Callable[[], list[Tensor]], options: Options, flags: Options) -> Any:
    return row.make_ours(params(), {**options, **flags}), row.make_twin(params(), options)


def of(optimizer: Optimizer) -> list[Any]:
    return optimizer.param_groups[0]["params"]


def step_both(ours: Optimizer, twin: Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p, q in zip(of(ours), of(twin), strict=True):
        p.grad = torch.randn(p.shape, generator=generator)
        q.grad = p.grad.clone()
    ours.step()
    twin.step()


def some(sizes: list[int]) -> Callable[[], list[Tensor]]:
    return lambda: [torch.linspace(-1, 1, size).requires_grad_() for size in sizes]


# Memory -------------------------------------------------------------------------------------------


def overlapping() -> list[Tensor]:
    memory = torch.linspace(-1, 1, 60)
    return [memory[0:6], memory[3:9], *[torch.full((4,), 0.1 * i) for i in range(40)]]


def strided() -> list[Tensor]:
    memory = torch.linspace(-1, 1, 60)
    return [torch.ones(3), memory[0:10:2], memory[1:10:2], memory[8:30].view(2, 11)]


def inside_another() -> list[Tensor]:
    memory = torch.linspace(-1, 1, 300_000)
    return [memory, memory[5:10], memory[299_000:]]


@each_elementwise
@each_way
@pytest.mark.parametrize("params", [overlapping, strided, inside_another])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_overlapping_parameters(row: Row, flags: Any, params: Any, decay: float) -> None:
    ours, twin = pair(row, params, {**row.full, **row.decaying(decay)}, flags)
    for seed in range(3):
        step_both(ours, twin, seed)
    for p, q in zip(of(ours), of(twin), strict=True):
        assert_same_tensor(p, q, "parameter")


@pytest.mark.parametrize("row", WITH_STEP, ids=str)
@each_way
def test_a_counter_that_several_parameters_share(row: Row, flags: Any) -> None:
    ours, twin = pair(row, some([3] * 5), row.full, flags)
    step_both(ours, twin, 0)
    for optimizer in (ours, twin):
        shared = optimizer.state[of(optimizer)[1]]["step"]
        for param in of(optimizer)[1:4]:
            optimizer.state[param]["step"] = shared
    for seed in range(3):
        step_both(ours, twin, seed)
    assert_same_optimizers(ours, twin, row.extra)


@each_elementwise
@each_way
def test_given_twice(row: Row, flags: Any) -> None:
    def twice(make: Callable[..., Any], more: Options) -> Any:
        param = torch.linspace(-1, 1, 5)
        with pytest.warns(UserWarning, match="duplicate"):
            return make([param, torch.ones(2), param], {**row.full, **more})

    ours, twin = twice(row.make_ours, flags), twice(row.make_twin, {})
    for seed in range(3):
        step_both(ours, twin, seed)
    assert_same_optimizers(ours, twin, row.extra)


# Checkpoints --------------------------------------------------------------------------------------


def test_checkpoint_of_another_optimizer() -> None:
    adam = myoptim.Adam(some([3])())
    momentum = myoptim.SGD(some([3])(), lr=0.5, momentum=0.8, nesterov=True)
    before = copy.deepcopy(momentum.state_dict())
    with pytest.raises(ValueError, match=r"lacks momentum, dampening.*not one of SGD"):
        momentum.load_state_dict(adam.state_dict())
    assert momentum.state_dict() == before
    with pytest.raises(ValueError, match="lacks betas, eps"):
        adam.load_state_dict(momentum.state_dict())


@each_elementwise
def test_after_loading_nothing_is_shared(row: Row) -> None:
    a, b = (row.make_ours(some([3, 4])(), row.full) for _ in range(2))
    for param in of(a):
        param.grad = torch.ones_like(param)
    a.step()
    b.load_state_dict(a.state_dict())
    theirs = {t.data_ptr() for state in a.state.values() for t in state.values()}
    ours = {t.data_ptr() for state in b.state.values() for t in state.values()}
    assert not ours & theirs


@pytest.mark.parametrize("row", WITH_STEP, ids=str)
@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize("loads", [False, True])
def test_counters_that_are_integers(row: Row, count: int, loads: bool) -> None:
    ours, twin = pair(row, some([3] * count), row.full, {})
    step_both(ours, twin, 0)
    for optimizer in (ours, twin):
        for state in optimizer.state.values():
            state["step"] = state["step"].to(torch.int64)
        if loads:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    ours.param_groups[0]["foreach"] = None
    for seed in range(3):
        step_both(ours, twin, seed)
    assert_same_optimizers(ours, twin, row.extra)


@pytest.mark.parametrize("row", WITH_STEP, ids=str)
def test_a_counter_that_is_a_number(row: Row) -> None:
    ours, plain = (row.make_ours(some([3] * 3)(), row.full) for _ in range(2))
    for seed in range(4):
        for state in ours.state.values():
            state["step"] = int(state["step"])
        step_both(ours, plain, seed)
    assert_same_optimizers(ours, plain, row.extra)


@pytest.mark.parametrize("flags", [{}, {"foreach": False}], ids=str)
def test_a_buffer_that_is_none(flags: Options) -> None:
    row = next(row for row in ROWS if str(row) == "Momentum")
    ours, twin = pair(row, some([3] * 3), {}, flags)
    step_both(ours, twin, 0)
    for optimizer in (ours, twin):
        optimizer.state[of(optimizer)[1]]["momentum_buffer"] = None
    for seed in range(3):
        step_both(ours, twin, seed)
    assert_same_optimizers(ours, twin)


# functorch, fake and meta tensors -----------------------------------------------------------------


@each_elementwise
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of vmap about itself
def test_a_training_loop_inside_vmap(row: Row) -> None:
    def train(make: Callable[..., Any], start: Tensor) -> Tensor:
        params = [start.clone(), 2 * start, start + 1]
        optimizer = make(params, row.full)
        for _ in range(3):
            for i, param in enumerate(params):
                param.grad = param.detach() * (i + 1)
            optimizer.step()
        return torch.stack(params)

    starts = torch.linspace(-1, 1, 12).view(3, 4)
    ours = torch.vmap(lambda start: train(row.make_ours, start))(starts)
    single = torch.stack([train(row.make_ours, start) for start in starts])
    torch.testing.assert_close(ours, single)


def test_first_import_under_fake_tensors() -> None:
    code = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
with FakeTensorMode():
    import myoptim
for foreach in (None, True, False):
    params = [torch.ones(3, requires_grad=True) for _ in range(3)]
    optimizer = myoptim.Adam(params, foreach=foreach)
    for param in params:
        param.grad = torch.ones(3)
    optimizer.step()
    assert type(optimizer.state[params[0]]["step"]) is torch.Tensor
    assert optimizer.state[params[0]]["step"].item() == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@each_elementwise
def test_fused_on_the_meta_device(row: Row) -> None:
    param = torch.ones(3, device="meta", requires_grad=True)
    optimizer = row.ours([param], fused=True)
    param.grad = torch.ones(3, device="meta")
    with pytest.raises(RuntimeError, match=r"`fused=True` requires.*meta"):
        optimizer.step()


# Scalars ------------------------------------------------------------------------------------------


@each_elementwise
@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("flags", [{}, {"fused": True}, {"foreach": False}], ids=str)
def test_a_complex_learning_rate(row: Row, count: int, flags: Any) -> None:
    optimizer = row.make_ours(some([3] * count)(), flags)
    same = row.make_ours(some([3] * count)(), {**flags, "lr": 0.25})
    for one in (optimizer, same):
        for param in of(one):
            param.grad = torch.ones_like(param)
    optimizer.param_groups[0]["lr"] = complex(0.25, 1)
    with pytest.raises(RuntimeError, match=r"lr must be a real number, not \(0.25\+1j\)"):
        optimizer.step()
    optimizer.param_groups[0]["lr"] = complex(0.25, 0)
    optimizer.step()
    same.step()
    for p, q in zip(of(optimizer), of(same), strict=True):
        assert_same_tensor(p, q, "parameter")


@pytest.mark.parametrize(
    ("row", "name"),
    [
        pytest.param(row, name, id=f"{row}-{name}")
        for row in ROWS
        for name in ("lr", "weight_decay")
        if row.elementwise and name in row.ranges
    ],
)
def test_a_scalar_that_requires_grad(row: Row, name: str) -> None:
    learned = torch.tensor(0.25, requires_grad=True)
    ours = row.make_ours(some([3] * 3)(), {**row.full, name: learned})
    same = row.make_ours(some([3] * 3)(), {**row.full, name: 0.25})
    for seed in range(3):
        step_both(ours, same, seed)
    for p, q in zip(of(ours), of(same), strict=True):
        torch.testing.assert_close(p, q)


# The scaler's attributes --------------------------------------------------------------------------


@each_compiled
def test_scale_and_overflow_of_a_fused_step(row: Row) -> None:
    ours, plain = (row.make_ours(some([30_000])(), {**row.full, "fused": True}) for _ in "ab")
    ours.grad_scale, ours.found_inf = torch.tensor(4.0), torch.tensor(0.0)
    given = torch.linspace(-1, 1, 30_000)
    of(ours)[0].grad, of(plain)[0].grad = 4 * given, given.clone()
    ours.step()
    plain.step()
    assert_same_tensor(of(ours)[0], of(plain)[0], "parameter")
    assert_same_tensor(of(ours)[0].grad, 4 * given, "gradient")
    ours.found_inf = torch.tensor(1.0)
    ours.step()
    assert_same_tensor(of(ours)[0], of(plain)[0], "parameter")


# Errors in the middle -----------------------------------------------------------------------------


@each_elementwise
@each_way
def test_an_error_leaves_those_after_it_untouched(row: Row, flags: Any) -> None:
    options = {**row.full, **row.decaying(0.1)}
    ours, twin = pair(row, some([3, 4, 5]), options, flags)
    step_both(ours, twin, 0)
    for optimizer in (ours, twin):
        param = of(optimizer)[1]
        param.data, param.grad = torch.ones(2, 2), None
        param.grad = torch.ones(2, 2)
        for name, value in optimizer.state[param].items():
            if value.dim():
                optimizer.state[param][name] = torch.ones(3)
    (_, our_error), (_, error) = attempt(ours.step), attempt(twin.step)
    assert type(our_error) is type(error)
    assert_same_optimizers(ours, twin, row.extra)


# Complex numbers, slopes --------------------------------------------------------------------------


@each_elementwise
@pytest.mark.parametrize("count", [1, 3])
def test_gradients_that_wait_to_be_conjugated(row: Row, count: int) -> None:
    params = [torch.randn(4, dtype=torch.complex64, requires_grad=True) for _ in range(2 * count)]
    lazy = row.make_ours(params[:count], row.full)
    resolved = row.make_ours([p.detach().clone() for p in params[:count]], row.full)
    for _ in range(2):
        for p, q in zip(of(lazy), of(resolved), strict=True):
            gradient = torch.randn(4, dtype=torch.complex64)
            p.grad = gradient.conj()
            q.grad = gradient.conj().resolve_conj()
        lazy.step()
        resolved.step()
    for p, q in zip(of(lazy), of(resolved), strict=True):
        assert_same_tensor(p, q, "parameter")


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.elementwise and "eps" in row.ranges], ids=str
)
def test_slope_at_a_gradient_of_zero(row: Row) -> None:
    """As finite differences say."""

    def moved(gradient: Tensor) -> Tensor:
        param = torch.ones(3, dtype=torch.float64).requires_grad_().clone()
        optimizer = row.ours([param], lr=0.1, eps=1e-2, differentiable=True)
        param.grad = gradient
        optimizer.step()
        return param

    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(moved(zero).sum(), zero)
    with torch.no_grad():
        by_hand = (moved(zero + 1e-9) - moved(zero - 1e-9)) / 2e-9
    torch.testing.assert_close(slope, by_hand, rtol=1e-4, atol=1e-6)


# Subclasses ---------------------------------------------------------------------------------------

NAMES = ["update", "validate", "rule", "ranges", "init_state", "new_buffer", "buffer_names"]
NAMES += ["counts_steps", "torch_twin", "effective_gradient", "scalars", "declaration", "buffers"]


@each_elementwise
def test_a_subclass_may_call_its_methods_what_it_likes(row: Row) -> None:
    def refuse(self: Any, *args: Any) -> None:
        raise AssertionError("called by the step")

    strange = type("Strange", (row.ours,), dict.fromkeys(NAMES, refuse))
    ours, plain = strange(some([3] * 3)()), row.ours(some([3] * 3)())
    for seed in range(3):
        step_both(ours, plain, seed)
    for p, q in zip(of(ours), of(plain), strict=True):
        assert_same_tensor(p, q, "parameter")


@each_elementwise
def test_a_subclass_with_a_step_of_its_own_may_skip_our_constructor(row: Row) -> None:
    class Own(row.ours):  # type: ignore[name-defined, misc]
        def __init__(self, params: Any, lr: float) -> None:
            Optimizer.__init__(self, params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for param in of(self):
                param.sub_(param.grad, alpha=self.param_groups[0]["lr"])

    optimizer = Own(some([3])(), lr=0.5)
    of(optimizer)[0].grad = torch.ones(3)
    optimizer.step()
    torch.testing.assert_close(of(optimizer)[0].detach(), torch.linspace(-1, 1, 3) - 0.5)


def test_adagrad_shares_all_of_its_state() -> None:
    optimizer = myoptim.Adagrad(some([3])())
    optimizer.share_memory()
    (state,) = optimizer.state.values()
    assert state["sum"].is_shared()
    assert state["step"].is_shared()
