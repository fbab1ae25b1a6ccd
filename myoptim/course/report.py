"""What a student reads: what to look at first, what else failed, and what passed."""

import textwrap

from myoptim.course.check import (
    FAILED,
    NOT_CHECKED,
    NOT_JUDGED,
    PASSED,
    Result,
    Verdict,
    explanation,
)
from myoptim.course.kit import has_page
from myoptim.course.mistakes import CATALOGUE
from myoptim.course.settings import CRITERIA

WIDTH = 80
POINTS = "all or nothing for each criterion; one does not cost another"


def as_text(verdict: Verdict) -> str:
    """A verdict for people, with as many hints as the settings allow."""
    lines = [
        f"{verdict.file}: {verdict.optimizer or 'no optimizer'}: "
        f"{'passed' if verdict.passed else 'failed'}, {verdict.score:g} of {verdict.max_score:g}"
    ]
    failed = [result for result in verdict.results if result.status == FAILED]
    for place, result in enumerate(failed):
        if place < 2 and len(failed) > 1:
            lines += ["", ("Look at this first", "Then at the rest")[place]]
        elif not place:
            lines += ["", "Look at this"]
        lines += _failure(verdict, result)
    lines += [""]
    passed = [result for result in verdict.results if result.status == PASSED]
    if passed and not failed:
        lines += _paragraph("passed", ", ".join(CRITERIA[one.criterion] for one in passed))
    elif passed:
        points = sum(map(verdict.points, passed))
        listed = ", ".join(CRITERIA[one.criterion] for one in passed)
        lines += _paragraph(f"passed, {points:g} points", listed)
    for status in (NOT_CHECKED, NOT_JUDGED):
        lines += _others(verdict, status)
    if passed and failed and not _is_broken(failed):
        lines += _paragraph("points", POINTS)
    for result in passed:
        if result.message:
            lines += _paragraph("note", f"{CRITERIA[result.criterion]}: {result.message}")
    for note in verdict.notes:
        lines += _paragraph("note", note)
    return "\n".join(lines).rstrip()


def _failure(verdict: Verdict, result: Result) -> list[str]:
    points = f"{verdict.points(result):g} of {verdict.settings.points[result.criterion]:g}"
    lines = [f"  {CRITERIA[result.criterion]}, {points}"]
    for text in (*explanation(result, verdict.settings.hints), *_reading(verdict, result)):
        lines += textwrap.wrap(
            text, WIDTH, initial_indent="    ", subsequent_indent="      ", break_on_hyphens=False
        )
    return lines


def _reading(verdict: Verdict, result: Result) -> list[str]:
    """Where more can be read about a failure."""
    optimizer = verdict.optimizer or ""
    told: list[str] = []
    if verdict.settings.hints == "name":
        named = [name for name in result.diagnosis.ids if name in CATALOGUE]
        told += [f"myoptim explain {name}" for name in named]
    if result.criterion in ("rule", "signature") and has_page(optimizer):
        told.append(f"the site's page optimizers/{optimizer.lower()}")
    elif result.diagnosis.ids:
        told.append("the site's page students")
    return [f"read on: {', or '.join(told)}"] if told else []


def _others(verdict: Verdict, status: str) -> list[str]:
    """The criteria that were not checked, by reason, or not judged, in one paragraph."""
    results = [result for result in verdict.results if result.status == status]
    if not results:
        return []
    if status == NOT_JUDGED:
        return _paragraph("not judged", _unjudged(verdict, results))
    return [
        line
        for result in results
        for line in _paragraph(
            "not checked",
            f"{CRITERIA[result.criterion]}, {verdict.points(result):g} of "
            f"{verdict.settings.points[result.criterion]:g}"
            + (f": {result.message}" if result.message else ""),
        )
    ]


def _is_broken(failed: list[Result]) -> bool:
    """Whether a failure leaves nothing else to judge."""
    return bool(failed) and failed[0].criterion in ("load", "policy", "run")


def _unjudged(verdict: Verdict, results: list[Result]) -> str:
    """What could not be judged: all the rest, where the file itself is broken."""
    if _is_broken([result for result in verdict.results if result.status == FAILED]):
        return "all the rest, until that is mended"
    return ", ".join(CRITERIA[result.criterion] for result in results)


def _paragraph(label: str, text: str) -> list[str]:
    return textwrap.wrap(f"{label}: {text}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
