"""`myoptim trace`: what an optimizer does at every step."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myoptim.cli import common

if TYPE_CHECKING:
    from myoptim.lab.trace import Row

_ALL_ROWS = 100
_SOME_ROWS = 50


def trace(
    optimizer: Annotated[
        str, typer.Argument(help="A name, as Adam, or module:Class, or file.py:Class.")
    ],
    problem: Annotated[
        str, typer.Argument(help="A name, as square, or module:function, or file.py:function.")
    ],
    lr: Annotated[
        float | None, typer.Option(help="The learning rate; by default the problem's.")
    ] = None,
    steps: common.Steps = None,
    seed: common.Seed = 0,
    dtype: common.Dtype = None,
    settings: common.Settings = None,
    every: Annotated[
        int | None, typer.Option(min=1, help="Print every so many rows; by default about 50.")
    ] = None,
    csv: Annotated[
        Path | None, common.output_file("--csv", "Write all rows, a column for every number.")
    ] = None,
    plot: common.Plot = None,
    narrate: Annotated[
        bool, typer.Option("--narrate", help="Show what each statement of the optimizer did.")
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Show what an optimizer does at every step.

    Each row shows parameters, loss, gradients and state as they stand before its update. Steps
    count from 1.

    Example: myoptim trace SGD square --lr 0.1 --steps 30

    Example: myoptim trace Adam square --lr 0.5 --steps 2 --narrate
    """
    from myoptim.lab.trace import trace as run_trace

    given = common.parse_settings(settings) | ({} if lr is None else {"lr": lr})
    result = run_trace(
        optimizer,
        problem,
        settings=given,
        steps=steps,
        seed=seed,
        dtype=common.parse_dtype(dtype),
        narrated=narrate,
        progress=common.progress(optimizer),
    )
    if csv:
        result.save_csv(csv)
    if plot:
        result.plot().savefig(plot)
    if as_json:
        common.print_json(result.as_dict())
        return
    words = ", ".join(f"{key}={value!r}" for key, value in result.settings.items())
    typer.echo(f"{result.optimizer}({words}) on {result.problem.formula}")
    headings, rows = result.table()
    many = len(rows) > _ALL_ROWS
    chosen = slice(None, None, every or (math.ceil(len(rows) / _SOME_ROWS) if many else 1))
    if narrate:
        _print_story(result.rows[chosen])
    else:
        common.print_table(headings, rows[chosen])


def _print_story(rows: Sequence[Row]) -> None:
    """A block for each step, in lines that fit the terminal and break no number."""
    from myoptim.lab.narrate import blocks

    width = shutil.get_terminal_size().columns
    for row in rows:
        for line in blocks(row.statements):
            indent = " " * (len(line) - len(line.lstrip()))
            typer.echo(
                textwrap.fill(
                    line.lstrip(),
                    width,
                    initial_indent=indent,
                    subsequent_indent=indent + "    ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            )
