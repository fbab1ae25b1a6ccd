"""Submissions by somebody who had seen neither catalogue nor search (see `fresh`)."""

import pytest
from course import in_process
from course.fresh import RIGHT, WRONG, replaced

from myoptim.course.check import as_json
from myoptim.course.report import as_text

SEARCHED = {
    # what a submission of `fresh` does: the formula that it is told
    "(1 - β₂)ᵗ": "c₂ ← (1 - β₂)ᵗ",
    "L1 instead of L2": "g ← g + λ · sign(θ) if λ ≠ 0, else g",
    "v starts at one": "v ← 1",
    "β₁ for the second moment": "v ← β₁ · v + (1 - β₁) · g²",
    "decay without θ": "θ ← θ - η · λ",
    "b + μg": "g ← b + μ · g if nesterov, else b",
    "the buffer's change": "g ← g + μ · (b - bₜ₋₁) if nesterov, else b",
    "parentheses of the decay": "η′ ← η / 1 + (t - 1) · κ",
    "root of all the denominator": "u ← g / √(√(v) + ε)",
}
"""One of each kind of edit; a search takes seconds, so not all of them."""

QUICK = ("L1 instead of L2", "v starts at one", "b + μg")
"""Those of the fast run."""


def judged(what):
    base, edits, _, _ = next(row for row in WRONG if row[2] == what)
    optimizer, text = RIGHT[base]
    return in_process.verdict(replaced(text, edits), optimizer)


@pytest.mark.parametrize("name", RIGHT)
def test_right_ones_pass(name):
    optimizer, text = RIGHT[name]
    verdict = in_process.verdict(text, optimizer)
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("what", [row[2] for row in WRONG if row[3]])
def test_what_the_catalogue_knows_is_named(what):
    allowed = next(row[3] for row in WRONG if row[2] == what)
    verdict = judged(what)
    assert not verdict.passed
    assert verdict.diagnosis == list(allowed)


@pytest.mark.parametrize(
    "what",
    [w if w in QUICK else pytest.param(w, marks=pytest.mark.slow) for w in SEARCHED],
)
def test_what_it_does_not_know_is_searched(what):
    verdict = judged(what)
    rule = next(row for row in as_json(verdict)["criteria"] if row["criterion"] == "rule")
    assert verdict.diagnosis == []
    assert [edit["formula"] for edit in rule["edit"]] == [SEARCHED[what]]
    assert "numbers of" in rule["sure"]
    assert SEARCHED[what] in as_text(verdict)


def test_a_search_does_not_depend_on_the_clock(monkeypatch):
    first = as_json(judged("b + μg"))

    def asked():
        raise AssertionError("the diagnosis asked for the time")

    for name in ("monotonic", "time", "perf_counter", "process_time"):
        monkeypatch.setattr(f"time.{name}", asked)
    assert as_json(judged("b + μg")) == first
