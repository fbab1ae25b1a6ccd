"""What the tests of site and tutorials share."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def site() -> Path:
    """The built site."""
    built = ROOT / "docs" / "_build"
    if not (built / "index.html").exists():
        pytest.skip("the site is not built: make docs")
    return built
