"""`myoptim trace`: what an optimizer does at every step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myoptim.cli import common

if TYPE_CHECKING:
    from myoptim.lab.trace import Row


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

    Each row shows parameters, loss, gradients and state as they stand before its update, the last
    one what stands at the end. Steps count from 1.

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
    every = every or result.every
    common.say(result.title)
    if narrate:
        _print_story(result.rows[::every])
    else:
        common.print_table(*result.table(every))
    for note in result.notes(every):
        common.say(f"{note} --every 1 shows all.")


def _print_story(rows: Sequence[Row]) -> None:
    """A block for each step, in lines that fit the terminal and break no number."""
    from myoptim.lab.narrate import blocks

    for row in rows:
        for line in blocks(row.statements):
            typer.echo(common.fitted(line, common.terminal_width() or 80, indent="    "))
