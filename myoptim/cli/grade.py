"""`myoptim grade`: a folder of submissions."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myoptim.cli import common
from myoptim.cli.check import Accept, Config, Optimizer, Seed

if TYPE_CHECKING:
    from rich.console import Console

    from myoptim.course.grade import Graded

Isolation = Annotated[
    str | None,
    typer.Option(
        metavar="WAY",
        help="How the system keeps files from submissions: landlock, user or none; by "
        "default the strongest that there is here, and a refusal where there is none.",
    ),
]


def grade(
    folder: Annotated[
        Path, typer.Argument(help="Every .py and .ipynb file below it is a submission.")
    ],
    optimizer: Optimizer = None,
    accept: Accept = None,
    config: Config = None,
    seed: Seed = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Submissions at a time; by default one per core.")
    ] = os.cpu_count() or 1,
    isolation: Isolation = None,
    csv: Annotated[
        Path | None, common.output_file("--csv", "Write a row for every submission.")
    ] = None,
    html: Annotated[
        Path | None, common.output_file("--html", "Write a report of one page, for a browser.")
    ] = None,
    plot: common.Plot = None,
    as_json: common.Json = False,
) -> None:
    """Grade every submission in a folder, and count the mistakes of the class.

    Example: myoptim grade submissions --optimizer Adam --csv grades.csv --html grades.html
    """
    from rich.console import Console
    from rich.progress import Progress

    from myoptim.course import grade as course
    from myoptim.course.isolation import WAYS
    from myoptim.course.settings import check_optimizer, chosen

    settings = chosen(config, accept, seed)
    name = check_optimizer(optimizer) if optimizer else None
    way = course.choose_way(isolation)
    told = WAYS.get(way, "nothing but Python keeps files from submissions")
    typer.echo(f"isolation: {way or 'none'}: {told}", err=True)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("grading", total=None)
        graded = course.grade(
            folder,
            name,
            replace(settings, isolation=way),
            jobs,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    if csv:
        course.write_csv(graded, csv)
    if html:
        from myoptim.course.pages import write_page

        write_page(graded, html)
    if plot:
        from myoptim.course.pages import plot_scores

        plot_scores(graded, plot)
    if as_json:
        common.print_json(course.report(graded))
    else:
        _print(graded)
    if not all(verdict.passed for verdict in graded.verdicts):
        raise typer.Exit(common.NEGATIVE)


def _print(graded: Graded) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from myoptim.course.grade import histogram, scores

    console = Console(markup=False, highlight=False)
    table = Table("file", "optimizer", "points", "diagnosis", "reason")
    for verdict in graded.verdicts:
        points = f"{verdict.score:g}/{verdict.max_score:g}"
        names = ", ".join(verdict.diagnosis)
        reason = "passed" if verdict.passed else verdict.reason
        cells = (verdict.file, verdict.optimizer or "none", points, names, reason)
        table.add_row(*map(Text, cells))
    console.print(table)
    for one in graded.skipped:
        console.print(f"skipped {one.file}: {one.reason}")
    passed = sum(verdict.passed for verdict in graded.verdicts)
    console.print(f"{passed} of {len(graded.verdicts)} passed")
    bars = [
        ("100 %" if one["from"] == 100 else f"{one['from']}–{one['to']} %", one)
        for one in scores(graded.verdicts)
    ]
    _print_bars(console, "points", [(label, one["count"]) for label, one in bars])
    _print_bars(console, "mistakes", list(histogram(graded.verdicts).items()))


def _print_bars(console: Console, title: str, rows: list[tuple[str, int]]) -> None:
    """A histogram whose longest bar fits the line."""
    if not any(count for _, count in rows):
        return
    labels = max(len(label) for label, _ in rows)
    room = max(10, min(console.width, 80) - labels - 10)
    longest = max(count for _, count in rows)
    console.print(title)
    for label, count in rows:
        bar = "█" * (count if longest <= room else round(count * room / longest))
        console.print(f"{label:>{labels + 2}} {count:5}  {bar}")
