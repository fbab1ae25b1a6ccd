"""Ours beside the implementations that papers came with, or that people use."""

from dataclasses import replace

import pytest
from references.cases import CASES, Case, distance, row


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_ours_agrees_with_the_reference(case: Case, rows: dict[str, list[str]]) -> None:
    found = distance(case)
    assert found <= case.tolerance
    rows.setdefault(case.ours.__name__, []).append(row(case, found))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("case", [case for case in CASES if "lr" in case.settings], ids=str)
def test_another_learning_rate_is_noticed(case: Case) -> None:
    theirs = {**case.settings, **case.only_theirs}
    ours = {**case.settings, **case.only_ours, "lr": 0.99 * case.settings["lr"]}
    assert distance(replace(case, settings={}, only_ours=ours, only_theirs=theirs)) > 1e-4
