"""Grade a folder of submissions, and see which mistakes the class makes."""

import csv
import difflib
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myoptim.course import intake, isolation, sandbox
from myoptim.course.check import Verdict, as_json, check, judge
from myoptim.course.intake import Skipped
from myoptim.course.probes import bank
from myoptim.course.sandbox import Outcome
from myoptim.course.settings import Settings
from myoptim.lab.errors import UsageError, unknown

COLUMNS: tuple[str, ...] = (
    "file",
    "optimizer",
    "passed",
    "score",
    "max_score",
    "diagnosis",
    "reason",
)
BINS = 10
"""Of the histogram of scores, in tenths of what could be earned."""


@dataclass
class Graded:
    """What came of a folder.

    Attributes:
        verdicts: on every submission, in the order of the files' names.
        skipped: what was not graded, each with its reason.
        way: how files were kept from the submissions, a key of `isolation.WAYS` or "".
    """

    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    way: str = ""


@dataclass
class _Examined:
    """One file: its verdicts, and whether it has a class of the course."""

    path: Path
    verdicts: list[Verdict]
    outcome: Outcome


def choose_way(given: str | None) -> str:
    """The way of isolation to grade with: the one given, or the best there is.

    Args:
        given: a key of `isolation.WAYS`; "none" to grade without; None for the best.

    Raises:
        UsageError: this machine does not offer it, or offers none and that was not asked for.
    """
    if given == "none":
        return ""
    if given is not None and given not in isolation.WAYS:
        raise unknown("isolation", given, (*isolation.WAYS, "none"))
    offered = sandbox.ways()
    if given is None and offered:
        return offered[0]
    if given in offered:
        return given
    reasons = "; ".join(
        f"{way}: {sandbox.without(way)}" for way in ([given] if given else isolation.WAYS)
    )
    raise UsageError(
        f"files cannot be kept from submissions here by the system ({reasons}). Grade in a "
        "container, as the teachers' page shows, or say --isolation none if nothing on this "
        "machine is worth keeping from them"
    )


def grade(
    folder: Path,
    optimizer: str | None,
    settings: Settings,
    jobs: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Graded:
    """Check every submission in a folder, several at a time.

    Args:
        optimizer: check every file as this one; by default as those that it has classes of.
        jobs: how many processes at a time.
        progress: called with how many files are done, and of how many.

    Raises:
        UsageError: there is no folder, or no submission in it.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {str(folder)!r}")
    files, skipped = intake.find(folder, settings.helpers)
    if not files:
        passed_over = f" ({len(skipped)} other things: {_reasons(skipped)})" if skipped else ""
        kinds = " or ".join(intake.SUFFIXES)
        raise UsageError(f"there are no {kinds} files in {str(folder)!r}{passed_over}")
    wanted = (optimizer,) if optimizer else settings.optimizers
    examined: dict[Path, _Examined] = {}
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(_examine, path, wanted, settings) for path in files]
        for done, future in enumerate(as_completed(running), 1):
            one = future.result()
            for verdict in one.verdicts:
                verdict.file = intake.shown(one.path.relative_to(folder))
            examined[one.path] = one
            progress(done, len(files))
    way = sandbox.best_way() if settings.isolation is None else settings.isolation
    graded = Graded(skipped=skipped, way=way)
    for path in files:
        reason = _beside_a_submission(examined[path], folder, examined.values())
        if reason:
            graded.skipped.append(Skipped(examined[path].verdicts[0].file, reason))
        else:
            graded.verdicts += examined[path].verdicts
    return graded


def _reasons(skipped: Iterable[Skipped]) -> str:
    return ", ".join(dict.fromkeys(one.reason for one in skipped))


def examine(path: Path, wanted: tuple[str, ...], settings: Settings) -> list[Verdict]:
    """Check a file as every optimizer that it has a class of.

    Which these are is found by running it. If it has none, there is one verdict, which says so,
    for the optimizer that comes nearest, or for None.

    Args:
        wanted: the optimizers to look for.
    """
    return _examine(path, wanted, settings).verdicts


def _examine(path: Path, wanted: tuple[str, ...], settings: Settings) -> _Examined:
    seed = secrets.randbelow(2**31) if settings.seed is None else settings.seed
    probes = {name: bank(name, seed).probes for name in wanted}
    outcome = sandbox.submit(path, probes, settings.limits, settings.helpers, settings.isolation)
    name = outcome.optimizer or nearest(path, outcome.classes, wanted)
    verdict = judge(outcome, intake.shown(path.name), name or wanted[0], settings, seed)
    if not name:
        verdict.optimizer = None
    others = [check(path, other, settings) for other in outcome.found[1:]]
    return _Examined(path, [verdict, *others], outcome)


def nearest(path: Path, classes: Iterable[str], known: tuple[str, ...]) -> str | None:
    """The optimizer that a file without a class of one comes nearest to, by names."""
    if len(known) == 1:
        return known[0]
    by_lower = {name.lower(): name for name in known}
    for guess in (*classes, *_classes_by_text(path), *re.split(r"[\W_]+", path.stem)):
        near = difflib.get_close_matches(guess.lower(), by_lower, 1)
        if near:
            return by_lower[near[0]]
    return None


def _classes_by_text(path: Path) -> list[str]:
    """What looks like a class, for a file that could not be run."""
    try:
        text = intake.read(path).text
    except ValueError:
        return []
    return re.findall(r"^\s*class\s+(\w+)", text, re.MULTILINE)


def _beside_a_submission(one: _Examined, folder: Path, all_of_them: Iterable[_Examined]) -> str:
    """Why a file of a student's folder is no submission but lies beside one; "" if it is one."""
    student = one.path.relative_to(folder).parts[0]
    if one.outcome.found or one.outcome.attempts or student == one.path.name:
        return ""
    others = [
        other.verdicts[0].file
        for other in all_of_them
        if other.path.relative_to(folder).parts[0] == student
        and (set(other.outcome.found) & {one.verdicts[0].optimizer}
             or (other.outcome.found and one.verdicts[0].optimizer is None))
    ]  # fmt: skip
    if not others:
        return ""
    reason = one.outcome.refused[1] if one.outcome.refused else "it has no class of the course"
    return f"{others[0]} is this student's; here: {reason}"


def histogram(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """How many submissions make each mistake, the commonest first."""
    return dict(Counter(name for verdict in verdicts for name in verdict.diagnosis).most_common())


def scores(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """How many submissions earn which part of the points, in percent: tenths, and all of them.

    The last bin holds those with every point, so that what lacks a little stands apart.
    """
    counts = [0] * (BINS + 1)
    for verdict in verdicts:
        counts[int(round(BINS * verdict.score / verdict.max_score, 9))] += 1
    width = 100 // BINS
    return [
        {"from": width * index, "to": min(width * (index + 1) - 1, 100), "count": count}
        for index, count in enumerate(counts)
    ]


def report(graded: Graded) -> dict[str, Any]:
    """All that came of a folder as plain values."""
    return {
        "submissions": [as_json(verdict) for verdict in graded.verdicts],
        "mistakes": histogram(graded.verdicts),
        "scores": scores(graded.verdicts),
        "skipped": [vars(one) for one in graded.skipped],
        "isolation": graded.way or "none",
    }


def write_csv(graded: Graded, path: Path) -> None:
    """One row per submission, then one per skipped file; mistakes are separated by spaces."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for verdict in graded.verdicts:
            row = as_json(verdict)
            writer.writerow(row | {"diagnosis": " ".join(row["diagnosis"])})
        for one in graded.skipped:
            writer.writerow({"file": one.file, "reason": f"skipped: {one.reason}"})
