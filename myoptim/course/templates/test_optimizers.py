"""The tests of this course, one per optimizer and criterion. Run them with `pytest -q`."""

from functools import cache
from pathlib import Path

import pytest

from myoptim.course.check import FAILED, PASSED, Verdict, check, explanation
from myoptim.course.settings import CRITERIA, read_settings

FOLDER = Path(__file__).parent
SETTINGS = read_settings(FOLDER / "course.toml")


@cache
def verdict(optimizer: str) -> Verdict:
    """The file is checked once, in a process of its own."""
    return check(FOLDER / f"{optimizer.lower()}.py", optimizer, SETTINGS)


@pytest.mark.parametrize("criterion", [name for name in CRITERIA if SETTINGS.points[name]])
@pytest.mark.parametrize("optimizer", SETTINGS.optimizers)
def test_criterion(optimizer: str, criterion: str) -> None:
    """Pass, or say what to look at."""
    result = next(r for r in verdict(optimizer).results if r.criterion == criterion)
    if result.status == FAILED:
        lines = [f"{optimizer}: {CRITERIA[criterion]}", *explanation(result, SETTINGS.hints)]
        pytest.fail("\n".join(lines), pytrace=False)
    if result.status != PASSED:
        pytest.skip(f"{result.status}: {result.message}")
