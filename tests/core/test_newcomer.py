"""An optimizer that is added with a name in the list and a row is tested, and passes."""

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILES = [
    str(TESTS / "core" / f"test_{name}.py") for name in ("signature", "checkpoints", "drop_in")
]


def test_the_tests_of_every_optimizer_run_on_one_that_nobody_knew() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "newcomer", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, "-k", "Newcomer", *FILES],
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": path.strip(os.pathsep)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 15
