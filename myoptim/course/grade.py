"""Grade a folder of submissions, and see which mistakes the class makes."""

import csv
import difflib
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from myoptim.course import sandbox
from myoptim.course.check import Verdict, as_json, check
from myoptim.course.settings import Settings
from myoptim.lab.errors import UsageError

COLUMNS: tuple[str, ...] = (
    "file",
    "optimizer",
    "passed",
    "score",
    "max_score",
    "diagnosis",
    "reason",
)


def find_submissions(
    folder: Path, optimizer: str | None, settings: Settings
) -> list[tuple[Path, str]]:
    """Every Python file below a folder, with each optimizer to check it as.

    A file is checked as every optimizer of the course that it has a class of; if it has none, as
    the one whose name is nearest, so that the report can say so.

    Raises:
        UsageError: there is no folder, or no Python file in it.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {str(folder)!r}")
    files = sorted(path for path in folder.rglob("*.py") if not path.is_dir())
    if not files:
        raise UsageError(f"there are no .py files in {str(folder)!r}")
    return [
        (path, name)
        for path in files
        for name in ([optimizer] if optimizer else optimizers_in(path, settings.optimizers))
    ]


def optimizers_in(path: Path, known: tuple[str, ...]) -> list[str]:
    """The optimizers that a file has classes of, by its text alone; or else the nearest one."""
    try:
        text = sandbox.read_source(path)
    except ValueError:
        text = ""
    classes: list[str] = re.findall(r"^\s*class\s+(\w+)", text, re.MULTILINE)
    own = ["RMSprop" if name == "RMSProp" else name for name in classes]
    found = [name for name in known if name in own]
    if found:
        return found
    by_lower = {name.lower(): name for name in known}
    for guess in (*classes, path.stem):
        near = difflib.get_close_matches(guess.lower(), by_lower, 1)
        if near:
            return [by_lower[near[0]]]
    return [known[0]]


def grade(
    folder: Path,
    optimizer: str | None,
    settings: Settings,
    jobs: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Verdict]:
    """Check every submission in a folder, several at a time.

    Args:
        optimizer: check every file as this one; by default by the names of its classes.
        jobs: how many processes at a time.
        progress: called with how many are done, and of how many.
    """
    found = find_submissions(folder, optimizer, settings)
    verdicts: dict[int, Verdict] = {}
    with ThreadPoolExecutor(jobs) as pool:
        running = {
            pool.submit(check, path, name, settings): index
            for index, (path, name) in enumerate(found)
        }
        for done, future in enumerate(as_completed(running), 1):
            verdict = future.result()
            verdict.file = str(found[running[future]][0].relative_to(folder))
            verdicts[running[future]] = verdict
            progress(done, len(found))
    return [verdicts[index] for index in range(len(found))]


def histogram(verdicts: list[Verdict]) -> dict[str, int]:
    """How many submissions make each mistake, the commonest first."""
    return dict(Counter(name for verdict in verdicts for name in verdict.diagnosis).most_common())


def report(verdicts: list[Verdict]) -> dict[str, Any]:
    """The verdicts and the class's mistakes as plain values."""
    return {
        "submissions": [as_json(verdict) for verdict in verdicts],
        "mistakes": histogram(verdicts),
    }


def write_csv(verdicts: list[Verdict], path: Path) -> None:
    """One row per submission; several mistakes are separated by spaces."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for verdict in verdicts:
            row = as_json(verdict)
            writer.writerow(row | {"diagnosis": " ".join(row["diagnosis"])})
