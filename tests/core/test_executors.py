"""However a rule is run, over whatever tensors: the loop's bits, and little extra memory."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bits import assert_same_optimizers, assert_same_tensor, bits, parameters
from registry import EXECUTORS, OLD, ROWS, Options, Row, each_elementwise
from tensors import GRADIENT_LAYOUTS, LAYOUTS, Spec, contiguous, expanded, source, strided
from torch import Tensor, is_tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from twins import Twins, attempt, failures_in_threads, parameter, tiny_pieces
from waiting import PATIENCE

from myoptim import execution
from myoptim.execution import cpu, foreach, layout, private
from myoptim.lab.bench import peak_bytes

MB = 1e6
CPU = torch.device("cpu")

# On either side of where tensors are small, go in one list, and are cut.
SIZES = [*range(35), 100, 1_000, 2_047, 2_048, 2_049, 32_767, 32_769, 100_000, 300_000, 600_000]
SIZES += [1_966_081]

# The loop is compared with torch's in all other tests; here, what is not the loop.
each_executor = pytest.mark.parametrize("executor", ["default", "foreach"])
each_exact_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def run_in_lockstep(
    row: Row, specs: list[Spec], executor: str, steps: int = 3, missing: float = 0.0
) -> None:
    for options in ({}, row.full):
        twins = Twins(row, specs, options, EXECUTORS[executor])
        for _ in range(steps):
            twins.step(twins.random_gradients(missing=missing))
        assert not twins.failed


@each_elementwise
@each_executor
@each_exact_dtype
def test_every_size(row: Row, executor: str, dtype: torch.dtype) -> None:
    run_in_lockstep(row, [Spec((size,), dtype) for size in SIZES], executor, steps=2)


def test_sizes_lie_on_both_sides_of_the_limits() -> None:
    """The sizes above mean something only while they straddle the limits of `cpu.py`."""
    limit = cpu.SMALL
    assert {limit - 1, limit, limit + 1} <= set(SIZES)
    assert sum(size <= limit for size in SIZES) >= cpu.WORTH_PACKING
    assert max(SIZES) > cpu.IN_CACHE


@each_elementwise
@each_executor
@each_exact_dtype
def test_every_small_size_among_tiny_pieces(row: Row, executor: str, dtype: torch.dtype) -> None:
    """Every remainder of a cut, and every way to fill a piece."""
    with tiny_pieces():
        specs = [Spec((size,), dtype) for size in range(70)]
        run_in_lockstep(row, specs, executor, missing=0.1)


@each_executor
@pytest.mark.parametrize("row", [row for row in ROWS if row.forgetful], ids=str)
def test_sign_of_zero(row: Row, executor: str) -> None:
    """A dead unit's gradient is -0.0 as often as 0.0. Of averages that keep nothing torch's kernels
    then give -0.0 here and 0.0 there in one tensor."""
    specs = [Spec((), torch.float32)] * 50 + [Spec((1_048_577,), torch.float32)]
    twins = Twins(row, specs, row.forgetful, EXECUTORS[executor])
    for kind in ("negative zero", "zero", "negative zero", "everything"):
        twins.step(twins.random_gradients(kind))


@each_elementwise
@each_executor
def test_many_small_tensors(row: Row, executor: str) -> None:
    """More than one list can hold, of several dtypes, some without a gradient now and then."""
    dtypes = itertools.cycle([torch.float32, torch.float32, torch.float64, torch.bfloat16])
    sizes = itertools.cycle([(100,), (7, 30), (), (0,), (3_000,), (64, 10)])
    specs = [Spec(next(sizes), next(dtypes)) for _ in range(300)]
    run_in_lockstep(row, specs, executor, missing=0.1)


@each_elementwise
@pytest.mark.parametrize("gradient_layout", GRADIENT_LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_half_precision_of_every_layout(row: Row, layout: Any, gradient_layout: Any) -> None:
    """There bits depend on how the operands lie in memory, state included."""
    for options in ({}, {**row.decaying(0.1), "lr": 3.0}, {**row.decaying(1.0), "maximize": True}):
        twins = Twins(row, [Spec((2, 3, 4, 5), torch.bfloat16, layout)], options, {})
        for _ in range(2):
            twins.step([gradient_layout(g) for g in twins.random_gradients()])
        assert not twins.failed


@each_elementwise
@each_executor
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_large_tensors_of_every_layout(row: Row, executor: str, layout: Any) -> None:
    """Gradients lie as the parameter does, and then in other ways."""
    shapes = [(131_073,), (370, 360), (2, 3, 150, 150)]
    specs = [Spec(shape, torch.float32, layout) for shape in shapes]
    twins = Twins(row, specs, row.full, EXECUTORS[executor])
    for gradient_layout in (None, contiguous, strided, expanded):
        gradients = twins.random_gradients()
        if gradient_layout is not None:
            gradients = [gradient_layout(g) for g in gradients if g is not None]
        twins.step(gradients)
    assert not twins.failed


@each_elementwise
@each_executor
def test_steps_of_different_age(row: Row, executor: str) -> None:
    """Parameter k joins at step k: every count of steps is another bias correction."""
    specs = [Spec((50,), torch.float32)] * 12
    twins = Twins(row, specs, row.full, EXECUTORS[executor])
    for step in range(12):
        gradients = twins.random_gradients()
        twins.step([g if i <= step else None for i, g in enumerate(gradients)])


# Tensors of a special kind ------------------------------------------------------------------------


def both(row: Row, executor: str, params: Callable[[], list[Tensor]]) -> list[tuple[Any, Any]]:
    """Ours and torch's, each on parameters of its own."""
    ours, theirs = params(), params()
    optimizers = (
        row.make_ours(ours, {**row.full, **EXECUTORS[executor]}),
        row.make_twin(theirs, row.full),
    )
    return list(zip(optimizers, (ours, theirs), strict=True))


@each_elementwise
@each_executor
def test_one_gradient_for_all(row: Row, executor: str) -> None:
    (ours, p), (theirs, q) = both(row, executor, lambda: [torch.ones(30) for _ in range(20)])
    gradient = torch.linspace(-1, 1, 30)
    for _ in range(4):
        for optimizer, tensors in ((ours, p), (theirs, q)):
            for tensor in tensors:
                tensor.grad = gradient
            optimizer.step()
    assert torch.equal(bits(gradient), bits(torch.linspace(-1, 1, 30)))
    assert_same_optimizers(ours, theirs, row.extra)


class Subclass(torch.Tensor):
    """A tensor subclass that changes nothing, as many libraries have them."""


@each_elementwise
@each_executor
def test_tensor_subclass(row: Row, executor: str) -> None:
    def params() -> list[Tensor]:
        values = [torch.linspace(-1, 1, n) for n in (5, 5, 140_000)]
        return [torch.nn.Parameter(v.as_subclass(Subclass)) for v in values]

    (ours, p), (theirs, q) = both(row, executor, params)
    for k in range(3):
        for optimizer, tensors in ((ours, p), (theirs, q)):
            for tensor in tensors:
                tensor.grad = torch.full_like(tensor, 0.1 * (k + 1))
            optimizer.step()
    for a, b in zip(p, q, strict=True):
        assert type(a) is type(b)
        assert_same_tensor(a.as_subclass(torch.Tensor), b.as_subclass(torch.Tensor), "parameter")


@each_elementwise
@each_executor
def test_a_graph_that_needs_the_old_value_notices_the_step(row: Row, executor: str) -> None:
    for size in (3, 200_000):
        param = torch.ones(size, requires_grad=True)
        optimizer = row.make_ours([param], EXECUTORS[executor])
        loss = (param * param).sum()
        loss.backward(retain_graph=True)
        optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


# Cost ---------------------------------------------------------------------------------------------


def with_gradients(sizes: list[int]) -> list[Tensor]:
    params = [torch.ones(size, requires_grad=True) for size in sizes]
    for param in params:
        param.grad = torch.full_like(param, 0.5)
    return params


def test_peak_is_measured() -> None:
    """The measure sees what torch's loop takes: a temporary as large as the parameter."""
    optimizer = torch.optim.Adam(with_gradients([5_000_000]), foreach=False)
    optimizer.step()
    assert peak_bytes(optimizer.step, CPU) >= 20 * MB


@each_elementwise
@pytest.mark.parametrize("sizes", [[10_000_000], [25_000] * 400], ids=["one tensor", "many"])
def test_extra_memory_does_not_grow_with_the_model(row: Row, sizes: list[int]) -> None:
    """Of a model of 40 MB, a step holds no copy."""
    optimizer = row.ours(with_gradients(sizes), **row.full)
    optimizer.step()  # the first one allocates the state
    assert peak_bytes(optimizer.step, CPU) <= 8 * MB


class FreshMemory(TorchDispatchMode):
    """Counts the elements of results that lie in no memory that the operator was given."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        given = {
            t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if is_tensor(t)
        }
        for result in filter(is_tensor, tree_leaves(results)):
            if result.untyped_storage().data_ptr() not in given:
                self.elements += result.numel()
        return results


@each_elementwise
def test_large_tensors_are_updated_in_memory_used_before(row: Row) -> None:
    """The pages of fresh memory may take longer to come than what is computed takes."""
    optimizer = row.ours(with_gradients([3_000_000, 600_000]), **row.full)
    for _ in range(2):
        optimizer.step()
    with FreshMemory() as fresh:
        optimizer.step()
    assert fresh.elements < 1_000


class Calls(TorchDispatchMode):
    """Counts the operators that Python asks for, but for the reading of counters."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is not torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@each_elementwise
def test_small_tensors_are_updated_together(row: Row) -> None:
    optimizer = row.ours(with_gradients([100] * 500))
    for _ in range(2):  # after the first step SGD has one statement more
        optimizer.step()
    with Calls() as together:
        optimizer.step()
    assert together.count < 50


# What is kept between steps, and what is shared ---------------------------------------------------


@each_elementwise
def test_threads_do_not_share_what_small_tensors_are_gathered_in(row: Row) -> None:
    """Hogwild, or one optimizer per replica: equal shapes, at the same time."""
    runs = [Twins(row, [Spec((60,), torch.float32)] * 40, {}, {}, seed) for seed in range(4)]
    starts = threading.Barrier(len(runs), timeout=PATIENCE)

    def train(twins: Twins) -> None:
        for gradients in [twins.random_gradients() for _ in range(30)]:
            starts.wait()
            twins.step(gradients)

    assert not failures_in_threads(train, runs)


@each_elementwise
def test_after_a_step_in_inference_mode_others_go_on(row: Row) -> None:
    sizes = [50] * 40
    other = row.ours(with_gradients(sizes))
    with torch.inference_mode():
        inside = [torch.ones(size) for size in sizes]
        for param in inside:
            param.grad = torch.ones_like(param)
        row.ours(inside).step()
    other.step()


@each_elementwise
@pytest.mark.parametrize("count", [2, 40])
def test_parameters_in_the_same_memory_are_updated_one_after_the_other(
    row: Row, count: int
) -> None:
    def shared() -> list[Tensor]:
        memory = torch.linspace(-1, 1, 50)
        params = [memory.view(50).requires_grad_() for _ in range(count)]
        for i, param in enumerate(params):
            param.grad = torch.linspace(i, 1, 50)
        return params

    options = {**row.full, **row.decaying(0.1)}
    ours, twin = row.make_ours(shared(), options), row.make_twin(shared(), options)
    for _ in range(3):
        ours.step()
        twin.step()
    assert_same_optimizers(ours, twin)


def moved(params: list[Tensor], optimizer: Any) -> None:
    """To other memory."""
    for param in params:
        param.data = param.data.clone()


def widened(params: list[Tensor], optimizer: Any) -> None:
    """To another type, with all their state."""
    for param in params:
        param.data = param.data.double()
        param.grad = torch.ones_like(param)
        for name, value in optimizer.state[param].items():
            if value.shape == param.shape:
                optimizer.state[param][name] = value.double()


def laid_over_each_other(params: list[Tensor], optimizer: Any) -> None:
    """Into one memory, where the second must find what the first left."""
    for param in params[1:]:
        param.data = params[0].data


def given_one_buffer(params: list[Tensor], optimizer: Any) -> None:
    """State in common, which the second finds as the first left it."""
    first = optimizer.state[params[0]]
    for param in params[1:]:
        optimizer.state[param] = dict(first)


def given_sparse_gradients(params: list[Tensor], optimizer: Any) -> None:
    """Gradients of another kind: whatever the loop makes of them."""
    for param in params:
        param.grad = param.grad.to_sparse()


def given_another_layout(params: list[Tensor], optimizer: Any) -> None:
    """Gradients with their elements in another order in memory."""
    for param in params:
        param.grad = torch.ones(2, 3).t()


EVENTS = [
    moved,
    widened,
    laid_over_each_other,
    given_one_buffer,
    given_sparse_gradients,
    given_another_layout,
]


@each_elementwise
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_what_was_found_of_tensors_is_looked_at_again_when_they_change(
    row: Row, event: Callable[[list[Tensor], Any], None]
) -> None:
    """After steps in which everything was as expected."""

    def made(make: Callable[..., Any]) -> Any:
        params = [torch.linspace(i, 1, 6).view(3, 2).requires_grad_() for i in range(3)]
        optimizer = make(params, row.full)
        for _ in range(3):
            for i, param in enumerate(params):
                param.grad = torch.linspace(1, i, 6).view(3, 2)
            optimizer.step()
        event(params, optimizer)
        return optimizer

    ours, twin = made(row.make_ours), made(row.make_twin)
    for _ in range(3):
        (_, ours_raised), (_, twin_raised) = attempt(ours.step), attempt(twin.step)
        assert type(ours_raised) is type(twin_raised)
        if twin_raised is None:  # else torch has counted a step that it did not make
            assert_same_optimizers(ours, twin)


@each_elementwise
def test_state_of_another_type_than_its_parameter(row: Row) -> None:
    """After `model.double()`: whatever the loop makes of it."""

    def made_double(make: Callable[..., Any]) -> Any:
        optimizer = make(with_gradients([3] * 40), row.full)
        optimizer.step()
        for param in optimizer.param_groups[0]["params"]:
            param.data = param.data.double()
            param.grad = torch.ones_like(param)
        return optimizer

    ours, twin = made_double(row.make_ours), made_double(row.make_twin)
    (_, ours_raised), (_, twin_raised) = attempt(ours.step), attempt(twin.step)
    assert type(ours_raised) is type(twin_raised)
    if twin_raised is None:
        assert_same_optimizers(ours, twin)


@each_elementwise
@pytest.mark.parametrize(
    "shapes", [[(4,), (8,), *[(5,)] * 40], [(1000, 700), (700, 1000)]], ids=str
)
def test_state_of_another_shape_than_its_parameter(row: Row, shapes: list[Any]) -> None:
    """After a checkpoint of parameters in another order: the loop's error, or what it makes."""

    def with_swapped_state(make: Callable[..., Any]) -> Any:
        params = [torch.ones(shape, requires_grad=True) for shape in shapes]
        optimizer = make(params, row.full)
        for param in params:
            param.grad = torch.ones_like(param)
        optimizer.step()
        state = optimizer.state
        state[params[0]], state[params[1]] = state[params[1]], state[params[0]]
        return optimizer

    ours, twin = with_swapped_state(row.make_ours), with_swapped_state(row.make_twin)
    (_, ours_raised), (_, twin_raised) = attempt(ours.step), attempt(twin.step)
    assert type(ours_raised) is type(twin_raised) is RuntimeError


@each_elementwise
def test_state_of_several_types(row: Row) -> None:
    def partly_double(make: Callable[..., Any]) -> Any:
        optimizer = make(with_gradients([5] * 3), row.twin_kwargs)
        optimizer.step()
        for state in list(optimizer.state.values())[1:]:
            for key in state.keys() - {"step", *row.of_one_type}:
                state[key] = state[key].double()
        return optimizer

    ours, twin = partly_double(row.make_ours), partly_double(row.make_twin)
    for _ in range(3):
        ours.step()
        twin.step()
    assert_same_optimizers(ours, twin)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.elementwise and "eps" in row.ranges], ids=str
)
def test_numbers_too_large_for_the_type(row: Row) -> None:
    twins = Twins(row, [Spec((5,), torch.float32)] * 3, {"eps": 1e39}, {})
    for _ in range(2):
        twins.step(twins.random_gradients())
    assert not twins.failed


@each_elementwise
def test_under_fake_tensors(row: Row) -> None:
    """As tools do that estimate memory."""
    with FakeTensorMode():
        params = [torch.ones(4, requires_grad=True) for _ in range(9)]
        for param in params:
            param.grad = torch.ones(4)
        optimizer = row.ours(params)
        for _ in range(2):
            optimizer.step()


# What excludes what -------------------------------------------------------------------------------


CAPTURABLE = [
    row for row in ROWS if row.elementwise and "capturable" in row.ours([torch.zeros(1)]).defaults
]


@each_elementwise
def test_lists_of_an_accelerator(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sizes in one list, scalars as Python's numbers: gone on a CPU, the same bits."""
    lengths: list[int] = []

    def over_lists(update: Callable[..., None], columns: list[list[Tensor]]) -> None:
        lengths.append(len(columns[0]))
        update(*map(foreach.TensorList, columns))

    monkeypatch.setattr(execution, "EXACT", ())
    monkeypatch.setattr(layout, "fit_lists", lambda _: False)
    monkeypatch.setattr(execution, "over_lists", over_lists)
    monkeypatch.setattr(private, "list_devices", lambda: ("cpu",))
    specs = [Spec((size,), torch.float32) for size in SIZES]
    run_in_lockstep(row, specs, "default", steps=2, missing=0.2)
    assert max(lengths) > len(SIZES) // 2


@pytest.mark.parametrize("row", CAPTURABLE, ids=str)
def test_capturable_reads_no_number(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph may hold the step: the counters are used as tensors, and the result is the loop's."""
    monkeypatch.setattr(private, "capturable_devices", lambda: ("cpu",))
    options = {**row.full, "lr": 0.01}
    captured, loop = [
        row.make_ours(with_gradients([2, 100, 3_000]), {**options, **flags})
        for flags in ({"capturable": True}, {"foreach": False})
    ]

    def read(tensor: Tensor) -> None:
        raise AssertionError("a graph cannot wait for a number")

    for _ in range(8):  # RAdam's first steps are others
        with monkeypatch.context() as recording:
            for name in ("item", "tolist", "__bool__", "__float__"):
                recording.setattr(Tensor, name, read)
            captured.step()
        loop.step()
    for p, q in zip(*[o.param_groups[0]["params"] for o in (captured, loop)], strict=True):
        torch.testing.assert_close(p, q)
        for key, value in loop.state[q].items():
            torch.testing.assert_close(captured.state[p][key], value)


@pytest.mark.parametrize("row", CAPTURABLE, ids=str)
def test_capturable_is_refused_on_a_cpu(row: Row) -> None:
    """As torch refuses it: at the step."""
    for make in (row.make_ours, row.make_twin):
        optimizer = make(with_gradients([2]), {"capturable": True})
        with pytest.raises(
            AssertionError, match=r"If capturable=True, params.* and state_steps must"
        ):
            optimizer.step()


@pytest.mark.skipif(OLD, reason="torch takes no such gradient here")
@each_elementwise
@pytest.mark.parametrize("sizes", [[1_500_000, 100, 700_000], [100] * 40], ids=["large", "many"])
def test_gradients_of_another_type_than_their_parameter(row: Row, sizes: list[int]) -> None:
    """`grad_dtype` allows them: whatever the loop makes of it."""

    def stepped(make: Callable[..., Any]) -> tuple[Any, Exception | None]:
        params = with_gradients(sizes)
        optimizer = make(params, row.decaying(0.1))
        for i in range(3):
            for param in params:
                param.grad = None
                param.grad_dtype = torch.bfloat16
                param.grad = torch.full_like(param, 0.3 + i, dtype=torch.bfloat16)
            _, error = attempt(optimizer.step)
        return optimizer, error

    (ours, ours_raised), (twin, twin_raised) = stepped(row.make_ours), stepped(row.make_twin)
    assert type(ours_raised) is type(twin_raised)
    if twin_raised is None:
        assert_same_optimizers(ours, twin)


@each_elementwise
def test_numbers_that_were_made_within_functionalization_are_not_kept(row: Row) -> None:
    options = {**row.decaying(0.1), "lr": 0.123}
    inside = row.make_ours(with_gradients([3] * 2), options)
    inside.step()
    torch._enable_functionalization(reapply_views=False)
    try:
        attempt(inside.step)
    finally:
        torch._disable_functionalization()
    ours, twin = (make(with_gradients([3] * 2), options) for make in (row.make_ours, row.make_twin))
    for _ in range(2):
        ours.step()
        twin.step()
    assert_same_optimizers(ours, twin)


@each_elementwise
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forward mode about itself
@pytest.mark.parametrize("sizes", [[3] * 2, [100] * 40, [1_500_000]], ids=["few", "many", "large"])
def test_tangents_of_forward_mode(row: Row, sizes: list[int]) -> None:
    def tangents(options: Options) -> list[Tensor | None]:
        optimizer = row.make_ours(with_gradients(sizes), options)
        params = optimizer.param_groups[0]["params"]
        optimizer.step()
        with forward_ad.dual_level():
            for param in params:
                param.grad = forward_ad.make_dual(param.grad, torch.ones_like(param))
            optimizer.step()
            return [forward_ad.unpack_dual(param).tangent for param in params]

    for ours, loop in zip(tangents({}), tangents({"foreach": False}), strict=True):
        assert ours is not None
        assert loop is not None
        assert torch.equal(ours, loop)


@each_elementwise
@pytest.mark.parametrize("dims", [0, 2])
@pytest.mark.parametrize("shapes", [[(10, 5), (10,)], [(30,)] * 40], ids=["few", "many"])
def test_fused_of_small_tensors_takes_numbers_that_are_tensors(
    row: Row, dims: int, shapes: list[Any]
) -> None:
    """Below the size that is worth a kernel it has the bits of the loop, which takes them too."""
    tensors: Options = {"lr": torch.tensor(0.1).reshape([1] * dims), **row.decaying(0.1)}
    specs = [Spec(shape, torch.float32) for shape in shapes]
    fused, loop = (
        row.make_ours(
            [parameter(spec.parameter(source(1))) for spec in specs], {**tensors, **flags}
        )
        for flags in ({"fused": True}, {"foreach": False})
    )
    for seed in range(3):
        for optimizer in (fused, loop):
            for p in parameters(optimizer):
                p.grad = torch.randn(p.shape, generator=source(seed))
            optimizer.step()
    for p, q in zip(parameters(fused), parameters(loop), strict=True):
        assert_same_tensor(p, q, "parameter")
