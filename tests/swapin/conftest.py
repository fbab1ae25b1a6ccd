"""The two processes of the distributed tests, one pair for each worker of pytest."""

from collections.abc import Iterator

import pytest
from swapin.ranks import Ranks


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    ranks = Ranks(lambda: tmp_path_factory.mktemp("ranks"))
    yield ranks
    ranks.stop()


# What the other processes of a test run is no test.
collect_ignore = ["jobs.py", "ranks.py"]
