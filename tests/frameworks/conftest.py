"""The tests that need other frameworks: `make test-frameworks`. What is not installed is skipped.

With `--results FILE` the runs behind the page «Same name, different algorithm» are written down,
which needs all frameworks.
"""

import importlib
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from myoptim.lab.errors import UsageError
from myoptim.lab.frameworks import ADAPTERS

RESULTS = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", help="write the table of the page to this file", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = {}


@pytest.fixture
def results(request: pytest.FixtureRequest) -> dict[str, str]:
    """What each claim's run came to, by the claim's id."""
    return request.config.stash[RESULTS]


def pytest_sessionfinish(session: pytest.Session) -> None:
    file = session.config.getoption("--results")
    if file and not session.testsfailed:
        from frameworks.claims import CLAIMS, PACKAGES, table, versions

        found = session.config.stash[RESULTS]
        if missing := CLAIMS.keys() - found.keys():
            raise pytest.UsageError(f"not all claims were run: {', '.join(sorted(missing))}")
        file.write_text(table(found, versions(tuple(PACKAGES))), encoding="utf-8")


@pytest.fixture(scope="session")
def missing() -> dict[str, str]:
    """Why a framework cannot be run, by its name, for those that cannot."""
    reasons = {name: why_not(name) for name in sorted(ADAPTERS)}  # paddle before tf1
    return {name: reason for name, reason in reasons.items() if reason}


def why_not(framework: str) -> str:
    """Why a framework cannot be imported; empty if it can."""
    with warnings.catch_warnings():  # of frameworks, when they are imported
        warnings.simplefilter("ignore")
        try:
            importlib.import_module(f"myoptim.lab.frameworks.{framework}").module()
        except UsageError as error:
            return str(error)
    return ""


@pytest.fixture
def installed(missing):
    """Call it with frameworks: the test is skipped, with the reason, where one is missing."""

    def check(names: Iterable[str]) -> None:
        for name in names:
            if name in missing:
                pytest.skip(missing[name])

    return check


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
