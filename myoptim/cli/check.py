"""`myoptim check`: one submission, criterion by criterion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myoptim.cli import common

Optimizer = Annotated[
    str | None,
    typer.Option("--optimizer", help="Check as this one; by default by the name of the class."),
]
Accept = Annotated[
    list[str] | None,
    typer.Option("--accept", metavar="DIALECT", help="A dialect that passes. May be repeated."),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="A course.toml with points, dialects, limits."),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Of the prescribed gradients; by default another one each time.",
        metavar="<int>",
        parser=common.parse_seed,
    ),
]


def check(
    file: Annotated[Path, typer.Argument(help="The submission, a Python file.")],
    optimizer: Optimizer = None,
    accept: Accept = None,
    config: Config = None,
    seed: Seed = None,
    as_json: common.Json = False,
) -> None:
    """Check a hand-written optimizer, and name what is wrong with it.

    The file's class runs in a process of its own, under limits, on prescribed gradients.

    Example: myoptim check adam.py --optimizer Adam
    """
    from myoptim.course import check as course
    from myoptim.course.grade import examine
    from myoptim.course.report import as_text
    from myoptim.course.settings import check_optimizer, chosen
    from myoptim.lab.errors import UsageError

    settings = chosen(config, accept, seed)
    if not file.is_file():
        raise UsageError(f"there is no file {str(file)!r}")
    wanted = (check_optimizer(optimizer),) if optimizer else settings.optimizers
    verdicts = examine(file, wanted, settings)
    if len(verdicts) > 1:
        found = ", ".join(str(verdict.optimizer) for verdict in verdicts)
        raise UsageError(f"{file} has classes {found}: choose one with --optimizer")
    verdict = verdicts[0]
    if as_json:
        common.print_json(course.as_json(verdict))
    else:
        typer.echo(as_text(verdict))
    if not verdict.passed:
        raise typer.Exit(common.NEGATIVE)
