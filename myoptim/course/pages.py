"""What a teacher looks at: a page for the browser, and a picture of the class's scores."""

import html
from pathlib import Path
from string import Template
from typing import Any

from myoptim.course.check import FAILED, PASSED, Result, Verdict, explanation
from myoptim.course.grade import Graded, histogram, scores
from myoptim.course.isolation import WAYS
from myoptim.course.mistakes import CATALOGUE
from myoptim.course.settings import CRITERIA

PAGE = Path(__file__).with_name("templates") / "grades.html"


def write_page(graded: Graded, path: Path) -> None:
    """Write a report as one HTML file that needs no other and no network."""
    verdicts = graded.verdicts
    passed = sum(verdict.passed for verdict in verdicts)
    text = Template(PAGE.read_text(encoding="utf-8")).substitute(
        submissions=len(verdicts),
        passed=passed,
        failed=len(verdicts) - passed,
        skipped=len(graded.skipped),
        scores=_columns([(_range(one), one["count"]) for one in scores(verdicts)]),
        mistakes=_bars(histogram(verdicts)),
        rows="".join(map(_row, verdicts)),
        skipped_rows="".join(
            f"<tr><td>{_text(one.file)}</td><td>{_text(one.reason)}</td></tr>"
            for one in graded.skipped
        ),
        isolation=_text(WAYS.get(graded.way, "nothing but Python kept files from submissions")),
    )
    path.write_text(text, encoding="utf-8")


def _text(value: object) -> str:
    return html.escape(str(value))


def _range(one: dict[str, Any]) -> str:
    return "100" if one["from"] == 100 else f"{one['from']}–{one['to']}"


def _columns(rows: list[tuple[str, int]]) -> str:
    """A histogram with upright bars."""
    most = max((count for _, count in rows), default=0) or 1
    return "".join(
        f'<div class="column"><span>{count or ""}</span>'
        f'<i style="height:{100 * count / most:.0f}px"></i><b>{_text(label)}</b></div>'
        for label, count in rows
    )


def _bars(counts: dict[str, int]) -> str:
    """A histogram with lying bars, and what each mistake is."""
    if not counts:
        return "<p>None that has a name.</p>"
    most = max(counts.values())
    return "".join(
        f'<div class="bar"><code>{_text(name)}</code><span>{count}</span>'
        f'<i style="width:{200 * count / most:.0f}px"></i>'
        f"<em>{_text(CATALOGUE[name].what if name in CATALOGUE else '')}</em></div>"
        for name, count in counts.items()
    )


def _row(verdict: Verdict) -> str:
    result = "passed" if verdict.passed else "failed"
    reason = "" if verdict.passed else verdict.reason
    lines = "".join(_criterion(verdict, one) for one in verdict.results if _says_something(one))
    notes = "".join(f"<p class=note>{_text(note)}</p>" for note in verdict.notes)
    return (
        f'<tr class="{result}"><td>{_text(verdict.file)}</td>'
        f"<td>{_text(verdict.optimizer or 'none')}</td>"
        f"<td class=points>{verdict.score:g}/{verdict.max_score:g}</td>"
        f"<td><details><summary>{_text(reason or 'passed')}</summary>"
        f"{lines}{notes}<p class=note>seed {verdict.seed}</p></details></td></tr>"
    )


def _says_something(result: Result) -> bool:
    return result.status == FAILED or (result.status != PASSED and bool(result.message))


def _criterion(verdict: Verdict, result: Result) -> str:
    points = f"{verdict.points(result):g}/{verdict.settings.points[result.criterion]:g}"
    told = "<br>".join(map(_text, explanation(result, verdict.settings.hints)))
    heading = f"{CRITERIA[result.criterion]}: {result.status}, {points}"
    return f"<p><strong>{_text(heading)}</strong><br>{told}</p>"


def plot_scores(graded: Graded, path: Path) -> None:
    """Draw the histogram of the class's scores; the file's suffix says which format."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    bins = scores(graded.verdicts)
    axes.bar(range(len(bins)), [one["count"] for one in bins], width=0.9, color="#4a7ab5")
    axes.set_xticks(range(len(bins)), [_range(one) for one in bins])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("points, in percent")
    axes.set_ylabel("submissions")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
