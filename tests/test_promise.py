"""What is promised about bits is one sentence, the same wherever it stands."""

from pathlib import Path

import pytest

import myoptim
import myoptim.execution

ROOT = Path(__file__).resolve().parents[1]
PROMISE = (
    "On a CPU, parameters and state have the bits of torch's eager loop "
    "(`foreach=False, fused=False`) after any number of steps: in float32, float64, bfloat16, "
    "float16 and complex64, by default and with `foreach=True` or `False`."
)


def flat(text: str | None) -> str:
    return " ".join((text or "").split())


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/swap_in.md"])
def test_on_pages(page: str):
    assert flat((ROOT / page).read_text(encoding="utf-8")).count(PROMISE) == 1


@pytest.mark.parametrize("module", [myoptim, myoptim.execution], ids=lambda module: module.__name__)
def test_in_docstrings(module):
    assert flat(module.__doc__).count(PROMISE) == 1


def test_the_start_page_has_it_from_the_readme():
    page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert "{include} ../README.md" in page
    assert '"## What is promised about bits"' in page
