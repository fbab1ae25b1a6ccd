"""The page about dialects stands on runs: no row without one, none that came out otherwise."""

import importlib
import re
import sys
from pathlib import Path

import pytest
from frameworks.claims import CLAIMS, PACKAGES, table

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "optimizers" / "dialects.md").read_text(encoding="utf-8")
RESULTS = (DOCS / "optimizers" / "dialects-runs.inc").read_text(encoding="utf-8")
sys.path.insert(0, str(DOCS / "_ext"))
NAMED = re.compile(r"\{runs\}`([^`]+)`")
pytest.importorskip("sphinx", reason="needs the extra docs")
runs = importlib.import_module("runs")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What every run came to, as the page reads it."""
    return {name: outcome for name, (_, outcome) in runs.outcomes(RESULTS).items()}


def statements() -> list[str]:
    """The rows of the page's tables, and the points of its lists."""
    lines = PAGE.splitlines()
    rules = {number for number, line in enumerate(lines) if line.startswith("|---")}
    headings = {number - 1 for number in rules}
    return [
        line
        for number, line in enumerate(lines)
        if line.startswith(("|", "- ")) and number not in rules | headings
    ]


def test_no_statement_is_without_a_run_and_no_run_without_a_statement():
    assert len(statements()) > 40
    without = [line for line in statements() if not NAMED.search(line)]
    assert without == []
    named = {name for found in NAMED.findall(PAGE) for name in found.split()}
    assert named == CLAIMS.keys()


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_the_last_run_came_out_as_the_claim_says(claim, outcomes):
    expected = "equal to " if claim.differs_at is None else f"differ at step {claim.differs_at}, "
    assert outcomes[claim.id].startswith(expected)


def test_the_results_are_those_of_one_run_of_all(outcomes):
    assert outcomes.keys() == CLAIMS.keys()
    used = re.search(r"were run with (.*)\.$", RESULTS, re.MULTILINE)
    assert used is not None
    assert table(outcomes, used[1]) == RESULTS
    assert [part.rpartition(" ")[0] for part in used[1].split(", ")] == list(PACKAGES.values())
