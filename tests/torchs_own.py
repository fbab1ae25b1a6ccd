"""Run PyTorch's own optimizer tests twice, with torch's classes and with ours in their place.

    python tests/torchs_own.py ../pytorch/test/test_optim.py [more files, or arguments of pytest]

says how many tests pass with each, names those that pass with torch's alone, and exits with 1 if
there are any. The tests come from a copy of PyTorch's repository: no package has them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

RESULTS, OURS = "TORCHS_OWN_RESULTS", "TORCHS_OWN_OURS"


def main(arguments: list[str]) -> int:
    """Both runs and the table. Returns the status to exit with."""
    if not arguments or not Path(arguments[0]).is_file():
        print("usage: python tests/torchs_own.py FILE [ARGUMENTS OF PYTEST]", file=sys.stderr)
        print("FILE: test_optim.py in a copy of PyTorch's repository", file=sys.stderr)
        return 2
    theirs, ours = (outcomes(arguments, ours) for ours in (False, True))
    for whose, results in (("torch.optim", theirs), ("myoptim", ours)):
        kinds = sorted(set(results.values()))
        counts = ", ".join(f"{list(results.values()).count(kind)} {kind}" for kind in kinds)
        print(f"{whose}: {len(results)} tests, {counts}")
    lost = [test for test, kind in theirs.items() if kind == "passed" and ours.get(test) != kind]
    for test in lost:
        print(f"passes with torch.optim alone: {test} ({ours.get(test, 'not run')})")
    return 1 if lost or not theirs else 0


def outcomes(arguments: list[str], ours: bool) -> dict[str, str]:
    """How each test ended, in a process of its own: the classes are replaced when it begins."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results")
        results.touch()
        environment = os.environ | {RESULTS: str(results), OURS: "1" if ours else ""}
        tests = str(Path(__file__).parent)
        environment["PYTHONPATH"] = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "pytest", "-p", "torchs_own", "-p", "no:cacheprovider"]
        subprocess.run([*command, *arguments], env=environment, check=False)
        lines = results.read_text().splitlines()
    return {test: kind for kind, test in (line.split(" ", 1) for line in lines)}


def replace_classes() -> None:
    """Put our class wherever torch or its tests find their own."""
    import torch
    from torch.testing._internal import common_optimizers

    import myoptim

    pairs = {getattr(torch.optim, name): getattr(myoptim, name) for name in names()}
    for module in [m for name, m in sys.modules.items() if name.startswith("torch.optim")]:
        replace_in(module, pairs)
    replace_in(common_optimizers, pairs)
    for info in common_optimizers.optim_db:
        info.optim_cls = pairs[info.optim_cls]


def names() -> list[str]:
    """Of the classes that torch and we have both."""
    import torch

    import myoptim

    return [name for name in myoptim.OPTIMIZERS if hasattr(torch.optim, name)]


def replace_in(module: Any, pairs: dict[type, type]) -> None:
    for name, value in list(vars(module).items()):
        if isinstance(value, type) and value in pairs:
            setattr(module, name, pairs[value])


def pytest_configure() -> None:
    if os.environ.get(OURS):
        replace_classes()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.skipped or report.failed:
        with Path(os.environ[RESULTS]).open("a") as file:
            file.write(f"{report.outcome} {report.nodeid}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
