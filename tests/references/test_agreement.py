"""Ours beside the implementations that papers came with, or that people use."""

import pytest
from references.cases import CASES, Case, distance, row


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_ours_agrees_with_the_reference(case: Case, rows: dict[str, list[str]]) -> None:
    found = distance(case)
    assert found <= case.tolerance
    rows.setdefault(case.ours.__name__, []).append(row(case, found))
