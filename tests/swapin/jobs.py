"""What the two processes of the distributed tests do: each function runs on both ranks."""

from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from bits import assert_same_tensor, assert_same_value
from registry import EXECUTORS, ROWS, Options, Row
from swapin.training import Pair, Run, network
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer


def row_named(name: str) -> Row:
    return next(row for row in ROWS if str(row) == name)


def train(run: Run, steps: range) -> None:
    """Every rank with batches of its own."""
    run.train(*(step * dist.get_world_size() + dist.get_rank() for step in steps))


def assert_equal_on_all_ranks(model: nn.Module) -> None:
    mine = [p.detach().clone() for p in model.parameters()]
    everyones: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyones, mine)
    for theirs in everyones:
        assert_same_value(mine, theirs, "parameters of another rank")


# DistributedDataParallel ----------------------------------------------------------------------


def data_parallel(name: str, executor: str) -> None:
    row = row_named(name)
    pair = Pair(row, executor=EXECUTORS[executor])
    for run in pair:
        run.model = DistributedDataParallel(run.model)
        train(run, range(6))
    pair.compare()
    assert_equal_on_all_ranks(pair.ours.model)


# ZeroRedundancyOptimizer ----------------------------------------------------------------------


def zero(run: Run, cls: type[Optimizer], options: Options) -> ZeroRedundancyOptimizer:
    params = list(run.model.parameters())
    optimizer = ZeroRedundancyOptimizer(params, cls, **options)
    run.optimizer = optimizer
    run.model = DistributedDataParallel(run.model)
    return optimizer


def single() -> nn.Module:
    """One parameter, which only one rank can have."""
    torch.manual_seed(1)
    return nn.Linear(3, 2, bias=False)


def zero_redundancy(name: str, few: bool) -> None:
    """Beside torch's, and its checkpoint continued by one of torch's optimizers."""
    row = row_named(name)
    model = single if few else network
    options = {"lr": 0.02, **row.full}
    pair = Pair(row, model=model)
    ours = zero(pair.ours, row.ours, options)
    torchs = zero(pair.torchs, row.twin, {**row.twin_kwargs, **row.loop, **options})
    held = [len(group["params"]) for group in ours.optim.param_groups]
    assert type(ours.optim) is row.ours
    assert held == ([0 if few and dist.get_rank() else 1] if few else [2])
    for run in pair:
        train(run, range(4))
        for group in run.optimizer.param_groups:
            group["lr"] = 0.01  # which must reach the optimizer inside
        train(run, range(4, 8))
    compare_zero(pair)
    for optimizer in (ours, torchs):
        optimizer.consolidate_state_dict(to=0)
    if dist.get_rank() == 0:
        a, b = ours.state_dict(), torchs.state_dict()
        assert_same_value(a["state"], b["state"], "consolidated state")
        resumed = row.twin(model().parameters(), **{**row.twin_kwargs, **options})
        resumed.load_state_dict(a)
        assert_same_value(resumed.state_dict()["state"], b["state"], "loaded state")
    for optimizer, other in ((ours, torchs), (torchs, ours)):
        states: list[Any] = [other.state_dict() if dist.get_rank() == 0 else None]
        dist.broadcast_object_list(states)
        optimizer.load_state_dict(states[0])
    for run in pair:
        train(run, range(8, 10))
    compare_zero(pair)


def compare_zero(pair: Pair) -> None:
    assert_same_value(pair.ours.losses, pair.torchs.losses, "losses")
    for a, b in zip(pair.ours.model.parameters(), pair.torchs.model.parameters(), strict=True):
        assert_same_tensor(a, b, "parameter")
    assert_equal_on_all_ranks(pair.ours.model)


# FSDP2 ----------------------------------------------------------------------------------------


class Scaled(nn.Module):
    """The small network, times one number: a parameter of which rank 1 holds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, data: Tensor) -> Tensor:
        return self.scale * self.inner(data)


def sharded() -> nn.Module:
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    model = Scaled()
    fully_shard(model.inner, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def half_precision() -> nn.Module:
    """Computes in bfloat16, while the optimizer's parameters stay in float32."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    return fully_shard(
        network(),
        mesh=mesh,
        mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, output_dtype=torch.float32),
    )


def local(value: Any) -> Any:
    """This rank's part."""
    if isinstance(value, DTensor):
        return value.to_local()
    if isinstance(value, dict):
        return {key: local(item) for key, item in value.items()}
    return value


def compare_sharded(pair: Pair) -> None:
    assert_same_value(pair.ours.losses, pair.torchs.losses, "losses")
    for a, b in zip(pair.ours.model.parameters(), pair.torchs.model.parameters(), strict=True):
        assert_same_tensor(a.to_local(), b.to_local(), "parameter")
        ours, torchs = pair.ours.optimizer.state[a], pair.torchs.optimizer.state[b]
        assert_same_value(local(ours), local(torchs), "state")
        for key in torchs:
            assert type(ours[key]) is type(torchs[key])
            if isinstance(torchs[key], DTensor):
                assert ours[key].placements == torchs[key].placements
                assert ours[key].device_mesh == torchs[key].device_mesh


def fully_sharded(name: str, executor: str) -> None:
    # The shards are too small for the compiled kernel, so that fused gives the same bits too.
    flags = {**EXECUTORS, "fused": {"fused": True}}[executor]
    pair = Pair(row_named(name), model=sharded, executor=flags)
    shapes = [tuple(p.to_local().shape) for p in pair.ours.model.parameters()]
    assert shapes[0] == ((0,) if dist.get_rank() else (1,))
    for run in pair:
        for step in range(6):
            run.backward(2 * step + dist.get_rank())
            clip_grad_norm_(run.model.parameters(), 1.0)
            run.optimizer.step()
    compare_sharded(pair)


def fully_sharded_in_half_precision(name: str) -> None:
    pair = Pair(row_named(name), model=half_precision)
    for run in pair:
        train(run, range(6))
    compare_sharded(pair)


# torch.distributed.checkpoint -----------------------------------------------------------------


def take_over(run: Run, other: Run, options: StateDictOptions) -> None:
    model = get_model_state_dict(other.model, options=options)
    state = get_optimizer_state_dict(other.model, other.optimizer, options=options)
    set_model_state_dict(run.model, model, options=options)
    set_optimizer_state_dict(run.model, run.optimizer, optim_state_dict=state, options=options)


def checkpoint_state_dict(name: str, options: Options) -> None:
    """Fresh optimizers, each with the state of the other's."""
    pair = Pair(row_named(name), model=sharded)
    for run in pair:
        train(run, range(4))
    fresh = Pair(row_named(name), model=sharded)
    take_over(fresh.ours, pair.torchs, StateDictOptions(**options))
    take_over(fresh.torchs, pair.ours, StateDictOptions(**options))
    for run in fresh:
        train(run, range(4, 8))
    compare_sharded(fresh)
    assert all(torch.isfinite(p.to_local()).all() for p in fresh.ours.model.parameters())


def state_of(run: Run) -> dict[str, Any]:
    return {
        "model": get_model_state_dict(run.model),
        "optimizer": get_optimizer_state_dict(run.model, run.optimizer),
    }


def checkpoint_files(name: str, folder: str) -> None:
    """Sharded files written by one, read by the other."""
    pair = Pair(row_named(name), model=sharded)
    fresh = Pair(row_named(name), model=sharded)
    for run in pair:
        train(run, range(4))
    for run, other in zip(fresh, reversed([*pair]), strict=True):
        files = f"{folder}/{type(other.optimizer).__module__}"
        dcp.save(state_of(other), checkpoint_id=files)
        state = state_of(run)
        dcp.load(state, checkpoint_id=files)
        set_model_state_dict(run.model, state["model"])
        set_optimizer_state_dict(run.model, run.optimizer, optim_state_dict=state["optimizer"])
        train(run, range(4, 8))
    compare_sharded(fresh)
