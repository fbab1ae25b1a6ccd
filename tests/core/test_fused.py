"""`fused=True`: the compiled rule, a few units in the last place from the loop, compiled once.

All in one worker where tests run in several (`--dist loadgroup`): compiled kernels are kept for the
life of a process.
"""

import copy
import pickle
from typing import Any

import pytest
import torch
from bits import assert_same_tensor
from registry import ROWS, Options, Row, each_compiled, each_elementwise
from tensors import Spec, channels_last, contiguous, source, strided, transposed, view
from torch import Tensor
from torch._dynamo.utils import counters
from torch.fx.experimental import _config as tracing_config
from torch.optim import Optimizer, lr_scheduler
from twins import failures_in_threads, parameter, save_and_load

from myoptim.execution import cpu
from myoptim.execution import fused as executor

pytestmark = [
    pytest.mark.xdist_group("fused"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the compiler about itself
]

SPECS = [
    ((), contiguous),
    ((0,), contiguous),
    ((1,), contiguous),
    ((30, 20), transposed),
    ((500,), strided),
    ((100, 30), view),
    ((2, 3, 40, 50), channels_last),
    ((5_000,), contiguous),
    ((300_001,), contiguous),
]

# Over four steps: roundings of a compiled sum are fewer, and what was cancelled shows more of them.
CLOSE = {
    torch.float32: {"rtol": 3e-5, "atol": 3e-6},
    torch.float64: {"rtol": 1e-12, "atol": 1e-13},
    torch.bfloat16: {"rtol": 0.1, "atol": 0.25},
}

#: With momentum the first step has a kernel of its own, and RAdam's first six steps have.
SETTLED = 7


@pytest.fixture(autouse=True)
def kernels_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "WORTH_A_KERNEL", 0)


def specs(dtype: torch.dtype) -> list[Spec]:
    return [Spec(shape, dtype, layout) for shape, layout in SPECS]


def pair(row: Row, dtype: torch.dtype, options: Options) -> tuple[Optimizer, Optimizer]:
    """Ours fused, and the loop, on equal parameters."""
    values = [spec.parameter(source(i)) for i, spec in enumerate(specs(dtype))]
    loop = row.make_ours([parameter(v) for v in values], {**options, "foreach": False})
    fused = row.make_ours([parameter(v) for v in values], {**options, "fused": True})
    return fused, loop


def params(optimizer: Optimizer) -> list[Tensor]:
    return optimizer.param_groups[0]["params"]


def advance(fused: Optimizer, loop: Optimizer, dtype: torch.dtype, seed: int) -> None:
    """A step of both. Gradients change sign, lest the variance of a centred RMSprop cancel out."""
    generator = source(seed)
    sign = (-1) ** seed
    for p, q, spec in zip(params(fused), params(loop), specs(dtype), strict=True):
        p.grad = spec.layout((spec.values("normal", generator).abs() + 0.5) * sign)
        q.grad = copy.deepcopy(p.grad)
    fused.step()
    loop.step()
    for p, q in zip(params(fused), params(loop), strict=True):
        assert_same_tensor(p.grad, q.grad, "gradient")


def assert_close(fused: Optimizer, loop: Optimizer, dtype: torch.dtype) -> None:
    for p, q in zip(params(fused), params(loop), strict=True):
        torch.testing.assert_close(p, q, **CLOSE[dtype])
        assert list(fused.state[p]) == list(loop.state[q])
        for key, value in loop.state[q].items():
            ours = fused.state[p][key]
            assert ours.stride() == value.stride()
            torch.testing.assert_close(ours, value, **CLOSE[dtype])


def kernels() -> int:
    compiled = counters["inductor"]
    return sum(compiled[f"fxgraph_cache_{how}"] for how in ("hit", "miss", "bypass"))


@each_elementwise
def test_close_to_the_loop(row: Row) -> None:
    assert_close_to_the_loop(row, torch.float32)


@each_compiled
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_close_to_the_loop_in_other_types(row: Row, dtype: torch.dtype) -> None:
    assert_close_to_the_loop(row, dtype)


def assert_close_to_the_loop(row: Row, dtype: torch.dtype) -> None:
    fused, loop = pair(row, dtype, {**row.full, "lr": 0.01})
    for seed in range(4):
        advance(fused, loop, dtype, seed)
    assert_close(fused, loop, dtype)


@pytest.mark.parametrize("row", [row for row in ROWS if str(row) in ("Momentum", "Adam")], ids=str)
def test_kernels_of_an_accelerator(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take one row at a time, so that small ones are packed."""
    packs: list[int] = []

    def packed(run: Any, columns: list[list[Tensor]]) -> None:
        packs.append(len(columns[0]))
        pack(run, columns)

    pack = executor.packed
    monkeypatch.setattr(executor, "ROWS", 1)
    monkeypatch.setattr(executor, "packed", packed)
    monkeypatch.setattr(cpu, "WORTH_PACKING", 4)
    fused, loop = pair(row, torch.float32, {**row.full, "lr": 0.01})
    for seed in range(4):
        advance(fused, loop, torch.float32, seed)
    assert_close(fused, loop, torch.float32)
    assert max(packs) > 4, "the small ones were not packed"


@each_elementwise
def test_neither_scheduler_nor_size_compiles_anything_anew(row: Row) -> None:
    """One kernel for a rule and dtype, whatever the hyper-parameters, sizes and step counts."""
    options = {**row.full, "lr": 0.01}
    fused, loop = pair(row, torch.float32, options)
    for seed in range(SETTLED):
        advance(fused, loop, torch.float32, seed)
    before = kernels()
    assert before > 0
    schedulers = [lr_scheduler.ExponentialLR(optimizer, 0.9) for optimizer in (fused, loop)]
    for seed in range(SETTLED, SETTLED + 5):
        advance(fused, loop, torch.float32, seed)
        for scheduler in schedulers:
            scheduler.step()
    assert_close(fused, loop, torch.float32)
    for sizes in ([4_097], [6_000, 7_000, 1], [200_000] * 3, [10_000, 131_073]):
        other = row.make_ours([torch.ones(n, requires_grad=True) for n in sizes], options)
        other.param_groups[0]["fused"] = True
        for _ in range(2):
            for p in params(other):
                p.grad = torch.ones_like(p)
            other.step()
    assert kernels() == before


@each_elementwise
def test_what_is_too_small_for_a_kernel_has_the_bits_of_the_loop(
    row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    sizes, before = (1, 7, 1_000), kernels()
    fused = row.make_ours([torch.ones(n, requires_grad=True) for n in sizes], {"fused": True})
    loop = row.make_ours([torch.ones(n, requires_grad=True) for n in sizes], {"foreach": False})
    for _ in range(3):
        for p in params(fused) + params(loop):
            p.grad = torch.linspace(-1, 1, p.numel())
        fused.step()
        loop.step()
    for p, q in zip(params(fused), params(loop), strict=True):
        assert_same_tensor(p, q, "parameter")
    assert kernels() == before


@each_elementwise
def test_checkpoint_goes_over_to_the_loop_and_back(row: Row) -> None:
    fused, loop = pair(row, torch.float32, {**row.full, "lr": 0.01})
    advance(fused, loop, torch.float32, 0)
    ours, theirs = save_and_load(fused.state_dict()), save_and_load(loop.state_dict())
    for state in ours["state"].values():
        assert "step" not in state or state["step"].dtype == torch.float32
    fused.load_state_dict(theirs)
    loop.load_state_dict(ours)
    fused.param_groups[0].update(foreach=None, fused=True)
    loop.param_groups[0].update(foreach=False, fused=None)
    advance(fused, loop, torch.float32, 1)
    assert_close(fused, loop, torch.float32)


@each_elementwise
@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(row: Row, way: Any) -> None:
    fused, loop = pair(row, torch.float32, {**row.full, "lr": 0.01})
    advance(fused, loop, torch.float32, 0)
    fused = way(fused)
    advance(fused, loop, torch.float32, 1)
    assert_close(fused, loop, torch.float32)


@each_elementwise
def test_parameter_without_gradient_and_steps_of_different_age(row: Row) -> None:
    weights = [[torch.ones(5_000, requires_grad=True) for _ in range(3)] for _ in range(2)]
    fused = row.make_ours(weights[0], {**row.full, "fused": True})
    loop = row.make_ours(weights[1], {**row.full, "foreach": False})
    for step in range(4):
        for i, pair_of_one in enumerate(zip(*weights, strict=True)):
            for p in pair_of_one:
                p.grad = None if step < i else torch.linspace(-1, 1, 5_000)
        fused.step()
        loop.step()
    assert_close(fused, loop, torch.float32)


@each_elementwise
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_is_refused_as_torch_refuses_it(row: Row, dtype: torch.dtype) -> None:
    weight = torch.ones(3, dtype=dtype, requires_grad=True)
    optimizer = row.ours([weight], fused=True)
    weight.grad = torch.ones_like(weight)
    with pytest.raises(RuntimeError, match=r"`fused=True` requires all the params to be floating"):
        optimizer.step()


@each_elementwise
def test_sparse_gradient_is_refused(row: Row) -> None:
    weight = torch.ones(3, requires_grad=True)
    optimizer = row.ours([weight], fused=True, **row.decaying(0))
    weight.grad = torch.ones(3).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()


@each_elementwise
def test_zero_grad_of_a_fused_optimizer(row: Row) -> None:
    weight = torch.ones(3, requires_grad=True)
    optimizer = row.ours([weight], fused=True)
    weight.grad = torch.ones(3)
    optimizer.zero_grad(set_to_none=False)
    assert torch.equal(weight.grad, torch.zeros(3))


@each_elementwise
def test_state_of_another_type_than_its_parameter_is_refused(row: Row) -> None:
    """A kernel made for 64 bits must not be given half as many."""
    weight = torch.ones(5_000, requires_grad=True)
    optimizer = row.make_ours([weight], {**row.full, "fused": True})
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    weight.data, weight.grad = weight.data.double(), None
    weight.grad = torch.ones_like(weight)
    with pytest.raises(RuntimeError, match="plain tensors of their parameter's shape"):
        optimizer.step()
    assert torch.equal(weight, weight.float().double())


@each_elementwise
def test_gradient_that_is_a_negative_view(row: Row) -> None:
    """It lies in memory with the other sign."""
    weights = [torch.ones(5_000, requires_grad=True) for _ in range(2)]
    fused = row.make_ours([weights[0]], {**row.full, "fused": True})
    loop = row.make_ours([weights[1]], {**row.full, "foreach": False})
    for _ in range(2):
        for weight in weights:
            weight.grad = torch._neg_view(torch.linspace(-1, 1, 5_000))
        fused.step()
        loop.step()
    assert_close(fused, loop, torch.float32)


@each_elementwise
def test_gradient_of_a_subclass_is_refused(row: Row) -> None:
    class Other(Tensor):
        pass

    weight = torch.ones(5_000, requires_grad=True)
    optimizer = row.make_ours([weight], {**row.full, "fused": True})
    weight.grad = torch.ones(5_000).as_subclass(Other)
    with pytest.raises(RuntimeError, match="plain tensors of their parameter"):
        optimizer.step()
    assert torch.equal(weight, torch.ones(5_000))


@each_elementwise
def test_many_small_and_some_large(row: Row) -> None:
    """Gathered, in rows of a kernel, and more parameters than are taken at a time."""
    shapes = [(30,), (4, 5), (), (1,), (0,)] * 60 + [(300, 10), (5_000,)] * 7

    def made(options: Options) -> Optimizer:
        values = [Spec(shape, torch.float32).parameter(source(i)) for i, shape in enumerate(shapes)]
        return row.make_ours([parameter(v) for v in values], {**row.full, **options})

    fused, loop = made({"fused": True}), made({"foreach": False})
    for seed in range(3):
        generator = source(seed)
        for p, q in zip(params(fused), params(loop), strict=True):
            p.grad = torch.rand(p.shape, generator=generator) + 0.5
            q.grad = p.grad.clone()
        fused.step()
        loop.step()
    assert_close(fused, loop, torch.float32)


def test_kernel_knows_the_length_of_each_row_however_torch_traces() -> None:
    executor.compile_kernel.cache_clear()
    row = next(row for row in ROWS if str(row) == "Adam")
    weights = [torch.ones(300, 70, requires_grad=True) for _ in range(2)]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    with tracing_config.patch(use_duck_shape=False):
        row.make_ours([weights[0]], {"fused": True}).step()
    row.make_ours([weights[1]], {"foreach": False}).step()
    torch.testing.assert_close(*weights)


def test_kernels_compiled_in_several_threads() -> None:
    executor.compile_kernel.cache_clear()

    def step(row: Row) -> None:
        weight = torch.ones(5_000, requires_grad=True)
        weight.grad = torch.ones(5_000)
        optimizer = row.ours([weight], fused=True)
        optimizer.step()
        optimizer.step()

    assert not failures_in_threads(step, [row for row in ROWS if row.elementwise])
