"""Two processes over gloo: DDP, ZeroRedundancyOptimizer, FSDP2, distributed checkpoints."""

from pathlib import Path

import pytest
from registry import EXECUTORS, ROWS, Options, Row, each_elementwise
from swapin.ranks import Ranks

STATE_DICTS: dict[str, Options] = {
    "sharded": {},
    "full": {"full_state_dict": True},
    "full on one rank": {
        "full_state_dict": True,
        "cpu_offload": True,
        "broadcast_from_rank0": True,
    },
    "flat": {"flatten_optimizer_state_dict": True},
}

each_sharded = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.elementwise and row.shards], ids=str
)
each_executor = pytest.mark.parametrize("executor", EXECUTORS)


@each_elementwise
@each_executor
def test_ddp(ranks: Ranks, row: Row, executor: str) -> None:
    ranks.run("data_parallel", str(row), executor)


@each_elementwise
@pytest.mark.parametrize("few", [False, True], ids=["", "a rank without parameters"])
def test_zero_redundancy_optimizer(ranks: Ranks, row: Row, few: bool) -> None:
    ranks.run("zero_redundancy", str(row), few)


@each_sharded
@pytest.mark.parametrize("executor", [*EXECUTORS, "fused"])
def test_fsdp2(ranks: Ranks, row: Row, executor: str) -> None:
    ranks.run("fully_sharded", str(row), executor)


@each_sharded
def test_fsdp2_in_half_precision(ranks: Ranks, row: Row) -> None:
    ranks.run("fully_sharded_in_half_precision", str(row))


@each_sharded
@pytest.mark.parametrize("options", STATE_DICTS.values(), ids=STATE_DICTS)
def test_checkpoint_state_dict(ranks: Ranks, row: Row, options: Options) -> None:
    ranks.run("checkpoint_state_dict", str(row), options)


@each_sharded
def test_checkpoint_files(ranks: Ranks, row: Row, tmp_path: Path) -> None:
    ranks.run("checkpoint_files", str(row), str(tmp_path))
