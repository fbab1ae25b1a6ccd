"""`myoptim grade`: a folder of submissions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from myoptim.cli import common
from myoptim.cli.check import Accept, Config, Optimizer, Seed


def grade(
    folder: Annotated[Path, typer.Argument(help="Every .py file below it is a submission.")],
    optimizer: Optimizer = None,
    accept: Accept = None,
    config: Config = None,
    seed: Seed = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Submissions at a time; by default one per core.")
    ] = os.cpu_count() or 1,
    csv: Annotated[
        Path | None, common.output_file("--csv", "Write a row for every submission.")
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Grade every submission in a folder, and count the mistakes of the class.

    Example: myoptim grade submissions --optimizer Adam --csv grades.csv
    """
    from rich.console import Console
    from rich.progress import Progress

    from myoptim.course import grade as course
    from myoptim.course.settings import check_optimizer, chosen

    settings = chosen(config, accept, seed)
    name = check_optimizer(optimizer) if optimizer else None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("grading", total=None)
        verdicts = course.grade(
            folder,
            name,
            settings,
            jobs,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    if csv:
        course.write_csv(verdicts, csv)
    if as_json:
        common.print_json(course.report(verdicts))
    else:
        _print(verdicts)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(common.NEGATIVE)


def _print(verdicts: list) -> None:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    from rich.console import Console
    from rich.table import Table

    from myoptim.course.check import Verdict
    from myoptim.course.grade import histogram

    console = Console()
    table = Table("file", "optimizer", "points", "diagnosis", "reason")
    typed: list[Verdict] = verdicts
    for verdict in typed:
        points = f"{verdict.score:g}/{verdict.max_score:g}"
        names = ", ".join(verdict.diagnosis)
        reason = "passed" if verdict.passed else verdict.reason
        table.add_row(verdict.file, verdict.optimizer, points, names, reason)
    console.print(table, markup=False)
    passed = sum(verdict.passed for verdict in typed)
    console.print(f"{passed} of {len(typed)} passed", markup=False)
    for name, count in histogram(typed).items():
        console.print(f"{count:5}  {'█' * count} {name}", markup=False)
