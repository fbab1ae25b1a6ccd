"""What inspect reports is what happened, and inspecting changes no bit."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from bits import assert_same_optimizers, assert_same_tensor
from registry import ROWS, Row, each_row
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils._python_dispatch import TorchDispatchMode

import myoptim
from myoptim.lab import inspect as module
from myoptim.lab.alone import settled
from myoptim.lab.bench import peak_bytes
from myoptim.lab.errors import UsageError
from myoptim.lab.inspect import DECAY, inspect, split
from myoptim.lab.inspection import PARTS, Report
from myoptim.lab.resolve import rule_class

each_class = pytest.mark.parametrize("whose", ["make_ours", "make_twin"])
each_with_rule = pytest.mark.parametrize(
    ("row", "whose"),
    [
        pytest.param(row, whose, id=f"{row}-{whose}")
        for row in ROWS
        for whose, cls in (("make_ours", row.ours), ("make_twin", row.twin))
        if rule_class(cls)
    ],
)


def training(row: Row, whose: str, dtype: torch.dtype = torch.float64) -> tuple[Any, list[Tensor]]:
    """An optimizer on two parameters, with settings that need every statement of the rule."""
    torch.manual_seed(0)
    params = [
        nn.Parameter(torch.randn(row.shape(shape), dtype=dtype)) for shape in ((4, 3), (5,), ())
    ]
    return getattr(row, whose)(params, row.full), params


def give_gradients(row: Row, params: list[Tensor], step: int) -> None:
    source = torch.Generator().manual_seed(step)
    for param in params:
        values = torch.randn(param.shape, generator=source, dtype=torch.float64)
        param.grad = row.gradient(values.to(param.dtype))


@each_with_rule
def test_parts_add_up_to_the_change(row: Row, whose: str) -> None:
    """To 1e-12 of it, element by element; and memory is the step on a gradient of zeros."""
    optimizer, params = training(row, whose)
    rule = rule_class(type(optimizer))
    assert rule is not None
    for step in range(4):
        give_gradients(row, params, step)
        group = optimizer.param_groups[0]
        states = copy.deepcopy([dict(optimizer.state.get(param, {})) for param in params])
        starts = [param.detach().clone() for param in params]
        still = copy.deepcopy(optimizer)
        with inspect(optimizer, every=1) as report:
            optimizer.step()
        resting = still.param_groups[0]["params"]
        still.param_groups[0].update({name: 0.0 for name in DECAY if name in group})
        for param, original in zip(resting, params, strict=True):
            param.grad = original.grad * 0
        still.step()
        for i, (start, param) in enumerate(zip(starts, params, strict=True)):
            made = split(rule, settled(rule, group), start, param.grad, states[i])
            change = (param.detach() - start).flatten()
            within = 1e-12 * change.abs().max()
            assert (made.gradient + made.memory + made.decay - change).abs().max() <= within
            rested = (resting[i].detach() - start).flatten()
            assert (made.memory - rested).abs().max() <= within
            seen = report.at()[i]
            if not change.any():  # Rprop, where a sign has changed
                assert seen.shares == dict.fromkeys(PARTS)
                continue
            assert sum(seen.shares.values()) == pytest.approx(1, abs=1e-12)
            assert seen.kept == pytest.approx(1, abs=1e-12)
            assert seen.ratio == pytest.approx((change.norm() / start.norm()).item())
            assert seen.lost == 0


@each_row
@each_class
def test_inspecting_changes_no_bit(row: Row, whose: str) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        plain, inspected = (training(row, whose, dtype) for _ in range(2))
        with inspect(inspected[0], every=3) as report:
            for optimizer, params in (plain, inspected):
                for step in range(7):
                    give_gradients(row, params, step)
                    if step == 4:
                        params[0].grad = None
                    row.step(optimizer)
        for ours, theirs in zip(inspected[1], plain[1], strict=True):
            assert_same_tensor(ours, theirs, "parameter")
        assert_same_optimizers(inspected[0], plain[0])
        assert report.steps == [1, 3, 6]
        assert inspected[0]._optimizer_step_pre_hooks == {}
        assert inspected[0]._optimizer_step_post_hooks == {}


class Transformer(nn.Module):
    """One block of attention over a few words."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 8)

    def loss(self, words: Tensor) -> Tensor:
        said = self.head(self.block(self.embedding(words)))
        return nn.functional.cross_entropy(said.float().flatten(0, 1), words.flatten())


def test_weights_of_a_transformer_that_do_not_move() -> None:
    torch.manual_seed(0)
    model = Transformer().to(torch.bfloat16)
    words = torch.arange(8).repeat(2, 1)
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    with inspect(optimizer, model=model) as report:
        model.loss(words).backward()
        optimizer.step()
    found = {finding.kind: finding.params for finding in report.findings()}
    for row in report.at():
        param = dict(model.named_parameters())[str(row.param)]
        stays = (param == before[str(row.param)]) & (param.grad != 0)
        assert row.lost == pytest.approx(stays.float().mean().item(), abs=0.02)
        assert (row.lost >= 0.5) == (row.param in found["lost"])
    assert "block.norm1.weight" in found["lost"]  # at 1, where a step of 1e-5 is nothing
    assert "block.norm1.bias" not in found["lost"]  # at 0
    assert len(found["lost"]) >= 6
    float32 = Transformer()
    optimizer = torch.optim.AdamW(float32.parameters(), lr=1e-5)
    with inspect(optimizer, model=float32) as report:
        float32.loss(words).backward()
        optimizer.step()
    assert report.findings() == []


# ------------------------------------------------------------------------------------ figures


def one(cls: Any, start: Any, gradients: list[Any], every: int = 1, **settings: Any) -> Report:
    """A run of one parameter on given gradients; None is a missing one."""
    param = nn.Parameter(torch.as_tensor(start))
    optimizer = cls([("w", param)], **settings)
    with inspect(optimizer, every=every) as report:
        for gradient in gradients:
            param.grad = None if gradient is None else torch.as_tensor(gradient).to(param)
            optimizer.step()
    return report


def test_figures_by_hand() -> None:
    """SGD: b = 0.9 · 1.5 + 1.425 = 2.775, of which 1 is the gradient and 0.425 the decay."""
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.5}
    (row,) = one(myoptim.SGD, [1.0], [[1.0], [1.0]], **settings).at()
    assert row.shares == pytest.approx(
        {"gradient": 1 / 2.775, "memory": 1.35 / 2.775, "decay": 0.425 / 2.775}, rel=1e-6
    )
    assert row.ratio == pytest.approx(0.2775 / 0.85, rel=1e-6)
    assert row.effective_lr == pytest.approx(0.1 * 2.35, rel=1e-6)
    assert row.held == 0


@pytest.mark.parametrize("maximize", [False, True])
def test_effective_lr_is_that_of_gradient_descent(maximize: bool) -> None:
    report = one(torch.optim.SGD, [1.0, 2.0], [[3.0, 4.0]], lr=0.3, maximize=maximize)
    assert report.at()[0].effective_lr == pytest.approx(0.3)


def test_epsilon_holds_back() -> None:
    """Adam's first step is η g / (|g| + ε): with ε = 3 |g| a quarter of what it would be."""
    settings = {"lr": 0.1, "eps": 3e-4, "weight_decay": 0.1}
    report = one(myoptim.AdamW, [1.0], [[1e-4]], **settings)
    assert report.at()[0].held == pytest.approx(0.75, rel=1e-6)
    (finding,) = (found for found in report.findings() if found.kind == "held back")
    assert "75.0 %" in finding.text


def test_an_untouched_element_is_not_held_back() -> None:
    assert one(myoptim.Adam, [1.0, 1.0], [[0.0, 1.0]]).at()[0].held == pytest.approx(0, abs=1e-6)


def test_lost_elements_are_counted() -> None:
    """In bfloat16 1 − 0.001 is 1, and 1 − 0.1 is not; a zero gradient asks for nothing."""
    start = torch.ones(4, dtype=torch.bfloat16)
    report = one(myoptim.SGD, start, [[0.001, 0.1, 0.0, 0.001]], lr=1.0)
    assert report.at()[0].lost == 0.5
    assert report.at()[0].kept == pytest.approx(1, abs=0.05)


def test_state_and_counters_that_stand_still() -> None:
    param = nn.Parameter(torch.full((3,), 0.1, dtype=torch.bfloat16))
    optimizer = myoptim.Adam([("w", param)])
    param.grad = torch.full_like(param, 1.0)
    optimizer.step()
    state = optimizer.state[param]
    state["step"] = torch.tensor(256.0, dtype=torch.bfloat16)
    state["exp_avg_sq"].fill_(0.9)
    with inspect(optimizer) as report:
        optimizer.step()
    (row,) = report.at()
    assert row.still == ("step",)
    assert row.stuck == {"exp_avg": 0.0, "exp_avg_sq": 1.0}
    kinds = [finding.kind for finding in report.findings()]
    assert "counter" in kinds
    assert "state" in kinds
    state["step"] = torch.tensor(254.0, dtype=torch.bfloat16)
    with inspect(optimizer) as report:
        optimizer.step()
    assert report.at()[0].still == ()


def test_numbers_that_need_not_move_do_not_stand_still() -> None:
    report = one(myoptim.ASGD, [1.0], [[1.0]] * 2, lambd=0)
    assert report.at()[0].still == ()


@pytest.mark.parametrize("cls", [myoptim.SGD, myoptim.Adagrad, torch.optim.SparseAdam])
def test_sparse_gradients(cls: Any) -> None:
    rows = torch.sparse_coo_tensor([[0, 0]], torch.ones(2, 2), (3, 2))
    (row,) = one(cls, torch.ones(3, 2), [rows, rows]).at()
    assert row.tally is not None
    assert row.tally.zeros == 4
    assert sum(row.shares.values()) == pytest.approx(1, abs=1e-12)


def test_complex_numbers() -> None:
    (row,) = one(myoptim.Adam, [1 + 2j, 3j], [[1 - 1j, 2j]] * 2, weight_decay=0.1).at()
    assert row.tally is not None
    assert row.tally.elements == 4
    assert row.ratio == pytest.approx(1e-3 * math.sqrt(3 / 14), rel=1e-3)


def test_a_parameter_without_elements() -> None:
    report = one(myoptim.Adam, torch.ones(0), [torch.ones(0)])
    assert report.at()[0].ratio is None
    assert report.findings() == []


def test_slices_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a parameter that does not lie in one piece."""
    start, gradient = torch.randn(7, 5).t(), torch.randn(5, 7)
    runs = []
    for size in (2**18, 4):
        monkeypatch.setattr(module, "SLICE", size)
        report = one(myoptim.AdamW, start.clone(), [gradient, gradient], lr=0.1)
        runs.append(report.as_dict()["steps"][-1]["params"][0])
    whole, sliced = runs
    assert sliced["shares"] == pytest.approx(whole["shares"], rel=1e-10)
    for figure in ("ratio", "held_back_by_eps", "effective_lr"):
        assert sliced[figure] == pytest.approx(whole[figure], rel=1e-10)
    assert sliced["elements"] == whole["elements"] == 35


def test_memory_is_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of parameters, gradients and state, and room for a slice."""
    monkeypatch.setattr(module, "SLICE", 2**8)
    params = [nn.Parameter(torch.randn(100, 100)) for _ in range(3)]
    for param in params:
        param.grad = torch.randn_like(param)
    optimizer = myoptim.Adam(params, foreach=False)
    optimizer.step()
    inspected = 3 * 4 * 100 * 100 * 4  # float32: θ, g, m, v
    within_step = 2 * 100 * 100 * 4  # m̂ and √v̂ of one parameter
    with inspect(optimizer, every=1):
        held = peak_bytes(optimizer.step, torch.device("cpu"))
    assert inspected <= held <= inspected + max(within_step, 17 * 8 * 2**8)


class Calls(TorchDispatchMode):
    """The operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("cls", [myoptim.Adam, torch.optim.Adam])
def test_nothing_is_done_between_inspected_steps(cls: Any) -> None:
    """The step calls what it calls with any other hook."""
    param = nn.Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    optimizer = cls([param])
    handle = optimizer.register_step_pre_hook(lambda *_: None)
    optimizer.step()
    with Calls() as plain:
        optimizer.step()
    handle.remove()
    with inspect(optimizer, every=3):
        optimizer.step()
        with Calls() as between:
            optimizer.step()
        with Calls() as inspected:
            optimizer.step()
    assert between.names == plain.names
    assert len(inspected.names) > len(plain.names)


# --------------------------------------------------------------------------------- real training


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def loss_of(model: nn.Module) -> Tensor:
    return model(torch.ones(2, 3)).square().mean()


def test_gradients_that_a_closure_makes() -> None:
    """They are those of the report, and L-BFGS, which has no rule, is seen from outside."""
    for cls in (myoptim.Adam, torch.optim.Adam, myoptim.LBFGS):
        model = network()

        def closure(model: nn.Module = model) -> Tensor:
            model.zero_grad()
            loss = loss_of(model)
            loss.backward()
            return loss

        optimizer = cls(model.parameters(), lr=0.01)
        with inspect(optimizer, model=model) as report:
            optimizer.step(closure)
        rows = report.at()
        assert [row.param for row in rows] == [name for name, _ in model.named_parameters()]
        assert all(row.gradient == "there" and row.ratio for row in rows)
        if cls is myoptim.LBFGS:
            assert not report.has_rule
            assert rows[0].shares == dict.fromkeys(PARTS)
            assert rows[0].lost is rows[0].held is rows[0].effective_lr is None
            assert "no shares" in str(report)
        else:
            assert rows[0].shares["gradient"] == pytest.approx(1)


def test_a_step_of_ones_own_has_no_shares() -> None:
    class Mine(torch.optim.Adam):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    assert not one(Mine, [1.0], [[1.0]]).has_rule

    class AllTogether(myoptim.Adam):
        def _step_group(self, group: Any) -> None:
            super()._step_group(group)

    assert not one(AllTogether, [1.0], [[1.0]]).has_rule
    assert one(type("Same", (torch.optim.Adam,), {}), [1.0], [[1.0]]).has_rule


def test_hooks_are_called_for_real_steps_only() -> None:
    heard = []
    handle = register_optimizer_step_post_hook(lambda *_: heard.append("any"))
    try:
        param = nn.Parameter(torch.ones(2))
        optimizer = torch.optim.Adam([param])
        optimizer.register_step_pre_hook(lambda *_: heard.append("own"))
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
        with inspect(optimizer, every=1) as report:
            for _ in range(3):
                param.grad = torch.ones(2)
                optimizer.step()
                scheduler.step()
    finally:
        handle.remove()
    assert heard == ["own", "any"] * 3
    assert [group["lr"] for (group,) in report.settings.values()] == [1e-3, 5e-4, 2.5e-4]


@pytest.mark.parametrize("cls", [torch.optim.Adam, torch.optim.SGD, myoptim.Adam])
def test_scaled_gradients(cls: Any) -> None:
    """torch's fused kernels unscale them; the step of an overflow is not made, nor counted."""
    fused = {"fused": True} if cls.__module__.startswith("torch") else {}
    model = network()
    optimizer = cls(model.parameters(), lr=0.01, **fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with inspect(optimizer, every=1, model=model) as report:
        for step in range(3):
            optimizer.zero_grad()
            scaler.scale(loss_of(model)).backward()
            if step == 1:
                model[0].weight.grad[0, 0] = math.inf
            scaler.step(optimizer)
            scaler.update()
    assert report.steps == [1, 2]
    plain = network()
    loss_of(plain).backward()
    for row, param in zip(report.at(1), plain.parameters(), strict=True):
        assert row.tally is not None
        assert row.tally.grad2 == pytest.approx(param.grad.square().sum().item(), rel=1e-5)
        assert row.kept == pytest.approx(1, abs=1e-3)


@pytest.fixture
def one_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_rank")
def test_data_parallel_on_one_rank() -> None:
    model = DistributedDataParallel(network())
    optimizer = myoptim.AdamW(model.parameters())
    with inspect(optimizer, model=model.module) as report:
        loss_of(model).backward()
        optimizer.step()
    assert [row.param for row in report.at()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(sum(row.shares.values()) == pytest.approx(1) for row in report.at())


@pytest.mark.usefixtures("one_rank")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_sharded_parameters() -> None:
    from torch.distributed.device_mesh import init_device_mesh  # imports that warn
    from torch.distributed.fsdp import fully_shard

    model = network()
    plain = copy.deepcopy(model)
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    rows = []
    for trained in (model, plain):
        optimizer = torch.optim.Adam(trained.parameters(), weight_decay=0.1)
        with inspect(optimizer, model=trained) as report:
            loss_of(trained).backward()
            optimizer.step()
        rows.append(report.as_dict()["steps"])
    assert rows[0] == rows[1]


def test_what_is_refused() -> None:
    class Plain:
        def step(self) -> None: ...

    with pytest.raises(UsageError, match=r"derives from torch\.optim\.Optimizer.*got Plain"):
        inspect(Plain()).__enter__()  # type: ignore[arg-type]
    optimizer = myoptim.SGD([nn.Parameter(torch.ones(1))])
    with pytest.raises(UsageError, match="at least 1; got 0"):
        inspect(optimizer, every=0).__enter__()
    with inspect(optimizer) as report:
        pass
    assert str(report) == "SGD: no step was inspected yet"
    optimizer.step()
    assert report.rows == {}


# ------------------------------------------------------------------------------ planted faults


def kinds(report: Report) -> dict[str, tuple[str, ...]]:
    return {finding.kind: finding.params for finding in report.findings()}


def test_a_learning_rate_that_is_too_high() -> None:
    report = one(myoptim.SGD, [[1.0, 1.0]], [[[1.0, 1.0]], [[1e3, 1.0]], [[math.nan, 1.0]]], lr=0.5)
    assert kinds(report) == {"not finite": ("w",), "large step": ("w",)}
    (first, _) = report.findings()
    assert "step 3" in first.text
    assert report.at()[0].ratio is None


def test_missing_and_zero_gradients_and_parameters() -> None:
    model, unused = network(), nn.Linear(1, 1)
    model[0].weight.requires_grad_(False)
    loss_of(model).backward()
    model[0].bias.grad.zero_()
    optimizer = myoptim.Adam([*model.parameters(), unused.weight])
    names = {**dict(model.named_parameters()), "w": unused.weight, "b": unused.bias}
    with inspect(optimizer, model=names) as report:
        optimizer.step()
    assert kinds(report) == {
        "frozen": ("0.weight",),
        "no gradient": ("w",),
        "zero gradient": ("0.bias",),
        "absent": ("b",),
    }


def test_decay_in_the_wrong_group() -> None:
    for on_vectors, found in ((0.1, True), (0.0, False)):
        model = network()
        loss_of(model).backward()
        vectors = [param for param in model.parameters() if param.ndim == 1]
        matrices = [param for param in model.parameters() if param.ndim > 1]
        groups = [
            {"params": matrices, "weight_decay": 0.1 - on_vectors},
            {"params": vectors, "weight_decay": on_vectors},
        ]
        optimizer = myoptim.AdamW(groups)
        with inspect(optimizer, model=model) as report:
            optimizer.step()
        assert ("decay in the wrong group" in kinds(report)) == found
        shares = [row.shares["decay"] for row in report.groups()]
        assert [bool(share) for share in shares] == [not found, found]


def test_decay_that_makes_the_step() -> None:
    report = one(torch.optim.AdamW, [[10.0]], [[[1e-9]]], weight_decay=1.0, eps=1e-3)
    assert "decay" in kinds(report)


# ------------------------------------------------------------------------------------ to look at


@pytest.fixture(scope="module")
def report() -> Report:
    model = network()
    model[2].bias.requires_grad_(False)
    groups = [
        {"params": list(model[0].named_parameters(prefix="a_rather_long_name_of_a_layer"))},
        {"params": list(model[2].named_parameters(prefix="head")), "lr": 0.1, "eps": 0.1},
    ]
    optimizer = myoptim.AdamW(groups)
    with inspect(optimizer, every=1) as report:
        for _ in range(2):
            loss_of(model).backward()
            optimizer.step()
    return report


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_fits_and_cuts_nothing(report: Report, width: int) -> None:
    text = report.table(width=width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for row in (*report.at(), *report.groups()):
        assert row.param is None or row.param in text
        for figure in (row.ratio, row.effective_lr):
            assert figure is None or f"{figure:.1e}" in words
    assert "no gradient" in text


def test_of_an_earlier_step(report: Report) -> None:
    assert "step 1:" in report.table(1)
    assert report.at(1)[0].shares["memory"] == 0
    assert report.at(2)[0].shares["memory"] > 0
    with pytest.raises(KeyError, match=r"step 3 was not inspected; those that were: \[1, 2\]"):
        report.at(3)


def test_as_json(report: Report) -> None:
    read = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert [step["step"] for step in read["steps"]] == [1, 2]
    last = read["steps"][-1]
    assert [row["param"] for row in last["params"]] == [row.param for row in report.at()]
    assert [len(last[key]) for key in ("settings", "groups", "params")] == [2, 2, 4]
    assert last["params"][3]["gradient"] == "missing"
    assert last["params"][3]["norms"]["change"] is None
    spoilt = one(myoptim.SGD, [1.0], [[math.nan]])
    json.dumps(spoilt.as_dict(), allow_nan=False)


def test_in_a_notebook(report: Report) -> None:
    shown = report._repr_html_()
    assert shown.count("<tr>") == 1 + 2 + 2 + 4
    assert "a_rather_long_name_of_a_layer.weight" in shown
    assert repr(report) == "<report on 2 steps of AdamW>"


def test_a_group_is_the_sum_of_its_parameters(report: Report) -> None:
    whole, parts = report.groups()[0], report.at()[:2]
    squares = [(row.tally.step2, row.tally.param2) for row in parts if row.tally]
    steps, params = (sum(column) for column in zip(*squares, strict=True))
    assert whole.ratio == pytest.approx(math.sqrt(steps / params))
    assert sum(whole.shares.values()) == pytest.approx(1)


def test_a_picture(report: Report) -> None:
    sizes, parts, losses, course = report.plot().axes
    assert [label.get_text() for label in sizes.get_yticklabels()] == [
        row.param for row in report.at()
    ]
    for i, row in enumerate(report.at()[:3]):
        drawn = sum(bars.patches[i].get_width() for bars in parts.containers)
        assert drawn == pytest.approx(1)
        assert losses.lines[0].get_xdata()[i] == row.held
    assert len(course.lines) == 4
    assert len(one(myoptim.SGD, [1.0], [[1.0]]).plot().axes) == 3
