"""The tests beside other people's implementations: `make test-references`. What is not installed is
skipped.

With `--agreement FOLDER` the tables of the pages are written, a file for each optimizer.
"""

from pathlib import Path

import pytest

ROWS = pytest.StashKey[dict[str, list[str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--agreement", help="write the tables of the pages to this folder", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = {}


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """The rows of the tables, by optimizer."""
    return request.config.stash[ROWS]


def pytest_sessionfinish(session: pytest.Session) -> None:
    folder = session.config.getoption("--agreement")
    if folder and not session.testsfailed:
        from references.cases import CASES, table

        found = session.config.stash[ROWS]
        if missing := {case.ours.__name__ for case in CASES} - found.keys():
            raise pytest.UsageError(f"not all references are here: {', '.join(sorted(missing))}")
        for name in found:
            (folder / f"{name.lower()}.inc").write_text(table(name, found), encoding="utf-8")
