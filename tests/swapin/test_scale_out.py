"""The example of training in several processes, run as its first lines say."""

import subprocess
import sys
from pathlib import Path

from waiting import PATIENCE

EXAMPLE = Path(__file__).parents[2] / "examples" / "scale_out.py"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_checkpoint_is_taken_over_by_torch() -> None:
    """`--standalone` is torchrun's way to find a free port."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    done = run(*torchrun, str(EXAMPLE), "--steps", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ddp, 2 processes" in done.stdout
    assert "fsdp2, 2 processes" in done.stdout
    if "on cpu" in done.stdout:
        assert done.stdout.count("largest difference in the second half: 0\n") == 2


def test_without_torchrun() -> None:
    done = run(str(EXAMPLE))
    assert done.returncode == 1
    assert "torchrun --nproc-per-node=2" in done.stderr
